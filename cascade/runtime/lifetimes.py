"""One instance of a resource: set up, held open, torn down.

In: a resource and what it needs. Out: its value, and later what went wrong while it was torn down. Invariant: set-up
and teardown run in one context, and on one asyncio task if they are async, so that scopes that belong to a task
(timeouts, task groups) hold; nobody's cancel disturbs a teardown, only its own deadline does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.interfaces.exceptions import ResourceError
from cascade.runtime.attempts import spawn
from cascade.runtime.failure import clean_error, facts_of
from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    import asyncio
    from contextvars import Context

    from cascade.spec.resource import Resource

__all__ = ["Lifetime"]

DEADLINE = 30.0  # seconds that tearing down one instance may take

Report = Callable[[object, BaseException | None], None]


class Lifetime:
    """One instance.

    Args:
        name: by which tasks know it. context: in which it is set up and torn down.
        find_loop: gives the event loop on which it lives if it is async.
    """

    __slots__ = (
        "_begun",
        "_closing",
        "_context",
        "_find_loop",
        "_loop",
        "_manager",
        "_stopped",
        "_task",
        "name",
        "resource",
    )

    def __init__(
        self, name: str, resource: Resource, context: Context, find_loop: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        """Set up nothing yet."""
        self.name = name
        self.resource = resource
        self._context = context
        self._find_loop = find_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._manager: Any = None
        self._task: Any = None
        self._closing: Any = None
        self._begun = self._stopped = False

    # -- setting up -----------------------------------------------------------------------------------------------

    def open(self, needs: Mapping[str, object], report: Report) -> None:
        """Begin to set up; `report` the value or what went wrong, once, from another thread."""
        if self.resource.is_async:
            self._open_on_loop(lambda: self.resource.open(**needs), report)
        else:
            run_in_thread(lambda: self._open_here(needs, report))

    def stop_opening(self) -> None:
        """Cancel a set-up that can be cancelled; it reports what becomes of it."""
        self._stopped = True
        if self._loop is not None:
            self._call(lambda: self._begun and self._closing is None and self._task.cancel())

    def _open_here(self, needs: Mapping[str, object], report: Report) -> None:
        """Set up on this thread; what turns out to be for the event loop goes there.

        Others hear of it after the context is left, since no two threads can be in one at once.
        """
        manager, value, error = self._context.run(self._enter, needs)
        if error is not None:
            report(None, clean_error(error, self.name))
        elif manager is None:
            report(value, None)
        else:
            self._open_on_loop(lambda: manager, report)

    def _enter(self, needs: Mapping[str, object]) -> tuple[Any, object, BaseException | None]:
        """Return a context manager that is for the event loop, or the value, or what went wrong."""
        try:
            manager: Any = self.resource.open(**needs)
            if not hasattr(manager, "__enter__"):
                return manager, None, None
            value = manager.__enter__()
        except BaseException as error:  # noqa: BLE001 - reported to those who wait for the resource
            return None, None, error
        self._manager = manager
        return None, value, None

    def _open_on_loop(self, make: Callable[[], Any], report: Report) -> None:
        loop = self._loop = self._find_loop()

        def begin() -> None:
            self._task = spawn(loop, self._live(make, report), self._context)

        if not self._call(begin):
            report(None, ResourceError.for_closed_loop(self.name))

    async def _live(self, make: Callable[[], Any], report: Report) -> None:
        """Set up, wait until it is time to tear down, tear down: all on this task."""
        import asyncio

        self._begun = True
        try:
            if self._stopped:
                raise asyncio.CancelledError  # noqa: TRY301 - as if the cancel had come a moment later
            manager = make()
            value = await manager.__aenter__()
        except BaseException as error:  # noqa: BLE001 - reported to those who wait for the resource
            report(None, clean_error(error, self.name))
            return
        self._closing = asyncio.get_running_loop().create_future()
        report(value, None)
        failure: BaseException | None
        tell: Callable[[BaseException | None], None] | None = None
        try:
            failure, tell = await self._closing
        except asyncio.CancelledError as error:  # the caller's loop is being shut down
            failure = error
        outcome: BaseException | None = None
        try:
            await manager.__aexit__(*facts_of(failure))
        except BaseException as error:  # noqa: BLE001 - joined to the run's error
            outcome = None if error is failure else clean_error(error, self.name)
        if tell is not None:
            tell(outcome)

    def _call(self, call: Callable[[], object]) -> bool:
        """Have the loop's thread make a call; say whether there still is a loop."""
        try:
            self._loop.call_soon_threadsafe(call)  # type: ignore[union-attr]
        except RuntimeError:
            return False
        return True

    # -- tearing down -----------------------------------------------------------------------------------------------

    def close(self, failure: BaseException | None) -> BaseException | None:
        """Tear down and wait for it, up to `DEADLINE`; return what went wrong.

        Args:
            failure: raised inside, so that the resource can roll back; None after a clean end.
        """
        from concurrent.futures import Future

        outcome: Future[BaseException | None] = Future()
        if self._closing is None:
            run_in_thread(lambda: outcome.set_result(self._context.run(self._leave, failure)))
        elif not self._call(lambda: self._ask_to_close(failure, outcome.set_result)):
            return ResourceError.for_closed_loop(self.name)
        try:
            return outcome.result(DEADLINE)
        except TimeoutError:
            if self._closing is not None:
                self._call(self._task.cancel)
            return ResourceError.for_deadline(self.name, DEADLINE)

    def _leave(self, failure: BaseException | None) -> BaseException | None:
        try:
            self._manager.__exit__(*facts_of(failure))
        except BaseException as error:  # noqa: BLE001 - joined to the run's error
            return None if error is failure else clean_error(error, self.name)
        return None

    def _ask_to_close(self, failure: BaseException | None, tell: Callable[[BaseException | None], None]) -> None:
        if self._closing.done():  # the end of the caller's loop came first
            self._task.add_done_callback(lambda _: tell(None))
        else:
            self._closing.set_result((failure, tell))
