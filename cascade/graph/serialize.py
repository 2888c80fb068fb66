"""Lazy results → a graph file: JSON that can be read, compared, kept, and run again.

In: a target or a Graph. Out: text. Invariant: nodes stand after what they need, so that a reader needs no recursion
and a circle cannot be written; what cannot be given back exactly is refused, and secrets are never written.

One line is one node. Tasks are named by ``module:qualname`` and found again in the workflow context, the user's own
classes beside them; `from_json` imports nothing. Other values are those of `cascade.graph.literals`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import FunctionType
from typing import Any, Final

from cascade.context import get_current_context
from cascade.graph.deserialize import FORMAT, OF_TASK, VERSION, from_json
from cascade.graph.literals import MOST_DEPTH, TAG, Problem, is_text, to_tagged
from cascade.graph.model import ContainerSlot, Graph, InputRef, Ref, ResourceRef
from cascade.graph.type_words import EXCEPTIONS, Classes, owns, type_to_word
from cascade.interfaces.exceptions import GraphError, GraphFormatError, NotLazyError
from cascade.spec.control import JumpSelector
from cascade.spec.input import Input, Param
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult, Unmapped
from cascade.spec.policy import PLAIN, UNSET, Options, RetryPolicy
from cascade.spec.resource import Inject, Resource
from cascade.spec.routing import Router
from cascade.spec.task import BoundTask, Task

__all__ = ["Writer", "from_json", "to_json"]

_PLAIN: Final = frozenset({bool, type(None)})
_ATOMS: Final = frozenset({int, float, str, bytes, bool, complex, type(None)})
_BUILTIN: Final = _ATOMS | {list, tuple, dict, set, frozenset}
Call = LazyResult[Any] | Router


def to_json(target: object) -> str:
    """Return a target, or a graph, as JSON that `from_json` reads back.

    Args:
        target: a lazy result, a Router, lists, tuples, sets and dicts of them at any depth, or a Graph.

    Raises:
        NotLazyError: when there is nothing lazy in `target`.
        GraphFormatError: when something cannot be written, with its place.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def add(x, y): return x + y
        >>> text = cs.to_json(add(add(1, 2), y=3))
        >>> cs.run(cs.from_json(text), log_level="ERROR")
        6
    """
    return _Writer().write(_original(target.target, target) if isinstance(target, Graph) else target)


def _original(slot: object, graph: Graph) -> object:
    """Return what the user gave where a graph has `slot`."""
    if isinstance(slot, Ref):
        call = graph.calls[slot.index]
        return LazyItem(call, tuple([_original(key, graph) for key in slot.path])) if slot.path else call
    if isinstance(slot, InputRef):
        return slot.input
    if isinstance(slot, ResourceRef):
        return slot.inject
    return slot.like if isinstance(slot, ContainerSlot) else slot


class _Writer:
    """Numbers calls, needs first, and writes each as one line.

    Responsible for: sharing, order, names. Refuses: what `literals` and `type_words` have no word for.
    """

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.nodes: list[object] = []
        self.inputs: dict[int, int] = {}
        self.input_records: list[object] = []
        self.tasks: dict[tuple[str, str], int] = {}
        self.functions: dict[str, object] = {}
        self.classes = Classes()
        self.found: set[int] = set()
        self.depth = 0

    def write(self, target: object) -> str:
        first = _calls_in([target])
        if not first:
            raise NotLazyError.for_target(target)
        for call in first:
            self.number(call)
        shown = self.field("The target", target)
        head = {"format": FORMAT, "version": VERSION}
        tasks = self.task_records()
        parts = [f'"{name}": {_dump(value)}' for name, value in head.items()]
        for name, records in (("tasks", tasks), ("inputs", self.input_records), ("nodes", self.nodes)):
            lines = ",\n    ".join([_dump(record) for record in records])
            parts.append(f'"{name}": [\n    {lines}\n  ]' if records else f'"{name}": []')
        parts.append(f'"target": {_dump(shown)}')
        return "{\n  " + ",\n  ".join(parts) + "\n}\n"

    # -- calls ----------------------------------------------------------------------------------------------------

    def number(self, call: Call) -> None:
        """Write `call` after all that it needs; a walk with a stack of its own."""
        if id(call) in self.numbers:
            return
        stack = [(call, _needs(call))]
        above = {id(call)}
        while stack:
            current, needs = stack[-1]
            for need in needs:
                if id(need) in above:
                    calls = [each for each, _ in stack]
                    start = next(i for i, each in enumerate(calls) if each is need)
                    raise GraphError.for_cycle([_label(each) for each in (*calls[start:], need)])
                if id(need) not in self.numbers:
                    stack.append((need, _needs(need)))
                    above.add(id(need))
                    break
            else:
                stack.pop()
                above.discard(id(current))
                self.nodes.append(self.router(current) if isinstance(current, Router) else self.call(current))
                self.numbers[id(current)] = len(self.nodes) - 1

    def call(self, call: LazyResult[Any]) -> dict[str, object]:
        task, args, kwargs = call._task, call._args, call._kwargs  # noqa: SLF001
        where = f"Task '{call._label}'"  # noqa: SLF001
        record: dict[str, object] = {"task": self.task(task, where)}
        skipped = 0
        if args and isinstance(args[0], (type, Unmapped)) and (bound := _bound_class(call)) is not None:
            record["class"] = self.guard(f"{where}, class", lambda: self.classes.word(bound))
            skipped = 1
        if len(args) > skipped:
            names = task.positional
            places = [
                f"{where}, argument '{names[i]}'" if i < len(names) else f"{where}, argument {i + 1}"
                for i in range(skipped, len(args))
            ]
            record["args"] = [self.field(*each) for each in zip(places, args[skipped:], strict=True)]
        if kwargs:
            named = {_name(k, where): self.field(f"{where}, argument '{k}'", value) for k, value in kwargs.items()}
            record["kwargs"] = named
        if isinstance(call, LazyMap):
            record["map"] = {"max_concurrency": call._max_concurrency, "on_error": call._on_error}  # noqa: SLF001
        if (options := self.said(call, where)) is not None:
            record["options"] = options
        return record

    def said(self, call: LazyResult[Any], where: str) -> dict[str, object] | None:
        """Return what was said about a call, None where nothing was."""
        options = call._options  # noqa: SLF001
        return None if options is None else self.options(options, call._task.options or PLAIN, where)  # noqa: SLF001

    def task_records(self) -> list[object]:
        """Return what tells the reader which tasks are called."""
        return [{"key": key, "name": name} for key, name in self.tasks]

    def task(self, task: Task[..., Any], where: str) -> int:
        """Return the number of a task, if a reader can find it again by its key."""
        found = self.tasks.get((task.key, task.name))
        if found is None:
            found = len(self.tasks)
            self.tasks[_name(task.key, where), _name(task.name, where)] = found
        if id(task) not in self.found:
            self.check_task(task, where)
            self.found.add(id(task))
        return found

    def check_task(self, task: Task[..., Any], where: str) -> None:
        """Refuse a task if the reader would find another one under its key; a newer definition of it is no other."""
        registered = get_current_context().tasks.get(task.key, task)
        first = self.functions.setdefault(task.key, task.func)
        is_newer = registered.func is task.func or _is_redefined(registered)
        if not is_newer or not (first is task.func or _have_equal_code(first, task.func)):
            problem = (
                f"several functions are called {task.key!r}, and a file could not tell them apart; "
                "give them names of their own, or call the newest one everywhere"
            )
            raise GraphFormatError.for_value(where, problem)
        for setting in ("mode", "pure", "version", "depends_on", "ignore"):
            if registered.func is task.func and getattr(registered, setting) != getattr(task, setting):
                problem = (
                    f"another task of its function has another {setting}, and a file could not tell them apart; "
                    "give one of them a function of its own"
                )
                raise GraphFormatError.for_value(where, problem)

    def router(self, router: Router) -> dict[str, object]:
        where = f"Router '{router.label}'"
        routes = [[self.field(f"{where}, key", k), self.field(f"{where}, {k!r}", v)] for k, v in router.routes.items()]
        record: dict[str, object] = {"selector": self.field(f"{where}, selector", router.selector), "routes": routes}
        if router.default is not UNSET:
            record["default"] = self.field(f"{where}, default", router.default)
        if router.name:
            record["name"] = self.field(f"{where}, name", router.name)
        return {"router": record}

    def options(self, options: Options, own: Options, where: str) -> dict[str, object]:
        """Write what was said about a call; `own` is what its decorator says about every call."""
        said = {
            "name": UNSET if options.name is None else options.name,
            "run_if": options.condition,
            "timeout": UNSET if options.timeout is None else options.timeout,
            "fallback": options.fallback,
        }
        record = {name: self.field(f"{where}, {name}", value) for name, value in said.items() if value is not UNSET}
        if options.retry is not None:
            record["retry"] = self.retry(options.retry, own.retry, f"{where}, retry")
        if options.constraints:
            amounts = options.constraints.items()
            record["constraints"] = {_name(k, where): self.field(f"{where}, constraint '{k}'", v) for k, v in amounts}
        if options.after:
            record["after"] = [self.field(f"{where}, after", other) for other in options.after]
        if options.cache is not None:
            record["cache"] = OF_TASK if options.cache is own.cache else self.cache(options.cache, where)
        if isinstance(options.jump, JumpSelector):
            record["jump"] = self.jump(options.jump, f"{where}, jumps")
        return record

    def cache(self, policy: object, where: str) -> object:
        """Refuse a cache policy that is not the task's."""
        problem = f"a graph file cannot hold the cache policy {type(policy).__name__}; give it to @cs.task(cache=…)"
        raise GraphFormatError.for_value(f"{where}, cache", problem)

    def jump(self, jumps: JumpSelector, where: str) -> dict[str, object]:
        routes = []
        for key, target in jumps.routes.items():
            place = f"{where}, {key!r}"
            record: dict[str, object] | None = None
            if isinstance(target, LazyResult):
                plain = LazyResult(target._task, target._args, target._kwargs, None)  # noqa: SLF001 - all that counts
                record = {**self.call(plain), "called": True}
            elif isinstance(target, BoundTask):
                record = {"task": self.task(target.task, place), "owner": self.field(place, target.owner)}
            elif target is not None:
                record = {"task": self.task(target, place)}
            routes.append([self.field(f"{where}, key", key), record])
        return {"max_jumps": jumps.max_jumps, "routes": routes}

    def retry(self, retry: RetryPolicy, own: RetryPolicy | None, where: str) -> object:
        kinds = retry.retry_on
        listed = kinds if isinstance(kinds, tuple) else (kinds,)
        try:
            names = [self.exception(kind) for kind in listed]
        except Problem as problem:
            if retry is own:
                return OF_TASK
            hint = "give it to @cs.task(retry=…)"
            raise GraphFormatError.for_value(where, f"retry_on: {problem}; or {hint}") from None
        numbers = ("max_attempts", "delay", "backoff", "jitter", "max_delay")
        record = {name: self.field(f"{where}, {name}", getattr(retry, name)) for name in numbers}
        return {**record, "retry_on": names if isinstance(kinds, tuple) else names[0]}

    def exception(self, kind: object) -> str:
        if not isinstance(kind, type):
            raise Problem("a graph file cannot hold a function of the exception; name exception types")
        name: str = kind.__name__
        return name if EXCEPTIONS.get(name) is kind else self.classes.word(kind)

    # -- inputs ---------------------------------------------------------------------------------------------------

    def input(self, item: Input) -> int:
        if id(item) not in self.inputs:
            where = f"{item.word} '{item.name}'"
            record: dict[str, object] = {"kind": "param" if isinstance(item, Param) else "env"}
            record["name"] = _name(item.name, where)
            record["type"] = self.guard(f"{where}, type", lambda: type_to_word(item.type, self.value, self.classes))
            if item.description:
                record["description"] = self.field(f"{where}, description", item.description)
            if item.secret:
                record["secret"] = True
            elif not item.required:
                record["default"] = self.field(f"{where}, default", item.default)
            if item.choices is not None and not item.secret:
                record["choices"] = [self.field(f"{where}, choices", choice) for choice in item.choices]
            if item.bounds is not None and not item.secret:
                record["bounds"] = [self.field(f"{where}, bounds", bound) for bound in item.bounds]
            self.inputs[id(item)] = len(self.input_records)
            self.input_records.append(record)
        return self.inputs[id(item)]

    # -- values ---------------------------------------------------------------------------------------------------

    def field(self, where: str, value: object) -> object:
        """Return `value` for JSON; an error names `where`."""
        return value if type(value) in _PLAIN else self.guard(where, lambda: self.value(value))

    def guard(self, where: str, make: Callable[[], object]) -> object:
        depth, self.depth = self.depth, 0
        try:
            return make()
        except Problem as problem:
            raise GraphFormatError.for_value(where, str(problem)) from None
        finally:
            self.depth = depth

    def value(self, value: Any) -> object:
        self.depth += 1
        if self.depth > MOST_DEPTH + 1:
            raise Problem(f"containers are nested more than {MOST_DEPTH} deep, or hold themselves")
        shown = self.inner(value)
        self.depth -= 1
        return shown

    def inner(self, value: Any) -> object:
        if isinstance(value, LazyItem):
            return {**self.ref(value._base), "path": [self.value(key) for key in value._path]}  # noqa: SLF001
        if isinstance(value, (LazyResult, Router)):
            return self.ref(value)
        if isinstance(value, Input):
            return {TAG: "input", "of": self.input(value)}
        if isinstance(value, (Inject, Resource)):
            return {TAG: "inject", "name": _name(value.name, "A resource")}
        if isinstance(value, Unmapped):
            return {TAG: "unmapped", "value": self.value(value.value)}
        own = None if type(value) in _BUILTIN else self.classes.write(value, self.value)
        return to_tagged(value, self.value) if own is None else own

    def ref(self, call: Call) -> dict[str, object]:
        if id(call) not in self.numbers:
            raise Problem(f"the lazy result '{_label(call)}' cannot stand here")
        return {TAG: "ref", "node": self.numbers[id(call)]}


