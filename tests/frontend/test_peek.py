"""What a node tells who looks at it, the failure card, the critical path and the find box, in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TASK = {"signature": "clean(birds, min_rows=30)", "doc": "Drops rows without a bill.", "where": "Cell In[3], line 4"}
TABLE = {"columns": ["species", "mass"], "rows": [["Adelie", "3750"], ["Gentoo", "5000"]], "more": 331}
ASK = """([place, shown, answers]) => {
  window.asked = [];
  const ask = (question) => {
    window.asked.push(question);
    return new Promise((resolve) => { window.answer = (content) => resolve({type: "answer", ...content}); });
  };
  window.views = {[place]: cascadeView.createView(document.getElementById(place), shown, {memory: {}})};
  window.views[place].connect({ask, retry: () => window.asked.push("retry")});
}"""
Stage = Callable[..., Any]


def told(samples: Any) -> dict[str, Any]:
    """The penguins at their end, failed, with what a finished document tells of its nodes."""
    made: dict[str, Any] = samples.failed()
    rows = [
        ["fit[21]", "failed", 0.4, "ValueError: array must not contain infs or NaNs", "fit"],
        ["fit[22]", "cancelled", None, "", "fit"],
        ["fit[0]", "done", 0.3, "", "fit"],
    ]
    made["peek"] = {
        "tasks": [TASK],
        "nodes": {
            "clean": {
                "task": 0,
                "arguments": [
                    {"name": "birds", "text": "load", "node": "load", "value": "344 rows × 7 columns"},
                    {"name": "min_rows", "text": "Param min_rows", "node": "", "value": "30"},
                ],
                "head": {"type": "DataFrame", "text": "", "table": TABLE, "size": 18_648},
            },
            "fit": {"parts": {"rows": rows, "more": 29}},
        },
    }
    first = made["failure"]
    first["causes"] = [{"how": "caused by", "error_type": "KeyError", "error": "'mass'", "frames": first["frames"][:1]}]
    other = {**first, "label": "fit[22]", "error": "singular matrix", "causes": [], "frames": [], "inputs": []}
    first["more"], first["others"] = [other], 1
    return made


def asking(one: Any, shown: dict[str, Any], place: str = "one") -> Any:
    """Show a finished run that a kernel still knows."""
    one.page.evaluate(ASK, [place, shown, []])
    one.settle()
    return one.page.locator(f"#{place} .cascade-view")


def pick(view: Any, name: str) -> None:
    """Click a node of the graph."""
    view.locator(f"[data-index]:is([aria-label^='{name}:'], [aria-label^='{name},'])").click()


def test_a_finished_document_tells_of_its_nodes_by_itself(stage: Stage, samples: Any) -> None:
    """Function, docstring, place, arguments and first rows are there with no kernel."""
    view = stage().show(told(samples))
    pick(view, "clean")
    text = view.locator(".cascade-peek").inner_text()
    for part in ("clean(birds, min_rows=30)", "Drops rows without a bill.", "Cell In[3], line 4", "Gentoo", "18.6 kB"):
        assert part in text
    assert "344 rows × 7 columns" in text
    assert "331 more rows" in text
    view.locator(".cascade-peek").get_by_role("button", name="load").click()
    assert view.locator(".cascade-detail b").first.inner_text() == "load"


def test_the_kernel_is_asked_and_late_answers_are_dropped(stage: Stage, samples: Any) -> None:
    """What the kernel says replaces what was recorded, unless another node is looked at by then."""
    one = stage()
    view = asking(one, told(samples))
    pick(view, "load")
    one.page.evaluate("window.first = window.answer")
    pick(view, "clean")
    one.page.evaluate("window.first({peek: {task: {signature: 'late()', doc: '', where: ''}}})")
    value = {"state": "kept", "type": "Series", "text": "7 values", "table": None, "size": 0}
    one.page.evaluate("(value) => window.answer({peek: {value}})", value)
    one.settle()
    text = view.locator(".cascade-peek").inner_text()
    assert "7 values" in text
    assert "late()" not in view.inner_text()
    assert [q["node"] for q in one.page.evaluate("window.asked")] == ["load", "clean"]
    one.page.evaluate("window.views.one.connect(null)")
    one.settle()
    assert "Gentoo" in view.locator(".cascade-peek").inner_text()
    assert view.get_by_role("button", name="Retry").count() == 0


def test_items_are_listed_failed_first_and_shown_one_by_one(stage: Stage, samples: Any) -> None:
    """A map opens into its items; one of them is looked at, by keyboard too, and left again."""
    one = stage()
    view = one.show(told(samples))
    pick(view, "fit")
    view.get_by_role("button", name="Show items").focus()
    one.page.keyboard.press("Enter")
    items = view.locator(".cascade-item-row")
    assert items.first.inner_text().split("\n")[0].startswith("fit[21]")
    assert "and 29 more" in view.locator(".cascade-parts-body").inner_text()
    items.first.get_by_role("button").focus()
    one.page.keyboard.press("Enter")
    assert view.locator(".cascade-part-head b").inner_text() == "fit[21]"
    view.get_by_role("button", name="← fit").click()
    assert view.locator(".cascade-part-head").count() == 0


def test_several_failures_are_told_one_at_a_time(stage: Stage, samples: Any) -> None:
    """The first one with its cause and how many more there are; Next failure goes on, Debug says what to type."""
    view = stage().show(told(samples))
    card = view.locator(".cascade-failure")
    assert "failure 1 of 3, and 2 more" in card.inner_text()
    assert "caused by" in card.inner_text()
    assert "KeyError" in card.inner_text()
    card.get_by_role("button", name="Debug").click()
    assert "%cascade debug fit[21]" in card.inner_text()
    card.get_by_role("button", name="Next failure").click()
    assert "singular matrix" in card.inner_text()
    assert "KeyError" not in card.inner_text()
    card.get_by_role("button", name="Previous").click()
    assert "KeyError" in card.inner_text()


def test_retry_is_there_while_a_kernel_knows_the_run(stage: Stage, samples: Any) -> None:
    """In the head and in the card; without a kernel in neither. What the kernel refuses is said."""
    one = stage()
    view = asking(one, told(samples))
    assert view.get_by_role("button", name="Retry").count() == 2
    view.locator(".cascade-head").get_by_role("button", name="Retry").click()
    assert one.page.evaluate("window.asked.at(-1)") == "retry"
    assert view.locator(".cascade-head").get_by_role("button", name="Retrying…").is_disabled()
    one.page.evaluate("window.views.one.tell('The values are gone.')")
    one.settle()
    assert view.get_by_role("alert").inner_text() == "The values are gone."
    assert one.show(told(samples), place="two").get_by_role("button", name="Retry").count() == 0


def test_the_critical_path_is_a_toggle(stage: Stage, samples: Any) -> None:
    """Of a finished run the chain that really was; of one that goes on, the longest by earlier times."""
    one = stage()
    view = one.show(samples.finished())
    button = view.get_by_role("button", name="Critical path")
    button.click()
    assert "critical path: " in view.locator(".cascade-path-words").inner_text()
    path = view.locator(".cascade-node.cascade-is-found").evaluate_all("all => all.map((e) => e.dataset.index)")
    assert [samples.PENGUIN_NODES[int(i)].name for i in path] == ["load", "clean", "by_species", "fit", "join", "plot"]
    button.click()
    assert view.locator(".cascade-is-found").count() == 0
    usual = {"read_islands": 90.0, "publish?": 1.0, "plot": 5.0}
    going = one.show({**samples.penguins(), "usual": usual}, live=True, place="two")
    going.get_by_role("button", name="Critical path").click()
    words = going.locator(".cascade-path-words").inner_text()
    assert "as far as it is known" in words
    assert "read_islands → publish? → plot" in words


def test_the_find_box_reaches_items_of_maps(stage: Stage, samples: Any) -> None:
    """`fit[21]` and Enter shows that item, with no kernel as well."""
    one = stage()
    view = one.show(told(samples))
    view.get_by_label("Find a node").fill("fit[21]")
    one.page.keyboard.press("Enter")
    assert view.locator(".cascade-part-head b").inner_text() == "fit[21]"


@pytest.mark.parametrize("large", [False, True])
def test_a_stale_node_says_so(stage: Stage, samples: Any, *, large: bool) -> None:
    """A mark is a badge, a dashed line and words; a frame sets it and takes it away."""
    one = stage()
    made = samples.layered(900) if large else samples.finished()
    node = made["picture"]["boxes"][2]["id"]
    view = one.show(made)
    entry = {**made["nodes"][node], "m": "would run, ~2.1 s"}
    one.apply({"seq": 1, "nodes": {node: entry}})
    if large:
        return
    marked = view.locator(".cascade-is-stale")
    label = marked.get_attribute("aria-label") or ""
    assert "stale" in label
    assert "would run, ~2.1 s" in label
    assert marked.locator("[data-stale]").count() == 1
    one.apply({"seq": 2, "nodes": {node: {**entry, "m": ""}}})
    assert view.locator(".cascade-is-stale, [data-stale]").count() == 0
