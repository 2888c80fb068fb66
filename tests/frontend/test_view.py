"""What a person sees of a run, and what stays as it was: in a real browser, from documents."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT = 5_000


def texts(view: Any, selector: str) -> list[str]:
    """The texts of all that `selector` finds, on one line each."""
    return [" ".join(text.split()) for text in view.locator(selector).all_inner_texts()]


def test_head_tells_the_run(stage: Any, samples: Any) -> None:
    """Name, state, time, time left, counts and capacities stand in the head."""
    view = stage().show(samples.penguins(), live=True)
    assert view.locator(".cascade-name").inner_text() == "penguin report"
    assert view.locator(".cascade-head .cascade-status").inner_text().startswith("running · 3.")
    assert "about" in view.locator(".cascade-head .cascade-status").inner_text()
    assert texts(view, ".cascade-count")[:3] == ["12 done", "8 from the store", "2 running"]
    assert texts(view, ".cascade-count")[-2:] == ["cpu 2/2", "db 1/1"]
    assert view.get_by_role("progressbar").get_attribute("aria-valuetext") == "21 of 41 over"


def test_time_goes_on_by_itself(stage: Any, samples: Any) -> None:
    """The seconds of a live run count without frames; those of a saved one stand."""
    one = stage()
    live = one.show(samples.penguins(), live=True)
    saved = one.show(samples.penguins(), place="two")
    status = live.locator(".cascade-head .cascade-status")
    before = status.inner_text()
    one.page.wait_for_function("([element, text]) => element.innerText !== text", arg=[status.element_handle(), before])
    assert saved.locator(".cascade-head .cascade-status").inner_text() == "running when this was saved · 3.2 s"


def test_nothing_jumps(stage: Any, samples: Any) -> None:
    """A frame changes looks and words in place: the same elements, at the same places."""
    one = stage()
    view = one.show(samples.penguins(), live=True)
    places = """() => [...document.querySelectorAll('[data-index], .cascade-edge-line')]
      .map((element) => element.getAttribute('transform') ?? element.getAttribute('d'))"""
    node = view.locator('[data-index="7"]')
    handle, before, height = node.element_handle(), one.page.evaluate(places), view.bounding_box()["height"]
    answer = one.apply({"seq": 1, "nodes": {"join": samples.entry("running", 3.2)}})
    assert answer == "next"
    assert "cascade-s-running" in node.get_attribute("class")
    assert one.page.evaluate("([a, b]) => a === b", [handle, node.element_handle()])
    assert one.page.evaluate(places) == before
    assert view.bounding_box()["height"] == height


def test_frames_have_their_turn(stage: Any, samples: Any) -> None:
    """A frame that is already in is left out, and one after a gap is refused until a whole document came."""
    one = stage()
    view = one.show(samples.small(), live=True)
    done = {"nodes": {"fit": samples.entry("done", 0, 1)}}
    assert one.apply({"seq": 0, **done}) == "old"
    assert one.apply({"seq": 2, **done}) == "gap"
    assert view.locator(".cascade-node.cascade-s-done").count() == 1
    assert one.apply({"seq": 1, **done}) == "next"
    assert view.locator(".cascade-node.cascade-s-done").count() == 2
    one.page.evaluate("(shown) => views.one.replace(shown)", samples.small() | {"seq": 0})
    one.settle()
    assert view.locator(".cascade-node.cascade-s-done").count() == 2, "an older document must not undo newer frames"


def test_the_graph_may_grow(stage: Any, samples: Any) -> None:
    """A new picture brings new boxes and keeps what was chosen."""
    one = stage()
    view = one.show(samples.small(), live=True)
    view.locator('[data-index="1"]').click()
    one.apply({"seq": 1, "picture": samples.layered(12)["picture"] | {}, "nodes": {}})
    assert view.locator("[data-index]").count() == 12


def test_toggles_show_and_hide(stage: Any, samples: Any) -> None:
    """Graph, Lanes, Log, Table and Params can be shown side by side, and a view made again remembers which were."""
    one = stage()
    memory: dict[str, Any] = {"open": {"table": True}}
    view = one.show(samples.penguins(), memory=memory)
    pressed = {
        name: view.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed")
        for name in ("Graph", "Table")
    }
    assert pressed == {"Graph": "false", "Table": "true"}
    assert view.get_by_role("table", name="nodes").is_visible()
    view.get_by_role("button", name="Graph", exact=True).click()
    assert view.get_by_role("tree").is_visible()
    view.get_by_role("button", name="Table", exact=True).click()
    assert not view.get_by_role("table", name="nodes").is_visible()


def test_find_marks_and_goes(stage: Any, samples: Any) -> None:
    """Typing lifts the nodes out whose name holds the text, Enter walks through them, Esc ends it."""
    one = stage()
    view = one.show(samples.penguins())
    box = view.get_by_label("Find a node")
    box.fill("L")
    assert view.locator(".cascade-node.cascade-is-found").count() == 6
    box.press("Enter")
    box.press("Enter")
    assert view.locator(".cascade-find-count").inner_text() == "2 of 6"
    assert view.locator(".cascade-detail b").first.inner_text() == "clean"
    box.press("Escape")
    assert (box.input_value(), view.locator(".cascade-is-searched").count()) == ("", 0)


def test_a_click_tells_more_and_filters_the_log(stage: Any, samples: Any) -> None:
    """A clicked node shows what it is and why it ran; the log keeps to its lines until the chip is closed."""
    view = stage().show(samples.penguins())
    view.locator('[data-index="2"]').click()
    detail = view.locator(".cascade-detail")
    assert "code changed (line 4)" in detail.inner_text()
    assert texts(view, ".cascade-chip") == ["only clean ×"]
    assert texts(view, ".cascade-who") == ["clean", "clean"]
    view.get_by_label("show the lines of all nodes").click()
    assert not detail.is_visible()
    assert view.locator(".cascade-line").count() == 7


def test_focus_survives_frames(stage: Any, samples: Any) -> None:
    """A frame that changes the selected node leaves the focus where it is."""
    one = stage()
    view = one.show(samples.penguins(), live=True)
    view.locator('[data-index="4"]').click()
    view.get_by_role("button", name="Focus").focus()
    one.apply({"seq": 1, "nodes": {"fit": samples.entry("running", 0.5, items=samples.items(32, done=20, running=1))}})
    assert "20 of 32" in view.locator(".cascade-detail").inner_text()
    assert one.page.evaluate("document.activeElement.innerText") == "Focus"


def test_keys_follow_the_edges(stage: Any, samples: Any) -> None:
    """Arrow keys go along the edges, Enter opens the detail, Esc closes it and then leaves the graph."""
    one = stage()
    view = one.show(samples.penguins())
    focused = "document.activeElement.getAttribute('aria-label')"
    view.locator('[data-index="0"]').focus()
    for key, label in [
        ("ArrowRight", "clean, 0.18 s: done"),
        ("ArrowLeft", "load, run 14: from the store"),
        ("End", "archive, run_if: false: skipped"),
    ]:
        one.page.keyboard.press(key)
        assert one.page.evaluate(focused).startswith(label)
    one.page.keyboard.press("Enter")
    assert view.locator(".cascade-detail b").first.inner_text() == "archive"
    one.page.keyboard.press("Escape")
    assert not view.locator(".cascade-detail").is_visible()
    one.page.keyboard.press("Escape")
    assert one.page.evaluate("document.activeElement === document.body")


def test_only_one_node_is_a_tab_stop(stage: Any, samples: Any) -> None:
    """Tab reaches the graph once, at the node that was left last."""
    one = stage()
    view = one.show(samples.penguins())
    view.locator('[data-index="0"]').focus()
    one.page.keyboard.press("ArrowRight")
    assert view.locator('[data-index][tabindex="0"]').count() == 1
    assert view.locator('[data-index][tabindex="0"]').get_attribute("data-index") == "2"


def test_failure_card(stage: Any, samples: Any) -> None:
    """A failed run says what failed, where in the user's code, with which inputs, and what is still good."""
    view = stage().show(samples.failed())
    card = view.get_by_label("failure")
    for words in (
        "fit[21]",
        "ValueError",
        "cell 4, line 12, in fit",
        "return ols(",
        "species 'Gentoo'",
        "17 results are kept",
    ):
        assert words in card.inner_text()
    card.get_by_role("button", name="fit[21]").click()
    assert view.locator(".cascade-is-selected").get_attribute("aria-label").startswith("fit, 22 of 32: failed")


