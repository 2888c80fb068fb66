"""A clock for tests: delays, timeouts, rates and expiries pass at once, and always alike.

In: waits of runs, sleeps of tasks. Out: a time that jumps. Invariant: time stands still while anything computes, moves
only to the next thing that waits for it, and never goes back. (The idea of trio's autojump clock.)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cascade.context import get_current_context

if TYPE_CHECKING:
    import asyncio

    from cascade.interfaces.protocols import Bell

__all__ = ["VirtualClock", "virtual_clock"]

EPOCH = 1_750_000_000.0  # what the wall shows at first: a day in June 2025
LONGEST = 3600.0  # seconds of one real wait, since a lock takes no longer ones
ALONE = 1.0  # real seconds after which a sleeper moves the time itself, since no run seems to look at this clock
FOREVER = float("inf")


class _Sleeper:
    """One attempt that waits for the clock: until when, and how it is woken."""

    __slots__ = ("future", "loop", "until", "woken")

    def __init__(self, until: float) -> None:
        self.until = until
        self.woken = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        self.woken.set()
        if self.loop is not None:
            with suppress(RuntimeError):  # its loop is closed: nobody waits
                self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(None)


class VirtualClock:
    """A `Clock` that skips waits.

    When a run has nothing to do but wait, the time jumps to its next timer. What really computes takes no time at all
    on this clock; only an attempt that computes for longer than the time to the next timer brings that timer about,
    as on any clock. A task that shall take its time says so with `sleep` or `sleep_async`. Several runs may share one
    clock; a jump that one of them makes is a jump for all.

    Args:
        start: what `now` says at first, in seconds. wall: what `wall` says at first, in seconds since the epoch.

    Attributes:
        slept: the waits that were skipped, in seconds, in order; the engine's own are among them (a look at whether
            something that was told to stop has stopped), so that a test asks `now` for the time in all.

    Example:
        >>> clock = VirtualClock()
        >>> clock.advance(90)
        >>> clock.now()
        90.0
    """

    def __init__(self, start: float = 0.0, wall: float = EPOCH) -> None:
        """Begin at the times given."""
        self.slept: list[float] = []
        self._now = float(start)
        self._wall_offset = wall - start
        self._lock = threading.Lock()
        self._sleepers: dict[_Sleeper, None] = {}
        self._bells: list[Bell] = []  # of the drivers that wait now
        self._here = threading.local()  # of each driver: which change of the sleepers it knows of
        self._changes = 0
        self._waits = 0
        self._is_open = True

    # -- the protocol -----------------------------------------------------------------------------------------------

    @property
    def sleepers(self) -> int:
        """How many attempts do nothing but wait for this clock."""
        with self._lock:
            self._here.seen = self._changes
            return len(self._sleepers)

    def now(self) -> float:
        """Return the time in seconds; it never goes back."""
        return self._now

    def wall(self) -> float:
        """Return the time in seconds since the epoch; it goes with `now`."""
        return self._now + self._wall_offset

    def wait(self, bell: Bell, seconds: float, *, idle: bool) -> None:
        """Return when `bell` has rung; when idle, or after really waiting that long, jump to the next timer instead.

        Args:
            bell: rings when something has happened. seconds: until the run's next timer; below 0: there is none.
            idle: nothing computes, so that only time can bring the run further.
        """
        if bell.acquire(blocking=False):
            return
        with self._lock:
            self._waits += 1
            if self._has_news():
                return
            until = self._now + seconds if seconds >= 0 else FOREVER
            if idle and self._jump(min(until, self._first_wake())):
                return
            self._bells.append(bell)
        try:
            has_rung = bell.acquire(timeout=min(seconds, LONGEST) if seconds >= 0 else LONGEST)
        finally:
            with self._lock:
                self._bells.remove(bell)
        if not has_rung and 0 <= seconds <= LONGEST:
            with self._lock:
                self._move(until)

    # -- for tests --------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass: what is due after them happens now.

        Raises:
            ValueError: when they are below 0.
        """
        if not 0 <= seconds < FOREVER:
            raise ValueError(f"A clock goes forward by a number of seconds of at least 0, not {seconds!r}.")
        with self._lock:
            self._move(self._now + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock; for tasks that run in a thread.

        On the thread of a run itself (``mode="inline"``) nothing else can happen meanwhile: the time moves at once.
        """
        if hasattr(self._here, "seen"):  # the driver of a run: no other thread asks how many sleep
            self.advance(seconds)
            return
        with self._sleeping(seconds) as sleeper:
            seen = self._waits
            while sleeper is not None and not sleeper.woken.wait(ALONE):
                with self._lock:
                    is_alone = not self._bells and seen == self._waits
                    seen = self._waits
                    if is_alone:
                        self._jump(self._first_wake())

    async def sleep_async(self, seconds: float) -> None:
        """Wait for `seconds` of this clock; for ``async`` tasks."""
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._sleeping(seconds, loop, future) as sleeper:
            if sleeper is not None:
                await future

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Count the block as a sleep without end: the time goes on, although an attempt is in it.

        For an attempt that waits for something that no computing brings about, as one that hangs does.
        """
        with self._sleeping(FOREVER):
            yield

    def close(self) -> None:
        """Wake everybody who sleeps; nobody sleeps any more."""
        with self._lock:
            self._is_open = False
            for sleeper in list(self._sleepers):
                self._wake(sleeper)
            self._ring()

    def __repr__(self) -> str:
        """Show the time."""
        return f"<virtual clock at {self._now:g} s>"

    # -- inside: all under the lock -----------------------------------------------------------------------------------

    @contextmanager
    def _sleeping(
        self, seconds: float, loop: asyncio.AbstractEventLoop | None = None, future: asyncio.Future[None] | None = None
    ) -> Iterator[_Sleeper | None]:
        """Be among the sleepers; None: there is nothing to wait for. This one takes the lock itself."""
        with self._lock:
            sleeper = _Sleeper(self._now + seconds)
            sleeper.loop, sleeper.future = loop, future
            if seconds > 0 and self._is_open:
                self._sleepers[sleeper] = None
                self._changes += 1
                self._ring()  # whoever drives a run has to see that this attempt no longer computes
        try:
            yield sleeper if sleeper in self._sleepers or sleeper.woken.is_set() else None
        finally:
            with self._lock:
                if sleeper in self._sleepers:
                    self._wake(sleeper)

    def _has_news(self) -> bool:
        """Say whether somebody fell asleep or woke since this driver asked how many sleep: it has to ask again."""
        is_known = getattr(self._here, "seen", self._changes) == self._changes
        self._here.seen = self._changes
        return not is_known

    def _first_wake(self) -> float:
        return min([sleeper.until for sleeper in self._sleepers], default=FOREVER)

    def _jump(self, until: float) -> bool:
        """Skip the time up to `until`; False: nothing ever comes."""
        if until == FOREVER:
            return False
        skipped = round(until - self._now, 9)
        if skipped > 0:
            self.slept.append(skipped)
        self._move(until)
        return True

    def _move(self, until: float) -> None:
        """Be at `until`, unless it is later already; wake whose time has come and who may have something to do."""
        self._now = max(self._now, until)
        for sleeper in [s for s in self._sleepers if s.until <= self._now]:
            self._wake(sleeper)
        self._ring()

    def _wake(self, sleeper: _Sleeper) -> None:
        del self._sleepers[sleeper]
        self._changes += 1
        sleeper.wake()

    def _ring(self) -> None:
        for bell in self._bells:
            with suppress(RuntimeError):  # it is ringing already
                bell.release()


@contextmanager
def virtual_clock(start: float = 0.0, wall: float = EPOCH) -> Iterator[VirtualClock]:
    """Let runs that start inside the ``with`` block take their time from a clock that skips waits.

    Args:
        start, wall: as in `VirtualClock`.

    Example:
        >>> import cascade as cs
        >>> @cs.task(timeout=60)
        ... def wait(): cs.get_current_context().clock.sleep(45)
        >>> with virtual_clock() as clock:
        ...     cs.run(wait(), log_level=None), clock.now()
        (None, 45.0)
    """
    context = get_current_context()
    before, clock = context.clock, VirtualClock(start, wall)
    context.clock = clock
    try:
        yield clock
    finally:
        context.clock = before
        clock.close()
