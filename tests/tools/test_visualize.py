from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import graphviz
import pytest

import cascade as cs
from cascade.graph import draw
from cascade.graph.build import build
from cascade.interfaces.exceptions import CascadeError, NotLazyError, SettingError


@cs.task
def load(*needs: Any) -> Any:
    """Stand for any task."""
    return needs


HOSTILE = 'x"; evil [label="<script>alert(1)</script>'


def target() -> Any:
    """A graph with each kind of node."""
    a = load(cs.Param("n", 1), cs.Env("HOME")).named(HOSTILE)
    return cs.Router(a, {"x": load.map([a]), "y": load(a)}, name="way")


def test_it_is_dot_text() -> None:
    """``str()`` and ``.source`` are DOT, names are quoted, and it is a `graphviz.Source`."""
    picture = cs.visualize(target())
    assert isinstance(picture, graphviz.Source)
    assert str(picture) == picture.source
    assert picture.source.startswith("digraph cascade {")
    assert picture.source.count(" -> ") == len(build(target()).edges)
    assert '\\"; evil' in picture.source
    assert repr(picture) == "<picture of 'way': 4 nodes>"


def test_a_notebook_shows_our_own_svg() -> None:
    """An image that carries its SVG in itself, inline SVG for tools that want it, and text; no program is asked."""
    bundle = cs.visualize(target())._repr_mimebundle_()  # type: ignore[attr-defined]
    assert set(bundle) == {"text/html", "image/svg+xml", "text/plain"}
    image = ET.fromstring(bundle["text/html"] + "")
    assert image.tag == "img"
    assert "way" in image.attrib["alt"]
    svg = base64.b64decode(image.attrib["src"].removeprefix("data:image/svg+xml;base64,")).decode()
    assert svg == bundle["image/svg+xml"]
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert not re.search(r"\bhttps?://(?!www\.w3\.org)", svg)


def test_titles_and_themes() -> None:
    """A given title, else the graph's name; a wrong theme has the nearest."""
    assert "<title" in cs.visualize(target(), name="my <graph>").svg()  # type: ignore[attr-defined]
    assert "my &lt;graph&gt;" in cs.visualize(target(), name="my <graph>").svg()  # type: ignore[attr-defined]
    assert cs.visualize(target(), theme="dark").svg() != cs.visualize(target(), theme="light").svg()  # type: ignore[attr-defined]
    with pytest.raises(SettingError, match=r"theme cannot be 'drak'. Did you mean 'dark'\?"):
        cs.visualize(target(), theme="drak")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "start"),
    [("g.svg", "<svg"), ("g.SVG", "<svg"), ("g.dot", "digraph"), ("g.gv", "digraph"), ("g.mmd", "flowchart")],
)
def test_saving_needs_no_program(name: str, start: str, tmp_path: Path) -> None:
    """SVG, DOT and Mermaid are written by cascade itself, in a folder that is made if need be."""
    path = tmp_path / "new" / name
    assert cs.visualize(target()).save(path) == str(path)
    assert path.read_text(encoding="utf-8").startswith(start)
    again = cs.visualize(target()).save(name, tmp_path)
    assert Path(again).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "told"),
    [("g.svgz", r"Did you mean '.svg'\?"), ("g", "It is one of .svg, .dot"), ("g.txt", "It is one of")],
)
def test_other_suffixes(name: str, told: str, tmp_path: Path) -> None:
    """An unknown suffix writes nothing and says which there are."""
    with pytest.raises(SettingError, match=told):
        cs.visualize(target()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_png_and_pdf_without_graphviz(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the program is missing the error says so and what to do; no half file is left."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CascadeError, match=rf"A \.{kind} file is drawn by the program Graphviz, which is not installed"
    ):
        cs.visualize(target()).save(tmp_path / f"g.{kind}")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="only on systems with shell scripts")
def test_png_with_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called dot gets the DOT text, and what it gives is the file (a stand-in, where none is installed)."""
    if shutil.which("dot") is None:
        program = tmp_path / "bin" / "dot"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.write('PNG of ' + sys.stdin.read())\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
    path = tmp_path / "g.png"
    cs.visualize(target()).save(path)
    assert b"PNG" in path.read_bytes()


def test_render_still_writes_dot_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`graphviz.Source.render` saves the source under any name before it draws it; that stays DOT."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(graphviz.ExecutableNotFound):
        cs.visualize(target()).render("graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8").startswith("digraph")
    assert Path(cs.visualize(target()).save()).name == "graph.gv"


def test_targets_graphs_and_runs() -> None:
    """What has a graph is drawn as that graph; what is not lazy is the usual error."""
    graph = build(target())
    run = cs.start(load(), log_level=None)
    run.result(timeout=10)
    assert cs.visualize(graph).source == cs.visualize(target()).source
    assert "load" in cs.visualize(run).source
    assert "3 nodes" in repr(cs.visualize({"a": [load()], "b": (load(), load())}))
    with pytest.raises(NotLazyError):
        cs.visualize(3)


def test_dot_text_of_another_picture_shows_text() -> None:
    """What `unflatten` and its like make has no graph of its own: it shows DOT and says what to do."""
    copied = type(cs.visualize(target()))("digraph {a}")
    assert copied._repr_mimebundle_() == {"text/plain": "digraph {a}\n"}  # type: ignore[attr-defined]
    with pytest.raises(CascadeError, match="DOT text only"):
        copied.svg()  # type: ignore[attr-defined]


def test_a_huge_graph_is_not_pushed_into_a_notebook() -> None:
    """Above a thousand nodes the cell shows a box for each name, and says how to save the whole."""
    bundle = cs.visualize([load() for _ in range(1_500)])._repr_mimebundle_()  # type: ignore[attr-defined]
    assert "1,500 nodes>: shown with one box for all nodes of a name" in bundle["text/plain"]
    assert ".save('graph.svg')" in bundle["text/plain"]
    svg = base64.b64decode(re.search(r"base64,([^\"]+)", bundle["text/html"])[1]).decode()  # type: ignore[index]
    assert "1,500 nodes" in svg
    assert len(svg) < 20_000


def test_dot_text_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large graph most people want the picture that the cell shows, which needs none; it is made once."""
    asked: list[int] = []
    whole = draw.to_dot
    monkeypatch.setattr(draw, "to_dot", lambda nodes, edges: asked.append(len(nodes)) or whole(nodes, edges))
    picture = cs.visualize(load())
    assert not asked
    assert str(picture) == picture.source == "".join(picture)
    assert asked == [1]


def test_graphviz_is_imported_when_it_is_needed() -> None:
    """`import cascade`, and even the module, load neither graphviz nor the layout."""
    code = "import sys, cascade.tools.visualize; print('graphviz' in sys.modules, 'cascade.graph.draw' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False False\n"
