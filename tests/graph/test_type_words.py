from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import InitVar, dataclass, field
from enum import Enum, Flag, IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import pytest

import cascade as cs
from cascade.context import get_current_context
from cascade.graph.type_words import Classes
from cascade.interfaces.exceptions import GraphFormatError
from tests.runtime.programs import Pair

made: list[str] = []


class Colour(Enum):
    RED = 1
    BLUE = "b"
    CRIMSON = 1  # noqa: PIE796 - another name of a member


class Level(IntEnum):
    LOW = 1


class Rights(Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: Any
    y: Any = 0

    def __post_init__(self) -> None:
        made.append("Point")

    @cs.task
    def moved(self, dx: int) -> Point:
        return Point(self.x + dx, self.y)

    @cs.task
    @classmethod
    def origin(cls, y: int = 0) -> Point:
        return cls(0, y)

    @classmethod
    @cs.task
    def outer(cls, y: int = 0) -> Point:
        return cls(1, y)


class Point3(Point):
    pass


@dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    total: int = field(init=False, default=7)
    start: InitVar[int] = 3


@dataclass
class Cached:
    x: Any

    @cached_property
    def double(self) -> Any:
        return 2 * self.x


@dataclass
class Guarded:
    x: Any

    @property  # type: ignore[no-redef]
    def x(self) -> Any:
        return 0

    @x.setter
    def x(self, value: Any) -> None:
        made.append("x")


@dataclass
class Listed(list):  # type: ignore[type-arg]
    x: Any = 0


class Row(NamedTuple):
    a: Any
    b: Any = None


Old = namedtuple("Old", "a b")  # noqa: PYI024 - the old form is what people have


class FetchError(Exception):
    pass


class Plain:
    pass


@cs.task
def join(*parts: Any, **named: Any) -> Any:
    """Stand for any task of this module."""
    return parts, named


@cs.task(retry={"retry_on": lambda error: "again" in str(error)}, cache="any policy")
def patient() -> int:
    """A task whose own policies no file can hold."""
    return 1


@pytest.fixture(autouse=True)
def tasks(own_context: None) -> None:
    """The tasks of this module, registered for each test."""
    bound = [getattr(method, "task", None) or method.__func__ for method in (Point.origin, Point.outer)]  # from 3.13 on
    for task in (join, patient, Point.moved, *bound):
        get_current_context().tasks[task.key] = task  # type: ignore[assignment]
    made.clear()


def again(target: Any) -> Any:
    """What comes back from a file."""
    return cs.from_json(cs.to_json(target))


def refuse(*parts: object, **changes: object) -> str:
    """The error that a file gives in which `join` gets the one argument that is told."""
    record = {"task": 0, "args": list(parts), **changes}
    document = {"format": "cascade graph", "version": 1, "inputs": [], "nodes": [record]}
    document |= {"tasks": [{"key": join.key, "name": "join"}], "target": {"$": "ref", "node": 0}}
    with pytest.raises(GraphFormatError) as caught:
        cs.from_json(json.dumps(document))
    return str(caught.value)


HERE = __name__


@pytest.mark.parametrize(
    "value",
    [Colour.RED, Colour.CRIMSON, Level.LOW, Rights.READ, Row(1, [2]), Row(1), Old((), {}), Frozen(1), Pair(1, 2)],
    ids=repr,
)
def test_values_of_own_classes_come_back(value: Any) -> None:
    """Members, named tuples and dataclasses of modules with tasks, imported ones too, alone and in containers."""
    for wrapped in (value, [value], {"k": (value,)}, {"k": {1: value}}):
        assert repr(again(join(wrapped))._args[0]) == repr(wrapped)
    back = again(join(value))._args[0]
    assert back == value
    assert type(back) is type(value)


def test_values_of_own_classes_may_be_keys() -> None:
    """Members and frozen dataclasses as keys of dicts, of routes and of loops, and in sets."""
    keys = [Colour.BLUE, Frozen(1), Row(1, "b")]
    assert again(join(dict.fromkeys(keys, 1), set(keys)))._args == (dict.fromkeys(keys, 1), set(keys))
    assert list(again(cs.Router(1, dict.fromkeys(keys, join()))).routes) == keys


def test_reading_a_dataclass_runs_none_of_its_code() -> None:
    """`__post_init__` ran when the value was made; the copy has the same fields, those outside `__init__` too."""
    text = cs.to_json(join(Point(1, [Frozen(2)])))
    made.clear()
    back = cs.from_json(text)._args[0]
    assert not made
    assert back == Point(1, [Frozen(2)])
    assert back.y[0].total == 7


def test_own_classes_may_hold_lazy_things() -> None:
    """A lazy result in a field, or in a named tuple, is an arrow of the graph, before and after."""
    inner = join(1)
    target = join(Point(inner, Row(inner["k"], cs.Param("p", 3))))
    back = again(target)
    assert back._args[0].x is back._args[0].y.a._base
    assert cs.to_json(back) == cs.to_json(target)
    assert cs.run(again(join(Point(join(1), 2))), log_level=None) == ((Point(((1,), {}), 2),), {})


def test_cached_attributes_are_made_anew() -> None:
    """What a cached property keeps is no part of the value."""
    value = Cached(2)
    assert value.double == 4
    back = again(join(value))._args[0]
    assert vars(back) == {"x": 2}


def test_own_enumerations_may_be_types_of_params() -> None:
    """Type, default and choices of a Param."""
    back = again(join(cs.Param("c", Colour.RED, type=Colour, choices=list(Colour))))._args[0]
    assert (back.type, back.default, back.choices) == (Colour, Colour.RED, (Colour.RED, Colour.BLUE))
    assert cs.run(again(join(cs.Param("c", type=Colour))), params={"c": "BLUE"}, log_level=None)[0] == (Colour.BLUE,)


def test_own_exceptions_may_be_retried() -> None:
    """`retry_on` names exceptions of the modules of tasks, beside built-in ones."""
    for retry_on in (FetchError, (OSError, FetchError)):
        assert again(join().with_retry(retry_on=retry_on))._options.retry.retry_on == retry_on


def test_policies_of_the_decorator_stay_with_the_task() -> None:
    """A function of the exception, or a cache policy, that came with the task comes with it again."""
    back = again(patient())
    assert back._options.retry is patient.options.retry  # type: ignore[union-attr]
    assert back._options.cache == "any policy"
    assert again(patient().with_retry(2)).named("x")._options.retry.max_attempts == 2


def test_methods_of_dataclasses_come_back() -> None:
    """The object is an argument like others; class methods are found in the class, and in what inherits from it."""
    target = [
        Point(1).moved(2),
        Point.origin(5),
        Point3.origin(),
        Point3.outer(6),
        Point(1).moved.map([1, 2]),
        Point3.origin.map(y=[3]),
    ]
    back = again(target)
    assert cs.to_json(back) == cs.to_json(target)
    values = cs.run(back, log_level=None)
    assert values == [Point(3), Point(0, 5), Point3(0), Point3(1, 6), [Point(2), Point(3)], [Point3(0, 3)]]
    assert [type(value) for value in values[:4]] == [Point, Point, Point3, Point3]


def local() -> Any:
    """A value whose class stands in no module."""

    @dataclass
    class Local:
        x: int

    return Local(1)


def extended() -> Any:
    """A dataclass with an attribute that is no field."""
    value = Point(1)
    value.z = 3  # type: ignore[attr-defined]
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (local(), "can name a class such as Local only if it stands"),
        (extended(), "this Point has other attributes than its fields"),
        (Rights.READ | Rights.WRITE, "Rights has no single member for this value"),
        (Guarded(1), "Guarded, which is more than its fields"),
        (Listed(2), "Listed, which is more than its fields"),
        (Plain(), r"cannot hold a tests\..*Plain"),
        (Point, "cannot hold a type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_reader_could_not_make_is_refused(value: Any, told: str) -> None:
    """A class that it would not find, or a value that is more than what a file says, is an error that says which."""
    for wrapped in (value, [value]):
        with pytest.raises(GraphFormatError, match=rf"Task 'join', argument 1: .*{told}"):
            cs.to_json(join(wrapped))


def test_older_definitions_of_a_class_are_refused() -> None:
    """What stands at the top level now is another class: its values would be of the wrong one."""
    older = Point(1)
    newer = dataclass(type("Point", (), {"__module__": HERE, "__qualname__": "Point", "__annotations__": {"x": int}}))
    space = globals()
    before, space["Point"] = space["Point"], newer
    try:
        with pytest.raises(GraphFormatError, match="only if it stands, as it is now"):
            cs.to_json(join(older))
    finally:
        space["Point"] = before


def named(kind: str, of: object, **content: object) -> dict[str, object]:
    """A value of one's own as a file has it."""
    return {"$": kind, "of": of, **content}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (named("data", f"{HERE}:Pointt", fields={}), "no class beside a registered task is called"),
        (named("data", "subprocess:Popen", fields={"args": 1}), "no class beside a registered task is called"),
        (named("data", 3, fields={}), "no class beside a registered task is called 3"),
        (named("data", f"{HERE}:Point", fields={"x": 1}), "this is not a valid Point"),
        (named("data", f"{HERE}:Point", fields={"y": 1, "x": 1}), "this is not a valid Point"),
        (named("data", f"{HERE}:Point", fields=[1, 2]), "this is not a valid Point"),
        (named("data", f"{HERE}:Point", fields={"x": 1, "y": 1}, z=1), "has of and fields and nothing else"),
        (named("data", f"{HERE}:Plain", fields={}), "this is not a valid Plain"),
        (named("data", f"{HERE}:FetchError", fields={}), "this is not a valid FetchError"),
        (named("data", f"{HERE}:Listed", fields={"x": 1}), "this is not a valid Listed"),
        (named("data", f"{HERE}:Guarded", fields={"x": 1}), "this is not a valid Guarded"),
        (named("enum", f"{HERE}:Colour", name="GREEN"), "this is not a valid Colour"),
        (named("enum", f"{HERE}:Colour", name=["RED"]), "this is not a valid Colour"),
        (named("enum", f"{HERE}:Colour", name="__class__"), "this is not a valid Colour"),
        (named("enum", f"{HERE}:Point", name="x"), "this is not a valid Point"),
        (named("named", f"{HERE}:Row", items=[1]), "this is not a valid Row"),
        (named("named", f"{HERE}:Row", items="ab"), "this is not a valid Row"),
        (named("named", f"{HERE}:Point", items=[1, 2]), "this is not a valid Point"),
        (named("data", f"{HERE}:Point", fields={"x": {"$": "eval"}, "y": 1}), "no known kind of value"),
    ],
)
def test_hostile_words_for_classes_are_refused(value: object, told: str) -> None:
    """Unknown names, wrong kinds and wrong fields are errors with their place, and nothing is made."""
    text = refuse(value)
    assert "at nodes[0].args[0]" in text
    assert told in text
    assert not made


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"retry": "of another"}, "only 'of the task' may stand here"),
        ({"retry": "of the task"}, "its decorator must give one"),
        ({"cache": "of the task"}, "its decorator must give one"),
        ({"cache": {"ttl": 3}}, "options.cache: only 'of the task' may stand here"),
    ],
)
def test_policies_that_the_task_does_not_have_are_refused(options: object, told: str) -> None:
    """`of the task` needs a task with such a policy, and there is no other text."""
    assert told in refuse(options=options)


@pytest.mark.parametrize("word", [f"{HERE}:Plain", f"{HERE}:Nowhere", 3, None])
def test_classes_that_do_not_own_the_task_are_refused(word: object) -> None:
    """The class of a class method is one that has it."""
    assert "at nodes[0].class" in refuse(**{"class": word})


def test_param_types_are_enumerations_only() -> None:
    """Another class would be called with what the caller of a run gives."""
    document = json.loads(cs.to_json(join(cs.Param("c", type=Colour))))
    for word, told in ((f"{HERE}:Point", "Point is no enumeration"), ("os:PathLike", "no class beside")):
        document["inputs"][0]["type"] = word
        with pytest.raises(GraphFormatError, match=rf"inputs\[0\]\.type: {told}"):
            cs.from_json(json.dumps(document))


def test_modules_of_any_kind_are_looked_at() -> None:
    """Objects that refuse to be asked for their class do not disturb, and a name of its own wins over an alias."""

    class Rude:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("outside of a request")

    space = globals()
    space["rude"] = Rude()
    try:
        table = Classes().table
    finally:
        del space["rude"]
    assert table[f"{HERE}:Point"] is Point
    assert table["tests.runtime.programs:Pair"] is Pair
