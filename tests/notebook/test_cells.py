"""`%%cascade` and `%cascade` in a real kernel: what a cell shows, gives and refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.notebook.kernel import DOCUMENT, LIVE, WIDGET

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


def test_a_cell_runs_its_graph_shows_it_and_gives_its_value(kernel: Kernel) -> None:
    """A live widget first, the finished bundle in its place at the end, the value as the cell's value."""
    cell = kernel.run("%%cascade -r cpu=2\nxs = list(range(3))\n[nap(x).with_constraints(cpu=1) for x in xs]", "c1")
    first, *_ = cell.of("display_data")
    assert set(first["data"]) == {LIVE, WIDGET, "text/html", "text/plain"}
    assert set(cell.bundle) == {DOCUMENT, "text/html", "text/plain"}
    assert cell.document["run"]["counts"]["done"] == 3
    assert [row["label"] for row in cell.document["lanes"]["rows"][:2]] == ["cpu 1", "cpu 2"]
    assert cell.value == "[0, 1, 2]"
    assert kernel.value("xs") == [0, 1, 2]


def test_the_first_picture_comes_within_300_ms(kernel: Kernel) -> None:
    """It is made of the graph, before any task has said anything."""
    cell = kernel.run("%%cascade\nchain(3)")
    begun = next(m.at for m in cell.messages if m.type == "execute_input")
    shown = next(m.at for m in cell.messages if m.type == "display_data")
    assert shown - begun < 0.3


def test_the_last_picture_comes_before_the_cell_ends(kernel: Kernel) -> None:
    """Headless runs keep what a cell sends while it runs, and nothing later."""
    cell = kernel.run("%%cascade\nchain(2);")
    types = [message.type for message in cell.messages]
    assert types.index("update_display_data") < len(types) - 1
    assert types[-1] == "status"
    assert cell.value == ""


def test_top_level_await_and_ipython_syntax_work_in_the_body(kernel: Kernel) -> None:
    """The body is ordinary cell code."""
    cell = kernel.run("%%cascade\nn = await asyncio.sleep(0, result=4)\nwords = !echo two words\nnap(n)")
    assert cell.value == "4"
    assert kernel.value("list(words)") == ["two words"]


def test_a_named_target_and_a_name_for_the_value(kernel: Kernel) -> None:
    """TARGET is an expression of the notebook, -o binds the value."""
    assert kernel.run("%%cascade nap(7, seconds=0) -o seven\n").value == "7"
    assert kernel.value("seven") == 7
    assert kernel.run("%%cascade --bg -o eight\nnap(8)").value == ""
    assert kernel.run("wait_until(lambda: 'eight' in globals())\neight").value == "8"


def test_params_and_their_errors(kernel: Kernel) -> None:
    """Values come through the line; everything that is wrong with them is told in one short error."""
    assert kernel.run("%%cascade -p rows=3\nnap(cs.Param('rows', type=int))").value == "3"
    cell = kernel.run("%%cascade -p row=3\nnap(cs.Param('rows', type=int))")
    assert "No Param is named 'row'. Did you mean 'rows'?" in cell.error
    assert "Param 'rows' is missing" in cell.error
    assert "launch.py" not in cell.error


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("%%cascade", "The cell is empty."),
        ("%%cascade\n", "The cell is empty."),
        ("%%cascade\nx = nap(1)", "the cell does not end with an expression"),
        ("%%cascade\n1 + 1", "There is nothing to run: the target is of type int"),
        ("%%cascade --tiemout 3\nnap(1)", "Did you mean '--timeout'?"),
        ("x = 1\n%%cascade\nnap(x)", "%%cascade must be the first line of its cell."),
        ("%%cascade nobody\n", "The target 'nobody' cannot be found"),
        ("%%cascade nap(\n", "The target is not an expression: nap("),
        ("%%cascade\nx = = 1", "invalid syntax"),
        ("%cascade grap", "There is no %cascade grap. Did you mean 'graph'?"),
        ("%cascade cancel 99", "There is no job 99"),
        ("%cascade cancel last", "A job is named by its number, not 'last'."),
    ],
)
def test_bad_input_is_told_in_one_sentence(kernel: Kernel, code: str, told: str) -> None:
    """The cell fails, so that Run All stops, and says what to do; no frame of cascade is shown."""
    cell = kernel.run(code)
    assert not cell.ok
    assert told in cell.error
    assert "magics.py" not in cell.error
    assert len(cell.error.splitlines()) < 12


def test_a_failing_task_shows_the_users_frames_only(kernel: Kernel) -> None:
    """The error is the task's own; the card has the frame as the notebook numbers it."""
    cell = kernel.run("%%cascade\nfail(nap(3))")
    assert not cell.ok
    assert cell.of("error")[0]["ename"] == "ValueError"
    assert "raise ValueError" in cell.error
    assert "cascade/" not in cell.error
    assert "called with x = 3" in cell.error
    failure = cell.document["failure"]
    assert failure["frames"][0]["file"].startswith("Cell In[")
    assert failure["good"] == "nap is done and not affected."


def test_an_error_in_the_body_has_the_cells_own_line_numbers(kernel: Kernel) -> None:
    """The magic's line counts as the first."""
    cell = kernel.run("%%cascade\nx = 1\nx / 0\nnap(1)")
    assert "ZeroDivisionError" in cell.error
    assert "line 3" in cell.error
    assert "cell.py" not in cell.error


