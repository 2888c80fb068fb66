"""What tasks draw and display belongs to their node, wherever they run, side by side with others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.events import DisplayShown, OutputWritten
from cascade.runtime.capture import OutputCapture
from cascade.runtime.figures import WhenImported
from cascade.runtime.run import start

plt = pytest.importorskip("matplotlib.pyplot")


@contextmanager
def captured() -> Iterator[None]:
    """Output is captured, as while a cell with a view runs."""
    capture = OutputCapture()
    capture.acquire()
    try:
        yield
    finally:
        capture.release()


@pytest.fixture(autouse=True)
def capturing() -> Iterator[None]:
    """Figures are captured, pyplot draws without a screen, and no test leaves a figure open."""
    plt.switch_backend("agg")
    with captured():
        yield
    assert plt.get_fignums() == []


def shown_by(target: Any, **options: Any) -> list[DisplayShown]:
    """Run `target` and return what it displayed."""
    run = start(target, log_level=None, capture_output=True, **options)
    run.result(60)
    return [event for event in run.events if isinstance(event, DisplayShown)]


@pytest.mark.slow
def test_tasks_in_threads_have_figures_of_their_own() -> None:
    """Two draw at the same time, step by step, into "the current figure": each into its own."""
    together = threading.Barrier(2)

    @cs.task
    def draw(i: int) -> int:
        together.wait(10)
        plt.plot([1, i])
        together.wait(10)
        plt.title(f"number {i}")
        together.wait(10)
        assert plt.gca().get_title() == f"number {i}"
        assert plt.get_fignums() == [1]
        return i

    shown = shown_by([draw(1).named("one"), draw(2).named("two")])
    assert {(event.name, event.text) for event in shown} == {("one", "figure: number 1"), ("two", "figure: number 2")}
    assert all(event.mime == "image/png" and event.width > 100 and event.thumbnail for event in shown)


def test_tasks_on_the_event_loop_have_figures_of_their_own() -> None:
    """They share a thread, and still none draws into another's picture."""

    @cs.task
    async def draw(i: int) -> int:
        import asyncio

        plt.plot([1, i])
        await asyncio.sleep(0.01)
        plt.title(f"number {i}")
        assert len(plt.gca().lines) == 1
        return i

    shown = shown_by([draw(i) for i in range(3)])
    assert sorted(event.text for event in shown) == [f"figure: number {i}" for i in range(3)]


def test_items_of_a_map_and_inline_tasks_show_their_figures() -> None:
    """Each item its own, with its index."""

    @cs.task
    def draw(i: int) -> int:
        plt.plot([1, i])
        plt.title(f"item {i}")
        return i

    @cs.task(mode="inline")
    def quick(i: int) -> int:
        plt.plot([1, i])
        plt.xlabel("x")
        plt.ylabel("y")
        return i

    shown = shown_by([draw.map(i=[5, 6]), quick(1)])
    assert {(event.label, event.text) for event in shown} == {
        ("draw[0]", "figure: item 5"),
        ("draw[1]", "figure: item 6"),
        ("quick", "figure: y against x"),
    }


def test_the_figures_come_before_the_end_of_their_node_and_also_of_one_that_fails() -> None:
    """What was drawn before an error helps to see why."""

    @cs.task
    def draw() -> None:
        plt.plot([1, 2])
        raise ValueError("after drawing")

    run = start(draw(), log_level=None, capture_output=True)
    assert isinstance(run.exception(30), ValueError)
    kinds = [type(event).__name__ for event in run.events]
    assert kinds.index("DisplayShown") < kinds.index("NodeFailed")


def test_a_figure_without_anything_in_it_and_a_closed_one_are_not_shown() -> None:
    """As at the end of a cell."""

    @cs.task
    def draw() -> None:
        plt.figure()
        plt.plot([1])
        plt.close("all")
        plt.figure()

    assert shown_by(draw()) == []


def test_figures_of_the_main_thread_stay_where_they_were() -> None:
    """A task neither sees nor closes them."""
    plt.figure(7)

    @cs.task
    def draw() -> list[int]:
        plt.close("all")
        plt.plot([1])
        return plt.get_fignums()  # type: ignore[no-any-return]

    run = start(draw(), log_level=None, capture_output=True)
    assert run.result(30) == [1]
    assert plt.get_fignums() == [7]
    plt.close("all")


def test_a_run_that_nobody_watches_draws_as_ever() -> None:
    """Its figures are pyplot's."""

    @cs.task
    def draw() -> None:
        plt.plot([1])

    start(draw(), log_level=None).result(30)
    assert plt.get_fignums() == [1]
    plt.close("all")


def test_the_whole_picture_lies_beside_the_events() -> None:
    """Once, however often it is shown; the run gives it by its name."""

    @cs.task
    def draw() -> None:
        plt.plot([1, 2])

    run = start([draw(), draw()], log_level=None, capture_output=True)
    run.result(30)
    first, second = [event for event in run.events if isinstance(event, DisplayShown)]
    assert first.figure == second.figure
    picture = run.figure(first.figure)
    assert picture is not None
    assert len(picture.data) == first.size
    assert run.figure("unknown") is None
    assert len(first.thumbnail) <= 12_000


