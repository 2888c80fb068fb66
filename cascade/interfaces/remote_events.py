"""Facts about what a run heard from outside.

In: what a connector brought. Out: events like those of `events`. Invariant: they tell of the message, and hold nothing
of it but short texts that were checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from cascade.interfaces.events import LifecycleEvent

__all__ = ["ConnectionReported", "ControlRefused", "RunHeld"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeld(LifecycleEvent):
    """A pause that was in force before the run began holds it.

    Args:
        limit_id, scope: of the pause. source: where it came from. set_at: when it was set, in seconds since the epoch,
            0: not known. set_by: by whom, empty: not known. expires_at: when it ends by itself, None: never.
    """

    limit_id: str
    scope: str
    source: str
    set_at: float = 0.0
    set_by: str = ""
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRefused(LifecycleEvent):
    """A message from outside was not obeyed, for `reason`; it was the `count`-th. Of very many, some are told."""

    topic: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReported(LifecycleEvent):
    """Whoever looks at a run from elsewhere has lost the connection to it; without a `problem`, it is back."""

    problem: str = ""
