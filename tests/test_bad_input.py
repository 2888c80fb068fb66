"""Bad input, as people really write it: one whole sentence about what happened, where, and what to do; nothing runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import (
    CapacityError,
    CascadeError,
    LazyUseError,
    MapError,
    NotLazyError,
    ParamError,
    ResourceError,
    RouteError,
    TaskExitError,
)

QUIET: dict[str, Any] = {"log_level": None}
ran: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> Iterator[None]:
    """Every definition error comes before the first task: what ran is counted, and must be nothing."""
    ran.clear()
    yield
    assert not ran


@cs.task
def fit(alpha: float = 0.5, rounds: int = 3) -> str:
    ran.append("fit")
    return "fitted"


@cs.task
def load() -> list[int]:
    ran.append("load")
    return [1, 2, 3]


def says(text: str) -> str:
    return f"^{re.escape(text)}$"


# -- calling --------------------------------------------------------------------------------------------------------


def test_wrong_argument_name() -> None:
    """A call that does not fit is a TypeError at that line, with the task, the nearest name and the signature."""
    with pytest.raises(TypeError) as caught:
        fit(alfa=0.1)  # type: ignore[call-arg]
    assert str(caught.value) == (
        "Task 'fit' cannot be called like this: got an unexpected keyword argument 'alfa'. Did you mean 'alpha'? "
        "It is fit(alpha: 'float' = 0.5, rounds: 'int' = 3) -> 'str'."
    )
    with pytest.raises(TypeError, match="Task 'fit' cannot be called like this: too many positional arguments"):
        fit(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Task 'fit' cannot be called like this"):
        fit.map(alfa=[1])


def test_truth_value_of_a_lazy_result() -> None:
    """`if lazy:` names `.run_if` and Router."""
    with pytest.raises(LazyUseError, match=r"^The lazy result 'load' has no truth value before the run\..*\.run_if"):
        bool(load())


def test_iteration_of_a_lazy_result() -> None:
    """`for x in lazy`, `len`, `in` and unpacking name `.map` and indexing."""
    wanted = says(
        "The lazy result 'load' cannot be iterated before the run. "
        "To call a task for each of its items, use task.map(x=load); to take one item, use load[key]."
    )
    for use in (iter, list, len, lambda lazy: 1 in lazy, lambda lazy: [*lazy]):
        with pytest.raises(LazyUseError, match=wanted):
            use(load())  # type: ignore[operator]


def test_text_and_attributes_of_a_lazy_result() -> None:
    """`f"{lazy}"` and `lazy.columns` say that the value is not there yet, and what to do."""
    with pytest.raises(LazyUseError, match="The lazy result 'load' has no text before the run"):
        f"{load()}"
    with pytest.raises(AttributeError, match=r"has no attribute 'name' before the run. Did you mean 'named'\?"):
        _ = load().name


# -- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [cs.run, cs.start, cs.dry_run])
def test_run_of_something_that_is_not_lazy(run: Any) -> None:
    """A plain value, an undecorated function and a task that was not called are told apart."""
    options = {} if run is cs.dry_run else QUIET
    with pytest.raises(NotLazyError) as caught:
        run(42, **options)
    assert str(caught.value) == (
        "There is nothing to run: the target is of type int, not a lazy result. "
        "Decorate the function with @cs.task, call it, and pass what the call returns."
    )
    with pytest.raises(NotLazyError, match=r"'fit' is a task: call it first, as in cs.run\(fit\(…\)\)\."):
        run(fit, **options)
    with pytest.raises(NotLazyError, match="the target is of type list"):
        run([1, 2], **options)


def test_settings_that_do_not_exist() -> None:
    """Wrong values of run's own arguments are refused, with what exists."""
    for options, wanted in (
        ({"on_failure": "stop"}, "on_failure is 'cancel' or 'continue', not 'stop'"),
        ({"timeout": 0}, "A timeout is a number of seconds above 0, not 0"),
        ({"timeout": "soon"}, "A timeout is a number of seconds above 0, not 'soon'"),
        ({"log_level": "LOUD"}, "LOUD"),
        ({"log_format": "xml"}, "log_format cannot be 'xml'"),
    ):
        with pytest.raises(ValueError, match=wanted):
            cs.run(fit(), **{**QUIET, "log_level": "ERROR", **options})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="A subscriber is a function of an event"):
        cs.run(fit(), subscribers=["print"], **QUIET)
    with pytest.raises(CascadeError, match=r"cache is a store, .* an address or True, not int"):
        cs.run(fit(), cache=3, **QUIET)
    with pytest.raises(CascadeError, match="'x' names no connector"):
        cs.run(fit(), connector="x", **QUIET)


# -- params ---------------------------------------------------------------------------------------------------------


