"""The project's own CI as a workflow: `.ci/run` calls it, and so may you, with `.venv/bin/python ci.py`.

In: the steps of `.ci/step`. Out: their output while they run, build/ci-report.html with graph, lanes and log, the
journal build/ci-journal.jsonl beside it, and an exit code: 0 when every step passed. Invariant: every step runs,
whatever the others say; the checks share two cores, and the tests, which take both, come last.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from pathlib import Path
from typing import Any, Final

import cascade as cs
from cascade.adapters.sinks.journal import JournalSink

ROOT: Final = Path(__file__).resolve().parent
REPORT: Final = ROOT / "build" / "ci-report.html"
JOURNAL: Final = ROOT / "build" / "ci-journal.jsonl"
CHECKS: Final = ("format", "lint", "types", "environment", "frontend")
LINES: Final = 30  # of what a step said that stand in the report, if it failed
STOPPED: Final = 143  # the code of what SIGTERM has ended
LONGEST: Final = 3 * 3600.0  # seconds; what hangs longer says where, and ends


class StepError(Exception):
    """A step did not pass."""


@cs.task(mode="inline")
def passed(name: str, made: Any) -> str:
    """Fail where a step has ended with another code than 0; the step itself never fails, so that nothing is skipped."""
    if made.code:
        end = "\n".join(made.stdout.splitlines()[-LINES:])
        raise StepError(
            f"'{name}' ended with code {made.code}; build/ci/{name}.log has all that it said. The end:\n{end}"
        )
    return name


def step(name: str) -> Any:
    """Record a step."""
    return cs.shell([str(ROOT / ".ci" / "step"), name], cwd=str(ROOT), check=False).named(name)


def workflow() -> Any:
    """Return the target: the verdict on each step."""
    checks = {name: step(name).with_constraints(core=1) for name in CHECKS}
    tests = step("tests").with_constraints(core=2).after(*checks.values())
    return {name: passed(name, made).named(f"{name} passed") for name, made in {**checks, "tests": tests}.items()}


def main() -> int:
    """Run the workflow and write its report; return the exit code."""
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # then the steps are ended, too
    REPORT.parent.mkdir(exist_ok=True)
    JOURNAL.unlink(missing_ok=True)
    run = cs.start(
        workflow(), system_resources={"core": 2}, subscribers=[JournalSink(JOURNAL)], on_failure="continue", name="ci"
    )
    try:
        error = run.exception()
    finally:
        run.cancel("interrupted")  # does nothing to a run that is over
        run.wait(10)
    run.report(REPORT)
    return 1 if error is not None else 0


if __name__ == "__main__":
    sys.exit(main())
