"""`%cascade export`, `verify` and `doctor`: what a notebook's work needs to live without the notebook.

In: a session and the words of a line. Out: files and texts. Invariant: nothing here changes a name, a run or the store
of the notebook.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from IPython.core.error import UsageError

from cascade.interfaces.exceptions import CascadeError, nearest
from cascade.interfaces.leaving_errors import ExportError
from cascade.notebook.cell_export import TaskCells, read_task_cells
from cascade.notebook.cell_task import is_task_line
from cascade.notebook.options import Options, split_line, usage_error
from cascade.notebook.session import EndedRun, Job, Session
from cascade.tools.comparison import Comparison, Row, compare
from cascade.tools.export import Exported
from cascade.tools.export_source import Cell
from cascade.tools.likeness import Likeness, lines_of

__all__ = ["RunCell", "cells_of", "doctor", "export", "latest_run_cell", "likenesses", "take_flags", "verify"]

_TRANSPARENT: Final = ("time", "capture", "prun")
_MAGIC = re.compile(r"\s*%%(?P<name>\w+)(?P<line>[^\n]*)(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class RunCell:
    """A `%%cascade` cell: its label, what it asked for, and its target as an expression."""

    label: str
    options: Options
    expression: str


# -- cells ------------------------------------------------------------------------------------------------------------


def cells_of(session: Session) -> list[Cell]:
    """Return the cells that ran in this kernel, in order, as plain Python."""
    history = session.shell.history_manager.input_hist_raw
    made: list[Cell | None] = []
    for number, text in enumerate(history):
        with suppress(SyntaxError):  # then the cell did not run
            made.append(_cell(session, number, str(text)) if str(text).strip() else None)
    return [cell for cell in made if cell is not None]


def _cell(session: Session, number: int, text: str) -> Cell | None:
    label = f"In[{number}]"
    magic = _MAGIC.match(text)
    if magic is None:
        return Cell(label, session.shell.transform_cell(text))
    body, first = text[magic.end() :], text[: magic.end()].count("\n") + 1
    if magic["name"] == "cascade":
        return _cascade_cell(session, label, magic["line"], body, first)
    if magic["name"] in _TRANSPARENT:
        return Cell(label, session.shell.transform_cell(body), first)
    return None


def _cascade_cell(session: Session, label: str, line: str, body: str, first: int) -> Cell | None:
    if is_task_line(line):
        return None  # `read_task_cells` knows these, as they are now
    try:
        output = _read_options(line).output
    except UsageError:
        return None  # then the cell did not run either
    return Cell(label, session.shell.transform_cell(body), first, output)


def _read_options(line: str) -> Options:
    from cascade.notebook.magics import CascadeMagics
    from cascade.notebook.options import parse_line, read_options
    from cascade.notebook.session import VIEWS

    return read_options(parse_line(vars(CascadeMagics.run_cell)["parser"], line), VIEWS)


def latest_run_cell(session: Session, tasks: TaskCells) -> RunCell | None:
    """Return the newest `%%cascade` cell that has a target; a cell that is a task is its own."""
    import ast

    history = list(enumerate(session.shell.history_manager.input_hist_raw))
    for number, text in reversed(history):
        magic = _MAGIC.match(str(text))
        if magic is None or magic["name"] != "cascade":
            continue
        if is_task_line(magic["line"]):
            name = next((word for word in magic["line"].split()[1:] if word in tasks.results), "")
            if name:
                return RunCell("", Options(), tasks.results[name])
            continue
        try:
            options = _read_options(magic["line"])
            body = session.shell.transform_cell(str(text)[magic.end() :])
            tree = ast.parse(body)
        except (UsageError, SyntaxError):
            continue
        if options.target:
            return RunCell(f"In[{number}]", options, options.target)
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            source = ast.get_source_segment(body, tree.body[-1].value)
            return RunCell(f"In[{number}]", options, _whole(source or ast.unparse(tree.body[-1].value)))
    return None


def _whole(expression: str) -> str:
    """Return an expression that is valid by itself: one of several lines may have lost its brackets."""
    import ast

    try:
        ast.parse(expression, mode="eval")
    except SyntaxError:
        lines = expression.splitlines()
        if '"""' in expression or "'''" in expression:  # the lines of a text are not ours to move
            return f"({expression})"
        return "\n".join(["(", *(f"    {line.strip()}" for line in lines), ")"])
    return expression


# -- export -----------------------------------------------------------------------------------------------------------


