"""Target → a picture: on the screen, as DOT text, as a file.

In: a target or a graph. Out: a `graphviz.Source` that draws itself. Invariant: showing it, and saving SVG, DOT and
Mermaid, needs no installed program; only PNG and PDF do.
"""

from __future__ import annotations

import base64
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from cascade.interfaces.exceptions import CascadeError, SettingError

if TYPE_CHECKING:
    import graphviz

    from cascade.graph.model import Graph

__all__ = ["MOST_SHOWN", "Drawn", "visualize"]

MOST_SHOWN: Final = 1_000  # nodes that a notebook output shows; a file may have any number
_SUFFIXES: Final = (".svg", ".dot", ".gv", ".mmd", ".png", ".pdf")
Theme = Literal["auto", "light", "dark"]


def visualize(target: object, *, name: str = "", theme: Theme = "auto") -> graphviz.Source:
    """Return the picture of a target; the last line of a notebook cell shows it.

    Args:
        target: what `run` takes, a Graph, or something that has one as `.graph`, such as a Run.
        name: the title; by default the graph's name.
        theme: ``auto`` follows the reader's system; ``light`` or ``dark``.

    Returns:
        DOT text (``str()``, ``.source``) that shows itself as SVG and saves itself: ``.save("graph.svg")``, also
        ``.dot``, ``.mmd`` (Mermaid), and, where Graphviz is installed, ``.png`` and ``.pdf``.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def inc(x): return x + 1
        >>> print(str(cs.visualize(inc(1))).splitlines()[0])
        digraph cascade {
    """
    from cascade.graph.model import as_name

    if theme not in ("auto", "light", "dark"):
        raise SettingError.for_choice("theme", theme, ("auto", "light", "dark"))
    graph = _graph_of(target)
    made = _picture_class()("", filename="graph.gv")
    made.graph, made.title, made.theme = graph, as_name(name or graph.name), theme
    return made


def _graph_of(target: object) -> Graph:
    from cascade.graph.build import build
    from cascade.graph.model import Graph
    from cascade.runtime.collector import UNKNOWN, calm_collector

    own = target if isinstance(target, Graph) else getattr(target, "graph", None)
    if isinstance(own, Graph):
        return own
    with calm_collector(UNKNOWN):
        return build(target)


class Drawn:
    """What makes DOT text draw itself; a base of the class that `visualize` returns, beside ``graphviz.Source``.

    Attributes:
        graph: what is drawn; None for DOT text that was made of another picture. title: for readers and hovering.
    """

    graph: Graph | None = None
    title = ""
    theme: Theme = "auto"
    source: str
    _dot = ""

    @property
    def _source(self) -> str:
        """The DOT text, where ``graphviz.Source`` keeps it; of a graph, it is made when somebody asks for it."""
        if not self._dot and self.graph is not None:
            from cascade.graph.draw import to_dot
            from cascade.runtime.collector import calm_collector

            with calm_collector(len(self.graph)):
                self._dot = to_dot(self.graph.nodes, self.graph.edges)
        return self._dot

    @_source.setter
    def _source(self, text: str) -> None:
        self._dot = text

    def __str__(self) -> str:
        """Return the DOT text."""
        return self.source

    def __repr__(self) -> str:
        """Say what it is a picture of."""
        size = f": {len(self.graph):,} nodes" if self.graph is not None else ""
        return f"<picture of {self.title!r}{size}>"

    def svg(self) -> str:
        """Return the picture as SVG text, laid out by cascade."""
        from cascade.graph.draw import picture, to_svg

        graph = self._whole_graph()
        return to_svg(picture(graph.nodes, graph.edges), title=self.title, theme=self.theme)

    def mermaid(self) -> str:
        """Return the graph in Mermaid's language."""
        from cascade.graph.draw import to_mermaid

        graph = self._whole_graph()
        return to_mermaid(graph.nodes, graph.edges)

    def save(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        *,
        skip_existing: bool | None = False,
    ) -> str:
        """Write the picture to a file and return its path; the suffix says how.

        Args:
            filename: ends in .svg, .dot, .gv, .mmd, .png or .pdf. directory: where, by default here.
            skip_existing: None: write DOT whatever the name, as ``graphviz.Source.render`` asks.

        Raises:
            SettingError: for another suffix. CascadeError: for .png and .pdf, when Graphviz is not installed.
        """
        if filename is None or skip_existing is None:
            write: Any = super()
            return str(write.save(filename, directory=directory, skip_existing=skip_existing))
        path = Path(directory or "", filename)
        suffix = path.suffix.lower()
        if suffix not in _SUFFIXES:
            raise SettingError.for_choice("The suffix of a picture's file", path.suffix, _SUFFIXES)
        content = self._content(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def _content(self, suffix: str) -> bytes:
        if suffix in (".png", ".pdf"):
            return self._drawn_by_graphviz(suffix[1:])
        text = self.svg() if suffix == ".svg" else self.mermaid() if suffix == ".mmd" else self.source
        return text.encode("utf-8", "replace")

    def _drawn_by_graphviz(self, kind: str) -> bytes:
        from graphviz import ExecutableNotFound

        program: Any = self
        try:
            return bytes(program.pipe(format=kind))
        except ExecutableNotFound:
            raise CascadeError(
                f"A .{kind} file is drawn by the program Graphviz, which is not installed. "
                "Save as .svg instead, or install Graphviz."
            ) from None

    def _whole_graph(self) -> Graph:
        if self.graph is None:
            raise CascadeError("This picture is DOT text only. Ask cs.visualize(…) for the graph's own picture.")
        return self.graph

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
        **_: object,
    ) -> dict[str, str]:
        """Show the SVG, as an image that survives where inline SVG is removed."""
        from cascade.graph.markup import element
        from cascade.graph.model import as_name

        if self.graph is None:
            return {"text/plain": self.source}
        if len(self.graph) > MOST_SHOWN:
            return self._folded()
        svg = self.svg()
        data = base64.b64encode(svg.encode("utf-8", "replace")).decode("ascii")
        names = ", ".join([as_name(node.name) for node in self.graph.nodes[:40]])
        image = {"alt": f"Graph of {self.title}: {names}", "src": f"data:image/svg+xml;base64,{data}"}
        html = element("img", {**image, "style": "max-width:100%;height:auto"})
        return {"text/html": str(html), "image/svg+xml": svg, "text/plain": repr(self)}

    def _folded(self) -> dict[str, str]:
        """Show a box for each task in the place of one for each node, as the view of a run does."""
        from cascade.context import get_current_context

        bundle, _ = get_current_context().bundle_of(self.graph)
        told = f"{self!r}: shown with one box for all nodes of a name; .save('graph.svg') draws each node."
        return {**bundle, "text/plain": told} if len(bundle) > 1 else {"text/plain": told}


@cache
def _picture_class() -> Any:
    """Make the class when it is first needed: `import cascade` does not load graphviz."""
    from graphviz import Source

    return type("GraphPicture", (Drawn, Source), {"__doc__": "A graph as DOT text that shows itself."})
