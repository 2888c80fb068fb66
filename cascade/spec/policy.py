"""Policies of a call: retries and the options that a lazy result carries.

In: what the user asked with ``.with_…``. Out: frozen records. Invariant: an option that is not set costs nothing;
most calls share one `Options` object or have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["UNSET", "Options", "RetryPolicy", "Unset"]


class Unset:
    """The type of `UNSET`: told apart from every value, None included."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show as a word."""
        return "UNSET"


UNSET: Final = Unset()

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
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts!r}; it counts all attempts and must be at least 1.")
        if self.delay < 0 or self.backoff < 0 or (self.max_delay is not None and self.max_delay < 0):
            raise ValueError("delay, backoff and max_delay of a retry must not be negative.")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter!r}; it is a share of the delay between 0 and 1.")

    @classmethod
    def of(cls, value: int | Mapping[str, object] | RetryPolicy) -> RetryPolicy:
        """Read what ``@cs.task(retry=…)`` takes: a number of attempts, a mapping of arguments, or a policy."""
        if isinstance(value, RetryPolicy):
            return value
        if isinstance(value, Mapping):
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

    def but(self, **changes: object) -> Options:
        """Return a copy with `changes`."""
        return replace(self, **changes)  # type: ignore[arg-type]


PLAIN: Final = Options()
