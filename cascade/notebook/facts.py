"""A node of a graph → what is known of it without running anything: its function, its arguments, where they are from.

In: a graph. Out: plain data for peek. Invariant: bounded; looks at literals only by their summary, and never at what is
lazy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from cascade.graph.build import refs_in, slots_in
from cascade.graph.model import REFS, ROUTE, ContainerSlot, InputRef, Ref, ResourceRef, UnmappedSlot
from cascade.notebook.plain import plain
from cascade.runtime.summary import summarize

__all__ = ["Facts"]

MOST_ARGUMENTS = 12
SIGNATURE, DOC, PLACE, TEXT = 200, 200, 120, 120


class Facts:
    """What is known of the nodes of one graph.

    Args:
        graph: the graph. locate: what people call a source file. redact: takes secrets out of a text.
    """

    def __init__(self, graph: Any, locate: Callable[[str], str] = str, redact: Callable[[str], str] = str) -> None:
        """Look at nothing yet."""
        self.graph = graph
        self._locate = locate
        self._redact = redact
        self._tasks: dict[int, dict[str, str]] = {}
        self._numbers: dict[str, int] = {}

    def number(self, node: str) -> int | None:
        """Return the number of the node with this id; None for Params, Envs and ids that are not known."""
        if len(self._numbers) != self.graph.complete:
            self._numbers = {each: number for number, each in enumerate(self.graph.ids)}
        return self._numbers.get(node)

    def task(self, number: int) -> dict[str, str]:
        """Return signature, first line of the docstring and place of the function of a node."""
        if self.graph.kinds[number] == ROUTE:
            return {"signature": "", "doc": "", "where": ""}
        task = self.graph.calls[number]._task  # noqa: SLF001 - there is no public way
        known = self._tasks.get(id(task))
        if known is None:
            known = self._tasks[id(task)] = self._describe(task)
        return known

    def _describe(self, task: Any) -> dict[str, str]:
        doc = task.func.__doc__ if isinstance(task.func.__doc__, str) else ""
        first = next((line.strip() for line in doc[:2000].splitlines() if line.strip()), "")
        return {
            "signature": plain(f"{task.name}{_signature(task)}", SIGNATURE),
            "doc": plain(first, DOC),
            "where": plain(self._place(task.func), PLACE),
        }

    def _place(self, function: Any) -> str:
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is None:
            return str(getattr(function, "__module__", "") or "")
        file = self._locate(code.co_filename)
        parts = file.replace("\\", "/").split("/")
        shown = file if len(parts) <= 2 else "/".join(parts[-2:])  # noqa: PLR2004 - folder and file
        return f"{shown}, line {code.co_firstlineno}"

    def arguments(self, number: int) -> list[dict[str, str]]:
        """Return name, text and giving node of each argument; the text is a literal's, or says what gives it."""
        return [
            {"name": plain(name, 40), "text": plain(self._redact(self._text(slot)), TEXT), "node": self._giver(slot)}
            for name, slot in self.slots(number)
        ][:MOST_ARGUMENTS]

    def slots(self, number: int) -> Iterator[tuple[str, Any]]:
        """Yield name and slot of each argument of a node."""
        graph = self.graph
        if graph.kinds[number] == ROUTE:
            yield "selector", graph.routes[number].selector
            return
        names = graph.calls[number]._task.positional  # noqa: SLF001 - there is no public way
        given = map(Ref, graph.args[number]) if graph.shapes[number] == REFS else graph.args[number]
        for place, slot in enumerate(given):
            yield names[place] if place < len(names) else f"argument {place + 1}", slot
        yield from graph.kwargs.get(number, {}).items()

    def _giver(self, slot: Any) -> str:
        refs = refs_in(slot)
        return self.graph.ids[refs[0]] if len(refs) == 1 else ""

    def _text(self, slot: Any) -> str:
        kind = type(slot)
        if kind is Ref:
            path = "".join(f"[{summarize(key) if not refs_in(key) else '…'}]" for key in slot.path)
            return f"{self.graph.label(slot.index)}{path}"
        if kind is InputRef:
            return f"{slot.input.word} {slot.input.name}"
        if kind is ResourceRef:
            return f"resource {slot.inject.name}"
        if kind is UnmappedSlot:
            return self._text(slot.value)
        if kind is ContainerSlot:
            inner = [self._text(one) for one in slots_in(slot) if type(one) in (Ref, InputRef, ResourceRef)]
            shown = ", ".join(inner[:4]) + (", …" if len(inner) > 4 else "")  # noqa: PLR2004 - as a line holds
            return f"{type(slot.like).__name__} with {shown}"
        return summarize(slot)


def _signature(task: Any) -> str:
    """Return the signature; defaults that could be long or run code are told by their summary."""
    try:
        parameters = [_parameter(each) for each in task.signature.parameters.values()]
        return str(task.signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    except Exception:  # noqa: BLE001 - a signature of its own kind
        return "(…)"


class _Told:
    """A default as its summary, without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _parameter(parameter: inspect.Parameter) -> inspect.Parameter:
    default = parameter.default
    if default is not inspect.Parameter.empty:
        word = getattr(default, "word", "")
        name = getattr(default, "name", "") if word or type(default).__name__ == "Inject" else ""
        default = _Told(f"<{name}>" if isinstance(name, str) and name else summarize(default))
    return parameter.replace(default=default, annotation=inspect.Parameter.empty)
