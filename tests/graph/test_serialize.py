from __future__ import annotations

import functools
import json
import math
import operator
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import ModuleType
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.context import get_current_context
from cascade.graph.build import build
from cascade.graph.deserialize import FORMAT
from cascade.interfaces.exceptions import GraphError, GraphFormatError, NotLazyError

FAR = timezone(timedelta(hours=5, minutes=30))
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def tasks(own_context: None) -> None:
    """The tasks of this module, registered for each test."""
    for task in (join, pure):
        get_current_context().tasks[task.key] = task


@cs.task
def join(*parts: Any, **named: Any) -> Any:
    """Stand for any task."""
    return parts, named


@cs.task(pure=True, retry=2)
def pure(x: Any) -> Any:
    """Stand for a pure task with options of its own."""
    return x


def again(target: Any) -> Any:
    """What comes back from a file."""
    return cs.from_json(cs.to_json(target))


def value_again(value: Any) -> Any:
    """What comes back of a plain value."""
    return build(again(join(value))).calls[0]._args[0]


# -- values ------------------------------------------------------------------------------------------------------------


VALUES = [
    None, True, 0, -1, 2**53, -(2**53), 2**200, 1.5, -0.0, 1e308, math.inf, -math.inf, 1 + 2j, complex(math.inf, -0.0),
    "", "text", "naïve 🎉 \x00 \u2028", "\ud800", "\ud83d\ude00", "\ud83d" + "\ude00", b"", b"\x00\xff",
    bytearray(b"x"), [], [1, [2, "3"]], (), (1, (2,)), set(), {1, "a", None}, frozenset({(1, 2), b"x"}), {},
    {"a": {"b": [1]}},
    {1: "a", "1": "b", None: 2, (1, 2): 3, False: 4}, {"$": 1}, {"$": "tuple", "items": []}, {"\ud800": 1},
    slice(1, None, 2), range(3, 9, 2), ...,
    date(2026, 2, 28), time(1, 2, 3, 4), time(1, 2, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - without a zone, too
    datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=FAR),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    timedelta(days=-1, microseconds=3), Decimal("1.10"), Decimal("NaN"), Fraction(-1, 3), UUID(int=7),
    Path("a") / "b", PurePosixPath("/x"), PureWindowsPath("C:/x"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=[f"{n}-{type(value).__name__}" for n, value in enumerate(VALUES)])
def test_values_come_back_with_their_types(value: Any) -> None:
    """Every word of the vocabulary: the same value, of the same type, all the way down."""
    back = value_again(value)
    assert type(back) is type(value)
    assert repr(back) == repr(value) or back == value
    assert ascii(value_again([value, (value,)])) == ascii([back, (back,)])


def test_fold_and_zone_come_back() -> None:
    """The second 02:30 of a night in autumn is still the second one."""
    moment = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)
    back = value_again(moment)
    assert (back.fold, back.tzinfo, back.utcoffset()) == (1, BERLIN, timedelta(hours=1))


def test_not_a_number_comes_back() -> None:
    """NaN is written although JSON has no word for it."""
    assert math.isnan(value_again(math.nan))
    assert "NaN" not in cs.to_json(join(math.nan))


def test_the_file_is_strict_json() -> None:
    """Any JSON reader takes it; it is ASCII, and a set always looks the same."""
    text = cs.to_json(join(VALUES[:22], {"b", "a", "c"}))
    document = json.loads(text, parse_constant=pytest.fail)
    assert text.isascii()
    assert document["format"] == FORMAT
    assert document["nodes"][0]["args"][1]["items"] == ["a", "b", "c"]


ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary()
    | st.complex_numbers() | st.dates() | st.times() | st.datetimes(timezones=st.sampled_from([None, UTC, FAR, BERLIN]))
    | st.timedeltas() | st.decimals(allow_nan=False) | st.fractions() | st.uuids()
)  # fmt: skip
HASHABLE = ATOMS | st.tuples(ATOMS, ATOMS) | st.frozensets(ATOMS, max_size=3)
ANY = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
    ),
    max_leaves=8,
)