def export(session: Session, words: Sequence[str]) -> Any:
    """``%cascade export FILE [TARGET] [--check] [--force]``."""
    flags, rest = take_flags(words, ("--check", "--force"))
    if not rest:
        usage_error("%cascade export takes the name of the file: %cascade export flow.py.")
    path, expression = str(split_line(rest[0])[0]), " ".join(rest[1:])
    try:
        wanted = _want(session, expression)
        made = _write(wanted, path, session, force="--force" in flags)
    except CascadeError as error:
        usage_error(str(error))
    from cascade.notebook.commands import Said

    return _check(session, made, wanted) if "--check" in flags else Said(str(made))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be exported: an expression, its graph, the cell that ran it, and the cells that are tasks."""

    expression: str
    graph: Any
    ran: RunCell | None
    tasks: TaskCells


def _want(session: Session, expression: str) -> _Wanted:
    from cascade.graph.build import build
    from cascade.interfaces.exceptions import NotLazyError

    tasks = read_task_cells(session)
    ran = latest_run_cell(session, tasks) if not expression else None
    if not expression and ran is None:
        raise ExportError.for_no_target()
    target = ran.expression if ran is not None else tasks.results.get(expression, expression)
    value = _evaluate(target, {**session.shell.user_ns, **tasks.names})
    try:
        return _Wanted(target, build(value), ran, tasks)
    except NotLazyError:
        raise ExportError.for_target(target, type(value).__name__) from None


def _evaluate(expression: str, names: dict[str, Any]) -> object:
    try:
        return eval(compile(expression, "<target>", "eval", dont_inherit=True), names)  # noqa: S307 - the user's own
    except SyntaxError:
        usage_error(f"The target is not an expression: {expression}")
    except NameError as error:
        hint = nearest(str(error.name), [name for name in names if not name.startswith("_")])
        usage_error(f"The target '{expression}' cannot be found: {error}.{hint if 'Did' in hint else ''}")


def _write(wanted: _Wanted, path: str, session: Session, *, force: bool) -> Exported:
    from cascade.tools.export import export as write

    ran = wanted.ran
    return write(
        wanted.expression,
        path,
        cells=[*cells_of(session), *wanted.tasks.cells],
        namespace={**session.shell.user_ns, **wanted.tasks.names},
        before=ran.label if ran is not None else "",
        force=force,
        given=_given(ran),
        capacities=ran.options.capacities if ran is not None else None,
    )


def _given(ran: RunCell | None) -> Mapping[str, str]:
    """Return the Params of the cell as it set them; secrets stay where they are."""
    from cascade.context import get_current_context

    known = get_current_context().params
    given = ran.options.params if ran is not None else {}
    return {name: text for name, text in given.items() if name in known and not known[name].secret}


def _job_of(session: Session, graph: Any) -> Job | None:
    """Return the newest run of that graph, or of task cells that it is a part of, that still has its handle."""
    wanted = list(graph.ids)
    are_cells = session.cells.tasks.keys() >= set(wanted)
    for job in reversed(session.jobs.values()):
        if not job.over or isinstance(job.run, EndedRun):
            continue
        ids = list(job.run.graph.ids)
        if ids[: len(wanted)] == wanted or (are_cells and set(ids) >= set(wanted)):
            return job
    return None


def _check(session: Session, made: Exported, wanted: _Wanted) -> Comparison:
    """Run the file in a fresh process and compare."""
    from cascade.tools.export_check import rerun

    job = _job_of(session, wanted.graph)
    params, capacities = _settings_of(job, wanted.ran)
    params = {each.name: params[each.name] for each in wanted.graph.params if each.name in params}
    there = rerun(made.path, made.variable, params, capacities)
    title = f"{made.path.name} in a fresh process"
    notes = [str(made)]
    if there.state == "broken":
        return Comparison(title, (Row(made.variable, "fails", there.error),), tuple(notes))
    known = {**likenesses(job), **_of_task_cells(session, wanted.graph)} if job is not None else {}
    nodes = set(wanted.graph.ids)  # the run may have had more, and of some of its nodes nothing may be known
    here = {name: each for name, each in known.items() if each != Likeness() and name in nodes}
    if job is None:
        notes.append("No run of this target is at hand, so there was nothing to compare with: run its cell first.")
    redact = job.run.redact if job is not None else str
    found = compare(title, here, there.nodes, there.failed, ("in the notebook", "in the file"))
    rows = tuple(Row(row.name, row.word, redact(row.why)) for row in found.rows)
    return Comparison(title, rows, tuple(notes))


def _settings_of(job: Job | None, ran: RunCell | None) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the Params and capacities of the notebook's run."""
    if job is None:
        return (dict(ran.options.params), dict(ran.options.capacities)) if ran is not None else ({}, {})
    inputs = job.run._flow.inputs  # noqa: SLF001 - the values themselves; what the handle shows are previews
    return {i.name: value for i, value in inputs.items() if i.word == "Param"}, dict(job.run.capacities)


