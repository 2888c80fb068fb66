"""The view's driver: in time, on the best rung that works, and never the run's concern."""

from __future__ import annotations

import contextvars
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from cascade.graph.model import Node
from cascade.interfaces import events as e
from cascade.notebook.view import driver
from cascade.notebook.view.driver import RunView
from cascade.notebook.view.routing import CellMark
from tests.notebook.script import FakeGraph, Script

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 10.0


class FakeRun:
    """A run that is told by hand."""

    def __init__(self) -> None:
        self.graph = FakeGraph([Node("load", "load")])
        self.elapsed = 0.0
        self.events: list[e.Event] = []
        self.orders: list[str] = []
        self.deliver: Callable[[list[e.Event]], None] = lambda _: None

    def subscribe(self, handler: Callable[[list[e.Event]], None]) -> Callable[[], None]:
        self.deliver = handler
        return lambda: None

    def result(self, timeout: float | None = None) -> object:
        return 42

    def cancel(self, reason: str = "") -> None:
        self.orders.append(f"cancel: {reason}")

    def pause(self) -> None:
        self.orders.append("pause")

    def resume(self) -> None:
        raise RuntimeError("too late")


class FakeRung:
    """Remembers what it was told; fails where it is asked to."""

    idle = 60.0

    def __init__(self, interval: float = 0.0, fails: str = "") -> None:
        self.interval = interval
        self.fails = fails
        self.shown: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self.heard = threading.Event()

    def _note(self, what: str, content: Any) -> None:
        if self.fails == what:
            raise OSError("gone")
        self.shown.append((what, content))
        self.times.append(time.monotonic())
        self.heard.set()

    def open(self, view: Any) -> None:
        self._note("open", view.make_bundle())

    def push(self, view: Any) -> None:
        frame = view.take_frame()
        if frame is not None:
            self._note("push", frame)

    def resend(self, view: Any) -> None:
        self._note("resend", view.make_snapshot())

    def close(self, bundle: Any) -> None:
        self._note("close", bundle)

    def wait_for(self, what: str) -> Any:
        """Wait until the rung was told `what`, and return it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = [content for said, content in self.shown if said == what]
            if found:
                return found[-1]
            self.heard.wait(0.05)
            self.heard.clear()
        raise AssertionError(f"never told to {what}")


@pytest.fixture
def script() -> Script:
    return Script()


def make(run: FakeRun, rung: FakeRung | None, **given: Any) -> RunView:
    view = RunView(run, CellMark(None, None, contextvars.copy_context()), rung, **given)
    view.open()
    return view


def play(run: FakeRun, script: Script) -> None:
    news = script.news()
    run.events += news
    run.deliver(news)


def test_the_first_picture_needs_no_event(script: Script) -> None:
    """It is made of the graph alone, before `open` returns."""
    rung = FakeRung()
    view = make(FakeRun(), rung)
    assert rung.shown[0][0] == "open"
    assert "load" in rung.shown[0][1]["text/plain"]
    view.close()
    assert view.wait(PATIENCE)


def test_the_last_picture_has_the_result_and_comes_before_waiting_ends(script: Script) -> None:
    """Who waits for the view finds the finished bundle shown."""
    run, rung = FakeRun(), FakeRung()
    ended: list[RunView] = []
    view = make(run, rung, on_end=ended.append)
    script.begin()
    script.do("load")
    script.finish()
    play(run, script)
    assert view.wait(PATIENCE)
    bundle = rung.wait_for("close")
    assert bundle["application/vnd.cascade.run+json"]["result"] == {"type": "int", "text": "42", "table": None}
    assert ended == [view]


def test_frames_keep_their_distance(script: Script) -> None:
    """However fast events come, two pushes are at least an interval apart."""
    run, rung = FakeRun(), FakeRung(interval=0.1)
    view = make(run, rung)
    script.begin()
    play(run, script)
    rung.wait_for("push")
    for _ in range(200):
        script.tell(e.OutputWritten, node="load", name="load", stream="stdout", text="x\n")
        play(run, script)
    script.finish()
    play(run, script)
    assert view.wait(PATIENCE)
    pushes = [at for at, (what, _) in zip(rung.times, rung.shown, strict=True) if what == "push"]
    assert all(later - earlier >= 0.095 for earlier, later in pairwise(pushes))


def test_commands_of_the_view_are_posted_to_the_run(script: Script) -> None:
    """Known commands reach the run; unknown ones, and a run that refuses, trouble nobody."""
    run, rung = FakeRun(), FakeRung()
    view = make(run, rung)
    for message in ({"command": "pause"}, {"command": "format disk"}, {"command": "cancel"}, {"command": "resume"}):
        view.take_message({"type": "command", **message})
    view.take_message({"type": "nonsense"})
    view.take_message({})
    assert run.orders == ["pause", "cancel: cancelled in the view"]
    assert view.fault == "RuntimeError: too late"
    view.close()
    assert view.wait(PATIENCE)


def test_a_view_that_missed_a_frame_gets_a_snapshot(script: Script) -> None:
    """The snapshot carries the number of the last frame, so that the next one follows it."""
    run, rung = FakeRun(), FakeRung()
    view = make(run, rung)
    script.begin()
    play(run, script)
    rung.wait_for("push")
    view.take_message({"type": "snapshot"})
    snapshot = rung.wait_for("resend")
    assert snapshot["seq"] == view.record.frames.seq
    assert snapshot["run"]["state"] == "running"
    view.close()
    assert view.wait(PATIENCE)


@pytest.mark.parametrize("fails", ["open", "push", "close"])
def test_a_rung_that_breaks_is_replaced_by_a_picture(
    fails: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, and whenever, the run is not disturbed and its end is shown."""
    second, last = FakeRung(), []
    monkeypatch.setattr(driver, "make_fallback", lambda _error: second)
    monkeypatch.setattr(driver, "show_bundle", last.append)
    run, rung = FakeRun(), FakeRung(fails=fails)
    view = make(run, rung)
    script.begin()
    play(run, script)
    if fails != "close":
        second.wait_for("open")
    script.finish()
    play(run, script)
    assert view.wait(PATIENCE)
    shown = last[-1] if fails == "close" else second.wait_for("close")
    assert "done" in shown["text/plain"]
    assert view.fault == "OSError: gone"


