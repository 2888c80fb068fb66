"""Attempts: one try of one node (or of some items of a map), wherever it runs.

In: an `Attempt`. Out: the call's value or what it raised, reported once. Invariant: nothing that a task raises gets
past here; every attempt that started is reported ended, however it ends. The only place that makes asyncio tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from sys import getrefcount
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from cascade.runtime.failure import clean_error, facts_of, join_errors
from cascade.runtime.held import ALONE, MAY_HOLD
from cascade.runtime.notes import add_note

if TYPE_CHECKING:
    import asyncio
    from contextvars import Context

    from cascade.graph.check import Amounts
    from cascade.runtime.displays import Display
    from cascade.runtime.limits import Ticket
    from cascade.runtime.maps import Row
    from cascade.runtime.redaction import Redactor
    from cascade.spec.resource import Resource

__all__ = [
    "Attempt", "Writer", "attend", "call", "current_attempt", "launch", "spawn",
]  # fmt: skip


class Writer(Protocol):
    """Where the output of attempts goes."""

    def write(self, attempt: Attempt, stream: str, text: str, level: str) -> None:
        """Take a piece of text."""

    def show(self, attempt: Attempt, display: Display) -> None:
        """Take a picture, a table or a text that was displayed."""


_NONE: Mapping[str, Any] = MappingProxyType({})


class Attempt:
    """One try.

    Attributes:
        node, index: what is tried; `index` is None but for map items. number: from 1. rows: items of a map that a
            thread takes at once. amounts: taken of capacities. resources: names in use. own: task-scoped resources
            by name, those that others need first. shared: instances they may need. ticket: limits that count it.
        stopping: it was told to stop. timed_out: its time is over. given_up: its node no longer waits for it.
        begun: its coroutine runs. closing: it tears down its own resources and must not be disturbed.
        writer: takes what it says and shows, if its run keeps that. redact: takes the secrets out of what it says, if
            there are any. aloud: what it says goes where it always went, too.
        handle: the asyncio task or the future. is_turn: of a loop, after its first. holds: it has amounts and resources
            from the turn before. endings: what is left to do when the function has returned. is_shared: what it
            returned may hold calls, and something else holds it, too.
    """

    __slots__ = (
        "aloud",
        "amounts",
        "begun",
        "closing",
        "endings",
        "function",
        "given_up",
        "handle",
        "holds",
        "id",
        "index",
        "is_shared",
        "is_turn",
        "mode",
        "name",
        "node",
        "number",
        "own",
        "redact",
        "resources",
        "row",
        "rows",
        "shared",
        "started",
        "stopping",
        "ticket",
        "timed_out",
        "worker",
        "writer",
    )

    def __init__(self, node: int, mode: int, function: Callable[..., Any], number: int = 1) -> None:
        """Record what is tried; nothing runs yet."""
        self.node = node
        self.mode = mode
        self.function = function
        self.number = number
        self.index: int | None = None
        self.row: Row | None = None
        self.rows: list[Row] | None = None
        self.amounts: Amounts = ()
        self.resources: tuple[str, ...] = ()
        self.own: Mapping[str, Resource] = _NONE
        self.shared: Mapping[str, Any] = _NONE
        self.ticket: Ticket | None = None
        self.started = 0.0
        self.stopping = self.timed_out = self.given_up = self.begun = self.closing = self.is_turn = self.holds = False
        self.handle: Any = None
        self.is_shared = False
        self.worker = ""
        self.id = ""
        self.name = ""
        self.writer: Writer | None = None
        self.redact: Redactor | None = None
        self.aloud = False
        self.endings: list[Callable[[], None]] | None = None

    @property
    def is_heard(self) -> bool:
        """Whether what it says has to come to the process that runs its flow."""
        return self.writer is not None or self.redact is not None

    # -- what it says, if someone listens -------------------------------------------------------------------------

    def write(self, stream: str, text: str, level: str = "") -> None:
        """Take a piece of output of this attempt: `stream` is ``stdout``, ``stderr``, ``log`` or ``warning``."""
        if self.writer is not None:
            self.writer.write(self, stream, text, level)

    def show(self, display: Display) -> None:
        """Take what this attempt displayed."""
        if self.writer is not None:
            self.writer.show(self, display)

    def show_figure(self, figure: Any) -> None:
        """Take a figure of matplotlib."""
        from cascade.runtime.displays import from_bundle
        from cascade.runtime.figures import picture_of_figure, words_of_figure

        self.show(from_bundle({"image/png": picture_of_figure(figure)}, words_of_figure(figure)))

    def at_end(self, ending: Callable[[], None]) -> None:
        """Have `ending` called when the function has returned or raised, in its own context."""
        self.endings = [*(self.endings or ()), ending]

    def conclude(self) -> None:
        """Do what is left to do; it costs the attempt nothing when that fails."""
        endings, self.endings = self.endings, None
        for ending in endings or ():
            try:
                ending()
            except BaseException as error:  # noqa: BLE001 - what the user's objects raise while they are shown
                self.write(
                    "stderr", f"What the task left open could not be shown: {type(error).__name__}.\n", "warning"
                )


current_attempt: ContextVar[Attempt | None] = ContextVar("cascade_current_attempt", default=None)

Gather = Callable[[Attempt, dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


def call(attempt: Attempt, context: Context, gather: Gather) -> Any:
    """Run a plain function's attempt here, in a copy of `context`, with its own resources around it."""
    return context.copy().run(_call if attempt.writer is None else _call_heard, attempt, gather)


def _call_heard(attempt: Attempt, gather: Gather) -> Any:
    try:
        return _call(attempt, gather)
    finally:
        attempt.conclude()


