from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.spec.policy import UNSET, Options, RetryPolicy


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_attempts": 0}, "max_attempts is 0; it counts all attempts and must be at least 1"),
        ({"max_attempts": 2.5}, "max_attempts is 2.5"),
        ({"max_attempts": "3"}, "max_attempts is '3'"),
        ({"max_attempts": True}, "max_attempts is True"),
        ({"delay": -1}, "delay of a retry is -1; it must be a number of at least 0"),
        ({"delay": "1"}, "delay of a retry is '1'"),
        ({"delay": math.nan}, "delay of a retry is nan"),
        ({"backoff": None}, "backoff of a retry is None"),
        ({"max_delay": -1}, "max_delay of a retry is -1"),
        ({"jitter": 1.5}, "jitter is 1.5; it is a share of the delay between 0 and 1"),
        ({"retry_on": 5}, "retry_on holds 5; it takes exception types, or a function of the exception"),
        ({"retry_on": int}, "retry_on holds <class 'int'>"),
        ({"retry_on": (ValueError, "OSError")}, "retry_on holds 'OSError'"),
        ({"retry_on": ValueError("x")}, "retry_on holds ValueError"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: Any, told: str) -> None:
    """Wrong numbers and kinds are errors where they are written."""
    with pytest.raises(ValueError) as caught:
        RetryPolicy(**change)
    assert told in str(caught.value)


def test_what_the_decorator_takes() -> None:
    """A number of attempts, arguments by name, or a policy; an unknown argument comes with the nearest."""
    policy = RetryPolicy(2, delay=1.0)
    assert RetryPolicy.of(4) == RetryPolicy(max_attempts=4)
    assert RetryPolicy.of({"max_attempts": 2, "delay": 1.0}) == policy
    assert RetryPolicy.of(policy) is policy
    with pytest.raises(ValueError, match=r"A retry has no 'attempts'. Did you mean 'max_attempts'\?"):
        RetryPolicy.of({"attempts": 3})


def test_what_is_tried_again() -> None:
    """Types, tuples and functions say; what would end a program never is."""
    assert RetryPolicy().applies_to(ValueError())
    assert not RetryPolicy(retry_on=OSError).applies_to(ValueError())
    assert RetryPolicy(retry_on=(OSError, ValueError)).applies_to(ConnectionError())
    assert not RetryPolicy(retry_on=()).applies_to(ValueError())
    assert RetryPolicy(retry_on=lambda error: "again" in str(error)).applies_to(ValueError("again"))
    for error in (KeyboardInterrupt(), SystemExit(), GeneratorExit()):
        assert not RetryPolicy(retry_on=BaseException).applies_to(error)


def test_delays() -> None:
    """Delay, backoff and the bound on it; no delay draws no number."""
    policy = RetryPolicy(9, delay=1.0, backoff=3.0, max_delay=10.0)
    assert [policy.delay_after(n, draw=lambda: 0.0) for n in (1, 2, 3, 4)] == [1.0, 3.0, 9.0, 10.0]
    assert RetryPolicy(3).delay_after(2, draw=lambda: pytest.fail("drawn")) == 0.0
    assert RetryPolicy(3, delay=2.0, jitter=0.5).delay_after(1, draw=lambda: 1.0) == 1.0


@given(
    st.integers(1, 10_000),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1),
    st.none() | st.floats(0, 1e6),
    st.floats(0, 1, exclude_max=True),
)
def test_delays_are_never_negative_nor_above_the_bound(
    attempt: int, delay: float, backoff: float, jitter: float, most: float | None, drawn: float
) -> None:
    """Whatever the numbers, and however late the attempt: no overflow, no negative wait."""
    wait = RetryPolicy(3, delay, backoff, jitter, most).delay_after(attempt, draw=lambda: drawn)
    assert wait >= 0
    assert most is None or wait <= most


def test_options_change_by_copy() -> None:
    """Unset is told apart from every value, None included."""
    plain = Options()
    assert plain.condition is plain.fallback is UNSET
    assert plain.but(fallback=None).fallback is None
    assert repr(UNSET) == "UNSET"
    assert plain == Options()


def test_unset_stays_the_one_and_only() -> None:
    """Options that went to another process, or were copied, still say that nothing was said."""
    for back in (
        pickle.loads(pickle.dumps(Options())),
        copy.deepcopy(Options()),
        cloudpickle.loads(cloudpickle.dumps(UNSET)),
    ):
        assert getattr(back, "condition", back) is UNSET
