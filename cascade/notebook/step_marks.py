"""Step mode in a record: which nodes are next, so that the view can mark them.

In: `NodeHeld`, and that step mode began or ended. Out: marks on units and their boxes. Invariant: a node is marked from
when it is held until it starts, waits for something else or ends, and nobody is marked outside of step mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cascade.interfaces.events import StepModeEntered, StepModeLeft
from cascade.notebook.units import Box, Unit
from cascade.spec.constraint import LIMIT

__all__ = ["StepMarks"]


class StepMarks:
    """The marks of one record.

    Attributes:
        is_on: whether the run goes step by step.
    """

    __slots__ = ("_touch", "_units", "is_on")

    def __init__(self, units: Mapping[str, Unit], touch: Callable[[Box], None]) -> None:
        """Share the units of the record; `touch` is told of each box that changed."""
        self.is_on = False
        self._units = units
        self._touch = touch

    def mark(self, unit: Unit) -> None:
        """`unit` waits for a Next."""
        if not unit.held:
            unit.held = True
            unit.box.held += 1
            self._touch(unit.box)

    def take_away(self, unit: Unit) -> None:
        """`unit` does not wait for a Next any more."""
        if unit.held:
            unit.held = False
            unit.box.held -= 1
            self._touch(unit.box)

    def forget_limits(self, _event: object) -> None:
        """A limit was set or lifted: which items of maps still wait for one will be told anew."""
        for unit in self._units.values():
            if unit.waits is not None and unit.waits.resource.startswith(LIMIT):
                unit.waits = None
                self._touch(unit.box)

    def change_mode(self, event: StepModeEntered | StepModeLeft) -> None:
        """Step mode began, or is over."""
        self.is_on = type(event) is StepModeEntered
        if not self.is_on:
            for unit in self._units.values():
                self.take_away(unit)
