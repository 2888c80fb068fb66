"""What the exit codes of all commands mean, and the error that carries one.

In: how a command ended. Out: a number for the shell. Invariant: one table for `cs.cli` and `cascade`, kept equal to
docs/command-line.md by a test; 2 always means that nothing was run and nobody was told anything.
"""

from __future__ import annotations

from typing import Final

from cascade.interfaces.exceptions import CascadeError

__all__ = [
    "CODES",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "REFUSED",
    "SILENT",
    "SKIPPED",
    "TERMINATED",
    "UNREACHED",
    "USAGE",
    "CommandError",
]

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
SKIPPED: Final = 3
UNREACHED: Final = 4
SILENT: Final = 5
REFUSED: Final = 6
INTERRUPTED: Final = 130
TERMINATED: Final = 143
CODES: Final = {
    DONE: "done",
    FAILED: "the run failed, was cancelled or took too long; or something could not be read or written",
    USAGE: "wrong options, Params, definitions or addresses; nothing ran, nobody was told anything",
    SKIPPED: "the target was skipped, for the reasons that are said",
    UNREACHED: "nobody was reached: no broker, no such run or node",
    SILENT: "the run did not answer in time; what became of an order to it is not known",
    REFUSED: "the run refused the order; nothing was changed",
    INTERRUPTED: "interrupted; the run was cancelled and its resources closed",
    TERMINATED: "the same, by SIGTERM",
}


class CommandError(CascadeError):
    """A command that cannot do what it was told; its text is for people, `code` for the shell."""

    def __init__(self, text: str, code: int = USAGE) -> None:
        """Say `text` and end with `code`."""
        super().__init__(text)
        self.code = code

    @classmethod
    def unreached(cls, text: str) -> CommandError:
        """Nobody is there."""
        return cls(text, UNREACHED)

    @classmethod
    def for_file(cls, path: object, problem: str) -> CommandError:
        """A file that cannot be read or written."""
        return cls(f"{path} cannot be used: {problem}.", FAILED)
