"""Pictures as SVG, DOT and Mermaid: complete, well-formed, and safe whatever the names hold."""

from __future__ import annotations

import doctest
import json
import re
from importlib import import_module
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.graph.draw import NodeState, picture, to_dot, to_mermaid, to_svg
from cascade.graph.draw_measure import clean, fit, width
from cascade.graph.draw_shapes import looks
from cascade.graph.markup import Markup, element, escape
from cascade.graph.model import Edge, Node
from cascade.graph.reading import as_read
from tests.graph.drawings import EDGE_KINDS, KINDS, fan, graphs

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'`&<>",
    "]]>",
    "--><!--",
    "a\x00b\x08c\x1b[31m",
    "\ud800 lone \udfff",
    "\ufffe\uffff",
    "\u202eevil\u202c \u2066x\u2069",
    "x\ny\r\nz\tw",
    '\\N \\" \\',
    'say "hi"; b -> c [label="x"',
    "&#x27; &amp; &lt;",
    "%%{init: {}}%% end",
    "`**bold**` 1. list",
    "日本語 😀 é́́́",
    "",
]
SVG = "{http://www.w3.org/2000/svg}"
STATES = sorted(looks()["states"])


def hostile_graph() -> tuple[list[Node], list[Edge]]:
    """Every hostile text as id, name, note and label, on every kind of node and edge."""
    nodes = [Node(f"{i}{text}", text, KINDS[i % len(KINDS)], note=HOSTILE[-1 - i]) for i, text in enumerate(HOSTILE)]
    edges = [
        Edge(nodes[i].id, nodes[i + 1].id, EDGE_KINDS[i % len(EDGE_KINDS)], HOSTILE[i]) for i in range(len(nodes) - 1)
    ]
    return nodes, edges


def parsed(svg: str) -> ET.Element:
    """The SVG, read by a strict parser from the bytes that a browser would get."""
    return ET.fromstring(svg.encode("utf-8"))


def words(root: ET.Element) -> list[str]:
    """All texts that are drawn."""
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def test_hostile_texts_leave_the_svg_well_formed():
    """Whatever names, notes, labels, details and titles hold, the SVG parses and holds no element but ours."""
    nodes, edges = hostile_graph()
    states = {node.id: NodeState(STATES[i % len(STATES)], HOSTILE[i]) for i, node in enumerate(nodes)}
    for title in HOSTILE:
        root = parsed(to_svg(picture(nodes, edges), states, title=title))
        tags = {node.tag.removeprefix(SVG) for node in root.iter()}
        assert tags <= {"svg", "title", "desc", "style", "defs", "marker", "path", "g", "rect", "text", "use"}
        assert not any(key.startswith("on") for node in root.iter() for key in node.attrib)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_text_leaves_the_svg_well_formed(name, detail, title):
    """Any text at all can be a name, a detail or a title."""
    drawn = picture([Node("a", name, note=detail), Node("b", detail, "map")], [Edge("a", "b", "route", title)])
    parsed(to_svg(drawn, {"a": NodeState("failed", detail), "b": NodeState("running", total=3)}, title=title))
    json.dumps(drawn.to_dict()).encode("utf-8")


@given(graphs(12))
def test_every_box_and_arrow_is_in_the_svg(graph):
    """The SVG has one group a node and one path an arrow, and ids that are all different."""
    drawn = picture(*graph)
    root = parsed(to_svg(drawn, {}, prefix="run7"))
    classes = [set(node.get("class", "").split()) for node in root.iter()]
    assert sum("run7-node" in names for names in classes) == len(drawn.boxes)
    assert sum("run7-edge" in names for names in classes) == len(drawn.arrows)
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))


