"""Step mode: each start of an attempt waits for someone's Next.

In: who is ready, and each Next. Out: may this node start now, and which nodes to queue again. Invariant: `Stepping` is
pure, like all that the scheduler core asks; while it is in force exactly as many attempts start as there were Nexts,
and a Next that finds nobody ready is used by the next one that is.

A start is an attempt of a node: an item of a map, a turn of a loop and a new try each take a Next of their own. What
comes from the store does not start, so it takes none. The time that a run spends in step mode is somebody's thinking:
it does not count against the run's own timeout (that of a task counts, since its attempt really runs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cascade.interfaces import events as ev
from cascade.interfaces.step_errors import UnknownNodeError
from cascade.runtime.states import PENDING, RUNNING

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow

__all__ = ["StepSide", "Stepping"]

_TO_COME = (PENDING, RUNNING)


class Stepping:
    """Who is held, and whose turn it is.

    Attributes:
        held: nodes that only wait for a Next, with their places in the plan; the least comes first.
    """

    __slots__ = ("_owed", "_turns", "held")

    def __init__(self) -> None:
        """Begin with nobody held and no turn given."""
        self.held: dict[int, int] = {}
        self._turns: dict[int, int] = {}
        self._owed = 0

    def has_turn(self, node: int) -> bool:
        """Say whether `node` may start; a Next that found nobody ready is its own from now on."""
        if self._turns.get(node):
            return True
        if self._owed:
            self._owed -= 1
            self._turns[node] = 1
            return True
        return False

    def hold(self, node: int, place: int) -> bool:
        """Keep `node`, which could start but for a Next; say whether it was not held before."""
        is_new = node not in self.held
        self.held[node] = place
        return is_new

    def begin(self, node: int) -> None:
        """An attempt of `node` starts: its turn is used."""
        left = self._turns.get(node, 0) - 1
        if left > 0:
            self._turns[node] = left
        else:
            self._turns.pop(node, None)

    def next(self, count: int, node: int | None = None) -> list[int]:
        """Give `count` turns, to `node` or else to those that come first; return the nodes to queue again.

        A chosen node that is not ready keeps its turns until it is.
        """
        if node is not None:
            self._turns[node] = self._turns.get(node, 0) + count
            return [node] if self.held.pop(node, None) is not None else []
        freed = sorted(self.held, key=self.held.__getitem__)[:count]
        for chosen in freed:
            del self.held[chosen]
            self._turns[chosen] = self._turns.get(chosen, 0) + 1
        self._owed += count - len(freed)
        return freed

    def drop(self, node: int) -> list[int]:
        """`node` ended without a start: its turns are others'; return the nodes to queue again."""
        self.held.pop(node, None)
        turns = self._turns.pop(node, 0)
        return self.next(turns) if turns else []


class StepSide:
    """Step mode of one flow: enters it, leaves it, keeps its time. All methods are called under the flow's lock."""

    __slots__ = ("_counted", "_is_due", "_is_to_begin", "_look", "_since", "_spent", "flow")

    def __init__(self, flow: Flow) -> None:
        """Begin outside of step mode."""
        self.flow = flow
        self._since: float | None = None  # when step mode began, None outside of it
        self._is_to_begin = flow.settings.stepping  # until the driver gets there
        self._spent = 0.0  # seconds in step mode so far
        self._counted = 0.0  # of them, those by which the run's timeout has been put off
        self._is_due = False  # the run's time came while it was in step mode
        self._look: Callable[[], None] = _nothing

    @property
    def is_on(self) -> bool:
        """Whether the run goes step by step, or will from its first start on."""
        return self._since is not None or self._is_to_begin

    @property
    def ready(self) -> list[int]:
        """The nodes that a Next would start, the first one first; may be asked without the lock."""
        stepping = self.flow.core.limits.stepping
        held = dict(stepping.held) if stepping is not None else {}
        return [n for n in sorted(held, key=held.__getitem__) if self.flow.core.may_be_taken(n)]

    def find(self, name: str) -> int:
        """Return the node with this id or name; of several with one name, the first that has not ended.

        Raises:
            UnknownNodeError: when there is none.
        """
        graph, state = self.flow.graph, self.flow.core.state
        found = [n for n, (i, label) in enumerate(zip(graph.ids, graph.labels, strict=False)) if name in (i, label)]
        if not found:
            raise UnknownNodeError.in_run(name, graph.labels)
        return next((n for n in self.ready if n in found), next((n for n in found if state[n] in _TO_COME), found[0]))

    def enter(self) -> None:
        """Hold every start from now on."""
        self._is_to_begin = False
        if self._since is not None or self.flow.core.cancelling:
            return
        self._since = self.flow.now()
        self.flow.core.limits.set_stepping(Stepping())
        self.flow.journal.tell(ev.StepModeEntered)

    def leave(self) -> None:
        """Let everything start that is held."""
        stepping = self.flow.core.limits.stepping
        if self._since is None or stepping is None:
            return
        self._spent += self.flow.now() - self._since
        self._since = None
        self.flow.core.limits.set_stepping(None)
        self.flow.journal.tell(ev.StepModeLeft)
        self._offer(sorted(stepping.held, key=stepping.held.__getitem__))
        if self._is_due:
            self._is_due = False
            self._put_off()

    def next(self, count: int, node: int | None = None) -> None:
        """Let `count` attempts start, of `node` or else of those that come first; enters step mode."""
        self.enter()
        stepping = self.flow.core.limits.stepping
        if stepping is None:
            return
        for gone in [n for n in stepping.held if not self.flow.core.may_be_taken(n)]:
            del stepping.held[gone]  # it was skipped meanwhile
        self._offer(stepping.next(count, node))

    def _offer(self, nodes: list[int]) -> None:
        for node in nodes:
            if self.flow.core.may_be_taken(node):
                self.flow.core.offer(node)

    # -- the run's timeout ------------------------------------------------------------------------------------------

    def watch(self, seconds: float, give_up: Callable[[], None]) -> None:
        """Call `give_up` when the run has taken `seconds`, not counting those in step mode."""

        def look() -> None:
            if self.is_on:
                self._is_due = True
            elif self._spent > self._counted:
                self._put_off()
            else:
                give_up()

        self._look = look
        self.flow.set_timer(seconds, look)

    def _put_off(self) -> None:
        more, self._counted = self._spent - self._counted, self._spent
        self.flow.set_timer(more, self._look)


def _nothing() -> None:
    """Stands for the end of a run that has no timeout."""
