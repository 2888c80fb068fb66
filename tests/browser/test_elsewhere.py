"""`%cascade attach ADDRESS`: a run of another process as a live card in a real JupyterLab."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

ENGINE = """
import sys, threading
import cascade as cs

@cs.task
def load(n):
    return list(range(n))

@cs.task
def fit(x):
    sys.stdin.readline()
    return x

@cs.task
def total(xs):
    return sum(xs)

run = cs.start(total(fit.map(x=load(3)).with_constraints(gpu=1)), None, {"gpu": 1}, log_level=None, connector="local",
               name="night run")
print(run.run_id, flush=True)
print(run.exception(150), flush=True)
"""
SETUP = """
import os
os.environ["CASCADE_RUNTIME_DIR"] = {folder!r}
import cascade as cs
%load_ext cascade
"""


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime folder with a short path, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="cs") as folder:
        yield Path(folder) / "r"


@pytest.fixture
def engine(runtime: Path) -> Iterator[Any]:
    """A run in a process of its own; each line on its stdin lets one item end."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CASCADE_RUNTIME_DIR": str(runtime)},
    )
    yield process
    process.kill()
    process.communicate()


def test_a_run_elsewhere_is_a_live_card(lab: Any, engine: Any, runtime: Path) -> None:
    """The card follows the run, its button steers it, and when the run ends the picture stays without a widget."""
    run_id = engine.stdout.readline().strip()
    name = lab.server.write("elsewhere.ipynb", [SETUP.format(folder=str(runtime)), f"%cascade attach local {run_id}"])
    lab.open(name)
    lab.run_all()
    lab.page.wait_for_selector(".cascade-view.cascade-is-live .cascade-node", timeout=60_000)
    lab.page.wait_for_function(
        "() => [...document.querySelectorAll('.cascade-view .cascade-node')].length === 3", timeout=30_000
    )
    lab.picture("elsewhere-live", lab.page.locator(".cascade-view").first)
    for _ in range(3):
        engine.stdin.write("go\n")
    engine.stdin.flush()
    lab.page.wait_for_selector(".cascade-view:not(.cascade-is-live) .cascade-node", timeout=60_000)
    lab.picture("elsewhere-ended", lab.page.locator(".cascade-view").first)
    assert engine.stdout.readline().strip() == "None"
    assert not lab.errors
