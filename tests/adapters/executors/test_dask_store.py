"""Remembered values on a Dask cluster: they come once, to be stored, and are not sent back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.dask import DaskExecutor
from cascade.interfaces import events as ev

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]

LARGE = 200_000
LONG = 120.0  # what a test that starts processes may take on a busy machine


@pytest.fixture
def sent(local: DaskExecutor) -> Iterator[list[int]]:
    """Give the sizes of what a run submits."""
    cluster: Any = local.join()
    submit, sizes = cluster.client.submit, list[int]()

    def measured(function: Any, order: Any, payload: bytes, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(payload))
        return submit(function, order, payload, *args, **kwargs)

    cluster.client.submit = measured
    yield sizes
    cluster.client.submit = submit


make = cs.task(lambda n: bytes(n), name="make", pure=True)  # noqa: PLW0108 - code of its own
grow = cs.task(lambda data, by=1: data + bytes(by), name="grow", pure=True)
size = cs.task(len, name="size", pure=True)


def run_on(executor: Any, target: Any, store: Path) -> tuple[Any, int]:
    """Run and return the value, and how many nodes had theirs from the store."""
    run = cs.start(target, executor=executor, cache=str(store), log_level=None)
    value = run.result(LONG)
    return value, sum(isinstance(e, ev.NodeRecalled) for e in run.events)


def test_remembered_values_are_not_sent_back(local: DaskExecutor, sent: list[int], tmp_path: Path) -> None:
    """Calls take them where they are, whole or within containers, and the store has them all the same."""
    chain = grow(grow(make(LARGE)))
    both = cs.task(lambda parts: sum(map(len, parts)), name="both", pure=True)
    target = [size(chain), both([chain, make(LARGE)])]
    assert run_on(local, target, tmp_path)[0] == [LARGE + 2, 2 * LARGE + 2]
    assert len(sent) == 5
    assert max(sent) < LARGE // 4
    assert run_on(None, grow(chain, by=2), tmp_path) == (bytes(LARGE + 4), 1)


def test_keys_are_those_of_a_run_here(local: DaskExecutor, tmp_path: Path) -> None:
    """What threads stored serves on the cluster, and the other way round, node by node."""
    chain = grow(make(LARGE))
    run_on(None, size(chain), tmp_path / "a")
    assert run_on(local, size(chain), tmp_path / "a") == (LARGE + 1, 1)
    run_on(local, chain, tmp_path / "b")
    assert run_on(None, size(chain), tmp_path / "b") == (LARGE + 1, 1)


def test_keys_of_parts_and_items(local: DaskExecutor, tmp_path: Path) -> None:
    """A call that takes an item, and maps over and of what is remembered, find the values that they need."""
    parts = cs.task(lambda n: [bytes(n), bytes(n + 1)], name="parts", pure=True)(LARGE)
    sizes = size.map(parts)
    grown = grow.map(parts, by=cs.unmapped(2))
    target = [size(parts[1]), sizes, cs.task(lambda all_: sum(map(len, all_)), name="sum", pure=True)(grown)]
    expected = [LARGE + 1, [LARGE, LARGE + 1], 2 * LARGE + 5]
    assert run_on(local, target, tmp_path)[0] == expected
    assert run_on(None, target, tmp_path)[0] == expected


def test_grown_graphs_take_what_was_stored(local: DaskExecutor, tmp_path: Path) -> None:
    """A call that the graph gains later, to run here, finds a remembered value that is there."""
    here = cs.task(len, name="here", mode="inline")

    @cs.task(mode="inline")
    def more(_: int) -> Any:
        return here(make(LARGE))

    assert run_on(local, [size(make(LARGE)), more(size(make(LARGE)))], tmp_path)[0] == [LARGE, LARGE]