def test_missing_and_mistyped_params_all_at_once() -> None:
    """Everything that is wrong with the inputs is one report."""
    call = fit(cs.Param("alpha", type=float), cs.Param("rounds", type=int, description="how often"))
    more = load().named(str(cs.Param("unused", default=1).name))
    mode = cs.Param("mode", default="fast", choices=["fast", "slow"])
    target = [call, more, fit(mode), fit(cs.Env("CASCADE_NO_SUCH"))]
    with pytest.raises(ParamError) as caught:
        cs.run(target, {"alpha": "much", "mode": "medium", "treshold": 1}, **QUIET)
    text = str(caught.value)
    assert text.startswith("5 inputs are not right:\n  - ")
    assert "Param 'alpha': 'much' is not a valid float." in text
    assert "Param 'rounds' (how often) is missing. Pass params={'rounds': …} (int), or give it a default." in text
    assert "Param 'mode': 'medium' is not one of 'fast', 'slow'." in text
    assert "Env 'CASCADE_NO_SUCH' is not set. Set the environment variable CASCADE_NO_SUCH." in text
    assert "No Param is named 'treshold'." in text
    assert len(caught.value.problems) == 5


def test_unknown_param_with_the_nearest_name() -> None:
    """A misspelt Param names the one that was meant."""
    with pytest.raises(ParamError, match=says("No Param is named 'treshold'. Did you mean 'threshold'?")):
        cs.run(fit(cs.Param("threshold", default=0.5)), {"treshold": 1}, **QUIET)
    with pytest.raises(ParamError, match=says("No Param is named 'alpha'. This graph has no Params.")):
        cs.run(fit(), {"alpha": 1}, **QUIET)


def test_wrong_secret_does_not_show() -> None:
    """The report about a secret that cannot be converted does not tell it."""
    with pytest.raises(ParamError) as caught:
        cs.run(fit(cs.Param("pin", type=int, secret=True)), {"pin": "hunter2"}, **QUIET)
    assert "hunter2" not in str(caught.value)
    assert "Param 'pin': the value given is not a valid int" in str(caught.value)


# -- capacities -----------------------------------------------------------------------------------------------------


def test_amount_above_capacity() -> None:
    """More than there is names task, amounts and both ways out."""
    wanted = says(
        "Task 'fit' asks for 3 of 'gpu' but the capacity is 2. "
        "Lower with_constraints(gpu=3) or raise system_resources['gpu']."
    )
    with pytest.raises(CapacityError, match=wanted):
        cs.run(fit().with_constraints(gpu=3), system_resources={"gpu": 2}, **QUIET)


def test_unknown_capacity() -> None:
    """A name that no capacity names tells the nearest."""
    wanted = says(
        "Task 'fit' asks for 'gpus', which system_resources does not name; it names 'gpu'. "
        "Name both alike: system_resources={'gpus': …}, or with_constraints(gpu=…)."
    )
    with pytest.raises(CapacityError, match=wanted):
        cs.run(fit().with_constraints(gpus=1), system_resources={"gpu": 2}, **QUIET)


def test_amounts_and_capacities_that_are_none() -> None:
    """Negative amounts, truth values, text and infinite capacities are refused."""
    for amounts, capacity, wanted in (
        ({"gpu": -1}, {"gpu": 1}, "asks for -1 of 'gpu'; an amount is a number of at least 0"),
        ({"gpu": "two"}, {"gpu": 1}, "asks for 'two' of 'gpu'"),
        ({"gpu": True}, {"gpu": 1}, "asks for True of 'gpu'"),
        ({"gpu": 1}, {"gpu": float("inf")}, "The capacity of 'gpu' is inf; it must be a finite number above 0"),
        ({"gpu": 1}, {"gpu": 0}, "The capacity of 'gpu' is 0"),
        ({"gpu": 1}, ["gpu"], "system_resources is a list; it must map names to amounts"),
    ):
        with pytest.raises(CapacityError, match=wanted):
            cs.run(fit().with_constraints(**amounts), system_resources=capacity, **QUIET)  # type: ignore[arg-type]


def test_amount_that_only_the_run_knows() -> None:
    """A computed amount that is too large fails its node with the same sentence."""
    many = cs.task(lambda: 5, name="many")()
    with pytest.raises(CapacityError, match="Task 'fit' asks for 5 of 'gpu' but the capacity is 2"):
        cs.run(fit().with_constraints(gpu=many), system_resources={"gpu": 2}, **QUIET)


# -- maps and routes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_unequal_map_lengths(mode: Any) -> None:
    """Inputs of unequal lengths are named with them; no item runs."""
    each = cs.task(lambda x, y: ran.append("item"), name="each", mode=mode)
    wanted = (
        "The map of 'each' zips inputs of unequal length: x has 3, y has 2. "
        r"Make them equal, or wrap what belongs to every item in cs.unmapped\(…\)."
    )
    with pytest.raises(MapError, match=wanted):
        cs.run(each.map(x=[1, 2, 3], y=[1, 2]), **QUIET)


