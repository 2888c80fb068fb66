"""The cells that are tasks → one graph: who reads what from whom.

In: `CellTask`s and the names of the notebook. Out: lazy results, one for each cell. Invariant: each name that a cell
reads from another has one giver, and no cell needs itself; whatever would break this is refused, in the words of cells,
before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from dis import get_instructions
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from cascade.interfaces.cell_errors import CellError
from cascade.notebook.cell_body import CellTask, names_in
from cascade.notebook.cell_values import Absent

__all__ = ["Cells", "Inputs", "reach_of", "written_by_functions"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a cell is given.

    Attributes:
        givers: by name, the cell that gives it, in the order of the task's parameters; empty: the notebook does.
    """

    givers: dict[str, str] = field(default_factory=dict)

    @property
    def cells(self) -> list[str]:
        """The cells that it needs."""
        return [cell for cell in dict.fromkeys(self.givers.values()) if cell]


class Cells:
    """The cells of this notebook that are tasks, by name.

    Attributes:
        tasks: by name, in the order in which they were first defined. touched: the values that cells got in the run
            that goes on, or in the last one.
    """

    def __init__(self) -> None:
        """There are none."""
        self.tasks: dict[str, CellTask] = {}
        self.touched: dict[str, Any] = {}
        self._bound: dict[str, Any] = {}

    # -- definitions --------------------------------------------------------------------------------------------------

    def define(self, task: CellTask, names: dict[str, Any]) -> None:
        """Take a cell in; it replaces the one of that name, and what the same cell was before.

        Args:
            names: of the notebook.

        Raises:
            CellError: when two cells would give one name, or need each other.
        """
        kept = {name: old for name, old in self.tasks.items() if not (task.cell and old.cell == task.cell)}
        tasks = {name: kept.get(name, task) for name in self.tasks if name in kept or name == task.name}
        tasks[task.name] = task
        self._check_names(task, tasks)
        self._check_own(task, tasks, names)
        self._check_cycle(task, tasks, names)
        for name, old in list(self.tasks.items()):
            if tasks.get(name) is not old and (name not in tasks or old.text != task.text or old.line != task.line):
                self._unbind(old, names)
        self.tasks = tasks

    def forget(self, name: str, names: dict[str, Any]) -> None:
        """Let a cell be a task no longer.

        Raises:
            CellError: when there is none of that name.
        """
        self._unbind(self.get(name), names)
        del self.tasks[name]

    def retire(self, cell: str, text: str) -> None:
        """Let a cell be a task no longer that runs as an ordinary one now; what it gave stays, as what it assigned.

        Args:
            cell: its id. text: all of it, as it runs now.
        """
        if text.lstrip().startswith("%%cascade"):
            return
        for name in [task.name for task in self.tasks.values() if cell and task.cell == cell]:
            for each in self.tasks.pop(name).gives:
                self._bound.pop(each, None)

    def get(self, name: str) -> CellTask:
        """Return the cell of that name.

        Raises:
            CellError: when there is none.
        """
        if name not in self.tasks:
            raise CellError.for_unknown(name, self.tasks)
        return self.tasks[name]

    def _check_names(self, task: CellTask, tasks: Mapping[str, CellTask]) -> None:
        for name in task.gives:
            for other in tasks.values():
                is_other = other is not task and name in other.gives
                if is_other and name not in task.flow.passing and name not in other.flow.passing:
                    lines = other.flow.gives[name], task.flow.gives[name]
                    raise CellError.for_two(name, other.name, lines[0], task.name, lines[1])

    def _check_own(self, task: CellTask, tasks: Mapping[str, CellTask], names: Mapping[str, Any]) -> None:
        """Refuse a cell that starts from what it gave before."""
        for name in task.gives:
            is_read = name in task.flow.reads and name not in task.flow.unsure
            if is_read and name in names and not self._has_bound(name, names) and not _giver(name, task, tasks):
                raise CellError.for_own_input(task.name, name, task.flow.reads[name])

    def _check_cycle(self, task: CellTask, tasks: Mapping[str, CellTask], names: Mapping[str, Any]) -> None:
        """Refuse a cell that needs itself: only the one that is new can close a circle."""
        trail = [(task.name, "", "")]
        seen: set[str] = set()

        def walk(reader: str) -> list[tuple[str, str, str]] | None:
            for name, giver in self.inputs_of(tasks[reader], names, tasks).givers.items():
                if giver == task.name:
                    return [(reader, name, giver)]
                if giver and giver not in seen:
                    seen.add(giver)
                    rest = walk(giver)
                    if rest is not None:
                        return [(reader, name, giver), *rest]
            return None

        steps = walk(trail[0][0])
        if steps is not None:
            raise CellError.for_cycle(steps)

    # -- edges --------------------------------------------------------------------------------------------------------

    def inputs_of(
        self, task: CellTask, names: Mapping[str, Any], tasks: Mapping[str, CellTask] | None = None
    ) -> Inputs:
        """Return what a cell is given, by other cells and by the notebook.

        Raises:
            CellError: when it reads a loop variable that several cells leave behind.
        """
        tasks = self.tasks if tasks is None else tasks
        flow = task.flow
        given = {name for other in tasks.values() for name in other.gives}
        reach = reach_of(names, given)
        wanted = dict.fromkeys([*flow.reads, *flow.builtins])
        for name in list(wanted):
            wanted.update(dict.fromkeys(sorted(reach.get(name, ()))))
        found: dict[str, str] = {}
        for name in wanted:
            giver = _giver(name, task, tasks)
            if giver:
                found[name] = giver
            elif name in flow.gives or name in given:
                if name in flow.reads and name not in flow.unsure and name not in task.gives and name in names:
                    found[name] = ""
            elif name in names and is_lazy(names[name]):
                found[name] = ""
        return Inputs(found)

    def closure(self, wanted: Iterable[str], names: Mapping[str, Any]) -> list[CellTask]:
        """Return the cells `wanted` and all that they need, givers first."""
        order: dict[str, CellTask] = {}
        stack = [(name, False) for name in reversed(list(wanted))]
        while stack:
            name, is_ready = stack.pop()
            if name in order:
                continue
            if is_ready:
                order[name] = self.get(name)
                continue
            stack.append((name, True))
            needs = self.inputs_of(self.get(name), names).cells
            stack += [(need, False) for need in reversed(needs) if need not in order]
        return list(order.values())

    # -- names of the notebook ----------------------------------------------------------------------------------------

    def given_names(self) -> set[str]:
        """Return all names that cells give."""
        return {name for task in self.tasks.values() for name in task.gives}

    def touch(self, task: CellTask, value: Any) -> None:
        """Note the value that a cell has in the run that goes on; from any thread."""
        if self.tasks.get(task.name) is task:
            self.touched[task.name] = value

    def bind(self, tasks: Iterable[CellTask], names: dict[str, Any]) -> None:
        """Give the notebook the results of cells that were computed or looked up since `touched` was emptied."""
        for task in tasks:
            if task.name not in self.touched:
                continue
            results, _ = task.unwrap(self.touched[task.name])
            for name, value in results.items():
                if isinstance(value, Absent):
                    self._unbind_name(name, names)
                else:
                    names[name] = self._bound[name] = value
            _import_all(task, names)

    def bind_touched(self, names: dict[str, Any]) -> None:
        """Do the same for all cells; a retry goes on with some run of theirs."""
        self.bind(list(self.tasks.values()), names)

    def results_of(self, task: CellTask, names: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the notebook has of a cell's results, if it has all of them; else nothing."""
        if not all(self._has_bound(name, names) for name in task.gives):
            return {}
        return {name: names[name] for name in task.gives}

    def supply_imports(self, tasks: Iterable[CellTask], names: dict[str, Any]) -> None:
        """Import for cells what only other task cells import; an import is no result, and makes no edge."""
        texts = {name: text for task in self.tasks.values() for name, text in task.flow.imports.items()}
        for task in tasks:
            for name in task.flow.reads:
                if name in texts and name not in names:
                    _import(texts[name], names)

    def _has_bound(self, name: str, names: Mapping[str, Any]) -> bool:
        return name in self._bound and names.get(name) is self._bound[name]

    def _unbind(self, task: CellTask, names: dict[str, Any]) -> None:
        """Take away what a cell gave, so that nobody works with what is no longer true."""
        self.touched.pop(task.name, None)
        for name in task.gives:
            self._unbind_name(name, names)

    def _unbind_name(self, name: str, names: dict[str, Any]) -> None:
        if self._has_bound(name, names):
            del names[name]
        self._bound.pop(name, None)


def _giver(name: str, reader: CellTask, tasks: Mapping[str, CellTask]) -> str:
    """Return the cell from which `reader` gets a name, empty if there is none."""
    found = [task for task in tasks.values() if task is not reader and name in task.gives]
    solid = [task for task in found if name not in task.flow.passing] or found
    if not solid or (name in reader.gives and name in reader.flow.unsure):
        return ""
    if len(solid) > 1:
        raise CellError.for_many(name, [task.name for task in solid], reader.name)
    return solid[0].name


def reach_of(names: Mapping[str, Any], given: set[str]) -> dict[str, set[str]]:
    """Return which of the `given` names functions of ordinary cells use, directly or through each other."""
    uses = {
        name: names_in(value.__code__)
        for name, value in names.items()
        if isinstance(value, FunctionType) and value.__globals__ is names
    }
    reach = {name: used & given for name, used in uses.items()}
    grew = True
    while grew:
        grew = False
        for name, used in uses.items():
            more = set().union(*(reach[other] for other in used & uses.keys()))
            if not more <= reach[name]:
                reach[name] |= more
                grew = True
    return {name: found for name, found in reach.items() if found}


def written_by_functions(names: Mapping[str, Any]) -> set[str]:
    """Return the names that functions of ordinary cells assign or delete, by ``global``."""
    codes = [each.__code__ for each in names.values() if isinstance(each, FunctionType) and each.__globals__ is names]
    return set().union(*(_written(code) for code in codes))


@lru_cache(maxsize=2048)
def _written(code: CodeType) -> frozenset[str]:
    own = {step.argval for step in get_instructions(code) if step.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}}
    return frozenset(own.union(*(_written(each) for each in code.co_consts if isinstance(each, CodeType))))


def is_lazy(value: Any) -> bool:
    """Whether a name of the notebook stands for something that only a run has: a Param, a lazy result, a resource."""
    from cascade.spec.input import Input
    from cascade.spec.lazy_types import LazyResult
    from cascade.spec.resource import Inject, Resource
    from cascade.spec.routing import Router

    kinds = (Input, LazyResult, Router, Inject, Resource)
    if isinstance(value, dict):
        return any(isinstance(each, kinds) for each in value.values())
    if isinstance(value, (list, tuple)):
        return any(isinstance(each, kinds) for each in value)
    return isinstance(value, kinds)


def _import_all(task: CellTask, names: dict[str, Any]) -> None:
    for name, text in task.flow.imports.items():
        if name in task.flow.gives and name not in names:
            _import(text, names)


def _import(text: str, names: dict[str, Any]) -> None:
    try:
        exec(text, names)  # noqa: S102 - an import statement of the user's own cell
    except ImportError:
        return  # the cell that needs it says so, with its own line
