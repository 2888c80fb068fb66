"""Resource instances that outlive runs: one until the process ends, or the workflow context is cleared.

In: requests of runs. Out: values. Invariant: one instance for each resource definition, whichever run asks first; torn
down once, last opened first; an instance whose definition was replaced is torn down when no run holds it.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

from cascade.context import get_current_context
from cascade.runtime.lifetimes import Lifetime
from cascade.runtime.threads import LoopThread

if TYPE_CHECKING:
    import asyncio

    from cascade.spec.resource import Resource

__all__ = ["Sessions", "current_sessions"]


class Report(Protocol):
    """Takes an instance's value, or what went wrong; `is_new`: it was set up for this request."""

    def __call__(self, value: object, error: BaseException | None, *, is_new: bool) -> None:
        """Take it."""


class _Held:
    __slots__ = ("holds", "is_open", "life", "value", "waiters")

    def __init__(self, life: Lifetime) -> None:
        self.life = life
        self.is_open = False
        self.value: Any = None
        self.holds = 0
        self.waiters: list[Report] = []


class Sessions:
    """The session-wide instances of a workflow context; async ones live on a loop of their own."""

    def __init__(self) -> None:
        """Begin without instances; the end of the process closes them."""
        self._held: dict[Resource, _Held] = {}
        self._lock = threading.Lock()
        self._loop: LoopThread | None = None
        atexit.register(self.close)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of async instances."""
        if self._loop is None:
            self._loop = LoopThread()
        return self._loop.loop

    def request(self, resource: Resource, name: str, needs: Mapping[str, object], report: Report) -> None:
        """Hold the instance of `resource`, set up if there is none; `report` it, now or from another thread."""
        with self._lock:
            old = self._take_replaced(name, resource)
            held = self._held.get(resource)
            first = held is None
            if held is None:
                held = self._held[resource] = _Held(Lifetime(name, resource, Context(), self.loop))
            held.holds += 1
            is_open = held.is_open
            if not is_open:
                held.waiters.append(report)
        for life in old:
            life.close(None)
        if is_open:
            report(held.value, None, is_new=False)
        elif first:
            held.life.open(needs, lambda value, error: self._opened(resource, value, error))

    def _opened(self, resource: Resource, value: object, error: BaseException | None) -> None:
        with self._lock:
            held = self._held[resource]
            held.is_open, held.value = error is None, value
            waiters, held.waiters = held.waiters, []
            if error is not None:
                del self._held[resource]  # the next run tries again
        for place, report in enumerate(waiters):
            report(value, error, is_new=not place)

    def release(self, resource: Resource) -> None:
        """A run does not need the instance any more."""
        with self._lock:
            held = self._held.get(resource)
            if held is not None:
                held.holds -= 1

    def _take_replaced(self, name: str, resource: Resource) -> list[Lifetime]:
        """Remove idle instances of older definitions of `name`, for the caller to close."""
        old = [
            r for r, h in self._held.items() if h.life.name == name and r is not resource and h.is_open and not h.holds
        ]
        return [self._held.pop(r).life for r in reversed(old)]

    def close(self) -> None:
        """Tear everything down, last opened first."""
        atexit.unregister(self.close)
        with self._lock:
            held, self._held = list(self._held.values()), {}
            loop, self._loop = self._loop, None
        for each in reversed(held):
            if each.is_open:
                each.life.close(None)
        if loop is not None:
            loop.stop()


def current_sessions() -> Sessions:
    """Return the session-wide instances of the workflow context."""
    context = get_current_context()
    if context.sessions is None:
        context.sessions = Sessions()
    return context.sessions  # type: ignore[return-value]
