from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.solvers import search
from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.solvers.optimal import OptimalSolver
from cascade.graph.build import build
from cascade.interfaces.exceptions import CapacityError, NotLazyError, SettingError
from cascade.notebook.document import MIME
from cascade.tools.simulate import simulate
from cascade.tools.simulate_show import MOST_SHOWN


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Loading OR-Tools takes a second, which would count for the first test that searches."""
    search.load()


@cs.task
def load(*needs: Any) -> Any:
    """Stand for any task."""
    return needs


def three() -> list[Any]:
    """Work for two cpus, of which the longest piece is the last to be written."""
    return [load().named(name).with_constraints(cpu=1) for name in ("one", "two", "three")]


SECONDS = {"one": 1, "two": 1, "three": 2}


def test_it_tells_when_everything_would_run() -> None:
    """A bar for each node in the order of the starts, black where the length is decided, and what was in use."""
    made = simulate(three(), SECONDS, {"cpu": 2})
    assert str(made).splitlines() == [
        "one and 2 more, simulated: 3 nodes in 3.00 s, within cpu 2",
        "node    start     end",
        "one       0 s  1.00 s  ██████████████",
        "two       0 s  1.00 s  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒",
        "three  1.00 s  3.00 s               ███████████████████████████",
        "decided by: one, three",
        "in use on average: cpu 67%",
        "no order is faster than 2.00 s",
    ]
    assert made.makespan == 3.0
    assert made.utilisation == {"cpu": pytest.approx(2 / 3)}
    assert made.critical_path == ("one", "three")
    assert repr(made) == "<simulation of 'one and 2 more': 3.00 s>"


def test_nothing_runs() -> None:
    """Looking at a plan has no effects, whatever the tasks are; inline ones go one after the other, as in a run."""
    ran: list[int] = []

    @cs.task(mode="inline")
    def work(x: int) -> None:
        ran.append(x)

    assert simulate([work(1), work(2)]).makespan == 2.0
    assert not ran


def test_another_solver_makes_another_plan() -> None:
    """It is asked with the capacities, and its bound tells how good the plan is."""
    made = simulate(three(), system_resources={"cpu": 2}, solver=OptimalSolver(SECONDS))
    assert made.makespan == 2.0
    assert str(made).splitlines()[-1] == "no order is faster"
    assert made.plan.rank != NativeSolver().solve(made.graph).rank


def test_a_solver_without_durations_plans_with_these() -> None:
    """One that knows nothing is told; one that has durations of its own keeps them, and they are the default here."""
    blank, own = OptimalSolver(), OptimalSolver({"one": 9})
    assert simulate(three(), SECONDS, {"cpu": 2}, blank).makespan == 2.0
    assert blank.durations is None
    assert simulate(three(), None, {"cpu": 2}, own).makespan == 9.0
    made = simulate(three(), SECONDS, {"cpu": 2}, own)
    assert made.makespan == 3.0
    assert made.remarks == ("no order is faster than 2.00 s",)


def test_the_solvers_limit_holds() -> None:
    """A plan for so many workers is shown with so many."""
    made = simulate(three(), SECONDS, {"cpu": 2}, OptimalSolver(SECONDS, max_parallel=1))
    assert made.makespan == 4.0
    assert len(made.critical_path) == 3


def test_a_solver_that_knows_no_capacities_can_be_asked_without() -> None:
    """Solvers written before there were capacities still serve where none are given."""

    class Old:
        def solve(self, graph: Any) -> Any:
            return NativeSolver().solve(graph)

    assert simulate(three(), SECONDS, solver=Old()).makespan == 2.0  # type: ignore[arg-type]


def test_it_says_what_the_numbers_leave_out() -> None:
    """Unknown durations, capacities not given, amounts that only the run knows, a search that was not made."""
    target = [*three(), load().with_constraints(cpu=load())]
    assert simulate(target).remarks == (
        "no durations are known: each node counts as 1.00 s",
        "no system_resources are given: amounts do not count",
        "no order is faster",
    )
    assert "1 of 4 amounts are known only in the run: they count as 0" in simulate(target, None, {"cpu": 1}).remarks
    small = OptimalSolver(SECONDS, max_nodes=1)
    assert simulate(three(), None, {"cpu": 2}, small).remarks == (
        "no order is faster than 2.00 s",
        "3 nodes are more than max_nodes=1: no search was made.",
    )


def test_what_stops_a_run_stops_the_simulation() -> None:
    """The same errors as a run's, and names of durations with the nearest."""
    with pytest.raises(NotLazyError):
        simulate([1, 2])
    with pytest.raises(CapacityError, match=r"asks for 1 of 'cpu' but the capacity is 0\.5"):
        simulate(three(), None, {"cpu": 0.5})
    with pytest.raises(SettingError, match=r"'too'.*Did you mean 'two'"):
        simulate(three(), {"too": 1})


def test_nothing_is_too_short_to_be_seen() -> None:
    """A moment has a mark, a route too, also at the very end; a run without length divides by nothing."""
    way = cs.Router(load().named("ask"), {0: load().named("go")}, name="way")
    lines = str(simulate(way, {"ask": 1e-6, "go": 10})).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["ask", "go", "way"]
    assert lines[2].endswith("  █")
    assert lines[4].endswith(" │")
    assert "  │" in str(simulate(load(), {"load": 0}))


def test_a_notebook_shows_text_in_equal_columns() -> None:
    """The card of a run for the notebook, text for everything else; a graph that was built before serves, too."""
    made = simulate(build(three()), SECONDS)
    bundle, _ = made._repr_mimebundle_()
    assert set(bundle) == {MIME, "text/plain", "text/html"}
    assert bundle["text/plain"] == str(made)
    assert bundle[MIME]["run"]["name"] == "one and 2 more"
    ET.fromstring(bundle["text/html"])


HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\nnext"


def test_hostile_names_stay_text() -> None:
    """No markup in HTML, no escape sequence and no second line on a terminal; wide characters are aligned."""
    made = simulate([load().named(HOSTILE), load().named("读取")])
    text = str(made)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 7
    assert "<img src=x" not in made._repr_mimebundle_()[0]["text/html"]
    hostile, wide = text.splitlines()[2:4]
    assert wide.index("0 s") + len("读取") == hostile.index("0 s")


def test_long_plans_are_cut_in_the_chart_only() -> None:
    """Fifty rows are shown, all are there; a long critical path has its ends."""
    last = load()
    for _ in range(499):
        last = load(last)
    made = simulate(last)
    lines = str(made).splitlines()
    assert len(made.schedule.starts) == len(made.critical_path) == 500
    assert len(lines) == MOST_SHOWN + 6
    assert "… and 450 more; .schedule has them all" in lines
    assert "decided by: load#500, load#499" not in lines
    assert any(line.startswith("decided by: ") and "…" in line and len(line) < 100 for line in lines)
