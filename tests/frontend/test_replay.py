"""The scrubber under a finished run: true at every moment, in place, by pointer and by keys."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

import cascade as cs
from cascade.notebook.record import RunRecord
from cascade.notebook.replay import moment_at, moments

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STATES = """(names) => [...document.querySelectorAll('#one .cascade-node')].map((node) =>
  [...node.classList].find((name) => name.startsWith('cascade-s-')).slice('cascade-s-'.length))"""
COUNTS = """() => [...document.querySelectorAll('#one .cascade-tallies:first-child .cascade-count')].map((count) =>
  count.textContent.trim())"""
PLACES = """() => [...document.querySelectorAll('#one .cascade-panel, #one .cascade-replay, #one [data-index]')]
  .map((element) => { const box = element.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })"""


@cs.task(mode="inline")
def quick(*needs: object) -> int:
    return len(needs)


@cs.task
def wait(*needs: object) -> int:
    return len(needs)


@cs.task
def nap(seconds: float) -> None:
    time.sleep(seconds)


@cs.task(mode="inline")
def fragile(seed: int, *needs: object) -> int:
    if random.Random(seed).random() < 0.4:
        raise OSError("not now")
    return 1


def random_document(seed: int) -> tuple[Any, dict[str, Any]]:
    """A run with maps, capacities, failures and conditions, and its finished document."""
    dice = random.Random(seed)
    made: list[Any] = [quick()]
    for number in range(12):
        needs = dice.sample(made, min(len(made), dice.randrange(3)))
        kind = dice.randrange(4)
        if kind == 0:
            node = wait.map(list(range(dice.randrange(1, 6))), *map(cs.unmapped, needs)).with_constraints(cpu=1)
        elif kind == 1:
            node = fragile(number * seed, *needs).with_retry(max_attempts=2).with_fallback(0)
        elif kind == 2:
            node = quick(*needs).run_if(dice.random() < 0.7).with_fallback(1)
        else:
            node = wait(*needs).with_constraints(cpu=2)
        made.append(node.named(f"n{number}"))
    run = cs.start(made, log_level=None, system_resources={"cpu": 2}, on_failure="continue", capture_output=True)
    return run, document_of(run)


def document_of(run: Any) -> dict[str, Any]:
    run.wait(20)
    record = RunRecord(run.graph)
    record.apply(run.events)
    return record.document()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_moment_is_true(stage: Any, seed: int) -> None:
    """Arrow keys go from one change to the next; at each the page shows the states, counts and log lines of then."""
    _, document = random_document(seed)
    one = stage()
    view = one.show(document)
    scrubber = view.get_by_role("slider", name="moment of the run")
    end = one.page.evaluate(STATES)
    scrubber.press("Home")
    seen = 0
    end_time = max(document["run"]["elapsed"], moments(document)[-1])
    for moment in [at for at in moments(document) if at > 0][:40]:
        scrubber.press("ArrowRight")
        one.settle()
        at = one.page.evaluate("() => Number(document.querySelector('#one .cascade-scrubber').value) / 1000")
        assert at == pytest.approx(moment / end_time, abs=0.002)
        truth = moment_at(document, moment)
        boxes = [box["id"] for box in document["picture"]["boxes"]]
        assert one.page.evaluate(STATES) == [truth.states.get(box, "param") for box in boxes]
        told = {text.split(" ", 1)[1]: int(text.split(" ", 1)[0]) for text in one.page.evaluate(COUNTS)}
        done = truth.counts["done"]
        assert told.get("done", 0) == done
        lines = sum(line["t"] <= moment for line in document["log"])
        shown = view.locator(".cascade-line").count()
        assert abs(shown - lines) <= sum(abs(line["t"] - moment) < 0.0002 for line in document["log"])
        seen += 1
    assert seen > 5
    scrubber.press("End")
    one.settle()
    assert one.page.evaluate(STATES) == end


def test_nothing_moves_in_a_replay(stage: Any) -> None:
    """Panels and nodes keep their places and sizes from the first moment to the last."""
    _, document = random_document(4)
    one = stage()
    view = one.show(document)
    before = one.page.evaluate(PLACES)
    scrubber = view.get_by_role("slider", name="moment of the run")
    for value in (0, 300, 650, 999):
        scrubber.evaluate("(range, value) => { range.value = value; range.dispatchEvent(new Event('input')); }", value)
        one.settle()
        assert one.page.evaluate(PLACES) == before
        assert "replay" in view.locator(".cascade-head .cascade-status").inner_text()


def test_it_plays_to_the_end_and_stands_there(stage: Any) -> None:
    """Play begins at the start, can be paused, and at the end the saved run is there again."""
    document = document_of(cs.start(nap(0.4), log_level=None))  # 8 s at the slowest: nobody is too late to pause it
    one = stage()
    view = one.show(document)
    status = view.locator(".cascade-head .cascade-status")
    saved = status.inner_text()
    view.get_by_role("combobox", name="speed of the replay").select_option("0.05")
    view.get_by_role("button", name="Replay", exact=True).click()
    one.page.wait_for_function("() => document.querySelector('#one .cascade-status').textContent.includes('replay')")
    view.get_by_role("button", name="Pause the replay").click()
    assert "replay" in status.inner_text()
    view.get_by_role("combobox", name="speed of the replay").select_option("1800")
    view.get_by_role("button", name="Replay", exact=True).click()
    one.page.wait_for_function(
        "(saved) => document.querySelector('#one .cascade-status').textContent === saved", arg=saved
    )
    view.get_by_role("button", name="Replay", exact=True).wait_for()  # the last state is true a little before the end


def test_a_document_that_asks_for_it_begins_to_play(stage: Any) -> None:
    """`run.replay()` shows the run from its beginning; where motion is not wanted, it stands there and waits."""
    _, document = random_document(6)
    calm = stage(reduced_motion="reduce")
    view = calm.show({**document, "replay": True})
    calm.page.wait_for_function("() => document.querySelector('#one .cascade-scrubber').value === '0'")
    assert view.get_by_role("button", name="Replay", exact=True).count() == 1
    one = stage()
    one.page.evaluate(  # a short run may be over before anyone asks
        """() => new MutationObserver((changes) => {
            window.played ||= changes.some(({ target }) => target.getAttribute("title").startsWith("Pause"));
        }).observe(document, { subtree: true, attributeFilter: ["title"] })"""
    )
    one.show({**document, "replay": True})
    one.page.wait_for_function("() => window.played")


def test_a_run_that_goes_on_and_an_old_document_have_no_scrubber(stage: Any, samples: Any) -> None:
    """Only a finished run that was recorded with its moments can be replayed."""
    one = stage()
    assert not one.show(samples.penguins(), live=True).locator(".cascade-replay").is_visible()
    assert not one.show(samples.finished(), place="two").locator(".cascade-replay").is_visible()


JUMPS = """async () => {
  const range = document.querySelector('#one .cascade-scrubber');
  const times = [];
  for (let jump = 0; jump < 40; jump += 1) {
    range.value = (jump * 389) % 1000;
    const before = performance.now();
    range.dispatchEvent(new Event('input'));
    await new Promise(requestAnimationFrame);
    await new Promise((resolve) => setTimeout(resolve));
    times.push(performance.now() - before);
  }
  return times.sort((a, b) => a - b);
}"""


def test_two_thousand_nodes_are_smooth(stage: Any, samples: Any) -> None:
    """Each of 40 jumps through a run of 2,000 drawn nodes is on the page within 150 ms."""
    document = samples.layered(2000)
    boxes = [box["id"] for box in document["picture"]["boxes"]]
    track = [[10, place, 2] for place in range(len(boxes))] + [[10, place, 5] for place in range(len(boxes))]
    for box in boxes:
        document["nodes"][box] = samples.entry("done", 0.0, 1.0, "1 s")
    document["run"] |= {"state": "completed", "live": False, "elapsed": 4.0}
    document["track"] = {"step": 0.0001, "boxes": boxes, "moments": track}
    one = stage()
    one.show(document)
    for _ in range(6):  # other programs only ever make a jump longer
        times = one.page.evaluate(JUMPS)
        if times[-3] < 150:
            break
    assert times[-3] < 150
