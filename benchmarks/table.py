"""Report → one table: what each row cost under each engine, the budget, and whether it was kept.

In: medians and what is missing. Out: Markdown that reads well on a terminal too. Invariant: a number never stands
without its ratio to cascade, and a missing one says why.
"""

from __future__ import annotations

from benchmarks.budgets import OURS, judge
from benchmarks.runner import ENGINES, Report
from benchmarks.workloads import BY_NAME

UNITS = {"us/task": "µs a task", "ms": "ms", "KiB/task": "KiB a task"}
EXTRA_ROWS = {
    "import": ("import", "ms"),
    "import_modules": ("modules that it loads", "modules"),
    "import_ready": ("import of what runs a task", "ms"),
    "import_ready_modules": ("modules that it loads", "modules"),
}


def table(report: Report) -> str:
    """The whole table."""
    medians = report.medians
    columns = [*ENGINES, *sorted({engine for cells in medians.values() for engine in cells} - ENGINES.keys())]
    rows = [["workload", "unit", OURS, "budget", "ok?", *columns[1:]]]
    for row in [*BY_NAME, *EXTRA_ROWS]:
        if row not in medians and row not in report.missing:
            continue
        cells = medians.get(row, {})
        verdicts = judge(row, medians) if cells else []
        budget = "; ".join(f"{verdict.rule}: {verdict.measured}" for verdict in verdicts)
        said = "" if not verdicts else "ok" if all(verdict.is_kept for verdict in verdicts) else "OVER"
        others = [cell(report, row, engine) for engine in columns[1:]]
        rows.append([title(row), unit(row), cell(report, row, OURS), budget, said, *others])
    return aligned(without_empty_columns(rows)) + footnotes(report)


def title(row: str) -> str:
    """The row's name for people."""
    return BY_NAME[row].title if row in BY_NAME else EXTRA_ROWS[row][0]


def unit(row: str) -> str:
    """What the row's numbers mean."""
    return UNITS[BY_NAME[row].unit] if row in BY_NAME else EXTRA_ROWS[row][1]


def cell(report: Report, row: str, engine: str) -> str:
    """One number, with how many times cascade's it is."""
    medians = report.medians.get(row, {})
    if engine not in medians:
        reason = report.missing.get(row, {}).get(engine, "absent")
        return "" if reason == "absent" else reason
    value = number(medians[engine]) + "*" * (engine in report.sizes.get(row, {}))
    if engine == OURS or not medians.get(OURS):
        return value
    return f"{value} ({number(medians[engine] / medians[OURS])}x)"


def footnotes(report: Report) -> str:
    """What a star means."""
    sizes = {engine: size for cells in report.sizes.values() for engine, size in cells.items()}
    notes = [
        f"{engine} was measured at {size:,} tasks: its cost a task grows with them." for engine, size in sizes.items()
    ]
    return "".join(f"\n\\* {note}" for note in notes)


def number(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    """Leave out engines that nothing was measured with."""
    kept = [place for place in range(len(rows[0])) if any(row[place] for row in rows[1:])]
    return [[row[place] for place in kept] for row in rows]


def aligned(rows: list[list[str]]) -> str:
    """Pad the cells and draw the lines of a Markdown table."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
