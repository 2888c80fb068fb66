"""Keys → ranks, and ranks → better ranks, by trying them out on the engine's own policy.

In: one number a node, or a rank. Out: ranks, permutations of the places 0, 1, 2 …. Invariant: what comes out is never
slower in the simulation than what came in; the same seed tries the same things.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from time import monotonic

from cascade.graph.schedule import Schedule

__all__ = ["Trial", "climb", "rank_by"]

Trial = tuple[list[int], Schedule]  # a rank, and what the engine would make of it


def rank_by(key: Callable[[int], object], order: Sequence[int]) -> list[int]:
    """Return the place of each node when they are sorted by `key`; equals stand as in `order`.

    Example:
        >>> rank_by([5.0, 1.0, 2.0].__getitem__, [0, 1, 2])
        [2, 0, 1]
    """
    rank = [0] * len(order)
    for place, node in enumerate(sorted(order, key=key)):  # type: ignore[arg-type]
        rank[node] = place
    return rank


def climb(
    start: Trial, simulate: Callable[[list[int]], Schedule], *, goal: float, tries: int, until: float, seed: int
) -> Trial:
    """Move one node after the other to another place in the queue; keep what makes the run no longer.

    Args:
        simulate: what the engine makes of a rank. goal: seconds; a run as short as this needs no more tries.
        tries: at most. until: the reading of the monotonic clock at which to stop, in seconds. seed: of the moves.
    """
    draw = Random(seed)  # noqa: S311 - moves are tried, not kept secret
    best = start
    queue = _invert(start[0])
    for _ in range(tries):
        if best[1].makespan <= goal or monotonic() > until:
            break
        moved = queue.copy()
        moved.insert(draw.randrange(len(moved)), moved.pop(draw.randrange(len(moved))))
        rank = _invert(moved)
        schedule = simulate(rank)
        if schedule.makespan <= best[1].makespan:
            best, queue = (rank, schedule), moved
    return best


def _invert(permutation: Sequence[int]) -> list[int]:
    """Turn places by node into nodes by place, and back."""
    inverse = [0] * len(permutation)
    for position, value in enumerate(permutation):
        inverse[value] = position
    return inverse
