"""joblib with `Memory`: each call of the layered graph is looked up on the disk by its arguments."""

from __future__ import annotations

from pathlib import Path

from joblib import Memory

from benchmarks import stored
from benchmarks.work import add, inc, total
from benchmarks.workloads import Workload


def remember(workload: Workload, folder: Path, first_leaf: int) -> object:
    """Call functions that remember, one after the other."""
    memory = Memory(folder, verbose=0)
    leaf, join, sink = memory.cache(inc), memory.cache(add), memory.cache(total)
    values = [leaf(number or first_leaf) for number in range(workload.width)]
    for left, right in workload.parents:
        values.append(join(values[left], values[right]))
    return sink([values[number] for number in workload.last_layer])


PREPARE = stored.rows("joblib_memory", remember)
