from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.adapters.solvers.durations import find_durations, read_durations
from cascade.graph.build import build
from cascade.interfaces.exceptions import SettingError
from tests.adapters.solvers.graphs import step


def test_the_closest_name_counts() -> None:
    """An id wins over what people call the node, and that over the name of its task; routes take no time."""
    a, b = step(), step()
    graph = build([a, b, step().named("other"), cs.Router(a, {0: b}, name="way")])
    assert graph.ids == ["step", "step#2", "other", "way"]
    assert read_durations(graph, {"step": 1, "step#2": 2, "other": 4, "way": 8}) == [1, 2, 4, 8]
    assert read_durations(graph, {"step": 1}) == [1, 1, 1, 0]
    assert read_durations(graph, {"other": 1}, 5.0) == [5, 5, 1, 0]
    assert read_durations(graph, None, 0.5) == [0.5, 0.5, 0.5, 0]


def test_a_function_of_a_node_may_leave_it_to_the_default() -> None:
    """It is given the node as people see it, and says seconds or nothing."""
    graph = build([step(cs.Param("n", 1)), step.map([1, 2]).named("all")])
    assert read_durations(graph, lambda node: 7.0 if node.kind == "map" else None, 2.0) == [2, 7]


def test_many_unknown_names_are_cut_short() -> None:
    """A mapping that was made for another graph does not fill the screen."""
    with pytest.raises(SettingError) as caught:
        read_durations(build(step()), {f"other{i}": 1.0 for i in range(100)})
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[0] == "durations= names 'other0', but no node is called that. Known: step."
    assert lines[-1] == "… and 90 more"


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "3", True, 10**400])
def test_durations_are_seconds(wrong: Any) -> None:
    """Whatever is no finite number of at least 0 is refused, with the node that it was said of."""
    graph = build(step().named("fit"))
    for durations in ({"fit": wrong}, lambda node: wrong):
        with pytest.raises(SettingError, match="The duration of 'fit' is"):
            read_durations(graph, durations)


def test_other_things_than_durations_are_refused() -> None:
    """A number for all nodes has its own setting, and that is checked, too."""
    graph = build(step())
    with pytest.raises(SettingError, match="durations= is a int"):
        read_durations(graph, 5)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="default_duration is -1"):
        read_durations(graph, None, -1)


def test_an_id_is_closer_than_a_label_and_a_task() -> None:
    """Ids are looked at only where one is given that is no label: `fit#2` is one node, `fit` all that are called so."""
    graph = build([step().named("fit"), step().named("fit"), step()])
    assert read_durations(graph, {"step": 1, "fit": 2, "fit#2": 3}) == [2.0, 3.0, 1.0]
    assert find_durations(graph, {"fit#2": 3}) == [None, 3.0, None]
    assert find_durations(graph, None) == [None, None, None]
    odd = build([step().named("a"), step().named("a"), step().named("a#2")])
    assert find_durations(odd, {"a#2": 3}) == [None, 3.0, 3.0]