Writer = _Writer  # for those who keep what a task returned


def _bound_class(call: LazyResult[Any]) -> type | None:
    """Return the class of a class method's call."""
    first = call._args[0]  # noqa: SLF001
    if isinstance(call, LazyMap):
        first = first.value if isinstance(first, Unmapped) else None
    return first if isinstance(first, type) and owns(first, call._task) else None  # noqa: SLF001


def _needs(call: Call) -> Iterator[Call]:
    """Return the calls that `call` names anywhere, one at a time."""
    if isinstance(call, Router):
        return iter(_calls_in([call.selector, call.default, *call.routes.values()]))
    parts: list[object] = [*call._args]  # noqa: SLF001
    if call._kwargs:  # noqa: SLF001
        parts += call._kwargs.values()  # noqa: SLF001
    options = call._options  # noqa: SLF001
    if options is not None:
        parts += [options.condition, options.fallback, *options.after, *(options.constraints or {}).values()]
        if isinstance(options.jump, JumpSelector):
            parts += _held_by(options.jump)
    return iter(_calls_in(parts))


def _held_by(jumps: JumpSelector) -> list[object]:
    """Return what the targets of jumps were given beforehand; they are no nodes themselves."""
    found: list[object] = []
    for target in jumps.routes.values():
        if isinstance(target, LazyResult):
            found += [*target._args, *(target._kwargs or {}).values()]  # noqa: SLF001
        elif isinstance(target, BoundTask):
            found.append(target.owner)
    return found


