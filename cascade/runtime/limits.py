"""Limits from outside: pause, concurrency, rate.

In: `GlobalConstraint`s and the clock's reading. Out: may this node start now, and if not, when to ask again.
Invariant: pure; the shell passes the time in. An expired limit holds nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cascade.spec.constraint import GlobalConstraint, parse_rate

__all__ = ["Limits"]


@dataclass(slots=True)
class _Rule:
    limit: GlobalConstraint
    running: int = 0
    tokens: float = 1.0
    refilled: float = 0.0
    parked: dict[int, None] = field(default_factory=dict)


class Limits:
    """The limits in force in one run.

    Attributes:
        active: whether there is any; the engine asks nothing otherwise.
        wake_at: earliest time (on `clock`) at which a parked node may start, None if that needs something else.
    """

    __slots__ = ("_held", "_rules", "active", "clock", "wake_at", "wall")

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """Begin without limits; `clock` is monotonic, `wall` counts from the epoch, both in seconds."""
        self.clock = clock
        self.wall = wall
        self.active = False
        self.wake_at: float | None = None
        self._rules: dict[str, _Rule] = {}
        self._held: dict[int, list[list[_Rule]]] = {}

    def set(self, limit: GlobalConstraint) -> list[int]:
        """Put `limit` in force, replacing the one with its id; return the nodes to queue again."""
        old = self._rules.pop(limit.id, None)
        rule = _Rule(limit, refilled=self.clock())
        if old is not None:
            rule.running = old.running
            rule.tokens = min(old.tokens, 1.0)
        if limit.type == "rate_limit":
            rule.tokens = float(limit.params.get("capacity", 1.0))  # type: ignore[arg-type]
        self._rules[limit.id] = rule
        self.active = True
        if limit.expires_at is not None:
            self._wake(self.clock() + limit.expires_at - self.wall())
        return list(old.parked) if old is not None else []

    def remove(self, limit_id: str) -> list[int]:
        """Take a limit out of force; return the nodes to queue again."""
        rule = self._rules.pop(limit_id, None)
        self.active = bool(self._rules)
        return list(rule.parked) if rule is not None else []

    def expire(self) -> list[tuple[str, list[int]]]:
        """Remove what has expired and free what may be tried again; return ids (empty: none) and nodes to queue."""
        self.wake_at = None
        now, freed = self.wall(), []
        for rule in list(self._rules.values()):
            if rule.limit.expires_at is not None and rule.limit.expires_at <= now:
                freed.append((rule.limit.id, self.remove(rule.limit.id)))
            else:
                if rule.limit.expires_at is not None:
                    self._wake(self.clock() + rule.limit.expires_at - now)
                if rule.limit.type == "rate_limit" and rule.parked:
                    freed.append(("", list(rule.parked)))
                    rule.parked.clear()
        return freed

    def admit(self, node: int, name: str) -> bool:
        """Say whether `node` may start now, and count it; if not, park it."""
        rules = [r for r in self._rules.values() if r.limit.matches(name)]
        for rule in rules:
            if not self._has_room(rule):
                rule.parked[node] = None
                return False
        for rule in rules:
            rule.running += 1
            rule.tokens -= 1.0
        if rules:
            self._held.setdefault(node, []).append(rules)
        return True

    def leave(self, node: int) -> list[int]:
        """One attempt of `node` has ended; return the nodes to queue again."""
        stack = self._held.get(node)
        if not stack:
            return []
        rules = stack.pop()
        if not stack:
            del self._held[node]
        freed: list[int] = []
        for rule in rules:
            rule.running -= 1
            if rule.limit.type == "concurrency" and rule.parked:
                freed.extend(rule.parked)
                rule.parked.clear()
        return freed

    def _has_room(self, rule: _Rule) -> bool:
        kind = rule.limit.type
        if kind == "pause":
            return False
        if kind == "concurrency":
            return rule.running < int(rule.limit.params["limit"])  # type: ignore[call-overload,no-any-return]
        if kind == "rate_limit":
            rate = parse_rate(rule.limit.params.get("rate"))
            now = self.clock()
            most = float(rule.limit.params.get("capacity", 1.0))  # type: ignore[arg-type]
            rule.tokens = min(most, rule.tokens + (now - rule.refilled) * rate)
            rule.refilled = now
            if rule.tokens >= 1.0 - 1e-9:
                return True
            self._wake(now + (1.0 - rule.tokens) / rate)
            return False
        return True

    def _wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)
