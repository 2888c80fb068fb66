"""Forty strings made to break out, as every name, value, error, line and file: wherever they show, they stay text."""

from __future__ import annotations

import ast
import base64
import json
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import html5lib
import pytest

import cascade as cs
from cascade.notebook.bundle import static_bundle
from cascade.notebook.display import run_bundle
from cascade.notebook.doctor import Finding, Findings
from cascade.notebook.document import MIME
from cascade.notebook.folding import weight
from cascade.notebook.looking import peek_bundle
from cascade.notebook.peek import Peeker
from cascade.notebook.record import RunRecord
from cascade.notebook.replay import describe_replay
from cascade.notebook.verify import Verification
from cascade.tools.comparison import Comparison, Row
from cascade.tools.export import export
from cascade.tools.export_source import Cell
from tests.notebook.hostile import ALARM, HARMLESS, STRINGS, defined, play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

every = pytest.mark.parametrize(
    "text", [pytest.param(t, id=n, marks=[pytest.mark.slow] if len(t) > 10_000 else []) for n, t in STRINGS.items()]
)
# What may be in an attribute although a text of the user's is in it: readers and searches want it there.
TOLD = {"alt", "title", "aria-label"}
_DOT_LINE = re.compile(r'  n\d+( -> n\d+)?( \[([a-z]+=("([^"\\\n]|\\.)*"|[a-z0-9]+)(, )?)+\])?')
_MERMAID_LINE = re.compile(r'  n\d+(\(+\[?|\[+|\{+)"[^"\n]*"(\)|\]|\})+|  n\d+ (-->|-\.->)(\|"[^"\n]*"\|)? n\d+')


def elements(markup: str) -> Counter[tuple[str, frozenset[str]]]:
    """The elements that a browser makes of some markup, with the names of their attributes; of SVG images too."""
    tree = html5lib.parse(markup, namespaceHTMLElements=False)
    found: Counter[tuple[str, frozenset[str]]] = Counter()
    for each in tree.iter():
        if not isinstance(each.tag, str):
            raise AssertionError(f"a comment: {each.text!r}")
        found[each.tag, frozenset(map(str, each.attrib))] += 1
        for name, value in each.attrib.items():
            if name not in TOLD:
                assert ALARM not in value.replace(" ", "")
        if each.tag in {"img", "a", "link", "script", "iframe", "object", "embed", "form", "base", "use", "image"}:
            address = each.attrib.get("src", each.attrib.get("href", "data:image/"))
            assert address.startswith("data:image/")
    return found


def pictures(markup: str) -> Iterator[str]:
    """The SVG images that some markup carries."""
    for data in re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", markup):
        yield base64.b64decode(data).decode()


def parts_of_svg(svg: str) -> set[tuple[str, str]]:
    """The kinds of elements of an SVG with each attribute, read as XML and as HTML."""
    kinds = set()
    for tree in (ET.fromstring(svg), html5lib.parse(svg, namespaceHTMLElements=False)):
        for each in tree.iter():
            kind = str(each.tag).rpartition("}")[2]
            kinds |= {(kind, ""), *((kind, str(name).rpartition("}")[2]) for name in each.attrib)}
            for name, value in each.attrib.items():
                assert name in TOLD or ALARM not in value
    return kinds


def assert_calm(text: str, most: int = 30_000) -> None:
    """Text for a terminal, a file or a mail: bounded, valid, with nothing in it that steers or deceives."""
    assert len(text) <= most
    text.encode()
    odd = {char for char in text if char != "\n" and unicodedata.category(char) in {"Cc", "Cs"}}
    assert not odd
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def shown(text: str) -> dict[str, str]:
    """Everything that makes markup of a run, by name, for a run in which everything is called `text`."""
    made: dict[str, str] = {}
    for way in ("done", "failed"):
        run = play(text, fails=way == "failed")
        made[f"bundle of a run that {way}"] = run_bundle(run)[0]["text/html"]
        record = RunRecord(run.graph)
        record.apply(run.events)
        note = static_bundle(record.document(), record.drawing.shape, text[:2_000])
        made[f"picture with a note, {way}"] = note["text/html"]
        peeker = Peeker(run, record)
        for number, box in enumerate(record.boxes):
            made[f"peek {number}, {way}"] = peek_bundle(peeker.look(box))["text/html"]
    with defined(text) as target:
        made["lazy result"] = target._repr_mimebundle_()[0]["text/html"]
        made["graph"] = run.graph._repr_mimebundle_()[0]["text/html"]
        picture: Any = cs.visualize(target, name=text)
        made["visualize"] = picture._repr_mimebundle_()["text/html"]
        made["plan"] = _quiet_plan(target)._repr_html_()
        simulated = cs.simulate(target, system_resources={text: 2}, durations=_a_second)
        made["simulation"] = simulated._repr_mimebundle_()[0]["text/html"]
    text = text[:2_000]  # what these are given is short already
    comparison = Comparison(text, (Row(text, "same", text), Row(text, "fails", text)), (text,))
    made["comparison"] = comparison._repr_mimebundle_()["text/html"]
    verification = Verification(text, 3, 1.0, ((text, text),), (comparison,), (text,))
    made["verification"] = verification._repr_mimebundle_()["text/html"]
    made["doctor"] = Findings((Finding(text, text, text),))._repr_mimebundle_()["text/html"]
    return made


def _a_second(_node: object) -> float:
    return 1.0


def _quiet_plan(target: object) -> Any:
    from cascade.tools.preview import preview

    return preview(target)


@lru_cache(maxsize=1)
def baseline() -> dict[str, Counter[tuple[str, frozenset[str]]]]:
    """What a harmless word makes of each output."""
    return {name: elements(markup) for name, markup in shown(HARMLESS).items()}


