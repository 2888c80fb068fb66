"""The event bus: who wants to hear what, and delivery that cannot fail or slow a run.

In: subscriptions; the journal of a run. Out: calls of handlers, each subscription on a thread of its own, in order.
Invariant: a handler that raises, blocks or lags harms only itself: it is reported and detached, or it misses events
(counted in `EventsDropped`), never the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade.interfaces.events import Event, EventsDropped, LifecycleEvent
from cascade.runtime.failure import text_of
from cascade.runtime.journal import TOLD, codes_of
from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    from cascade.runtime.journal import Journal

__all__ = ["MessageBus", "Reader", "Subscription"]

PERIOD = 0.025  # seconds between two looks at the journal
MOST_LAG = 50_000  # records that a subscriber may lag behind before it misses some
PIECE = 500  # records that are decoded at once for a handler of single events, which may hear no more of them
PATIENCE = 3  # failures of a handler before it is detached


@dataclass(slots=True, eq=False)
class Subscription:
    """One handler and the kind of events that it hears.

    Attributes:
        batched: the handler takes a list of events. active: cleared by `cancel`.
    """

    kind: type[Event]
    handler: Callable[[Any], object]
    batched: bool = False
    active: bool = True
    failures: int = field(default=0)

    def cancel(self) -> None:
        """Hear nothing more."""
        self.active = False

    def deliver(self, events: list[Event]) -> None:
        """Call the handler; report what it raises, detach it after `PATIENCE` failures.

        One that raises for an event still hears the next one.
        """
        for given in [events] if self.batched else events:
            if not self.active:
                return
            try:
                self.handler(given)
            except BaseException as error:  # noqa: BLE001 - whatever a handler raises, the run goes on
                self.failures += 1
                if self.failures >= PATIENCE:
                    self.active = False
                _report(self, error)


class MessageBus:
    """Subscriptions that hold for every run of an engine.

    Example:
        >>> from cascade.interfaces.events import NodeCompleted
        >>> import cascade as cs
        >>> @cs.task
        ... def one(): return 1
        >>> names = []
        >>> bus = cs.MessageBus()
        >>> _ = bus.subscribe(NodeCompleted, lambda event: names.append(event.name))
        >>> cs.run(one(), log_level="ERROR", subscribers=bus.subscriptions)
        1
        >>> names
        ['one']
    """

    def __init__(self) -> None:
        """Begin without subscribers."""
        self.subscriptions: list[Subscription] = []

    def subscribe(
        self, kind: type[Event], handler: Callable[[Any], object], *, batched: bool = False
    ) -> Callable[[], None]:
        """Call `handler` for each event of `kind` (or a subclass); with `batched`, for lists of them.

        Returns:
            A function that ends the subscription.
        """
        made = Subscription(kind, handler, batched)
        self.subscriptions.append(made)
        return lambda: self._drop(made)

    def unsubscribe(self, handler: Callable[[Any], object]) -> None:
        """End all subscriptions of `handler`."""
        for found in [s for s in self.subscriptions if s.handler == handler]:
            self._drop(found)

    def publish(self, event: Event) -> None:
        """Deliver one event now, on this thread, to those who hear its kind."""
        for found in list(self.subscriptions):
            if found.active and isinstance(event, found.kind):
                found.deliver([event])

    def _drop(self, subscription: Subscription) -> None:
        subscription.cancel()
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)


class Reader:
    """Carries the records of one journal to one subscription, on its own thread, from the first one on."""

    def __init__(self, journal: Journal, subscription: Subscription) -> None:
        """Prepare; `start` begins."""
        self.journal = journal
        self.subscription = subscription
        self._codes = codes_of(subscription.kind) if subscription.kind is not Event else None
        self._next = 0
        self.delivered = 0  # how many records the subscription has been given, or was not interested in
        self._is_closing = False
        self._bell = threading.Lock()  # free when closing; a plain lock wakes in half the time of an Event
        self._bell.acquire()
        self._end = threading.Lock()  # free when all is delivered
        self._end.acquire()
        self._thread = 0

    def start(self) -> None:
        """Begin to deliver."""
        run_in_thread(self._work)

    def close(self) -> None:
        """Say that no record will follow; the reader delivers what is left and ends."""
        if not self._is_closing:
            self._is_closing = True
            self._bell.release()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until everything is delivered; say whether it is. A handler need not wait."""
        if self._thread == threading.get_ident():
            return False
        is_over = self._end.acquire(timeout=timeout)
        if is_over:
            self._end.release()
        return is_over

    def catch_up(self, until: float) -> None:
        """Wait until everything told by now is delivered, at most to `until` on `time.monotonic`."""
        told = len(self.journal.records)
        while self.subscription.active and self.delivered < told and time.monotonic() < until:
            time.sleep(PERIOD / 10)

    def _work(self) -> None:
        self._thread = threading.get_ident()
        closing = self._is_closing
        try:
            while self.subscription.active:
                closing = closing or self._bell.acquire(timeout=PERIOD)
                self._deliver()
                if closing and self._next >= len(self.journal.records):
                    break
        finally:
            self._thread = 0  # the thread serves others now
            self._end.release()

    def _deliver(self) -> None:
        first, subscription = self._next, self.subscription
        records = self.journal.records[first:]
        self._next = first + len(records)
        if not records:
            return
        if len(records) > MOST_LAG and not self._is_closing:
            head, records = records[:-MOST_LAG], records[-MOST_LAG:]
            self._tell_of_missed(first, head)
            first += len(head)
        step = len(records) if subscription.batched else PIECE
        for n in range(0, len(records), step):
            events = self.journal.decode(first + n, records[n : n + step], self._codes, subscription.kind)
            if events:
                subscription.deliver(events)
            if not subscription.active:
                return
        self.delivered = self._next

    def _tell_of_missed(self, first: int, records: list[Any]) -> None:
        """Of records that it was too slow for, a subscriber hears the few about the run, and how many others were."""
        kept = self.journal.decode(first, records, frozenset({TOLD}), LifecycleEvent)
        events = [e for e in kept if isinstance(e, self.subscription.kind)]
        missed = len(records) - sum(r[0] == TOLD for r in records)
        if missed:
            events += self._dropped_notice(missed, first + len(records))
        if events:
            self.subscription.deliver(events)

    def _dropped_notice(self, count: int, seq: int) -> list[Event]:
        if not issubclass(EventsDropped, self.subscription.kind):
            return []
        return [EventsDropped(run_id=self.journal.run_id, seq=seq, at=self.journal.wall, elapsed=0.0, count=count)]


def _report(subscription: Subscription, error: BaseException) -> None:
    import logging

    name = getattr(subscription.handler, "__qualname__", type(subscription.handler).__name__)
    fate = "it is detached" if not subscription.active else "it goes on"
    kind = type(error).__name__
    with suppress(Exception):  # a handler of logging is the user's code, too
        logging.getLogger("cascade").warning("The subscriber %s raised %s: %s; %s.", name, kind, text_of(error), fate)
