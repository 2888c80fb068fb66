"""Budgets are judged and shown as they were promised."""

from __future__ import annotations

from benchmarks.budgets import BUDGETS, judge
from benchmarks.runner import ENGINES, Report
from benchmarks.table import EXTRA_ROWS, number, table
from benchmarks.workloads import BY_NAME


def kept(row: str, **medians: float) -> list[tuple[str, bool]]:
    """The verdicts on one row."""
    return [(verdict.rule, verdict.is_kept) for verdict in judge(row, {row: medians})]


def test_limit_and_ratios() -> None:
    """A row is judged by its own limit and against each peer that was measured."""
    assert kept("chain", cascade=3.0, asyncio=2.9, dask=24.0) == [
        ("≤ 6", True),
        ("≤ 1.2x asyncio", True),
        ("≥ 5x faster than dask", True),
    ]
    assert kept("chain", cascade=7.0, asyncio=2.9, dask=24.0) == [
        ("≤ 6", False),
        ("≤ 1.2x asyncio", False),
        ("≥ 5x faster than dask", False),
    ]


def test_a_missing_peer_judges_nothing() -> None:
    """Without a peer's number there is no verdict against it; without our own there is none at all."""
    assert kept("map", cascade=1.0) == [("≤ 1.5", True)]
    assert kept("map", pipefunc=20.0) == []


def test_growth_is_judged_against_the_small_graph() -> None:
    """The cost per task at 100,000 is compared with our own at 1,000."""
    medians = {"growth_1k": {"cascade": 5.0}, "growth_100k": {"cascade": 8.0}}
    assert [verdict.measured for verdict in judge("growth_100k", medians)] == ["8", "1.60x"]


def test_budgets_name_rows_and_engines() -> None:
    """Every budget belongs to a row of the table, every ratio to an engine or import that is measured."""
    assert set(BUDGETS) <= {*BY_NAME, *EXTRA_ROWS}
    assert {ratio.engine for budget in BUDGETS.values() for ratio in budget.ratios} <= {*ENGINES, "doit"}


def test_table_says_what_is_missing_and_where_it_was_measured() -> None:
    """A number stands with its ratio to ours; a peer that failed says how, one measured at another size has a star."""
    report = Report()
    report.add("chain", "cascade", [3.0, 2.0, 4.0])
    report.add("chain", "pipefunc", [6000.0])
    report.sizes["chain"] = {"pipefunc": 200}
    report.missing["chain"] = {"hamilton": "RecursionError", "joblib": "absent"}
    text = table(report)
    assert "6,000* (2,000x)" in text
    assert "RecursionError" in text
    assert "joblib" not in text
    assert "pipefunc was measured at 200 tasks" in text
    assert "≤ 6: 3" in text


def test_numbers_are_short() -> None:
    """Three digits, thousands apart."""
    assert [number(value) for value in (0.0475, 3.14159, 99.94, 1234.5)] == ["0.0475", "3.14", "99.9", "1,234"]