def test_map_over_nothing_iterable() -> None:
    """A map whose inputs are all single values says what a map is for."""
    with pytest.raises(MapError, match=r"The map of 'fit' has nothing to iterate: .* or call fit\(…\) once."):
        cs.run(fit.map(alpha=1), **QUIET)


def test_map_settings() -> None:
    """on_error and max_concurrency have few values."""
    with pytest.raises(ValueError, match="on_error of a map is 'fail' or 'collect', not 'ignore'"):
        fit.map([1], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_concurrency of a map is a whole number of at least 1, not 0"):
        fit.map([1], max_concurrency=0)


def test_router_without_the_key() -> None:
    """A selector that gives a key without a route names the routes."""
    router = cs.Router(selector=cs.Param("way", default="slow"), routes={"fast": fit(), "exact": fit()}, name="way?")
    wanted = "The router 'way?' has no route for 'slow' and no default. Its routes are 'fast', 'exact'."
    with pytest.raises(RouteError, match=re.escape(wanted)):
        cs.run(router, **QUIET)
    with pytest.raises(ValueError, match="A Router needs routes="):
        cs.Router(selector=1, routes={})


# -- policies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: fit().with_retry(0), "max_attempts is 0; it counts all attempts and must be at least 1"),
        (lambda: fit().with_retry(jitter=2), "jitter is 2; it is a share of the delay between 0 and 1"),
        (lambda: fit().with_retry(delay=-1), "delay of a retry is -1; it must be a number of at least 0"),
        (lambda: fit().with_timeout(0), "A timeout is a number of seconds above 0, not 0"),
        (lambda: cs.task(timeout=-1)(len), "A timeout is a number of seconds above 0, not -1"),
        (lambda: cs.task(mode="thread")(len), "Task 'len' has no mode 'thread'"),
        (cs.sequence, "cs.sequence needs at least one step"),
    ],
)
def test_policies_that_cannot_be_meant(make: Any, wanted: str) -> None:
    """Settings of calls and tasks are refused where they are written."""
    with pytest.raises(ValueError, match=re.escape(wanted)):
        make()


# -- tasks and resources --------------------------------------------------------------------------------------------


def test_task_that_raises_system_exit() -> None:
    """`sys.exit()` in a task is an error with a way out, and the program goes on."""
    wanted = says(
        "Task 'leave' raised SystemExit(1), which would have ended the program; cascade caught it. "
        "Return a value or raise an ordinary exception instead."
    )

    def leave() -> None:
        raise SystemExit(1)

    with pytest.raises(TaskExitError) as caught:
        cs.run(cs.task(leave)(), **QUIET)
    assert re.match(wanted, str(caught.value))


def test_resource_that_never_yields() -> None:
    """A generator that ends at once tells what it should do."""

    @cs.resource
    def empty() -> Iterator[None]:
        yield from ()

    wanted = "The resource 'empty' never yielded a value. Its function must yield exactly once."
    with pytest.raises(ResourceError) as caught:
        cs.run(fit(cs.inject("empty")), **QUIET)
    assert str(caught.value) == wanted


def test_two_resources_of_one_name() -> None:
    """Two different resources of one name in one run are refused; the later definition of one name is not."""

    def one() -> Iterator[int]:
        yield 1

    def two() -> Iterator[int]:
        yield 2

    first, second = cs.resource(name="db")(one), cs.resource(name="db")(two)
    wanted = says("Two resources of this run are named 'db'. Give one another name: @cs.resource(name=…).")
    with pytest.raises(ResourceError, match=wanted):
        cs.run([fit(first), fit(second)], **QUIET)
    with pytest.raises(ResourceError, match=wanted):
        cs.run(fit(cs.inject("db")), resources=[first, second], **QUIET)


def test_unknown_resource() -> None:
    """An injection that nobody defined names the nearest that somebody did."""

    @cs.resource
    def database() -> Iterator[int]:
        yield 1

    with pytest.raises(ResourceError, match=r"named 'databse', which task 'fit' injects\. Did you mean 'database'\?"):
        cs.run(fit(cs.inject("databse")), **QUIET)


def test_resource_that_is_none() -> None:
    """What has no lifetime cannot be a resource; it is told when it is to be opened at the latest."""
    with pytest.raises((ResourceError, TypeError)):
        cs.resource(3)  # type: ignore[call-overload]
    plain = cs.resource(name="plain")(lambda: 3)
    with pytest.raises(ResourceError, match="'plain' cannot be a resource: it must be a generator function"):
        cs.run(fit(plain), **QUIET)
    with pytest.raises(ResourceError, match=r"resources= takes a list of resources; fit is none"):
        cs.run(fit(), resources=[fit], **QUIET)
