"""`.ci/run` decides whether a change is accepted: with steps of its own here, whose ends the test chooses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("format", "lint", "types", "environment", "frontend", "tests")
SUMMARY = "==== 7 passed in 1.00s ===="
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="CI is a script for bash"),
]
# As the real one: what it says is shown, the summary of the tests is kept instead, and its code is left in a file.
STEP = f"""#!/usr/bin/env bash
[ "$1" = --list ] && echo "{" ".join(STEPS)}" && exit 0
mkdir -p build/ci
[ "$1" = tests ] && echo "{SUMMARY}" >build/ci/tests.log
echo "$1 says hello"
echo "$1" >>ran
[ "$1" = "${{HANG:-}}" ] && echo $$ >pid && echo "it hangs" && exec sleep 100
code=0
[ "$1" = "${{BAD:-}}" ] && code=3
echo $code >"build/ci/$1.code"
exit $code
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the real `.ci/run` and `ci.py`, and steps that take no time."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    shutil.copy(ROOT / "ci.py", tmp_path)
    write(tmp_path / ".ci" / "step", STEP)
    write(tmp_path / ".venv" / "bin" / "python", f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n')
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(checkout: Path, bad: str = "") -> tuple[int, list[str], list[str]]:
    """The exit code, what was said, and the steps that ran, of a run in which one of them may fail."""
    done = subprocess.run(
        [checkout / ".ci" / "run"], cwd=checkout, env={**os.environ, "BAD": bad},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=100,
    )  # fmt: skip
    ran = checkout / "ran"
    return done.returncode, done.stdout.splitlines(), ran.read_text().split() if ran.exists() else []


def test_all_is_well(checkout: Path) -> None:
    """Every step runs once, the tests last; their summary is the last line; the report and the journal are there."""
    code, said, ran = run(checkout)
    assert code == 0, said
    assert said[-1] == SUMMARY
    assert ran[0] == "install"
    assert (sorted(ran[1:]), ran[-1]) == (sorted(STEPS), "tests")
    assert "lint says hello" in said
    page = (checkout / "build" / "ci-report.html").read_text(encoding="utf-8")
    assert "frontend passed" in page
    journal = (checkout / "build" / "ci-journal.jsonl").read_text(encoding="utf-8")
    assert '"status":"completed"' in journal.splitlines()[-1]


@pytest.mark.parametrize("bad", ["lint", "tests", "install"])
def test_a_step_that_fails_fails_the_whole_and_stops_nothing(checkout: Path, bad: str) -> None:
    """The other steps run all the same, the failure is named, and the last line is the summary of the tests."""
    code, said, ran = run(checkout, bad)
    assert code == 1
    assert sorted(ran[1:]) == sorted(STEPS)
    assert said[-1] == SUMMARY
    assert said[-2].startswith("== this run FAILED:")
    assert f" {bad};" in said[-2]
    page = (checkout / "build" / "ci-report.html").read_text(encoding="utf-8")
    assert (f"{bad} says hello" in page) is (bad in STEPS)  # the report has the end of what it said


def test_a_cascade_that_cannot_be_imported(checkout: Path) -> None:
    """The steps run without it; the whole has failed, although each of them passed."""
    write(checkout / "cascade" / "__init__.py", "raise RuntimeError('broken')\n")
    code, said, ran = run(checkout)
    assert code == 1
    assert ran == ["install", *STEPS]
    assert said[-2:] == [
        "== this run FAILED: cascade cannot be imported; the log of each step is in build/ci", SUMMARY,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "workflow",
    [
        "raise SystemExit(0)",
        "raise RuntimeError('broken')",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import subprocess; subprocess.run(['.ci/step', 'lint']); raise SystemExit(0)",
    ],
)
def test_a_workflow_that_does_not_do_its_work_is_found_out(checkout: Path, workflow: str) -> None:
    """Whatever it says of itself: steps that left no code run without it, each once, and the whole has failed."""
    (checkout / "ci.py").write_text(workflow)
    code, said, ran = run(checkout)
    assert code == 1
    assert sorted(ran[1:]) == sorted(STEPS)
    assert "the workflow did not bring 'tests' to its end;" in said[-2]
    assert said[-1] == SUMMARY


def test_what_was_left_before_does_not_count(checkout: Path) -> None:
    """Codes and reports of an earlier run are taken away first."""
    assert run(checkout)[0] == 0
    (checkout / "ci.py").write_text("raise SystemExit(0)")
    code, said, _ = run(checkout)
    assert code == 1
    assert "left no report" in said[-2]


def test_who_stops_it_stops_the_steps(checkout: Path) -> None:
    """SIGTERM ends the workflow with its own code, and the step that was running with it."""
    process = subprocess.Popen(
        [checkout / ".venv" / "bin" / "python", "ci.py"], cwd=checkout, env={**os.environ, "HANG": "lint"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert any("it hangs" in line for line in process.stdout)
        process.terminate()
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int((checkout / "pid").read_text()), 0)


def test_the_real_steps_are_those_of_the_workflow() -> None:
    """`.ci/step --list` names what ci.py runs, in its order, and a name that is none is an error."""
    found = subprocess.run([ROOT / ".ci" / "step", "--list"], capture_output=True, text=True, check=True)
    assert tuple(found.stdout.split()) == STEPS
    source = (ROOT / "ci.py").read_text(encoding="utf-8")
    assert str(STEPS[:-1]).replace("'", '"') in source
