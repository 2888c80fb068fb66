"""What a notebook shows of a simulation, and `%cascade simulate` in a real kernel."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

import cascade as cs
from cascade.notebook.document import DOCUMENT_LIMIT, MIME
from cascade.notebook.simulating import MOST_DRAWN, simulation_bundle
from cascade.tools.simulate import simulate

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel


@cs.task
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


def four() -> Any:
    """Four for two gpus, and what reads them."""
    return step(*[step(i).named(f"fit{i}").with_constraints(gpu=1) for i in range(4)]).named("best")


@pytest.mark.slow
def test_it_is_shown_as_the_card_of_a_run() -> None:
    """Lanes of the capacity, who waits, the end; it says that it is simulated, and what it takes for granted."""
    made = simulate(four(), {"step": 2.0}, {"gpu": 2}, cache=False)
    bundle, _ = simulation_bundle(made)
    document = bundle[MIME]
    assert (document["run"]["name"], document["run"]["simulated"]) == ("best", True)
    picture = b64decode(bundle["text/html"].split("base64,")[1].split('"')[0]).decode()
    assert "simulated · 6.0 s" in picture
    assert "best: simulated in 6.0 s" in bundle["text/html"]
    assert "done · 6.0 s" not in picture
    assert bundle["text/plain"].startswith("best, simulated: 5 nodes in 6.00 s")
    assert (document["run"]["state"], document["run"]["elapsed"]) == ("completed", made.makespan)
    rows = {row["id"]: row["label"] for row in document["lanes"]["rows"]}
    held = [(rows[bar["row"]], bar["label"], bar["t0"], bar["t1"]) for bar in document["lanes"]["bars"]]
    assert ("gpu 1", "fit0", 0, 2.0) in held
    assert ("gpu 2", "fit3", 2.0, 4.0) in held
    assert any(bar["s"] == "wait" and "fit2" in bar["label"] for bar in document["lanes"]["bars"])
    assert "no order is faster" in bundle["text/html"]
    assert bundle["text/plain"] == str(made)


@pytest.mark.slow
def test_the_card_of_a_large_graph_is_no_larger() -> None:
    """Some thousand nodes fold; beyond the bound there is the chart alone, which has the same size for any graph."""
    large = simulate([step(i) for i in range(3000)], workers=8, cache=False)
    bundle, _ = simulation_bundle(large)
    assert len(json.dumps(bundle[MIME])) <= DOCUMENT_LIMIT
    huge = simulate(step.map(range(MOST_DRAWN + 1)), workers=8, cache=False)
    bundle, _ = simulation_bundle(huge)
    assert set(bundle) == {"text/plain", "text/html"}
    assert len(bundle["text/html"]) < 5000


@pytest.mark.kernel
@pytest.mark.slow
def test_the_command_shows_a_simulation_or_a_curve(kernel: Kernel) -> None:
    """With capacities and workers as a run would have them; with a range, the knee; wrong words are one line."""
    code = "@cs.task\ndef sim_fit(i): return i\nsim_all = [sim_fit(i).with_constraints(gpu=1) for i in range(6)]\n"
    assert kernel.run(code).ok
    shown = kernel.run("%cascade simulate sim_all -r gpu=2")
    assert shown.document["run"]["simulated"]
    assert shown.document["run"]["elapsed"] == 3.0
    curve = kernel.run("%cascade simulate sim_all --workers 1-6")
    assert "◀ knee" in curve.bundle["text/plain"]
    assert kernel.run("%cascade simulate sim_all --workers=3").document["run"]["elapsed"] == 2.0
    for line, told in [
        ("%cascade simulate", "takes a target"),
        ("%cascade simulate sim_all --workers 6-1", "takes a number, or a range"),
        ("%cascade simulate sim_all --worker 6", "no option --worker of %cascade simulate. Did you mean '--workers'?"),
        ("%cascade plan sim_all --resuorce gpu=1", "no option --resuorce of %cascade plan. Did you mean '--resource'?"),
    ]:
        failed = kernel.run(line)
        assert not failed.ok
        assert told in failed.error


@pytest.mark.kernel
@pytest.mark.slow
def test_what_is_wrong_with_a_target_is_told_shortly(kernel: Kernel) -> None:
    """A capacity that nobody named is a sentence under a line command too, without frames of the kit."""
    assert kernel.run("@cs.task\ndef wide(i): return i\nwide_one = wide(1).with_constraints(gpu=1)\n").ok
    failed = kernel.run("%cascade plan wide_one")
    assert not failed.ok
    assert "Task 'wide' asks for 'gpu'" in failed.error
    assert "Traceback" not in failed.error
    assert "magics.py" not in failed.error