def canonical(value: Any) -> str:
    """A text that is the same for the same value, type included."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}{sorted(map(canonical, value))}"
    if isinstance(value, dict):
        return f"dict{[(canonical(k), canonical(v)) for k, v in value.items()]}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}{list(map(canonical, value))}"
    return f"{type(value).__name__} {value!a} {getattr(value, 'fold', '')}"


@given(ANY)
def test_any_value_comes_back(value: Any) -> None:
    """Random values of every kind, nested."""
    assert canonical(value_again(value)) == canonical(value)


class MyInt(int):
    pass


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (MyInt(1), "MyInt"),
        (object(), "object"),
        (iter([1]), "iterator"),
        (lambda: 1, "function"),
        (join, "Task"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(0), "odd")), "the time zone"),
        (1 << 500_000, "too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_come_back_is_refused(value: object, word: str) -> None:
    """A type that a file cannot hold is an error that names task, argument and type; subclasses too."""
    for wrapped in (value, [value], {"k": (value,)}):
        with pytest.raises(GraphFormatError, match=f"Task 'here', argument 'x': .*{word}"):
            cs.to_json(join(x=wrapped).named("here"))


def test_circular_and_deep_values_are_refused() -> None:
    """A list that holds itself, or a thousand lists, is an error and not a crash."""
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 1
    for _ in range(1_000):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(GraphFormatError, match="nested more than 100 deep, or hold themselves"):
            cs.to_json(join(value))


def test_nesting_up_to_the_bound_comes_back() -> None:
    """A hundred lists in each other are written and read."""
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert value_again(deep) == deep


# -- graphs ------------------------------------------------------------------------------------------------------------


def test_calls_options_and_names_come_back() -> None:
    """Everything that can be said about a call."""
    flag, spare = join(1), join(2)
    target = (
        join(flag, [spare, {"k": (flag,)}], x=flag["a"][0])
        .named("näme")
        .run_if(flag)
        .with_retry(4, delay=0.5, backoff=2, jitter=0.1, max_delay=9, retry_on=(ValueError, OSError))
        .with_timeout(2.5)
        .with_constraints(gpu=1, cpu=flag, disk=cs.Param("d", 0.5))
        .after(spare, flag)
        .with_fallback({"v": spare})
    )
    back = again(target)
    assert cs.to_json(back) == cs.to_json(target)
    options = back._options
    assert (options.name, options.timeout) == ("näme", 2.5)
    assert options.retry == target._options.retry
    assert options.condition is back._args[0] is back._args[1][1]["k"][0] is options.after[1]
    assert options.fallback["v"] is options.after[0]
    assert options.constraints["cpu"] is back._args[0]


@pytest.mark.parametrize("retry_on", [Exception, ValueError, (), (KeyError,), (ValueError, TimeoutError)], ids=str)
def test_retries_keep_what_they_are_for(retry_on: Any) -> None:
    """One exception type, or a tuple of them, of the built-in ones."""
    assert again(join().with_retry(retry_on=retry_on))._options.retry.retry_on == retry_on


@pytest.mark.parametrize(
    ("retry_on", "told"),
    [
        (type("Own", (ValueError,), {}), "can name a class such as Own only if it stands"),
        (type("ValueError", (Exception,), {}), "can name a class such as ValueError only if it stands"),
        (lambda e: True, "cannot hold a function of the exception; name exception types"),
    ],
)
def test_retries_on_what_a_reader_would_not_find_are_refused(retry_on: Any, told: str) -> None:
    """A file names exceptions that the reader has, and not one that merely has such a name; functions have none."""
    with pytest.raises(GraphFormatError, match=rf"Task 'join', retry: retry_on: .*{told}.*@cs\.task\(retry=…\)"):
        cs.to_json(join().with_retry(retry_on=retry_on))


def test_a_cache_policy_is_refused() -> None:
    """What would be lost silently is an error that says where the policy can stand."""
    with pytest.raises(GraphFormatError, match=r"cache policy dict; give it to @cs\.task\(cache=…\)"):
        cs.to_json(join().with_cache({}))


def test_maps_come_back() -> None:
    """Inputs, whole inputs, concurrency and what happens on errors."""
    target = join.map([1, 2], cs.unmapped([join(1)]), y=join(2), max_concurrency=3, on_error="collect")
    back = again(target)
    assert type(back) is type(target)
    assert (back._max_concurrency, back._on_error) == (3, "collect")
    assert type(back._args[1]) is type(target._args[1])
    assert cs.to_json(back) == cs.to_json(target)


def test_routers_come_back() -> None:
    """Selector, routes by any key, default and name, also as target and inside one another."""
    inner = cs.Router(cs.Param("way", 1), {1: join(1), "1": 2, None: join(3), (1, 2): []}, default=None)
    outer = cs.Router(inner, {True: inner, False: join(inner)}, name="outer")
    back = again([outer, {"x": inner}])
    assert back[0].selector is back[1]["x"] is back[0].routes[True]
    assert list(back[1]["x"].routes) == [1, "1", None, (1, 2)]
    assert (back[0].name, back[1]["x"].default) == ("outer", None)


def test_shared_nodes_and_params_stay_shared() -> None:
    """One call in two places is one node; a Param that stands twice is one Param."""
    a, p = join(1), cs.Param("p", 1)
    back = again([a, join(a, p), (p, a["k"])])
    assert back[0] is back[1]._args[0] is back[2][1]._base
    assert back[1]._args[1] is back[2][0]


def test_params_and_envs_come_back() -> None:
    """Name, type, default, description and choices; reading a file registers nothing."""
    kinds = [
        str,
        int,
        float,
        bool,
        list[int],
        dict[str, float],
        tuple[int, ...],
        int | None,
        Literal["a", 1],
        Path,
        date,
    ]
    params = [cs.Param(f"p{i}", type=kind, description=f"the {i}th") for i, kind in enumerate(kinds)]
    choice, env = cs.Param("c", "a", choices=["a", "b"]), cs.Env("HOME", default=5)
    text = cs.to_json(join(*params, choice, env))
    get_current_context().params.clear()
    back = cs.from_json(text)._args
    assert [(p.name, p.type, p.required, p.description) for p in back[: len(kinds)]] == [
        (p.name, p.type, True, p.description) for p in params
    ]
    assert (back[-2].choices, back[-2].default, type(back[-1]), back[-1].type) == (("a", "b"), "a", cs.Env, int)
    assert not get_current_context().params


def test_secrets_are_never_written() -> None:
    """The default and the choices of a secret stay out of the file; it is required when it is read."""
    target = join(cs.Param("key", "hunter2", secret=True, choices=["hunter2"]), cs.Env("TOKEN", "hunter2", secret=True))
    text = cs.to_json(target)
    assert "hunter2" not in text
    back = cs.from_json(text)
    assert [(item.secret, item.required, item.choices) for item in back._args] == [(True, True, None)] * 2


def test_an_own_type_of_a_param_is_refused() -> None:
    """A type that is not built in has no word."""
    with pytest.raises(GraphFormatError, match="Param 'p', type: a graph file has no word for the type MyInt"):
        cs.to_json(join(cs.Param("p", type=MyInt)))


def test_injections_come_back_by_name() -> None:
    """A resource, injected by object or name, is asked for by name."""

    @cs.resource
    def db() -> Any:
        yield 1

    back = again(join(db, [cs.inject("other")], x=cs.inject(db)))
    assert [mark.name for mark in (back._args[0], back._args[1][0], back._kwargs["x"])] == ["db", "other", "db"]


def test_a_graph_is_written_like_its_target() -> None:
    """`to_json` takes what `build` gives, too; equal pure calls are one node in both."""
    target = {"a": [pure(1), pure(1)], "b": join(pure(1))["k"]}
    assert len(build(cs.from_json(cs.to_json(build(target))))) == len(build(target)) == 2
    assert len(build(again(target))) == 2


def test_the_result_can_be_run() -> None:
    """What comes back runs, with the values and the shape of the original."""

    @cs.task
    def add(x: int, y: int) -> int:
        return x + y

    target = {"sums": [add(add(1, 2), y=cs.Param("y", 3)), add.map([1, 2], 10)]}
    assert cs.run(again(target), params={"y": 4}, log_level=None) == {"sums": [7, [11, 12]]}


def test_lines_are_nodes() -> None:
    """A file can be read and compared line by line: a changed node is a changed line."""
    one = cs.to_json(join(join(1), 2)).splitlines()
    other = cs.to_json(join(join(1), 3)).splitlines()
    assert sum(a != b for a, b in zip(one, other, strict=True)) == 1


def test_nothing_lazy_is_an_error() -> None:
    """A plain value is no graph."""
    with pytest.raises(NotLazyError):
        cs.to_json([1, 2])


def test_a_circle_is_an_error() -> None:
    """Data that came to hold its own reader is named."""
    box: list[Any] = []
    one = join(box).named("one")
    box.append(join(one).named("two"))
    with pytest.raises(GraphError, match="circle: one → two → one"):
        cs.to_json(one)


def test_functions_that_share_a_name_are_refused() -> None:
    """Two inner functions of one qualified name cannot be told apart; the second would run for both."""

    def make(n: int) -> Any:
        @cs.task
        def inner() -> int:
            return n

        return inner

    one, other = make(1), make(2)
    with pytest.raises(GraphFormatError, match="several functions are called"):
        cs.to_json([one(), other()])
    with pytest.raises(GraphFormatError, match="several functions are called"):
        cs.to_json(one())
    assert cs.run(again(other()), log_level=None) == 2


def cell(module: ModuleType, source: str) -> Any:
    """What a notebook does with a cell that defines the task `load`."""
    exec(compile(f"import cascade as cs\n@cs.task\n{source}", "<cell>", "exec"), vars(module))
    return module.load


def test_cells_that_are_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file names a task, and means its newest definition; two different ones in one graph are refused."""
    module = ModuleType("a_notebook")
    monkeypatch.setitem(sys.modules, "a_notebook", module)
    first = cell(module, "def load(x=0): return 1")
    same = cell(module, "def load(x=0): return 1")
    assert cs.run(again([first(), same(first(2))]), log_level=None) == [1, 1]
    newest = cell(module, "def load(x=0): return 2")
    assert cs.run(again(first()), log_level=None) == 2
    with pytest.raises(GraphFormatError, match=r"several functions are called 'a_notebook:load'.*the newest one"):
        cs.to_json([first(), newest()])