def test_result_table(stage: Any, samples: Any) -> None:
    """A small table is the result of a finished run, numbers to the right, and says how much more there is."""
    view = stage().show(samples.finished())
    result = view.get_by_label("result", exact=True)
    assert result.get_by_role("columnheader").all_inner_texts() == ["species", "n", "slope", "r²"]
    assert result.locator("td.cascade-number").count() == 9
    assert "9 more rows" in result.inner_text()


def test_node_table_has_it_all(stage: Any, samples: Any) -> None:
    """The table tells each node's state, times, tries and reason, and sorts by any column."""
    view = stage().show(samples.penguins(), memory={"open": {"table": True}})
    rows = {row.split()[0]: row for row in texts(view, ".cascade-nodes tbody tr")}
    assert rows["clean"].startswith("clean done 0.12 s 0.18 s 1 0.18 s")
    assert rows["read_islands"].startswith("read_islands retrying 0.32 s")
    assert "17 of 32, 7 from the store, 2 running" in rows["fit"]
    view.get_by_role("button", name="Node", exact=True).click()
    names = view.locator(".cascade-nodes tbody th").all_inner_texts()
    assert names == sorted(names, key=str.lower)


def test_finished_document_needs_no_kernel(stage: Any, samples: Any) -> None:
    """A saved run has no buttons that need a kernel and no clock, and all of its parts open."""
    one = stage()
    view = one.show(samples.finished())
    assert view.get_by_role("button", name="Cancel").count() == 0
    for name in ("Table", "Params"):
        view.get_by_role("button", name=name, exact=True).click()
    assert view.get_by_role("table").count() == 3
    assert one.page.evaluate(
        "() => [...document.querySelectorAll('.cascade-now')].every((e) => e.getAttribute('visibility') === 'hidden')"
    )


