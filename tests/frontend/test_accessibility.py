"""With the keyboard alone, at 200 %, without motion, read by axe-core: the states and pages that a lesson shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
AXE = ROOT / "cascade" / "notebook" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = ROOT / "build" / "screenshots"
OPEN = {"open": dict.fromkeys(("graph", "lanes", "log", "table", "params"), True)}
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"
RUN = """async (only) => {
  const outcome = await axe.run(only ? document.querySelector(only) : document, {
    resultTypes: ["violations"],
    rules: {region: {enabled: true}, "label-content-name-mismatch": {enabled: true}},
  });
  return outcome.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary)
    .slice(0, 3).join(" | ")}`);
}"""
# What can be used with a pointer, and whether a keyboard comes there: by Tab, or inside a group that has one stop.
CONTROLS = """() => {
  const shown = (each) => each.checkVisibility({checkVisibilityCSS: true}) && !each.disabled;
  const found = document.querySelectorAll(".cascade-view :is(button, input, select, summary, a[href])");
  const all = [...found].filter(shown);
  all.forEach((each, number) => { each.dataset.number = number; });
  return all.map((each) => [each.dataset.number, each.getAttribute("aria-label") ?? each.textContent.trim()]);
}"""
HERE = """() => {
  const one = document.activeElement;
  const seen = one && one !== document.body && getComputedStyle(one);
  return {number: one?.dataset?.number ?? "", node: Boolean(one?.closest?.("[data-index]")), at: one === document.body,
    ring: Boolean(seen) && (seen.outlineStyle !== "none" || seen.boxShadow !== "none"
      || one.matches("[data-index], canvas"))};
}"""
# Texts that are cut without a sign, and what sticks out of the page.
CUT = """() => {
  const view = document.querySelector(".cascade-view").getBoundingClientRect();
  const parts = [...document.querySelectorAll(".cascade-view :is(button, label, select, h3, th, .cascade-status)")];
  const here = parts.filter((each) => each.checkVisibility() && !each.closest(".cascade-scroll, [role=log]"));
  const bad = here.filter((each) => {
    const box = each.getBoundingClientRect();
    const cut = each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX === "hidden"
      && getComputedStyle(each).textOverflow !== "ellipsis";
    return box.right > view.right + 1 || box.left < view.left - 1 || cut;
  });
  return [document.documentElement.scrollWidth - innerWidth, bad.map((each) => each.textContent)];
}"""


def step(samples: Any) -> dict[str, Any]:
    """A run that goes step by step and waits, with two nodes that may start."""
    made = samples.small()
    made["run"] |= {"step": True, "state": "paused"}
    made["nodes"]["clean"] |= {"s": "pending", "t0": None, "next": True}
    return dict(made)


def state(samples: Any, name: str) -> tuple[dict[str, Any], bool]:
    """A document of a state, and whether the run goes on."""
    made = step(samples) if name == "step" else getattr(samples, {"live": "penguins"}.get(name, name))()
    return made, name in {"live", "step"}


STATES = ["live", "step", "finished", "failed"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_in_step_mode(stage: Callable[..., Any], samples: Any, theme: str) -> None:
    """The states of a run that goes on and of one that ended have tests of their own (test_axe)."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in cascade/notebook/frontend)")
    one = stage(theme=theme, height=1600)
    one.page.evaluate("(theme) => { document.body.style.background = theme === 'dark' ? '#111' : '#fff'; }", theme)
    one.show(step(samples), live=True)
    one.page.add_style_tag(content=STILL)
    one.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    one.settle()
    assert one.page.evaluate(RUN, "#one") == []


@cs.task
def load(rows: int) -> list[int]:
    return list(range(rows))


@cs.task
def divide(xs: list[int], by: int) -> float:
    print("dividing")
    return sum(xs) / by


@pytest.fixture
def report(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the report of a run, of one that failed if wanted."""
    contexts = []

    def show(*, fails: bool, **options: Any) -> Any:
        target = divide(load(cs.Param("rows", default=3, description="how many")), 0 if fails else 2)
        run = cs.start(target, log_level=None, system_resources={"cpu": 1}, capture_output=True)
        run.wait(10)
        contexts.append(chromium.new_context(offline=True, **options))
        page = contexts[-1].new_page()
        page.goto(run.report(tmp_path / "report.html").as_uri())
        page.wait_for_selector(".cascade-view .cascade-node") if options.get("java_script_enabled", True) else None
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_axe_finds_no_violation_in_a_report(report: Callable[..., Any], scheme: str, *, fails: bool) -> None:
    """The whole page, with its landmarks, headings and title."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in cascade/notebook/frontend)")
    # The policy of the page forbids scripts that are not its own, those of a test included.
    page = report(fails=fails, color_scheme=scheme, bypass_csp=True)
    page.add_style_tag(content=STILL)
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    assert page.evaluate(RUN, None) == []
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"report-{'failed' if fails else 'done'}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("name", STATES)
def test_tab_reaches_every_control_and_shows_where_it_is(stage: Callable[..., Any], samples: Any, name: str) -> None:
    """Every button, field and link of the view has a place in the order of Tab, a name, and a visible ring."""
    one = stage(height=2400)
    document, live = state(samples, name)
    view = one.show(document, live=live, memory=OPEN)
    view.locator("[data-index]").nth(1).click()
    one.settle()
    wanted = dict(one.page.evaluate(CONTROLS))
    assert len(wanted) > 8
    assert [number for number, label in wanted.items() if not label] == []
    one.page.evaluate("() => { document.activeElement.blur(); getSelection().removeAllRanges(); }")
    one.page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")
    reached, rings, on_nodes = set(), [], 0
    for _ in range(len(wanted) + 40):
        one.page.keyboard.press("Tab")
        here = one.page.evaluate(HERE)
        if here["at"]:
            break
        reached.add(here["number"])
        on_nodes += here["node"]
        if not here["ring"]:
            rings.append(wanted.get(here["number"], here["number"]))
    missing = {wanted[number] for number in set(wanted) - reached}
    assert missing == set()
    assert on_nodes == 1, "the graph has one stop; arrows walk from there"
    assert rings == []


def test_arrows_reach_every_node_of_the_graph(stage: Callable[..., Any], samples: Any) -> None:
    """From the first node, by Home, End and the arrows along edges, each node can be stood on."""
    one = stage()
    view = one.show(samples.penguins())
    first = view.locator("[data-index]").first.get_attribute("data-index")
    reached, ahead = {first}, [first]
    while ahead:
        place = ahead.pop()
        for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "Home", "End"):
            view.locator(f'[data-index="{place}"]').focus()
            one.page.keyboard.press(key)
            there = one.page.evaluate("() => document.activeElement.closest('[data-index]').dataset.index")
            if there not in reached:
                reached.add(there)
                ahead.append(there)
    assert len(reached) == view.locator("[data-index]").count()


@pytest.mark.parametrize("name", STATES)
def test_nothing_is_cut_at_200_per_cent(stage: Callable[..., Any], samples: Any, name: str) -> None:
    """A notebook of 900 pixels at 200 %: no scrolling to the side, no label cut without a sign."""
    one = stage(width=450, height=1600, device_scale_factor=2)
    document, live = state(samples, name)
    one.show(document, live=live, memory=OPEN)
    PICTURES.mkdir(parents=True, exist_ok=True)
    one.page.screenshot(path=PICTURES / f"zoomed-{name}.png", full_page=True)
    assert one.page.evaluate(CUT) == [0, []]
    heights = "() => [...document.querySelectorAll('.cascade-view tbody tr')].map((row) => row.offsetHeight)"
    assert max(one.page.evaluate(heights)) < 130, "a column is so narrow that its text stands upright"


@pytest.mark.parametrize("name", STATES)
def test_nothing_moves_for_those_who_want_no_motion(stage: Callable[..., Any], samples: Any, name: str) -> None:
    """No animation and no transition runs, also after a click."""
    one = stage(reduced_motion="reduce", height=1600)
    document, live = state(samples, name)
    view = one.show(document, live=live)
    view.locator("[data-index]").nth(1).click()
    one.settle()
    assert one.page.evaluate("() => document.getAnimations().filter((one) => one.playState === 'running').length") == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", STATES)
def test_the_main_states_have_their_parts(stage: Callable[..., Any], samples: Any, theme: str, name: str) -> None:
    """The head says the state, the boxes stand apart inside the card, the picture is kept for whoever compares."""
    one = stage(theme=theme, width=1000, height=1100)
    one.page.evaluate("(theme) => { document.body.style.background = theme === 'dark' ? '#111' : '#fff'; }", theme)
    document, live = state(samples, name)
    view = one.show(document, live=live)
    one.page.add_style_tag(content=STILL)
    PICTURES.mkdir(parents=True, exist_ok=True)
    view.screenshot(path=PICTURES / f"view-{name}-{theme}.png")
    words = {"live": "running", "step": "paused", "finished": "done", "failed": "failed"}
    assert words[name] in view.locator(".cascade-status").inner_text()
    boxes = [node.bounding_box() for node in view.locator("[data-index]").all()]
    card = view.bounding_box()
    assert all(card["x"] <= box["x"] and box["x"] + box["width"] <= card["x"] + card["width"] for box in boxes)
    for place, first in enumerate(boxes):
        for second in boxes[place + 1 :]:
            wide = min(first["x"] + first["width"], second["x"] + second["width"]) - max(first["x"], second["x"])
            high = min(first["y"] + first["height"], second["y"] + second["height"]) - max(first["y"], second["y"])
            assert wide <= 1 or high <= 1
    assert view.locator(".cascade-failure").is_visible() == (name == "failed")
