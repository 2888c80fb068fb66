"""Pictures that tasks draw side by side, where a person finds them: in a real JupyterLab, live, saved and warm."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

SETUP = """
import time
import cascade as cs
import matplotlib.pyplot as plt
%load_ext cascade

@cs.task(pure=True)
def threaded(i):
    plt.plot([i, 2, 3])
    time.sleep(0.2)
    plt.title(f"thread {i}")
    plt.xlabel("steps")
    print("drawn in thread", i)
    plt.show()
    return i

@cs.task(pure=True, mode="compute")
def apart(i):
    plt.plot([i, 2, 3])
    plt.title(f"process {i}")
    return i

@cs.task(pure=True)
def tell(i):
    import pandas as pd
    from IPython.display import HTML, SVG, display
    display(pd.DataFrame({"name": ["a", "b"], "mass": [i, 7]}))
    display(HTML("<b id=hostile>bold words</b><script>window.hacked = 1</script>"))
    display(SVG("<svg xmlns='http://www.w3.org/2000/svg' width='60' height='40'><script>window.hacked = 1</script>"
                "<circle cx='20' cy='20' r='15'/></svg>"))
    return i

@cs.task
def both(parts):
    return len(parts)
"""
RUN = "%%cascade --bg\nboth([threaded(1), threaded(2), apart(3), tell(4)])"
OWN = "plt.plot([9, 9]); plt.title('my own'); plt.show()"
THUMBNAILS = """(count) => {
  const shown = [...document.querySelectorAll('.jp-Notebook .jp-Cell')[1]
    .querySelectorAll('.cascade-log .cascade-thumbnail img')];
  return shown.length >= count && shown.every((img) => img.complete && img.naturalWidth > 0)
    ? shown.map((img) => img.alt) : null; }"""


def wait_for_thumbnails(page: Any, count: int) -> set[str]:
    """Wait until the log of the second cell has drawn so many pictures; return what is said of each."""
    return set(page.page.wait_for_function(THUMBNAILS, arg=count, timeout=90_000).json_value())


def test_each_picture_is_at_its_node_and_opens_large(lab: Any) -> None:
    """Drawn in threads and a process at once: each with its node, live and finished; a plain cell keeps its own."""
    name = lab.server.write("figures.ipynb", [SETUP, RUN, OWN])
    lab.open(name)
    lab.run_all()
    lab.wait_for_text("5 done", cell=1, timeout=90)
    shown = wait_for_thumbnails(lab, 4)
    assert {"threaded: figure: thread 1 (steps)", "threaded: figure: thread 2 (steps)"} <= shown
    assert "apart: figure: process 3" in shown
    assert lab.cell(1).locator(".cascade-shown-table td", has_text="7").count() == 1
    assert lab.cell(1).locator(".cascade-said", has_text="bold words").count() == 1
    assert lab.page.evaluate("[window.hacked, document.getElementById('hostile')]") == [None, None]
    assert lab.cell(2).locator("img").count() == 1
    assert lab.cell(1).locator("img").count() == lab.cell(1).locator(".cascade-view img").count()
    look_at_one_large(lab)
    lab.save()
    check_saved(lab, name)
    assert lab.foreign_requests() == []


def look_at_one_large(lab: Any) -> None:
    """Enter enlarges, Esc closes and gives the focus back; in both themes."""
    for dark in (False, True):
        lab.dark(on=dark)
        button = lab.cell(1).locator(".cascade-log .cascade-thumbnail").first
        button.scroll_into_view_if_needed()
        button.focus()
        lab.picture(f"figures-{'dark' if dark else 'light'}")
        lab.page.keyboard.press("Enter")
        viewer = lab.page.get_by_role("dialog", name="picture of")
        viewer.wait_for()
        large = viewer.locator("img")
        lab.page.wait_for_function("() => document.querySelector('.cascade-viewer img')?.naturalWidth > 400")
        assert large.get_attribute("src").startswith("data:image/png;base64,")
        lab.picture(f"figures-large-{'dark' if dark else 'light'}")
        lab.page.keyboard.press("Escape")
        viewer.wait_for(state="detached")
        assert lab.page.evaluate("document.activeElement.className").startswith("cascade-thumbnail")


def check_saved(lab: Any, name: str) -> None:
    """The file holds the pictures within bounds, for those with the renderer and for those without."""
    notebook = nbformat.read(lab.server.root / name, 4)
    data = notebook.cells[1].outputs[0].data
    document = data["application/vnd.cascade.run+json"]
    assert len(json.dumps(document)) <= 200_000
    pictured = [line for line in document["log"] if line.get("figure", {}).get("data")]
    assert len(pictured) == 4
    assert data["text/html"].count("<img") == 5  # the run, and its pictures
    assert "<script" not in data["text/html"]


LIVE = """%%cascade --bg
hold = threaded(21)
@cs.task
def wait(x):
    import time
    for _ in range(400):
        if done_looking:
            return x
        time.sleep(0.05)
done_looking = []
wait(hold)"""


def test_a_running_view_asks_for_the_whole_picture(lab: Any) -> None:
    """The picture is there before the run ends, small; enlarged, the kernel sends all of it."""
    lab.open(lab.server.write("live_figures.ipynb", [SETUP, LIVE, "done_looking.append(1)"]))
    lab.run_cell(0)
    lab.run_cell(1)
    assert wait_for_thumbnails(lab, 1) == {"threaded: figure: thread 21 (steps)"}
    view = lab.cell(1).locator(".cascade-view.cascade-is-live")
    button = view.locator(".cascade-log .cascade-thumbnail").first
    small = len(button.locator("img").get_attribute("src"))
    assert small < 12_100
    button.click()
    large = view.locator(".cascade-viewer img")
    lab.page.wait_for_function("(n) => document.querySelector('.cascade-viewer img')?.src.length > n + 1000", arg=small)
    assert view.locator(".cascade-viewer .cascade-shown-note").inner_text().startswith("5")  # its size, without "small"
    assert large.evaluate("(img) => img.naturalWidth") > 500
    lab.page.keyboard.press("Escape")
    view.locator(".cascade-node").first.click()
    assert view.locator(".cascade-detail .cascade-figures .cascade-thumbnail").count() == 1
    lab.picture("figures-live")
    lab.run_cell(2)
    lab.wait_for_text("2 done", cell=1)


def test_a_new_kernel_shows_the_pictures_of_the_first_time(lab: Any) -> None:
    """What comes from the store brings its pictures, its table and its words along, and when they were made."""
    lab.open(lab.server.write("warm_figures.ipynb", [SETUP, RUN]))
    lab.run_all()
    lab.wait_for_text("done", cell=1, timeout=90)
    wait_for_thumbnails(lab, 4)
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.wait_until_idle()
    lab.run_all()
    lab.wait_for_text("4 from the store", cell=1, timeout=90)
    shown = wait_for_thumbnails(lab, 4)
    assert {"threaded: figure: thread 1 (steps)", "apart: figure: process 3"} <= shown
    assert lab.cell(1).locator(".cascade-tag", has_text="first shown").count() >= 4
    assert lab.cell(1).locator(".cascade-said", has_text="drawn in thread 2").count() == 1
    lab.picture("figures-warm")
