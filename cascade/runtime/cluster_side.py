"""A cluster: attempts that run on workers elsewhere, and values that stay there.

In: nodes of mode ``compute`` and ``blocking``. Out: bundles submitted, outcomes settled. Invariant: nobody waits for
ever: not for a cluster that does not answer, not for one without workers, not for a worker that has gone; and a value
that is needed here is fetched before anyone here hears that it is there.

The cluster tells what a bundle does while it does it (`cascade.runtime.bundles`); that its call has ended counts only
when the telling broke off.
"""

from __future__ import annotations

import math
from collections import deque
from pickle import loads
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.model import MAP, PROCESS
from cascade.interfaces.cluster import ClusterError
from cascade.interfaces.exceptions import WorkerDiedError
from cascade.runtime.arguments import GONE
from cascade.runtime.bundles import bundles_here, run_bundle, stop_bundles
from cascade.runtime.cluster_link import ClusterLink
from cascade.runtime.cluster_remains import leave_to
from cascade.runtime.cluster_values import RemoteValue, bring, explain_loss, glance, is_remote
from cascade.runtime.loading import Freight, Load, Loading
from cascade.runtime.locality import Locality
from cascade.runtime.pace import TARGET
from cascade.runtime.threads import run_in_thread
from cascade.runtime.worker_output import repeat

if TYPE_CHECKING:
    from cascade.interfaces.cluster import Cluster
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.flow import Flow

__all__ = ["ClusterSide"]

SILENCE: Final = 1.0  # seconds that the last messages of a call that has ended may take
GRACE: Final = 0.6  # seconds that a call which is told to stop may take before its worker is ended


