"""The link to a cluster: joined once, looked at all the time.

In: an executor. Out: the cluster and what there is of it, or its loss. Invariant: nobody waits for ever: a cluster that
does not answer, or has no workers for too long, ends the run with an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cascade.interfaces.cluster import ClusterError, Sight
from cascade.interfaces.events import ClusterReported
from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    from cascade.interfaces.cluster import Cluster
    from cascade.runtime.flow import Flow

__all__ = ["ClusterLink"]

PULSE: Final = 1.0  # seconds between two looks at the cluster
HASTE: Final = 0.25  # … while it has no workers


class ClusterLink:
    """The link of one flow. Everything here runs under the flow's lock.

    Args:
        hear: takes messages, on any thread. ready: called when there are workers. gone: called once, with why.

    Attributes:
        cluster: None before it is joined. sight: what was last seen of it. lost: why it is there no more.
    """

    __slots__ = (
        "_deaf", "_empty_since", "_gone", "_hear", "_is_asked", "_is_joining", "_ready", "cluster", "flow", "lost",
        "sight",
    )  # fmt: skip

    def __init__(
        self,
        flow: Flow,
        hear: Callable[[bytes], object],
        ready: Callable[[], object],
        gone: Callable[[ClusterError], object],
    ) -> None:
        """Join nothing yet."""
        self.flow = flow
        self.cluster: Cluster | None = None
        self.sight = Sight(0, 0, {})
        self.lost: ClusterError | None = None
        self._hear = hear
        self._ready = ready
        self._gone = gone
        self._is_joining = self._is_asked = False
        self._empty_since: float | None = None
        self._deaf: Callable[[], None] | None = None

    @property
    def topic(self) -> str:
        """What this run's workers tell goes under this name."""
        return f"cascade-{self.flow.journal.run_id}"

    @property
    def is_up(self) -> bool:
        """Whether the cluster has been joined and seen, and is there."""
        return self.cluster is not None and not self._is_joining and self.lost is None

    def open(self) -> None:
        """Start or join the cluster, on a thread; what is ready waits."""
        if self._is_joining or self.lost is not None or self.flow.core.cancelling:
            return
        self._is_joining = True
        executor = self.flow.settings.executor

        def join() -> None:
            try:
                cluster = executor.join()
                deaf = cluster.listen(self.topic, self._hear)
            except BaseException as error:  # noqa: BLE001 - whatever keeps it from coming up fails the run
                problem = error
                self.flow.post(lambda: self.lose(problem))
            else:
                self.flow.post(lambda: self._joined(cluster, deaf))

        run_in_thread(join)

    def _joined(self, cluster: Cluster, deaf: Callable[[], None]) -> None:
        self.cluster, self._deaf = cluster, deaf
        self._look()

    def _look(self) -> None:
        """Ask the cluster what it has, again and again while the run goes on."""
        if self.cluster is None or self.lost is not None or self._is_asked:
            return
        self._is_asked = True
        self.cluster.look(lambda sight: self.flow.post(lambda: self._seen(sight)))

    def _seen(self, sight: Sight | None) -> None:
        cluster = self.cluster
        self._is_asked = False
        if cluster is None:
            return
        if sight is None:
            self.lose(ClusterError.for_loss(cluster.address, f"no answer for {cluster.patience:g} s"))
            return
        is_first, self.sight = self._is_joining, sight
        self._is_joining = False
        if sight.threads:
            if is_first or self._empty_since is not None:
                self._tell(cluster)
            self._empty_since = None
        else:
            self._wait_for_workers(cluster)
        self.flow.set_timer(PULSE if sight.threads else HASTE, self._look)
        self._ready()

    def _tell(self, cluster: Cluster) -> None:
        self.flow.journal.tell(
            ClusterReported,
            address=cluster.address,
            dashboard=cluster.dashboard,
            workers=self.sight.workers,
            threads=self.sight.threads,
            patience=cluster.wait_for_workers,
        )

    def _wait_for_workers(self, cluster: Cluster) -> None:
        now = self.flow.now()
        if self._empty_since is None:
            self._empty_since = now
            self._tell(cluster)
        elif now - self._empty_since > cluster.wait_for_workers:
            self.lose(ClusterError.for_no_workers(cluster.address, cluster.wait_for_workers))

    def lose(self, error: BaseException) -> None:
        """There is no cluster (any more)."""
        if self.lost is not None:
            return
        if not isinstance(error, ClusterError):
            error = ClusterError.for_join(repr(self.flow.settings.executor), f"{type(error).__name__}: {error}")
        self.lost = error
        self._is_joining = False
        self._gone(error)

    def close(self) -> None:
        """The run is over: listen no more."""
        deaf, self._deaf = self._deaf, None
        if deaf is not None:
            run_in_thread(deaf)
