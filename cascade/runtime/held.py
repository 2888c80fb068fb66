"""Is a lazy value its receiver's alone? Then nobody can use the same calls in another place.

In: a value that a function has just returned. Out: whether something else holds calls of it that are not pure.
Invariant: says yes when in doubt. Two uses of one lazy result are one node of a run; what is stored and read again
would be two.

The interpreter counts who holds an object. Of all that stands within the value it is known who should: the value.
"""

from __future__ import annotations

import sys
from dataclasses import is_dataclass
from gc import get_referents
from typing import Any, Final

from cascade.spec.control import JumpSelector
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult, Unmapped
from cascade.spec.policy import Options
from cascade.spec.routing import Router
from cascade.spec.task import BoundTask, Task

__all__ = ["ALONE", "MAY_HOLD", "are_calls_held"]

MAY_HOLD: Final = frozenset({LazyResult, LazyMap, LazyItem, Router, list, tuple, dict})
ALONE: Final = (
    2  # who holds a value that a function has returned, while it is asked about: a variable, and the question
)
_MOST: Final = 500_000  # objects that are looked at
_OPENED: Final = (
    LazyResult, Router, Unmapped, Options, JumpSelector, BoundTask, list, tuple, dict, set, frozenset,
)  # fmt: skip
_OURS: Final = 2  # who holds an object while it is asked about: the list of all, and the question


def are_calls_held(value: object, *, is_shared: bool) -> bool:
    """Say whether something beside `value` holds a call of it that is not pure, or anything around such a call.

    Args:
        is_shared: something beside the one who asks holds `value` itself.
    """
    found: list[Any] = [value]
    places = {id(value): 0}
    holders: list[list[int]] = [[]]
    for number, each in enumerate(found):
        for part in _parts_of(each):
            place = places.get(id(part))
            if place is None:
                place = places[id(part)] = len(found)
                found.append(part)
                holders.append([])
            holders[place].append(number)
            if len(found) > _MOST:
                return True
    wanted = [place for place, each in enumerate(found) if isinstance(each, LazyResult) and not each._task.pure]  # noqa: SLF001
    around = set(wanted)
    while wanted:
        new = set(holders[wanted.pop()]) - around
        around |= new
        wanted += new
    each = part = None  # they would count, and so would what `enumerate` yields
    if is_shared and 0 in around:
        return True
    return any(sys.getrefcount(found[place]) - _OURS > len(holders[place]) for place in around if place)


def _parts_of(each: Any) -> list[Any]:
    """Return what `each` holds in which calls may stand, once for each time that it does."""
    parts = [part for part in get_referents(each) if isinstance(part, _OPENED) or is_dataclass(part)]
    own = each._task.options if isinstance(each, LazyResult) else None  # noqa: SLF001 - a call has no public face for it
    return [part for part in parts if part is not own and not isinstance(part, type | Task)]
