from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.manager import start_new_kernel

import cascade as cs
from cascade.graph.build import build
from cascade.graph.order import may_need
from cascade.interfaces.exceptions import CapacityError, NotLazyError, ParamError
from cascade.messaging.bus import Message, messaging_bus
from cascade.tools.preview import MOST_SHOWN, preview


@cs.task
def load(*needs: Any) -> Any:
    """Stand for any task."""
    return needs


@cs.task(mode="inline")
def fit(x: Any, y: Any = None) -> Any:
    """Stand for another one."""
    return x


def test_it_prints_and_returns_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to standard output, since it was asked for; nothing runs."""
    ran: list[int] = []

    @cs.task
    def work(x: int) -> None:
        ran.append(x)

    plan = cs.dry_run(work(1).named("one"))
    captured = capsys.readouterr()
    assert captured.out == str(plan) + "\n"
    assert captured.out.splitlines() == [
        "one: 1 node would run",
        "step  node  kind  mode      priority",
        "   1  one   task  blocking         1",
    ]
    assert captured.err == ""
    assert not ran


def test_rows_tell_everything_about_a_step() -> None:
    """Node, kind, mode, needs, capacity, priority and notes."""
    a = load().named("a")
    target = (
        fit(a, cs.inject("db"))
        .with_constraints(gpu=1, cpu=a)
        .with_retry(3)
        .with_timeout(2)
        .run_if(a["ok"])
        .with_fallback(0)
    )
    plan = preview([target, cs.Router(a, {"x": target, 2: 3}, name="way"), fit.map([1])])
    rows = {row.node: row for row in plan.rows}
    assert (rows["fit"].kind, rows["fit"].mode, rows["fit"].needs) == ("task", "inline", ("a",))
    assert rows["fit"].capacity == {"gpu": 1, "cpu": None}
    assert rows["fit"].note == "up to 3 tries · at most 2 s · uses db · on a condition · has a fallback"
    assert (rows["way"].kind, rows["way"].mode, rows["way"].note) == ("route", "", "one of x, 2")
    assert (rows["fit#2"].kind, rows["fit#2"].priority, rows["a"].priority) == ("map", 1, 3)
    assert plan.order == [row.node for row in plan.rows]
    assert [row.step for row in plan.rows] == [1, 2, 3, 4]
    assert plan.path == ("a", "fit", "way")
    assert len(plan) == 4


def test_a_diamond_starts_with_the_longest_path() -> None:
    """Of those that could start, the one that the most nodes wait for is first; then the one that was written first."""
    short, long = load().named("short"), load(load().named("first")).named("long")
    assert preview(load(short, long)).order == ["first", "short", "long", "load"]
    assert preview([load().named(name) for name in "abc"]).order == ["a", "b", "c"]


@st.composite
def targets(draw: st.DrawFn) -> Any:
    """Calls that need earlier ones, in all ways."""
    calls: list[Any] = [load()]
    for _ in range(draw(st.integers(0, 6))):
        pick = st.sampled_from(calls)
        call: Any = load(*draw(st.lists(pick, max_size=3)))
        if draw(st.booleans()):
            call = call.run_if(draw(pick)).after(draw(pick))
        if draw(st.booleans()):
            call = cs.Router(draw(pick), {0: call})
        calls.append(call)
    return calls[-1]


@given(targets())
def test_order_respects_needs(target: Any) -> None:
    """Every node is there once, after all that it may need; the path is as long as the graph is high."""
    graph = build(target)
    plan = preview(graph)
    place = {node: i for i, node in enumerate(plan.order)}
    assert sorted(plan.order) == sorted(graph.ids)
    for i in range(len(graph)):
        assert all(place[graph.ids[j]] < place[graph.ids[i]] for j in may_need(graph, i))
    assert len(plan.path) == max(graph.heights)


def test_params_show_values_or_what_is_missing() -> None:
    """Without params nothing is asked for; with them all are checked; secrets never show."""
    target = fit(cs.Param("n", type=int), [cs.Param("key", "hunter2", secret=True), cs.Param("a", 0.5)])
    assert preview(target).params == {"n": "(required)", "key": "•••", "a": "0.5"}
    assert preview(target, {"n": "8"}).params == {"n": "8", "key": "•••", "a": "0.5"}
    with pytest.raises(ParamError, match="Param 'n' is missing"):
        preview(target, {})
    assert "hunter2" not in str(preview(target)) + preview(target)._repr_html_()


def test_capacities_are_checked_when_they_are_given() -> None:
    """As a run would: too much, or an unknown name, is an error."""
    target = load().with_constraints(gpu=2)
    assert preview(target).capacities == {}
    assert preview(target, None, {"gpu": 2}).capacities == {"gpu": 2.0}
    with pytest.raises(CapacityError, match="asks for 2 of 'gpu' but the capacity is 1"):
        preview(target, None, {"gpu": 1})


def test_nothing_lazy_is_an_error() -> None:
    """The same error as a run's."""
    with pytest.raises(NotLazyError):
        cs.dry_run([1, 2])


