"""Clusters: executors that keep values where they were made.

In: bundles of calls. Out: what they say while they run, and tokens of what they keep. Invariant: a token stands for
values on the cluster as long as someone holds it; whatever happens to the cluster, who waits hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from cascade.interfaces.exceptions import CascadeError

__all__ = ["Cluster", "ClusterError", "ClusterExecutor", "Sight"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a cluster at one moment.

    Args:
        threads: of all workers together. workers: how many. most: of each resource that workers declare, what the one
            has that has most.
    """

    threads: int
    workers: int
    most: Mapping[str, float]


class Cluster(Protocol):
    """A cluster that one process has joined. Its methods return at once, unless they say otherwise.

    Attributes:
        address: of its scheduler. dashboard: a link for people, empty if there is none. is_own: it was started for
            this process, so that its workers may be ended. patience: seconds without an answer after which it counts
            as lost. wait_for_workers: seconds that a run waits for the first one.
    """

    address: str
    dashboard: str
    is_own: bool
    patience: float
    wait_for_workers: float

    def look(self, seen: Callable[[Sight | None], object]) -> None:
        """Call `seen` on some thread with what there is, or None when the cluster does not answer in time."""

    def listen(self, topic: str, hear: Callable[[bytes], object]) -> Callable[[], None]:
        """Call `hear` on some thread with what is told under `topic`; return what ends it. Blocks for a moment."""

    def submit(
        self,
        function: Callable[..., Any],
        payload: bytes,
        needs: Sequence[Any],
        *,
        name: str,
        topic: str,
        resources: Mapping[str, float],
        ended: Callable[[BaseException | None], object],
    ) -> Any:
        """Run ``function(payload, kept values of needs, tell, place)`` on a worker and return the token of its value.

        Args:
            function: goes by its name. needs: tokens. name: of the call, never used twice. topic: of what it tells.
            resources: of a worker that the call takes. ended: called on some thread, with None or what went wrong.
        """

    def fetch(self, token: Any, got: Callable[[Any, BaseException | None], object]) -> None:
        """Call `got` on some thread with the value of `token`, or why it cannot be had."""

    def keep(self, tokens: Sequence[Any]) -> None:
        """Make no value of `tokens` again when it is lost: the run that made them is over."""

    def has(self, token: Any) -> bool:
        """Whether the value of `token` is still there, as far as is known here."""

    def cancel(self, tokens: Sequence[Any]) -> None:
        """Forget calls that wait; those that run are not stopped by it."""

    def ask_workers(self, function: Callable[..., Any], *args: Any) -> Mapping[str, Any]:
        """Call ``function(*args)`` beside whatever each worker runs; return what those said that answer. Blocks."""

    def end_worker(self, place: str) -> None:
        """End the worker at `place`, so that another is started; only where the cluster is our own. Blocks."""


@runtime_checkable
class ClusterExecutor(Protocol):
    """An executor that is a cluster."""

    def join(self) -> Cluster:
        """Return the cluster, started or joined at first need; blocks until it answers.

        Raises:
            ClusterError: when there is none.
        """


class ClusterError(CascadeError, ConnectionError):
    """There is no cluster, or it has gone."""

    @classmethod
    def for_address(cls, given: str) -> ClusterError:
        """Not an address."""
        return cls(
            f"executor={given!r} is not the address of a Dask scheduler. "
            "Write 'dask://host:port', or 'dask' for a cluster on this machine."
        )

    @classmethod
    def for_library(cls) -> ClusterError:
        """No dask."""
        return cls("executor='dask' needs dask and distributed: pip install 'cascade-notebook[dask]'.")

    @classmethod
    def for_start(cls, detail: str) -> ClusterError:
        """A cluster of our own that does not come up."""
        return cls(
            f"The local Dask cluster did not start: {detail}. `python -m distributed.cli.dask_scheduler` says more."
        )

    @classmethod
    def for_join(cls, executor: str, detail: str) -> ClusterError:
        """A client that cannot be used (any more)."""
        return cls(
            f"The cluster of {executor} cannot be joined ({detail}). Pass a Client that is open, or the address of its "
            "scheduler: 'dask://host:port'."
        )

    @classmethod
    def for_refusal(cls, address: str, seconds: float, detail: str) -> ClusterError:
        """Nobody answers at the address."""
        within = f" within {seconds:g} s" if seconds else ""
        return cls(
            f"No Dask scheduler answered at {address}{within} ({detail}). "
            "Check the address, and that the scheduler runs and can be reached from here."
        )

    @classmethod
    def for_loss(cls, address: str, detail: str) -> ClusterError:
        """The scheduler went away while a run used it."""
        return cls(
            f"The Dask scheduler at {address} was lost in mid-run ({detail}), and with it the values that were there. "
            "Start it again, then run.retry() or run anew; what is in a store is not computed again."
        )

    @classmethod
    def for_no_workers(cls, address: str, seconds: float) -> ClusterError:
        """A cluster without workers."""
        return cls(
            f"The Dask cluster at {address} has had no workers for {seconds:g} s. "
            "Start some (`dask worker ADDRESS`), or raise DaskExecutor(wait_for_workers=…)."
        )

    @classmethod
    def for_resource(cls, label: str, name: str, amount: float, most: float) -> ClusterError:
        """More than any worker declares."""
        return cls(
            f"Task '{label}' asks for {amount:g} of '{name}', and no worker of the cluster has more than {most:g}. "
            f"Lower with_constraints({name}={amount:g}), or start a worker with --resources '{name}={amount:g}'."
        )

    @classmethod
    def for_worker_import(cls, detail: str) -> ClusterError:
        """The workers lack something."""
        return cls(
            f"A worker of the Dask cluster could not begin: {detail}. "
            "Workers need the same Python, cascade and libraries as the process that starts the run."
        )

    @classmethod
    def for_lost_value(cls, label: str, detail: str) -> ClusterError:
        """A value that was kept there is there no more, and could not be made again."""
        return cls(
            f"The value of '{label}' was lost on the Dask cluster ({detail}). Run again, "
            "or give the task cache= so that its value outlives the workers."
        )

    @classmethod
    def for_client(cls) -> ClusterError:
        """A client that needs an event loop."""
        return cls("executor= got a Dask Client made with asynchronous=True. Pass a Client made without it.")
