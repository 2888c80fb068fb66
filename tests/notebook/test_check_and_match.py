"""`export --check` and `verify` compare with the right run: the one whose values the notebook has, in order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cascade.notebook.summary import summarize
from cascade.notebook.verify import _match

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel


def job(number: int, name: str, cell: str = "") -> SimpleNamespace:
    return SimpleNamespace(number=number, cell=cell, run=SimpleNamespace(name=name))


def test_runs_without_cell_ids_are_matched_in_order() -> None:
    """Where no front end tells cells apart, the first of two runs of a name belongs to the first over there."""
    jobs = [job(1, "chart"), job(2, "chart")]
    assert _match(jobs, "a", "chart", later=1) is jobs[0]
    assert _match(jobs[1:], "b", "chart", later=0) is jobs[1]
    assert _match([job(0, "chart"), *jobs], "a", "chart", later=1) is jobs[0]


def test_runs_with_cell_ids_are_matched_by_cell() -> None:
    """The newest run of the cell counts, whatever comes later under the same name."""
    jobs = [job(1, "chart", "a"), job(2, "chart", "a"), job(3, "chart", "b")]
    assert _match(jobs, "a", "chart", later=1) is jobs[1]


def test_a_reason_is_told_once() -> None:
    """In the text of a run, a reason that is too long for its box stands there whole, not in both ways."""
    why = "only 'by_airline' needs it, which was kept from the run before"
    entry = {"s": "skipped", "d": f"{why[:59]}…", "v": "", "why": why}
    document = {
        "run": {"name": "r", "state": "completed", "elapsed": 1.0, "counts": {"skipped": 1}, "message": ""},
        "nodes": {"load": entry}, "picture": {"boxes": [{"id": "load", "name": "load"}]},
        "failure": None, "result": None, "log": [],
    }  # fmt: skip
    assert summarize(document).count("only 'by_airline'") == 1


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_check_uses_the_params_of_the_newest_run(kernel: Kernel) -> None:
    """After a cell further down ran with another Param, the file is run with that one, and nothing differs."""
    assert kernel.run("wide = cs.Param('wide', default=2, type=int)").ok
    assert kernel.run("%%cascade task first --pure\nrows = list(range(10))", "t1").ok
    assert kernel.run("%%cascade task second --pure\npicked = rows[:wide]", "t2").ok
    assert kernel.run("%%cascade task third --pure\ntotal = sum(picked)", "t3").ok
    assert kernel.run("%cascade run third -p wide=4", "t4").ok
    assert kernel.run("import os, tempfile; os.chdir(tempfile.mkdtemp())").ok
    told = kernel.run("%cascade export part.py second --check").value
    assert "second" in told
    assert not any(word in told for word in ("differs", "missing", "fails"))
    assert "same" in told
