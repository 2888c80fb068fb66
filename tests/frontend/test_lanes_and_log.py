"""Lanes and log: time that goes on, lines that come and go."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLACES = (
    "() => [...document.querySelectorAll('.cascade-bar-box')].map((e) => [e.getAttribute('x'), e.getAttribute('y')])"
)


def test_lanes_show_who_held_what(stage: Any, samples: Any) -> None:
    """Each row has its name, each bar its look, and hovering tells from when to when."""
    one = stage()
    view = one.show(samples.penguins())
    assert [
        name.split("\n")[0]
        for name in view.locator(".cascade-lane-name").evaluate_all("all => all.map((e) => e.firstChild.data)")
    ] == ["cpu 1", "cpu 2", "db", "waiting"]
    assert view.locator(".cascade-bar-wait").count() == 2
    assert view.locator(".cascade-bar-backoff").count() == 1
    hint = view.locator(".cascade-bar-failed title").text_content()
    assert hint == "read_islands: OSError: database is locked\n0.32 s to 1.1 s"


def test_the_dashboard_of_a_cluster_is_a_link_and_no_other_text_is(stage: Any, samples: Any) -> None:
    """Only the run's own line has one, to http or https; what tasks and errors say stays text."""
    told = "on the cluster at tcp://127.0.0.1:8786, dashboard http://127.0.0.1:8787/status"
    document = samples.penguins()
    line = {**document["log"][0], "node": "", "label": "", "stream": "event"}
    document["log"] = [
        {**line, "text": told},
        {**line, "text": told, "stream": "stdout"},
        {**line, "text": told, "node": document["picture"]["boxes"][0]["id"], "label": "x"},
        {**line, "text": told.replace("http:", "javascript:")},
        {**line, "text": f"refused: {told}"},
    ]
    one = stage()
    view = one.show(document, memory={"open": {"log": True}})
    links = view.locator(".cascade-line a")
    assert links.count() == 1
    assert links.get_attribute("href") == links.inner_text() == "http://127.0.0.1:8787/status"
    assert links.get_attribute("rel") == "noopener noreferrer"
    assert view.locator(".cascade-line .cascade-said").all_inner_texts()[0].endswith(told)


def test_axis_rescales_in_steps(stage: Any, samples: Any) -> None:
    """As time goes on the bars keep their places until the axis is full; then it makes room once."""
    one = stage()
    one.show(samples.penguins(), live=True)
    before = one.page.evaluate(PLACES)
    one.apply({"seq": 1, "run": {"elapsed": 3.6}})
    assert one.page.evaluate(PLACES) == before
    one.apply({"seq": 2, "run": {"elapsed": 4.2}})
    once = one.page.evaluate(PLACES)
    assert once != before
    one.apply({"seq": 3, "run": {"elapsed": 5.0}})
    assert one.page.evaluate(PLACES) == once


def test_bars_come_and_change(stage: Any, samples: Any) -> None:
    """A frame closes a bar by its index, appends one, and adds a row."""
    one = stage()
    view = one.show(samples.small(), live=True)
    done = samples.bar("tasks", "clean", "clean", 0.4, 0.8, "done")
    more = samples.bar("gpu/0", "fit", "fit", 0.8, None, "running")
    one.apply({"seq": 1, "rows": [{"id": "gpu/0", "label": "gpu", "kind": "capacity"}], "bars": [[1, done], [2, more]]})
    assert view.locator(".cascade-bar-done").count() == 2
    assert view.locator(".cascade-bar-running").count() == 1
    assert view.locator(".cascade-lane-name").count() == 2


def test_tall_bars_span_rows(stage: Any, samples: Any) -> None:
    """An attempt that holds two slots is one bar, two rows high."""
    made = samples.penguins()
    made["lanes"]["bars"][0]["span"] = 2
    heights = (
        stage()
        .show(made)
        .locator(".cascade-bar-box")
        .evaluate_all("all => all.map((e) => Number(e.getAttribute('height')))")
    )
    assert heights[0] == heights[1] + 27


