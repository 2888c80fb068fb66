from __future__ import annotations

import gc

from cascade.runtime.collector import LARGE, SOME, calm_collector


def test_the_collector_is_as_before_when_the_last_block_ends():
    """Blocks may overlap in any order, as runs do; the calmest open one decides."""
    before = gc.get_threshold()
    small, large = calm_collector(SOME), calm_collector(LARGE + 1)
    small.__enter__()
    some = gc.get_threshold()
    large.__enter__()
    assert before < some < gc.get_threshold()
    small.__exit__(None, None, None)
    assert gc.get_threshold() > some
    small.__enter__()
    large.__exit__(None, None, None)
    assert gc.get_threshold() == some
    small.__exit__(None, None, None)
    assert gc.get_threshold() == before


def test_a_few_nodes_leave_the_collector_alone():
    """A small graph is no reason to touch what belongs to the whole process."""
    before = gc.get_threshold()
    with calm_collector(SOME - 1):
        assert gc.get_threshold() == before
