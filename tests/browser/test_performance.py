"""Two thousand nodes and five thousand events a second, in a real JupyterLab: what it costs the page that watches."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# Each item of each map waits for its turn, so that the run has the wanted rate of events: two for each item, and two
# for each map. Turns that were missed, while the run began or the machine did something else, are not made up for:
# that would be another rate.
SETUP = """
import json, threading, time
import cascade as cs
%load_ext cascade

turn, lock = {"at": 0.0}, threading.Lock()

@cs.task
def tick(i):
    with lock:
        at = turn["at"] = max(turn["at"] + EACH / RATE, time.monotonic())
    pause = at - time.monotonic()
    if pause > 0:
        time.sleep(pause)
    return i

@cs.task
def last(*before):
    return len(before)

def mesh(nodes, items, width=50):
    row = [tick.map(i=range(items)).named(f"part{k}") for k in range(width)]
    for layer in range(1, nodes // width):
        row = [tick.map(i=range(items)).after(one).named(f"part{layer * width + k}") for k, one in enumerate(row)]
    return last(*row)
"""
# What the kernel's messages, the screen and the main thread do, written down in the page itself. A frame is painted
# when the card shows the count of done units that it brought, and the browser has begun another picture after that.
PROBE = """() => {
  const book = window.probe = {frames: [], shown: [], ends: [], bars: [], long: []};
  const Native = window.WebSocket;
  const now = () => performance.timeOrigin + performance.now();
  const ended = new Set(), edges = new Set();
  const contentOf = (data) => {
    if (typeof data === "string") return JSON.parse(data).content;
    const table = new DataView(data);
    const at = (place) => Number(table.getBigUint64(8 * (place + 1), true));
    return JSON.parse(new TextDecoder().decode(new Uint8Array(data, at(4), at(5) - at(4))));
  };
  const shownDone = () => {
    const counts = [...document.querySelectorAll(".cascade-is-live .cascade-count")].map((one) => one.textContent);
    const done = counts.find((text) => text.endsWith(" done"));
    if (done) return Number(done.replace(/[^0-9]/g, ""));
    return document.querySelector(".cascade-is-live .cascade-counts") ? 0 : Infinity;
  };
  const look = (event) => {
    const size = event.data.byteLength ?? event.data.length;
    if (size > 400000) return;
    const frame = contentOf(event.data)?.data?.content;
    if (frame?.type !== "frame") return;
    book.frames.push([now(), size]);
    const done = frame.run?.counts?.done ?? 0;
    const ends = Object.entries(frame.nodes ?? {}).filter(([id, {t1}]) => t1 !== null && !ended.has(id));
    const news = (frame.bars ?? []).map(([, {t0, t1}]) => t1 ?? t0).filter((edge) => !edges.has(edge));
    for (const [id] of ends) ended.add(id);
    for (const edge of news) edges.add(edge);
    const write = () => {
      book.shown.push([done, now()]);
      for (const [, {t1}] of ends) book.ends.push([t1, now()]);
      for (const edge of news) book.bars.push([edge, now()]);
    };
    const wait = () => requestAnimationFrame(shownDone() >= done ? write : wait);
    requestAnimationFrame(wait);
  };
  window.WebSocket = class extends Native {
    constructor(...given) { super(...given); this.addEventListener("message", look); }
  };
  new PerformanceObserver((list) => { for (const one of list.getEntries()) book.long.push(one.duration); })
    .observe({entryTypes: ["longtask"]});
}"""
# When each unit was done, in order, as the head counts them: items, and nodes that are no map.
TOLD = """
from cascade.interfaces.events import ItemsCompleted, MapExpanded, NodeCompleted
from cascade.notebook.session import current_session

def times_of_done(events):
    maps, times = set(), []
    for event in events:
        if type(event) is MapExpanded:
            maps.add(event.node)
        elif type(event) is ItemsCompleted:
            times += [event.elapsed] * event.count
        elif type(event) is NodeCompleted and (event.index is not None or event.node not in maps):
            times.append(event.elapsed)
    return times

def time_of_view():  # the processor time that its thread has taken, None when it has ended
    views = [thread for thread in threading.enumerate() if thread.name == "cascade-view"]
    return time.clock_gettime(time.pthread_getcpuclockid(views[-1].ident)) if views else None

job = list(current_session().jobs.values())[-1]
watching = time_of_view()
while not job.run.wait(0.5):
    watching = time_of_view() or watching
told = [job.run.started_at, job.run.elapsed, len(job.run.events), times_of_done(job.run.events), watching]
with open("told.json", "w") as file:
    json.dump(told, file)
print("RUN", "is told")
"""
CLICK = """([selector, turn]) => new Promise((resolve) => {
  const all = document.querySelectorAll(selector);
  const began = performance.now();
  all[turn % all.length].dispatchEvent(new MouseEvent("click", {bubbles: true}));
  requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
})"""
TABS = ".cascade-view button[aria-controls]:not([hidden])"


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def heap(page: Any) -> float:
    """What the page's objects take after a collection, in MB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    session.detach()
    return float(used)


def watch(lab: Any, name: str, nodes: int, items: int, rate: int) -> dict[str, Any]:
    """Run a mesh in the background, click now and then, and return the figures."""
    lab.page.add_init_script(f"({PROBE})()")
    run = f"RATE, EACH = {rate}, {2 + 2 / items}\nmesh({nodes}, {items})"
    lab.open(lab.server.write(name, [SETUP, f"%%cascade --bg\n{run}", TOLD])).run_all()
    lab.page.wait_for_selector(".cascade-is-live .cascade-s-running, .cascade-is-live canvas", timeout=60_000)
    lab.page.locator(".cascade-is-live").first.evaluate("(card) => card.scrollIntoView({block: 'start'})")
    before, clicks = heap(lab.page), []
    until = time.monotonic() + 150
    while lab.page.locator(".cascade-is-live").count() and time.monotonic() < until:
        if lab.page.locator(TABS).count():
            clicks.append(lab.page.evaluate(CLICK, [TABS, len(clicks)]))
        lab.page.wait_for_timeout(250)
    lab.wait_for_text("RUN is told", cell=2, timeout=120)
    after = heap(lab.page)
    began, elapsed, events, done, watching = json.loads((lab.server.root / "told.json").read_text())
    probe = lab.page.evaluate("() => window.probe")
    # What happened before the card stood on the page is told when it does: that is another budget (test_live).
    stood = probe["frames"][0][0] / 1000 - began + 0.5
    seconds = max(0.001, (probe["frames"][-1][0] - probe["frames"][0][0]) / 1000)
    waits = {
        "paint": waits_of_done(done, probe["shown"], began, stood),
        "end": [painted / 1000 - began - t for t, painted in probe["ends"] if t > stood],
        "bar": [painted / 1000 - began - t for t, painted in probe["bars"] if t > stood],
    }
    return {
        "stood after": round(stood, 2),
        "events": events, "events/s": round(events / elapsed), "seconds": round(elapsed, 1),
        "watching": round(watching / elapsed, 4),
        "frames/s": round(len(probe["frames"]) / seconds, 2), "largest frame": max(size for _, size in probe["frames"]),
        **{f"{what} p{part}": round(percentile(found, part / 100), 3) for what, found in waits.items() if found
           for part in (50, 95)},
        "click p50": round(percentile(clicks, 0.5)), "click p95": round(percentile(clicks, 0.95)),
        "longest task": round(max(probe["long"], default=0)),
        "heap before": round(before, 1), "heap after": round(after, 1),
    }  # fmt: skip


def waits_of_done(done: list[float], shown: list[list[float]], began: float, stood: float) -> list[float]:
    """How long after each unit was done the card showed a count that holds it, in seconds."""
    waits, place = [], 0
    for number, moment in enumerate(done, 1):
        while place < len(shown) and shown[place][0] < number:
            place += 1
        if place == len(shown):
            break  # the finished picture shows the last ones
        if moment > stood:
            waits.append(shown[place][1] / 1000 - began - moment)
    return waits


def check(figures: dict[str, Any], *, calm: bool) -> None:
    """Hold the figures to the budget; times, on a machine that does other things as well, to ten times that."""
    slack = 1 if calm else 10
    print(figures)  # all of them, below a failure
    assert figures["watching"] <= 0.02 * slack, figures
    assert figures["frames/s"] <= 5.5, figures
    assert figures["largest frame"] <= 22_000, figures  # 20 KB and the envelope of the message
    assert figures["paint p95"] <= 0.3 * slack, figures
    assert figures.get("end p95", 0) <= 0.3 * slack, figures
    assert figures["click p95"] <= 100 * slack, figures
    assert figures["heap after"] - figures["heap before"] < 15, figures


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "items"), [(2_000, 6), (10_000, 1)], ids=["2000 nodes", "10000 nodes folded"])
def test_a_busy_run_is_followed_and_the_page_stays_quick(lab: Any, nodes: int, items: int) -> None:
    """Few and small frames, soon on the screen; a click is answered at once; memory stays where it was."""
    figures = watch(lab, f"busy{nodes}.ipynb", nodes, items, rate=5_000)
    print(json.dumps(figures))
    check(figures, calm=False)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("nodes", "items"),
    [(350, 143), (2_000, 25), (20_000, 2)],
    ids=["350 nodes one by one", "2000 nodes", "20000 nodes folded"],
)
def test_the_budget_of_watching(lab: Any, nodes: int, items: int) -> None:
    """The same for twenty seconds on a quiet machine, against the budget itself."""
    figures = watch(lab, f"soak{nodes}.ipynb", nodes, items, rate=5_000)
    print(json.dumps(figures))
    check(figures, calm=True)
