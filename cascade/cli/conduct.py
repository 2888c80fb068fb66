"""One run for the command line: from orders to how it ended, and what to say about it.

In: a `Setup` and `Orders`. Out: an `Ending` with an exit code. Invariant: whatever ends the run, an interrupt too, it
has been cancelled and its resources closed before the program goes on, as far as its threads let go of them in time.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cascade.cli.codes import DONE, FAILED, INTERRUPTED, SKIPPED
from cascade.context import get_current_context
from cascade.graph.check import find_resources
from cascade.interfaces.events import ResourceSetUp, ResourceTornDown, RunFinished
from cascade.interfaces.exceptions import DependencyMissingError
from cascade.messaging.renderer import one_line
from cascade.runtime.failure import own_frames, text_of
from cascade.runtime.run import Run, start

if TYPE_CHECKING:
    from cascade.cli.reading import Orders
    from cascade.graph.model import Graph

__all__ = ["DONE", "FAILED", "INTERRUPTED", "SKIPPED", "Ending", "Setup", "conduct", "describe_error", "leaves"]

GRACE: Final = 5.0  # seconds for what cannot be stopped to end, so that its resources can be closed
_LOOK: Final = 0.05  # seconds between two looks at whether they are
_MOST_ERRORS: Final = 10


@dataclass(frozen=True, slots=True)
class Setup:
    """What a command runs, whatever is typed.

    Args:
        target: what `run` takes. graph: the graph of it. capacities: checked ones. resources, executor, solver: as for
            `run`. settings: further ones of `start`, by name. subscribers: as for `run`.
    """

    target: Any
    graph: Graph
    capacities: Mapping[str, float]
    resources: Iterable[Any] = ()
    executor: Any = None
    solver: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    subscribers: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended.

    Args:
        code: exit code. value: of the target, when it is DONE. said: for stderr; empty: nothing. error: of the run.
        run: its handle; None: it did not begin.
    """

    code: int
    value: Any = None
    said: str = ""
    error: BaseException | None = None
    run: Run | None = None


def conduct(setup: Setup, orders: Orders) -> Ending:
    """Run the target to its end.

    Raises:
        CascadeError: what is wrong with the definitions, before anything runs.
    """
    run: Run | None = None
    ends: list[RunFinished] = []
    try:
        with _held_interrupts():
            run = start(
                setup.target,
                dict(orders.params),
                dict(orders.capacities) or None,
                orders.log_level,
                orders.log_format,
                resources=setup.resources,
                executor=setup.executor,
                solver=setup.solver,
                timeout=orders.timeout,
                subscribers=[(RunFinished, ends.append), *setup.subscribers],
                **setup.settings,
            )
        run.wait()
        return _settle(setup, run, ends)
    except KeyboardInterrupt:
        return _interrupted(setup, run, ends)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Hold the first Ctrl-C back until the block is over: a run that has begun must not lose its handle."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []

    def hold(number: int, _frame: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


def _settle(setup: Setup, run: Run, ends: list[RunFinished]) -> Ending:
    try:
        ending = Ending(DONE, run.result(), run=run)
    except DependencyMissingError as error:
        ending = Ending(SKIPPED, said=one_line(run.redact(text_of(error))), error=error, run=run)
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - a task may raise anything
        ending = Ending(FAILED, said=run.redact(describe_error(error)), error=error, run=run)
    if ends and ends[0].abandoned:
        _wait_for_closing(setup, run)
    return ending


def _interrupted(setup: Setup, run: Run | None, ends: list[RunFinished]) -> Ending:
    """Cancel the run if it is not yet, and wait for its end; a second interrupt leaves at once."""
    if run is None:
        return Ending(INTERRUPTED, said="Interrupted before anything ran.")
    name = one_line(run.name, 200)
    try:
        run.cancel("interrupted")
        run.wait(GRACE)
        said = f"The run '{name}' was interrupted and is {run.state}."
        if ends and ends[0].abandoned:
            said += f" Not stopped in time: {one_line(', '.join(ends[0].abandoned), 200)}."
            left = _wait_for_closing(setup, run)
            said += f" Not closed: {', '.join(left)}." if left else ""
    except KeyboardInterrupt:
        said = f"The run '{name}' was interrupted twice and is left as it is."
    return Ending(INTERRUPTED, said=said, run=run)


def _wait_for_closing(setup: Setup, run: Run) -> list[str]:
    """Wait for the resources that are still in use by what could not be stopped; return those that stay open."""
    found = find_resources(setup.graph, setup.resources, get_current_context())
    own = {name for name, resource in found.items() if resource.scope == "run"}
    until = time.monotonic() + GRACE
    while (left := own & _open_resources(run)) and time.monotonic() < until:
        time.sleep(_LOOK)
    return sorted(left)


def _open_resources(run: Run) -> set[str]:
    names: set[str] = set()
    for event in run.events:
        if isinstance(event, ResourceSetUp):
            names.add(event.resource)
        elif isinstance(event, ResourceTornDown):
            names.discard(event.resource)
    return names


# -- errors ---------------------------------------------------------------------------------------------------------


def describe_error(error: BaseException) -> str:
    """Return what a person needs to know of the failure of a run: their own frames, the error, its notes.

    Example:
        >>> try:
        ...     int("x")
        ... except ValueError as error:
        ...     error.add_note("In the node 'read'.")
        ...     print(describe_error(error).splitlines()[-1])
        In the node 'read'.
    """
    errors = leaves(error)
    lines = [line for each in errors[:_MOST_ERRORS] for line in _describe_one(each)]
    if len(errors) > _MOST_ERRORS:
        lines.append(f"… and {len(errors) - _MOST_ERRORS} more errors")
    groups = [each for each in _walk(error) if isinstance(each, BaseExceptionGroup)]
    return "\n".join([*lines, *(note for group in groups for note in _notes(group))])


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group, at any depth, in order; of another error, the error."""
    return [each for each in _walk(error) if not isinstance(each, BaseExceptionGroup)]


def _walk(error: BaseException) -> Iterator[BaseException]:
    stack = [error]
    while stack:
        each = stack.pop()
        yield each
        if isinstance(each, BaseExceptionGroup):
            stack.extend(reversed(each.exceptions))


def _describe_one(error: BaseException) -> Iterator[str]:
    cause = error.__cause__
    if cause is not None:
        yield f"Caused by {_head(cause)}"
    frames = own_frames(error)
    if frames:
        yield "Traceback (most recent call last):"
    for file, line, function, code in frames:
        yield one_line(f'  File "{file}", line {line}, in {function}')
        if code:
            yield one_line(f"    {code.strip()}")
    yield _head(error)
    yield from _notes(error)


def _notes(error: BaseException) -> list[str]:
    return [one_line(line) for note in getattr(error, "__notes__", ()) for line in str(note).splitlines()]


def _head(error: BaseException) -> str:
    first, *rest = (text_of(error) or "").splitlines() or [""]
    name = type(error).__name__
    return "\n".join([one_line(f"{name}: {first}" if first else name), *map(one_line, rest)])
