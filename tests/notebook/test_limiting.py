"""`%cascade limit` in a real kernel: what it sets acts, what it lifts is gone, mistakes are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(120)]

HELD = """
import threading
gate, lock, running, peak = threading.Event(), threading.Lock(), [], []

@cs.task
def held(x):
    with lock:
        running.append(x)
        peak.append(len(running))
    gate.wait(30)
    with lock:
        running.remove(x)
    return x
"""


def begin(kernel: Kernel) -> int:
    """Start six items that wait at a gate, paused, and return the number of the run."""
    assert kernel.run(HELD).ok
    assert kernel.run("%%cascade --bg --step\nheld.map(x=range(6))", "c1").ok
    assert kernel.run("wait_until(lambda: session().latest().run.ready)").ok
    return int(kernel.value("session().latest().number"))


def end(kernel: Kernel) -> None:
    assert kernel.run("gate.set(); session().latest().run.wait(20)").value == "True"


def test_a_limit_holds_in_the_middle_of_a_run(kernel: Kernel) -> None:
    """With a limit of two, never more than two items run at once; the run says so, and all are done in the end."""
    number = begin(kernel)
    assert kernel.run("%cascade limit 2 held").value == f"Run {number}: not more than 2 of 'held' at once."
    assert kernel.run("%cascade resume").ok
    assert kernel.run("wait_until(lambda: len(running) == 2)").ok
    assert kernel.run("%cascade limit").value == f"Run {number}: not more than 2 of 'held' at once."
    end(kernel)
    assert kernel.value("max(peak)") == 2
    assert kernel.run("%cascade limit 1").value == f"Run {number} is over: completed."


def test_off_lifts_what_is_in_force(kernel: Kernel) -> None:
    """After `off`, more run than the limit let; a second `off` has nothing to lift; a new limit replaces an old one."""
    number = begin(kernel)
    assert kernel.run("%cascade limit 1 'he*'").ok
    assert kernel.run("%cascade limit 2 'he*'").ok
    assert kernel.run("%cascade limit").value == f"Run {number}: not more than 2 of 'he*' at once."
    assert kernel.run("%cascade limit 10/m").value == f"Run {number}: not more than 10/m may start."
    assert kernel.run("%cascade limit off 'he*'").value == f"Run {number}: lifted (not more than 2 of 'he*' at once)."
    assert kernel.run("%cascade limit off").value == f"Run {number}: lifted (not more than 10/m may start)."
    assert "nothing to lift" in kernel.run("%cascade limit off").value
    assert kernel.run("%cascade resume").ok
    assert kernel.run("wait_until(lambda: len(running) > 2)").ok
    end(kernel)
    assert kernel.value("max(peak)") > 2


def test_mistakes_are_told(kernel: Kernel) -> None:
    """A task that is not there, nonsense and zero are refused with what is right; nothing is set."""
    number = begin(kernel)
    assert f"Run {number} has no task 'hedl'. Did you mean 'held'?" in kernel.run("%cascade limit 1 hedl").error
    assert "'many' is no limit. %cascade limit takes" in kernel.run("%cascade limit many").error
    assert "%cascade pause starts nothing more" in kernel.run("%cascade limit 0").error
    assert "There is no run 99" in kernel.run("%cascade limit 1 held 99").error
    assert kernel.run("%cascade limit").value == f"Run {number} has no limits."
    assert kernel.run("%cascade resume").ok
    end(kernel)
