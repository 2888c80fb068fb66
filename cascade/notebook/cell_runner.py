"""Cells of one graph → tasks, and lazy results that call them.

In: the book of cells, the names of the notebook. Out: a lazy result for each cell that is asked for. Invariant: a cell
runs in a namespace of its own: the notebook's names as they are when the graph is made, its inputs, and nothing that
another cell gives behind its back; what it assigns reaches others only as its result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import CO_COROUTINE
from types import FunctionType
from typing import Any, Final, Self

from cascade.notebook.cell_body import SHOWN, CellTask, key_function, names_in
from cascade.notebook.cell_graph import Cells, Inputs, reach_of, written_by_functions
from cascade.notebook.cell_magics import TIMED, ShellHere, timed
from cascade.notebook.cell_showing import MARK
from cascade.notebook.cell_store import InSession
from cascade.notebook.cell_values import Guard, collect_results

__all__ = ["make_lazies"]

_SHELL: Final = frozenset({"get_ipython", "exit", "quit", "In", "Out", "_ih", "_oh", "_dh", "_", "__", "___"})


def make_lazies(cells: Cells, wanted: Iterable[str], names: dict[str, Any], flags: int) -> dict[str, Any]:
    """Return the lazy results of the cells `wanted` and of all that they need, by name of the cell.

    Args:
        names: of the notebook. flags: of the shell's compiler.

    Raises:
        CellError: for a cell that there is not.
    """
    order = cells.closure(wanted, names)
    cells.supply_imports(order, names)
    made: dict[str, Any] = {}
    for task in order:
        inputs = cells.inputs_of(task, names)
        runner = _Runner(cells, task, inputs, _Outside.of(cells, task, inputs, names))
        values = [
            _pick(cells.get(giver), made[giver], name) if giver else names[name]
            for name, giver in inputs.givers.items()
        ]
        made[task.name] = runner.make_task(flags)(*values)
    return made


def _pick(task: CellTask, lazy: Any, name: str) -> Any:
    return lazy if task.gives_one else lazy[name]


@dataclass(frozen=True, slots=True)
class _Outside:
    """The names of the notebook as a cell may see them.

    Attributes:
        names: without what task cells give. moved: functions of ordinary cells that use what task cells give, or what
            such functions assign with ``global``: they do that to the names of the cell that calls them. used: names
            that the cell, or a function of an ordinary cell that it calls, looks up.
    """

    names: dict[str, Any]
    moved: dict[str, FunctionType]
    used: frozenset[str]

    @classmethod
    def of(cls, cells: Cells, task: CellTask, inputs: Inputs, names: dict[str, Any]) -> _Outside:
        given = cells.given_names()
        own = {name for name in task.flow.gives if name not in task.flow.imports}
        hidden = given | own | set(inputs.givers)
        moved = {name: names[name] for name in reach_of(names, given | written_by_functions(names))}
        used = frozenset(_used(names_in(task.body.main, task.body.last), names) - hidden - _SHELL)
        return cls({name: value for name, value in names.items() if name not in hidden}, moved, used)

    def stand_in(self) -> dict[str, Any]:
        """Return the names as keys are made of them: not the shell's own, which stand for all of IPython."""
        return {name: value for name, value in self.namespace({}).items() if name not in _SHELL}

    def namespace(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a namespace for one run of the cell."""
        made = {**self.names, **inputs}
        made.update({name: _move(function, made) for name, function in self.moved.items() if name not in inputs})
        return made


def _used(found: set[str], names: Mapping[str, Any]) -> set[str]:
    """Return the names of the notebook that code with the names `found` looks up, through functions too."""
    used: set[str] = set()
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        if name in names and name not in used:
            used.add(name)
            value = names[name]
            if isinstance(value, FunctionType) and value.__globals__ is names:
                waiting += names_in(value.__code__)
    return used


def _move(function: FunctionType, namespace: dict[str, Any]) -> FunctionType:
    """Return the same function, looking its globals up in another namespace."""
    made = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__, made.__doc__ = function.__qualname__, function.__doc__
    made.__module__ = function.__module__
    made.__dict__.update(function.__dict__)
    return made


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs the body of one cell."""

    cells: Cells
    task: CellTask
    inputs: Inputs
    outside: _Outside

    def make_task(self, flags: int) -> Any:
        """Return the task of the cell; what stands for it in keys is its code, not this runner."""
        from cascade.spec.policy import PLAIN
        from cascade.spec.task import Task

        cell = self.task
        function = self._as_async() if cell.is_async else self._as_plain()
        stand_in = key_function(cell, self.inputs.givers, self.outside.stand_in(), flags)
        vars(function).update({"__wrapped__": stand_in, MARK: cell})
        function.__name__ = function.__qualname__ = cell.name
        options = None if cell.pure else PLAIN.but(cache=InSession())
        made: Task[..., Any] = Task(function, name=cell.name, pure=cell.pure, options=options)
        return made

    def _as_plain(self) -> Callable[..., Any]:
        def run_cell(*values: Any) -> Any:
            with self._begin(values) as scene:
                scene.run()
                return scene.finish()

        return run_cell

    def _as_async(self) -> Callable[..., Any]:
        async def run_cell(*values: Any) -> Any:
            with self._begin(values) as scene:
                await scene.run_async()
                return scene.finish()

        return run_cell

    def _begin(self, values: tuple[Any, ...]) -> _Scene:
        return _Scene(self, dict(zip(self.inputs.givers, values, strict=True)))


class _Scene:
    """One run of the body of one cell."""

    def __init__(self, runner: _Runner, inputs: Mapping[str, Any]) -> None:
        self.runner = runner
        self.task = runner.task
        self.guard = Guard(runner.task, runner.inputs.givers)
        outer = {
            name: runner.outside.names[name]
            for name in runner.task.flow.changes
            if name not in inputs and name in runner.outside.names
        }
        self.guard.watch({name: runner.outside.names[name] for name in runner.outside.used if name not in outer})
        self.names = runner.outside.namespace({**self.guard.take({**inputs, **outer})})
        self.names[TIMED] = timed
        shell = self.names.get("get_ipython")
        if callable(shell):
            here = ShellHere(shell(), self.names)
            self.names["get_ipython"] = lambda: here
        self.shown: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NameError):
            self._explain(error)

    def run(self) -> None:
        body = self.task.body
        exec(body.main, self.names)  # noqa: S102 - running the user's cell is the point
        if body.last is not None:
            self.shown = eval(body.last, self.names)  # noqa: S307 - the same

    async def run_async(self) -> None:
        body = self.task.body
        for code in (body.main, body.last):
            if code is not None:
                value = eval(code, self.names)  # noqa: S307 - the same
                self.shown = await value if code.co_flags & CO_COROUTINE else value

    def finish(self) -> Any:
        """Check that the inputs are as they were; return the result."""
        self.guard.check()
        task = self.task
        results = collect_results(task, self.names, task.gives)
        value = task.wrap(results, self.shown if task.shows == SHOWN else None)
        used = names_in(task.body.main, task.body.last)
        for name in [name for name in self.names if name not in used and not name.startswith("__")]:
            del self.names[name]  # functions of the cell keep their namespace alive, and with it all that is in it
        self.runner.cells.touch(task, value)
        return value

    def _explain(self, error: NameError) -> None:
        """Say where a name might have come from."""
        from cascade.interfaces.exceptions import nearest

        name = str(getattr(error, "name", "") or "")
        given = {each: task.name for task in self.runner.cells.tasks.values() for each in task.gives}
        hint = nearest(name, given).strip()
        if name in given and given[name] != self.task.name:
            error.add_note(f"Cell '{given[name]}' gives '{name}' by now. Run this cell again.")
        elif name and hint:
            error.add_note(f"No cell gives '{name}'. {hint}")
