"""`cs.controls`: fields of Params, forecasts, runs on release, and where nobody can move anything."""

from __future__ import annotations

import datetime as dt
import enum
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import nbformat
import pytest

import cascade as cs
from cascade.interfaces.control_errors import ControlError
from cascade.interfaces.exceptions import NotLazyError, ParamError, SettingError
from cascade.notebook.control_fields import make_field
from cascade.notebook.controls import Controls
from cascade.notebook.forecast import Latest, foresee
from tests.notebook.conftest import SETUP
from tests.notebook.kernel import DOCUMENT, LIVE, ROOT, WIDGET

if TYPE_CHECKING:
    from tests.notebook.kernel import Cell, Kernel


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@cs.task(pure=True)
def add(x: Any, y: Any) -> Any:
    return x + y


@cs.task
def now(x: Any) -> Any:
    return x


KINDS = [
    (cs.Param("a", default=3, bounds=(0, 10)), "slider", "3"),
    (cs.Param("b", default=0.25, bounds=(0, 1)), "slider", "0.25"),
    (cs.Param("c", default=3, bounds=(0, None)), "number", "3"),
    (cs.Param("d", type=float), "number", ""),
    (cs.Param("e", default=None, type=int | None), "number", ""),
    (cs.Param("f", default=True), "check", True),
    (cs.Param("g", default="x", choices=["x", "y"]), "radio", 0),
    (cs.Param("h", default=5, choices=list(range(9))), "select", 5),
    (cs.Param("i", default=Colour.BLUE), "radio", 1),
    (cs.Param("j", default="b", type=Literal["a", "b"]), "radio", 1),
    (cs.Param("k", default="Ada"), "text", "Ada"),
    (cs.Param("l", default=[1, 2]), "text", "[1, 2]"),
    (cs.Param("m", default=dt.date(2024, 2, 29)), "date", "2024-02-29"),
    (cs.Param("n", default=Path("data/x.csv")), "text", "data/x.csv"),
    (cs.Param("o", default="hunter2", secret=True), "password", ""),
    (cs.Param("p", default=object()), "fixed", None),
    (cs.Param("q", default=float("inf")), "text", "inf"),
]


@pytest.mark.parametrize(("param", "kind", "shown"), KINDS, ids=lambda one: getattr(one, "name", None))
def test_a_param_gets_the_control_that_fits(param: cs.Param, kind: str, shown: object) -> None:
    """The kind follows from type, choices and bounds; what the control shows is read back as the same value."""
    field = make_field(param)
    assert field.kind == kind
    if shown is not None:
        value = None if param.required else param.default
        assert field.to_browser(value) == shown
        if not param.required and kind != "password":
            assert field.read(shown) == param.default
    described = field.describe()
    assert described["name"] == param.name
    assert "hunter2" not in str(described)


def test_values_are_checked_as_a_run_checks_them() -> None:
    """What is wrong is said in the words of the Param; a choice that there is not, and an empty number, are wrong."""
    share = make_field(cs.Param("share", default=0.5, bounds=(0, 1)))
    assert share.read("0.75") == 0.75
    for raw, told in (
        ("2", "2.0 is not from 0 to 1"),
        ("many", "'many' is not a valid float"),
        ("", "it needs a value"),
    ):
        with pytest.raises(ValueError, match=told):
            share.read(raw)
    mode = make_field(cs.Param("mode", default="x", choices=["x", "y"]))
    for raw in (2, -1, "x", True, None):
        with pytest.raises(ValueError, match="choose one of them"):
            mode.read(raw)
    assert make_field(cs.Param("most", default=None, type=int | None)).read("") is None


def test_a_forecast_tells_count_cost_and_what_always_runs(tmp_path: Path) -> None:
    """`k of n nodes would run`, seconds from earlier runs, unknown ones, and tasks that are not pure."""
    from cascade.adapters.stores.local import LocalStore

    store = LocalStore(tmp_path / "store")
    x = cs.Param("x", default=1)
    pure = add(add(x, 1), add(5, 6))
    first = foresee(pure, {}, None, store)
    assert (first.count, first.total, first.is_known) == (3, 3, False)
    assert first.text == "up to 3 of 3 nodes would run; what that takes is not known yet"
    cs.run(pure, cache=store, log_level=None)
    assert foresee(pure, {}, None, store).text == "nothing would run: all of it is stored"
    moved = foresee(pure, {"x": 2}, None, store)
    assert (moved.count, moved.is_known) == (2, True)
    assert moved.text.startswith("up to 2 of 3 nodes would run, about ")
    assert sorted(text.split(" ")[0] for text in moved.marks.values()) == ["run", "run?"]
    mixed = foresee(now(add(x, 1)), {"x": 1}, None, store)
    assert mixed.text == "1 of 2 nodes would run; what that takes is not known yet; now is not pure and runs each time"
    assert foresee(pure, {}, None, None).count == 3


