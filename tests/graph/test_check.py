from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

import cascade as cs
from cascade.context import get_current_context
from cascade.graph.build import build
from cascade.graph.check import check_amount, check_amounts, check_capacities, find_resources, read_inputs
from cascade.interfaces.exceptions import CapacityError, ParamError, ResourceError
from cascade.spec.resource import Resource


@cs.task
def use(*args: Any, **kwargs: Any) -> Any:
    """Stand for any task."""
    return args, kwargs


def find(target: object, explicit: Any = ()) -> list[str]:
    """The names of the resources that `target` needs, in the order in which they are set up."""
    return list(find_resources(build(target), explicit, get_current_context()))


def kind_of(value: object) -> str:
    """The id of a test: the text of a huge number is an error of its own."""
    return type(value).__name__


# -- capacities --------------------------------------------------------------------------------------------------------


def test_static_amounts_by_node() -> None:
    """Amounts are numbers, sorted by name; zero and lazy ones are left out, and nodes without any."""
    lazy = use().with_constraints(cpu=0)
    target = use(use().with_constraints(gpu=1, cpu=Fraction(1, 2))).with_constraints(cpu=lazy, gpu=cs.Param("g", 1))
    graph = build(target)
    found = check_amounts(graph, {"cpu": 2, "gpu": 1})
    assert list(found.values()) == [(("cpu", 0.5), ("gpu", 1.0))]


def test_excess_names_task_amount_and_capacity() -> None:
    """More than there is says what to lower or raise."""
    with pytest.raises(CapacityError) as caught:
        check_amounts(build(use().named("fit").with_constraints(gpu=3)), {"gpu": 2})
    assert str(caught.value) == (
        "Task 'fit' asks for 3 of 'gpu' but the capacity is 2. "
        "Lower with_constraints(gpu=3) or raise system_resources['gpu']."
    )


def test_unknown_capacity_has_the_nearest_name() -> None:
    """A name that no capacity names comes with the one that was probably meant; for lazy amounts too."""
    for amount in (1, 0, cs.Param("n", 1), use()):
        with pytest.raises(
            CapacityError, match=r"asks for 'gqu', which system_resources does not name; it names 'gpu'."
        ):
            check_amounts(build(use().with_constraints(gqu=amount)), {"gpu": 2, "cpu": 1})


def test_all_problems_are_told_at_once() -> None:
    """Each wrong amount has its line, equal ones only one."""
    target = [use().with_constraints(gpu=3, disk=1) for _ in range(50)]
    with pytest.raises(CapacityError) as caught:
        check_amounts(build(target), {"gpu": 2})
    assert str(caught.value).count("\n  - ") == 2


@pytest.mark.parametrize("amount", ["1", None, True, -1, float("nan"), float("inf"), 10**5_000, 1j, [1]], ids=kind_of)
def test_amounts_that_are_no_numbers(amount: object) -> None:
    """An amount is a finite number of at least 0."""
    with pytest.raises(CapacityError, match="an amount is a number of at least 0"):
        check_amounts(build(use().with_constraints(gpu=amount)), {"gpu": 2})


@pytest.mark.parametrize("amount", ["1", None, True, 0, -1, float("nan"), float("inf"), 10**5_000], ids=kind_of)
def test_capacities_that_are_no_numbers(amount: object) -> None:
    """A capacity is a finite number above 0."""
    with pytest.raises(CapacityError, match=r"The capacity of 'gpu' is .* it must be a finite number above 0"):
        check_capacities({"gpu": amount})


def test_capacities_are_a_mapping() -> None:
    """A list instead of a mapping is answered with an example; None means none."""
    with pytest.raises(CapacityError, match="system_resources is a list"):
        check_capacities([("gpu", 1)])  # type: ignore[arg-type]
    assert check_capacities(None) == {}


