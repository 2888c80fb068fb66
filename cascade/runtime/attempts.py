"""Attempts: one try of one node (or of some items of a map), wherever it runs.

In: an `Attempt`. Out: the call's value or what it raised, reported once. Invariant: nothing that a task raises gets
past here; every attempt that started is reported ended, however it ends. The only place that makes asyncio tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from cascade.interfaces.exceptions import ResourceError

if TYPE_CHECKING:
    import asyncio
    from contextvars import Context

    from cascade.runtime.ledger import Amounts
    from cascade.runtime.maps import Row
    from cascade.spec.resource import Resource

__all__ = ["Attempt", "attend", "call", "call_in_process", "current_attempt", "launch"]

Write = Callable[["Attempt", str, str, str], None]


class Attempt:
    """One try.

    Attributes:
        node, index: what is tried; `index` is None but for map items. number: from 1. rows: items of a map that a
            thread takes at once. amounts: taken of capacities. resources: names in use. own: task-scoped resources.
        stopping: it was told to stop. timed_out: its time is over. given_up: its node no longer waits for it.
        handle: the asyncio task or the future.
    """

    __slots__ = (
        "amounts", "function", "given_up", "handle", "id", "index", "limited", "mode", "name", "node", "number", "own",
        "resources", "row", "rows", "started", "stopping", "timed_out", "worker", "writer",
    )  # fmt: skip

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
        self.own: tuple[Resource, ...] = ()
        self.limited = False
        self.started = 0.0
        self.stopping = False
        self.timed_out = False
        self.given_up = False
        self.handle: Any = None
        self.worker = ""
        self.id = ""
        self.name = ""
        self.writer: Write | None = None

    def write(self, stream: str, text: str, level: str = "") -> None:
        """Take a piece of output of this attempt: `stream` is ``stdout``, ``stderr``, ``log`` or ``warning``."""
        if self.writer is not None:
            self.writer(self, stream, text, level)


current_attempt: ContextVar[Attempt | None] = ContextVar("cascade_current_attempt", default=None)

Gather = Callable[[Attempt, dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


def call(attempt: Attempt, context: Context, gather: Gather) -> Any:  # noqa: ANN401 - the task's value
    """Run a plain function's attempt here, in a copy of `context`, with its own resources around it."""
    return context.copy().run(_call, attempt, gather)


def _call(attempt: Attempt, gather: Gather) -> Any:  # noqa: ANN401 - the task's value
    current_attempt.set(attempt)
    if not attempt.own:
        args, kwargs = gather(attempt, {})
        return attempt.function(*args, **kwargs)
    with ExitStack() as stack:
        own: dict[str, Any] = {}
        for resource in attempt.own:
            if resource.is_async:
                raise ResourceError.for_inline(attempt.name, resource.name)
            own[resource.name] = stack.enter_context(resource.open())  # type: ignore[arg-type]
        args, kwargs = gather(attempt, own)
        return attempt.function(*args, **kwargs)


def launch(
    loop: asyncio.AbstractEventLoop,
    attempts: Iterable[Attempt],
    context: Context,
    gather: Gather,
    ended: Callable[[Attempt, Any, BaseException | None], None],
) -> None:
    """Start async attempts on `loop`; runs on the loop's thread."""
    for attempt in attempts:
        attempt.handle = loop.create_task(attend(attempt, gather, ended), context=context.copy())
        if attempt.stopping:
            attempt.handle.cancel()


async def attend(
    attempt: Attempt, gather: Gather, ended: Callable[[Attempt, Any, BaseException | None], None]
) -> None:
    """Run an async attempt and report how it ended, whatever it raises."""
    current_attempt.set(attempt)
    try:
        value = await _await(attempt, gather)
    except BaseException as error:  # noqa: BLE001 - the loop must survive whatever a task raises
        ended(attempt, None, error)
    else:
        ended(attempt, value, None)


async def _await(attempt: Attempt, gather: Gather) -> Any:  # noqa: ANN401 - the task's value
    if not attempt.own:
        args, kwargs = gather(attempt, {})
        return await attempt.function(*args, **kwargs)
    async with AsyncExitStack() as stack:
        own: dict[str, Any] = {}
        for resource in attempt.own:
            manager: Any = resource.open()
            enter = stack.enter_async_context(manager) if hasattr(manager, "__aenter__") else None
            own[resource.name] = await enter if enter is not None else stack.enter_context(manager)
        args, kwargs = gather(attempt, own)
        return await attempt.function(*args, **kwargs)


def call_in_process(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    """Run a call in a worker process; what would end the worker comes back as a value instead."""
    try:
        return True, function(*args, **kwargs)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit would end the worker
        return False, (type(error).__name__, [repr(a) for a in error.args])
