"""`%%cascade task NAME` and `%cascade run NAME`: define a cell as a task, run what is stale, bind what it gives.

In: the line and the body of a cell. Out: a run with its view, names in the notebook, the value of the cell's last
expression. Invariant: a cell that is refused changes nothing; names are bound only to values of the code as it is now.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import Any

from cascade.interfaces.cell_errors import CellError
from cascade.notebook import cell
from cascade.notebook.cell_body import CellTask, make_cell_task
from cascade.notebook.cell_runner import make_lazies
from cascade.notebook.cell_store import CellStore
from cascade.notebook.errors import short_errors
from cascade.notebook.launch import launch, show_plan
from cascade.notebook.options import Options, parse_line, read_options, usage_error
from cascade.notebook.session import VIEWS, Job, Session
from cascade.notebook.value_place import give
from cascade.notebook.waiting import wait, wait_async

__all__ = ["forget", "is_task_line", "run_named", "run_task_cell", "run_task_cell_async", "store_of"]

_LINE = re.compile(r"\s*task(?:\s+(?P<rest>[^\s(\[.,].*)|\s*)\Z")
_NO_NAME = "%%cascade task takes a name: %%cascade task clean. Other cells do not use it; it is what the graph shows."
_EMPTY = "The cell is empty. Write the code of the task below the line."


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a line asks for: the cell, and how to run it."""

    task: CellTask
    options: Options


def is_task_line(line: str) -> bool:
    """Whether the line after ``%%cascade`` makes the cell a task: the word, and then a name or an option.

    Example:
        >>> is_task_line("task clean --pure"), is_task_line("task(1)"), is_task_line("tasks")
        (True, False, False)
    """
    return _LINE.match(line) is not None


def run_task_cell(session: Session, parser: argparse.ArgumentParser, line: str, text: str) -> Any:
    """Define the cell as a task, and run it with what is stale before it.

    Args:
        parser: of the options of ``%%cascade``. line: what stands after ``%%cascade``. text: the lines below.
    """
    wanted = _define(session, parser, line, text)
    if wanted is None:
        return None
    begun = _begin(session, wanted)
    return None if begun is None else _finish(session, wanted, begun, lambda: wait(*begun))


async def run_task_cell_async(session: Session, parser: argparse.ArgumentParser, line: str, text: str) -> Any:
    """The same in a cell that may await."""
    wanted = _define(session, parser, line, text)
    if wanted is None:
        return None
    begun = _begin(session, wanted)
    if begun is None:
        return None
    value: Any = None
    try:
        value = await wait_async(*begun)
    finally:
        _bind(session, wanted.task)
    return _give(session, wanted, begun[0], value)


def run_named(session: Session, words: Sequence[str]) -> Any:
    """Do what ``%cascade run NAME`` asks for."""
    from cascade.notebook.magics import CascadeMagics

    parser = _parser(vars(CascadeMagics.run_cell)["parser"])
    with short_errors(session.shell):
        found = parse_line(parser, " ".join(words))
        if len(found.target or ()) > 1:
            usage_error("%cascade run runs one task cell, with all that it needs: %cascade run clean.")
        name = _name_of(found, "%cascade run takes the name of a task cell: %cascade run clean.", session.cells.tasks)
        wanted = _Wanted(session.cells.get(name), _options(found))
        begun = _begin(session, wanted)
        return None if begun is None else _finish(session, wanted, begun, lambda: wait(*begun))


def forget(session: Session, words: Sequence[str]) -> str:
    """Do what ``%cascade forget NAME`` asks for."""
    if len(words) != 1:
        usage_error("%cascade forget takes the name of a task cell: %cascade forget clean.")
    try:
        session.cells.forget(words[0], session.shell.user_ns)
    except CellError as error:
        usage_error(str(error))
    session.cell_memory.forget(words[0])
    return f"The cell '{words[0]}' is no longer a task. What is stored of it stays in the store."


def store_of(session: Session) -> Any:
    """Return the store of this notebook, as a run of cells uses it."""
    if not session.cells.tasks:
        return session.store
    return CellStore(session.store, session.cell_memory, session.cells)