def test_an_amount_that_only_the_run_knows_is_checked_alike() -> None:
    """The engine checks lazy amounts with the same words."""
    assert check_amount("fit", "gpu", 1, {"gpu": 2.0}) == 1.0
    with pytest.raises(CapacityError, match="asks for 3 of 'gpu' but the capacity is 2"):
        check_amount("fit", "gpu", 3, {"gpu": 2.0})


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_inputs_have_their_converted_values() -> None:
    """Given values are converted, defaults stand in, Envs come from the environment."""
    n, home = cs.Param("n", 1), cs.Env("HOME")
    values = read_inputs(build(use(n, [home])), {"n": "8"}, {"HOME": "here"})
    assert values == {n: 8, home: "here"}


def test_everything_wrong_about_inputs_is_told_at_once() -> None:
    """Missing, mistyped and unknown ones are one report, the unknown one with the nearest name."""
    target = use(
        cs.Param("threshold", 0.5), cs.Param("n", type=int), cs.Param("way", "a", choices=["a", "b"]), cs.Env("NO")
    )
    with pytest.raises(ParamError) as caught:
        read_inputs(build(target), {"treshold": 1, "threshold": "high", "way": "c"}, {})
    assert set(caught.value.problems) == {
        "No Param is named 'treshold'. Did you mean 'threshold'?",
        "Param 'threshold': 'high' is not a valid float.",
        "Param 'n' is missing. Pass params={'n': …} (int), or give it a default.",
        "Param 'way': 'c' is not one of 'a', 'b'.",
        "Env 'NO' is not set. Set the environment variable NO.",
    }


def test_two_params_of_one_name_that_differ_are_an_error() -> None:
    """Equal ones share their value; different ones would be a trap (a notebook cell that was run again)."""
    same = use(cs.Param("n", 1), cs.Param("n", 1))
    assert sorted(read_inputs(build(same), {"n": 2}, {}).values()) == [2, 2]
    with pytest.raises(ParamError, match="two Params named 'n' that differ in their default"):
        read_inputs(build(use(cs.Param("n", 1), cs.Param("n", 2))), None, {})
    with pytest.raises(ParamError, match="two Params named 'n' that differ in their secret"):
        read_inputs(build(use(cs.Param("n", 1), cs.Param("n", 1, secret=True))), None, {})


def test_a_param_that_only_a_skipped_branch_reads_is_known() -> None:
    """Every branch of a Router counts, since nobody knows yet which one will run."""
    graph = build(cs.Router(cs.Param("way", "a"), {"a": use(cs.Param("x", 1)), "b": use(cs.Param("y", 2))}))
    assert {item.name for item in read_inputs(graph, {"y": 3}, {})} == {"way", "x", "y"}


# -- resources ---------------------------------------------------------------------------------------------------------


def make(name: str, *needs: Any, scope: Any = "run") -> Resource:
    """A resource that needs others, by name or object; it is registered."""

    def function(**injected: Any) -> Any:
        yield injected

    made = cs.resource(name=name, scope=scope)(function)
    made.needs = {f"need{i}": cs.inject(need) for i, need in enumerate(needs)}
    return made


def test_needs_come_first() -> None:
    """Resources that others need are found and set up before them, each once."""
    make("net")
    make("pool", "net")
    make("db", "pool", "net")
    assert find([use(cs.inject("db")), use(x=[cs.inject("net")])]) == ["net", "pool", "db"]


def test_only_what_is_needed_is_found() -> None:
    """Registered resources that nobody injects stay closed."""
    make("idle")
    assert find(use(1)) == []


def test_a_long_chain_of_resources() -> None:
    """No recursion over resources either."""
    make("r0")
    for i in range(1_000):
        make(f"r{i + 1}", f"r{i}")
    assert find(use(cs.inject("r1000")))[:2] == ["r0", "r1"]


def test_unknown_resource_has_place_and_nearest_name() -> None:
    """The task, or the resource, that asks is named."""
    make("database", "poool")
    make("pool")
    with pytest.raises(
        ResourceError, match=r"No resource is named 'databse', which task 'use' injects. Did you mean 'database'"
    ):
        find(use(cs.inject("databse")))
    with pytest.raises(ResourceError, match=r"'poool', which resource 'database' injects. Did you mean 'pool'"):
        find(use(cs.inject("database")))


