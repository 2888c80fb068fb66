"""Calls → keys: equal for calls that do the same to the same.

In: a graph, the code of its tasks, values. Out: recipe keys, known before anything runs; node keys, known when a node's
inputs are. Invariant: a node key is made of the *values* of the inputs, so that a changed upstream which gives the same
value stops there; a recipe key is made of everything above, so that one look tells that nothing has changed. What
cannot be keyed has no key; nothing is guessed.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cascade.graph.build import refs_in
from cascade.graph.model import LITERALS, MAP, REFS, ROUTE, ContainerSlot, InputRef, Ref, ResourceRef, UnmappedSlot
from cascade.graph.order import may_need
from cascade.identity.code import CodeKey, code_key
from cascade.identity.data import data_key, secret_key
from cascade.runtime.maps import is_mapped
from cascade.spec.file import File
from cascade.spec.policy import UNSET

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow
    from cascade.runtime.maps import Row

__all__ = ["Given", "NodeKeys", "digest_of"]

SIZE: Final = 20  # bytes of a key
_LENGTHS: Final = tuple([n.to_bytes(8, "little") for n in range(256)])  # of nearly all parts
VALUE_KEY: Final = 2 + 2 * SIZE  # characters of the key of a value: its kind, and a digest
LONGEST_NAME: Final = 200  # characters of an argument in the key of a plain call
_AS_LONG_AS_A_KEY: Final = _LENGTHS[2 * SIZE].decode("ascii")


class Given(NamedTuple):
    """What a node was given for one argument: its name, the value's key and a short text of it, and its source.

    A tuple, since a run makes one for each argument of each node, and a tuple is four times faster.
    """

    name: str
    key: str
    text: str
    source: str


def digest_of(kind: str, parts: Iterable[str]) -> str:
    """Return one key for several, in their order."""
    pieces = [kind.encode()]
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        size = len(data)
        pieces += (_LENGTHS[size] if size < 256 else size.to_bytes(8, "little"), data)  # noqa: PLR2004 - see there
    return blake2b(b"".join(pieces), digest_size=SIZE).hexdigest()


class NodeKeys:
    """The keys of one flow's nodes.

    Args:
        secret: makes the keys of secrets.
        show: gives a short text of a value.

    Attributes:
        digests: keys of the values of nodes that have one, by number. texts: short texts of values, where they are
            known already. opaque: what stood in the way, by node.
    """

    def __init__(self, flow: Flow, secret: bytes, show: Callable[[Any], str]) -> None:
        """Nothing is known."""
        self.flow = flow
        self.digests: dict[int, str] = {}
        self.texts: dict[int, str] = {}
        self.opaque: dict[int, str] = {}
        self._secret = secret
        self._show = show
        self._codes: dict[int, CodeKey] = {}
        self._forms: dict[tuple[int, int, int], str] = {}  # of the node keys of a task's plain calls

    # -- code -----------------------------------------------------------------------------------------------------

    def code_of(self, task: Any, *, strict: bool = False) -> CodeKey:
        """Return the key of a task's code, as it is in this run.

        Raises:
            IdentityError: when it has none; if `strict`, also when something that it uses has none.
        """
        found = self._codes.get(id(task))
        if found is None:
            found = self._codes[id(task)] = code_key(task, strict=strict)
        return found

    def tasks_of(self, node: int) -> list[Any]:
        """Return the tasks that node `node` may call: in a loop, those of all its states."""
        graph = self.flow.graph
        machine = graph.jumps.get(node)
        later = [state.task for state in machine.states.values() if state] if machine is not None else []
        return [graph.calls[node]._task, *later]  # noqa: SLF001

    def code_digest(self, node: int) -> str:
        """Return the key of all code that node `node` may call: in a loop, that of each state."""
        graph = self.flow.graph
        own = self.code_of(graph.calls[node]._task).digest  # noqa: SLF001
        machine = graph.jumps.get(node)
        if machine is None:
            return own
        states = [self.code_of(state.task).digest if state else "" for state in machine.states.values()]
        return digest_of("loop", [own, *map(str, machine.states), *states])

    # -- recipes --------------------------------------------------------------------------------------------------

    def recipes(self, is_steady: Callable[[int], bool]) -> dict[int, str]:
        """Return the recipe keys of the nodes that have one.

        Args:
            is_steady: says of a node that it gives the same whenever it is given the same.
        """
        graph = self.flow.graph
        kinds, shapes, args, calls = graph.kinds, graph.shapes, graph.args, graph.calls
        found: dict[int, str] = {}
        literals: dict[object, str] = {}
        # Nodes that may need more than the values of their arguments.
        odd = {*graph.gates, *graph.orders, *graph.needs, *graph.fallbacks, *graph.kwargs, *graph.aliases, *graph.jumps}
        beginnings: dict[tuple[int, int], str] = {}
        for node in graph.order:
            kind = kinds[node]
            if kind != ROUTE and not is_steady(node):
                continue
            is_plain = kind != ROUTE and shapes[node] == REFS and node not in odd
            try:
                above = [found[need] for need in (args[node] if is_plain else may_need(graph, node))]
            except KeyError:  # something above has no recipe
                continue
            if is_plain:  # what `digest_of` makes of the code and the recipes above, at a third of the price
                mark = id(calls[node]._task), kind  # noqa: SLF001
                beginning = beginnings.get(mark) or beginnings.setdefault(mark, self._beginning(node))
                text = _AS_LONG_AS_A_KEY.join([beginning, *above])
                found[node] = blake2b(text.encode("ascii"), digest_size=SIZE).hexdigest()
            elif recipe := self._recipe(node, above, literals):
                found[node] = recipe
        return found

    def outline(self) -> str:
        """Return one key for the whole graph, empty if it has none: equal where the recipes of all nodes are.

        It is made of the numbers of nodes, where recipes are made of recipes: most of it is written at once.
        """
        graph = self.flow.graph
        if graph.routes or graph.aliases or graph.jumps:
            return ""
        odd = {*graph.gates, *graph.orders, *graph.needs, *graph.fallbacks, *graph.kwargs}
        literals: dict[object, str] = {}
        written: list[object] = list(graph.args)
        for node, shape in enumerate(graph.shapes):
            if shape != REFS or node in odd:
                written[node] = self._recipe(node, [str(j) for j in may_need(graph, node)], literals)
                if not written[node]:
                    return ""
        tasks = [call._task for call in graph.calls]  # noqa: SLF001
        codes = {id(task): self.code_of(task).digest for task in dict(zip(map(id, tasks), tasks, strict=True)).values()}
        numbers = {task: number for number, task in enumerate(codes)}
        which = [numbers[id(task)] for task in tasks]
        # Version 2 of the format has no place for what differs between equal values, like how often they are used.
        data = marshal.dumps([list(codes.values()), which, bytes(graph.kinds), bytes(graph.shapes), written], 2)
        return blake2b(data, digest_size=SIZE, person=b"cascade/outline").hexdigest()

    def _beginning(self, node: int) -> str:
        """Return what the recipes of all calls of a task begin with."""
        parts = [self.code_digest(node), str(self.flow.graph.kinds[node])]
        return "recipe" + "".join([f"{_LENGTHS[len(part)].decode('ascii')}{part}" for part in parts])

    def _recipe(self, node: int, above: list[str], literals: dict[object, str]) -> str:
        graph = self.flow.graph
        if graph.kinds[node] == ROUTE:
            return self._route_recipe(node, above)
        parts = [self.code_digest(node), str(graph.kinds[node])]
        shape = graph.shapes[node]
        if shape == REFS and node not in graph.gates and node not in graph.orders:
            return digest_of("recipe", [*parts, *above])
        if shape == LITERALS:
            keys = [_literal_key(value, literals) for value in graph.args[node]]
        else:
            slots = (Ref(j) for j in graph.args[node]) if shape == REFS else iter(graph.args[node])
            keys = [self._slot_recipe(slot) for slot in slots]
            keys += [f"{name}={self._slot_recipe(slot)}" for name, slot in sorted(graph.kwargs.get(node, {}).items())]
            keys += [f"gate={self._slot_recipe(graph.gates[node])}"] if node in graph.gates else []
        if any(key.startswith("o:") or "=o:" in key for key in keys):
            return ""
        return digest_of("recipe", [*parts, *keys, "above", *above])

    def _route_recipe(self, node: int, above: list[str]) -> str:
        route = self.flow.graph.routes[node]
        slots = [route.selector, *route.branches.values(), route.default]
        keys = [self._slot_recipe(slot) for slot in slots if slot is not UNSET]
        if any(key.startswith("o:") for key in keys):
            return ""
        return digest_of("route", [*map(repr, route.branches), *keys, "above", *above])

    def _slot_recipe(self, slot: Any) -> str:
        """Return what stands for a slot: its shape and what is literal in it; the nodes above are counted apart."""
        kind = type(slot)
        if kind is Ref:
            return digest_of("ref", [self._slot_recipe(key) for key in slot.path])
        if kind is InputRef:
            return self._input_key(slot.input)
        if kind is ResourceRef:
            return f"resource:{slot.inject.name}"
        if kind is UnmappedSlot:
            return f"whole:{self._slot_recipe(slot.value)}"
        if kind is ContainerSlot:
            inner = [self._slot_recipe(item) for item in slot.items]
            return (
                "o:part" if any(key.startswith("o:") for key in inner) else digest_of(type(slot.like).__name__, inner)
            )
        return data_key(slot)

    def _input_key(self, item: Any) -> str:
        value = self.flow.inputs[item]
        return secret_key(value, self._secret) if item.secret else data_key(value)

    # -- nodes ------------------------------------------------------------------------------------------------------

    def node_key(self, node: int) -> tuple[str, list[Given] | None]:
        """Return the key of a node whose inputs have their values, empty if one of them has none, and what it is given.

        Nearly all nodes are given nothing but whole values of others: for them that is None, see `given_by_nodes`.
        Not under the lock: large values take a while.
        """
        graph, task = self.flow.graph, self.flow.graph.calls[node]._task  # noqa: SLF001
        if graph.shapes[node] == REFS and node not in graph.kwargs and not task.ignore:
            key = self._plain_key(node, task)
            if key:
                return key, None
            given = self.given_by_nodes(node)
        else:
            given = self._give_slots(node)
        missing = next((each for each in given if each.key.startswith("o:")), None)
        if missing is not None:
            self.opaque[node] = f"the argument '{missing.name}' ({missing.key[2:]}) has no key"
            return "", given
        kind = "map" if graph.kinds[node] == MAP else "node"
        return digest_of(kind, [self.code_digest(node), *[f"{each.name}={each.key}" for each in given]]), given

    def _plain_key(self, node: int, task: Any) -> str:
        """Return what `digest_of` makes of the code and the keys of the values given, at a third of the price.

        Empty when one of them is not as long as nearly all are.
        """
        graph, digests, texts = self.flow.graph, self.digests, self.texts
        if node in graph.jumps:  # its code is that of all its states
            return ""
        keys = []
        for j in graph.args[node]:
            key = digests.get(j) or self.value_key(j)
            if len(key) != VALUE_KEY or key.startswith("o:"):
                return ""
            if j not in texts:
                self._text_of_value(j)  # when it is told, the value may be gone
            keys.append(key)
        mark = id(task), graph.kinds[node], len(keys)
        form = self._forms.get(mark)
        if form is None:
            form = self._forms[mark] = self._form_of(node, task, len(keys))
        return blake2b((form % tuple(keys)).encode("latin-1"), digest_size=SIZE).hexdigest() if form else ""

    def _form_of(self, node: int, task: Any, count: int) -> str:
        """Return what the keys of a task's plain calls are made of, with gaps for those of the values given."""
        names, code = _argument_names(task.positional, count), self.code_digest(node)
        if not all(name.isascii() and len(name) < LONGEST_NAME for name in names):
            return ""
        kind = "map" if self.flow.graph.kinds[node] == MAP else "node"
        beginning = f"{kind}{_LENGTHS[len(code)].decode('latin-1')}{code}".replace("%", "%%")
        return beginning + "".join([f"{_LENGTHS[len(n) + 1 + VALUE_KEY].decode('latin-1')}{n}=%s" for n in names])

    def given_by_nodes(self, node: int) -> list[Given]:
        """Return what a node is given that reads nothing but the whole values of others."""
        graph = self.flow.graph
        nodes, ids = graph.args[node], graph.ids
        names = _argument_names(graph.calls[node]._task.positional, len(nodes))  # noqa: SLF001
        return [
            Given(name, self.value_key(j), self._text_of_value(j), ids[j]) for name, j in zip(names, nodes, strict=True)
        ]

    def _give_slots(self, node: int) -> list[Given]:
        return [self._give(name, slot) for name, slot in self._name_slots(node)]

    def _name_slots(self, node: int) -> list[tuple[str, Any]]:
        graph, task = self.flow.graph, self.flow.graph.calls[node]._task  # noqa: SLF001
        plain = map(Ref, graph.args[node]) if graph.shapes[node] == REFS else graph.args[node]
        names = task.positional
        slots = [(names[k] if k < len(names) else f"argument {k + 1}", slot) for k, slot in enumerate(plain)]
        slots += graph.kwargs.get(node, {}).items()
        return [(name, slot) for name, slot in slots if name not in task.ignore]

    def item_keys(self, node: int, rows: Iterable[Row]) -> dict[int, str]:
        """Return the keys of items of a map by their places, each by its own arguments; empty if it has none.

        What they share is looked at once: it may be large.
        """
        task, code = self.flow.graph.calls[node]._task, self.code_digest(node)  # noqa: SLF001
        names, found = task.positional, dict[int, str]()
        seen: dict[str, tuple[object, str]] = {}
        whole = [(name, at.value if type(at) is UnmappedSlot else at) for name, at in self._name_slots(node)]
        held = {name: f"resource:{at.inject.name}" for name, at in whole if type(at) is ResourceRef}  # never by value
        for index, args, kwargs in rows:
            pairs = [(names[k] if k < len(names) else f"argument {k + 1}", value) for k, value in enumerate(args)]
            pairs = [(name, value) for name, value in (*pairs, *kwargs.items()) if name not in task.ignore]
            for name, value in pairs:
                if name not in held and (name not in seen or seen[name][0] is not value):
                    seen[name] = value, self._item_part_key(value)
            keys = [held.get(name) or seen[name][1] for name, _ in pairs]
            is_opaque = any(key.startswith("o:") for key in keys)
            parts = [f"{name}={key}" for (name, _), key in zip(pairs, keys, strict=True)]
            found[index] = "" if is_opaque else digest_of("node", [code, *parts])
        return found

    def map_given(self, node: int) -> list[Given]:
        """Return what a map is given; what it goes over has no key here, since each item has its own."""
        found = []
        for name, slot in self._name_slots(node):
            given = slot if type(slot) is ResourceRef else self.flow.arguments.resolve(slot)
            if not is_mapped(given):
                found.append(self._give(name, slot))
                continue
            sources = ", ".join(dict.fromkeys(self.flow.graph.ids[j] for j in refs_in(slot)))
            shown = slot.input.preview(given) if type(slot) is InputRef else self._show(given)
            found.append(Given(name, "", shown, sources))
        return found

    def _item_part_key(self, value: Any) -> str:
        """Return the key of one argument of an item, which nobody knows any more to be a secret unless it is asked."""
        return secret_key(value, self._secret) if self.flow.settings.redact.holds(value) else data_key(value)

    def _give(self, name: str, slot: Any) -> Given:
        kind = type(slot)
        if kind is Ref and not slot.path:
            key = self.value_key(slot.index)
            return Given(name, key, self._text_of_value(slot.index), self.flow.graph.ids[slot.index])
        if kind is InputRef:
            shown = slot.input.preview(self.flow.inputs[slot.input])
            return Given(name, self._input_key(slot.input), shown, slot.input.name)
        if kind is ResourceRef:
            return Given(name, f"resource:{slot.inject.name}", slot.inject.name, "")
        sources = ", ".join(dict.fromkeys(self.flow.graph.ids[j] for j in refs_in(slot)))
        return Given(name, self._mixed_key(slot), self._text_of(slot), sources)

    def _mixed_key(self, slot: Any) -> str:
        """Return the key of a slot that may hold Params, resources and values of nodes anywhere inside."""
        kind = type(slot)
        if kind is InputRef:
            return self._input_key(slot.input)
        if kind is ResourceRef:
            return f"resource:{slot.inject.name}"
        if kind is UnmappedSlot:
            return f"whole:{self._mixed_key(slot.value)}"
        if kind is ContainerSlot:
            inner = [self._mixed_key(item) for item in slot.items]
            opaque = next((key for key in inner if key.startswith("o:")), None)
            return opaque or digest_of(f"container {type(slot.like).__name__}", inner)
        if kind is Ref and not slot.path:
            return self.value_key(slot.index)
        return data_key(self.flow.arguments.resolve(slot))

    def value_key(self, node: int) -> str:
        """Return the key of the value that a node has."""
        found = self.digests.get(node)
        if found is None:
            # one that is elsewhere is here by now, unless it could not be stored
            found = self.digests[node] = data_key(self.flow.process_side.bring_all(self.flow.values[node]))
        return found

    def _text_of_value(self, node: int) -> str:
        found = self.texts.get(node)
        if found is None:
            found = self.texts[node] = self._text(self.flow.values[node])
        return found

    def _text(self, value: Any) -> str:
        """Return a short text of a value; that of a file says which content it had."""
        shown = self._show(value)
        if type(value) is not File:
            return shown
        digest = value.digest().partition(":")[2]
        return f"{shown}, digest {digest[:8]}" if digest else shown

    def _text_of(self, slot: Any) -> str:
        try:
            return self._text(self.flow.arguments.resolve(slot))
        except Exception:  # noqa: BLE001 - a text is not worth a failure
            return ""


def _argument_names(names: tuple[str, ...], count: int) -> list[str]:
    """Return the names of `count` arguments given by position; those that a ``*rest`` takes have numbers."""
    return [names[k] if k < len(names) else f"argument {k + 1}" for k in range(count)]


def _literal_key(value: object, known: dict[object, str]) -> str:
    """Return the key of a literal; small ones repeat."""
    kind = type(value)
    if kind not in (int, str, bool, float):
        return data_key(value)
    mark = (kind, value) if kind is not float else (kind, repr(value))
    found = known.get(mark)
    if found is None:
        found = known[mark] = data_key(value)
    return found
