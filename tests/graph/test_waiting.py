"""The line of those who wait for the same names, against a list of them."""

from __future__ import annotations

import random

import pytest

from cascade.graph.waiting import NEVER, Line, Queue


class Crowd:
    """A line, and all who stand in it by the amounts that they ask for."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.line = Line(names)
        self.queues: dict[tuple[tuple[str, float], ...], Queue] = {}
        self.arrivals = 0

    def join(self, amounts: tuple[float, ...]) -> None:
        asked = tuple(zip(self.line.names, amounts, strict=True))
        self.arrivals += 1
        queue = self.queues.get(asked)
        if queue is not None:
            queue.waiters.append((self.arrivals, 0))
            return
        queue = self.queues[asked] = Queue(asked, self.line)
        queue.waiters.append((self.arrivals, 0))
        self.line.add(queue)

    def leave(self, queue: Queue) -> None:
        queue.waiters.popleft()
        self.line.change_head(queue)
        if not queue.waiters:
            del self.queues[queue.amounts]

    def look_at_all(self, rooms: list[tuple[float, ...]], steps: list[int]) -> Queue | None:
        """Return what `find` has to, by looking at everyone."""
        for arrival, queue in sorted((queue.waiters[0][0], queue.amounts) for queue in self.queues.values()):
            room = rooms[sum(step < arrival for step in steps)]
            if all(amount <= most for (_, amount), most in zip(queue, room, strict=True)):
                return self.queues[queue]
        return None


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("choices", [3, 1000])
def test_the_oldest_that_fits_is_found(count: int, choices: int) -> None:
    """Whoever comes and goes, a search finds the one that looking at all of them finds; less is left for later ones."""
    draw = random.Random(count * choices)
    crowd = Crowd(("cpu", "gpu", "db")[:count])
    for turn in range(400):
        is_growing = turn % 200 < 120
        if is_growing or not crowd.queues:
            crowd.join(tuple(draw.randint(1, choices) / choices for _ in range(count)))
        elif draw.random() < 0.3:
            crowd.leave(crowd.line.find_oldest())
        steps = sorted(draw.sample(range(crowd.arrivals + 1), min(2, crowd.arrivals)))
        rooms = [tuple(draw.random() for _ in range(count))]
        rooms += [tuple(most * (0.9 - 0.3 * step) for most in rooms[0]) for step in range(len(steps))]
        found = crowd.line.find(rooms.__getitem__, steps)
        assert found is crowd.look_at_all(rooms, steps)
        if found is not None:
            crowd.leave(found)
        assert crowd.line.oldest == min((q.waiters[0][0] for q in crowd.queues.values()), default=NEVER)


def test_nobody_is_found_in_an_empty_line() -> None:
    """A line in which nobody waits, or nobody does any more, has no oldest, and nobody fits."""
    crowd = Crowd(("cpu",))
    assert crowd.line.oldest == NEVER
    assert crowd.line.find(lambda _: (1.0,), []) is None
    crowd.join((0.5,))
    crowd.leave(crowd.line.find_oldest())
    assert crowd.line.oldest == NEVER
    assert crowd.line.find(lambda _: (1.0,), []) is None


def test_those_who_have_left_take_no_room() -> None:
    """However many different amounts come and go one by one, the line stays as small as it was."""
    crowd = Crowd(("cpu",))
    for turn in range(1000):
        crowd.join((turn / 1000,))
        crowd.leave(crowd.line.find_oldest())
    assert len(crowd.line._queues) <= 8
