"""What can go wrong with running a failed run again: what happened, where, and what to do.

In: names and states of runs. Out: errors that can be read alone. Invariant: the words are made here.
"""

from __future__ import annotations

from cascade.interfaces.exceptions import CascadeError

__all__ = ["RetryError"]


class RetryError(CascadeError, RuntimeError):
    """A run cannot be retried."""

    @classmethod
    def for_going(cls, name: str) -> RetryError:
        """A run that is not over."""
        return cls(
            f"The run '{name}' still goes on, so there is nothing to retry. Wait for its end, or cancel it first."
        )

    @classmethod
    def for_success(cls, name: str) -> RetryError:
        """A run in which nothing failed."""
        return cls(
            f"The run '{name}' has completed, so there is nothing to retry. Start a new one to compute it again."
        )

    @classmethod
    def for_lost(cls, name: str) -> RetryError:
        """A run of which only the record is left."""
        return cls(
            f"The values of the run '{name}' are no longer in memory, so there is nothing to go on from. "
            "Run its cell again; what is stored is not computed again."
        )