def test_the_latest_job_wins() -> None:
    """While one job goes on, only the newest of those that come is done; a job that fails does not end the worker."""
    began, go = threading.Event(), threading.Event()
    done: list[int] = []
    faults: list[str] = []
    over = threading.Event()
    latest = Latest("test", lambda error: faults.append(str(error)))

    def hold() -> None:
        began.set()
        go.wait(5)
        raise ValueError("no")

    latest.ask(hold)
    assert began.wait(5)
    for number in range(5):
        latest.ask(lambda number=number: (done.append(number), over.set()))  # type: ignore[misc]
    assert latest.is_waiting
    go.set()
    assert over.wait(5)
    assert (done, faults) == ([4], ["no"])


class TestWithoutANotebook:
    """In a script the same object runs, with nothing shown."""

    def test_set_start_and_value(self) -> None:
        """Values come from the Params, `set` changes and checks them, `start` runs them."""
        ui = cs.controls(add(cs.Param("x", default=1, bounds=(0, 9)), cs.Param("y", default=2)), {"y": "5"})
        assert isinstance(ui, Controls)
        assert ui.params == {"x": 1, "y": 5}
        assert (ui.run, ui.value) == (None, None)
        with pytest.raises(ControlError, match="have not run anything yet"):
            ui.result()
        ui.set(x=4)
        run = ui.start()
        assert ui.run is run
        assert (ui.result(10), ui.value) == (9, 9)
        with pytest.raises(ParamError, match=r"Param 'x': 40 is not from 0 to 9"):
            ui.set(x=40)
        with pytest.raises(ParamError, match="No Param is named 'z'"):
            ui.set(z=1)
        ui.close()
        with pytest.raises(ControlError, match="are closed"):
            ui.start()

    def test_what_is_wrong_from_the_start_is_said(self) -> None:
        """A target that is none, names and values that do not fit, an unknown view, a value that is missing."""
        with pytest.raises(NotLazyError):
            cs.controls(3)
        target = add(cs.Param("x", type=int), 1)
        with pytest.raises(ParamError, match="Did you mean 'x'"):
            cs.controls(target, {"xx": 1})
        with pytest.raises(ParamError, match="Param 'x': 'a' is not a valid int"):
            cs.controls(target, {"x": "a"})
        with pytest.raises(SettingError, match="view cannot be 'big'"):
            cs.controls(target, view="big")
        with pytest.raises(ParamError, match="Param 'x': it needs a value"):
            cs.controls(target).start()

    def test_a_secret_shows_nowhere(self) -> None:
        """Neither in reprs nor in what goes to a browser nor in what is saved; the run gets it all the same."""
        ui = cs.controls(add(cs.Param("key", default="hunter2", secret=True), "!"), cache=False)
        ui.set(key="swordfish")
        told = repr((ui, ui.params, ui.form(), ui.told_values()))
        assert "swordfish" not in told
        assert "hunter2" not in told
        assert ui.start().result(10) == "swordfish!"


FLOW = """
@cs.task(pure=True)
def grow(x, by):
    time.sleep(0.05)
    return x + by

@cs.task(pure=True)
def slow(x, seconds=0.0):
    time.sleep(seconds)
    return x

flow = slow(grow(cs.Param("x", default=1, bounds=(0, 50), description="where to begin"), cs.Param("by", default=1)),
            cs.Param("wait", default=0.0))
import cascade.notebook.watching as watching
nobody = watching.has_front_end
watching.has_front_end = lambda shell: True
"""
SEND = "ui._place._take({})"


def of_widget(cell: Cell, kind: str) -> list[dict[str, Any]]:
    """The messages of one kind that the widget of a cell sent."""
    sent = [content["data"].get("content", {}) for content in cell.of("comm_msg")]
    return [content for content in sent if content.get("type") == kind]


