"""cascade with a store: runs that remember, keys of large values, and the question why."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cascade as cs
from benchmarks import stored
from benchmarks.work import add, inc, total
from benchmarks.workloads import Workload
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Draft


def open_store(folder: Path) -> LocalStore:
    """Return a store with a key of its own, beside it."""
    return LocalStore(folder, key_file=folder.with_name(f"{folder.name}.key"))


def layered(workload: Workload, first_leaf: int, *, pure: bool) -> Any:
    """Return the layered graph."""
    leaf: Any = cs.task(mode="inline", pure=pure)(inc)
    join: Any = cs.task(mode="inline", pure=pure)(add)
    sink: Any = cs.task(mode="inline", pure=pure)(total)
    values = [leaf(number or first_leaf) for number in range(workload.width)]
    for left, right in workload.parents:
        values.append(join(values[left], values[right]))
    return sink([values[number] for number in workload.last_layer])


def remember(workload: Workload, folder: Path, first_leaf: int) -> object:
    """Build and run the graph of pure tasks with a store."""
    with open_store(folder) as store:
        return cs.run(layered(workload, first_leaf, pure=True), cache=store, log_level=None)


def without_store(workload: Workload) -> Callable[[], object]:
    """The graph of pure tasks without a store."""
    return lambda: cs.run(layered(workload, 0, pure=True), log_level=None)


def opted_out(workload: Workload) -> Callable[[], object]:
    """A run with a store, of tasks that are not remembered."""
    folder = stored.new_place() / "store"

    def run() -> object:
        with open_store(folder) as store:
            return cs.run(layered(workload, 0, pure=False), cache=store, log_level=None)

    return run


def plain(workload: Workload) -> Callable[[], object]:
    """The same tasks without a store."""
    return lambda: cs.run(layered(workload, 0, pure=False), log_level=None)


def key_array(workload: Workload) -> Callable[[], object]:
    """Key an array of float64 with `size` bytes; the answer is that two keys agree."""
    import numpy as np

    from cascade.identity.data import data_key

    array = np.random.default_rng(7).random(workload.size // 8)
    known = data_key(array)
    return lambda: data_key(array) == known


def key_frame(workload: Workload) -> Callable[[], object]:
    """Key a frame of ten columns with `size` bytes in all."""
    import numpy as np
    import pandas as pd

    from cascade.identity.data import data_key

    frame = pd.DataFrame(np.random.default_rng(7).random((workload.size // 80, 10)), columns=list("abcdefghij"))
    known = data_key(frame)
    return lambda: data_key(frame) == known


def look_up(workload: Workload) -> Callable[[], object]:
    """Find as many results by their keys, all at once; the answer is how many are there."""
    folder = stored.new_place() / "store"
    keys = [blake2b(b"%d" % number, digest_size=20).hexdigest() for number in range(workload.size)]
    with open_store(folder) as store:
        store.save_many([Draft(key, number, task="inc") for number, key in enumerate(keys)])
    store = open_store(folder)
    return lambda: len(store.find(keys))


def why(workload: Workload) -> Callable[[], object]:
    """Ask why the last node of a large graph ran, after a change of its first leaf."""
    folder = stored.new_place() / "store"
    remember(workload, folder, 0)
    remember(workload, folder, 1000)

    def ask() -> object:
        with open_store(folder) as store:
            return cs.why("total", cache=store).outcome

    return ask


PREPARE = {
    **stored.rows("cascade_memory", remember),
    "dag_pure": without_store,
    "dag_opted_out": opted_out,
    "dag_plain": plain,
    "key_array": key_array,
    "key_frame": key_frame,
    "look_up": look_up,
    "why": why,
}
