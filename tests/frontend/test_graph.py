"""The graph panel: how it fits, zooms and pans, and that a large one stays smooth."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LABELS = "all => all.map((e) => e.getAttribute('aria-label'))"


def level(view: Any) -> int:
    """The zoom in per cent, as the view shows it."""
    return int(view.locator(".cascade-level").inner_text().split()[0])


def height(view: Any) -> float:
    """How high the graph is, px."""
    return float(view.locator(".cascade-graph-room").bounding_box()["height"])


def test_small_graph_has_natural_size(stage: Any, samples: Any) -> None:
    """What fits is shown at 100 %, never larger, and as high as it is."""
    view = stage(width=1150).show(samples.small())
    assert level(view) == 100
    assert height(view) < 100


def test_wide_graph_is_fitted(stage: Any, samples: Any) -> None:
    """A graph somewhat too wide is made smaller until all of it is seen."""
    one = stage(width=760)
    view = one.show(samples.penguins())
    assert 60 <= level(view) < 100
    boxes = [box.bounding_box() for box in view.locator("[data-index]").all()]
    card = view.bounding_box()
    assert all(box["x"] >= card["x"] and box["x"] + box["width"] <= card["x"] + card["width"] for box in boxes)


def test_large_graph_stays_readable(stage: Any, samples: Any) -> None:
    """A graph too large to be read as a whole begins readable, no higher than 420 px, and fits on request."""
    one = stage()
    view = one.show(samples.layered(300))
    assert height(view) <= 420
    assert level(view) >= 60
    view.get_by_role("button", name="Fit all").click()
    assert level(view) < 60


def test_wheel_zooms_only_with_a_key(stage: Any, samples: Any) -> None:
    """A plain wheel scrolls the notebook; with ctrl or cmd it zooms at the pointer."""
    one = stage()
    view = one.show(samples.penguins())
    node = view.locator('[data-index="2"]')
    node.hover()
    before, place = level(view), node.bounding_box()
    one.page.mouse.wheel(0, -200)
    one.settle()
    assert level(view) == before
    one.page.keyboard.down("Control")
    one.page.mouse.wheel(0, -200)
    one.page.keyboard.up("Control")
    one.settle()
    assert level(view) > before
    assert abs(node.bounding_box()["x"] - place["x"]) < place["width"], "the node under the pointer stays there"


def test_drag_pans_and_selects_nothing(stage: Any, samples: Any) -> None:
    """Dragging moves the picture; the node under the pointer is not chosen by it."""
    one = stage()
    view = one.show(samples.penguins())
    node = view.locator('[data-index="2"]')
    before = node.bounding_box()
    one.page.mouse.move(before["x"] + 20, before["y"] + 10)
    one.page.mouse.down()
    one.page.mouse.move(before["x"] + 60, before["y"] + 30, steps=4)
    one.page.mouse.up()
    after = node.bounding_box()
    assert (round(after["x"] - before["x"]), round(after["y"] - before["y"])) == (40, 20)
    assert not view.locator(".cascade-detail").is_visible()


def test_chosen_place_is_kept(stage: Any, samples: Any) -> None:
    """Frames, and a whole new document, leave the place alone that someone panned to."""
    one = stage()
    view = one.show(samples.layered(50), live=True)
    view.get_by_role("button", name="larger").click()
    where = view.locator(".cascade-world").get_attribute("transform")
    one.apply({"seq": 1, "nodes": {"n3": samples.entry("failed")}})
    one.page.evaluate("(shown) => views.one.replace(shown)", samples.layered(50) | {"seq": 5})
    one.settle()
    assert view.locator(".cascade-world").get_attribute("transform") == where


def test_hover_lifts_the_edges_out(stage: Any, samples: Any) -> None:
    """Pointing at a node lifts its edges and neighbours out of the rest, and leaving puts them back."""
    one = stage()
    view = one.show(samples.penguins())
    view.locator('[data-index="2"]').hover()
    assert view.locator(".cascade-edge.cascade-is-hot").count() == 5
    assert view.locator(".cascade-node.cascade-is-hot").count() == 6
    one.page.mouse.move(5, 5)
    assert view.locator(".cascade-is-hot").count() == 0


def test_focus_hides_the_rest(stage: Any, samples: Any) -> None:
    """On request only what leads to the selected node and what comes from it is drawn, in sight; closing shows all."""
    one = stage()
    view = one.show(samples.penguins())
    view.locator('[data-index="5"]').click()
    view.get_by_role("button", name="Focus").click()
    one.settle()
    names = {re.split("[,:]", text)[0] for text in view.locator(".cascade-node").evaluate_all(LABELS)}
    assert names == {"load", "min_rows", "clean", "read_islands", "publish?", "plot", "send_mail"}
    room = view.locator(".cascade-graph-room").bounding_box()
    for box in view.locator(".cascade-node").all():
        place = box.bounding_box()
        assert place["x"] >= room["x"] - 1
        assert place["x"] + place["width"] <= room["x"] + room["width"] + 1
    view.get_by_role("button", name="close").click()
    assert view.locator(".cascade-node").count() == len(samples.PENGUIN_NODES)


def test_map_box_counts(stage: Any, samples: Any) -> None:
    """A map says how many of its items are over and fills its bar, also while their number is unknown."""
    one = stage()
    view = one.show(samples.penguins(), live=True)
    node = view.locator('[data-index="4"]')
    assert "17 of 32" in node.inner_html()
    running = samples.entry("running", 0.5, None, items=samples.items(None, done=3, running=1))
    one.apply({"seq": 1, "nodes": {"fit": running}})
    assert "3 so far" in node.inner_html()
    widths = {
        part.get_attribute("class").split("fill-")[1]: float(part.get_attribute("width"))
        for part in node.locator(".cascade-part").all()
    }
    assert widths["done"] == pytest.approx(3 * widths["running"], rel=0.01)


def test_route_edges_have_labels(stage: Any, samples: Any) -> None:
    """Routes carry their key, dashed; an edge to what does not run is faint, one to what runs is lit."""
    view = stage().show(samples.penguins())
    assert sorted(view.locator(".cascade-edge-label").all_text_contents()) == ["no", "yes"]
    assert view.locator(".cascade-edge.cascade-is-off").count() == 1
    assert view.locator(".cascade-edge.cascade-is-flowing").count() == 1


def test_no_transitions_in_large_graphs(stage: Any, samples: Any) -> None:
    """Above 200 nodes nothing fades: it would cost every frame."""
    one = stage()
    one.show(samples.layered(300))
    assert one.page.evaluate("getComputedStyle(document.querySelector('.cascade-node')).transitionProperty") == "none"


def test_huge_graph_is_one_canvas(stage: Any, samples: Any) -> None:
    """Above 400 nodes a canvas draws them; pointing, clicking, keys and the find box work as before."""
    one = stage()
    view = one.show(samples.layered(600), live=True)
    canvas = view.locator("canvas")
    assert view.locator("[data-index]").count() == 0
    assert canvas.get_attribute("aria-label") == "graph of 600 nodes; the table tells the same"
    view.get_by_label("Find a node").fill("score_100")
    view.get_by_label("Find a node").press("Enter")
    assert view.locator(".cascade-detail b").first.inner_text() == "score_100"
    room = canvas.bounding_box()
    one.page.mouse.click(room["x"] + 3, room["y"] + 3)
    assert not view.locator(".cascade-detail").is_visible()
    one.page.mouse.click(room["x"] + room["width"] / 2, room["y"] + room["height"] / 2)
    assert view.locator(".cascade-detail b").first.inner_text() == "score_100"
    one.page.keyboard.press("ArrowRight")
    assert canvas.get_attribute("aria-label") != "graph of 600 nodes; the table tells the same"


def test_huge_graph_stays_smooth(stage: Any, samples: Any) -> None:
    """With 2,000 nodes a frame of 100 changes is on the screen well within the 200 ms that lie between two frames."""
    one = stage()
    one.show(samples.layered(2000), live=True)
    slowest = one.page.evaluate(
        """async () => {
          const times = [];
          for (let seq = 1; seq <= 12; seq += 1) {
            const nodes = {};
            for (let index = 0; index < 100; index += 1) {
              nodes[`n${seq * 100 + index}`] = {s: 'running', t0: seq, t1: null, d: '', why: '', v: '', items: null};
            }
            const before = performance.now();
            views.one.apply({seq, nodes, run: {elapsed: 42 + seq}});
            for (let count = 0; count < 2; count += 1) await new Promise(requestAnimationFrame);
            await new Promise((resolve) => setTimeout(resolve));
            times.push(performance.now() - before);
          }
          return times.sort((a, b) => a - b)[6];
        }"""
    )
    assert slowest < 200
