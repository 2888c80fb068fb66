"""`python -m benchmarks`: measure, print the table, keep the samples in build/bench.json."""

from __future__ import annotations

import argparse
import json
import sys
import time

from benchmarks.budgets import judge
from benchmarks.runner import ENGINES, ROOT, Report, run
from benchmarks.table import table
from benchmarks.workloads import BY_NAME

SAMPLES = ROOT / "build" / "bench.json"


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure cascade against its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each pair is measured (3)")
    parser.add_argument("--only", nargs="+", choices=[*BY_NAME, "import"], default=[*BY_NAME, "import"], metavar="ROW")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES), metavar="ENGINE")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a budget is exceeded")
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows = [row for row in arguments.only if row in BY_NAME]
    has_imports = "import" in arguments.only
    report = run(rows, arguments.engines, arguments.rounds, tell, with_imports=has_imports)
    tell(f"{time.perf_counter() - started:.0f} s in all")
    print(table(report))
    save(report)
    if arguments.strict and any(
        not verdict.is_kept for row in report.medians for verdict in judge(row, report.medians)
    ):
        raise SystemExit("A budget is exceeded.")


def tell(message: str) -> None:
    """Say how far it is, beside the table."""
    print(f"# {message}", file=sys.stderr, flush=True)


def save(report: Report) -> None:
    """Keep every sample, to compare two states of the project."""
    SAMPLES.parent.mkdir(exist_ok=True)
    SAMPLES.write_text(json.dumps({"samples": report.samples, "missing": report.missing}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
