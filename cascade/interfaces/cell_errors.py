"""What can go wrong when cells are tasks: what happened, in which cell and line, and what to do.

In: names of cells, names of variables and lines. Out: errors that can be read alone. Invariant: the words are made
here, in terms of cells; nobody has to know what a node is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cascade.interfaces.exceptions import CascadeError, nearest

__all__ = ["CellError", "MutationError"]


class CellError(CascadeError, ValueError):
    """A cell cannot be the task that it is said to be, or cannot run as one."""

    @classmethod
    def for_two(cls, name: str, first: str, first_line: int, second: str, second_line: int) -> CellError:
        """Two cells give one name."""
        return cls(
            f"Cells '{first}' (line {first_line}) and '{second}' (line {second_line}) both give '{name}', so that "
            f"nobody could tell which one another cell reads. Give it another name in '{second}', begin it with an "
            f"underscore (_{name}) if only that cell needs it, or say what the cell gives with --gives. If the cell "
            f"'{first}' is no longer there: %cascade forget {first}."
        )

    @classmethod
    def for_many(cls, name: str, givers: Sequence[str], reader: str) -> CellError:
        """A loop variable of several cells is read by another."""
        cells = " and ".join(f"'{each}'" for each in givers)
        return cls(
            f"Cell '{reader}' reads '{name}', which cells {cells} both leave behind. "
            "Give it a name of its own in the cell that is meant."
        )

    @classmethod
    def for_cycle(cls, steps: Sequence[tuple[str, str, str]]) -> CellError:
        """Cells need each other; each step is (reader, name, giver)."""
        told = ", and ".join(f"'{reader}' reads '{name}', which '{giver}' gives" for reader, name, giver in steps)
        return cls(
            f"These cells need each other, so none of them can come first: {told}. "
            "Put what they share in a cell of its own, or give one of the results another name."
        )

    @classmethod
    def for_own_input(cls, cell: str, name: str, line: int) -> CellError:
        """A cell reads a name of the notebook and gives it again."""
        return cls(
            f"Cell '{cell}' reads '{name}' of the notebook in line {line} and gives it again, so that each run would "
            f"start from what the last one made. Give the result another name, such as {name}_{cell}, or make the "
            f"cell that gives '{name}' a task too."
        )

    @classmethod
    def for_star(cls, cell: str, line: int, module: str) -> CellError:
        """A star import."""
        return cls(
            f"Cell '{cell}', line {line}: 'from {module} import *' hides which names the cell gives. "
            f"Import the names that you use, or put the star import in an ordinary cell."
        )

    @classmethod
    def for_magic(cls, cell: str, magic: str, line: int) -> CellError:
        """A cell magic that runs the code elsewhere."""
        return cls(
            f"Cell '{cell}', line {line}: %%{magic} runs the code among the names of the notebook, where what other "
            "cells give is not. Leave the line out; what a task prints and how long it takes stands in its card."
        )

    @classmethod
    def for_output(cls, cell: str, name: str, line: int) -> CellError:
        """A name under which IPython keeps what a cell showed."""
        return cls(
            f"Cell '{cell}' reads '{name}' in line {line}, which stands for what some cell showed: that changes with "
            f"each cell that runs, so nobody could tell what '{cell}' depends on. Give the value a name in the cell "
            "that makes it, and read that."
        )

    @classmethod
    def for_gives(cls, cell: str, name: str, known: Iterable[str]) -> CellError:
        """--gives names what the cell does not assign."""
        return cls(f"Cell '{cell}' does not assign '{name}', which --gives names.{nearest(name, known)}")

    @classmethod
    def for_unknown(cls, name: str, known: Iterable[str]) -> CellError:
        """There is no such cell task."""
        names = list(known)
        hint = nearest(name, names) or (f" The tasks are: {', '.join(names)}." if names else "")
        return cls(f"No cell is the task '{name}'.{hint} A cell that begins with %%cascade task {name} becomes one.")

    @classmethod
    def for_absent(cls, name: str, giver: str, line: int, reader: str) -> CellError:
        """A name that is assigned on some ways only."""
        return cls(
            f"Cell '{reader}' reads '{name}', but this time cell '{giver}' did not assign it: its line {line} was not "
            f"reached. Assign '{name}' on every way through '{giver}', for example before the if or the loop."
        )

    @classmethod
    def for_closed(cls, name: str, giver: str, reader: str) -> CellError:
        """What a with statement has closed."""
        return cls(
            f"Cell '{reader}' reads '{name}', which cell '{giver}' opened with a with statement and closed again. "
            "Give what you read from it, under another name."
        )

    @classmethod
    def for_iterator(cls, name: str, giver: str, reader: str, kind: str) -> CellError:
        """Something that can be gone through once."""
        return cls(
            f"Cell '{reader}' reads '{name}', a {kind} that cell '{giver}' gives: it can be gone through only once, by "
            f"one cell. Give list({name}) instead."
        )

    @classmethod
    def for_param(cls, cell: str, name: str, kind: str) -> CellError:
        """A Param that is made inside a task has no value there."""
        return cls(
            f"Cell '{cell}' makes the {kind} '{name}' itself, too late for it to have a value. "
            "Make it in an ordinary cell; a task that reads it gets its value."
        )


class MutationError(CellError):
    """A cell changed a value in place that is not its own."""

    @classmethod
    def for_input(cls, cell: str, name: str, line: int, giver: str, lines: str) -> MutationError:
        """An input; `giver` is empty for a name of the notebook, `lines` the text of the line."""
        whose = f"which cell '{giver}' gives" if giver else "which belongs to the notebook"
        shown = f" ({lines})" if lines else ""
        return cls(
            f"Cell '{cell}' changes '{name}' in place in line {line}{shown}, {whose}: other cells that read it would "
            f"see another value than was computed. Work on a copy under a new name, such as "
            f"{name}_{cell} = {name}.copy(), or do it in the cell that makes '{name}'."
        )

    @classmethod
    def for_call(cls, cell: str, name: str, line: int, giver: str) -> MutationError:
        """An input that something changed which the cell calls."""
        whose = f"which cell '{giver}' gives" if giver else "which belongs to the notebook"
        return cls(
            f"Cell '{cell}' reads '{name}' in line {line}, {whose}, and the value was changed in place while the cell "
            f"ran: by a function that it calls, or through another name for the same data, such as a slice or an item "
            f"of it. The value is computed again when it is next needed. Pass a copy, such as copy.deepcopy({name}), "
            f"or do the change in the cell that makes '{name}'."
        )
