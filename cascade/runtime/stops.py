"""Attempts that are to stop: their time is over, their run is cancelled, nobody needs their value any more.

In: attempts that run. Out: cancels, ended processes, attempts that are given up. Invariant: what cannot be stopped is
named, and keeps what it holds until it ends; nobody waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade.graph.model import LOOP, MAP, PROCESS
from cascade.interfaces.exceptions import NodeTimeoutError
from cascade.runtime import journal as jr

if TYPE_CHECKING:
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.flow import Flow

__all__ = ["AGAIN", "Stops"]

AGAIN = 0.4  # seconds between two cancels of an async attempt that does not stop
PATIENCE = 3  # rounds of that length which a cancelled run waits for an async attempt
STUBBORN = 5  # cancels after which an async attempt is called abandoned


class Stops:
    """Stops attempts of one flow. Everything here runs under the flow's lock."""

    __slots__ = ("_cancels", "flow")

    def __init__(self, flow: Flow) -> None:
        """Stop nothing yet."""
        self.flow = flow
        self._cancels: dict[Attempt, int] = {}

    def cancelled(self, attempt: Attempt) -> None:
        """`attempt` ended because it was to stop."""
        flow = self.flow
        reason = flow.parts.dropped.get(attempt.node, flow.cancel_reason)
        flow.record((jr.NODE_CANCELLED, flow.now(), attempt.node, attempt.index, reason))
        if flow.graph.kinds[attempt.node] == MAP:
            flow.map_side.finish_if_over(attempt.node)
        else:
            flow.core.stop(attempt.node)

    def drop(self, nodes: set[int]) -> None:
        """Stop what runs of `nodes`, whose values nobody needs any more."""
        flow = self.flow
        for attempt in [a for a in flow.running if a.node in nodes and not a.given_up]:
            if attempt.mode == LOOP:
                self._stop_until_ended(attempt)
                continue
            self._let_go(attempt, "is not needed any more")
            self.cancelled(attempt)

    def attempt_timed_out(self, attempt: Attempt, seconds: float) -> None:
        """The time of `attempt` is over: stop it if it can be stopped, else go on without it."""
        flow = self.flow
        if attempt not in flow.running or attempt.given_up or attempt.timed_out:
            return
        attempt.timed_out = True
        if attempt.mode == LOOP:
            self._stop_until_ended(attempt)
            return
        self._let_go(attempt, f"took longer than {seconds:g} s")
        flow.outcomes.decide(attempt, NodeTimeoutError.after(flow.outcomes.label(attempt), seconds))

    def _let_go(self, attempt: Attempt, why: str) -> None:
        """Go on without an attempt that is not async; its process is ended, if that can be."""
        flow = self.flow
        ends = attempt.mode == PROCESS and flow.process_side.ends_workers
        fate = "its process is ended" if ends else "it cannot be stopped and goes on until it ends"
        self._give_up(attempt, f"{why}; {fate}")
        if attempt.mode == PROCESS:
            flow.process_side.end_worker_of(attempt)

    def _stop_until_ended(self, attempt: Attempt) -> None:
        flow = self.flow
        if attempt not in flow.running or attempt.given_up:
            self._cancels.pop(attempt, None)
            return
        count = self._cancels[attempt] = self._cancels.get(attempt, 0) + 1
        if count > STUBBORN:
            self._give_up(attempt, "does not stop")
            if attempt.node in flow.parts.dropped:
                self.cancelled(attempt)
            else:
                flow.outcomes.decide(attempt, flow.outcomes.timeout_of(attempt))
            return
        flow.loop_side.stop([attempt])
        flow.set_timer(AGAIN, lambda: self._stop_until_ended(attempt))

    def _give_up(self, attempt: Attempt, reason: str) -> None:
        attempt.given_up = True
        if attempt.index is not None:
            self.flow.map_side.item_ended(attempt)
        self.flow.record((jr.ABANDONED, self.flow.now(), attempt.node, attempt.index, reason))

    def give_up_threads(self) -> None:
        """The grace after a cancel is over: name what does not stop, and go on without it."""
        flow = self.flow
        flow.resources.give_up_opening()
        for attempt in [a for a in flow.running if not a.given_up]:
            is_ending = attempt.mode == LOOP or (attempt.mode == PROCESS and flow.process_side.ends_workers)
            patience = STUBBORN if attempt.closing else PATIENCE if is_ending else 0
            self._cancels[attempt] = self._cancels.get(attempt, 0) + 1
            if self._cancels[attempt] > patience:
                self._give_up(attempt, "was told to stop, but goes on until it ends")
                if flow.graph.kinds[attempt.node] == MAP:
                    flow.map_side.finish_if_over(attempt.node)
                else:
                    flow.record((jr.NODE_CANCELLED, flow.now(), attempt.node, None, flow.cancel_reason))
                    flow.core.stop(attempt.node)
        if any(not a.given_up for a in flow.running):
            flow.set_timer(AGAIN, self.give_up_threads)
