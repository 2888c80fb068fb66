"""Nodes and edges → DOT and Mermaid text, for those who have a program that reads it.

In: the graph's plain data. Out: text in two languages. Invariant: ids are made here, and every name, note and label
is quoted, so that no text of the user's can end its string or change the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cascade.graph.draw_measure import clean
from cascade.graph.model import Edge, Node
from cascade.graph.reading import as_read

_TEXT_LIMIT = 80
_DOT_SHAPES = {
    "task": 'shape=box, style="rounded,filled"',
    "map": 'shape=box, peripheries=2, style="rounded,filled"',
    "route": "shape=hexagon, style=filled",
    "param": 'shape=oval, style=filled, fillcolor="#f4f6f8"',
    "env": 'shape=oval, style=filled, fillcolor="#f4f6f8"',
}
_DOT_EDGES = {
    "data": "",
    "selector": "",
    "condition": "style=dashed",
    "route": "style=dashed",
    "constraint": "style=dotted",
    "order": 'style=dotted, color="#b9c0c7"',
}
_MERMAID_SHAPES = {
    "task": ('("', '")'),
    "map": ('[["', '"]]'),
    "route": ('{{"', '"}}'),
    "param": ('(["', '"])'),
    "env": ('(["', '"])'),
}
_MERMAID_EDGES = {
    "data": "-->",
    "selector": "-->",
    "condition": "-.->",
    "route": "-.->",
    "constraint": "-.->",
    "order": "-.->",
}


def to_dot(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    r"""The graph in Graphviz's language.

    Args:
        nodes: of the graph.
        edges: between these nodes.

    Example:
        >>> print(to_dot([Node("a", 'say "hi"')], []))
        digraph cascade {
          graph [rankdir=LR, nodesep=0.3, ranksep=0.6]
          node [fontname="Helvetica,Arial,sans-serif", fontsize=11, color="#57606a", fillcolor="#ffffff"]
          edge [fontname="Helvetica,Arial,sans-serif", fontsize=9, color="#7d8792", arrowsize=0.7]
          n0 [label="say \"hi\"", shape=box, style="rounded,filled"]
        }
        <BLANKLINE>
    """
    names = {node.id: f"n{index}" for index, node in enumerate(nodes)}
    lines = [
        "digraph cascade {",
        "  graph [rankdir=LR, nodesep=0.3, ranksep=0.6]",
        '  node [fontname="Helvetica,Arial,sans-serif", fontsize=11, color="#57606a", fillcolor="#ffffff"]',
        '  edge [fontname="Helvetica,Arial,sans-serif", fontsize=9, color="#7d8792", arrowsize=0.7]',
    ]
    looks: dict[tuple[str, ...], str] = {}  # many nodes look alike
    for node in nodes:
        kind = (node.name, node.note, node.kind)
        look = looks.get(kind) or looks.setdefault(kind, _dot_box(node))
        lines.append(f"  {names[node.id]} {look}")
    traits: dict[tuple[str, ...], str] = {}
    for edge in as_read(nodes, edges):
        trait = traits.get((edge.label, edge.kind))
        if trait is None:
            trait = traits[edge.label, edge.kind] = _dot_arrow(edge)
        lines.append(f"  {names[edge.source]} -> {names[edge.target]}{trait}")
    return "\n".join([*lines, "}", ""])


def to_mermaid(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """The graph in Mermaid's language, which GitHub and many Markdown readers draw.

    Args:
        nodes: of the graph.
        edges: between these nodes.

    Example:
        >>> print(to_mermaid([Node("a", "load"), Node("b", "tidy up")], [Edge("a", "b")]))
        flowchart LR
          n0("load")
          n1("tidy up")
          n0 --> n1
        <BLANKLINE>
    """
    names = {node.id: f"n{index}" for index, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for node in nodes:
        before, after = _MERMAID_SHAPES[node.kind]
        label = "<br/>".join(_quote_mermaid(text) for text in _lines_of(node))
        lines.append(f"  {names[node.id]}{before}{label}{after}")
    for edge in as_read(nodes, edges):
        label = _quote_mermaid(clean(edge.label, _TEXT_LIMIT))
        shown = f'|"{label}"|' if label else ""
        lines.append(f"  {names[edge.source]} {_MERMAID_EDGES[edge.kind]}{shown} {names[edge.target]}")
    return "\n".join([*lines, ""])


def _dot_box(node: Node) -> str:
    label = "\\n".join(_quote_dot(text) for text in _lines_of(node))
    return f'[label="{label}", {_DOT_SHAPES[node.kind]}]'


def _dot_arrow(edge: Edge) -> str:
    label = _quote_dot(clean(edge.label, _TEXT_LIMIT))
    traits = ", ".join(filter(None, [f'label="{label}"' if label else "", _DOT_EDGES[edge.kind]]))
    return f" [{traits}]" if traits else ""


def _lines_of(node: Node) -> Iterable[str]:
    yield clean(node.name, _TEXT_LIMIT) or "?"
    if note := clean(node.note, _TEXT_LIMIT):
        yield note


def _quote_dot(text: str) -> str:
    """Inside double quotes: Graphviz reads backslashes and, in labels, HTML entities."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _quote_mermaid(text: str) -> str:
    """Letters and digits as they are, all else by its code point: Mermaid reads Markdown and HTML in labels."""
    return "".join(char if char.isalnum() or char in " _" else f"#{ord(char)};" for char in text)
