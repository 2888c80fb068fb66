"""The scheduler core, driven by hand beside a naive model: no threads, and no time but a number that is advanced."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import cascade as cs
from cascade.graph.ledger import PATIENCE
from cascade.interfaces import events as ev
from cascade.spec.constraint import GlobalConstraint
from tests.runtime.by_hand import CAPACITY, HEAPS, LIMITS, WORDS, Hand, draw_calls
from tests.runtime.core_model import FINAL, Call, Entry, Items, Model, Replay, matches

GRACE = 0.5
SETTINGS = settings(
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
SETTLED = 400  # starts and ends after which every run of such a size has ended


# -- the machine ----------------------------------------------------------------------------------------------------


class CoreMachine(RuleBasedStateMachine):
    """Random facts, told to the core and to the model; what they say of the run must agree after each."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        calls = draw_calls(data.draw, 0, 6, 16, [])
        names = [call.name for call in calls]
        others = data.draw(st.lists(st.sampled_from(names[:-1]), max_size=5, unique=True))
        targets = (names[-1], *others)
        self.model = Model(calls, targets, CAPACITY)
        self.hand = Hand(calls, targets)
        self.entries: dict[Any, Entry] = {}
        self.retries: list[tuple[float, Call, int]] = []  # of items
        self.cancelled_at: float | None = None
        self.replay = Replay()
        self.oldest, self.passed = -1, 0

    def running(self, *, given_up: bool = False) -> list[Any]:
        return [a for a, e in self.entries.items() if e.given_up == given_up]

    # -- starting -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(self.hand.flow.core.ready))
    @rule()
    def take(self) -> None:
        self.start(next(mode for mode in HEAPS if self.hand.flow.core.ready[HEAPS[mode]]))

    @precondition(lambda self: any(self.hand.flow.core.ready))
    @rule()
    def take_most(self) -> None:
        self.take_all()

    def take_all(self) -> None:
        while any(self.hand.flow.core.ready) and not self.model.paused:
            for mode in HEAPS:
                while self.start(mode):
                    pass
        self.check_nothing_is_forgotten()

    def start(self, mode: str) -> bool:
        picture = self.model.picture()
        before = self.oldest_waiter()
        name, attempt = self.hand.take(mode)
        if not name:
            self.hand.obey()
            return False
        call = self.model.calls[name]
        if call.kind == "map" and (name in picture.ready or attempt is not None):
            self.model.maps.setdefault(name, Items(["new"] * call.items))
        if attempt is None:
            assert call.kind == "map"
            self.model.count_start(call)  # a rate counts its turn, although no item is left
        else:
            assert name in picture.ready, f"{name} started although it may not: {picture.states[name]}"
            assert self.model.is_allowed(call), f"{name} started against a limit"
            self.note_start(call, attempt, picture.amounts[name])
            self.note_bypass(before, call)
        self.hand.obey()
        return True

    def note_start(self, call: Call, attempt: Any, amounts: dict[str, float]) -> None:
        assert dict(attempt.amounts) == amounts
        entry = self.entries[attempt] = Entry(call, attempt.index, amounts)
        if attempt.index is not None:
            ends = self.model.maps[call.name].ends
            assert ends[attempt.index] in ("new", "again")
            assert ends[attempt.index] == "again" or attempt.index == ends.index("new")
            ends[attempt.index] = "runs"
        self.model.started(entry)
        assert all(used <= CAPACITY[name] for name, used in self.model.used().items())

    # -- bypassing ----------------------------------------------------------------------------------------------------

    def oldest_waiter(self) -> tuple[int, dict[str, float]]:
        queues = self.hand.flow.core.ledger._queues.values()
        return min(((q.waiters[0][0], dict(q.amounts)) for q in queues), default=(-1, {}))

    def note_bypass(self, oldest: tuple[int, dict[str, float]], call: Call) -> None:
        """Whoever waits longest is passed only so often by others that take what it waits for."""
        arrival, wants = oldest
        if arrival != self.oldest:
            self.oldest, self.passed = arrival, 0
        used = self.model.used()
        taken = self.model.picture().amounts.get(call.name, {})
        self.passed += any(n in taken and used[n] + wants[n] > CAPACITY[n] for n in wants)
        assert self.passed <= PATIENCE + 8, "somebody starves"

    # -- ending -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.running())
    @rule(data=st.data(), value=st.integers(0, 2))
    def complete(self, data: st.DataObject, value: int) -> None:
        self.end(data.draw(st.sampled_from(self.running())), value)

    @precondition(lambda self: self.running())
    @rule(value=st.integers(0, 1))
    def complete_newest(self, value: int) -> None:
        self.end(self.running()[-1], value)

    @precondition(lambda self: self.running())
    @rule(value=st.integers(0, 1))
    def complete_all(self, value: int) -> None:
        for attempt in self.running():
            self.end(attempt, value)

    def end(self, attempt: Any, value: int) -> None:
        entry = self.let_go(attempt)
        self.hand.flow.outcomes.settle(attempt, value, None)
        self.note_end(entry, ("value", value))
        self.hand.obey()

    def let_go(self, attempt: Any) -> Entry:
        entry = self.entries.pop(attempt)
        self.model.active.remove(entry)
        return entry

    def note_end(self, entry: Entry, end: tuple[Any, ...]) -> None:
        name = entry.call.name
        if entry.index is None:
            assert name not in self.model.ends, f"{name} ended twice"
            self.model.ends[name] = end
        else:
            self.note_item(entry, end)

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.running()))
        entry = self.let_go(attempt)
        self.hand.flow.outcomes.settle(attempt, None, ValueError("no"))
        self.note_failure(entry, attempt.number)
        self.hand.obey()

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def time_out(self, data: st.DataObject) -> None:
        """The node goes on without an attempt that cannot be stopped; what it holds it keeps until it ends."""
        attempt = data.draw(st.sampled_from(self.running()))
        entry = self.entries[attempt]
        entry.given_up = True
        self.hand.flow.stops.attempt_timed_out(attempt, 1.0)
        self.note_failure(entry, attempt.number)
        self.hand.obey()

    @precondition(lambda self: self.running(given_up=True))
    @rule(data=st.data())
    def end_given_up(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.running(given_up=True)))
        self.let_go(attempt)
        self.hand.flow.outcomes.settle(attempt, data.draw(st.sampled_from([1, cs.Jump("on")])), None)
        self.hand.obey()

    def note_failure(self, entry: Entry, number: int) -> None:
        call, items = entry.call, self.model.maps.get(entry.call.name)
        if number < call.attempts and not (items is not None and items.failed):
            if self.cancelled_at is not None:
                self.note_end(entry, ("stopped",)) if items is None else self.note_item(entry, "gone")
            elif items is not None:
                self.note_item(entry, "later" if call.delay else "again")
                if call.delay:
                    self.retries.append((self.model.now + call.delay, call, entry.index or 0))
            elif call.delay:
                self.model.later[call.name] = self.model.now + call.delay
        elif items is None:
            self.model.ends[call.name] = ("failed", None)
        elif call.collect:
            self.note_item(entry, ("value", "an error"))
        else:
            self.note_item(entry, "gone")
            items.failed = True

    def note_item(self, entry: Entry, word: Any) -> None:
        assert entry.index is not None
        name = entry.call.name
        self.model.maps[name].ends[entry.index] = word
        end = self.model.end_of_map(entry.call)
        if end is not None and end[0] == "grew":
            self.model.note_growth(name, end[1], is_list=True)

    @precondition(lambda self: any(e.call.kind == "loop" for e in self.entries.values() if not e.given_up))
    @rule(data=st.data(), key=st.sampled_from(["on", "on", "on", "end", "nowhere"]))
    def jump(self, data: st.DataObject, key: str) -> None:
        loops = [a for a in self.running() if self.entries[a].call.kind == "loop"]
        attempt = data.draw(st.sampled_from(loops))
        entry = self.let_go(attempt)
        self.hand.flow.outcomes.settle(attempt, cs.Jump(key, data=1) if key == "end" else cs.Jump(key), None)
        if self.cancelled_at is not None:
            self.note_end(entry, ("stopped",))
        elif key == "nowhere":
            self.note_failure(entry, attempt.number)
        elif key == "end":
            self.note_end(entry, ("value", 1))
        self.hand.obey()

    def plain(self) -> list[Any]:
        """Return the attempts of calls without rules for what they return; those are the matter of random graphs."""
        calls = {attempt: self.entries[attempt].call for attempt in self.running()}
        return [
            attempt
            for attempt, call in calls.items()
            if call.attempts == 1 and call.fallback is None and call.width is None and not call.collect
        ]

    @precondition(lambda self: self.plain() and len(self.model.calls) < 30)
    @rule(data=st.data())
    def grow(self, data: st.DataObject) -> None:
        """A node, or an item of a map, returns calls: new ones, and some that are there."""
        attempt = data.draw(st.sampled_from(self.plain()))
        entry = self.let_go(attempt)
        known = list(self.model.calls)
        fresh = draw_calls(data.draw, len(known), 1, 3, known)
        expr = tuple(
            data.draw(
                st.lists(st.sampled_from([c.name for c in fresh] + known[-2:]), min_size=1, max_size=2, unique=True)
            )
        )
        self.hand.write(fresh)
        self.model.calls.update({call.name: call for call in fresh})
        self.hand.flow.outcomes.settle(attempt, self.hand.value(expr), None)
        if entry.index is None:
            self.model.note_growth(entry.call.name, [expr], is_list=False)
        else:
            self.note_item(entry, ("grew", expr))
        self.hand.obey()

    # -- steering -----------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes: delays, rates and limits that expire."""
        model = self.model
        self.hand.clock.time = model.now = model.now + seconds
        for limit_id, (limit, _, _) in list(model.limits.items()):
            if limit.expires_at is not None and limit.expires_at <= model.now:
                del model.limits[limit_id]
        for due, call, index in [retry for retry in self.retries if retry[0] <= model.now]:
            self.retries.remove((due, call, index))
            if model.maps[call.name].ends[index] == "later":
                model.maps[call.name].ends[index] = "again"
        if self.cancelled_at is not None and model.now >= self.cancelled_at + GRACE:
            for entry in [e for e in self.entries.values() if not e.given_up]:
                entry.given_up = True
                self.note_end(entry, ("stopped",)) if entry.index is None else self.note_item(entry, "gone")
        self.hand.obey()

    @rule(sure=st.integers(0, 3))
    def pause(self, sure: int) -> None:
        if self.model.paused or sure == 3:
            self.pause_or_resume()

    def pause_or_resume(self) -> None:
        paused = self.model.paused = self.hand.flow.core.paused = not self.model.paused
        self.hand.flow.journal.tell(ev.RunPaused if paused else ev.RunResumed)

    @rule(limit=LIMITS, lasts=st.sampled_from([None, None, 1.0]))
    def set_limit(self, limit: GlobalConstraint, lasts: float | None) -> None:
        if lasts is not None:
            limit = replace(limit, expires_at=self.model.now + lasts)
        self.hand.set_limit(limit)
        self.model.limits[limit.id] = (limit, self.model.now, [])
        self.hand.obey()

    @precondition(lambda self: self.model.limits)
    @rule(data=st.data())
    def remove_limit(self, data: st.DataObject) -> None:
        limit_id = data.draw(st.sampled_from(sorted(self.model.limits)))
        self.hand.remove_limit(limit_id)
        del self.model.limits[limit_id]
        self.hand.obey()

    @precondition(lambda self: self.cancelled_at is None and self.replay.seq > 25)
    @rule(sure=st.integers(0, 7))
    def cancel(self, sure: int) -> None:
        if sure != 7:
            return
        self.hand.flow.cancel("a test")
        self.model.cancel()
        self.cancelled_at = self.model.now
        self.hand.obey()

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def states_agree(self) -> None:
        """Each call that is wanted is in the state that follows from the facts; no other has begun."""
        core, graph = self.hand.flow.core, self.hand.flow.graph
        picture = self.model.picture()
        for node in range(len(graph)):
            name = graph.label(node)
            expected = picture.states.get(name, "pending")
            assert WORDS[core.state[node]] == expected, f"{name} is {WORDS[core.state[node]]}, not {expected}"
        assert core.unfinished == picture.unfinished

    @invariant()
    def books_agree(self) -> None:
        """What is taken of the capacities is what attempts hold, what is granted, and what loops keep; never more."""
        flow = self.hand.flow
        core, used = flow.core, self.model.used()
        granted: Counter[str] = Counter()
        for node, times in core._granted.items():
            granted.update({name: amount * times for name, amount in core.amounts[node]})
        kept: Counter[str] = Counter()
        for node, turn in flow.loops._turns.items():
            kept.update(dict(core.amounts.get(node, ())) if turn.is_kept else {})
        for name, capacity in CAPACITY.items():
            assert core.ledger.used[name] == used[name] + granted[name] <= capacity
            assert flow.held.get(name, 0.0) == used[name] + kept[name] <= capacity

    @invariant()
    def events_agree(self) -> None:
        """The events alone say which calls have ended, and how; which limits hold; and what is held."""
        flow = self.hand.flow
        self.replay.tell(flow.journal.events(self.replay.seq))
        for node, identity in enumerate(flow.graph.ids):
            state = WORDS[flow.core.state[node]]
            told = self.replay.state_of(identity)
            assert told == state if state in FINAL else told not in ("done", "skipped", "cancelled"), identity
        assert self.replay.limits == set(self.model.limits)
        assert self.replay.paused == self.model.paused
        assert all(self.replay.usage[name] == flow.held.get(name, 0.0) for name in CAPACITY)

    def check_nothing_is_forgotten(self) -> None:
        """The core has nothing more to hand out: whatever is ready is held back by a pause, a limit or a capacity."""
        core, model, picture = self.hand.flow.core, self.model, self.model.picture()
        assert model.paused or not any(core.ready)
        for name in picture.ready:
            call = model.calls[name]
            if not model.is_allowed(call) or core.ledger._patient:
                continue
            wants = picture.amounts[name]
            fits = all(core.ledger.used[n] + amount <= CAPACITY[n] for n, amount in wants.items())
            assert not fits, f"{name} could start, and nobody starts it: {call}, {core.ledger.used}, {core._granted}"
        waits = [model.calls[name] for name in picture.ready if not model.is_allowed(model.calls[name])]
        if waits and not model.paused and not any(self.is_held_by(call, "pause", "concurrency") for call in waits):
            assert core.limits.wake_at is not None, "a rate holds somebody, and no time is told when to look again"

    def is_held_by(self, call: Call, *kinds: str) -> bool:
        rules = [rule for rule in self.model.limits.values() if rule[0].type in kinds and matches(rule[0], call)]
        return any(not self.model.has_room(*rule) for rule in rules)

    def teardown(self) -> None:
        """Without pauses and limits every run comes to its end, and then nothing is held and all is told."""
        if not hasattr(self, "replay"):
            return
        if self.model.paused:
            self.pause_or_resume()
        for limit_id in sorted(self.model.limits):
            self.hand.remove_limit(limit_id)
            del self.model.limits[limit_id]
        for _ in range(SETTLED):
            self.take_all()
            for attempt in self.running():
                self.end(attempt, 1)
            for attempt in self.running(given_up=True):
                self.let_go(attempt)
                self.hand.flow.outcomes.settle(attempt, 1, None)
            if not self.model.picture().unfinished and not self.entries:
                break
            self.advance(1.0)
        self.take_all()  # a map that failed may stand in the queue with a grant: it is passed by
        flow = self.hand.flow
        assert not flow.core.unfinished, f"never ended: {self.model.picture().states}"
        assert not any(flow.core.ledger.used.values())
        assert not any(flow.held.values())
        self.hand.obey()
        flow.orders.tell_unneeded()
        self.events_agree()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_core_agrees_with_a_naive_model(part: int) -> None:
    """Whatever happens in whatever order, states, books and events of a run are those of the naive model."""
    run_state_machine_as_test(CoreMachine, settings=settings(SETTINGS, max_examples=50))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_core_agrees_with_a_naive_model_for_long() -> None:
    """The same, ten times as often."""
    run_state_machine_as_test(CoreMachine, settings=settings(SETTINGS, max_examples=2000))
