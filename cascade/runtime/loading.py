"""Which calls travel together: short ones in one bundle, with those that follow from them alone.

In: attempts, and how long calls of their tasks took so far. Out: loads, packed. Invariant: only calls known to be short
travel together, and only those that nothing may hold back between them (a limit, a capacity, a timeout, a condition, a
pause that is in force); what a bundle ran ahead of the core becomes known only when the core lets it start.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pickle import loads
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.model import MAP, PROCESS, THREAD
from cascade.interfaces.cluster import ClusterError
from cascade.interfaces.exceptions import CascadeError
from cascade.interfaces.sending_errors import UnsendableError
from cascade.runtime import states as st
from cascade.runtime.arguments import Arguments
from cascade.runtime.bundles import Began, Ended, Kept, Order, Over, Said, Step
from cascade.runtime.cluster_values import Own, Packer, Prior, RemoteValue, unreadable
from cascade.runtime.pace import TARGET, Pace
from cascade.runtime.parcels import unpack
from cascade.runtime.shipments import Portable
from cascade.runtime.worker_output import repeat

if TYPE_CHECKING:
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.flow import Flow
    from cascade.runtime.heads import Head
    from cascade.runtime.locality import Locality
    from cascade.runtime.maps import Row

__all__ = ["Freight", "Load", "Loading"]

SHORT: Final = 0.015  # seconds below which a call is short
FLOW: Final = 50_000_000  # bytes a second: what stays counts as if it took this time, so a bundle's are 1 MB at most
FEW: Final = 1000  # values of a map that are looked at to tell where they are
LARGE: Final = 150_000  # bytes whose way from one worker to another takes as long as a submission
NEAR: Final = 0.2  # seconds below which the next call is sent while a worker is at it, so that it need not wait


@dataclass(slots=True, eq=False)
class Freight:
    """One call of a bundle, and what has been told of it.

    Args:
        attempt: None while the core has not let it start. row: of an attempt that has several items of a map.
    """

    node: int
    label: str
    attempt: Attempt | None
    row: Row | None = None
    needs: tuple[int, ...] = ()
    output: list[Any] = field(default_factory=list)
    is_told: bool = False
    is_coming: bool = False
    seconds: float = 0.0
    value: Any = None
    error: BaseException | None = None
    head: Head | None = None

    def read(self, data: bytes) -> None:
        """Take a value that travelled with its message."""
        try:
            self.value = loads(data)  # noqa: S301 - from a worker, which runs the user's code anyway
        except BaseException as error:  # noqa: BLE001 - unpickling runs the user's code
            self.error = unreadable(self.label, error)


@dataclass(slots=True, eq=False)
class Load:
    """A bundle, from being put together to its end.

    Attributes:
        token: of what it leaves on the cluster. place: of its worker. seconds: that it will take, as far as known.
        rows: outcomes of items of a map. coming: values that are on their way here.
        wanted: those that the next answer brings.
    """

    name: str
    freight: list[Freight] = field(default_factory=list)
    token: Any = None
    place: str = ""
    seconds: float = 0.0
    is_short: bool = False
    is_over: bool = False
    is_stopping: bool = False
    coming: int = 0
    told: list[Freight] = field(default_factory=list)
    wanted: list[Freight] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)

    @classmethod
    def of_one(cls, name: str, attempt: Attempt) -> Load:
        """Return a bundle of one attempt."""
        made = cls(name)
        made.add(attempt)
        return made

    def add(self, attempt: Attempt, seconds: float = 0.0) -> None:
        """Take one more attempt, which may be of several items."""
        self.seconds += seconds
        label = attempt.name if attempt.index is None else f"{attempt.name}[{attempt.index}]"
        if attempt.rows is None:
            self.freight.append(Freight(attempt.node, label, attempt))
            return
        for row in attempt.rows:
            self.freight.append(Freight(attempt.node, f"{attempt.name}[{row[0]}]", attempt, row))

    def began(self, place: str) -> None:
        """A worker has begun with it, perhaps not the first one."""
        if self.place and self.place != place:
            for freight in self.freight[:1]:
                if freight.attempt is not None:
                    freight.attempt.write("stderr", "Its worker was lost; another one begins anew.\n", "warning")
        self.place = place

    def read(self, messages: Iterable[Any]) -> None:
        """Take what a worker tells; not under the lock, since it may hold values and errors of the user's classes."""
        for message in messages:
            kind = type(message)
            if kind is Said:
                self._repeat(message)
            elif kind is Began:
                self.began(message.place)
            elif kind is Over:
                self.is_over = True
            elif kind is Ended and not self.freight[message.step].is_told:
                self._end(self.freight[message.step], message)

    def _end(self, freight: Freight, message: Ended) -> None:
        freight.is_told = True
        freight.seconds = message.seconds
        if message.error is not None:
            freight.error = unpack(message.error, freight.label)
        elif isinstance(message.value, Kept):
            kept = message.value
            freight.value = RemoteValue(
                self.token, message.step, freight.label, kept.summary, kept.size, place=self.place
            )
            freight.head = kept.head
        else:
            freight.read(message.value or b"")
        self.told.append(freight)

    def _repeat(self, message: Said) -> None:
        freight = self.freight[message.step]
        attempt = freight.attempt
        if attempt is None:
            freight.output.extend(message.pieces)
            return
        if freight.row is not None:
            attempt.index, attempt.row = freight.row[0], freight.row
        repeat([message.pieces], attempt)

    def holds(self, attempt: Attempt) -> bool:
        """Whether `attempt` is in it."""
        return any(freight.attempt is attempt for freight in self.freight)

    def stop_all(self) -> None:
        """Note that nobody wants it any more."""
        self.is_stopping = True
        for freight in self.freight:
            if freight.attempt is not None:
                freight.attempt.stopping = True

    @property
    def attempts(self) -> list[Attempt]:
        """Those that have not been settled."""
        found = {
            f.attempt: None for f in self.freight if f.attempt is not None and (f.row is not None or not f.is_told)
        }
        return list(found)

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for any of it."""
        return all(f.attempt is None or f.attempt.given_up or f.attempt.stopping for f in self.freight)


class Loading:
    """Puts the bundles of one flow together. Under the flow's lock, but for `pack`."""

    __slots__ = ("_ahead", "_count", "_locality", "_pickled", "flow", "pace")

    def __init__(self, flow: Flow, locality: Locality) -> None:
        """Know nothing yet."""
        self.flow = flow
        self._locality = locality
        self._count = 0
        self.pace = Pace(flow)
        self._pickled: dict[Any, bytes] = {}
        self._ahead: dict[int, Freight] = {}

    def name_of(self, node: int) -> str:
        """Return a name for a bundle; a dashboard groups by what stands before the first dash."""
        self._count += 1
        name = self.flow.graph.label(node).replace("-", "_")
        return f"{name}-{self.flow.journal.run_id}-{self._count}"

    # -- what is known of tasks -----------------------------------------------------------------------------------

    def _task(self, node: int) -> Any:
        return getattr(self.flow.graph.calls[node], "_task", None)

    def learn(self, freight: Freight) -> None:
        """Note how long a call took; those whose values are large enough travel alone from now on."""
        weight, value = freight.seconds, freight.value
        if type(value) is RemoteValue:  # a bundle's values are kept, and brought here, together
            weight = max(weight, value.size / FLOW) if value.size else math.inf
        self.pace.learn(freight.node, freight.seconds, weight)

    def is_short(self, attempt: Attempt) -> bool:
        """Whether others may travel with `attempt`."""
        is_plain = attempt.row is None and attempt.ticket is None
        return is_plain and self.fits(attempt.node, is_taken=True) and self.home_of(attempt.node) is not None

    def home_of(self, node: int) -> str | None:
        """Return the worker where the large values are that `node` takes: "" if it takes none, None if they are apart.

        Calls with different homes do not travel together: the values of some would have to move, and all would wait.
        """
        flow, bulk = self.flow, Counter[str]()
        for need in flow.graph.needs_of(node):
            value = flow.values[need]
            for part in value[:FEW] if flow.graph.kinds[need] == MAP and type(value) is list else (value,):
                if type(part) is RemoteValue:
                    bulk[part.place] += part.size
        homes = [place for place, size in bulk.items() if size >= LARGE]
        return homes[0] if len(homes) == 1 else None if homes else ""

    def ends_soon(self, attempt: Attempt) -> bool:
        """Whether the next call may be sent after `attempt` before that has ended; none may that has a timeout."""
        plain = not self.flow.special[attempt.node] and not self.flow.core.limits.active
        return plain and self.pace.guess(attempt.node) * len(attempt.rows or (0,)) < NEAR

    def fits(self, node: int, *, is_taken: bool = False) -> bool:
        """Whether `node` is a short call that nothing but its needs holds back."""
        flow, graph = self.flow, self.flow.graph
        return (
            graph.kinds[node] != MAP
            and not flow.special[node]
            and (is_taken or not flow.core.hold[node])
            and node not in graph.routes
            and not flow.settings.stepping
            and not flow.core.limits.active
            and self.pace.of(node) < SHORT
        )

    # -- ahead of the core ----------------------------------------------------------------------------------------

    def look_ahead(self, load: Load) -> None:
        """Add calls to `load` that need nothing but what it makes and what is there."""
        flow, graph = self.flow, self.flow.graph
        places = {freight.node: number for number, freight in enumerate(load.freight)}
        homes = ("", self.home_of(load.freight[0].node))
        at = 0
        while at < len(load.freight) and load.seconds < TARGET and not flow.core.paused:
            for node in graph.succ[load.freight[at].node]:
                if node in places or node in self._ahead or flow.core.state[node] != st.PENDING:
                    continue
                if graph.modes[node] not in (THREAD, PROCESS) or not self.fits(node):
                    continue
                if self.home_of(node) not in homes:
                    continue
                needs = graph.needs_of(node)
                if any(need in places for need in self._locality.touched_by(node)):
                    continue
                if all(need in places or flow.core.state[need] == st.DONE for need in needs):
                    places[node] = len(load.freight)
                    inside = tuple([places[need] for need in dict.fromkeys(needs) if need in places])
                    freight = Freight(node, graph.label(node), None, needs=inside)
                    load.freight.append(freight)
                    load.seconds += self.pace.of(node)
                    self._ahead[node] = freight
                    if load.seconds >= TARGET:
                        return
            at += 1

    def was_ahead(self, attempt: Attempt, settle: Callable[[Attempt, Freight], None]) -> bool:
        """Say whether `attempt` runs, or has run, in a bundle already; it is settled as that ends."""
        freight = self._ahead.get(attempt.node)
        if freight is None or attempt.row is not None or attempt.number > 1:
            return False
        freight.attempt = attempt
        if freight.is_told and not freight.is_coming:
            del self._ahead[attempt.node]
            settle(attempt, freight)
        return True

    def keep(self, freight: Freight) -> None:
        """What ran ahead has ended before the core let it start: it stays in the books until then."""
        self._ahead.setdefault(freight.node, freight)

    def forget(self, load: Load) -> None:
        """`load` is over: what it did not come to is nobody's any more."""
        for freight in load.freight:
            known = self._ahead.get(freight.node)
            if known is freight and (freight.attempt is not None or not freight.is_told):
                del self._ahead[freight.node]

    # -- packing --------------------------------------------------------------------------------------------------

    def resources_of(self, load: Load, most: Mapping[str, float]) -> dict[str, float]:
        """Return what `load` takes of the resources that workers declare; cascade's own capacities are taken already.

        Raises:
            ClusterError: when no worker has so much.
        """
        found: dict[str, float] = {}
        names = {name.casefold(): name for name in most}
        for freight in load.freight[:1]:
            for name, amount in freight.attempt.amounts if freight.attempt is not None else ():
                known = name if name in most else names.get(name.casefold())
                if known is None:
                    continue
                if amount > most[known]:
                    raise ClusterError.for_resource(freight.label, known, amount, most[known])
                found[known] = amount
        return found

    def pack(self, load: Load) -> tuple[bytes, list[Any]]:
        """Return the order and the tokens of what it needs. Not under the lock.

        Raises:
            Exception: when something in it cannot travel.
        """
        packer = Packer()
        numbers: dict[bytes, int] = {}
        inside = {freight.node: n for n, freight in enumerate(load.freight)} if len(load.freight) > 1 else {}
        steps = []
        for freight in load.freight:
            function = self._pickle_function(freight, packer)
            number = numbers.setdefault(function, len(numbers))
            arguments, resources = self._gather(freight, inside)
            steps.append(Step(freight.label, number, self._pack(packer, freight, arguments), freight.needs, resources))
        first = load.freight[0]
        state = self.flow.map_side.states.get(first.node) if first.row is not None else None
        order = Order(
            load.name,
            tuple(numbers),
            tuple(steps),
            is_heard=True,  # what is printed far away is to be read here, as with threads
            stops_at_error=state is not None and not state.collect,
            wants_heads=self.flow.heads is not None,
        )
        from pickle import dumps

        return dumps(order, protocol=5), packer.tokens

    def _pickle_function(self, freight: Freight, packer: Packer) -> bytes:
        task = self._task(freight.node)
        function = freight.attempt.function if freight.attempt is not None else task.func
        made = self._pickled.get(function)
        if made is None:
            try:
                made = packer.pack(Portable(task) if task.func is function else function)
            except Exception as error:
                raise UnsendableError.for_part("function", freight.label, error) from error
            self._pickled[function] = made
        return made

    def _gather(self, freight: Freight, inside: Mapping[int, int]) -> tuple[Any, bytes]:
        flow, attempt = self.flow, freight.attempt
        if attempt is None:
            overlay: Any = _Overlay(
                flow.values, {node: Prior(inside[node]) for node in flow.graph.needs_of(freight.node) if node in inside}
            )
            return Arguments(flow.graph, overlay, flow.inputs, flow.resources.values).of(freight.node), b""
        own = {name: Own(name) for name in attempt.own}
        if freight.row is not None:
            attempt.row = freight.row
        arguments = flow.gather(attempt, own)
        if not own:
            return arguments, b""
        for name, resource in attempt.own.items():
            if resource.is_async or any(need.name not in own for need in resource.needs.values()):
                raise CascadeError(
                    f"Task '{attempt.name}' runs on a cluster and cannot use the resource '{name}' there: it is made "
                    "by an async function, or needs a resource of the whole run. Make it by a plain function, of "
                    'resources with scope="task".'
                )
        from cloudpickle import dumps

        return arguments, dumps(dict(attempt.own))

    def _pack(self, packer: Packer, freight: Freight, arguments: Any) -> bytes:
        try:
            return packer.pack(arguments)
        except Exception as error:
            names = self.flow.graph.resources.get(freight.node, ())
            shared = [name for name in names if name in self.flow.resources.values]
            if shared:
                raise CascadeError(
                    f"The resource '{shared[0]}' of task '{freight.label}' lives in this process and cannot travel to "
                    f'a cluster ({error}). Define it with scope="task", and each call makes its own on its worker.'
                ) from error
            raise UnsendableError.for_part("arguments", freight.label, error) from error


class _Overlay:
    """The values of a flow, with those that a bundle is yet to make in their places."""

    __slots__ = ("_over", "_values")

    def __init__(self, values: list[Any], over: dict[int, Prior]) -> None:
        self._values = values
        self._over = over

    def __getitem__(self, node: int) -> Any:
        return self._over[node] if node in self._over else self._values[node]