def test_functions_that_only_share_a_name_are_refused() -> None:
    """Bound methods, partials and wrapped functions: what the name leads to is another function than they are."""

    def timed(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any) -> Any:
            return function(*args)

        return inner

    for make in (
        lambda: [1].count,
        lambda: functools.partial(divmod, 1),
        lambda: timed(value_again),
        lambda: operator.itemgetter(1),
    ):
        one, other = cs.task(make()), cs.task(make())
        assert one.key == other.key
        with pytest.raises(GraphFormatError, match="several functions are called"):
            cs.to_json(one(1))
        assert again(other(1))._task is other


def test_tasks_of_one_function_that_differ_are_refused() -> None:
    """The file names the function only: mode, purity and the like are those of the one task that is registered."""

    def work() -> int:
        return 1

    quick, pure_one = cs.task(mode="inline")(work), cs.task(pure=True)(work)
    assert again(pure_one())._task is pure_one
    with pytest.raises(GraphFormatError, match="another task of its function has another mode"):
        cs.to_json([quick(), pure_one()])


def test_a_name_given_to_the_task_comes_back() -> None:
    """Two tasks of one function keep the names that people see."""

    def work() -> int:
        return 1

    one, other = cs.task(name="one")(work), cs.task(name="other")(work)
    back = again([one(), other(), other().named("third")])
    assert [call._label for call in back] == ["one", "other", "third"]


