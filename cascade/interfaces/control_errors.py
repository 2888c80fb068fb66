"""What can be wrong with the use of controls.

In: what was asked of them. Out: a `ControlError` with words. Invariant: the text can be read alone.
"""

from __future__ import annotations

from cascade.interfaces.exceptions import CascadeError

__all__ = ["ControlError"]


class ControlError(CascadeError, RuntimeError):
    """Controls were asked for what they cannot do."""

    @classmethod
    def for_closed(cls, name: str) -> ControlError:
        """They are closed."""
        return cls(f"The controls of '{name}' are closed. Run their cell again, or call cs.controls(…) once more.")

    @classmethod
    def for_no_run(cls, name: str) -> ControlError:
        """Nothing has run yet."""
        return cls(f"The controls of '{name}' have not run anything yet. Move one, press Run, or call .start().")