def test_without_a_rung_the_record_is_kept(script: Script) -> None:
    """`--view none` still knows how the run went."""
    run = FakeRun()
    view = make(run, None)
    script.begin()
    script.do("load")
    script.finish()
    play(run, script)
    assert view.wait(PATIENCE)
    assert view.record.counts["done"] == 1


def test_a_display_whose_cell_runs_again_shows_no_last_picture(script: Script) -> None:
    """Its output is gone from the page; the widget is closed and nothing is sent."""
    rung = FakeRung()
    view = make(FakeRun(), rung)
    view.close(discard=True)
    assert view.wait(PATIENCE)
    assert rung.shown[-1] == ("close", None)


def test_a_graph_that_grows_is_drawn_anew(script: Script) -> None:
    """A task that returns a lazy result brings new nodes: the record begins again with the same events."""
    run, rung = FakeRun(), FakeRung()
    view = make(run, rung)
    script.begin()
    script.do("load")
    run.graph = FakeGraph([Node("load", "load"), Node("more", "more")])
    script.start("more")
    play(run, script)
    snapshot = rung.wait_for("resend")
    assert set(snapshot["nodes"]) == {"load", "more"}
    assert snapshot["nodes"]["more"]["s"] == "running"
    script.complete("more")
    script.finish()
    play(run, script)
    assert view.wait(PATIENCE)
    assert rung.wait_for("close")["application/vnd.cascade.run+json"]["run"]["counts"]["done"] == 2


def test_what_comes_is_folded_before_a_frame_is_due(script: Script) -> None:
    """A frame need not wait for thousands of events to be folded: they were, as they came."""
    run, rung = FakeRun(), FakeRung(interval=60.0)
    view = make(run, rung)
    script.begin()
    play(run, script)
    rung.wait_for("push")
    folded = threading.Event()
    apply = view.record.apply

    def apply_and_tell(events: Any) -> None:
        apply(events)
        folded.set()

    view.record.apply = apply_and_tell  # type: ignore[method-assign]
    script.do("load")
    play(run, script)
    assert folded.wait(PATIENCE)
    assert view.record.counts["done"] == 1
    assert [what for what, _ in rung.shown].count("push") == 1
    view.close()
    assert view.wait(PATIENCE)
