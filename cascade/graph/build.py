"""LazyResult → Graph: record what the user composed.

In: a target (lazy result, Router, or containers of them). Out: a Graph. Invariant: runs nothing, recurses over no
graph; equal calls of pure tasks become one node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from cascade.graph.model import (
    GENERAL,
    INLINE,
    LITERALS,
    MAP,
    MODES,
    REFS,
    ROUTE,
    TASK,
    THREAD,
    ContainerSlot,
    Graph,
    InputRef,
    Machine,
    Ref,
    ResourceRef,
    Route,
    State,
    UnmappedSlot,
    as_name,
)
from cascade.interfaces.exceptions import GraphError, NotLazyError
from cascade.spec.control import JumpSelector
from cascade.spec.input import Env, Input, Param
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult, Unmapped
from cascade.spec.policy import UNSET, Options
from cascade.spec.resource import Inject, Resource
from cascade.spec.routing import Router

__all__ = ["Builder", "build", "refs_in", "slots_in"]

MOST_NAME = 60  # characters of a name made of keys
_ATOMS = frozenset({int, float, str, bytes, bool, complex, type(None)})
_CONTAINERS = (list, tuple, set, frozenset, dict)
_SPECIAL = (LazyResult, Router, Input, Inject, Resource, Unmapped)


def build(target: object, name: str = "") -> Graph:
    """Return the graph of everything that `target` may need.

    Args:
        target: a lazy result, a Router, or lists, tuples, sets and dicts of them at any depth.
        name: shown in views; by default the target's.

    Raises:
        NotLazyError: when there is nothing lazy in `target`.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def inc(x): return x + 1
        >>> len(build(inc(inc(0))))
        2
    """
    graph = Builder({}).build(target, name)
    if any(getattr(call._task, "pure", False) for call in graph.calls if isinstance(call, LazyResult)):  # noqa: SLF001
        from cascade.graph.merge import find_equal_calls

        aliases = find_equal_calls(graph)
        if aliases:
            graph = Builder(aliases).build(target, name)
    return graph


class Builder:
    """Numbers calls in the order in which they are met, from the target up.

    Responsible for: numbering, argument slots, who waits for whom. Refuses: checking (`check`), ordering (`order`).
    """

    def __init__(self, aliases: dict[int, LazyResult[Any]]) -> None:
        self.graph = Graph()
        self.index: dict[int, int] = {}
        self.inputs: dict[int, Input] = {}
        self.aliases = aliases
        self.plain: set[int] = set()
        self.is_looking = bool(aliases)  # every call goes through `number`

    def build(self, target: object, name: str) -> Graph:
        """Return the graph of `target`."""
        graph = self.graph
        graph.target = self.slot(target)
        if not graph.calls:
            raise NotLazyError.for_target(target)
        self.record_from(0)
        graph.complete = len(graph)
        graph.params = [i for i in self.inputs.values() if isinstance(i, Param)]
        graph.envs = [i for i in self.inputs.values() if isinstance(i, Env)]
        graph.name = as_name(name or self.describe())
        return graph

    def describe(self) -> str:
        """Name the graph after its target: the node's name, the keys of a dict, else the first node's and a number."""
        graph = self.graph
        target: Any = graph.target
        if type(target) is Ref:
            return graph.label(target.index)
        if type(target) is ContainerSlot and isinstance(target.like, dict):
            keys = [str(key) for key in target.like if isinstance(key, (str, int))][:4]
            if len(keys) == len(target.like):
                return ", ".join(keys)[:MOST_NAME]
        others = len(set(refs_in(target))) - 1
        return f"{graph.label(0)} and {others} more" if others else graph.label(0)

    # -- numbering ------------------------------------------------------------------------------------------------

    def number(self, call: Any) -> int:
        """Return the number of `call`, a new one if it has none."""
        found = self.index.get(id(call))
        if found is not None:
            return found
        if self.aliases and id(call) in self.aliases:
            found = self.number(self.aliases[id(call)])
            self.index[id(call)] = found
            return found
        graph = self.graph
        number = len(graph.calls)
        self.index[id(call)] = number
        graph.calls.append(call)
        graph.succ.append([])
        if type(call) is Router:
            graph.kinds.append(ROUTE)
            graph.modes.append(0)
        else:
            graph.kinds.append(MAP if type(call) is LazyMap else TASK)
            graph.modes.append(MODES[call._task.mode])  # noqa: SLF001
        return number

    def record_from(self, first: int) -> None:
        """Fill in the lists for each node from `first` on, those that are met on the way too: plain calls right here.

        A plain call has no options and no keywords, and its arguments are all plain values or all calls.
        """
        graph, index, is_looking = self.graph, self.index, self.is_looking
        calls, succ = graph.calls, graph.succ
        add_call, add_succ, add_kind, add_mode = calls.append, succ.append, graph.kinds.append, graph.modes.append
        add_shape, add_args, add_left, claim = (
            graph.shapes.append,
            graph.args.append,
            graph.left.append,
            index.setdefault,
        )
        unread = iter(calls)  # it grows while it is gone through
        unread.__setstate__(first)  # type: ignore[attr-defined]
        for number, call in enumerate(unread, first):
            if type(call) is Router or call._options is not None or call._kwargs or call._task.defaults:  # noqa: SLF001
                self.record_general(number, call)
                continue
            args = call._args  # noqa: SLF001
            refs = []
            for a in args:
                kind = type(a)
                if kind is LazyResult:
                    free = len(calls)
                    j = self.number(a) if is_looking else claim(id(a), free)
                    if j == free and not is_looking:  # as `number` does it
                        add_call(a)
                        add_succ([])
                        add_kind(TASK)
                        add_mode(MODES[a._task.mode])  # noqa: SLF001
                    refs.append(j)
                elif kind not in _ATOMS:
                    self.record_general(number, call)
                    break
            else:
                if not refs:
                    add_shape(LITERALS)
                    add_args(args)
                elif len(refs) == len(args):
                    for j in refs:
                        succ[j].append(number)
                    add_shape(REFS)
                    add_args(tuple(refs))
                else:
                    self.record_general(number, call)
                    continue
                add_left(len(refs))

    def record_general(self, number: int, call: Any) -> None:
        """Fill in the lists for a call that is not plain."""
        graph = self.graph
        if type(call) is Router:
            graph.routes[number] = self.route(call)
            graph.shapes.append(LITERALS)
            graph.args.append(())
            graph.left.append(0)
            return
        given, named = _filled_in(call)
        args = tuple([self.slot(a) for a in given])
        kwargs = {k: self.slot(v) for k, v in named.items()}
        graph.shapes.append(GENERAL)
        graph.args.append(args)
        if kwargs:
            graph.kwargs[number] = kwargs
        needs = [r for a in (*args, *kwargs.values()) for r in refs_in(a)]
        options = call._options  # noqa: SLF001
        if options is not None:
            needs += self.record_options(number, options)
        if needs:
            graph.needs[number] = needs
        graph.left.append(len(needs))
        for j in needs:
            graph.succ[j].append(number)
        later = graph.jumps[number].states.values() if number in graph.jumps else ()
        beforehand = [slot for state in later if state for slot in (*state.args, *state.kwargs.values())]
        self.record_resources(number, (*args, *kwargs.values(), *beforehand))

    def record_options(self, number: int, options: Options) -> list[int]:
        """Note what the options ask for; return the nodes to wait for."""
        graph = self.graph
        graph.refined[number] = options
        needs: list[int] = []
        if options.condition is not UNSET:
            graph.gates[number] = self.slot(options.condition)
        if options.fallback is not UNSET:
            graph.fallbacks[number] = self.slot(options.fallback)
        if options.constraints:
            graph.amounts[number] = {k: self.slot(v) for k, v in options.constraints.items()}
            needs += [r for a in graph.amounts[number].values() for r in refs_in(a)]
        if isinstance(options.jump, JumpSelector):
            graph.jumps[number] = self.machine(options.jump)
            needs += [r for state in graph.jumps[number].states.values() if state for r in _refs_of(state)]
        if options.timeout is not None and graph.modes[number] == INLINE:
            graph.modes[number] = THREAD  # what must be stopped in time cannot run on the scheduler itself
        if options.after:
            graph.orders[number] = [r for o in options.after for r in refs_in(self.slot(o))]
            needs += graph.orders[number]
        return needs

    def record_resources(self, number: int, slots: tuple[object, ...]) -> None:
        """Note which resources a node injects."""
        found: dict[str, None] = {}
        for slot in slots:
            for inner in slots_in(slot):
                if type(inner) is ResourceRef:
                    self.graph.injects[inner.inject.name] = self.graph.injects.get(inner.inject.name, inner.inject)
                    found[inner.inject.name] = None
        if found:
            self.graph.resources[number] = tuple(found)

    def machine(self, selector: JumpSelector) -> Machine:
        """Return the states of a loop with slots for their arguments."""
        states: dict[object, State | None] = {}
        for key, target in selector.routes.items():
            if target is None:
                states[key] = None
            elif isinstance(target, LazyResult):
                given, named = _filled_in(target)
                args = tuple([self.slot(a) for a in given])
                states[key] = State(target._task, args, {k: self.slot(v) for k, v in named.items()})  # noqa: SLF001
            else:
                states[key] = State(target, (), {k: self.slot(v) for k, v in target.defaults.items()})
        return Machine(states, selector.max_jumps)

    def route(self, router: Router) -> Route:
        """Return a Router's slots."""
        branches = {k: self.slot(v) for k, v in router.routes.items()}
        default = UNSET if router.default is UNSET else self.slot(router.default)
        return Route(router.label, self.slot(router.selector), branches, default)

    # -- slots ----------------------------------------------------------------------------------------------------

    def slot(self, value: Any, depth: int = 0) -> object:  # noqa: C901, PLR0911 - one branch per kind of value
        """Return what stands for `value` in the graph: itself, when there is nothing lazy in it."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        if kind is LazyResult or kind is LazyMap or kind is Router:
            return Ref(self.number(value))
        if kind is LazyItem:
            return Ref(self.number(value._base), tuple([self.slot(k, depth) for k in value._path]))  # noqa: SLF001
        if isinstance(value, Input):
            self.inputs.setdefault(id(value), value)
            return InputRef(value)
        if kind is Inject:
            return ResourceRef(value)
        if kind is Resource:
            return ResourceRef(Inject(value))
        if kind is Unmapped:
            return UnmappedSlot(self.slot(value.value, depth))
        if _is_container(value) and id(value) not in self.plain:
            if not _holds_special(value):
                self.plain.add(id(value))  # it lives as long as the calls do; many may share it
                return value
            if depth > 200:  # noqa: PLR2004 - far beyond what people write, far below the recursion limit
                raise GraphError.for_depth(kind.__name__)
            return ContainerSlot(value, tuple([self.slot(v, depth + 1) for v in _parts(value)]))
        return value


def _filled_in(call: LazyResult[Any]) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return the arguments, with the defaults that ask for a resource or are lazy filled in where they were left out.

    A map gives such a default whole to every item.
    """
    task, args, kwargs = call._task, call._args, dict(call._kwargs or {})  # noqa: SLF001
    if not task.defaults:
        return args, kwargs
    given = task.signature.bind_partial(*args, **kwargs).arguments
    left = {k: Unmapped(v) if isinstance(call, LazyMap) else v for k, v in task.defaults.items() if k not in given}
    only = [p for p in task.signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    last = max((i for i, p in enumerate(only) if p.name in left), default=-1)
    args += tuple([left.pop(p.name, p.default) for p in only[len(args) : last + 1]])
    return args, {**kwargs, **left}


def _refs_of(state: State) -> list[int]:
    return [r for slot in (*state.args, *state.kwargs.values()) for r in refs_in(slot)]


def _is_container(value: object) -> bool:
    return isinstance(value, _CONTAINERS) or (is_dataclass(value) and not isinstance(value, type))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield item
    elif isinstance(value, _CONTAINERS):
        yield from value
    else:
        for field in fields(value):
            if field.init:
                yield getattr(value, field.name)


def _holds_special(value: object) -> bool:
    """Say whether something lazy sits in a container, at any depth; containers within themselves are no trap."""
    stack, seen = [value], {id(value)}
    while stack:
        container: Any = stack.pop()
        if isinstance(container, (list, tuple, set, frozenset)) and _ATOMS.issuperset(map(type, container)):
            continue
        for part in _parts(container):
            if type(part) in _ATOMS:
                continue
            if isinstance(part, _SPECIAL):
                return True
            if _is_container(part) and id(part) not in seen:
                seen.add(id(part))
                stack.append(part)
    return False


def slots_in(slot: object) -> Iterator[object]:
    """Yield `slot` and every slot inside it, in the order in which they were written."""
    stack = [slot]
    while stack:
        current = stack.pop()
        yield current
        kind = type(current)
        if kind is ContainerSlot:
            stack.extend(reversed(current.items))  # type: ignore[attr-defined]
        elif kind is UnmappedSlot:
            stack.append(current.value)  # type: ignore[attr-defined]
        elif kind is Ref and current.path:  # type: ignore[attr-defined]
            stack.extend(reversed(current.path))  # type: ignore[attr-defined]


def refs_in(slot: object) -> list[int]:
    """Return the numbers of the nodes whose values `slot` needs, each as often as it stands there."""
    kind = type(slot)
    if kind is Ref and not slot.path:  # type: ignore[attr-defined]
        return [slot.index]  # type: ignore[attr-defined]
    if kind in _ATOMS:
        return []
    return [inner.index for inner in slots_in(slot) if type(inner) is Ref]
