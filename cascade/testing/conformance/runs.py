"""What a run promises, wherever its calls are made.

In: a factory of what ``executor=`` takes. Out: the promises that a run on it breaks. Invariant: the graphs are those of
any notebook: functions made on the spot, that close over values and over each other; nothing in them knows where they
run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import cascade.testing.conformance.run_endings  # noqa: F401 - its cases join these
from cascade.testing.conformance.cases import Trial, case, expect, run_cases
from cascade.testing.conformance.run_trials import EXECUTOR_RUN_CASES, LARGE, fail, give, public, task

__all__ = ["EXECUTOR_RUN_CASES", "check_executor_runs"]

LONG: Final = 60.0  # seconds that one run may take: workers may have to be started
MANY: Final = 300  # items of a map


def check_executor_runs(factory: Callable[[], Any], *, timeout: float = LONG) -> None:
    """Run a graph of every construct on what `factory` gives, and compare with what each must give.

    Args:
        factory: makes what ``executor=`` takes, for each case; it is shut down after it, if it has `shutdown`.
        timeout: seconds to wait for one run.

    Raises:
        ConformanceError: lists each promise that is broken.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> check_executor_runs(ThreadPoolExecutor)
    """
    run_cases("a run's executor", EXECUTOR_RUN_CASES, factory, timeout)


@dataclass
class _Pair:
    left: Any
    right: Any


# -- values ---------------------------------------------------------------------------------------------------------


@case(EXECUTOR_RUN_CASES)
def passes_values_on(trial: Trial) -> None:
    """Values go from call to call, also within containers, by key, and through functions that close over others."""
    offset = 10

    def shift(x: int) -> int:
        return x + offset

    @task()
    def make(n: int) -> dict[str, Any]:
        return {"n": shift(n), "none": None, "rest": list(range(n))}

    @task()
    def join(parts: Any, pair: _Pair, **more: Any) -> Any:
        return [parts, (pair.left, pair.right), more]

    first, second = make(1), make(2)
    found = give(trial, join({"a": [first["n"], (second["n"],)]}, _Pair(first["none"], 5), rest=second["rest"]))
    expect(found == [{"a": [11, (12,)]}, (None, 5), {"rest": [0, 1]}], f"a graph gave {found!r}")


@case(EXECUTOR_RUN_CASES)
def passes_large_values_on(trial: Trial) -> None:
    """Large values go from call to call, to a call that runs here, and into the result."""

    @task()
    def make(n: int) -> bytes:
        return bytes([n]) * LARGE

    @task()
    def glue(*parts: bytes) -> bytes:
        return b"".join(parts)

    @task(mode="inline")
    def count(data: bytes) -> int:
        return len(data)

    glued = glue(make(1), make(2))
    found = give(trial, {"count": count(glued), "last": glue(glued)[-1], "whole": glue(glued), "first": make(3)})
    expect(found["count"] == 2 * LARGE, f"a call that runs here saw {found['count']} bytes")
    expect(found["last"] == 2, f"the last byte is {found['last']!r}")  # noqa: PLR2004 - as made above
    expect(found["whole"] == b"\1" * LARGE + b"\2" * LARGE, "the result is not what was computed")
    expect(found["first"] == b"\3" * LARGE, "a large value came back changed")


@case(EXECUTOR_RUN_CASES)
def runs_long_chains_and_wide_layers(trial: Trial) -> None:
    """Many short calls, one after the other and side by side, give what plain calls give."""

    @task()
    def step(x: int) -> int:
        return x + 1

    @task()
    def add(*xs: int) -> int:
        return sum(xs)

    value: Any = 0
    for _ in range(40):
        value = step(value)
    layer = [step(n) for n in range(40)]
    layer = [add(layer[n], layer[(7 * n + 3) % 40]) for n in range(40)]
    found = give(trial, [value, add(*layer)])
    wanted = [40, sum((n + 1) + ((7 * n + 3) % 40 + 1) for n in range(40))]
    expect(found == wanted, f"it gave {found}, not {wanted}")


# -- maps -----------------------------------------------------------------------------------------------------------


@case(EXECUTOR_RUN_CASES)
def maps_in_order(trial: Trial) -> None:
    """A map gives its values in the order of its inputs, also over lazy ones, with others repeated or whole."""
    cs = public()

    @task()
    def numbers(n: int) -> list[int]:
        return list(range(n))

    @task()
    def scale(x: int, by: int, whole: list[int]) -> int:
        return x * by + len(whole)

    @task()
    def total(xs: list[int]) -> int:
        return sum(xs)

    xs = numbers(MANY)
    first = scale.map(x=xs, by=2, whole=cs.unmapped(numbers(3)))
    found = give(trial, {"first": first, "again": scale.map(x=first, by=1, whole=cs.unmapped([])), "sum": total(first)})
    wanted = [2 * n + 3 for n in range(MANY)]
    expect(found == {"first": wanted, "again": wanted, "sum": sum(wanted)}, f"maps gave {str(found)[:200]}")


@case(EXECUTOR_RUN_CASES)
def collects_failures_of_items(trial: Trial) -> None:
    """With on_error="collect", an item that fails gives its exception, and all others their values."""

    @task()
    def invert(x: int) -> float:
        return 1 / x

    found = give(trial, invert.map([1, 0, 2, 4], on_error="collect"))
    expect(found[0] == 1 and found[2:] == [0.5, 0.25], f"the others gave {found}")
    expect(type(found[1]) is ZeroDivisionError, f"the item that failed gave {found[1]!r}")


@case(EXECUTOR_RUN_CASES)
def fails_a_map_by_its_item(trial: Trial) -> None:
    """A map fails with the exception of its item, which names the item."""

    @task(name="invert")
    def invert(x: int) -> float:
        return 1 / x

    error, _ = fail(trial, invert.map([1, 2, 0, 4]))
    expect(type(error) is ZeroDivisionError, f"it failed with {error!r}")
    notes = " ".join(getattr(error, "__notes__", ()))
    expect("'invert[2]'" in notes, f"its notes name no item: {notes}")


# -- control --------------------------------------------------------------------------------------------------------


@case(EXECUTOR_RUN_CASES)
def takes_one_route(trial: Trial) -> None:
    """Of a router, the chosen route alone runs; a false run_if skips, and a fallback stands in."""
    cs = public()

    with TemporaryDirectory() as folder:

        @task()
        def choose() -> str:
            return "small"

        @task()
        def route(name: str) -> str:
            Path(folder, name).touch()
            return name.upper()

        @task()
        def is_on() -> bool:
            return False

        target = [
            cs.Router(selector=choose(), routes={"small": route("small"), "large": route("large")}),
            route("gated").run_if(is_on()).with_fallback(route("instead")),
        ]
        found = give(trial, target)
        ran = sorted(path.name for path in Path(folder).iterdir())
    expect(found == ["SMALL", "INSTEAD"], f"it gave {found}")
    expect(ran == ["instead", "small"], f"these ran: {ran}")


@case(EXECUTOR_RUN_CASES)
def turns_loops(trial: Trial) -> None:
    """A loop by jumps turns until its function ends it."""
    cs = public()

    @task()
    def count(n: int) -> Any:
        return cs.Jump("again", data={"n": n + 1}) if n < 5 else cs.Jump("end", data=n)  # noqa: PLR2004 - five turns

    selector = cs.select_jump({"again": count(0), "end": None})
    found = give(trial, cs.bind(count(0), selector))
    expect(found == 5, f"it gave {found!r}")  # noqa: PLR2004 - five turns


@case(EXECUTOR_RUN_CASES)
def grows(trial: Trial) -> None:
    """A call may return other calls, and the run goes on with them."""

    @task()
    def square(x: int) -> int:
        return x * x

    @task()
    def spread(n: int) -> Any:
        return [square(k) for k in range(n)]

    @task()
    def total(xs: list[int]) -> int:
        return sum(xs)

    found = give(trial, total(spread(5)))
    expect(found == 30, f"it gave {found!r}")  # noqa: PLR2004 - 0 + 1 + 4 + 9 + 16
