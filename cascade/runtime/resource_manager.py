"""Resource instances of one run: opened on first need, closed exactly once, in reverse order.

In: requests by name, ends of attempts, the end of the run. Out: values; events. Invariant: an instance is closed only
after every attempt that uses it has really ended; a failure to close joins the run's error and hides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.interfaces.exceptions import ResourceError
from cascade.runtime import journal as jr
from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    import asyncio

    from cascade.runtime.journal import Journal
    from cascade.spec.resource import Resource

__all__ = ["ResourceManager"]

NEW, OPENING, OPEN, BROKEN, CLOSED = range(5)
DEADLINE = 30.0  # seconds that closing one instance may take


class _Instance:
    __slots__ = ("error", "manager", "resource", "state", "users", "waiters")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.state = NEW
        self.manager: Any = None
        self.error: BaseException | None = None
        self.users = 0
        self.waiters: list[Callable[[BaseException | None], None]] = []


class ResourceManager:
    """Opens and closes the run-scoped resources of one run.

    Responsible for: the order of opening (what is needed first) and closing, users, events. Refuses: threads and loops
    of its own; it is told where async resources live (`loop`) and whom to tell when something is done (`post`).

    Attributes:
        values: opened instances by name.
    """

    def __init__(self, resources: Mapping[str, Resource], journal: Journal) -> None:
        """Open nothing yet; `resources` stand in an order in which each comes after what it needs."""
        self._instances = {name: _Instance(r) for name, r in resources.items()}
        self._journal = journal
        self._opened: list[str] = []
        self.values: dict[str, Any] = {}
        self.loop: Callable[[], asyncio.AbstractEventLoop] | None = None
        self.post: Callable[[Callable[[], None]], None] = lambda call: call()

    def scope(self, name: str) -> str:
        """Return the scope of resource `name`."""
        return self._instances[name].resource.scope

    def resource(self, name: str) -> Resource:
        """Return the definition of resource `name`."""
        return self._instances[name].resource

    # -- opening --------------------------------------------------------------------------------------------------

    def request(self, name: str, done: Callable[[BaseException | None], None]) -> None:
        """Open `name` if it is not, after what it needs; call `done` with None, or with what went wrong."""
        instance = self._instances[name]
        if instance.state == OPEN:
            done(None)
        elif instance.state in (BROKEN, CLOSED):
            done(instance.error or ResourceError(f"The resource '{name}' is closed."))
        else:
            instance.waiters.append(done)
            if instance.state == NEW:
                instance.state = OPENING
                self._request_needs(instance)

    def _request_needs(self, instance: _Instance) -> None:
        needs = [i.name for i in instance.resource.needs.values()]
        pending = len(needs)
        if not pending:
            self._open(instance)

        def one_done(error: BaseException | None) -> None:
            nonlocal pending
            pending -= 1
            if error is not None and instance.state == OPENING:
                self._opened_now(instance, None, error, 0.0)
            elif not pending and instance.state == OPENING:
                self._open(instance)

        for name in needs:
            self.request(name, one_done)

    def _open(self, instance: _Instance) -> None:
        injected = {k: self.values[i.name] for k, i in instance.resource.needs.items()}
        began = time.perf_counter()

        def report(value: object, error: BaseException | None) -> None:
            took = time.perf_counter() - began
            self.post(lambda: self._opened_now(instance, value, error, took))

        if instance.resource.is_async:
            self._on_loop(_enter_async(instance, injected, report))
        else:
            run_in_thread(lambda: _enter(instance, injected, report))

    def _opened_now(self, instance: _Instance, value: object, error: BaseException | None, took: float) -> None:
        name = instance.resource.name
        if error is None:
            instance.state = OPEN
            self.values[name] = value
            self._opened.append(name)
            self._journal.records.append((jr.SET_UP, time.perf_counter(), name, took))
        else:
            instance.state = BROKEN
            instance.error = error
        waiters, instance.waiters = instance.waiters, []
        for done in waiters:
            done(error)

    def _on_loop(self, coroutine: Any) -> None:  # noqa: ANN401 - a coroutine
        import asyncio

        if self.loop is None:
            raise ResourceError("An async resource needs an event loop.")
        asyncio.run_coroutine_threadsafe(coroutine, self.loop())

    # -- using ----------------------------------------------------------------------------------------------------

    def enter(self, name: str) -> int:
        """One more attempt uses `name`; return how many do."""
        instance = self._instances[name]
        instance.users += 1
        return instance.users

    def leave(self, name: str) -> int:
        """One attempt that used `name` has really ended; return how many still use it."""
        instance = self._instances[name]
        instance.users -= 1
        return instance.users

    @property
    def is_opening(self) -> bool:
        """Whether something is being opened right now."""
        return any(i.state == OPENING for i in self._instances.values())

    @property
    def in_use(self) -> bool:
        """Whether an attempt still uses an instance."""
        return any(i.users for i in self._instances.values())

    # -- closing --------------------------------------------------------------------------------------------------

    def close(self, failure: BaseException | None) -> list[BaseException]:
        """Close all that is open and unused, last opened first; return what went wrong.

        Args:
            failure: of the run, raised inside each resource so that it can roll back; None after a clean end.
        """
        errors: list[BaseException] = []
        kept: list[str] = []
        while self._opened:
            name = self._opened.pop()
            instance = self._instances[name]
            if instance.users or any(name in [i.name for i in self._instances[k].resource.needs.values()] for k in kept):
                kept.append(name)
                continue
            instance.state = CLOSED
            began = time.perf_counter()
            error = self._close(instance, failure)
            now = time.perf_counter()
            told = "" if error is None else f"{type(error).__name__}: {error}"
            self._journal.records.append((jr.TORN_DOWN, now, name, now - began, told))
            if error is not None:
                error.add_note(f"While the resource '{name}' was torn down.")
                errors.append(error)
        self._opened.extend(reversed(kept))
        return errors

    def _close(self, instance: _Instance, failure: BaseException | None) -> BaseException | None:
        from concurrent.futures import Future

        outcome: Future[BaseException | None] = Future()
        if instance.resource.is_async or hasattr(instance.manager, "__aexit__"):
            self._on_loop(_leave_async(instance, failure, outcome.set_result))
        else:
            run_in_thread(lambda: outcome.set_result(_leave(instance, failure)))
        try:
            return outcome.result(DEADLINE)
        except TimeoutError:
            return ResourceError(f"The resource '{instance.resource.name}' was not torn down within {DEADLINE:g} s.")


def _clean(error: BaseException, name: str) -> BaseException:
    if isinstance(error, RuntimeError) and "didn't yield" in str(error):
        return ResourceError.for_no_yield(name)
    if isinstance(error, RuntimeError) and "didn't stop" in str(error):
        return ResourceError.for_two_yields(name)
    if not isinstance(error, Exception):
        made = ResourceError(f"The resource '{name}' raised {type(error).__name__}: {error}")
        made.__cause__ = error
        return made
    return error


def _enter(instance: _Instance, injected: dict[str, Any], report: Callable[[object, BaseException | None], None]) -> None:
    try:
        instance.manager = instance.resource.open(**injected)
        value = instance.manager.__enter__()
    except BaseException as error:  # noqa: BLE001 - reported to those who wait for the resource
        report(None, _clean(error, instance.resource.name))
    else:
        report(value, None)


async def _enter_async(
    instance: _Instance, injected: dict[str, Any], report: Callable[[object, BaseException | None], None]
) -> None:
    try:
        instance.manager = instance.resource.open(**injected)
        value = await instance.manager.__aenter__()
    except BaseException as error:  # noqa: BLE001 - reported to those who wait for the resource
        report(None, _clean(error, instance.resource.name))
    else:
        report(value, None)


def _leave(instance: _Instance, failure: BaseException | None) -> BaseException | None:
    try:
        instance.manager.__exit__(type(failure) if failure else None, failure, failure.__traceback__ if failure else None)
    except BaseException as error:  # noqa: BLE001 - joined to the run's error
        return None if error is failure else _clean(error, instance.resource.name)
    return None


async def _leave_async(
    instance: _Instance, failure: BaseException | None, report: Callable[[BaseException | None], None]
) -> None:
    try:
        await instance.manager.__aexit__(
            type(failure) if failure else None, failure, failure.__traceback__ if failure else None
        )
    except BaseException as error:  # noqa: BLE001 - joined to the run's error
        report(None if error is failure else _clean(error, instance.resource.name))
    else:
        report(None)
