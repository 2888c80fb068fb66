"""A run with a store may be killed before and after anything that it does: the next one goes on where it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STEPS = ["mkdir", "open", "write", "close", "replace", "unlink", "begin", "execute", "commit", "event"]
# Each is met at least once: before and after each write, rename, commit, event and clean-up.
POINTS = {
    *(f"{step}.before" for step in STEPS), *(f"{step}.after" for step in STEPS),
    "blob.opened", "blob.written", "blob.renamed", "save.before_rows", "index.before_commit", "index.committed",
    "gc.rows_removed", "gc.file_removed", "resource.opening", "resource.closing",
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="only on systems that fork"),
]


def kill_everywhere(folder: Path, tried: str) -> dict[str, int]:
    """Kill runs at their steps; return how many died at each kind of step."""
    command = [sys.executable, "-W", "error", HERE / "crash_points_child.py", folder, tried]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    told = json.loads(answer.stdout)
    assert told["steps"] > 300
    struck: dict[str, int] = told["struck"]
    return struck


def test_killed_at_each_kind_of_step(tmp_path: Path) -> None:
    """Right value, nothing that was stored is computed again, a sound store, no process left, whatever the step."""
    assert set(kill_everywhere(tmp_path, "some")) >= POINTS


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_at_every_step(tmp_path: Path) -> None:
    """The same for every occurrence of every step."""
    struck = kill_everywhere(tmp_path, "all")
    assert set(struck) >= POINTS
    assert sum(struck.values()) > 300
