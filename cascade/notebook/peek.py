"""A node of a run → what a person sees who looks at it: what it is, its arguments, its value.

In: a run, its record, the id of a box or a node. Out: plain data, recorded for finished documents or looked up where
the values still are. Invariant: keeps no value; a value is shown by its beginning and within bounds of size, and the
time that it takes is bounded by whoever asks (`questions`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.graph.model import InputRef, Ref
from cascade.notebook.cell_showing import preview_node, tell_shown
from cascade.notebook.facts import Facts
from cascade.notebook.folding import weight
from cascade.notebook.parts import list_parts, unit_entry
from cascade.notebook.plain import plain
from cascade.notebook.preview import preview
from cascade.runtime.arguments import GONE
from cascade.runtime.heads import head_of, size_of
from cascade.runtime.states import DONE
from cascade.runtime.summary import summarize

if TYPE_CHECKING:
    from cascade.notebook.record import RunRecord
    from cascade.notebook.units import Unit
    from cascade.runtime.heads import Head

__all__ = ["MOST_BYTES", "Peeker", "split_label"]

MOST_BYTES = 90_000
_ITEM = re.compile(r"(.+)\[(\d{1,9})\]")
_TEXT = 160
_WITH_VALUE = frozenset({"done", "stored", "kept"})
_NO_VALUE = {"type": "", "text": "", "table": None, "size": 0}


def split_label(label: str) -> tuple[str, int | None]:
    """Return the node and the item that a label such as ``fit[3]`` names."""
    found = _ITEM.fullmatch(label.strip())
    return (found[1], int(found[2])) if found else (label.strip(), None)


class Peeker:
    """Looks at the nodes of one run.

    Args:
        run: the handle, or what is left of it. record: what happened. locate: what people call a source file.
        redact: takes secrets out of a text.
    """

    def __init__(
        self,
        run: Any,
        record: RunRecord,
        locate: Callable[[str], str] = str,
        redact: Callable[[str], str] = str,
    ) -> None:
        """Look at nothing yet."""
        self._flow: Any = getattr(run, "_flow", None)
        self._record = record
        self._redact = redact
        graph = getattr(run, "graph", None)
        self._facts = Facts(graph, locate, redact) if hasattr(graph, "calls") else None

    # -- for the finished document ------------------------------------------------------------------------------------

    def record_all(self, room: int) -> dict[str, Any]:
        """Return what can be shown of every box when there is no kernel any more, in at most `room` bytes of JSON.

        First the facts and arguments of as many boxes as fit, then lists of items, then beginnings of values; those of
        boxes that failed and of the last ones come first, since people look there.
        """
        made: dict[str, Any] = {"tasks": [], "nodes": {}}
        room = min(room, MOST_BYTES) - 40
        boxes = sorted(self._record.boxes.values(), key=lambda box: (_urgency(box.tally), -(box.t1 or 0.0)))
        places: dict[str, int] = {}
        for step in (self._told, self._listed, self._begun):
            for box in boxes:
                entry = dict(made["nodes"].get(box.id, {}))
                added = step(box)
                if not added:
                    continue
                task = added.pop("task", None)
                cost = weight(added) + (len(box.id) + 8 if not entry else 2)
                if task is not None:
                    key = "\0".join(task.values())
                    if key not in places:
                        cost += weight(task) + 1
                    if cost <= room:
                        if key not in places:
                            places[key] = len(made["tasks"])
                            made["tasks"].append(task)
                        added["task"] = places[key]
                        cost += 12
                if cost <= room:
                    room -= cost
                    made["nodes"][box.id] = {**entry, **added}
        return made

    def _told(self, box: Any) -> dict[str, Any]:
        unit = box.only
        number = self._number(unit.id) if unit is not None else None
        if number is None or self._facts is None:
            return {}
        return {"task": self._facts.task(number), "arguments": self._arguments(number)}

    def _listed(self, box: Any) -> dict[str, Any]:
        is_many = box.members > 1 or (box.only is not None and box.only.kind == "map")
        return {"parts": list_parts(self._record, box.id, most=20)} if is_many and box.id else {}

    def _begun(self, box: Any) -> dict[str, Any]:
        number = self._number(box.only.id) if box.only is not None else None
        head = self._head(number) if number is not None else None
        return {"head": self._table(head, number)} if head is not None else {}

    # -- on request ---------------------------------------------------------------------------------------------------

    def look(self, node: str) -> dict[str, Any]:
        """Return everything about a box, a node of a folded box, or an item such as ``fit[3]``.

        Raises:
            KeyError: when there is no such node.
        """
        unit, index = self.find(node)
        if unit is None:
            return {"node": node, "label": node, "parts": list_parts(self._record, node)}
        number = self._number(unit.id)
        entry = unit_entry(unit)
        label = unit.name if index is None else f"{unit.name}[{index}]"
        made: dict[str, Any] = {
            "node": unit.box.id, "label": plain(label, 60), "kind": unit.kind, "s": entry["s"], "why": entry["why"],
            "d": entry["d"],
        }  # fmt: skip
        if index is not None:
            state = unit.items.state(index)
            made |= {"s": state, "why": unit.items.texts.get(index, ""), "took": unit.items.times.get(index), "d": ""}
        if number is None:
            return made | {"value": self._note(unit.note)}
        if self._facts is not None:
            made |= {"task": self._facts.task(number), "arguments": self._arguments(number, index)}
        if unit.kind == "map" and index is None:
            made["parts"] = list_parts(self._record, unit.box.id)
        made["value"] = self._value(number, index) if made["s"] in _WITH_VALUE else {**_NO_VALUE, "state": "none"}
        return made

    def find(self, node: str) -> tuple[Unit | None, int | None]:
        """Return the node that an id, a name or a label means, and the item; no node for a folded box.

        Raises:
            KeyError: when there is none.
        """
        units = self._record.units
        for wanted, index in ((node, None), split_label(node)):
            if wanted in units:
                return units[wanted], index
            box = self._record.boxes.get(wanted)
            if box is not None and box.only is not None:
                return box.only, index
            named = [unit for unit in units.values() if unit.name == wanted]
            if len(named) == 1:
                return named[0], index
            if box is not None or named:
                return (named[0], index) if box is None else (None, None)
        raise KeyError(node)

    def _number(self, node: str) -> int | None:
        return self._facts.number(node) if self._facts is not None else None

    def _note(self, text: str) -> dict[str, Any]:
        return {"state": "kept", "type": "", "text": text, "table": None, "size": 0}

    # -- values -------------------------------------------------------------------------------------------------------

    def value_of(self, number: int, index: int | None = None) -> Any:
        """Return the value of a node, `GONE` if nobody keeps it; of an item, as long as its map is there."""
        if self._flow is None:
            return GONE
        value = self._flow.process_side.look_at(self._flow.values[number])
        if index is not None:
            state = self._flow.map_side.states.get(number)
            values = value if isinstance(value, list) else state.results if state is not None else []
            return values[index] if index < len(values) else GONE
        return GONE if self._flow.core.state[number] != DONE else value

    def _value(self, number: int, index: int | None) -> dict[str, Any]:
        """Return how a value looks, else its beginning as it was kept on its way, else why there is none."""
        value = self.value_of(number, index)
        if value is not GONE and not (index is not None and value is None):
            return self._shown(value, number if index is None else None)
        head = self._head(number) if index is None else None
        if head is not None:
            return {"state": "recorded", **self._table(head, number)}
        return {**_NO_VALUE, "state": "gone"}

    def _shown(self, value: Any, number: int | None) -> dict[str, Any]:
        told = (
            preview(value, self._redact)
            if number is None
            else preview_node(self._flow.graph, number, value, self._redact)
        )
        made: dict[str, Any] = {"state": "kept", "size": size_of(value), **told}
        if made.get("table") is None and (head := head_of(value)) is not None and len(head.rows) > 1:
            made["table"] = self._table(head, number)["table"]
        return made

    def _head(self, number: int | None) -> Head | None:
        heads = getattr(self._flow, "heads", None)
        return heads.made.get(number) if heads is not None and number is not None else None

    def _table(self, head: Head, number: int | None) -> dict[str, Any]:
        rows = [[plain(self._redact(cell), 60) for cell in row] for row in head.rows]
        columns = [plain(self._redact(column), 40) for column in head.columns]
        table: dict[str, Any] = {"columns": columns, "rows": rows, "more": head.more}
        if number is not None and self._flow is not None:
            table = tell_shown(self._flow.graph, number, table)
        return {"type": plain(head.type, 60), "text": "", "table": table, "size": head.size}

    def _arguments(self, number: int, index: int | None = None) -> list[dict[str, str]]:
        """Return the arguments; where a value is still there, with what it is."""
        if self._facts is None:
            return []
        told = self._facts.arguments(number)
        if self._flow is None:
            return told
        for argument, (_, slot) in zip(told, self._facts.slots(number), strict=False):
            text = self._known(slot)
            if text:
                argument["value"] = plain(self._redact(text), _TEXT)
        if index is not None:
            self._of_item(told, number, index)
        return told

    def _of_item(self, told: list[dict[str, str]], number: int, index: int) -> None:
        row = self._flow.outcomes.failed_rows.get((number, index))
        if row is None:
            return
        names = self._flow.graph.calls[number]._task.positional  # noqa: SLF001 - there is no public way
        given = {**dict(zip(names, row[1], strict=False)), **row[2]}
        for argument in told:
            if argument["name"] in given:
                argument["value"] = plain(self._redact(summarize(given[argument["name"]])), _TEXT)

    def _known(self, slot: Any) -> str:
        """Return the summary of an argument that another node or an input gave, as long as it is there."""
        if type(slot) is InputRef:
            value = self._flow.inputs.get(slot.input, GONE)
            return "" if value is GONE else slot.input.preview(value)
        if type(slot) is Ref and not slot.path and self._flow.core.state[slot.index] == DONE:
            value = self._flow.values[slot.index]
            return "" if value is GONE else summarize(value)
        return ""


def _urgency(tally: Mapping[str, int]) -> int:
    return 0 if tally.get("failed") else 1
