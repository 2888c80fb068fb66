"""Calls → keys: equal for calls that do the same to the same.

In: a graph, the code of its tasks, values. Out: recipe keys, known before anything runs; node keys, known when a node's
inputs are. Invariant: a node key is made of the *values* of the inputs, so that a changed upstream which gives the same
value stops there; a recipe key is made of everything above, so that one look tells that nothing has changed. What
cannot be keyed has no key; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cascade.graph.build import refs_in
from cascade.graph.model import LITERALS, MAP, REFS, ROUTE, ContainerSlot, InputRef, Ref, ResourceRef, UnmappedSlot
from cascade.graph.order import may_need
from cascade.identity.code import CodeKey, code_key
from cascade.identity.data import data_key, secret_key
from cascade.spec.policy import UNSET

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow

__all__ = ["Given", "NodeKeys", "digest_of"]

SIZE: Final = 20  # bytes of a key
_LENGTHS: Final = tuple([n.to_bytes(8, "little") for n in range(256)])  # of nearly all parts
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
        self._beginnings: dict[tuple[int, int], str] = {}  # of what the recipes of one task's calls are made of

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
        found: dict[int, str] = {}
        literals: dict[object, str] = {}
        for node in graph.order:
            if graph.kinds[node] != ROUTE and not is_steady(node):
                continue
            plain = graph.shapes[node] == REFS and not self._is_odd(node)
            needs = graph.args[node] if plain else list(may_need(graph, node))
            try:
                above = [found[need] for need in needs]
            except KeyError:  # something above has no recipe
                continue
            recipe = self._plain_recipe(node, above) if plain else self._recipe(node, above, literals)
            if recipe:
                found[node] = recipe
        return found

    def _is_odd(self, node: int) -> bool:
        """Whether a node may need more than the values of its arguments."""
        graph = self.flow.graph
        odd = node in graph.gates or node in graph.orders or node in graph.needs or node in graph.fallbacks
        return odd or node in graph.kwargs or node in graph.aliases or graph.kinds[node] == ROUTE

    def _plain_recipe(self, node: int, above: list[str]) -> str:
        """Return what `digest_of` makes of the code and the recipes above, at a third of the price."""
        graph = self.flow.graph
        if node in graph.jumps:
            return digest_of("recipe", [self.code_digest(node), str(graph.kinds[node]), *above])
        mark = id(graph.calls[node]._task), graph.kinds[node]  # noqa: SLF001
        beginning = self._beginnings.get(mark)
        if beginning is None:
            parts = [self.code_digest(node), str(graph.kinds[node])]
            beginning = "recipe" + "".join(f"{_LENGTHS[len(part)].decode('ascii')}{part}" for part in parts)
            self._beginnings[mark] = beginning
        text = _AS_LONG_AS_A_KEY.join([beginning, *above])
        return blake2b(text.encode("ascii"), digest_size=SIZE).hexdigest()

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

    def node_key(self, node: int) -> tuple[str, list[Given]]:
        """Return the key of a node whose inputs have their values, empty if one of them has none, and what it is given.

        Not under the lock: large values take a while.
        """
        graph, task = self.flow.graph, self.flow.graph.calls[node]._task  # noqa: SLF001
        if graph.shapes[node] == REFS and node not in graph.kwargs and not task.ignore:
            given = self._give_values(task.positional, graph.args[node])
        else:
            given = self._give_slots(node, task)
        missing = next((each for each in given if each.key.startswith("o:")), None)
        if missing is not None:
            self.opaque[node] = f"the argument '{missing.name}' ({missing.key[2:]}) has no key"
            return "", given
        kind = "map" if graph.kinds[node] == MAP else "node"
        return digest_of(kind, [self.code_digest(node), *[f"{each.name}={each.key}" for each in given]]), given

    def _give_values(self, names: tuple[str, ...], nodes: Iterable[int]) -> list[Given]:
        """Return what a node is given that reads nothing but the whole values of others: nearly all are such."""
        ids, count = self.flow.graph.ids, len(names)
        return [
            Given(names[k] if k < count else f"argument {k + 1}", self.value_key(j), self._text_of_value(j), ids[j])
            for k, j in enumerate(nodes)
        ]

    def _give_slots(self, node: int, task: Any) -> list[Given]:
        graph = self.flow.graph
        plain = map(Ref, graph.args[node]) if graph.shapes[node] == REFS else graph.args[node]
        names = task.positional
        slots = [(names[k] if k < len(names) else f"argument {k + 1}", slot) for k, slot in enumerate(plain)]
        slots += graph.kwargs.get(node, {}).items()
        return [self._give(name, slot) for name, slot in slots if name not in task.ignore]

    def item_key(self, node: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of one item of a map, by its own arguments; empty if it has none."""
        task = self.flow.graph.calls[node]._task  # noqa: SLF001
        names = task.positional
        named = [(names[k] if k < len(names) else f"argument {k + 1}", value) for k, value in enumerate(args)]
        pairs = [(n, data_key(v)) for n, v in (*named, *kwargs.items()) if n not in task.ignore]
        if any(key.startswith("o:") for _, key in pairs):
            return ""
        return digest_of("node", [self.code_digest(node), *[f"{name}={key}" for name, key in pairs]])

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
            found = self.digests[node] = data_key(self.flow.values[node])
        return found

    def _text_of_value(self, node: int) -> str:
        found = self.texts.get(node)
        if found is None:
            found = self.texts[node] = self._show(self.flow.values[node])
        return found

    def _text_of(self, slot: Any) -> str:
        try:
            return self._show(self.flow.arguments.resolve(slot))
        except Exception:  # noqa: BLE001 - a text is not worth a failure
            return ""


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