def _of_task_cells(session: Session, graph: Any) -> dict[str, Likeness]:
    """Return what is known of the results of task cells, as the functions that they became return them."""
    found = {}
    for name in graph.ids:
        task = session.cells.tasks.get(name)
        if task is None:
            continue
        found[name] = Likeness()
        results, shown = session.cells.results_of(task, session.shell.user_ns), None
        if name in session.cells.touched:
            results, shown = task.unwrap(session.cells.touched[name])
        if results or name in session.cells.touched:
            found[name] = Likeness.of(
                shown if not results else results if len(task.gives) > 1 else results[task.gives[0]]
            )
    return found


def likenesses(job: Job, store: Any = None) -> dict[str, Likeness]:
    """Return what is known of the values of a run: by content where they are kept or stored, else a short text."""
    if isinstance(job.run, EndedRun):
        return _from_store(job.run.run_id, store)
    from cascade.graph.model import ROUTE
    from cascade.interfaces import events as ev
    from cascade.runtime import states as st
    from cascade.runtime.arguments import GONE

    flow = job.run._flow  # noqa: SLF001 - the values that the run still holds
    known = flow.rebuilder.keys.digests if flow.rebuilder is not None else {}
    texts: dict[str, str] = {}
    for event in job.run.events:
        if isinstance(event, (ev.NodeCompleted, ev.NodeRecalled)) and getattr(event, "index", None) is None:
            texts[event.node] = event.summary
    made: dict[str, Likeness] = {}
    for node, name in enumerate(flow.graph.ids):
        if flow.core.state[node] != st.DONE or flow.graph.kinds[node] == ROUTE:
            continue
        value = flow.process_side.look_at(flow.values[node])
        if value is not GONE:
            made[name] = Likeness.of(value)
        else:
            head = flow.heads.made.get(node) if flow.heads is not None else None
            made[name] = Likeness(known.get(node, ""), texts.get(name, ""), head=lines_of(head))
    return made


def _from_store(run_id: str, store: Any) -> dict[str, Likeness]:
    if store is None:
        return {}
    rows = [row for row in store.nodes(run_id) if row.outcome in {"ran", "stored"}]
    entries = store.find([row.key for row in rows if row.key])
    return {row.node: Likeness(entries[row.key].digest if row.key in entries else "", row.summary) for row in rows}


# -- verify and doctor ------------------------------------------------------------------------------------------------


def verify(session: Session, words: Sequence[str]) -> Any:
    """``%cascade verify [NOTEBOOK] [--timeout S]``."""
    from cascade.notebook.verify import verify_notebook

    options, rest = take_flags(words, (), ("--timeout",))
    if len(rest) > 1:
        usage_error("%cascade verify takes one notebook: %cascade verify lesson.ipynb.")
    timeout = _seconds(options["--timeout"]) if "--timeout" in options else None
    try:
        return verify_notebook(session, str(split_line(rest[0])[0]) if rest else "", timeout=timeout)
    except CascadeError as error:
        usage_error(str(error))


def doctor(session: Session, words: Sequence[str]) -> Any:
    """``%cascade doctor``."""
    from cascade.notebook.doctor import examine

    if words:
        usage_error(f"%cascade doctor takes nothing, not '{' '.join(words)}'.")
    return examine(session)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        usage_error(f"--timeout takes a number of seconds above 0, not '{text}'.")
    return seconds


def take_flags(
    words: Sequence[str], flags: Sequence[str], valued: Sequence[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Take the options out of the words of a line; return them and the rest.

    Raises:
        UsageError: for an option that does not exist, with the nearest, and for one without its value.
    """
    found: dict[str, str] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            rest.append(word)
        elif name in valued:
            found[name] = value if equals else next(left, "")
        elif word in flags:
            found[word] = ""
        else:
            usage_error(f"There is no option {word}.{nearest(name, [*flags, *valued])}")
    return found, rest