@pytest.mark.kernel
@pytest.mark.slow
class TestInAKernel:
    """One widget, and what a browser would say to it."""

    @pytest.fixture
    def cell(self, kernel: Kernel) -> Cell:
        """The controls of a flow of two tasks, with an empty store."""
        assert kernel.run("%cascade store clear").ok
        assert kernel.run(FLOW).ok
        shown = kernel.run("ui = cs.controls(flow)", "controls")
        assert shown.ok, shown.error
        return shown

    def say(self, kernel: Kernel, **message: Any) -> None:
        """Let the browser say something, and wait until it was heard."""
        assert kernel.run(SEND.format(message)).ok
        assert kernel.run("wait_until(lambda: not ui._worker._is_busy and not ui._planner._is_busy)").ok

    def note(self, kernel: Kernel) -> str:
        return str(kernel.value("ui.state()['note']"))

    def test_nothing_runs_before_someone_asks(self, kernel: Kernel, cell: Cell) -> None:
        """The first picture has the widget, the values as text and what would run; dragging only plans."""
        assert set(cell.bundle) == {LIVE, WIDGET, "text/html", "text/plain"}
        assert "x = 1" in cell.bundle["text/plain"]
        kernel.until(lambda: "2 of 2 nodes would run" in cell.bundle["text/plain"], 10)
        self.say(kernel, type="input", field=0, value="7")
        assert kernel.value("ui.params") == {"x": 7, "by": 1, "wait": 0.0}
        assert kernel.value("ui.run") is None

    def test_a_release_runs_only_what_changed(self, kernel: Kernel, cell: Cell) -> None:
        """After a first run, a moved value of the last task runs the last task; back again, nothing but look-ups."""
        self.say(kernel, type="run")
        assert kernel.value("ui.result(10), ui.value") == (2, 2)
        self.say(kernel, type="input", field=2, value="0.01")
        assert self.note(kernel).startswith("1 of 2 nodes would run, about ")
        assert of_widget(cell, "frame")[-1]["nodes"]["slow"]["m"].startswith("run ~")
        self.say(kernel, type="change", field=2, value="0.01")
        assert kernel.value("ui.result(10)") == 2
        assert kernel.value("[type(e).__name__ for e in ui.run.events if e.__class__.__name__ == 'NodeStarted']") == [
            "NodeStarted"
        ]
        self.say(kernel, type="change", field=2, value="0.0")
        assert kernel.value("ui.result(10)") == 2
        assert kernel.run("wait_until(lambda: 'nothing would run' in ui.state()['note'])").ok
        assert kernel.value("[e.node for e in ui.run.events if e.__class__.__name__ == 'NodeStarted']") == []
        assert of_widget(cell, "snapshot")[-1]["snapshot"]["run"]["state"] == "completed"

    def test_a_release_during_a_run_begins_anew(self, kernel: Kernel, cell: Cell) -> None:
        """The run that goes on is cancelled; many releases at once are one run, with the last value."""
        del cell
        self.say(kernel, type="change", field=2, value="0.8")
        assert kernel.run("first = ui.run").ok
        together = "[ui._place._take({'type': 'change', 'field': 0, 'value': str(n)}) for n in range(2, 9)]"
        assert kernel.run(f"{together}; ui._place._take({{'type': 'change', 'field': 2, 'value': '0'}})").ok
        assert kernel.run("wait_until(lambda: ui.params['x'] == 8 and not ui._worker._is_busy)").ok
        assert kernel.value("ui.result(10)") == 9
        assert kernel.run("first.wait(5)").ok
        assert kernel.value("first.state") == "cancelled"

    def test_what_is_wrong_is_told_at_its_field(self, kernel: Kernel, cell: Cell) -> None:
        """A value out of bounds runs nothing and stays as it was written; reset makes all as it was and runs."""
        del cell
        self.say(kernel, type="change", field=0, value="99")
        assert kernel.value("ui.state()['errors']") == ["99 is not from 0 to 50", "", ""]
        assert kernel.value("ui.state()['values']") == ["99", "1", "0.0"]
        assert kernel.value("ui.run") is None
        assert self.note(kernel) == "x: not a valid value yet"
        for odd in ({"type": "change", "field": 17, "value": 1}, {"type": "change"}, {"type": "?"}, {}):
            assert kernel.run(SEND.format(odd)).ok
        self.say(kernel, type="reset")
        assert kernel.value("ui.result(10)") == 2

    def test_what_is_saved_follows(self, kernel: Kernel, cell: Cell) -> None:
        """A while after the last move, the notebook keeps the new values and the picture, beside the widget."""
        self.say(kernel, type="change", field=0, value="30")
        assert kernel.value("ui.result(10)") == 31
        kernel.until(lambda: bool(cell.of("update_display_data")), 10)
        saved = cell.of("update_display_data")[-1]["data"]
        assert "x = 30" in saved["text/plain"]
        assert "result: 31" in saved["text/plain"] or "31" in saved["text/plain"]
        assert WIDGET in saved
        assert "data:image/svg+xml;base64," in saved["text/html"]

    def test_it_is_closed_when_its_cell_runs_again(self, kernel: Kernel, cell: Cell) -> None:
        """30 times: one live widget, one guest of the session; `close` leaves the picture and no widget."""
        del cell
        for _ in range(30):
            assert kernel.run("ui = cs.controls(flow)\nui.start()", "controls").ok
        assert kernel.run("ui.result(10), wait_until(lambda: len(live_widgets()) <= 2, 8)").ok
        assert kernel.value("len(live_widgets()), len(session().guests)") == (2, 1)
        last = kernel.run("ui = cs.controls(flow)", "controls")
        assert kernel.run("ui.close(); ui.close()").ok
        assert set(last.bundle) == {DOCUMENT, "text/html", "text/plain"}
        assert kernel.run("wait_until(lambda: not live_widgets(), 8)").ok
        assert kernel.value("len(live_widgets()), len(session().guests)") == (0, 0)
        assert "are closed" in kernel.run("ui.start()").error

    def test_unloading_takes_controls_and_auto_away(self, kernel: Kernel, cell: Cell) -> None:
        """After `%unload_ext` the picture stays; no widget, no listener and no guest of the session do."""
        listeners = "len(get_ipython().events.callbacks['post_run_cell'])"
        before = kernel.value(listeners)
        assert kernel.run("%cascade auto on\nleft = session()").ok
        assert kernel.value(f"{listeners}, len(left.guests)") == (before + 1, 2)
        assert kernel.run("%unload_ext cascade").ok
        assert WIDGET not in cell.bundle
        assert kernel.run("wait_until(lambda: not live_widgets(), 8)").ok
        assert kernel.value(f"{listeners}, len(left.guests), ui.is_open, live_widgets()") == (before - 1, 0, False, [])
        assert kernel.run("%load_ext cascade").ok

    def test_shown_again_it_moves(self, kernel: Kernel, cell: Cell) -> None:
        """In its own cell the last expression shows nothing more; in another one the controls go there."""
        again = kernel.run("ui", "elsewhere")
        assert WIDGET in again.bundle
        assert WIDGET not in cell.bundle
        own = kernel.run("ui = cs.controls(flow)\nui", "controls")
        assert len(own.of("display_data")) == 1
        assert own.value == ""

    def test_plain_ipywidgets_serve_without_anywidget(self, kernel: Kernel, cell: Cell) -> None:
        """Sliders that tell their value when they are let go, with the picture below; nothing stays behind."""
        del cell
        code = """
import builtins, sys
kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "anywidget"}
import cascade.notebook.control_place as place
real = place.ControlWidget
def missing(*_): raise ImportError("no", name="anywidget")
place.ControlWidget = missing
before = len(live_widgets())
ui = cs.controls(flow)
form = ui._place._form
kinds = [type(one).__name__ for one in form._inputs]
form._inputs[0].value = 20
"""
        plain = kernel.run(code, "controls")
        assert plain.ok, plain.error
        assert kernel.run("wait_until(lambda: ui.run is not None)").ok
        assert kernel.value("kinds, ui.result(10)") == (["IntSlider", "Text", "Text"], 21)
        assert "pip install 'cascade-notebook[notebook]' (anywidget is missing)" in str(plain.of("display_data"))
        kernel.until(lambda: plain.document["run"]["state"] == "completed", 10)
        assert kernel.run("ui.close(); place.ControlWidget = real; sys.modules.update(kept)").ok
        assert kernel.value("len(live_widgets()) - before") == 0


CELLS = [
    SETUP,
    FLOW.split("import cascade.notebook.watching", maxsplit=1)[0],
    "ui = cs.controls(flow)",
    "print(ui.run, ui.params)",
    "ui.start()\nui.result()",
]


@pytest.mark.kernel
@pytest.mark.slow
def test_where_nobody_looks_the_first_state_is_shown(tmp_path: Path) -> None:
    """nbclient: picture and values, no widget, nothing runs by itself, `start` works, and it does not wait."""
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    began = time.monotonic()
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path / "ipython")})
    assert time.monotonic() - began < 40
    shown = notebook.cells[2].outputs[-1].data
    assert set(shown) == {DOCUMENT, "text/html", "text/plain"}
    assert "done in" in shown["text/plain"]
    assert notebook.cells[3].outputs[0].text.startswith("None {'x': 1")
    assert notebook.cells[4].outputs[-1].data["text/plain"] == "2"
    assert WIDGET not in nbformat.writes(notebook)
