"""Limits from outside: pause, concurrency, rate.

In: `GlobalConstraint`s and the clock's reading. Out: may this node start now, and if not, when to ask again.
Invariant: pure; the shell passes the time in. An expired limit holds nobody; what starts is counted once by each limit
that it falls under, and leaves each of them once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from cascade.interfaces.protocols import LimitState
from cascade.runtime.limit_types import check, open_state
from cascade.spec.constraint import GlobalConstraint

if TYPE_CHECKING:
    from cascade.runtime.stepping import Stepping

__all__ = ["Limits", "Names", "Ticket", "check"]


@dataclass(slots=True, eq=False)
class _Rule:
    limit: GlobalConstraint
    state: LimitState
    running: int = 0
    parked: dict[int, None] = field(default_factory=dict)


Ticket = list[_Rule]  # the limits that count an attempt
Names = tuple[str, ...]  # what an attempt is known by: its node's name and its task's


class Limits:
    """The limits in force in one run.

    Attributes:
        active: whether there is any; the engine asks nothing otherwise.
        wake_at: earliest time (on `clock`) at which a parked node may start, None if that needs something else.
        stepping: holds every start until its Next, None outside of step mode.
        news: the limit that the last node that was refused waits for since then, None if it did before.
    """

    __slots__ = ("_rules", "active", "clock", "news", "stepping", "wake_at", "wall")

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """Begin without limits; `clock` is monotonic, `wall` counts from the epoch, both in seconds."""
        self.clock = clock
        self.wall = wall
        self.active = False
        self.wake_at: float | None = None
        self.stepping: Stepping | None = None
        self.news: GlobalConstraint | None = None
        self._rules: dict[str, _Rule] = {}

    # -- rules ----------------------------------------------------------------------------------------------------

    def set(self, limit: GlobalConstraint, running: Iterable[tuple[Names, Ticket]] = ()) -> list[int]:
        """Put `limit` in force, replacing the one with its id; return the nodes to queue again.

        Args:
            running: names and ticket of each attempt that runs already; those in scope count from now on.

        Raises:
            SettingError: when nobody knows what a limit of this type means.
        """
        check(limit)
        parked = self.remove(limit.id)
        rule = self._rules[limit.id] = _Rule(limit, open_state(limit, self.clock()))
        for names, ticket in running:
            if _matches(limit, names):
                rule.running += 1
                ticket.append(rule)
        self.active = True
        if limit.expires_at is not None:
            self._wake(self.clock() + limit.expires_at - self.wall())
        return parked

    def remove(self, limit_id: str) -> list[int]:
        """Take a limit out of force; return the nodes to queue again."""
        rule = self._rules.pop(limit_id, None)
        self._look()
        return self._free(rule, len(rule.parked)) if rule is not None else []

    def set_stepping(self, stepping: Stepping | None) -> None:
        """Begin or end step mode: while it lasts, every start is asked about."""
        self.stepping = stepping
        self._look()

    def _look(self) -> None:
        self.active = bool(self._rules) or self.stepping is not None

    def find(self, limit_id: str) -> GlobalConstraint | None:
        """Return the limit with this id, None if it is not in force."""
        rule = self._rules.get(limit_id)
        return rule.limit if rule is not None else None

    def in_force(self) -> list[GlobalConstraint]:
        """Return the limits that are in force; any thread may ask."""
        now = self.wall()
        rules = list(self._rules.values())
        return [rule.limit for rule in rules if rule.limit.expires_at is None or rule.limit.expires_at > now]

    def __contains__(self, limit_id: object) -> bool:
        """Whether a limit with this id is in force."""
        return limit_id in self._rules

    def expire(self) -> list[tuple[str, list[int]]]:
        """Remove what has expired and free what may be tried again; return ids (empty: none) and nodes to queue."""
        self.wake_at = None
        now, freed = self.wall(), []
        for rule in list(self._rules.values()):
            if rule.limit.expires_at is not None and rule.limit.expires_at <= now:
                freed.append((rule.limit.id, self.remove(rule.limit.id)))
                continue
            if rule.limit.expires_at is not None:
                self._wake(self.clock() + rule.limit.expires_at - now)
            if rule.parked:
                freed.append(("", self._free(rule, self._count_turns(rule))))
        return freed

    # -- attempts -------------------------------------------------------------------------------------------------

    def has_room(self, node: int, names: Names) -> bool:
        """Say whether an attempt of `node` may start now; if not, park the node."""
        for rule in self._rules.values():
            if _matches(rule.limit, names) and self._count_turns(rule) < 1:
                self.news = None if node in rule.parked else rule.limit
                rule.parked[node] = None
                return False
        return True

    def count(self, names: Names) -> Ticket:
        """Count an attempt that starts; return what `leave` takes when it has ended."""
        ticket = [rule for rule in self._rules.values() if _matches(rule.limit, names)]
        for rule in ticket:
            rule.running += 1
            rule.state.started(self.clock())
            if rule.parked:
                self._count_turns(rule)  # sees to it that a clock wakes those who wait for a token
        return ticket

    def leave(self, ticket: Ticket) -> list[int]:
        """An attempt has ended; return the nodes to queue again."""
        freed: list[int] = []
        for rule in ticket:
            rule.running -= 1
            if rule.parked:
                freed += self._free(rule, self._count_turns(rule))
        ticket.clear()
        return freed

    def pass_on(self, names: Names) -> list[int]:
        """A node whose turn it was does not start: return who comes next."""
        rules = [r for r in self._rules.values() if r.parked and _matches(r.limit, names)]
        return [node for rule in rules for node in self._free(rule, min(1, self._count_turns(rule)))]

    def _free(self, rule: _Rule, most: int) -> list[int]:
        freed = list(islice(rule.parked, max(0, most)))
        for node in freed:
            del rule.parked[node]
        return freed

    def _count_turns(self, rule: _Rule) -> int:
        """Return how many attempts may start now; if it changes by itself, see to being woken then."""
        turns, at = rule.state.turns(rule.running, self.clock())
        if at is not None:
            self._wake(at)
        return turns

    def _wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)


def _matches(limit: GlobalConstraint, names: Names) -> bool:
    return any(limit.matches(name) for name in names)
