"""`%cascade controls`: the Params of a task cell, or of any target, as controls.

In: the words of the line: a task cell, something that one gives, or an expression. Out: `Controls` in the cell that
runs now. Invariant: what is wrong with the line is one sentence, and nothing runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from cascade.interfaces.exceptions import CascadeError
from cascade.notebook.cell import evaluate
from cascade.notebook.control_reader import find_cell
from cascade.notebook.controls import Controls, controls
from cascade.notebook.options import take_settings, usage_error
from cascade.notebook.session import Session

__all__ = ["show_controls"]

_USE = "%cascade controls takes a task cell or a target: %cascade controls clean, with -p limit=3 for a first value."


def show_controls(session: Session, words: Sequence[str]) -> Controls:
    """Do what ``%cascade controls TARGET`` asks for."""
    rest, params, capacities = take_settings(words)
    if not rest:
        names = ", ".join(session.cells.tasks)
        usage_error(f"{_USE} The task cells are: {names}." if names else _USE)
    text = " ".join(rest).strip("'\"")
    try:
        is_cell = find_cell(session, text) is not None
        return controls(text if is_cell else evaluate(session.shell, text), params, capacities or None)
    except CascadeError as error:
        usage_error(str(error))