HOSTILE = "<img src=x onerror=alert(1)> [red]\x1b[31m\nnext"


def test_hostile_names_stay_text(capsys: pytest.CaptureFixture[str]) -> None:
    """No markup in HTML, no escape sequence and no second line on a terminal."""
    plan = cs.dry_run(load().named(HOSTILE))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3
    html = plan._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; [red]\ufffd[31m next" in html


def test_wide_characters_are_aligned() -> None:
    """Names in Chinese take two columns a character; the columns after them stand under each other."""
    lines = str(preview([load().named("读取"), load().named("ab")])).splitlines()
    assert lines[2:] == ["   1  读取  task  blocking         1", "   2  ab    task  blocking         1"]


def test_long_plans_are_cut_in_the_table_only() -> None:
    """Two hundred rows are shown, all are there; many needs are counted."""
    plan = preview(load(*[load() for _ in range(1_000)]))
    assert len(plan.rows) == 1_001
    assert len(str(plan).splitlines()) == MOST_SHOWN + 4
    assert "… and 801 more; .rows has them all" in str(plan)
    assert len(plan.rows[-1].needs) == 1_000


def test_a_plan_speaks_the_readers_language(capsys: pytest.CaptureFixture[str]) -> None:
    """Title and columns are messages like all others."""
    messaging_bus.set_locale("zh")
    try:
        cs.dry_run(load())
    finally:
        messaging_bus.set_locale("en")
    assert capsys.readouterr().out.splitlines()[:2] == ["load：将运行 1 个节点", "步骤  节点  类型  方式      优先级"]


def test_a_renderer_of_ones_own_gets_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """Who took the messages of cascade gets these, too."""

    class Keeper:
        ids: list[str] = []  # noqa: RUF012 - one test, one keeper

        def render(self, message: Message) -> None:
            self.ids.append(message.id)

    messaging_bus.set_renderer(Keeper())
    try:
        cs.dry_run(load())
    finally:
        messaging_bus.set_renderer(None)
    assert Keeper.ids == ["plan.title", "plan.head", "plan.row"]
    assert capsys.readouterr().out == ""


def test_a_long_chain_is_previewed() -> None:
    """No recursion, and nothing quadratic."""
    last = load()
    for _ in range(5_000):
        last = load(last)
    start = time.perf_counter()
    plan = preview(last)
    assert time.perf_counter() - start < 2
    assert len(plan.path) == 5_001
    assert len(str(plan).splitlines()[-1]) < 200


@pytest.mark.slow
@pytest.mark.kernel
def test_a_notebook_shows_it_once() -> None:
    """As the last expression, or bound to a name: one HTML table in the cell; shown again where it is asked for."""
    manager, client = start_new_kernel()
    try:
        client.execute_interactive(
            "import cascade as cs\n@cs.task\ndef f(): return 1", timeout=60, output_hook=lambda message: None
        )
        for code, count in (("cs.dry_run(f())", 1), ("plan = cs.dry_run(f())", 1), ("plan", 1), ("plan.order", 0)):
            outputs: list[Any] = []
            client.execute_interactive(code, timeout=60, output_hook=outputs.append)
            shown = [json.dumps(m["content"]["data"]) for m in outputs if "data" in m["content"]]
            texts = [m for m in outputs if m["msg_type"] == "stream"]
            assert sum("<table>" in html for html in shown) == count, code
            assert not texts
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