@st.composite
def random_targets(draw: st.DrawFn) -> Any:
    """Targets whose calls use each other in every way that the language knows."""
    param = cs.Param("p", draw(st.integers()))
    calls: list[Any] = [join(0)]
    leaf = st.sampled_from([param, cs.inject("db"), 1, None, "x", b"y"])
    for _ in range(draw(st.integers(0, 5))):
        pick = st.sampled_from(calls)
        value = (
            leaf | pick | st.lists(leaf | pick, max_size=2) | st.tuples(pick) | st.dictionaries(leaf, pick, max_size=2)
        )
        args, kwargs = (
            draw(st.lists(value, max_size=3)),
            draw(st.dictionaries(st.sampled_from("abc"), value, max_size=2)),
        )
        call: Any = join(*args, **kwargs) if draw(st.booleans()) else join.map(*args, **kwargs)
        if draw(st.booleans()):
            call = call.run_if(draw(pick)).after(draw(pick)).with_constraints(c=draw(pick))
        if draw(st.booleans()):
            call = call.with_fallback(draw(value)).with_retry(2).named(draw(st.text()))
        if draw(st.integers(0, 3)) == 0:
            call = cs.Router(draw(value), {draw(st.integers()): call, "k": draw(value)})
        elif draw(st.booleans()):
            calls.append(call[draw(leaf)])
        calls.append(call)
    return draw(st.lists(st.sampled_from(calls), min_size=1, max_size=3))


@given(random_targets())
def test_random_graphs_come_back(target: Any) -> None:
    """The file of what came back is the same file, and the graphs have the same nodes and arrows."""
    text = cs.to_json(target)
    back = cs.from_json(text)
    assert cs.to_json(back) == text
    one, other = build(target), build(back)
    assert [(n.id, n.kind, n.note) for n in one.nodes] == [(n.id, n.kind, n.note) for n in other.nodes]
    assert set(one.edges) == set(other.edges)


@pytest.mark.slow
def test_a_chain_of_100_000_comes_back() -> None:
    """No recursion over the graph, at the recursion limit that everybody has, and no quadratic step."""
    last = join(0)
    for _ in range(100_000):
        last = join(last)
    text = cs.to_json(last)
    back = cs.from_json(text)
    assert len(build(back)) == 100_001
    assert cs.to_json(back) == text