def test_a_simulation_is_called_one(stage: Any, samples: Any) -> None:
    """A card of a run that has not taken place says so where others say `done`, to screen readers too."""
    document = samples.penguins()
    document["run"].update(state="completed", elapsed=8.0, live=False, simulated=True)
    view = stage().show(document)
    assert view.locator(".cascade-head .cascade-status").inner_text().startswith("simulated · 8")
    assert "Simulation of penguin report" in view.evaluate("(element) => element.outerHTML")
    document["run"]["state"] = "failed"
    view = stage().show(document)
    assert view.locator(".cascade-head .cascade-status").inner_text().startswith("simulated, failed · 8")


def test_a_page_mounts_it_with_one_call(stage: Any, samples: Any) -> None:
    """`cascadeView.mount(element, document)` is all that a self-contained page needs."""
    one = stage()
    one.page.evaluate("(shown) => { cascadeView.mount(document.getElementById('one'), shown); }", samples.finished())
    assert one.page.locator(".cascade-head .cascade-status").inner_text() == "done · 4.9 s"
    assert one.page.locator(".cascade-node").count() == 11


def test_buttons_answer_at_once(stage: Any, samples: Any) -> None:
    """Pause and Cancel show that they were heard before the run answers, and cannot be sent twice."""
    one = stage()
    view = one.show(samples.penguins(), live=True)
    view.get_by_role("button", name="Pause").click()
    assert view.get_by_role("button", name="Pausing…").is_disabled()
    one.apply({"seq": 1, "run": {"state": "paused"}})
    view.get_by_role("button", name="Resume").click()
    one.apply({"seq": 2, "run": {"state": "running"}})
    view.get_by_role("button", name="Cancel").click()
    assert view.get_by_role("button", name="Cancelling…").is_disabled()
    assert view.get_by_role("button", name="Pause").is_disabled()
    assert [message["command"] for message in one.sent] == ["pause", "resume", "cancel"]
    one.apply({"seq": 3, "run": {"state": "cancelled"}})
    assert not view.locator(".cascade-buttons").is_visible()


def test_two_views_on_one_page(stage: Any, samples: Any) -> None:
    """Two views share the style sheet and nothing else: no id twice, and a choice in one is none in the other."""
    one = stage()
    first = one.show(samples.penguins(), live=True)
    second = one.show(samples.failed(), place="two")
    ids = one.page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    assert one.page.locator("style[data-cascade-styles]").count() == 1
    first.locator('[data-index="2"]').click()
    assert not second.locator(".cascade-detail").is_visible()
    one.page.evaluate("views.one.destroy()")
    assert one.page.locator(".cascade-view").count() == 1


def test_every_class_and_id_has_the_prefix(stage: Any, samples: Any) -> None:
    """No class and no id can meet one of the host's."""
    one = stage()
    one.show(
        samples.failed(), live=True, memory={"open": dict.fromkeys(("graph", "lanes", "log", "table", "params"), True)}
    )
    names = one.page.evaluate(
        """() => [...document.querySelectorAll('.cascade-view, .cascade-view *')]
          .flatMap((element) => [...element.classList, element.id].filter(Boolean))"""
    )
    assert [name for name in set(names) if not name.startswith("cascade-")] == []


def test_hostile_texts_stay_text(stage: Any, samples: Any) -> None:
    """Markup, scripts, prototype names and unknown vocabulary are shown as they are and do nothing."""
    one = stage()
    memory = {"open": dict.fromkeys(("graph", "lanes", "log", "table", "params"), True)}
    view = one.show(samples.hostile(), live=True, memory=memory)
    view.locator('[data-index="0"]').click()
    one.settle()
    assert one.page.evaluate("window.hacked === undefined")
    assert view.locator("img, script, iframe, a").count() == 0
    assert "<img src=x" in view.inner_text()
    assert view.locator('[data-index="1"]').get_attribute("aria-label") == "__proto__: pending"
    width = view.bounding_box()["width"]
    assert one.page.evaluate("document.querySelector('.cascade-view').scrollWidth") <= width


