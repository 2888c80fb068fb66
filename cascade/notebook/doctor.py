"""`%cascade doctor`: what is odd in this notebook → one sentence each, with what to do.

In: the session, the names, the cells that ran. Out: `Findings`. Invariant: looks only; nothing is run, bound or stored.

A cell that was run again counts as it ran last; what only its earlier text defined is an orphan.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cascade.graph.markup import Markup, element
from cascade.interfaces.exceptions import CascadeError
from cascade.interfaces.leaving_errors import VerifyError
from cascade.notebook.cell_export import read_task_cells
from cascade.notebook.health import equipment, limits, runs, stored
from cascade.notebook.leaving import cells_of
from cascade.notebook.plain import listed, plain, plural
from cascade.notebook.session import EndedRun, Session
from cascade.notebook.verify import find_notebook
from cascade.spec.input import Input
from cascade.spec.resource import Resource
from cascade.spec.task import Task
from cascade.tools.comparison import table
from cascade.tools.export_slice import Makers, injected_names
from cascade.tools.export_source import Cell, Statement, read_cells

__all__ = ["Finding", "Findings", "examine"]

_MOST = 12  # findings of one kind that are listed


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: what kind, what it is, what to do."""

    kind: str
    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that is odd, in the order of the checks."""

    found: tuple[Finding, ...]

    def __str__(self) -> str:
        """Return one line for each, or that there is nothing."""
        if not self.found:
            return "Nothing to say. Tasks, names, runs, store and extension are as they should be."
        width = max(len(each.kind) for each in self.found)
        lines = [f"  {each.kind:<{width}}  {each.what} {each.advice}" for each in self.found]
        return "\n".join([f"{plural(len(self.found), 'thing')} to look at:", *lines])

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Show a table in a notebook."""
        return {"text/plain": str(self), "text/html": str(self._html())}

    def _html(self) -> Markup:
        if not self.found:
            return element("p", None, str(self))
        rows = [(each.kind, each.what, each.advice) for each in self.found]
        head = element(
            "p", {"style": "margin:6px 0 2px"}, element("b", None, f"{plural(len(rows), 'thing')} to look at")
        )
        return element("div", None, head, table(("kind", "what", "what to do"), rows))


def examine(session: Session) -> Findings:
    """Look at everything."""
    book = _Book(session)
    found: list[Finding] = []
    checks: Sequence[Callable[[], Iterable[tuple[str, str, str]]]] = (
        book.orphans,
        book.duplicates,
        book.out_of_order,
        book.stale,
        book.hidden,
        book.unused,
        lambda: runs(session),
        lambda: limits(session),
        lambda: stored(session),
        lambda: equipment(session.shell),
    )
    for check in checks:
        each = [Finding(kind, plain(what, 300), advice) for kind, what, advice in check()]
        found += each[:_MOST]
        if len(each) > _MOST:
            found.append(
                Finding(each[0].kind, f"There are {len(each) - _MOST:,} more of this kind.", "Mend these first.")
            )
    return Findings(tuple(found))


