"""A subscriber for tests: it keeps the events of a run and can be asked about them.

In: events, from the thread that delivers them. Out: lists, states, checks with readable failures. Invariant: what was
seen stays seen; nothing is polled.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, TypeVar

from cascade.interfaces import events as ev
from cascade.testing.errors import SpyError, ToolError

__all__ = ["EventSpy"]

E = TypeVar("E", bound=ev.Event)

_STATES: Final[dict[type[ev.Event], str]] = {
    ev.NodeStarted: "running",
    ev.MapExpanded: "running",
    ev.NodeWaiting: "waiting",
    ev.NodeRetrying: "retrying",
    ev.NodeCompleted: "completed",
    ev.NodeFailed: "failed",
    ev.NodeSkipped: "skipped",
    ev.NodeCancelled: "cancelled",
    ev.NodeAbandoned: "abandoned",
}
_ENDS: Final = (ev.NodeCompleted, ev.NodeFailed, ev.NodeSkipped, ev.NodeCancelled)
_TOLD = 40  # events in the story of a failure


class EventSpy:
    """Records the events of runs.

    Pass it to ``cs.run(x, subscribers=[spy])``, or to a bus. States and checks regard the last run it saw; a node goes
    by its id (``load``, ``load#2``) or by its name.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def load(): return 1
        >>> spy = EventSpy()
        >>> cs.run(load(), log_level=None, subscribers=[spy]), spy.states()
        (1, {'load': 'completed'})
    """

    def __init__(self) -> None:
        """Begin without events."""
        self._events: list[ev.Event] = []
        self._news = threading.Condition()

    def __call__(self, event: ev.Event, /) -> None:
        """Keep an event, and wake who waits for it."""
        with self._news:
            self._events.append(event)
            self._news.notify_all()

    # -- looking --------------------------------------------------------------------------------------------------

    @property
    def events(self) -> list[ev.Event]:
        """All events so far, of all runs, in order."""
        with self._news:
            return list(self._events)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of `kind`, or of a class under it."""
        return [event for event in self.events if isinstance(event, kind)]

    def names(self, kind: type[ev.Event] = ev.NodeStarted) -> list[str]:
        """Return whom the events of `kind` are about: names of nodes, items as ``name[3]``; names of resources."""
        return [_subject(event) for event in self.of(kind)]

    def states(self) -> dict[str, str]:
        """Return the last state of each node of the last run, by id, in the order in which they were first heard of.

        The states are ``running``, ``waiting``, ``retrying``, ``completed``, ``failed``, ``skipped``, ``cancelled``
        and ``abandoned``. A map counts as one node.
        """
        found: dict[str, str] = {}
        for event in self._last_run():
            state = _state_of(event)
            if state and isinstance(event, ev.NodeEvent) and event.index is None:
                found[event.node] = state
        return found

    def clear(self) -> None:
        """Forget all events."""
        with self._news:
            self._events.clear()

    # -- waiting --------------------------------------------------------------------------------------------------

    def wait_for(self, kind: type[E], timeout: float = 5.0, **fields: object) -> E:
        """Return the first event of `kind` with these values of its fields; wait for it if it has not come yet.

        Args:
            timeout: seconds to wait at most.

        Raises:
            SpyError: when none has come in time.
            ToolError: when no event of this kind has such a field.
        """
        _check_fields(kind, fields)
        seen = 0

        def find() -> E | None:
            nonlocal seen
            for event in self._events[seen:]:
                if isinstance(event, kind) and all(getattr(event, k, _NOTHING) == v for k, v in fields.items()):
                    return event
            seen = len(self._events)
            return None

        with self._news:
            found = self._news.wait_for(find, timeout)
        if found is None:
            listed = ", ".join(f"{k}={v!r}" for k, v in fields.items())
            raise SpyError.for_absence(f"{kind.__name__}({listed})", timeout, _story(self.events))
        return found

    # -- checking -------------------------------------------------------------------------------------------------

    def assert_order(self, *names: str) -> None:
        """Check that each of these nodes had ended before the next one started.

        Raises:
            SpyError: when it had not, or when one of them never started.
        """
        events = self._last_run()
        for first, second in pairwise(names):
            ends = [e.seq for e in events if isinstance(e, _ENDS) and _is_about(e, first)]
            if not ends:
                raise SpyError.for_never(first, _nodes(events), _story(events))
            if self._first_start(events, second) < max(ends):
                raise SpyError.for_order(first, second, _story(events, names))
        for name in names[-1:]:
            self._first_start(events, name)

    def assert_ran(self, *names: str) -> None:
        """Check that each of these nodes started."""
        events = self._last_run()
        for name in names:
            self._first_start(events, name)

    def assert_not_ran(self, *names: str) -> None:
        """Check that none of these nodes started."""
        events = self._last_run()
        for name in names:
            if any(isinstance(e, ev.NodeStarted) and _is_about(e, name) for e in events):
                raise SpyError.for_start(name, _story(events))

    def assert_attempts(self, name: str, count: int) -> None:
        """Check how often a node was tried."""
        events = self._last_run()
        found = sum(isinstance(e, ev.NodeStarted) and _is_about(e, name) for e in events)
        if found != count:
            raise SpyError.for_attempts(name, count, found, _story(events))

    def assert_states(self, **expected: str) -> None:
        """Check the last states of some nodes: ``spy.assert_states(load="completed", fit="failed")``."""
        found = self.states()
        wrong = [
            f"'{node}' is {found.get(node, 'not heard of')}, not {state}"
            for node, state in expected.items()
            if found.get(node) != state
        ]
        if wrong:
            raise SpyError.for_states(wrong)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _last_run(self) -> list[ev.Event]:
        events = self.events
        return [event for event in events if event.run_id == events[-1].run_id]

    def _first_start(self, events: list[ev.Event], name: str) -> int:
        for event in events:
            if isinstance(event, (ev.NodeStarted, ev.MapExpanded)) and _is_about(event, name):
                return event.seq
        raise SpyError.for_never(name, _nodes(events), _story(events))

    def __repr__(self) -> str:
        """Show how much was seen."""
        return f"<event spy: {len(self._events)} events>"


_NOTHING = object()


def _state_of(event: ev.Event) -> str:
    """Return the state that an event tells of, empty if none; an event of a class that is refined tells the same."""
    return next((_STATES[kind] for kind in type(event).__mro__ if kind in _STATES), "")


def _is_about(event: ev.Event, name: str) -> bool:
    return isinstance(event, ev.NodeEvent) and name in (event.node, event.name, event.label)


def _subject(event: ev.Event) -> str:
    if isinstance(event, ev.NodeEvent):
        return event.label
    return event.resource if isinstance(event, ev.ResourceEvent) else type(event).__name__


def _nodes(events: Iterable[ev.Event]) -> list[str]:
    return [event.node for event in events if isinstance(event, ev.NodeEvent)]


def _story(events: list[ev.Event], names: tuple[str, ...] = ()) -> str:
    """Return what happened to the nodes, in short: ``load running, load completed, …``."""
    told = [
        f"{_subject(event)} {_state_of(event)}"
        for event in events
        if _state_of(event) and (not names or any(_is_about(event, name) for name in names))
    ]
    more = f", … and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return ", ".join(told[:_TOLD]) + more or "nothing"


def _check_fields(kind: type[ev.Event], fields: dict[str, Any]) -> None:
    known: set[str] = set()
    classes = [kind]
    while classes:
        each = classes.pop()
        known.update(name for name in dir(each) if not name.startswith("_"))
        classes += each.__subclasses__()
    for name in fields:
        if name not in known:
            raise ToolError.for_field(kind.__name__, name, known)
