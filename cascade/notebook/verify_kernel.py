"""Inside the fresh kernel of `%cascade verify`: every run, whoever starts it, tells what its nodes gave.

In: runs of the notebook's own code. Out: JSON about those that have ended. Invariant: the notebook's code notices
nothing: no name of it is touched, and its results go to a store that is thrown away.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cascade.interfaces import events as ev
from cascade.tools.export_check import Collector

__all__ = ["begin", "take"]


@dataclass(slots=True)
class Watched:
    """A run, the place of the cell that started it, and what is known of its values."""

    cell: int
    run: Any
    collector: Collector


@dataclass(slots=True)
class _Watch:
    cell: int = 0
    runs: list[Watched] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_watch = _Watch()


def begin(folder: str) -> None:
    """Watch every run from now on, and keep results in `folder` instead of the notebook's own store."""
    import cascade.runtime.run as runs

    vars(runs)["FOLDER"] = folder  # it is final for everyone but this kernel, which is thrown away
    runs.start = _watched(runs.start)  # the one door through which run, arun, start and %%cascade go


def _watched(start: Callable[..., Any]) -> Callable[..., Any]:
    from functools import wraps

    @wraps(start)
    def begin_run(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("state_backend") is not None:
            return start(*args, **kwargs)
        collector = Collector()
        run = start(*args, **{**kwargs, "state_backend": collector})
        with _watch.lock:
            _watch.runs.append(Watched(_watch.cell, run, collector))
        return run

    return begin_run


def enter(cell: int) -> None:
    """The cell at place `cell` of the notebook is the next to run."""
    _watch.cell = cell


def take(wait: float = 0.0) -> str:
    """Return what is known of the runs that have ended since the last call, as JSON.

    Args:
        wait: seconds for which those that still go on are waited for; then they are told as they are.
    """
    with _watch.lock:
        runs, _watch.runs = _watch.runs, []
    told = []
    for each in runs:
        if each.run.wait(wait) or wait:
            told.append(_tell(each))
        else:
            with _watch.lock:
                _watch.runs.append(each)
    return json.dumps(told)


def names() -> str:
    """Return the names that the notebook has given, as JSON."""
    from IPython import get_ipython

    shell = get_ipython()
    return json.dumps(
        sorted(name for name in shell.user_ns if not name.startswith("_") and name not in shell.user_ns_hidden)
    )


def _tell(watched: Watched) -> dict[str, Any]:
    run = watched.run
    failed = {
        event.node: run.redact(f"{event.error_type}: {event.error}")[:300]
        for event in run.events
        if isinstance(event, ev.NodeFailed)
    }
    return {
        "cell": watched.cell,
        "name": run.name,
        "state": run.state,
        "nodes": {name: each.to_dict() for name, each in watched.collector.nodes.items()},
        "failed": failed,
    }
