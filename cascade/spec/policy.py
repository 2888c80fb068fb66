"""Policies of a call: retries and the options that a lazy result carries.

In: what the user asked with ``.with_…``. Out: frozen records. Invariant: an option that is not set costs nothing;
most calls share one `Options` object or have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cascade.interfaces.exceptions import nearest

__all__ = ["UNSET", "Options", "RetryPolicy", "Unset", "check_timeout"]


class Unset:
    """The type of `UNSET`: told apart from every value, None included."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show as a word."""
        return "UNSET"

    def __reduce__(self) -> str:
        """Stay the one and only in copies and other processes."""
        return "UNSET"


UNSET: Final = Unset()


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def check_timeout(seconds: object) -> float:
    """Return a timeout as a number.

    Raises:
        ValueError: when it is not a finite number above 0.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise ValueError(f"A timeout is a number of seconds above 0, not {seconds!r}.")
    return float(seconds)


RetryFilter = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when to try again.

    Args:
        max_attempts: all attempts, the first included; at least 1.
        delay: seconds before the second attempt.
        backoff: factor on the delay for each further attempt.
        jitter: share of the delay, 0 to 1, that is drawn at random (1: anywhere between 0 and the delay).
        max_delay: seconds; no delay is longer. None: no bound.
        retry_on: exception types, or a function of the exception, that say what to try again.

    Example:
        >>> RetryPolicy(max_attempts=4, delay=1.0, backoff=2.0).delay_after(3, draw=lambda: 0.0)
        4.0
    """

    max_attempts: int = 3
    delay: float = 0.0
    backoff: float = 1.0
    jitter: float = 0.0
    max_delay: float | None = None
    retry_on: RetryFilter = Exception

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        attempts: object = self.max_attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise ValueError(f"max_attempts is {attempts!r}; it counts all attempts and must be at least 1.")
        for name in ("delay", "backoff", "max_delay", "jitter"):
            number = getattr(self, name)
            if not _is_seconds(number) and not (name == "max_delay" and number is None):
                raise ValueError(f"{name} of a retry is {number!r}; it must be a number of at least 0.")
        if self.jitter > 1:
            raise ValueError(f"jitter is {self.jitter!r}; it is a share of the delay between 0 and 1.")
        kinds: object = self.retry_on
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            is_error = isinstance(kind, type) and issubclass(kind, BaseException)
            is_function = kind is kinds and callable(kind) and not isinstance(kind, type)
            if not is_error and not is_function:
                raise ValueError(f"retry_on holds {kind!r}; it takes exception types, or a function of the exception.")

    @classmethod
    def of(cls, value: int | Mapping[str, object] | RetryPolicy) -> RetryPolicy:
        """Read what ``@cs.task(retry=…)`` takes: a number of attempts, a mapping of arguments, or a policy."""
        if isinstance(value, RetryPolicy):
            return value
        if isinstance(value, Mapping):
            unknown = [name for name in value if name not in cls.__dataclass_fields__]
            if unknown:
                raise ValueError(f"A retry has no '{unknown[0]}'.{nearest(str(unknown[0]), cls.__dataclass_fields__)}")
            return cls(**value)  # type: ignore[arg-type]
        return cls(max_attempts=value)

    def applies_to(self, error: BaseException) -> bool:
        """Say whether `error` is of the kind to try again; what would end a program never is."""
        if not isinstance(error, Exception):
            return False
        if isinstance(self.retry_on, (type, tuple)):
            return isinstance(error, self.retry_on)
        return bool(self.retry_on(error))

    def delay_after(self, attempt: int, draw: Callable[[], float]) -> float:
        """Return the seconds to wait after attempt number `attempt` failed; `draw` gives a number in [0, 1)."""
        if not self.delay:
            return 0.0
        try:
            wait = self.delay * self.backoff ** (attempt - 1)
        except OverflowError:
            wait = float("inf")
        if self.max_delay is not None:
            wait = min(wait, self.max_delay)
        return wait * (1.0 - self.jitter * draw()) if self.jitter else wait


@dataclass(frozen=True, slots=True)
class Options:
    """What ``.run_if``, ``.with_…``, ``.after`` and ``.named`` say about one call."""

    name: str | None = None
    condition: object = UNSET
    retry: RetryPolicy | None = None
    timeout: float | None = None
    constraints: Mapping[str, object] | None = None
    after: tuple[object, ...] = ()
    fallback: object = UNSET
    cache: object | None = None
    jump: object | None = None

    def but(self, **changes: object) -> Options:
        """Return a copy with `changes`."""
        return replace(self, **changes)  # type: ignore[arg-type]


PLAIN: Final = Options()