def test_keep_going_finishes_what_does_not_depend_on_the_failure(kernel: Kernel) -> None:
    """The cell still fails."""
    cell = kernel.run("%%cascade --keep-going\n[fail(1), chain(3)]")
    assert not cell.ok
    assert cell.document["run"]["counts"]["done"] == 3


def test_a_timeout_ends_the_run(kernel: Kernel) -> None:
    """The cell says what was exceeded."""
    cell = kernel.run("%%cascade --timeout 0.2\nrest(1, seconds=30)")
    assert "timeout of 0.2 s" in cell.error


def test_plan_shows_the_graph_and_runs_nothing(kernel: Kernel) -> None:
    """The picture of the graph and the order."""
    cell = kernel.run("%%cascade --plan\nrest(chain(2))")
    assert "<img alt=" in cell.bundle["text/html"]
    assert "nap#2" in cell.bundle["text/plain"]
    assert kernel.value("opened") == []


def test_views_less_than_live(kernel: Kernel) -> None:
    """Static is a picture, text is text, none is nothing; the value comes in any case."""
    static = kernel.run("%%cascade --view static\nnap(1)")
    assert WIDGET not in static.of("display_data")[0]["data"]
    assert DOCUMENT in static.bundle
    text = kernel.run("%%cascade --view text\nnap(1)")
    assert set(text.bundle) == {"text/plain"}
    none = kernel.run("%%cascade --view none\nnap(1)")
    assert (none.bundle, none.value) == ({}, "1")


def test_without_the_widget_libraries_the_picture_says_what_to_install(kernel: Kernel) -> None:
    """The view falls to the next rung by itself, with one line, and the run is not disturbed."""
    hide = (
        "import cascade.notebook.view as package\n"
        "hidden = sys.modules.pop('cascade.notebook.view.widget')\ndel package.widget\n"
        "sys.modules['anywidget'], kept = None, sys.modules['anywidget']"
    )
    show = "sys.modules['anywidget'] = kept\nsys.modules['cascade.notebook.view.widget'] = package.widget = hidden"
    assert kernel.run(hide).ok
    try:
        cell = kernel.run("%%cascade\nnap(1)")
    finally:
        assert kernel.run(show).ok
    first = cell.of("display_data")[0]["data"]
    assert WIDGET not in first
    assert "pip install 'cascade-notebook[notebook]'" in first["text/plain"]
    assert "pip install" not in cell.bundle["text/plain"]
    assert cell.value == "1"


def test_help_is_shown_everywhere(kernel: Kernel) -> None:
    """-h, ? and %cascade help explain the options and the commands."""
    assert "--keep-going" in kernel.run("%%cascade -h\n").bundle["text/plain"]
    assert "draw the graph of TARGET" in kernel.run("%cascade help").value
    shown = kernel.run("%%cascade?")
    pages = [part["data"]["text/plain"] for part in shown.reply["payload"]]
    assert any("--keep-going" in page for page in pages)


def test_lazy_results_graphs_and_runs_show_themselves(kernel: Kernel) -> None:
    """A lazy result is its graph, a finished run is its picture; showing runs nothing."""
    lazy = kernel.run("rest(1)").of("execute_result")[0]["data"]
    assert "<img alt=" in lazy["text/html"]
    assert lazy["text/plain"].startswith("<lazy rest(")
    assert kernel.value("opened") == []
    run = kernel.run("r = cs.start(nap(1), log_level=None); r.result(); r").of("execute_result")[0]["data"]
    assert set(run) == {DOCUMENT, "text/html", "text/plain"}


def test_the_python_calls_do_what_the_magic_does(kernel: Kernel) -> None:
    """`cs.start(…).view()` shows the live view, and the finished bundle in its place."""
    cell = kernel.run("r = cs.start(chain(3), log_level=None)\nr.view()\nr.result()")
    assert WIDGET in cell.of("display_data")[0]["data"]
    kernel.until(lambda: DOCUMENT in cell.bundle)
    again = kernel.run("r.view()")
    assert DOCUMENT in again.of("display_data")[0]["data"]


def test_status_and_jobs_tell_of_the_runs(kernel: Kernel) -> None:
    """Each run has a number."""
    assert kernel.run("%%cascade\nchain(2);").ok
    assert kernel.run("%cascade status").value.startswith("nap: done in")
    assert "nap" in kernel.run("%cascade jobs").value


def test_a_run_works_inside_a_running_loop(kernel: Kernel) -> None:
    """Blocking and awaiting calls both work where the kernel's loop runs."""
    assert kernel.run("await asyncio.sleep(0)\ncs.run(rest(3), log_level=None)").value == "3"
    assert kernel.run("await cs.arun(rest(4), log_level=None)").value == "4"
    assert kernel.run("await cs.start(nap(5), log_level=None)").value == "5"


def test_nested_loops_are_there_on_request(kernel: Kernel) -> None:
    """Pasted `asyncio.run` works after `%cascade nest`; cascade itself never patches anything."""
    before = kernel.run("'nest' in asyncio.run.__module__")
    assert before.value == "False"
    assert "asyncio.run" in kernel.run("%cascade nest").value
    assert kernel.run("asyncio.run(asyncio.sleep(0, result=3))").value == "3"
    assert kernel.run("%%cascade\nrest(nap(2))").value == "2"