def test_every_id_and_class_bears_the_prefix():
    """Two pictures on one page cannot touch each other: ids, classes, references and style rules are prefixed."""
    nodes, edges = hostile_graph()
    svg = to_svg(picture(nodes, edges), {node.id: NodeState("done") for node in nodes}, prefix="left-1")
    root = parsed(svg)
    for node in root.iter():
        names = [*node.get("class", "").split(), *([node.get("id")] if node.get("id") else [])]
        assert all(name.startswith("left-1-") for name in names)
    assert all(name.startswith("left-1-") for name in re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    style = root.find(f"{SVG}style").text
    assert all(name.startswith("left-1-") for name in re.findall(r"\.([A-Za-z][\w-]*)[^{}]*\{", style))


def test_references_are_all_defined():
    """Each icon and arrow head that is used is defined in the same SVG."""
    nodes, edges = hostile_graph()
    states = {node.id: NodeState(STATES[i % len(STATES)]) for i, node in enumerate(nodes)}
    svg = to_svg(picture(nodes, edges), states)
    ids = {node.get("id") for node in parsed(svg).iter()}
    assert set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg)) <= ids


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_told_by_icon_shape_and_words(state):
    """A state has an icon of its own, drawn, and its word is told to who hovers or listens."""
    drawn = picture([Node("a", "load")], [])
    svg = to_svg(drawn, {"a": NodeState(state)})
    about = looks()["states"][state]
    if state != "param":
        assert f'href="#cs1-icon-{about["icon"]}"' in svg
    assert f"load: {about['word']}" in [node.text for node in parsed(svg).iter(f"{SVG}title")]


def test_icons_differ():
    """No two states look alike without colour."""
    icons = [json.dumps(looks()["icons"][looks()["states"][state]["icon"]]) for state in STATES]
    assert len(set(icons)) == len(STATES)


def test_colours_follow_the_theme():
    """A theme of light or dark has its colours alone; auto has both, the dark ones behind the reader's setting."""
    drawn = picture([Node("a", "a")], [])
    light, dark, auto = (to_svg(drawn, theme=theme) for theme in ("light", "dark", "auto"))
    light_card, dark_card = (looks()["themes"][theme]["card"] for theme in ("light", "dark"))
    assert light_card in light
    assert dark_card not in light
    assert dark_card in dark
    assert "prefers-color-scheme" not in light + dark
    assert auto.index(light_card) < auto.index("@media (prefers-color-scheme:dark)") < auto.index(dark_card)


def test_the_svg_is_complete_in_itself():
    """Nothing is fetched: no links out, no scripts, and the namespace that an <img> needs."""
    svg = to_svg(picture(*fan(5)))
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert svg.count("http") == 1
    assert "<script" not in svg
    assert parsed(svg).get("role") == "img"


def test_the_picture_is_described_in_words():
    """Who cannot see the picture hears its title, how many nodes are in which state, and their names in order."""
    drawn = picture([Node("a", "load"), Node("b", "fit"), Node("p", "rows", "param")], [Edge("a", "b")])
    root = parsed(to_svg(drawn, {"a": NodeState("done"), "b": NodeState("running")}, title="penguins"))
    named = {node.get("id"): node.text for node in root.iter()}
    assert root.get("aria-labelledby") == "cs1-title cs1-desc"
    assert named["cs1-title"] == "penguins"
    assert named["cs1-desc"] == "2 nodes: 1 done, 1 running. From left to right: load, fit."


def test_progress_of_a_map_is_drawn_and_told():
    """A map shows a count and a bar with one piece for each kind of item; what is left stays empty."""
    states = {"m": NodeState("running", done=10, stored=7, running=4, failed=1, total=32)}
    svg = to_svg(picture([Node("m", "fit", "map")], []), states)
    assert "17 of 32 · 1 failed" in words(parsed(svg))
    for tone in ("violet", "green", "blue", "red"):
        assert f'class="cs1-fill-{tone}" d=' in svg
    assert "fit: running: 17 of 32 · 1 failed" in svg


def test_an_unknown_total_promises_nothing():
    """A map that does not know its items yet shows how many are done, and a bar that is never full."""
    svg = to_svg(picture([Node("m", "fit", "map")], []), {"m": NodeState("running", done=5)})
    assert "5" in words(parsed(svg))
    piece = re.search(r'cs1-fill-green" d="M[\d.]+,31H([\d.]+)', svg)
    assert float(piece.group(1)) < 100


def test_the_detail_line_says_what_is_known():
    """Under the name stand the detail, else the state's word, else the note; a pending node without a note has none."""
    drawn = picture([Node(i, i, note="gpu 1" if i == "d" else "") for i in "abcd"], [])
    states = {"a": NodeState("done", "0.18 s"), "b": NodeState("skipped")}
    assert words(parsed(to_svg(drawn, states))) == ["a", "0.18 s", "b", "skipped", "c", "d", "gpu 1"]


def test_unchosen_ways_are_faint_and_used_ones_strong():
    """Arrows into skipped nodes are faint; arrows that feed a running node are strong and lie on top."""
    nodes = [Node(i, i) for i in "abc"]
    states = {"a": NodeState("done"), "b": NodeState("running"), "c": NodeState("skipped")}
    svg = to_svg(picture(nodes, [Edge("a", "b"), Edge("a", "c")]), states)
    assert svg.index("cs1-edge cs1-edge-data cs1-off") < svg.index("cs1-edge cs1-edge-data cs1-flow")


