"""Jobs and runs in a real kernel: two numberings, each with its word, and each told where the other was meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@pytest.fixture(scope="module")
def shifted(kernel: Kernel) -> Kernel:
    """A kernel in which job 2 is run 4: the store has two runs of an earlier session, and job 1 stored nothing."""
    code = "import cascade as cs\n@cs.task(pure=True)\ndef num(x):\n    return x\nfor n in (1, 2, 3):\n    "
    assert kernel.run(f"{code}cs.run(num(n), cache='.cascade', log_level=None)").ok
    assert kernel.run("%%cascade --no-store\nnum(1)").ok
    assert kernel.run("%%cascade\nnum(7)").ok
    return kernel


def test_a_job_says_its_run(shifted: Kernel) -> None:
    """The list of jobs, and every answer about one, tell the number that the store gave its run."""
    first, second = shifted.run("%cascade jobs").value.splitlines()
    assert first.startswith("job 1  ")
    assert second.startswith("job 2 (run 4)  ")
    assert shifted.run("%cascade cancel 1").value == "Job 1 is over: completed."
    assert shifted.run("%cascade pause 2").value == "Job 2 (run 4) is over: completed."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cancel 4", "There is no job 4; the jobs are: 1, 2. Run 4 is job 2."),
        ("cancel 3", "There is no job 3; the jobs are: 1, 2. Run 3 is in the store, and no job of this session"),
        ("cancel 99", "There is no job 99; the jobs are: 1, 2."),
        ("cancel run 3", "Run 3 is no job of this session. %cascade jobs lists them."),
        ("attach two", "'two' is neither the number of a job (%cascade jobs lists them) nor an address"),
        ("why num job 1", "Job 1 is not in the store, and only runs in the store can be asked about."),
        ("why num job 9", "There is no job 9. %cascade jobs lists them."),
        ("diff 1 9", "There is no run 9 in this store"),
    ],
)
def test_a_number_of_the_other_kind_is_told(shifted: Kernel, line: str, told: str) -> None:
    """What is a number of the other numbering is said to be one; what is none, only not to be there."""
    assert told in shifted.run(f"%cascade {line}").error


def test_a_job_that_is_asked_for_as_a_run_is_told(shifted: Kernel) -> None:
    """A number that only a job has leads to the number of its run."""
    for _ in range(4):
        assert shifted.run("%%cascade --no-store\nnum(1)").ok
    assert "Job 5 is not in the store." in shifted.run("%cascade diff 1 5").error
    assert shifted.run("%cascade jobs").value.splitlines()[-1].startswith("job 6  ")


def test_either_word_may_stand_before_its_number(shifted: Kernel) -> None:
    """`run 4` is a job where a job is wanted, and `job 2` a run where a run is."""
    assert shifted.run("%cascade cancel run 4").value == "Job 2 (run 4) is over: completed."
    assert shifted.run("%cascade status job 2").value == shifted.run("%cascade status 2").value
    assert shifted.run("%cascade peek num run 4").ok
    assert shifted.run("%cascade why num job 2").value == shifted.run("%cascade why num 4").value
    assert shifted.run("%cascade diff 3 job 2").value.startswith("run 3 → run 4: ")
    assert shifted.run("%cascade limit 1 num job 2").value == "Job 2 (run 4) is over: completed."


def test_the_help_says_which_number_is_meant(shifted: Kernel) -> None:
    """Each command that takes a number names its kind, and the list tells what the two are."""
    told = shifted.run("%cascade help").value
    assert "%cascade cancel   [JOB]" in told
    assert "%cascade diff     RUN RUN" in told
    assert "JOB is a number of %cascade jobs" in told
    assert "RUN is a number of %cascade runs" in told
    assert "[N]" not in told


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory):
    """A kernel of its own: the numbers begin with 1."""
    if sys.platform == "win32":
        pytest.skip("kernels are tested where signals are")
    from tests.notebook.kernel import Kernel

    made = Kernel(tmp_path_factory.mktemp("numbers"))
    assert made.run("%load_ext cascade").ok
    yield made
    made.stop()