def _calls_in(values: list[Any]) -> list[Call]:
    """Return the lazy results and Routers in some values, in order, at any depth."""
    found: list[Call] = []
    stack = values[::-1]
    seen: set[int] = set()
    while stack:
        current = stack.pop()
        kind = type(current)
        if kind is LazyResult:
            found.append(current)
        elif kind in _ATOMS:
            continue
        elif isinstance(current, LazyItem):
            found.append(current._base)  # noqa: SLF001
            stack.extend(reversed(current._path))  # noqa: SLF001
        elif isinstance(current, (LazyResult, Router)):
            found.append(current)
        elif isinstance(current, Unmapped):
            stack.append(current.value)
        elif id(current) not in seen and (parts := _parts(current)) is not None:
            seen.add(id(current))
            stack.extend(reversed(parts))
    return found


def _parts(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in fields(value)]
    return None


def _is_redefined(task: Task[..., Any]) -> bool:
    """Say whether `task` is what its module now has under its name, so that it took the place of older ones."""
    module, _, path = task.key.partition(":")
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = None if found is None else getattr(found, name, None)
    return getattr(found, "func", found) is task.func


def _have_equal_code(one: Any, other: Any) -> bool:
    """Say whether one cell was only run twice: two functions with the same code and nothing else to them."""
    if not (isinstance(one, FunctionType) and isinstance(other, FunctionType)) or one.__closure__ or other.__closure__:
        return False
    told = [[each.__defaults__ or (), sorted((each.__kwdefaults__ or {}).items())] for each in (one, other)]
    kinds = {type(value) for positional, named in told for value in (*positional, *(value for _, value in named))}
    return one.__code__ == other.__code__ and kinds <= _ATOMS and repr(told[0]) == repr(told[1])


def _label(call: Call) -> str:
    return call.label if isinstance(call, Router) else call._label  # noqa: SLF001


def _name(name: object, where: str) -> str:
    """Return a name as it is, if any reader of JSON gives it back."""
    if not isinstance(name, str) or not is_text(name):
        raise GraphFormatError.for_value(where, f"{name!r} cannot be a name in a graph file")
    return name


_dump: Final = json.JSONEncoder(allow_nan=False).encode