def test_a_circle_of_resources_is_named() -> None:
    """Resources that need each other say in which order."""
    for name, need in (("a", "b"), ("b", "c"), ("c", "b")):
        make(name, need)
    with pytest.raises(ResourceError, match="circle: b → c → b"):
        find(use(cs.inject("a")))


def test_two_resources_of_one_name_are_an_error() -> None:
    """Two objects, two explicit ones, or an object beside another one that is asked for by name."""
    one, other = make("db"), make("db")
    with pytest.raises(ResourceError, match="Two resources of this run are named 'db'"):
        find(use(cs.inject(one), cs.inject(other)))
    with pytest.raises(ResourceError, match="named 'db'"):
        find(use(cs.inject(one), cs.inject("db")))
    with pytest.raises(ResourceError, match="named 'db'"):
        find(use(), [one, other])
    assert find([use(cs.inject(other)), use(other), use(cs.inject("db"))]) == ["db"]


def chosen(target: object, explicit: Any = ()) -> Resource:
    """The resource that is found for the name ``db``."""
    return find_resources(build(target), explicit, get_current_context())["db"]


def test_explicit_wins_then_overrides_then_objects_then_names() -> None:
    """Who says what ``db`` is, in the order of DESIGN."""
    injected, registered = make("db"), make("db")
    explicit, override = make("x"), make("y")
    by_name, by_object = use(cs.inject("db")), use(cs.inject(injected))
    get_current_context().resources["db"] = registered
    assert chosen(by_name) is registered
    assert chosen(by_object) is injected
    with cs.override_resource("db", override):
        assert chosen(by_name) is override
        assert chosen(by_object) is override
        assert chosen(by_name, {"db": explicit}) is explicit


def test_redefining_a_resource_in_a_notebook_replaces_it() -> None:
    """A task that was defined with the older object gets the newer one: same module, same function name."""

    def define(version: int) -> Resource:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def db():\n    yield {version}", namespace)
        return cs.resource(namespace["db"])

    older = define(1)
    target = [use(cs.inject(older)), use(cs.inject("db"))]
    newer = define(2)
    assert chosen(target) is newer


def test_a_resource_cannot_outlive_what_it_needs() -> None:
    """A session resource on top of one that ends with the run is refused, unless a stand-in is in its place."""
    make("folder")
    make("server", "folder", scope="session")
    with pytest.raises(ResourceError, match=r"'server' \(scope 'session'\) needs 'folder' \(scope 'run'\)"):
        find(use(cs.inject("server")))
    with cs.override_resource("folder", "/nowhere"):
        assert find(use(cs.inject("server"))) == ["folder", "server"]


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ([use(), cs.inject("db")], "the target of the run"),
        (use().run_if(cs.inject("db")), "the condition of 'use'"),
        (use().with_fallback([cs.inject("db")]), "the fallback of 'use'"),
        (use().with_constraints(gpu=cs.inject("db")), "with_constraints of 'use'"),
        (cs.Router(use(), {1: cs.inject("db")}, name="way"), "the router 'way'"),
    ],
)
def test_resources_are_arguments_only(target: object, place: str) -> None:
    """Where no task holds the instance open, it cannot be asked for."""
    make("db")
    with pytest.raises(ResourceError, match=f"'db' cannot be injected into {place}"):
        find(target)


def test_a_thread_cannot_have_an_async_resource_of_its_own() -> None:
    """An async resource for each attempt needs an async task; beneath another resource, too."""

    @cs.resource(scope="task")
    async def session() -> Any:
        yield 1

    make("client", "session", scope="task")

    @cs.task
    async def later(x: Any) -> Any:
        return x

    assert find(later(cs.inject("client"))) == ["session", "client"]
    for name in ("session", "client"):
        with pytest.raises(
            ResourceError, match=f"'use' is a plain function, but the resource '{name}' is asynchronous"
        ):
            find(use(cs.inject(name)))


@pytest.mark.parametrize("given", [["db"], [SimpleNamespace()], "db", [use]])
def test_resources_argument_takes_resources(given: Any) -> None:
    """Anything else is answered with how to make one."""
    with pytest.raises(ResourceError, match="resources= takes a list of resources"):
        find(use(), given)
