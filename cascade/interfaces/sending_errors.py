"""What cannot go from one process to another.

In: the part of a call that cannot be pickled. Out: an error whose text can be read alone. Invariant: one text, whoever
computes: processes, a cluster, an executor of the user's.
"""

from __future__ import annotations

from pickle import PicklingError

from cascade.interfaces.exceptions import CascadeError

__all__ = ["UnsendableError"]


class UnsendableError(CascadeError, PicklingError):
    """A task's function or arguments cannot be sent to where it would run."""

    @classmethod
    def for_part(cls, what: str, label: str, error: BaseException) -> UnsendableError:
        """The function or the arguments of a task; `error` is what pickling says."""
        made = cls(
            f"The {what} of task '{label}' cannot be sent to another process ({type(error).__name__}: {error}). "
            'Pass what can be pickled, or give the task mode="inline", so that it runs here.'
        )
        made.__cause__ = error
        return made
