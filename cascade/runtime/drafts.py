"""What a run computed → what is to be stored of it.

In: values of nodes and of items of maps, and the calls that were returned instead. Out: drafts for the store.
Invariant: what is stored stands under the key that was made before the task ran, since it may have changed its inputs;
what has no key, or what the policy does not want, is no draft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade.identity.data import data_key
from cascade.interfaces.records import Draft
from cascade.runtime.keepsakes import Keepsakes
from cascade.runtime.summary import summarize

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CachePolicy, Store
    from cascade.runtime.flow import Flow
    from cascade.runtime.grown_calls import GrownCalls
    from cascade.runtime.maps import Row
    from cascade.runtime.node_keys import NodeKeys
    from cascade.runtime.node_rows import Learnt

__all__ = ["Drafts", "Save"]


class Save(NamedTuple):
    """Store the value of a node, or of an item of a map, or the calls that it returned; then call `done`.

    Args:
        is_growth: `value` is lazy. is_shared: something else holds it, too.
    """

    node: int
    row: Row | None
    value: Any
    duration: float
    done: Callable[[], None]
    is_growth: bool = False
    is_shared: bool = False


class Drafts:
    """Makes the drafts of one flow, on the rebuilder's thread.

    Args:
        policies: of the nodes that are remembered. grown: makes what is stored of calls that were returned.

    Attributes:
        keepsakes: what the nodes that are remembered write.
    """

    __slots__ = ("_flow", "_grown", "_keys", "_learnt", "_policies", "_store", "keepsakes")

    def __init__(
        self,
        flow: Flow,
        store: Store,
        keys: NodeKeys,
        learnt: Learnt,
        policies: Mapping[int, CachePolicy],
        grown: GrownCalls,
    ) -> None:
        """Make none yet."""
        self._flow, self._store, self._keys, self._learnt = flow, store, keys, learnt
        self._policies, self._grown = policies, grown
        self.keepsakes = Keepsakes()

    def draft(self, save: Save, arguments: Callable[[int], Mapping[str, object]]) -> Draft | None:
        """Return what is to be stored; None where nothing is.

        Args:
            arguments: of a node, for its policy.
        """
        if save.is_growth:
            return self._draft_growth(save)
        return self._draft_item(save, save.row) if save.row is not None else self._draft_node(save, arguments)

    def _draft_node(self, save: Save, arguments: Callable[[int], Mapping[str, object]]) -> Draft | None:
        node, value = save.node, save.value
        key = self._learnt.keys.get(node, "")
        if not key or not self._policies[node].stores(value, arguments(node)):
            return None
        digest = data_key(value)
        if digest.startswith("o:"):
            digest = f"r:{key}"  # the recipe stands in for a value that has no key of its own
        self._keys.digests[node] = digest
        draft = self._make(key, save, digest)
        self._keys.texts[node] = draft.summary
        return self.keepsakes.attach(draft, self._store, node)

    def _draft_item(self, save: Save, row: Row) -> Draft | None:
        key = self._learnt.items_of(save.node).waiting.pop(row[0], "")
        if not key or not self._policies[save.node].stores(save.value, {}):
            return None
        return self.keepsakes.attach(self._make(key, save, None), self._store, save.node, row[0])

    def _draft_growth(self, save: Save) -> Draft | None:
        """Return what is to be stored of the calls that a node, or an item of it, returned."""
        node, index, learnt = save.node, save.row[0] if save.row is not None else None, self._learnt
        key = learnt.keys.get(node, "") if index is None else learnt.items_of(node).waiting.pop(index, "")
        grown = self._grown.keep(node, save.row, save.value, is_shared=save.is_shared) if key else None
        if grown is None:
            return None
        draft = self._make(key, save, None)
        draft = draft._replace(value=grown, summary=f"calls: {draft.summary}")
        return self.keepsakes.attach(draft, self._store, node, index)

    def _make(self, key: str, save: Save, digest: str | None) -> Draft:
        task = self._flow.graph.calls[save.node]._task.name  # noqa: SLF001
        shown = self._flow.settings.redact(summarize(save.value))
        return Draft(key, save.value, digest, task, shown, self._flow.journal.run_id, save.duration)