class ClusterSide:
    """Submits the attempts of one flow to a cluster and settles what is told of them.

    Its books: `_queue` waits for a place; `_loads` have been submitted, by name; `_heard` are messages that came;
    `_stayed` are values that are there too while they are stored.
    """

    __slots__ = ("_heard", "_loads", "_queue", "_stayed", "flow", "link", "loading", "locality")

    def __init__(self, flow: Flow) -> None:
        """Join nothing yet."""
        self.flow = flow
        self.locality = Locality(flow)
        self.loading = Loading(flow, self.locality)
        self.link = ClusterLink(flow, self._hear, self._submit_all, self._lose)
        self._queue: deque[Load] = deque()
        self._loads: dict[str, Load] = {}
        self._heard: deque[bytes] = deque()
        self._stayed: dict[Attempt, RemoteValue] = {}

    def _lose(self, error: ClusterError) -> None:
        """There is no cluster (any more): the run ends, now. Under the lock."""
        flow = self.flow
        if not flow.core.cancelling:
            flow.outcomes.error = error
            flow.cancel("the cluster was lost" if self.link.cluster is not None else "there is no cluster")
        for load in [*self._loads.values(), *self._queue]:
            self._drop(load)
        self._queue.clear()
        for node, value in enumerate(flow.values):
            if is_remote(value):
                flow.values[node] = GONE

    @property
    def ends_workers(self) -> bool:
        """Whether a worker is ended when a call on it will not stop; those of a cluster of others are not."""
        return self.link.cluster is not None and self.link.cluster.is_own

    # -- submitting -----------------------------------------------------------------------------------------------

    def start_ready(self, mode: int = PROCESS) -> None:
        """Take ready nodes for the free places; the driver submits them. Under the lock, on any thread."""
        flow = self.flow
        if not self.link.is_up:
            self.link.open()
            return
        ready = flow.core.ready[mode]
        while ready and self._has_room():
            node = flow.core.take(mode)
            if node < 0:
                break
            if flow.graph.kinds[node] == MAP and flow.map_side.open(node) is None:
                continue
            attempt = self._begin(node)
            if attempt is None or self.loading.was_ahead(attempt, self._settle_ahead):
                continue
            load = self._open(attempt)
            if self.loading.is_short(attempt):
                self._fill(load, mode)
        if self._queue:
            flow.post(self._submit_all)

    def _begin(self, node: int) -> Attempt | None:
        flow = self.flow
        items = None
        if flow.graph.kinds[node] == MAP and self.loading.home_of(node) is not None:
            items = self.loading.pace.items_of(node, self.link.sight.threads)
        attempt = flow.make_attempt(node, PROCESS, items)
        if attempt is None:
            return None
        attempt.worker = "cluster"
        flow.begin_attempt(attempt)
        if attempt.index is not None:
            flow.map_side.offer_more(node)
        return attempt

    def _open(self, attempt: Attempt) -> Load:
        load = Load(self.loading.name_of(attempt.node))
        load.add(attempt, self.loading.pace.of(attempt.node))
        load.is_short = self.loading.ends_soon(attempt)
        self._queue.append(load)
        return load

    def _fill(self, load: Load, mode: int) -> None:
        """Put more short nodes that are ready into `load`, or by its side, and then those that follow from it alone."""
        flow, loading = self.flow, self.loading
        loads = {loading.home_of(load.freight[0].node): load}
        ready = flow.core.ready[mode]
        free = max(1, 2 * self.link.sight.threads - len(self._loads) - len(self._queue) + 1)
        share = math.ceil((len(ready) + 1) / free)
        while ready:
            home = loading.home_of(flow.core.by_rank[ready[0]])
            into = loads.get(home)
            if home is None or not loading.fits(flow.core.by_rank[ready[0]]):
                break
            if into is not None and (len(into.freight) >= share or into.seconds >= TARGET):
                break
            node = flow.core.take(mode)
            if node < 0:
                break
            attempt = self._begin(node)
            if attempt is None or loading.was_ahead(attempt, self._settle_ahead):
                continue
            if into is None:
                loads[home] = self._open(attempt)
            else:
                into.add(attempt, loading.pace.of(node))
        for made in loads.values():
            loading.look_ahead(made)

    def _has_room(self) -> bool:
        busy = len(self._loads) + len(self._queue)
        if busy < self.link.sight.threads:
            return True
        loads = (*self._loads.values(), *self._queue)
        return busy < 2 * self.link.sight.threads and all(load.is_short for load in loads)

    def _submit_all(self) -> None:
        """Submit what is queued. By the driver, under the lock, which it gives up for the time of a submission."""
        while self._queue and self.link.is_up and self.link.cluster is not None:
            load = self._queue.popleft()
            if load.is_given_up:
                self._drop(load)
                continue
            self._loads[load.name] = load
            self.flow.lock.release()
            try:
                problem = self._submit(load, self.link.cluster)
            finally:
                self.flow.lock.acquire()
            if problem is not None:
                self._refuse(load, problem)
            elif load.is_stopping:
                self._stop([load])

    def _submit(self, load: Load, cluster: Cluster) -> BaseException | None:
        """Submit one bundle; return what keeps it from going. Not under the lock."""
        name = load.name  # what is told later goes by the name: it must not keep the load, and so its values
        try:
            resources = self.loading.resources_of(load, self.link.sight.most)
            payload, needs = self.loading.pack(load)
            load.token = cluster.submit(
                run_bundle,
                payload,
                needs,
                name=load.name,
                topic=self.link.topic,
                resources=resources,
                ended=lambda error: self.flow.post(lambda: self._call_ended(name, error)),
            )
        except BaseException as error:  # noqa: BLE001 - what cannot be packed or sent fails its attempts
            return error
        return None

    def _refuse(self, load: Load, problem: BaseException) -> None:
        """`load` could not go: fail its attempt, or, of several, find out which is to blame by sending each alone."""
        first, *others = load.freight
        self._forget(load)
        if not others:
            if first.attempt is not None:
                ended = None if first.row is None else [(first.row[0], None, problem)]
                self.flow.outcomes.settle(first.attempt, ended, problem)
            return
        self._send_apart(load)

    def _send_apart(self, load: Load) -> None:
        for freight in load.freight:
            if freight.attempt is not None and not freight.is_told:
                self._queue.append(Load.of_one(self.loading.name_of(freight.node), freight.attempt))
        if self._queue:
            self.flow.post(self._submit_all)

    # -- hearing --------------------------------------------------------------------------------------------------

    def _hear(self, data: bytes) -> None:
        """Take messages; on some thread of the cluster's."""
        self._heard.append(data)
        self.flow.post(self._take_in)

    def _take_in(self) -> None:
        """Settle what was told. By the driver, under the lock, which it gives up while it reads values."""
        while self._heard:
            data = self._heard.popleft()
            self.flow.lock.release()
            try:
                name, messages = loads(data)  # noqa: S301 - from a worker, which runs the user's code anyway
                load = self._loads.get(name)
                if load is not None:
                    load.read(messages)
            finally:
                self.flow.lock.acquire()
            if load is not None:
                self._act(load)

    def _act(self, load: Load) -> None:
        """Settle what has been read of `load`. Under the lock."""
        told, load.told = load.told, []
        for freight in told:
            self.loading.learn(freight)
            value, locality = freight.value, self.locality
            if type(value) is RemoteValue and (locality.is_stored(freight.node) or not locality.stays(freight.node)):
                self._fetch(load, freight, value)
            else:
                self._settle(load, freight)
        if load.is_over and load.name in self._loads:
            self._conclude(load)

    def _fetch(self, load: Load, freight: Freight, value: RemoteValue) -> None:
        """Bring a value here that someone here needs, perhaps only the store."""
        freight.is_coming = True
        load.coming += 1
        load.wanted.append(freight)
        if len(load.wanted) > 1:
            return  # what is on its way brings this one too

        def got(box: Any, error: BaseException | None) -> None:
            self.flow.post(lambda: self._arrived(load, box, error))

        assert self.link.cluster is not None  # noqa: S101 - it told of the value
        self.link.cluster.fetch(value.token, got)

    def _arrived(self, load: Load, box: Any, error: BaseException | None) -> None:
        """What `load` left has come, or why it cannot."""
        wanted, load.wanted = load.wanted, []
        for freight in wanted:
            value: RemoteValue = freight.value
            freight.is_coming = False
            load.coming -= 1
            if error is not None:
                freight.error, freight.value = explain_loss(freight.label, error, self.link.lost), None
            else:
                freight.value = box.values[value.step]
                if freight.attempt is not None and self.locality.stays(freight.node):
                    self._stayed[freight.attempt] = value
            self._settle(load, freight)
        if load.is_over and load.name in self._loads:
            self._conclude(load)

    def _settle(self, load: Load, freight: Freight) -> None:
        if freight.row is not None:
            load.rows.append((freight.row[0], freight.value, freight.error))
            return
        if freight.attempt is None:
            self.loading.keep(freight)  # nobody has asked for it yet
            return
        self._settle_one(freight.attempt, freight)

    def _settle_one(self, attempt: Attempt, freight: Freight) -> None:
        if freight.head is not None and self.flow.heads is not None:
            self.flow.heads.made.setdefault(attempt.node, freight.head)
        attempt.started = max(attempt.started, self.flow.now() - freight.seconds)  # not what it waited there
        if attempt.given_up or (attempt.stopping and self.flow.core.cancelling and freight.error is not None):
            self.flow.outcomes.settle(attempt, None, None)
        else:
            self.flow.outcomes.settle(attempt, freight.value, freight.error)

    def _settle_ahead(self, attempt: Attempt, freight: Freight) -> None:
        """The core has let a node start that a bundle ran ahead of it."""

        def settle() -> None:
            repeat([freight.output], attempt)
            self._settle_one(attempt, freight)

        self.flow.post(settle)

    def _conclude(self, load: Load) -> None:
        """`load` is over: what was not told of has not run."""
        if load.coming:
            return
        self._forget(load)
        maps = {freight.attempt for freight in load.freight if freight.row is not None}
        for attempt in maps:
            if attempt is not None:
                self.flow.outcomes.settle(attempt, load.rows, None)
        for freight in load.freight:
            attempt = freight.attempt
            if freight.row is not None or freight.is_told or attempt is None:
                continue
            if attempt.given_up or attempt.stopping:
                self.flow.outcomes.settle(attempt, None, None)
            else:
                self._queue.append(Load.of_one(self.loading.name_of(freight.node), attempt))
        if self._queue:
            self._submit_all()

    def _call_ended(self, name: str, error: BaseException | None) -> None:
        """The cluster says that the call has ended; what the worker told has come before, as a rule."""
        load = self._loads.get(name)
        if load is None:
            return
        if error is None:
            self.flow.set_timer(SILENCE, lambda: self._ask_for(name))
            return
        kind = type(error).__name__
        if kind == "KilledWorker":
            self._bury(load, error)
        elif isinstance(error, ClusterError):
            self.link.lose(error)
        elif load.is_stopping or kind in ("CancelledError", "FutureCancelledError"):
            if not load.place or kind not in ("CancelledError", "FutureCancelledError"):
                self._drop(load)  # else it runs, and will say when it is over
        else:
            self._refuse(load, ClusterError.for_worker_import(f"{kind}: {error}"))

    def _ask_for(self, name: str) -> None:
        """The messages of a call that has ended did not come: read them where the call left them."""
        load = self._loads.get(name)
        if load is None or self.link.cluster is None:
            return

        def got(box: Any, error: BaseException | None) -> None:
            if error is None:
                self._heard.extend(box.told)
            self.flow.post(self._take_in if error is None else lambda: self._lose_load(load, error))

        if not load.coming:
            self.link.cluster.fetch(load.token, got)

    def _lose_load(self, load: Load, error: BaseException) -> None:
        """What `load` left cannot be had: its attempts failed."""
        self._forget(load)
        for attempt in load.attempts:
            problem = explain_loss(attempt.name, error, self.link.lost)
            rows = None if attempt.rows is None or attempt.row is None else [(attempt.row[0], None, problem)]
            self.flow.outcomes.settle(attempt, rows, None if rows else problem)

    def _bury(self, load: Load, error: BaseException) -> None:
        """Workers died of `load`, as often as the cluster allows."""
        self._forget(load)
        alive = [f for f in load.freight if f.attempt is not None and not f.is_told]
        if len(alive) > 1 and not alive[0].row:
            self._send_apart(load)
            return
        for freight in alive:
            attempt = freight.attempt
            assert attempt is not None  # noqa: S101 - chosen above
            problem = WorkerDiedError.during(freight.label, str(error).splitlines()[0][:200])
            if freight.row is not None and len(alive) > 1:
                self.flow.outcomes.settle(attempt, load.rows, None)
                self.loading.pace.doubt(freight.node)
                return
            if freight.row is not None:
                self.flow.outcomes.settle(attempt, [*load.rows, (freight.row[0], None, problem)], None)
            elif attempt.given_up or attempt.stopping:
                self.flow.outcomes.settle(attempt, None, None)
            else:
                self.flow.outcomes.settle(attempt, None, problem)

    def _forget(self, load: Load) -> None:
        """`load` is over; an error that it told may keep it, by its frames, and is not to keep what it left as well."""
        self._loads.pop(load.name, None)
        self.loading.forget(load)
        load.token = None

    def _drop(self, load: Load) -> None:
        """Settle `load` as stopped, whatever it did."""
        self._forget(load)
        for attempt in load.attempts:
            attempt.stopping = True
            self.flow.outcomes.settle(attempt, load.rows if attempt.rows is not None else None, None)

    # -- stopping -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """The run is cancelled: what waits goes back, what runs is told to stop. Under the lock."""
        queued, self._queue = list(self._queue), deque()
        for load in (*queued, *self._loads.values()):
            load.stop_all()
        for load in queued:
            self.flow.post(lambda load=load: self._drop(load))  # type: ignore[misc]
        self._stop([load for load in self._loads.values() if load.token is not None])

    def end_worker_of(self, attempt: Attempt) -> None:
        """The time of `attempt` is over: stop it where it runs."""
        found = [load for load in self._loads.values() if load.token is not None and load.holds(attempt)]
        self._stop(found)

    def _stop(self, loads: list[Load]) -> None:
        cluster = self.link.cluster
        if cluster is None or not loads or self.link.lost is not None:
            return
        names, tokens = [load.name for load in loads], [load.token for load in loads]

        def stop() -> None:  # on a thread, not by timers of the flow: its run may be over before this is
            cluster.cancel(tokens)
            cluster.ask_workers(stop_bundles, names)
            if not cluster.is_own:
                return
            sleep(GRACE)
            for place, left in cluster.ask_workers(bundles_here, names).items():
                if left:
                    cluster.end_worker(place)
            self.flow.post(lambda: self._gone(names))

        run_in_thread(stop)

    def _gone(self, names: list[str]) -> None:
        for load in [self._loads[name] for name in names if name in self._loads]:
            self._drop(load)

    def close(self, holder: object) -> None:
        """The run is over: leave nothing on the cluster but values for the `holder` of the run."""
        self.link.close()
        left = [load.token for load in self._loads.values() if load.token is not None]
        for book in (self._loads, self._queue, self._heard, self._stayed, self.flow.timers, self.flow.inbox):
            book.clear()
        self.loading = Loading(self.flow, self.locality)
        if self.link.cluster is not None and self.link.lost is None:
            self.link.cluster.cancel(left)
            leave_to(holder, self.flow, self.link.cluster)

    def admit(self, nodes: range) -> None:
        """The graph has gained `nodes`: bring values here that they need here. Under the lock."""
        self.locality.grow(nodes)
        for node in self.locality.needed_here(nodes):
            if is_remote(self.flow.values[node]):
                self.flow.values[node] = bring(self.flow.values[node], self.link.cluster)

    def left_there(self, attempt: Attempt, value: Any) -> Any:
        """Return what stands for the `value` that has been stored: itself, or where it is if that is all it needs."""
        stayed = self._stayed.pop(attempt, value)
        return stayed if self.link.lost is None and self.locality.stays(attempt.node) else value

    def bring_all(self, value: Any) -> Any:
        """Return `value` with what of it is on the cluster; blocks meanwhile."""
        return bring(value, self.link.cluster)

    def look_at(self, value: Any) -> Any:
        """Return `value` for someone who is only curious: large ones, and those that come late, count as gone."""
        return glance(value, self.link.cluster if self.link.lost is None else None, GONE)
