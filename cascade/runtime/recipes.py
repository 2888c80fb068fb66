"""Recipe keys at work: what is found by them before a run, and what is written so that the next run finds it.

In: the keys of a flow's nodes, a store. Out: entries of nodes that need not run; rows from recipes to results.
Invariant: a recipe only makes looking up faster; without it, or where its result is gone, the same is found by the keys
of values.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from cascade.graph.build import refs_in
from cascade.graph.order import may_need
from cascade.runtime.node_keys import digest_of
from cascade.spec.cache import ByContent

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CachePolicy, Store
    from cascade.interfaces.records import Entry
    from cascade.runtime.flow import Flow
    from cascade.runtime.node_keys import NodeKeys

__all__ = ["Recipes"]

EVERY: Final = 0.1  # seconds between two times that recipes are written


class Recipes:
    """The recipes of one flow: of each node, and of the graph as a whole."""

    __slots__ = ("_ends", "_flow", "_grown", "_keys", "_new", "_outline", "_recipes", "_store", "_written")

    def __init__(self, flow: Flow, store: Store, keys: NodeKeys) -> None:
        """Key nothing yet."""
        self._flow = flow
        self._store = store
        self._keys = keys
        self._recipes: dict[int, str] = {}
        self._outline = ""
        self._ends: dict[int, str] = {}  # result keys of targets; empty ones are not known
        self._new: dict[str, str] = {}
        self._grown: dict[int, bool] = {}
        self._written = 0.0

    def find(self, policies: Mapping[int, CachePolicy], *, is_fresh: bool) -> dict[int, Entry]:
        """Return what is stored of the targets, or of what they need, from them down.

        Args:
            policies: of the nodes that are remembered. is_fresh: key everything, but look nothing up.
        """
        steady = {node for node, policy in policies.items() if type(policy) is ByContent}
        targets = list(dict.fromkeys(refs_in(self._flow.graph.target)))
        self._outline = self._keys.outline() if len(steady) == len(self._flow.graph) else ""
        if self._outline:
            self._ends = dict.fromkeys(targets, "")
            if not is_fresh and (found := self._find_whole(targets)):
                return found
        self._recipes = self._keys.recipes(steady.__contains__)
        return {} if is_fresh else self._find_from(targets, policies)

    def _find_whole(self, targets: list[int]) -> dict[int, Entry]:
        """Return the entries of all targets of a graph in which nothing has changed; none when one is missing."""
        recipes = {node: self._end_of(node) for node in targets}
        keys = self._store.find_recipes(list(recipes.values()))
        if len(keys) < len(recipes):
            return {}
        entries = self._store.find(list(dict.fromkeys(keys.values())))
        found = {node: entries[keys[recipe]] for node, recipe in recipes.items() if keys[recipe] in entries}
        if len(found) < len(recipes) or any(entry.is_growth for entry in found.values()):
            return {}
        self._ends = {}  # they are written already
        return found

    def _end_of(self, target: int) -> str:
        return digest_of("end", [self._outline, str(target)])

    def _find_from(self, frontier: list[int], policies: Mapping[int, CachePolicy]) -> dict[int, Entry]:
        """Walk from the targets down, a layer at a time; beneath what is stored nothing is looked at."""
        recalled: dict[int, Entry] = {}
        seen: set[int] = set()
        recipes = self._recipes
        while frontier:
            layer = [node for node in dict.fromkeys(frontier) if node not in seen]
            seen.update(layer)
            asked = {node: recipes[node] for node in layer if node in recipes and node in policies}
            keys = self._store.find_recipes(list(dict.fromkeys(asked.values()))) if asked else {}
            entries = self._store.find(list(dict.fromkeys(keys.values()))) if keys else {}
            now, frontier = time.time(), []
            for node in layer:
                entry = entries.get(keys.get(asked.get(node, ""), ""))
                if entry is not None and not entry.is_growth and policies[node].serves(entry, now, {}):
                    recalled[node] = entry
                    self._note_end(node, entry.key)
                else:
                    frontier.extend(may_need(self._flow.graph, node))
        return recalled

    def note(self, node: int, key: str) -> None:
        """Remember that the result of `node` is stored under `key`."""
        recipe = self._recipes.get(node)
        if recipe and not (self._flow.graph.aliases and self._has_grown(node)):
            self._new[recipe] = key
            self._note_end(node, key)

    def _has_grown(self, node: int) -> bool:
        """Whether something above `node` returned calls: its recipe does not know their code, nor their Params."""
        graph, known = self._flow.graph, self._grown
        stack = [node]
        while stack:
            at = stack[-1]
            if at in known:
                stack.pop()
                continue
            needs = [] if at in graph.aliases else list(may_need(graph, at))
            unknown = [need for need in needs if need not in known]
            if unknown:
                stack.extend(unknown)
            else:
                known[at] = at in graph.aliases or any(known[need] for need in needs)
        return known[node]

    def _note_end(self, node: int, key: str) -> None:
        if node in self._ends:
            self._ends[node] = key

    def write(self, *, is_last: bool) -> None:
        """Write what was noted, not too often; at the end of a run all of it, with the whole graph's targets."""
        if not is_last and (not self._new or time.perf_counter() < self._written + EVERY):
            return
        pairs, self._new = self._new, {}
        if is_last and self._ends and all(self._ends.values()):
            pairs |= {self._end_of(node): key for node, key in self._ends.items()}
        if pairs:
            self._store.save_recipes(pairs)
        self._written = time.perf_counter()
