from __future__ import annotations

from typing import Any

import pytest

import cascade as cs


@cs.task
def step(x: Any = None) -> Any:
    """Stand for any task."""
    return x


def test_a_sequence_waits_without_taking_values() -> None:
    """Each step is after the one before; the last is what is returned."""
    a, b, c = step(1), step(2), step(3)
    last = cs.sequence(a, b, c)
    assert last._args == (3,)
    (before,) = last._options.after
    assert before._args == (2,)
    assert before._options.after == (a,)
    assert cs.sequence(a) is a


@pytest.mark.parametrize(("steps", "error"), [((), ValueError), ((1,), TypeError), ((step,), TypeError)])
def test_wrong_sequences(steps: Any, error: type[Exception]) -> None:
    """Nothing, or something that is not lazy, says what is needed."""
    with pytest.raises(error, match=r"cs\.sequence (needs|takes)"):
        cs.sequence(*steps)


def test_a_pipeline_passes_on() -> None:
    """Each task takes what the one before gives; no task gives the value itself."""
    made = cs.pipeline(1, step, step)
    assert made._args[0]._args == (1,)
    assert cs.pipeline(5) == 5