def test_kinds_of_edges_differ_in_more_than_colour():
    """Each kind of edge has its dash or width; only data and selector edges are alike."""
    shown = {kind: (edge["dash"], edge["width"]) for kind, edge in looks()["edges"].items()}
    assert set(shown) == set(EDGE_KINDS)
    assert shown["data"] == shown["selector"]
    assert len(set(shown.values())) == len(EDGE_KINDS) - 1


def test_equal_edges_make_one_arrow_with_all_labels():
    """Two route keys that lead to the same node share an arrow."""
    edges = [Edge("a", "b", "route", "yes"), Edge("a", "b", "route", "maybe"), Edge("a", "b", "route", "yes")]
    arrows = picture([Node("a", "a"), Node("b", "b")], edges).arrows
    assert [arrow.label for arrow in arrows] == ["yes, maybe"]


def test_edges_of_different_kinds_do_not_hide_each_other():
    """A condition beside a data edge between the same nodes runs a few pixels off."""
    arrows = picture([Node("a", "a"), Node("b", "b")], [Edge("a", "b"), Edge("a", "b", "condition")]).arrows
    assert len({arrow.d for arrow in arrows}) == 2


def test_a_long_name_is_cut_and_told_in_full():
    """A name that is wider than the widest box ends in an ellipsis; hovering tells all of it."""
    name = "a_task_with_a_name_that_no_box_can_hold_" * 2
    drawn = picture([Node("a", name)], [])
    root = parsed(to_svg(drawn, {}))
    (shown,) = words(root)
    assert shown.endswith("…")
    assert width(shown, looks()["metrics"]["name_size"]) < drawn.boxes[0].w <= looks()["metrics"]["max_width"]
    assert f"{name}: pending" in [node.text for node in root.iter(f"{SVG}title")]


@pytest.mark.parametrize("char", ["x", "\u0301", "<", "\x00", "\n", "\u202e", "😀"])
def test_a_megabyte_of_name_makes_a_small_picture(char):
    """A name, note or label of a million characters neither bloats nor slows what is drawn."""
    long = char * 1_000_000
    nodes = [Node("a", long, note=long), Node("b", long, "map", note=long)]
    edges = [Edge("a", "b", "route", long)]
    drawn = picture(nodes, edges)
    states = {"a": NodeState("done", long), "b": NodeState("running", long, total=3)}
    assert len(to_svg(drawn, states, title=long)) < 30_000
    assert len(json.dumps(drawn.to_dict())) < 20_000
    assert len(to_dot(nodes, edges)) + len(to_mermaid(nodes, edges)) < 10_000


def test_numbers_of_a_document_are_short():
    """A picture as JSON has no more digits than a tenth of a pixel needs."""
    text = json.dumps(picture(*fan(30)).to_dict())
    assert not re.search(r"\d\.\d\d", text)
    assert set(picture(*fan(2)).to_dict()["boxes"][0]) == {"id", "name", "kind", "note", "x", "y", "w", "h"}


def test_misuse_is_told():
    """Edges to nowhere, ids used twice, prefixes and themes that cannot be: each error says what to do."""
    with pytest.raises(ValueError, match="names 'z', which is no node"):
        picture([Node("a", "a")], [Edge("a", "z")])
    with pytest.raises(ValueError, match="Two nodes have the id 'a'"):
        picture([Node("a", "a"), Node("a", "b")], [])
    drawn = picture([], [])
    with pytest.raises(ValueError, match="cannot begin an id"):
        to_svg(drawn, prefix='x"><script>')
    with pytest.raises(ValueError, match="no theme 'blue'"):
        to_svg(drawn, theme="blue")


def test_an_empty_graph_is_an_empty_picture():
    """No nodes give a small SVG that says so."""
    assert "An empty graph." in to_svg(picture([], []), {})


# -- text -----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_clean_text_is_bounded_and_safe(text):
    """Cleaned text is one line without control characters, surrogates or direction overrides, and stays as it is."""
    shown = clean(text, 50)
    assert len(shown) <= 50
    assert not re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\u2028\u2029]", shown)
    assert clean(shown, 50) == shown


