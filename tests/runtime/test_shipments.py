"""Calls for the executors of others."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from cascade.runtime.parcels import unpack
from cascade.runtime.shipments import Shipment, run_shipment


def test_in_this_process_the_very_objects_go() -> None:
    """A call that nobody pickles gets the objects themselves, and raises what its function raises."""
    given = object()
    assert run_shipment(Shipment(lambda x: x, (given,), {})) == (True, given)
    with pytest.raises(ZeroDivisionError):
        run_shipment(Shipment(lambda x: 1 / x, (0,), {}))


def test_it_travels_by_value() -> None:
    """A function that pickle does not know by name goes there, and a value of that kind comes back."""
    offset = 5
    shipment = pickle.loads(pickle.dumps(Shipment(lambda x, y: lambda: x + y + offset, (1,), {"y": 2})))
    assert shipment.is_abroad
    ended_well, value = pickle.loads(pickle.dumps(run_shipment(shipment)))
    assert ended_well
    assert value() == 8


def test_errors_come_back_packed() -> None:
    """What is raised abroad comes back as a value, so that it cannot harm the executor."""

    class Misfit(Exception):
        def __init__(self, file: str, line: int) -> None:
            super().__init__(f"{file}:{line}")

    def fail() -> None:
        raise Misfit("a", 1)

    ended_well, parcel = pickle.loads(pickle.dumps(run_shipment(pickle.loads(pickle.dumps(Shipment(fail, (), {}))))))
    assert not ended_well
    assert str(unpack(parcel, "fail")) == "a:1"


def test_output_is_a_third_part() -> None:
    """What is written comes back if someone wants to hear it."""
    answer: Any = run_shipment(Shipment(lambda: print("hello"), (), {}), True)
    assert answer[:2] == (True, None)
    assert answer[2][0][:2] == ("stdout", "hello\n")