def test_clicking_a_bar_selects_its_node(stage: Any, samples: Any) -> None:
    """A bar leads to its node."""
    view = stage().show(samples.penguins())
    view.locator(".cascade-bar").nth(9).click()
    assert view.locator(".cascade-detail b").first.inner_text() == "read_islands"


def test_log_filters(stage: Any, samples: Any) -> None:
    """Lines can be narrowed by what wrote them and by how grave they are."""
    view = stage().show(samples.penguins())
    view.get_by_label("which lines").select_option("output")
    assert view.locator(".cascade-said").all_inner_texts() == ["dropping rows without a bill length"]
    view.get_by_label("which lines").select_option("")
    view.get_by_label("which levels").select_option("warning")
    assert view.locator(".cascade-line").count() == 2
    assert view.locator(".cascade-tally").inner_text() == "2 of 7 lines"


def test_log_is_bounded(stage: Any, samples: Any) -> None:
    """However much is said, the page holds the last 500 lines and tells how many are left out."""
    one = stage()
    view = one.show(samples.small(), live=True)
    for seq in range(1, 9):
        lines = [samples.line(seq, "", "read", "read", f"line {seq}.{number}", "stdout") for number in range(400)]
        one.apply({"seq": seq, "log": lines, "dropped": {"log": 7, "bars": 0}})
    assert view.locator(".cascade-line").count() == 500
    assert view.locator(".cascade-said").last.inner_text() == "line 8.399"
    assert view.locator(".cascade-log .cascade-more").inner_text() == "2,708 earlier lines left out"
    assert view.locator(".cascade-tally").inner_text() == "3,208 lines"


def test_saved_log_begins_at_its_beginning(stage: Any, samples: Any) -> None:
    """Someone who opens a saved run reads its log from the top."""
    made = samples.finished()
    made["log"] *= 10
    assert stage().show(made).locator(".cascade-log-scroll").evaluate("(element) => element.scrollTop") == 0


def test_log_follows_only_at_its_end(stage: Any, samples: Any) -> None:
    """New lines scroll into sight when the end is shown, and leave someone alone who reads further up."""
    one = stage()
    one.show(samples.small(), live=True)
    where = """() => {
      const {scrollTop, scrollHeight, clientHeight} = document.querySelector('.cascade-log-scroll');
      return [scrollTop, scrollHeight - clientHeight - scrollTop];
    }"""
    many = [samples.line(1, "", "read", "read", f"line {number}", "stdout") for number in range(60)]
    one.apply({"seq": 1, "log": many})
    assert one.page.evaluate(where)[1] < 2
    one.page.evaluate("document.querySelector('.cascade-log-scroll').scrollTop = 100")
    one.apply({"seq": 2, "log": many})
    assert one.page.evaluate(where)[0] == 100


def test_output_is_plain_and_marked(stage: Any, samples: Any) -> None:
    """What a task printed stands as it was, spaces and all; stderr says so in words."""
    made = samples.small()
    made["log"] = [
        samples.line(1, "", "read", "read", "a   b\n  c", "stdout"),
        samples.line(1, "", "read", "read", "oh", "stderr"),
    ]
    view = stage().show(made)
    assert view.locator(".cascade-said").first.evaluate("(e) => getComputedStyle(e).whiteSpace") == "pre-wrap"
    assert view.locator(".cascade-said").first.text_content() == "a   b\n  c"
    assert view.locator(".cascade-tag").all_inner_texts() == ["stderr"]


def test_a_lane_that_comes_later_stands_before_those_who_wait(stage: Any, samples: Any) -> None:
    """Rows of one lane stay together while the run goes on, and waiting is last, as in the saved picture."""
    one = stage()
    view = one.show(samples.penguins(), live=True)
    rows = [{"id": "tasks/1", "label": "tasks", "kind": "tasks"}, {"id": "db/1", "label": "db · 2", "kind": "resource"}]
    one.apply({"seq": 1, "rows": rows})
    names = view.locator(".cascade-lane-name").evaluate_all("all => all.map((e) => e.firstChild.data)")
    assert names[2:] == ["db", "db · 2", "tasks", "waiting"]
