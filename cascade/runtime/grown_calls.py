"""What remembered calls returned instead of a value: what is stored of it, and what is read again.

In: lazy values that nodes returned; what the store has of them. Out: a `Grown`, or a lazy value made of what there is
now. Invariant: the calls that come back are looked up on their own, with their code and their Params of now; in doubt
nothing is stored, and the function is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.literals import Problem
from cascade.graph.model import REFS, Ref, ResourceRef
from cascade.identity.errors import IdentityError
from cascade.interfaces.exceptions import GraphFormatError
from cascade.runtime.expressions import read_growth, write_growth
from cascade.runtime.held import are_calls_held
from cascade.runtime.surroundings import Surroundings, brings_tasks
from cascade.spec.cache import ByContent, Never, TimeToLive

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CachePolicy
    from cascade.interfaces.records import Grown
    from cascade.runtime.flow import Flow
    from cascade.runtime.maps import Row

__all__ = ["UNREAD", "GrownCalls"]

UNREAD: Final = object()  # in the place of a value that cannot be made any more
_POLICIES: Final = (ByContent, TimeToLive)  # those that do not ask for the value


class GrownCalls:
    """Keeps, for one flow, what its nodes returned instead of values. On the rebuilder's thread.

    Args:
        policies: of the nodes that are remembered. complain: tells why a node's result is not.
    """

    __slots__ = ("_around", "_complain", "_flow", "_policies", "_told")

    def __init__(self, flow: Flow, policies: Mapping[int, CachePolicy], complain: Callable[[int, str], None]) -> None:
        """Know nothing yet."""
        self._flow = flow
        self._policies = policies
        self._complain = complain
        self._around: dict[int, Surroundings] = {}
        self._told: set[int] = set()

    def keep(self, node: int, row: Row | None, value: object, *, is_shared: bool) -> Grown | None:
        """Return what is to be stored of the lazy `value` of a node, None where nothing is; that is said once.

        Args:
            row: the arguments of an item. is_shared: something else holds the value, too.
        """
        policy = self._policies[node]
        if type(policy) not in _POLICIES:
            if type(policy) is not Never:
                self._tell(
                    node,
                    "it returned calls, which its cache policy cannot judge. Give the policy to these calls, "
                    "with_cache(…) or pure=True: each is then looked up on its own. cache=True or cs.cache.ttl(…) "
                    "here would keep which calls they are",
                )
            return None
        try:
            self._refuse(node, row, value, is_shared=is_shared)
            live = tuple(self._flow.resources.values.values())  # the driver may add to them
            grown, forgotten = write_growth(value, self._around_of(node), self._flow.settings.redact, live)
        except (Problem, GraphFormatError, IdentityError) as problem:
            why = str(problem).removeprefix("The graph cannot be written as JSON. ").rstrip(".")
            self._tell(
                node,
                f"it returned calls, and which ones they are cannot be stored: {why}. So it is called in each run; the "
                "calls are looked up on their own",
            )
            return None
        options = self._flow.graph.options(node)
        if forgotten and options is not None and options.cache:
            self._tell(
                node,
                "it returned calls, and the policy holds for which calls they are, not for their values. Give the "
                f"policy to these calls, with_cache(…) or pure=True, as '{forgotten}' has none",
            )
        return grown

    def _refuse(self, node: int, row: Row | None, value: object, *, is_shared: bool) -> None:
        """Refuse calls that others may use, too, and those of which the key knows too little.

        Raises:
            Problem: with the reason.
        """
        if node in self._flow.graph.jumps:
            raise Problem("it is a loop")
        if self._flow.graph.calls[node]._task.ignore:  # noqa: SLF001 - a recorded call has no public face for it
            raise Problem("it ignores arguments, of which its key knows nothing, and they may stand in the calls")
        if lazy := self._around_of(node).lazy:
            raise Problem(f"its code uses '{lazy}' from outside, of which its key knows the name only")
        if brings_tasks(self._arguments(node, row)):
            raise Problem("a task, a function or an object with tasks is among its arguments")
        if are_calls_held(value, is_shared=is_shared):
            raise Problem("something else holds some of them, too, and another call may return the same")

    def _arguments(self, node: int, row: Row | None) -> Iterator[Any]:
        """Yield what a node, or an item, was called with, but for resources."""
        if row is not None:
            yield from (*row[1], *row[2].values())
            return
        graph, resolve = self._flow.graph, self._flow.arguments.resolve
        plain = map(Ref, graph.args[node]) if graph.shapes[node] == REFS else graph.args[node]
        for slot in (*plain, *graph.kwargs.get(node, {}).values()):
            if type(slot) is not ResourceRef:
                yield resolve(slot)

    def read(self, node: int, row: Row | None, grown: Grown) -> Any:
        """Return the lazy value that a node returned once, `UNREAD` if its calls cannot be made any more."""
        try:
            around = self._around_of(node)
            if node in self._flow.graph.jumps or around.lazy or brings_tasks(self._arguments(node, row)):
                return UNREAD
            return read_growth(grown, around)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the function can say what it returns now
            return UNREAD

    def _around_of(self, node: int) -> Surroundings:
        task = self._flow.graph.calls[node]._task  # noqa: SLF001
        found = self._around.get(id(task))
        if found is None:
            found = self._around[id(task)] = Surroundings(task)
        return found

    def _tell(self, node: int, why: str) -> None:
        """Say something once for each task."""
        task = self._flow.graph.calls[node]._task  # noqa: SLF001
        if id(task) not in self._told:
            self._told.add(id(task))
            self._complain(node, why)