@lru_cache(maxsize=1)
def baseline_of_pictures() -> set[tuple[str, str]]:
    """What is in the pictures of a run of harmless words."""
    return {part for markup in shown(HARMLESS).values() for svg in pictures(markup) for part in parts_of_svg(svg)}


@every
def test_no_page_gets_an_element_or_an_attribute(text: str) -> None:
    """HTML of runs, failures, peeks, graphs, plans, simulations, comparisons, verify and doctor: the same elements."""
    for name, markup in shown(text).items():
        assert not elements(markup) - baseline()[name], name
        for svg in pictures(markup):
            assert parts_of_svg(svg) <= baseline_of_pictures(), name


@every
def test_no_text_steers_a_terminal(text: str, tmp_path: Path) -> None:
    """Text of runs, plans, histories, reasons, stores: bounded, valid, without controls that steer or deceive."""
    run = play(text, fails=True)
    document = run_bundle(run)[0][MIME]
    for told in (run_bundle(run)[0]["text/plain"], describe_replay(document), repr(run), repr(run.graph)):
        assert_calm(told)
    record = RunRecord(run.graph)
    record.apply(run.events)
    for box in record.boxes:
        assert_calm(peek_bundle(Peeker(run, record).look(box))["text/plain"])
    with defined(text) as target:
        assert_calm(repr(target))
        assert_calm(str(_quiet_plan(target)))
        assert_calm(str(cs.simulate(target, system_resources={text: 2}, durations=_a_second)))
        assert_calm(repr(cs.visualize(target)))
    folder = str(tmp_path / "store")
    for _ in range(2):
        play(text, cache=folder)
    assert_calm(str(cs.history(cache=folder)))
    assert_calm(str(cs.diff(1, 2, cache=folder)))
    for node in run.graph.ids:
        if node in {row.node for row in cs.history(cache=folder).nodes(1)}:
            assert_calm(str(cs.why(node, cache=folder)))


@every
def test_a_document_is_json_of_bounded_plain_text(text: str) -> None:
    """The run document is UTF-8, at most 200 KB, and no string in it is long or steers anything."""
    document = run_bundle(play(text, fails=True))[0][MIME]
    assert weight(document) <= 200_000
    json.dumps(document, ensure_ascii=False).encode()
    for string in strings_of(document):
        assert len(string) <= 4_000
        assert "\x00" not in string
        assert "\x1b" not in string


def strings_of(value: object) -> Iterator[str]:
    """Every string in some JSON, the keys of objects too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from strings_of(key)
            yield from strings_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings_of(each)


@lru_cache(maxsize=1)
def lines_of_drawings() -> tuple[int, int]:
    """How many lines DOT (without its frame) and Mermaid have for a target of harmless words."""
    with defined(HARMLESS) as target:
        picture: Any = cs.visualize(target)
        return len(picture.source.splitlines()) - 2, len(picture.mermaid().splitlines())


@every
def test_drawings_for_other_programs_keep_their_statements(text: str, tmp_path: Path) -> None:
    """DOT and Mermaid have a line for each node and edge and no other; a saved SVG is sound XML."""
    with defined(text) as target:
        picture: Any = cs.visualize(target, name=text)
        first, *lines, last = picture.source.splitlines()
        mermaid = picture.mermaid().splitlines()
        picture.save(tmp_path / "graph.svg")
    assert (first, last) == ("digraph cascade {", "}")
    assert lines[3:]
    assert [line for line in lines[3:] if not _DOT_LINE.fullmatch(line)] == []
    assert [line for line in mermaid[1:] if not _MERMAID_LINE.fullmatch(line)] == []
    assert (len(lines), len(mermaid)) == lines_of_drawings()
    assert parts_of_svg((tmp_path / "graph.svg").read_text(encoding="utf-8"))


@every
def test_an_exported_module_has_the_same_statements(text: str, tmp_path: Path) -> None:
    """Params and capacities that the file shows in its help and its last line cannot end their strings."""

    def statements(value: str) -> list[str]:
        code = f"import cascade as cs\n@cs.task\ndef one(x={value[:200]!r}):\n    return x\nname = {value[:200]!r}\n"
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(code, names)
        path = tmp_path / "flow.py"
        made = export(
            "one(cs.Param(name))", path, cells=[Cell("In[1]", code)], namespace=names, force=True,
            given={value[:200]: value, "x": value}, capacities={value: 2.0},
        )  # fmt: skip
        return [type(node).__name__ for node in ast.walk(ast.parse(made.text))]

    assert statements(text) == statements(HARMLESS)


@every
def test_a_report_has_the_same_elements(text: str, tmp_path: Path) -> None:
    """The page with its scripts, styles and documents: nothing of a text becomes an element or ends a script."""
    pages = []
    for word in (HARMLESS, text):
        path = tmp_path / f"{len(pages)}.html"
        play(word, fails=True).report(path)
        page = path.read_text(encoding="utf-8")
        # The code of the tasks is that of this file's neighbour, and the view's own scripts take long to read.
        pages.append(re.sub(r"(?<=<script>)[^<]*(?:<(?!/script>)[^<]*)*(?=</script>)", "", page))
    assert elements_of_page(pages[1]) == elements_of_page(pages[0])


def elements_of_page(page: str) -> set[tuple[str, frozenset[str], str]]:
    """The kinds of elements of a page, and the parts of the page that have one, such as its scripts."""
    tree = html5lib.parse(page, namespaceHTMLElements=False)
    parents = {child: parent for parent in tree.iter() for child in parent}
    place = {each: str(parents[each].tag) if each in parents else "" for each in tree.iter()}
    return {(str(each.tag), frozenset(map(str, each.attrib)), place[each]) for each in tree.iter()}