def _call(attempt: Attempt, gather: Gather) -> Any:
    current_attempt.set(attempt)
    if not attempt.own:
        args, kwargs = gather(attempt, {})
        value = attempt.function(*args, **kwargs)
        if type(value) in MAY_HOLD:
            attempt.is_shared = getrefcount(value) > ALONE
        return value
    value, failure = None, None
    opened: list[tuple[str, Any]] = []
    own: dict[str, Any] = {}
    try:
        for name, resource in attempt.own.items():
            manager: Any = _open(attempt, resource, own)
            own[name] = manager.__enter__()
            opened.append((name, manager))
        args, kwargs = gather(attempt, own)
        value = attempt.function(*args, **kwargs)
        attempt.is_shared = type(value) in MAY_HOLD and getrefcount(value) > ALONE
    except BaseException as error:  # noqa: BLE001 - raised again when the resources are closed
        failure = _explain(error, attempt, opened)
    errors: list[BaseException] = []
    for name, manager in reversed(opened):
        try:
            manager.__exit__(*facts_of(failure))
        except BaseException as error:  # noqa: BLE001 - joins the task's own
            _join(errors, error, failure, name)
    return _conclude(value, failure, errors)


def _open(attempt: Attempt, resource: Resource, own: Mapping[str, Any]) -> Any:
    """Return the context manager of a task-scoped resource, made with the instances that it needs."""
    needs = {k: own[i.name] if i.name in own else attempt.shared[i.name] for k, i in resource.needs.items()}
    return resource.open(**needs)


def _explain(error: BaseException, attempt: Attempt, opened: list[tuple[str, Any]]) -> BaseException:
    """Return the error in the words of cascade when a resource that never yielded raised it."""
    if len(opened) < len(attempt.own):
        return clean_error(error, list(attempt.own)[len(opened)], exits=False)
    return error


def _join(errors: list[BaseException], error: BaseException, failure: BaseException | None, name: str) -> None:
    if error is failure:
        return
    error = clean_error(error, name)
    add_note(error, f"While the resource '{name}' was torn down.")
    errors.append(error)


def _conclude(value: Any, failure: BaseException | None, errors: list[BaseException]) -> Any:
    if errors:
        raise join_errors([failure, *errors] if failure is not None else errors, "the task and its resources failed")
    if failure is not None:
        raise failure
    return value


# -- on an event loop -----------------------------------------------------------------------------------------------

Ended = Callable[[Attempt, Any, BaseException | None], None]


def launch(
    loop: asyncio.AbstractEventLoop,
    attempts: Iterable[Attempt],
    context: Context,
    gather: Gather,
    ended: Ended,
    *,
    shared: bool = False,
) -> None:
    """Start async attempts on `loop`; runs on the loop's thread.

    Args:
        shared: others use the loop too, and may cancel all that is on it.
    """
    for attempt in attempts:
        task = attempt.handle = loop.create_task(attend(attempt, gather, ended), context=context.copy())
        if shared:
            task.add_done_callback(lambda done, attempt=attempt: _see_begun(done, attempt, ended))  # type: ignore[misc]


def _see_begun(task: asyncio.Task[None], attempt: Attempt, ended: Ended) -> None:
    """Report an attempt that someone else (the end of the caller's loop) cancelled before its first step."""
    if not attempt.begun and task.cancelled():
        from asyncio import CancelledError

        ended(attempt, None, CancelledError())


def spawn(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None], context: Context) -> Any:
    """Start a coroutine that minds a resource on `loop` and return its task; runs on the loop's thread."""
    return loop.create_task(coroutine, context=context)


async def attend(attempt: Attempt, gather: Gather, ended: Ended) -> None:
    """Run an async attempt and report how it ended, whatever it raises."""
    attempt.begun = True  # before that, a cancel would end the coroutine without a word
    current_attempt.set(attempt)
    value, failure = None, None
    try:
        value = await _await(attempt, gather)
    except BaseException as error:  # noqa: BLE001 - the loop must survive whatever a task raises
        failure = error
    if attempt.endings is not None:
        attempt.conclude()
    ended(attempt, value, failure)
    del value, failure  # the error knows this frame, and it would know the error


async def _await(attempt: Attempt, gather: Gather) -> Any:
    if attempt.stopping:
        from asyncio import CancelledError

        raise CancelledError
    if not attempt.own:
        args, kwargs = gather(attempt, {})
        value = await attempt.function(*args, **kwargs)
        if type(value) in MAY_HOLD:
            attempt.is_shared = getrefcount(value) > ALONE
        return value
    value, failure = None, None
    opened: list[tuple[str, Any]] = []
    own: dict[str, Any] = {}
    try:
        for name, resource in attempt.own.items():
            manager: Any = _open(attempt, resource, own)
            own[name] = await manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()
            opened.append((name, manager))
        args, kwargs = gather(attempt, own)
        value = await attempt.function(*args, **kwargs)
        attempt.is_shared = type(value) in MAY_HOLD and getrefcount(value) > ALONE
    except BaseException as error:  # noqa: BLE001 - raised again when the resources are closed
        failure = _explain(error, attempt, opened)
    attempt.closing = True
    errors: list[BaseException] = []
    for name, manager in reversed(opened):
        try:
            if hasattr(manager, "__aexit__"):
                await manager.__aexit__(*facts_of(failure))
            else:
                manager.__exit__(*facts_of(failure))
        except BaseException as error:  # noqa: BLE001 - joins the task's own
            _join(errors, error, failure, name)
    attempt.closing = False
    return _conclude(value, failure, errors)
