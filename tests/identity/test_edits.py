from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def keys(seed: str) -> list[list[object]]:
    """The keys of all pairs, made in a fresh process."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        [sys.executable, str(HERE / "edits.py")], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_edits_that_matter_and_edits_that_do_not() -> None:
    """Of 300 pairs over ten kinds of functions, keys differ where the edit matters, in every process and hash seed."""
    found = {seed: keys(seed) for seed in ("0", "1", "random")}
    first = found["0"]
    assert len(first) >= 300
    stale = [(kind, name) for kind, name, matters, old, new in first if matters and old == new]
    spurious = [(kind, name) for kind, name, matters, old, new in first if not matters and old != new]
    assert not stale
    assert not spurious
    assert found["1"] == first
    assert found["random"] == first
