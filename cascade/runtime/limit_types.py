"""What each type of limit means: pause, concurrency, rate, and those that users bring.

In: a limit's parameters and the time. Out: how many attempts may start now, and when that may change. Invariant: a
limit that someone's handler cannot judge holds nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cascade.context import get_current_context
from cascade.interfaces.exceptions import SettingError
from cascade.spec.constraint import GlobalConstraint, parse_rate

if TYPE_CHECKING:
    from cascade.interfaces.protocols import ConstraintHandler, LimitState

__all__ = ["check", "find_handler", "open_state"]

MANY = 1 << 30
_WHOLE = 1.0 - 1e-9  # a token, but for rounding


class _Pause:
    """Nothing starts."""

    def check(self, params: Mapping[str, object]) -> None:
        """Anything goes."""

    def open(self, params: Mapping[str, object], now: float) -> LimitState:  # noqa: ARG002 - as every handler
        """Begin."""
        return self

    def turns(self, running: int, now: float) -> tuple[int, float | None]:  # noqa: ARG002
        """None, until someone takes the limit away."""
        return 0, None

    def started(self, now: float) -> None:
        """Nothing to note."""


class _Concurrency:
    """So many at a time."""

    def __init__(self, limit: int = 1) -> None:
        self.limit = limit

    def check(self, params: Mapping[str, object]) -> None:
        """`GlobalConstraint` has looked already."""

    def open(self, params: Mapping[str, object], now: float) -> LimitState:  # noqa: ARG002
        """Begin."""
        return _Concurrency(int(params["limit"]))  # type: ignore[call-overload]

    def turns(self, running: int, now: float) -> tuple[int, float | None]:  # noqa: ARG002
        """As many as there is room for; it changes when one ends."""
        return self.limit - running, None

    def started(self, now: float) -> None:
        """Those that run are counted elsewhere."""


class _Rate:
    """So many a second: a bucket of tokens that fills at the rate, up to `capacity`."""

    def __init__(self, rate: float = 1.0, burst: float = 1.0, now: float = 0.0) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self.filled = now

    def check(self, params: Mapping[str, object]) -> None:
        """`GlobalConstraint` has looked already."""

    def open(self, params: Mapping[str, object], now: float) -> LimitState:
        """Begin with a full bucket."""
        return _Rate(parse_rate(params.get("rate")), float(params.get("capacity", 1.0)), now)  # type: ignore[arg-type]

    def turns(self, running: int, now: float) -> tuple[int, float | None]:  # noqa: ARG002
        """One for each whole token; when there is none, it is known when the next one comes."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < _WHOLE:
            return 0, now + (1.0 - self.tokens) / self.rate
        return int(self.tokens + 1.0 - _WHOLE), None

    def started(self, now: float) -> None:  # noqa: ARG002
        """Take a token."""
        self.tokens -= 1.0


class _Guarded:
    """The state of a limit of someone's own type: what it raises is reported once, and then it holds nobody."""

    def __init__(self, limit: GlobalConstraint, state: LimitState) -> None:
        self._limit = limit
        self._state: LimitState | None = state

    def turns(self, running: int, now: float) -> tuple[int, float | None]:
        """Ask the handler."""
        if self._state is not None:
            try:
                count, at = self._state.turns(running, now)
                return int(count), None if at is None else float(at)
            except Exception as error:  # noqa: BLE001 - a plug-in's fault must not hold or end the run
                self._give_up(error)
        return MANY, None

    def started(self, now: float) -> None:
        """Tell the handler."""
        if self._state is not None:
            try:
                self._state.started(now)
            except Exception as error:  # noqa: BLE001 - as above
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        import logging

        self._state = None
        logging.getLogger("cascade").warning(
            "The limit %s of type %s holds nobody any more: its handler raised %s: %s.",
            self._limit.id, self._limit.type, type(error).__name__, error,
        )  # fmt: skip


_OWN: Mapping[str, ConstraintHandler] = {"pause": _Pause(), "concurrency": _Concurrency(), "rate_limit": _Rate()}


def find_handler(kind: str) -> ConstraintHandler:
    """Return what knows limits of type `kind`.

    Raises:
        SettingError: when nobody does, with the nearest type.
    """
    known: dict[str, Any] = {**get_current_context().constraint_handlers, **_OWN}
    if kind not in known:
        raise SettingError.for_choice("The type of a limit", kind, known)
    return known[kind]  # type: ignore[no-any-return]


def check(limit: GlobalConstraint) -> None:
    """Refuse a limit that nobody could obey.

    Raises:
        SettingError: when its type does not exist. ValueError: what the handler of the type says of its parameters.
    """
    find_handler(limit.type).check(limit.params)


def open_state(limit: GlobalConstraint, now: float) -> LimitState:
    """Return the state of a limit that comes into force."""
    state = find_handler(limit.type).open(limit.params, now)
    return state if limit.type in _OWN else _Guarded(limit, state)
