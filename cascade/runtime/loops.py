"""Loops: a node that is called again and again, as the jumps that it returns say.

In: attempts that ended with a `Jump`. Out: the next turn of the node, or its value. Invariant: a turn is an attempt;
between two turns the node is like any other that is ready. What a loop keeps does not grow with its turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.model import MODES
from cascade.interfaces.exceptions import JumpError
from cascade.runtime import journal as jr
from cascade.runtime import scheduler as core_
from cascade.spec.policy import UNSET

if TYPE_CHECKING:
    from cascade.graph.model import Machine, State
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.flow import Flow
    from cascade.spec.control import Jump

__all__ = ["Loops", "ending"]

TELL: Final = 0.05  # seconds between two records of a loop's turns


class _Turn:
    """Where a loop is: what is called next, and what was told of it.

    Attributes:
        began: when the first turn did. is_kept: the capacities and resources of the last turn were not given back,
            since nobody waits for them.
    """

    __slots__ = ("args", "began", "count", "function", "is_kept", "key", "kwargs", "told", "told_at")

    def __init__(self, began: float) -> None:
        self.began = began
        self.count = self.told = 0
        self.key = ""
        self.told_at = 0.0
        self.is_kept = False
        self.function: Callable[..., Any] | None = None
        self.args: tuple[object, ...] = ()
        self.kwargs: Mapping[str, object] = {}


class Loops:
    """The loops of one flow. Everything here runs under the flow's lock, unless it says otherwise."""

    __slots__ = ("_turns", "flow")

    def __init__(self, flow: Flow) -> None:
        """No loop has turned."""
        self.flow = flow
        self._turns: dict[int, _Turn] = {}

    def turn(self, attempt: Attempt, jump: Jump) -> bool:
        """Go on where `jump` leads; say whether there is another turn. If so, the attempt is settled.

        Raises:
            JumpError: when it leads nowhere, or the loop has turned too often.
        """
        flow, node = self.flow, attempt.node
        machine = flow.graph.jumps.get(node)
        label = flow.graph.label(node)
        if machine is None or attempt.index is not None:
            raise JumpError.for_unbound(label, jump.key)
        state = _find(machine, label, jump)
        if state is None:
            return False
        turn = self._turns.setdefault(node, _Turn(attempt.started))
        if turn.count >= machine.max_jumps:
            raise JumpError.for_excess(label, turn.count)
        turn.args, turn.kwargs = _merge(state, jump.data)
        turn.function = state.task.func
        turn.count += 1
        turn.key = flow.settings.redact(str(jump.key))[:80]
        if turn.count == 1 or flow.now() - turn.told_at > TELL:
            self._tell(node, turn)
        flow.outcomes.tries.pop(node, None)
        self._give_back(attempt, turn)
        flow.graph.modes[node] = MODES[state.task.mode]
        flow.shared = flow.shared or bool(flow.graph.modes[node])
        flow.core.state[node] = core_.PENDING
        flow.core.offer_last(node)
        return True

    def _tell(self, node: int, turn: _Turn) -> None:
        turn.told_at, turn.told = self.flow.now(), turn.count
        self.flow.record((jr.TURNED, turn.told_at, node, turn.count, turn.key))

    def end(self, node: int) -> float:
        """The loop at `node` has its value: tell of its last turns; return when its first one began."""
        turn = self._turns[node]
        if turn.told < turn.count:
            self._tell(node, turn)
        return turn.began

    def _give_back(self, attempt: Attempt, turn: _Turn) -> None:
        """Keep for the next turn what the last one held, unless others wait for some of it."""
        flow, node = self.flow, attempt.node
        if attempt.ticket:
            flow.outcomes.leave_limits(attempt.ticket)
            attempt.ticket = None
        others = flow.core.ledger.is_wanted or any(flow.core.ready)
        if others or not (attempt.amounts or attempt.resources):
            flow.outcomes.give_back(attempt)
            return
        turn.is_kept = True
        if attempt.amounts:
            flow.core.keep(node)

    def prepare(self, attempt: Attempt) -> None:
        """Make `attempt` the next turn of its loop, if that has turned; it may hold already what it needs."""
        turn = self._turns.get(attempt.node)
        if turn is not None and turn.function is not None:
            attempt.function = turn.function
            attempt.is_turn = True
            attempt.holds, turn.is_kept = turn.is_kept, False

    def arguments(self, node: int, own: Mapping[str, object] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what the current turn of `node` is called with. Not under the lock."""
        turn = self._turns[node]
        resolve = self.flow.arguments.resolve
        return tuple([resolve(a, own) for a in turn.args]), {k: resolve(v, own) for k, v in turn.kwargs.items()}

    def let_go(self) -> None:
        """The run is cancelled: what is kept between turns is given back."""
        for node, turn in self._turns.items():
            self._let_go_of(node, turn)

    def drop(self, node: int) -> None:
        """`node`, if it is a loop between two turns, will turn no more: others may have what it keeps."""
        if node in self._turns:
            self.let_go_of(node)

    def let_go_of(self, node: int) -> None:
        """A limit holds the loop `node` between two turns: others may have what it keeps."""
        turn = self._turns[node]
        if turn.is_kept:
            self._let_go_of(node, turn)
            self.flow.core.give_up_grant(node)

    def _let_go_of(self, node: int, turn: _Turn) -> None:
        if turn.is_kept:
            turn.is_kept = False
            self.flow.outcomes.give_back_of(node, None, self.flow.core.amounts.get(node, ()), self._resources(node))

    def _resources(self, node: int) -> tuple[str, ...]:
        names = self.flow.graph.resources.get(node)
        return self.flow.resources.uses(names)[0] if names else ()


def ending(jump: Jump) -> Any:
    """Return the value of a loop that `jump` ended."""
    return None if jump.data is UNSET else jump.data


def _find(machine: Machine, label: str, jump: Jump) -> State | None:
    try:
        return machine.states[jump.key]
    except (KeyError, TypeError):
        raise JumpError.for_key(label, jump.key, machine.states) from None


def _merge(state: State, data: Any) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """Put the data of a jump where the state has arguments of the same names."""
    if data is UNSET:
        return state.args, state.kwargs
    names = state.task.positional
    if not isinstance(data, dict):
        first = 1 if state.task.is_method else 0  # the object or class is no data
        if len(names) > first and names[first] in state.kwargs:
            return state.args, {**state.kwargs, names[first]: data}
        return (*state.args[:first], data, *state.args[first + 1 :]), state.kwargs
    args, kwargs = list(state.args), dict(state.kwargs)
    parameters = state.task.signature.parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name, value in data.items():
        if name not in parameters and not takes_any:
            raise JumpError.for_argument(state.task.name, name, parameters)
        if name in names and names.index(name) < len(args):
            args[names.index(name)] = value
        else:
            kwargs[name] = value
    return tuple(args), kwargs