def lazies_in(session: Session, names: Iterable[str]) -> dict[str, Any]:
    """Return the lazy results of those of `names` that are cells, but for names that stand for something lazy."""
    from cascade.notebook.cell_graph import is_lazy

    known = session.shell.user_ns
    wanted = [name for name in names if name in session.cells.tasks and not is_lazy(known.get(name))]
    made = make_lazies(session.cells, wanted, known, session.shell.compile.flags) if wanted else {}
    return {name: made[name] for name in wanted}


# -- steps ------------------------------------------------------------------------------------------------------------


def _parser(of_cells: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options of ``%%cascade``, and those that only a task has."""
    parser = type(of_cells)("cascade task", add_help=False, usage="%%cascade task NAME [options]")
    parser.add_argument("target", nargs="*", metavar="NAME", help="the name of the task, as the graph shows it")
    for action in of_cells._actions:  # noqa: SLF001 - no public list
        if action.dest != "target":
            parser._add_action(action)  # noqa: SLF001 - what `parents=` does, without the target
    parser.add_argument("--pure", action="store_true", help="the same inputs always give the same: keep the results")
    parser.add_argument(
        "--gives", action="append", metavar="A,B", help="what the cell gives; by default all it assigns"
    )
    parser.add_argument("--define", action="store_true", help="only define the task, run nothing")
    return parser


def _define(session: Session, of_cells: argparse.ArgumentParser, line: str, text: str) -> _Wanted | None:
    parser = _parser(of_cells)
    found = parse_line(parser, line.strip().removeprefix("task"))
    if found.help:
        from IPython.display import display

        display({"text/plain": parser.format_help()}, raw=True)
        return None
    name = _name_of(found, _NO_NAME, ())
    if not text.strip():
        usage_error(_EMPTY)
    gives = [each.strip() for words in found.gives or () for each in words.split(",") if each.strip()]
    task = make_cell_task(
        session.shell, name, line, text, count=session.count, cell=session.cell, pure=bool(found.pure), gives=gives
    )
    session.cells.define(task, session.shell.user_ns)
    return None if found.define else _Wanted(task, _options(found))


def _name_of(found: argparse.Namespace, told: str, known: Iterable[str]) -> str:
    words = [getattr(word, "raw", str(word)) for word in found.target or ()]
    if not words:
        names = list(known)
        usage_error(told + (f" The tasks are: {', '.join(names)}." if names else ""))
    if len(words) > 1 or not words[0].isidentifier() or iskeyword(words[0]):
        text = " ".join(words).strip("'\"")
        made = re.sub(r"\W+", "_", text).strip("_")
        hint = f" Take {made}, for example." if made.isidentifier() and not iskeyword(made) else ""
        usage_error(f"The name of a task is a Python name, not '{text}'.{hint}")
    return words[0]


def _options(found: argparse.Namespace) -> Options:
    found.target = []
    return read_options(found, VIEWS)


def _begin(session: Session, wanted: _Wanted) -> tuple[Job, cell.HeldInterrupts] | None:
    """Start the run; what is not stale is found in the store."""
    task, options = wanted.task, wanted.options
    names = session.shell.user_ns
    lazy = make_lazies(session.cells, [task.name], names, session.shell.compile.flags)[task.name]
    if options.plan:
        show_plan(lazy, options)
        return None
    session.cells.touched.clear()
    held = cell.HeldInterrupts()
    try:
        shows = bool(task.shows) and not options.background
        job = launch(session, lazy, replace(options, target=task.name), shows_value=shows)
    except BaseException:
        held.release()
        raise
    if options.background:
        job.run.add_done_callback(lambda: _bind(session, task))
        held.release()
        return None
    return job, held


def _finish(session: Session, wanted: _Wanted, begun: Any, get: Any) -> Any:
    try:
        value = get()
    finally:
        _bind(session, wanted.task)
    return _give(session, wanted, begun[0], value)


def _bind(session: Session, task: CellTask) -> None:
    """Bind what the cells of the run gave, also when another one failed."""
    if session.cells.tasks.get(task.name) is task:
        names = session.shell.user_ns
        session.cells.bind(session.cells.closure([task.name], names), names)


def _give(session: Session, wanted: _Wanted, job: Job, value: Any) -> Any:
    results, shown = wanted.task.unwrap(value)
    if wanted.options.output:
        kept = next(iter(results.values())) if len(results) == 1 else results or shown
        session.shell.user_ns[wanted.options.output] = kept
    return give(session, job, value, lambda value: wanted.task.unwrap(value)[1])