@given(st.text(max_size=60), st.floats(20, 400))
def test_fitted_text_fits(text, room):
    """What `fit` returns is never wider than the room, and is the text itself where that fits."""
    shown = fit(text, 12.5, room)
    assert width(shown, 12.5) <= room
    if width(clean(text), 12.5) <= room:
        assert shown == clean(text)


# -- markup ---------------------------------------------------------------------------------------------------------


@given(st.text(), st.text())
def test_text_stays_text(inside, attribute):
    """Text in an element or an attribute comes out as it went in, but for what XML cannot hold."""
    root = ET.fromstring(element("a", {"b": attribute or "-"}, inside).encode("utf-8"))
    held = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", inside)
    assert (root.text or "").replace("\r\n", "\n") == held.replace("\r\n", "\n").replace("\r", "\n")
    assert set(root.attrib) == {"b"}
    assert len(root) == 0


def test_markup_is_not_escaped_twice():
    """Elements nest as they are; plain text beside them is escaped."""
    assert element("g", None, element("b", None, "<"), "&") == "<g><b>&lt;</b>&amp;</g>"
    assert isinstance(escape("<"), Markup)


@pytest.mark.parametrize("name", ["a b", "a>", "", "1", 'x"'])
def test_names_of_elements_are_checked(name):
    """An element or attribute cannot be named by a stray text."""
    with pytest.raises(ValueError, match="no name for an element"):
        element(name)
    with pytest.raises(ValueError, match="no name for an element"):
        element("a", {name: 1})


# -- DOT and Mermaid ------------------------------------------------------------------------------------------------

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_TRAIT = rf"[a-z]+=(?:{_STRING}|[\w.]+)"
_TRAITS = rf"\[{_TRAIT}(?:, {_TRAIT})*\]"
_MERMAID_TEXT = r'"(?:[^"<>`\\&\n]|<br/>)*"'
_MERMAID_NODE = rf"  n\d+[(\[{{]+{_MERMAID_TEXT}[)\]}}]+"


def test_dot_holds_one_statement_a_line():
    """Whatever the names hold, DOT text is a list of our own statements with quoted strings."""
    nodes, edges = hostile_graph()
    first, *statements, last = to_dot(nodes, edges).rstrip("\n").split("\n")
    assert (first, last) == ("digraph cascade {", "}")
    assert len(statements) == 3 + len(nodes) + len(as_read(nodes, edges))
    for statement in statements:
        assert re.fullmatch(rf"  (?:graph|node|edge|n\d+(?: -> n\d+)?)(?: {_TRAITS})?", statement), statement


def test_dot_shows_names_as_they_are():
    """Backslashes, quotes and ampersands, which Graphviz would read as its own, are doubled or coded."""
    dot = to_dot([Node("a", 'C:\\N "x" &amp;')], [])
    assert 'label="C:\\\\N \\"x\\" &amp;amp;"' in dot


def test_dot_tells_kinds_apart():
    """Maps are doubled, routes hexagons, Params ovals; conditions and routes dashed, the rest by its dots."""
    nodes = [Node("m", "m", "map"), Node("r", "r", "route"), Node("p", "p", "param")]
    dot = to_dot(nodes, [Edge("p", "m", "condition"), Edge("m", "r", "constraint"), Edge("p", "r", "route", "yes")])
    assert "peripheries=2" in dot
    assert "shape=hexagon" in dot
    assert "shape=oval" in dot
    assert "n2 -> n0 [style=dashed]" in dot
    assert "n0 -> n1 [style=dotted]" in dot
    assert 'n2 -> n1 [label="yes", style=dashed]' in dot


def test_mermaid_holds_one_statement_a_line():
    """Whatever the names hold, Mermaid text is a list of our own statements without Markdown or HTML of others."""
    nodes, edges = hostile_graph()
    first, *statements = to_mermaid(nodes, edges).rstrip("\n").split("\n")
    assert first == "flowchart LR"
    assert len(statements) == len(nodes) + len(as_read(nodes, edges))
    for statement in statements:
        arrow = rf"  n\d+ (?:-->|-\.->)(?:\|{_MERMAID_TEXT}\|)? n\d+"
        assert re.fullmatch(rf"{_MERMAID_NODE}|{arrow}", statement), statement


@pytest.mark.parametrize("name", ["draw", "draw_text", "markup", "layout.arrange"])
def test_examples_in_docstrings_hold(name):
    """Each example shows what really comes out."""
    module = import_module(f"cascade.graph.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
