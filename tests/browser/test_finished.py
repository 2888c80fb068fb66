"""What stays: a saved notebook, opened again without a kernel, trusted or not; and the pictures to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
GRAPH = """
import random, time
import cascade as cs
%load_ext cascade

@cs.task
def read(n=0): return n

@cs.task
def work(*needs):
    time.sleep(0.001)
    return len(needs)

def pipeline(nodes, width, seed=7):
    chance = random.Random(seed)
    layers = [[read(n).named(f"source {n}") for n in range(width)]]
    while sum(map(len, layers)) < nodes - 1:
        earlier = layers[-1] + [chance.choice(chance.choice(layers))]
        layers.append([work(*chance.sample(earlier, min(2, len(earlier)))).named(f"step {len(layers)}.{k}")
                       for k in range(chance.randint(max(1, width // 2), width))])
    return work(*layers[-1]).named("report")
"""

COLOURS = """(view) => {
  const colour = (selector) => getComputedStyle(view.querySelector(selector)).color;
  return [getComputedStyle(view).backgroundColor, colour('.cascade-name'), colour('.cascade-status')]; }"""


def untrusted_copy(server: Any, source: Path, name: str) -> str:
    """Write the saved notebook as a stranger's: the server has never seen its outputs run."""
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.pop("kernelspec", None)
    notebook.metadata["kernelspec"] = {"display_name": "gone", "language": "python", "name": "gone"}
    nbformat.write(notebook, server.root / name)
    return name


def test_saved_quickstart_draws_without_a_kernel_untrusted(either: Any) -> None:
    """The committed quickstart, not trusted and without a kernel, shows every run as a full view."""
    name = untrusted_copy(either.server, QUICKSTART, "stranger.ipynb")
    either.open(name, kernel=False)
    for _ in range(2):  # a dialog asks for a kernel, since the notebook's own does not exist here
        dialog = either.page.locator(".jp-Dialog button", has_text="No Kernel").or_(
            either.page.locator(".jp-Dialog button.jp-mod-reject")
        )
        try:
            dialog.first.click(timeout=3000)
        except Exception:
            break
    either.page.wait_for_selector(".cascade-view")
    views = either.page.locator(".cascade-view")
    runs = sum(
        "application/vnd.cascade.run+json" in o.get("data", {})
        for c in nbformat.read(QUICKSTART, as_version=4).cells
        for o in c.get("outputs", [])
    )
    assert runs >= 3
    for _ in range(20):
        either.page.mouse.wheel(0, 800)
    either.page.wait_for_function("(n) => document.querySelectorAll('.cascade-view').length === n", arg=runs)
    assert views.count() == runs
    assert either.page.get_by_text("model not found").count() == 0
    assert either.page.locator(".cascade-view button", has_text="Cancel").count() == 0
    assert either.foreign_requests() == []


def test_own_notebook_reopens_without_its_widgets(lab: Any) -> None:
    """The author's own (trusted) notebook, saved and opened after its kernel has gone, shows the run and no error."""
    name = lab.server.write("own.ipynb", [GRAPH, "%%cascade\npipeline(8, 2)"])
    lab.open(name).run_all()
    lab.wait_for_text("report", cell=1)
    lab.page.wait_for_selector(".cascade-view:not(.cascade-is-live)")
    lab.save()
    lab.page.evaluate("() => window.jupyterapp.commands.execute('kernelmenu:shutdown')")
    lab.page.reload()
    lab.page.wait_for_selector(".cascade-view", timeout=60_000)
    assert lab.page.get_by_text("model not found").count() == 0
    assert "done" in lab.page.locator(".cascade-status").first.inner_text()


def test_small_and_large_graphs_in_light_and_dark(lab: Any) -> None:
    """Graphs of 5, 50 and 300 nodes are drawn in full in both themes; the dark one's texts stand out by 4.5 : 1."""
    sizes = {1: (5, 2), 2: (50, 6), 3: (300, 16)}
    lab.open(lab.server.write("sizes.ipynb", [GRAPH, *(f"%%cascade\npipeline{size}" for size in sizes.values())]))
    lab.run_cell(0)
    for cell, (nodes, _) in sizes.items():
        lab.run_cell(cell)
        view = lab.cell(cell).locator(".cascade-view:not(.cascade-is-live)")
        view.wait_for(timeout=60_000)
        assert nodes * 0.8 <= view.locator(".cascade-node").count() <= nodes * 1.3
        lab.picture(f"light-{nodes}", view)
    lab.dark()
    for cell, (nodes, _) in sizes.items():
        view = lab.cell(cell).locator(".cascade-view")
        lab.picture(f"dark-{nodes}", view)
        ground, *texts = [_luminance(colour) for colour in view.evaluate(COLOURS)]
        for text in texts:
            assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 4.5
    lab.dark(on=False)


def _luminance(colour: str) -> float:
    numbers = [float(n) / 255 for n in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = [n / 12.92 if n <= 0.03928 else ((n + 0.055) / 1.055) ** 2.4 for n in numbers]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
