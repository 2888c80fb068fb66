"""Resource instances of one run: opened on first need, closed exactly once, in reverse order.

In: requests by name, ends of attempts, the end of the run. Out: values; events. Invariant: an instance is closed only
after every attempt that uses it has really ended; a failure to close joins the run's error and hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any

from cascade.interfaces.exceptions import ResourceError
from cascade.runtime import journal as jr
from cascade.runtime.failure import hide_secrets, text_of
from cascade.runtime.lifetimes import Lifetime
from cascade.runtime.notes import add_note
from cascade.runtime.sessions import current_sessions

if TYPE_CHECKING:
    import asyncio

    from cascade.runtime.journal import Journal
    from cascade.spec.resource import Resource

__all__ = ["ResourceManager"]

NEW, OPENING, OPEN, BROKEN, CLOSED = range(5)

Done = Callable[[BaseException | None], None]


class _Entry:
    """What a run knows of one resource."""

    __slots__ = ("error", "given_up", "life", "name", "resource", "state", "users", "waiters")

    def __init__(self, name: str, resource: Resource) -> None:
        self.name = name
        self.resource = resource
        self.state = NEW
        self.life: Lifetime | None = None  # session-wide instances have theirs elsewhere
        self.error: BaseException | None = None
        self.users = 0
        self.given_up = False
        self.waiters: list[Done] = []


class ResourceManager:
    """Opens and closes the run-scoped resources of one run, and asks for those of the session.

    Responsible for: the order of opening (what is needed first) and closing, users, events. Refuses: threads and loops
    of its own; it is told where async resources live (`loop`) and whom to tell when something is done (`post`).

    Args:
        resources: by name, in an order in which each comes after what it needs. journal: of the run.
        redact: takes secrets out of texts.

    Attributes:
        values: opened instances by name. context: in which instances are set up and torn down.
    """

    def __init__(
        self, resources: Mapping[str, Resource], journal: Journal, redact: Callable[[str], str] = lambda text: text
    ) -> None:
        """Open nothing yet."""
        self._entries = {name: _Entry(name, r) for name, r in resources.items()}
        self._journal = journal
        self._redact = redact
        self._opened: list[_Entry] = []
        self._stopped = False
        self._uses: dict[tuple[str, ...], tuple[tuple[str, ...], dict[str, Resource]]] = {}
        self.values: dict[str, Any] = {}
        self.context = Context()
        self.loop: Callable[[], asyncio.AbstractEventLoop] | None = None
        self.post: Callable[[Callable[[], None]], None] = lambda call: call()

    def add(self, resources: Mapping[str, Resource]) -> None:
        """Know more resources, each after what it needs: the graph has grown. Those that are known stay as they are."""
        for name, resource in resources.items():
            self._entries.setdefault(name, _Entry(name, resource))

    @property
    def lives_in_session(self) -> bool:
        """Whether an async instance that outlives the run belongs to it: its tasks must share that one's loop."""
        return any(e.resource.scope == "session" and e.resource.is_async for e in self._entries.values())

    def uses(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, Resource]]:
        """Return what an attempt that injects `names` holds: shared instances, and its own resources, needs first."""
        found = self._uses.get(names)
        if found is None:
            wanted = set(names)
            for entry in reversed(self._entries.values()):
                if entry.name in wanted and entry.resource.scope == "task":
                    wanted.update(i.name for i in entry.resource.needs.values())
            entries = [e for e in self._entries.values() if e.name in wanted]
            shared = tuple([e.name for e in entries if e.resource.scope != "task"])
            own = {e.name: e.resource for e in entries if e.resource.scope == "task"}
            found = self._uses[names] = (shared, own)
        return found

    # -- opening --------------------------------------------------------------------------------------------------

    def request(self, name: str, done: Done) -> None:
        """Open `name` if it is not, after what it needs; call `done` with None, or with what went wrong."""
        entry = self._entries[name]
        if entry.state == OPEN:
            done(None)
        elif entry.state in (BROKEN, CLOSED):
            closed = ResourceError(f"The resource '{name}' is closed.")
            done(closed if entry.error is None else entry.error)
        else:
            entry.waiters.append(done)
            if entry.state == NEW:
                entry.state = OPENING
                self._request_needs(entry)

    def _request_needs(self, entry: _Entry) -> None:
        needs = [i.name for i in entry.resource.needs.values()]
        pending = len(needs)
        if not pending:
            self._open(entry)

        def one_done(error: BaseException | None) -> None:
            nonlocal pending
            pending -= 1
            if entry.state != OPENING:
                return
            if error is not None:
                self._opened_now(entry, None, error, 0.0)
            elif not pending:
                self._open(entry)

        for name in needs:
            self.request(name, one_done)

    def _open(self, entry: _Entry) -> None:
        if self._stopped:
            error = ResourceError(f"The resource '{entry.name}' was not set up, since the run is being cancelled.")
            self._opened_now(entry, None, error, 0.0)
            return
        needs = {k: self.values[i.name] for k, i in entry.resource.needs.items()}
        began = self._journal.now()

        def report(value: object, error: BaseException | None, *, is_new: bool = True) -> None:
            took = self._journal.now() - began
            self.post(lambda: self._opened_now(entry, value, error, took, is_new=is_new))

        if entry.resource.scope == "session":
            current_sessions().request(entry.resource, entry.name, needs, report)
        else:
            entry.life = Lifetime(entry.name, entry.resource, self.context.copy(), self._loop_or_error)
            entry.life.open(needs, report)

    def _opened_now(
        self, entry: _Entry, value: object, error: BaseException | None, took: float, *, is_new: bool = True
    ) -> None:
        if error is None:
            entry.state = OPEN
            self.values[entry.name] = value
            self._opened.append(entry)
            if is_new:
                self._journal.records.append((jr.SET_UP, self._journal.now(), entry.name, took))
        else:
            entry.state = BROKEN
            entry.error = error
        waiters, entry.waiters = entry.waiters, []
        for done in waiters:
            done(error)

    def _loop_or_error(self) -> asyncio.AbstractEventLoop:
        if self.loop is None:
            raise ResourceError("An async resource needs an event loop.")
        return self.loop()

    def stop_opening(self) -> None:
        """The run is cancelled: set up nothing more, cancel what is being set up if that is possible."""
        self._stopped = True
        for entry in self._entries.values():
            if entry.state == OPENING and entry.life is not None:
                entry.life.stop_opening()

    def give_up_opening(self) -> None:
        """Wait no longer for set-ups that do not stop; what they give is closed when it comes."""
        for entry in self._entries.values():
            entry.given_up = entry.state == OPENING

    @property
    def is_opening(self) -> bool:
        """Whether something that the run waits for is being set up right now."""
        return any(e.state == OPENING and not e.given_up for e in self._entries.values())

    # -- using ----------------------------------------------------------------------------------------------------

    def enter(self, name: str) -> int:
        """One more attempt uses `name`; return how many do."""
        entry = self._entries[name]
        entry.users += 1
        return entry.users

    def leave(self, name: str) -> int:
        """One attempt that used `name` has really ended; return how many still use it."""
        entry = self._entries[name]
        entry.users -= 1
        return entry.users

    @property
    def is_needed(self) -> bool:
        """Whether an attempt still uses an instance, or one is still being set up."""
        return any(e.users or e.state == OPENING for e in self._entries.values())

    # -- closing --------------------------------------------------------------------------------------------------

    def close(self, failure: BaseException | None) -> list[BaseException]:
        """Close all that is open and unused, last opened first; return what went wrong.

        Args:
            failure: of the run, raised inside each resource so that it can roll back; None after a clean end.
        """
        errors: list[BaseException] = []
        kept: list[_Entry] = []
        at_work = [e for e in self._entries.values() if e.state == OPENING]  # set-ups that did not stop use their needs
        while self._opened:
            entry = self._opened.pop()
            if entry.users or any(entry.name == i.name for k in at_work + kept for i in k.resource.needs.values()):
                kept.append(entry)
                continue
            entry.state = CLOSED
            if entry.life is None:
                current_sessions().release(entry.resource)
                continue
            error = self._close(entry, entry.life, failure)
            if error is not None:
                add_note(error, f"While the resource '{entry.name}' was torn down.")
                errors.append(error)
        self._opened.extend(reversed(kept))
        return errors

    def _close(self, entry: _Entry, life: Lifetime, failure: BaseException | None) -> BaseException | None:
        began = self._journal.now()
        error = life.close(failure)
        now = self._journal.now()
        if error is not None:
            hide_secrets(error, self._redact)
        told = "" if error is None else self._redact(f"{type(error).__name__}: {text_of(error)}")
        self._journal.records.append((jr.TORN_DOWN, now, entry.name, now - began, told))
        return error
