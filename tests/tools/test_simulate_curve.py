from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.interfaces.exceptions import SettingError
from cascade.tools.simulate import simulate
from cascade.tools.simulate_curve import Curve, find_knee, worker_counts


@cs.task
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


def twelve() -> Any:
    """Two rounds of work for six, then a sum."""
    return step(*[step() for _ in range(12)]).named("sum")


def test_a_curve_has_the_makespan_for_each_number_of_workers() -> None:
    """Points are simulations of their own; those beyond what could be busy are the same as the last."""
    made = simulate(twelve(), cache=False)
    curve = made.curve(range(1, 20))
    assert list(curve)[:6] == [(1, 13.0), (2, 7.0), (3, 5.0), (4, 4.0), (5, 4.0), (6, 3.0)]
    assert curve[12] == curve[19] == 2.0
    assert len(curve) == 19
    with pytest.raises(KeyError):
        curve[20]


def test_by_default_it_goes_as_far_as_workers_could_be_busy() -> None:
    """Nobody has to say how many; the knee of the curve is that of the simulation."""
    made = simulate(twelve(), cache=False)
    assert made.curve().workers == tuple(range(1, 13))
    assert made.knee == made.curve().knee == 3
    assert worker_counts(1000)[-1] == 256


@given(st.integers(2, 60), st.floats(0.0, 0.9))
def test_the_knee_is_where_the_bend_is(last: int, serial: float) -> None:
    """Of Amdahl's law it is near the square root of the range, whatever the serial part; of a flat line, at one."""
    counts = range(1, last + 1)
    knee = find_knee(counts, [serial + (1 - serial) / n for n in counts])
    assert abs(knee - last**0.5) <= 1
    assert find_knee(counts, [2.0] * last) == 1


def test_an_anomaly_does_not_move_the_knee() -> None:
    """More workers may make a run longer; that is not taken for a bend."""
    assert find_knee([1, 2, 3, 4, 5], [10, 5, 4, 6, 3.9]) == 2


def test_it_shows_itself_as_text_and_as_a_picture() -> None:
    """A bar for each number, the knee in words; the SVG tells it in words, too, and hostile names stay text."""
    curve = Curve((1, 2, 4), (8.0, 4.0, 3.5), "<b>x\x1b[31m")
    assert str(curve).splitlines()[1:] == [
        "1  8.00 s  ████████████████████████████████",
        "2  4.00 s  ████████████████  ◀ knee",
        "4  3.50 s  ██████████████",
        "knee: 2 workers, 2 times as fast as 1; 4 would be 2.3 times as fast",
    ]
    assert "\x1b" not in str(curve)
    texts = [part.text for part in ET.fromstring(str(curve.to_svg())).iter() if part.text]
    assert "knee: 2 workers, 4.00 s" in texts
    bundle = curve._repr_mimebundle_()
    assert bundle["text/plain"] == str(curve)
    assert ET.fromstring(bundle["text/html"])[0].get("alt", "").endswith("with 2 workers, the knee of the curve")


def test_numbers_that_are_none_are_refused() -> None:
    """No numbers, and numbers below 1."""
    made = simulate(twelve(), cache=False)
    with pytest.raises(SettingError, match="empty"):
        made.curve([])
    with pytest.raises(SettingError, match="at least 1"):
        made.curve([0, 1])


def test_a_run_without_length_has_a_curve() -> None:
    """Nothing is divided by nothing."""
    curve = simulate(step(), {"step": 0}, cache=False).curve([1, 2])
    assert curve.knee == 1
    ET.fromstring(str(curve.to_svg()))
    assert "1  0 s" in str(curve)
