"""What stands for a value, for type checkers.

In: nothing. Out: the base of lazy results, Params, Envs and Routers. Invariant: at run time it is an empty class; a
type checker takes its subclasses wherever a value may stand, as it takes a mock, while tasks keep their signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["StandIn"]

if TYPE_CHECKING:

    class StandIn(Any):  # type: ignore[misc]
        """Fits where a value fits: ``add(add(1, 2), 3)`` is well typed, although ``add`` takes numbers."""

else:

    class StandIn:
        """The base of everything that stands for a value."""

        __slots__ = ()