@pytest.mark.parametrize("width", [380, 700, 1000, 1500])
def test_nothing_overflows(stage: Any, samples: Any, width: int) -> None:
    """At any width of a notebook nothing sticks out of the card."""
    one = stage(width=width)
    one.show(samples.failed(), live=True)
    outside = one.page.evaluate(
        """() => {
          const card = document.querySelector('.cascade-view').getBoundingClientRect();
          const names = 'button, input, select, .cascade-status, .cascade-count, .cascade-line';
          const sticksOut = ({left, right}) => right > card.right + 1 || left < card.left - 1;
          return [...document.querySelectorAll(`.cascade-view :is(${names})`)]
            .filter((element) => element.offsetWidth && sticksOut(element.getBoundingClientRect()))
            .map((element) => element.className);
        }"""
    )
    assert outside == []


def test_screen_readers_hear_at_most_once_a_second(stage: Any, samples: Any) -> None:
    """However many frames come, the live region changes at most once a second, and tells how far the run is."""
    one = stage()
    view = one.show(samples.small(), live=True)
    one.page.evaluate(
        """() => {
          window.heard = [];
          const watcher = new MutationObserver(() => heard.push(performance.now()));
          watcher.observe(document.querySelector('.cascade-unseen'), {childList: true});
        }"""
    )
    for times, frames in enumerate((range(1, 16), range(16, 31)), 1):
        for seq in frames:
            one.apply({"seq": seq, "run": {"counts": {"done": seq, "pending": 30 - seq}}})
        one.page.wait_for_function(f"window.heard.length >= {times}", timeout=WAIT)
    said = "document.querySelector('.cascade-unseen').textContent.includes('100 percent')"
    one.page.wait_for_function(said, timeout=WAIT)
    heard = one.page.evaluate("window.heard")
    assert all(later - earlier > 990 for earlier, later in pairwise(heard))
    assert view.locator(".cascade-unseen").inner_text() == "five running, 100 percent"


def test_reduced_motion_is_respected(stage: Any, samples: Any) -> None:
    """Nothing turns or fades for people who asked for less motion."""
    one = stage(reduced_motion="reduce")
    one.show(samples.penguins(), live=True)
    moving = """() => {
      const styles = [...document.querySelectorAll('.cascade-view *')].map((element) => getComputedStyle(element));
      return styles.filter((one) => one.animationName !== 'none' || one.transitionDuration !== '0s').length;
    }"""
    assert one.page.evaluate(moving) == 0


@pytest.mark.parametrize(
    ("host", "theme"),
    [
        ("document.body.dataset.jpThemeLight = 'false'", "dark"),
        ("document.body.dataset.jpThemeLight = 'true'; document.body.style.background = '#000'", "light"),
        ("document.body.className = 'vscode-dark'", "dark"),
        ("document.body.className = 'vscode-light'", "light"),
        ("document.documentElement.setAttribute('theme', 'dark')", "dark"),
        ("document.documentElement.dataset.theme = 'dark'", "dark"),
        ("document.body.style.background = '#121212'", "dark"),
        ("document.body.style.background = '#fdf6e3'", "light"),
        ("", "light"),
    ],
)
def test_theme_follows_the_host(stage: Any, samples: Any, host: str, theme: str) -> None:
    """JupyterLab, VS Code and Colab say whether they are dark; elsewhere the ground behind the view tells."""
    one = stage(color_scheme="dark")
    one.page.evaluate("() => { delete document.documentElement.dataset.theme; }")
    one.page.evaluate(f"() => {{ {host} }}")
    assert one.show(samples.small()).get_attribute("data-cascade-theme") == theme


def test_theme_changes_while_shown(stage: Any, samples: Any) -> None:
    """When the host turns dark the view does too."""
    one = stage()
    view = one.show(samples.small())
    one.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    one.settle()
    assert view.get_attribute("data-cascade-theme") == "dark"


def test_a_narrow_head_keeps_its_name(stage: Any, samples: Any) -> None:
    """On a page at 200 % beside a panel, the buttons go below the name of the run and do not push it out."""
    view = stage(width=300).show(samples.penguins(), live=True)
    head = view.locator(".cascade-head").bounding_box()
    name = view.locator(".cascade-name").bounding_box()
    assert name["width"] > 60
    for button in view.locator(".cascade-head button:visible").all():
        place = button.bounding_box()
        assert place["x"] + place["width"] <= head["x"] + head["width"] + 1
