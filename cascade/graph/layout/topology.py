"""Links → links that all run one way, and the parts that do not touch each other.

In: any links, cycles and loops included. Out: pairs that form no cycle, and connected parts.
Invariant: linear in boxes and links, and no recursion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

Pair = tuple[int, int]


def neighbours(count: int, pairs: Iterable[Pair]) -> tuple[list[list[int]], list[list[int]]]:
    """Successors and predecessors of each vertex, in the order of the pairs."""
    after: list[list[int]] = [[] for _ in range(count)]
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in pairs:
        after[source].append(target)
        before[target].append(source)
    return after, before


def sort(after: Sequence[Sequence[int]], before: Sequence[Sequence[int]]) -> list[int]:
    """A topological order; vertices on or behind a cycle are missing from it."""
    missing = [len(sources) for sources in before]
    ready = deque(vertex for vertex, need in enumerate(missing) if need == 0)
    order = []
    while ready:
        vertex = ready.popleft()
        order.append(vertex)
        for target in after[vertex]:
            missing[target] -= 1
            if missing[target] == 0:
                ready.append(target)
    return order


def backward_pairs(count: int, pairs: Sequence[Pair]) -> set[Pair]:
    """The pairs that close a cycle; turning them round leaves none. Empty for every graph that can run."""
    after, before = neighbours(count, pairs)
    if len(sort(after, before)) == count:
        return set()
    backward: set[Pair] = set()
    fresh, open_, closed = 0, 1, 2
    state = [fresh] * count
    for root in range(count):
        if state[root] != fresh:
            continue
        state[root] = open_
        stack = [(root, iter(after[root]))]
        while stack:
            vertex, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                state[vertex] = closed
                stack.pop()
            elif state[target] == open_:
                backward.add((vertex, target))
            elif state[target] == fresh:
                state[target] = open_
                stack.append((target, iter(after[target])))
    return backward


def components(count: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """The connected parts, each in ascending order, ordered by their first vertex."""
    after, before = neighbours(count, pairs)
    seen = [False] * count
    parts = []
    for root in range(count):
        if seen[root]:
            continue
        seen[root] = True
        part = [root]
        for vertex in part:
            for other in (*after[vertex], *before[vertex]):
                if not seen[other]:
                    seen[other] = True
                    part.append(other)
        parts.append(sorted(part))
    return parts