class _Book:
    """The notebook as this kernel knows it: cells that still count, names, and who makes and reads which."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = session.shell.user_ns
        statements = read_cells([*cells_of(session), *_task_cells(session)])
        self._gone = _superseded(session)
        self._all = Makers(statements)
        self._statements = [each for each in statements if each.cell not in self._gone]
        self._makers = Makers(self._statements)
        self._cells = _places(session)
        self._order, self._saved_at = _saved(session)

    # -- orphans and duplicates -------------------------------------------------------------------------------------

    def orphans(self) -> Iterator[tuple[str, str, str]]:
        """Tasks, Params and resources that live on although their cell defines them no more."""
        for name, word, _ in self._defined():
            chain, before = self._makers.chain(name), self._all.chain(name)
            advice = f"If nothing needs it, remove it: del {name}."
            if not chain and before:
                where = f"{before[-1].cell}, whose cell was run again without it"
                yield "orphan", f"The {word} '{name}' is from {where}.", advice
            elif chain and self._is_gone(chain[-1].cell):
                where = f"{chain[-1].cell}, whose cell is not in the saved notebook any more"
                yield "orphan", f"The {word} '{name}' is from {where}.", advice

    def _is_gone(self, label: str) -> bool:
        """Whether the notebook was saved without a cell after that cell had run."""
        cell, at = self._cells.get(label, ("", 0.0))
        return bool(cell and self._order) and cell not in self._order and self._saved_at > at

    def out_of_order(self) -> Iterator[tuple[str, str, str]]:
        """Cells that need a name which only a cell further down makes: in this order, Run All fails."""
        seen: set[tuple[str, str]] = set()
        for statement in self._statements:
            here = self._order.get(self._cells.get(statement.cell, ("", 0.0))[0])
            for name in sorted(statement.now) if here is not None else ():
                places = [self._place_of(each) for each in self._statements if name in each.gives]
                makers = [place for place in places if place is not None]
                chain = self._makers.chain(name, statement.number)
                if chain and makers and min(makers) > here and (statement.cell, name) not in seen:  # type: ignore[operator]
                    seen.add((statement.cell, name))
                    yield (
                        "order",
                        f"{statement.cell} uses '{name}', which a cell further down makes ({chain[-1].cell}).",
                        "Move that cell up, so that Run All works.",
                    )

    def _place_of(self, statement: Statement) -> int | None:
        return self._order.get(self._cells.get(statement.cell, ("", 0.0))[0])

    def duplicates(self) -> Iterator[tuple[str, str, str]]:
        """Names that two cells define: which one counts depends on which ran last."""
        for name, word, _ in self._defined():
            makers = [each for each in self._statements if name in each.gives]
            cells = {self._cells[each.cell][0]: each for each in makers if each.cell in self._cells}
            if len(cells) > 1 and not all(each.says_the_same(makers[0]) for each in makers):
                places = listed([each.place for each in cells.values()])
                yield (
                    "duplicate",
                    f"The {word} '{name}' is defined in {places}; the one that ran last counts.",
                    "Give one of them another name.",
                )

    def _defined(self) -> Iterator[tuple[str, str, Any]]:
        words = {Task: "task", Resource: "resource", Input: "Param"}
        for name, value in list(self._names.items()):
            word = next((word for kind, word in words.items() if isinstance(value, kind)), "")
            if word and not name.startswith("_"):
                yield name, getattr(value, "word", "") if isinstance(value, Input) else word, value

    # -- stale names ------------------------------------------------------------------------------------------------

    def stale(self) -> Iterator[tuple[str, str, str]]:
        """Names that were made with something that is different now."""
        seen: set[int] = set()
        for name in list(self._makers.names):
            value = self._names.get(name)
            if name not in self._names or isinstance(value, (Task, Resource, Input)):
                continue
            chain = self._makers.chain(name)
            if not chain or chain[-1].is_import or chain[-1].is_definition or chain[-1].number in seen:
                continue
            seen.add(chain[-1].number)
            found = self._changed_since(chain[-1])
            if found is not None:
                used, new = found
                yield (
                    "stale",
                    f"'{name}' ({chain[-1].cell}) was made before {new.cell} changed '{used}'.",
                    f"Run the cell of '{name}' again.",
                )

    def _changed_since(self, statement: Statement) -> tuple[str, Statement] | None:
        """Return the first name that `statement` used and that is made differently now, and what makes it now."""
        seen: set[str] = set()
        waiting = [(name, statement.number) for name in sorted(statement.now | self._target_names(statement))]
        while waiting:
            name, number = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            then, now = self._all.chain(name, number), self._all.chain(name)
            if then and now and now[0].number >= number and not self._same(then, now, statement):
                return name, now[0]
            for maker in then:
                waiting += [(used, maker.number) for used in sorted(maker.now)]
                waiting += [(used, number) for used in sorted(maker.later)]
        return None

    @staticmethod
    def _same(then: Sequence[Statement], now: Sequence[Statement], reader: Statement) -> bool:
        """Whether a name is made in the same way; ``df = clean(df)`` reads the one before itself and stays fresh."""
        if any(each.number == reader.number for each in now):
            return True
        return len(then) == len(now) and all(a.says_the_same(b) for a, b in zip(then, now, strict=True))

    def _target_names(self, statement: Statement) -> frozenset[str]:
        """Return what the run of a cell with ``-o`` used: its last expression."""
        if statement.magic != "-o":
            return frozenset()
        before = [each for each in self._statements if each.cell == statement.cell and each.number < statement.number]
        return before[-1].now if before and isinstance(before[-1].node, ast.Expr) else frozenset()

    # -- hidden state -----------------------------------------------------------------------------------------------

    def hidden(self) -> Iterator[tuple[str, str, str]]:
        """Names that tasks and helpers use and that no cell makes any more: a fresh kernel will miss them."""
        for statement in self._live_definitions():
            for name in sorted(statement.now | statement.later):
                if name in self._names and not self._makers.chain(name) and self._is_users(name):
                    last = self._all.chain(name)
                    where = f"; it is left from {last[-1].cell}" if last else ""
                    yield (
                        "hidden state",
                        f"'{statement.name}' ({statement.cell}) uses '{name}', which no cell makes any more{where}.",
                        f"Write '{name} = …' in a cell, or a fresh kernel will not know it.",
                    )
                elif name not in self._names and self._all.chain(name, None) == [] and name in self._all.names:
                    yield (
                        "missing name",
                        f"'{statement.name}' ({statement.cell}) uses '{name}', which was deleted.",
                        "Run the cell that makes it, or take it out.",
                    )

    def _is_users(self, name: str) -> bool:
        return not name.startswith("_") and name not in self._session.shell.user_ns_hidden

    def _live_definitions(self) -> Iterator[Statement]:
        for name in list(self._makers.names):
            chain = self._makers.chain(name)
            if chain and chain[-1].is_definition and name in self._names:
                yield chain[-1]

    # -- what nobody uses ---------------------------------------------------------------------------------------------

    def unused(self) -> Iterator[tuple[str, str, str]]:
        """Tasks, Params and resources that no cell reads and no run used."""
        read = set[str]()
        for statement in self._statements:
            read |= (statement.now | statement.later) - statement.gives
            read |= set(injected_names(statement.node))
        used = self._in_graphs()
        for name, word, value in self._defined():
            known = getattr(value, "name", name)
            if name in read or known in read or (word, known) in used or not self._makers.chain(name):
                continue
            verb = {"task": "never called", "resource": "never injected"}.get(word, "used by no task")
            yield (
                "not used",
                f"The {word} '{name}' ({self._makers.chain(name)[-1].cell}) is {verb}.",
                "Use it, or take it out.",
            )

    def _in_graphs(self) -> set[tuple[str, str]]:
        """Return what the runs of this notebook used."""
        found: set[tuple[str, str]] = set()
        for job in self._session.jobs.values():
            if isinstance(job.run, EndedRun):
                continue
            graph = job.run.graph
            found |= {("task", call._task.name) for call in graph.calls if hasattr(call, "_task")}  # noqa: SLF001
            found |= {("Param", each.name) for each in graph.params} | {("Env", each.name) for each in graph.envs}
            found |= {("resource", name) for names in graph.resources.values() for name in names}
        return found


def _task_cells(session: Session) -> Iterable[Cell]:
    """Return the cells that are tasks, as functions: what they give is no hidden state."""
    try:
        return read_task_cells(session).cells
    except CascadeError:  # they do not fit together; running one of them says why
        return ()


def _superseded(session: Session) -> frozenset[str]:
    """Return the labels of executions whose cell has been run again with another text since."""
    latest: dict[str, str] = {cell: text for cell, text, _ in session.ran if cell}
    current = set(latest.values())
    old = {text for cell, text, _ in session.ran if cell and latest[cell] != text} - current
    history = session.shell.history_manager.input_hist_raw
    return frozenset(f"In[{number}]" for number, text in enumerate(history) if str(text) in old)


def _places(session: Session) -> dict[str, tuple[str, float]]:
    """Return the id of the cell of each execution, and when it ran, by label, where the front end tells."""
    known = {text: (cell, at) for cell, text, at in session.ran if cell}
    history = session.shell.history_manager.input_hist_raw
    return {f"In[{number}]": known[str(text)] for number, text in enumerate(history) if str(text) in known}


def _saved(session: Session) -> tuple[dict[str, int], float]:
    """Return the order of the cells of the saved notebook, by id, and when it was saved; nothing if nobody knows."""
    try:
        path = find_notebook(session.shell)
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return {str(cell["id"]): place for place, cell in enumerate(cells)}, path.stat().st_mtime
    except (VerifyError, OSError, ValueError, KeyError, TypeError):
        return {}, 0.0
