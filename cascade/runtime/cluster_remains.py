"""What a run leaves on a cluster when it is over: values, for as long as someone holds the run.

In: a flow that is over, the handle on its run. Out: values that are let go. Invariant: when nobody can ask for them any
more, nothing of the run is on the cluster; and what is there until then is never computed again, whatever dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import finalize

from cascade.runtime.arguments import GONE
from cascade.runtime.cluster_values import RemoteValue, is_remote

if TYPE_CHECKING:
    from cascade.interfaces.cluster import Cluster
    from cascade.runtime.flow import Flow

__all__ = ["drop_lost", "leave_to"]


def leave_to(holder: object, flow: Flow, cluster: Cluster) -> None:
    """Keep the values of `flow` that are on `cluster` while `holder` lives: to look at, and for a retry."""
    tokens = {id(value.token): value.token for value in _remote_in(flow.values)}
    if tokens:
        cluster.keep(list(tokens.values()))
    kept = flow.settings.kept
    own = [flow.map_side.states, *([kept.values, kept.items] if kept is not None else [])]
    finalize(holder, _let_go, flow.values, own).atexit = False


def drop_lost(flow: Flow) -> None:
    """Note which values of a run that is over have been lost since; who needs one has to compute it again."""
    link = getattr(flow.process_side, "link", None)
    cluster: Cluster | None = link.cluster if link is not None else None
    if cluster is None:
        return
    for node, value in enumerate(flow.values):
        if not all(cluster.has(part.token) for part in _remote_in([value])):
            flow.values[node] = GONE


def _remote_in(values: list[Any]) -> Iterator[RemoteValue]:
    for value in values:
        if type(value) is RemoteValue:
            yield value
        elif type(value) is list:
            yield from (item for item in value if type(item) is RemoteValue)


def _let_go(values: list[Any], books: list[dict[int, Any]]) -> None:
    """Forget values; garbage may have cycles, and the cluster is not to wait until Python collects those."""
    for node, value in enumerate(values):
        if is_remote(value):
            values[node] = GONE
    for book in books:
        book.clear()
