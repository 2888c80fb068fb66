"""What the view costs the page that shows it: no picture without news, and the newest bars first."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What moves for ever: whether it is part of a drawing, how, and what changes. And all that changes its size.
MOVING = """() => {
  const effects = document.getAnimations().map(({effect}) => effect);
  return effects.filter((one) => one.getTiming().iterations === Infinity).map((one) => {
    const [first, last] = one.getKeyframes();
    return [one.target.namespaceURI.endsWith("svg"), first.easing, "transform" in last];
  });
}"""
GROWING = """() => document.getAnimations().filter(({effect}) => "width" in effect.getKeyframes()[0]).length"""
# The changed canvas, in the very frame of the screen that follows the news.
NEWS = """(ids) => new Promise((resolve) => {
  const canvas = document.querySelector("canvas");
  const before = canvas.toDataURL();
  const entry = {s: "failed", t0: 0, t1: 1, d: "", why: "", v: "", items: null};
  window.views.one.apply({seq: 1, nodes: Object.fromEntries(ids.map((id) => [id, entry]))});
  requestAnimationFrame(() => resolve(canvas.toDataURL() !== before));
})"""
# The text of the status line, each time it changes, while frames come five times a second.
FRAMES = """() => new Promise((resolve) => {
  const status = document.querySelector(".cascade-status");
  let changes = 0, sent = 0;
  const watcher = new MutationObserver(() => { changes += 1; });
  watcher.observe(status, {childList: true, characterData: true, subtree: true});
  const send = () => {
    if (sent === 10) return resolve([changes, sent]);
    sent += 1;
    window.views.one.apply({seq: sent, run: {elapsed: 3 + sent / 5}});
    setTimeout(send, 200);
  };
  send();
})"""


def test_only_a_box_turns_and_in_steps(stage: Any, samples: Any) -> None:
    """A smooth turn, a drawing that moves or a bar that grows would be painted sixty times a second."""
    one = stage()
    one.show(samples.penguins(), live=True)
    one.apply({"seq": 1, "run": {"elapsed": 4.0, "counts": {**samples.penguins()["run"]["counts"], "done": 20}}})
    assert one.page.evaluate(MOVING) == [[False, "steps(24)", True]]
    assert one.page.evaluate(GROWING) == 0


def test_the_clock_leaves_it_to_the_frames(stage: Any, samples: Any) -> None:
    """Where frames come five times a second, each draws the time, and the clock draws nothing between them."""
    one = stage()
    one.show(samples.penguins(), live=True)
    changes, frames = one.page.evaluate(FRAMES)
    assert frames == 10
    assert changes <= frames + 2


def test_the_clock_goes_on_without_frames(stage: Any, samples: Any) -> None:
    """When no frame comes, the time goes on by itself."""
    one = stage()
    view = one.show(samples.penguins(), live=True)
    before = view.locator(".cascade-status").inner_text()
    one.page.wait_for_function(
        "(before) => document.querySelector('.cascade-status').innerText !== before", arg=before, timeout=5_000
    )


def test_a_bar_may_come_before_those_between(stage: Any, samples: Any) -> None:
    """A frame brings the newest bars first: they are drawn at once, the missing ones when they come, madness never."""
    one = stage()
    view = one.show(samples.small(), live=True)
    drawn = view.locator(".cascade-bar")
    begun = drawn.count()
    total = one.page.evaluate("() => document.querySelectorAll('[data-bar]').length")
    newest = samples.bar("tasks", "clean", "newest", 1.0, 1.2, "done")
    one.apply({"seq": 1, "bars": [[total + 3, newest], [10**9, newest], [-1, newest]]})
    assert drawn.count() == begun + 1
    between = [
        [total + at, samples.bar("tasks", "clean", f"b{at}", 0.5 + at / 10, 0.58 + at / 10, "done")] for at in range(3)
    ]
    one.apply({"seq": 2, "bars": between})
    assert drawn.count() == begun + 4
    view.locator("button", has_text="Table").click()
    assert view.locator("tbody tr").count() > 0


def test_a_large_graph_is_drawn_in_the_frame_that_brings_its_news(stage: Any, samples: Any) -> None:
    """The canvas does not wait for another picture of the screen."""
    one = stage()
    made = samples.layered(500)
    one.show(made, live=True)
    assert one.page.evaluate(NEWS, list(made["nodes"]))


def test_a_panel_that_was_closed_tells_what_it_missed(stage: Any, samples: Any) -> None:
    """Opening a panel again draws what changed meanwhile, and not the whole of it anew."""
    one = stage()
    view = one.show(samples.penguins(), live=True)
    table = view.locator("button", has_text="Table")
    table.click()
    one.page.evaluate("() => document.querySelector('.cascade-nodes tbody tr').classList.add('kept')")
    row = view.locator(".cascade-nodes tbody tr", has_text="join")
    assert "pending" in row.inner_text()
    table.click()
    one.apply({"seq": 1, "nodes": {"join": samples.entry("done", 3.0, 3.5)}})
    one.apply({"seq": 2, "log": [samples.line(3.5, "done", "join", "join", "a line that came meanwhile")]})
    table.click()
    assert "done" in row.inner_text()
    assert view.locator("tr.kept").count() == 1
    log = view.locator("button", has_text="Log")
    log.click()
    one.apply({"seq": 3, "log": [samples.line(3.6, "done", "plot", "plot", "and another one")]})
    log.click()
    lines = view.locator(".cascade-lines").inner_text()
    assert lines.count("a line that came meanwhile") == lines.count("and another one") == 1