@pytest.mark.slow
def test_a_worker_process_tells_what_its_task_said_and_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints, logging, warnings, display, plt.show and open figures: as in a cell, each at its node."""
    from cascade.runtime.process_side import _end_pools

    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    _end_pools()  # workers that are there do not know of it

    @cs.task(mode="compute")
    def work(i: int) -> int:
        import logging
        import sys as own_sys
        import warnings

        import matplotlib.pyplot as plt
        import pandas as pd
        from IPython.display import display

        print("said", i)
        print("tail", end="", file=own_sys.stderr)
        logging.getLogger("mine").warning("careful")
        warnings.warn("old", stacklevel=1)
        display(pd.DataFrame({"a": [i]}))
        plt.plot([1, i])
        plt.title("shown")
        plt.show()
        plt.plot([2, i])
        plt.title("left open")
        return i

    run = start([work(1).named("one"), work(2).named("two")], log_level=None, capture_output=True)
    assert run.result(60) == [1, 2]
    for name, i in (("one", 1), ("two", 2)):
        said = [e for e in run.events if isinstance(e, OutputWritten) and e.name == name]
        assert {(e.stream, e.text) for e in said} == {
            ("stdout", f"said {i}\n"),
            ("stderr", "tail"),
            ("log", "mine: careful"),
            ("warning", "UserWarning: old"),
        }
        shown = [e for e in run.events if isinstance(e, DisplayShown) and e.name == name]
        assert [e.text for e in shown] == ["table", "figure: shown", "figure: left open"]
        assert shown[0].table == (("", "a"), ("0", str(i)))


@pytest.mark.slow
def test_a_task_that_fails_in_a_process_is_heard_too() -> None:
    """Its last words come back with its error."""

    @cs.task(mode="compute")
    def work() -> None:
        print("last words")
        raise KeyError("lost")

    run = start(work(), log_level=None, capture_output=True)
    assert isinstance(run.exception(60), KeyError)
    assert [e.text for e in run.events if isinstance(e, OutputWritten)] == ["last words\n"]


def test_secrets_are_taken_out_of_what_is_displayed() -> None:
    """In titles and in cells; the pixels of a picture are the user's own."""

    @cs.task
    def draw(key: str) -> None:
        plt.plot([1, 2])
        plt.title(f"with {key}")

    run = start(draw(cs.Param("key", secret=True)), {"key": "hunter2hunter2"}, log_level=None, capture_output=True)
    run.result(30)
    assert "hunter2" not in repr([event for event in run.events if isinstance(event, DisplayShown)])


@pytest.mark.slow
def test_a_stored_node_shows_what_it_showed_the_first_time(tmp_path: Any) -> None:
    """Its pictures and its words, of nodes and of items, with their first moment."""
    from cascade.adapters.stores.local import LocalStore

    @cs.task(pure=True)
    def draw(i: int) -> int:
        plt.plot([1, i])
        plt.title(f"first {i}")
        print("drawn", i)
        return i

    # pytest changes the streams between a fixture and its test
    with captured(), LocalStore(tmp_path / "store", key_file=tmp_path / "key") as store:
        target = [draw(1), draw.map(i=[2, 3])]
        before = shown_by(target, cache=store)
        run = start(target, log_level=None, capture_output=True, cache=store)
        assert run.result(60) == [1, [2, 3]]
        after = [event for event in run.events if isinstance(event, DisplayShown)]
        assert {type(e).__name__ for e in run.events} >= {"NodeRecalled", "ItemsRecalled"}
        assert {(e.label, e.text, e.figure, e.made_at) for e in after} == {
            (e.label, e.text, e.figure, e.made_at) for e in before
        }
        assert len(after) == 3
        assert all(run.figure(event.figure) is not None for event in after)
        said = {(e.label, e.text) for e in run.events if isinstance(e, OutputWritten)}
        assert said == {("draw", "drawn 1\n"), ("draw[0]", "drawn 2\n"), ("draw[1]", "drawn 3\n")}


def test_a_module_is_met_when_it_is_imported_later(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And at once if it is there already; who does not wait any more is not told."""
    (tmp_path / "late_module.py").write_text("value = 1\n")
    (tmp_path / "never_met.py").write_text("value = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    met: list[Any] = []
    waiting, given_up = WhenImported("late_module", met.append), WhenImported("never_met", met.append)
    waiting.begin()
    given_up.begin()
    given_up.end()
    import late_module
    import never_met

    assert never_met.value == 2
    assert met == [late_module]
    assert waiting not in sys.meta_path
    WhenImported("late_module", met.append).begin()
    assert met == [late_module, late_module]


def speak(i: int) -> int:
    """Print and draw, in whatever process this runs."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")

    print("said", i)
    plt.plot([1, i])
    plt.title(f"drawn {i}")
    return i


@pytest.mark.slow
def test_the_workers_of_another_executor_are_heard_too() -> None:
    """Those of a pool of processes of the standard library."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        run = start(
            [cs.task(speak)(i).named(f"n{i}") for i in range(2)], log_level=None, capture_output=True, executor=pool
        )
        assert run.result(60) == [0, 1]
    said = {(e.name, e.text) for e in run.events if isinstance(e, OutputWritten)}
    shown = {(e.name, e.text) for e in run.events if isinstance(e, DisplayShown)}
    assert said == {("n0", "said 0\n"), ("n1", "said 1\n")}
    assert shown == {("n0", "figure: drawn 0"), ("n1", "figure: drawn 1")}
