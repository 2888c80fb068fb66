"""`%cascade limit` in a real kernel: what it sets acts, what it lifts is gone, mistakes are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.notebook.kernel import DOCUMENT

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


def begin(kernel: Kernel) -> str:
    """Start six items that wait at a gate, paused, and return what the job is called."""
    assert kernel.run(HELD).ok
    assert kernel.run("%%cascade --bg --step\nheld.map(x=range(6))", "c1").ok
    assert kernel.run("wait_until(lambda: session().latest().run.ready)").ok
    return str(kernel.value("session().latest().title"))


def end(kernel: Kernel) -> None:
    assert kernel.run("gate.set(); session().latest().run.wait(20)").value == "True"


def test_a_limit_holds_in_the_middle_of_a_run(kernel: Kernel) -> None:
    """With a limit of two, never more than two items run at once; the run says so, and all are done in the end."""
    job = begin(kernel)
    assert kernel.run("%cascade limit 2 held").value == f"{job}: not more than 2 of 'held' at once."
    assert kernel.run("%cascade resume").ok
    assert kernel.run("wait_until(lambda: len(running) == 2)").ok
    assert kernel.run("%cascade limit").value == f"{job}: not more than 2 of 'held' at once."
    end(kernel)
    assert kernel.value("max(peak)") == 2
    assert kernel.run("%cascade limit 1").value == f"{job} is over: completed."


def test_off_lifts_what_is_in_force(kernel: Kernel) -> None:
    """After `off`, more run than the limit let; a second `off` has nothing to lift; a new limit replaces an old one."""
    job = begin(kernel)
    assert kernel.run("%cascade limit 1 'he*'").ok
    assert kernel.run("%cascade limit 2 'he*'").ok
    assert kernel.run("%cascade limit").value == f"{job}: not more than 2 of 'he*' at once."
    assert kernel.run("%cascade limit 10/m").value == f"{job}: not more than 10/m may start."
    assert kernel.run("%cascade limit off 'he*'").value == f"{job}: lifted (not more than 2 of 'he*' at once)."
    assert kernel.run("%cascade limit off").value == f"{job}: lifted (not more than 10/m may start)."
    assert "nothing to lift" in kernel.run("%cascade limit off").value
    assert kernel.run("%cascade resume").ok
    assert kernel.run("wait_until(lambda: len(running) > 2)").ok
    end(kernel)
    assert kernel.value("max(peak)") > 2


def test_mistakes_are_told(kernel: Kernel) -> None:
    """A task that is not there, nonsense and zero are refused with what is right; nothing is set."""
    job = begin(kernel)
    assert f"{job} has no task 'hedl'. Did you mean 'held'?" in kernel.run("%cascade limit 1 hedl").error
    assert "'many' is no limit. %cascade limit takes" in kernel.run("%cascade limit many").error
    assert "%cascade pause starts nothing more" in kernel.run("%cascade limit 0").error
    assert "There is no job 99" in kernel.run("%cascade limit 1 held 99").error
    assert kernel.run("%cascade limit").value == f"{job} has no limits."
    assert kernel.run("%cascade resume").ok
    end(kernel)


def test_what_a_limit_holds_says_so(kernel: Kernel) -> None:
    """The node's reason and the lanes name the limit and not the capacity; lifted, the capacity is named again."""
    assert kernel.run(HELD).ok
    background = kernel.run("%%cascade --bg --step -r desk=3\nheld.map(x=range(6)).with_constraints(desk=1)", "c2")
    assert kernel.run("wait_until(lambda: session().latest().run.ready)").ok
    assert kernel.run("%cascade limit 1 held").ok
    assert kernel.run("%cascade resume").ok
    assert kernel.run("wait_until(lambda: len(running) == 1)").ok
    told = "a limit is in force: not more than 1 of 'held' at once"
    kernel.until(lambda: told in kernel.run("%cascade status").value, 10)
    assert "lift it: %cascade limit off " in kernel.run("%cascade doctor").value
    assert kernel.run("%cascade limit off held").ok
    kernel.until(lambda: "waits for desk, held by held[" in kernel.run("%cascade status").value, 10)
    end(kernel)
    kernel.until(lambda: "lanes" in background.bundle.get(DOCUMENT, {}))
    labels = [bar["label"] for bar in background.document["lanes"]["bars"] if bar["s"] == "wait"]
    assert labels == ["held ×5 ← limit: not more than 1 of 'held' at once", "held ×3 ← desk"]


def test_the_words_of_the_command_line_are_understood(kernel: Kernel) -> None:
    """`--concurrency 1` is an amount and no job; a rate, a scope and a time may be said, and what is wrong is told."""
    job = begin(kernel)
    number = kernel.value("session().latest().number")
    assert kernel.run("%cascade limit --concurrency 1").value == f"{job}: not more than 1 at once."
    assert (
        kernel.run(f"%cascade limit --concurrency=2 held {number}").value
        == f"{job}: not more than 2 of 'held' at once."
    )
    told = kernel.run("%cascade limit --rate 10/m --scope 'task:he*' --ttl 30m").value
    assert told == f"{job}: not more than 10/m of 'he*' may start, for 30m."
    assert kernel.run("%cascade limit --clear --scope task:held").value.startswith(f"{job}: lifted (not more than 2 of")
    assert kernel.run("%cascade limit --clear").value.startswith(f"{job}: lifted (")
    for line, words in {
        "--concurency 1": "Did you mean '--concurrency'?",
        "--concurrency 10/m": "Write --rate 10/m.",
        "--concurrency 1 --rate 10/m": "Give one of",
        "--concurrency 1 --ttl soon": "--ttl takes a time such as",
        "--concurrency 1 --scope held": "Write --scope 'task:held'.",
        "--concurrency 1 held --scope task:held": "named twice",
        "--concurrency 0": "%cascade pause starts nothing more",
        "--concurrency": "expected one argument",
        "--ttl 3m": "belong to a limit",
    }.items():
        assert words in kernel.run(f"%cascade limit {line}").error
    assert kernel.run(f"%cascade limit job {number}").value == f"{job} has no limits."
    assert kernel.run("%cascade resume").ok
    end(kernel)
