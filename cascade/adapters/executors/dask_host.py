"""A local Dask cluster, in a process of its own: ``python -m cascade.adapters.executors.dask_host WORKERS THREADS``.

In: two numbers; the end of standard input. Out: one line of JSON, with the addresses of the scheduler and its
dashboard, or with what went wrong. Invariant: it ends when whoever started it ends, however that happens.

In a process of its own the scheduler does not share the interpreter with the notebook, and workers that are started
anew do not import the notebook's ``__main__``. On Linux they are forks of a process that has imported what they need:
one that is ended because its call would not stop is replaced in a tenth of a second instead of some seconds.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

__all__ = ["main"]

PRELOADED: Final = [
    "distributed.nanny",
    "distributed.worker",
    "cascade.runtime.bundles",
    "cascade.adapters.executors.dask",
]


def main(workers: int, threads: int) -> None:
    """Start a cluster, say where it is, and keep it until standard input ends."""
    import logging

    from dask import config

    # A worker that dies twice of the same call is no accident; one that is silent for half a minute has gone.
    routes = config.get("distributed.scheduler.http.routes", default=[])
    config.set(
        {
            "distributed.scheduler.http.routes": [r for r in routes if not r.endswith(".proxy")],  # it loads Jupyter
            "distributed.scheduler.allowed-failures": 1,
            "distributed.scheduler.worker-ttl": "30s",
            # Nannies bring workers back; a look after 15 s would take one that is just coming back again for lost.
            "distributed.deploy.lost-worker-timeout": "365 days",
            "distributed.admin.low-level-log-length": 100,
            "distributed.comm.timeouts.connect": "10s",
        }
    )
    try:
        with _cluster(workers, threads) as cluster:
            _say(address=cluster.scheduler_address, dashboard=cluster.dashboard_link if _has_bokeh() else "")
            logging.disable(logging.ERROR)
            sys.stdin.read()
    except Exception as error:  # noqa: BLE001 - whoever started it is told
        _say(error=f"{type(error).__name__}: {error}")


def _cluster(workers: int, threads: int) -> Any:
    from distributed import LocalCluster

    if sys.platform == "linux":
        _prepare_forks()
    make: Any = LocalCluster  # it has no types
    return make(
        n_workers=workers,
        threads_per_worker=threads,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # None would mean 8787, and a warning where that is taken
        silence_logs=50,
    )


def _prepare_forks() -> None:
    """Have workers forked from a process of one thread that has imported what they all need."""
    from dask import config
    from distributed import utils as untyped

    config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    utils: Any = untyped
    utils._forkserver_preload_set = True  # noqa: SLF001 - else it imports, here too, each library that Dask may meet
    utils.get_mp_context().set_forkserver_preload(PRELOADED)


def _has_bokeh() -> bool:
    from importlib.util import find_spec

    return find_spec("bokeh") is not None


def _say(**facts: str) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
