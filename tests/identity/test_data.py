from __future__ import annotations

import collections
import copy
import datetime as dt
import decimal
import enum
import itertools
import math
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.identity.buffers import CHUNK
from cascade.identity.data import data_key, secret_key
from cascade.identity.errors import IdentityError
from cascade.spec.file import File

LEAVES = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, float("nan"), float("inf"), 1j, complex(0, -0.0)),
        *("", "a", "ab", "1", "\ud800", b"", b"a", b"ab", b"1", bytearray(b"a"), ..., range(3), range(0, 3, 2)),
    ]
)
HASHABLE = st.recursive(
    LEAVES.filter(lambda x: not isinstance(x, bytearray)),
    lambda inner: st.tuples(inner) | st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
VALUES = st.recursive(
    HASHABLE | LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=8,
)


def canon(value: Any) -> Any:
    """A reference form: equal when values are equal in type and content."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else struct.pack(">d", value)
    if isinstance(value, complex):
        return kind, canon(value.real), canon(value.imag)
    if isinstance(value, (list, tuple)):
        return kind, tuple(canon(item) for item in value)
    if isinstance(value, (set, frozenset)):
        return kind, tuple(sorted(map(repr, map(canon, value))))
    if isinstance(value, dict):
        return kind, tuple(sorted(repr((canon(k), canon(v))) for k, v in value.items()))
    return kind, repr(value)


@given(VALUES, VALUES)
def test_keys_are_equal_just_when_values_are(one: Any, other: Any) -> None:
    """Two values have one key if, and only if, they are equal in type and content."""
    assert (data_key(one) == data_key(other)) == (canon(one) == canon(other))


@given(VALUES)
def test_copies_have_the_same_key(value: Any) -> None:
    """A deep copy and a pickle's round trip have the key of the original, whatever was one object in it."""
    assert data_key(copy.deepcopy(value)) == data_key(value)
    assert data_key(pickle.loads(pickle.dumps(value))) == data_key(value)
    assert data_key([value, value]) == data_key([value, copy.deepcopy(value)])


def test_leaves_are_all_different() -> None:
    """No two of the values that people confuse have one key."""
    leaves = [None, True, 1, 1.0, 1j, "1", b"1", bytearray(b"1"), [1], (1,), {1}, frozenset({1}), {1: 1}, range(1), ...]
    leaves += [0, 0.0, -0.0, False, "", b"", [], (), set(), {}, [[]], [()], [None], [[], []], ["ab", "c"], ["a", "bc"]]
    leaves += [np.int64(1), np.float64(1), np.array(1), np.array([1]), pathlib.PurePosixPath("1"), decimal.Decimal(1)]
    leaves += [decimal.Decimal("1.0"), slice(1), slice(1, None, 1), NotImplemented, dt.date(1, 1, 1), int, "int"]
    assert len({data_key(leaf) for leaf in leaves}) == len(leaves)


def test_nan_is_itself() -> None:
    """Every NaN outside of arrays is the same, however it was made."""
    odd = struct.unpack(">d", b"\xff\xf8\x00\x00\x00\x00\x00\x01")[0]
    assert data_key(float("nan")) == data_key(odd) != data_key(np.float64("nan")) == data_key(np.float64(odd))


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Mode(enum.IntFlag):
    A = 1
    B = 2


@dataclass
class Point:
    x: Any
    y: Any = 0


@dataclass(frozen=True, slots=True)
class Slotted:
    x: Any


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - users write both


class Plain:
    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Listed(list):
    pass


class Chosen(set):
    pass


NAIVE = dt.datetime(2020, 1, 1)  # noqa: DTZ001 - users have them
OBJECTS: list[Any] = [
    *(Colour.RED, Colour.BLUE, Mode.A, Mode.A | Mode.B, Point(1), Point(2), Point(1, [2]), Slotted(1), Slotted(2)),
    *(Pair(1, 2), (1, 2), Pair(2, 1), Plain(), Plain(a=1), Plain(b=1), Listed([1]), Listed([2])),
    *(Chosen({1, 2}), Chosen({1, 3}), NAIVE, NAIVE.replace(tzinfo=dt.UTC)),
    *(NAIVE.replace(hour=1), NAIVE.replace(fold=1), NAIVE.replace(tzinfo=ZoneInfo("Europe/Paris"))),
    *(dt.date(2020, 1, 1), dt.timedelta(1), dt.time(1), uuid.UUID(int=1), uuid.UUID(int=2)),
    *(decimal.Decimal("1.10"), decimal.Decimal("1.1"), pathlib.Path("a"), pathlib.PureWindowsPath("a")),
    *(collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), collections.Counter("ab")),
    *(collections.defaultdict(list, a=1), collections.defaultdict(set, a=1), collections.deque([1])),
    *(collections.deque([1], 5), ValueError("a"), ValueError("b"), KeyError("a"), slice(1, 2), Point, Slotted),
    *(len, os.path.join, np.add, File("no/such"), "x" * 5000, b"x" * 5000, "x" * 5001, ["x"] * 5000, ["x"] * 5001),
]


def test_objects_have_keys_by_value() -> None:
    """Dataclasses, enums, named tuples, dates, paths and plain objects are keyed by type and content."""
    found = [data_key(value) for value in OBJECTS]
    assert all(key.startswith("v:") for key in found)
    assert len(set(found)) == len(found)
    assert [data_key(copy.deepcopy(value)) for value in OBJECTS] == found


def test_the_order_of_dicts_and_sets_does_not_count() -> None:
    """Neither in plain ones nor in those of a user's or a library's class."""
    for one, other in itertools.permutations([("a", 1), ("b", 2)]), itertools.permutations([("k", 1.5), ("j", None)]):
        assert data_key(dict(one)) == data_key(dict(other))
        assert data_key(collections.defaultdict(int, one)) == data_key(collections.defaultdict(int, other))
    words = [f"w{n}" for n in range(50)]
    assert data_key(Chosen(words)) == data_key(Chosen(reversed(words)))
    assert data_key({Point, Slotted, Colour}) == data_key({Colour, Slotted, Point})


def test_same_repr_other_value() -> None:
    """What a class shows of itself does not count."""

    class Quiet:
        def __init__(self, n: int) -> None:
            self.n = n

        def __repr__(self) -> str:
            return "Quiet()"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert data_key(Quiet(1)) == data_key(Quiet(1)) != data_key(Quiet(2))


def test_the_code_of_a_class_counts() -> None:
    """An object whose class has another method is another object."""

    def make(factor: int) -> Any:
        class Model:
            def predict(self) -> int:
                return factor

        class Size(enum.Enum):
            BIG = 1

            def predict(self) -> int:
                return factor

        class Bag(set):
            def predict(self) -> int:
                return factor

        return [Model(), Size.BIG, Bag({1})]

    for one, same, other in zip(make(1), make(1), make(2), strict=True):
        assert data_key(one) == data_key(same) != data_key(other)


def test_values_that_hold_themselves() -> None:
    """A cycle ends; cycles of another shape have another key."""
    one: list[Any] = []
    one.append(one)
    two: list[Any] = [[]]
    two[0].append(two)
    three: dict[str, Any] = {}
    three["me"] = Plain(of=three)
    assert len({data_key(one), data_key(two), data_key(three), data_key([[]])}) == 4
    assert data_key(copy.deepcopy(one)) == data_key(one)


class Moody:
    """Says something else each time it is saved."""

    moods = itertools.count()

    def __reduce__(self) -> Any:
        return (Plain, (), {"mood": next(self.moods)})


class Failing:
    def __reduce__(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (threading.Lock, "_thread.lock"),
        (lambda: (n for n in ()), "generator"),
        (lambda: [1, {"a": threading.Lock()}], "_thread.lock"),
        (lambda: open(os.devnull), "_io.TextIOWrapper"),  # noqa: SIM115, PTH123 - closed by the test
        (Failing, f"{__name__}.Failing"),
        (Moody, f"{__name__}.Moody"),
    ],
)
def test_what_has_no_value_says_so(make: Any, kind: str) -> None:
    """Locks, generators, files and objects that differ between two pickles have a key that names their type."""
    value = make()
    try:
        assert data_key(value) == f"o:{kind}"
    finally:
        getattr(value, "close", lambda: None)()


def test_very_deep_values_have_no_key() -> None:
    """A value nested beyond Python's own limit is told, not a crash."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert data_key(deep) == "o:value nested too deeply"
    while deep:
        deep = deep[0]


def test_the_limit_counts_bytes() -> None:
    """A value of more bytes than the limit is not read."""
    big = np.zeros(1000)
    assert data_key(big, limit=7999) == data_key([b"x" * 8000], limit=7999) == "o:size"
    assert data_key(big, limit=8000) == data_key(big)
    frame = pd.DataFrame({"a": big, "b": big})
    assert data_key(frame, limit=15_999) == "o:size"
    assert data_key(frame, limit=20_000) == data_key(frame)


def test_secrets_have_a_key_of_their_own() -> None:
    """Without the key bytes nobody can make the key of a secret; an empty key is refused."""
    assert secret_key("s", b"k") == secret_key("s", b"k")
    assert len({secret_key("s", b"k"), secret_key("s", b"l"), secret_key("t", b"k"), secret_key("s", b"k" * 100)}) == 4
    assert data_key("s")[2:] not in secret_key("s", b"k")
    with pytest.raises(IdentityError, match="empty key"):
        secret_key("s", b"")


def test_an_object_may_say_what_it_is() -> None:
    """``__cascade_digest__`` stands for the content, and for nothing when it fails."""

    class Client:
        def __init__(self, url: str) -> None:
            self.url, self.lock = url, threading.Lock()

        def __cascade_digest__(self) -> str:
            return self.url.lower()

    class Broken:
        def __cascade_digest__(self) -> str:
            raise OSError("gone")

    assert data_key(Client("A")) == data_key(Client("a")) != data_key(Client("b"))
    assert data_key(Broken()).startswith("o:")


def test_large_buffers_are_trees() -> None:
    """One changed byte anywhere in many chunks is seen, and a copy has the same key."""
    data = bytearray(CHUNK * 9 + 17)
    whole = data_key(bytes(data))
    assert whole == data_key(bytes(data)) != data_key(bytes(data[:-1]))
    for place in (0, CHUNK, CHUNK * 5 - 1, len(data) - 1):
        data[place] ^= 1
        assert data_key(bytes(data)) != whole
        data[place] ^= 1
    assert data_key(np.frombuffer(data, "u1")) == data_key(np.frombuffer(bytes(data), "u1"))


PROGRAM = """
import sys, collections, datetime, decimal, enum, pathlib, json
import numpy as np, pandas as pd
from cascade.identity.data import data_key
class C(enum.Enum):
    A = 1
class P:
    def __init__(self): self.a, self.b = {"x", "y", "z"}, {P: 1, C: 2}
values = [1, "é", {"a", "b", "c", 1, None}, {"b": 1, "a": [2.5]}, C.A, P(), {P, C, len}, datetime.date(2020, 1, 1),
    decimal.Decimal("1.5"), pathlib.Path("a"), np.arange(5),
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}), lambda x: {1, "a"}]
print(json.dumps([data_key(v) for v in values]))
"""


@pytest.mark.slow
def test_keys_are_those_of_every_process() -> None:
    """Fresh processes with other hash seeds give the same keys."""
    found = set()
    for seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        assert "o:" not in run.stdout
        found.add(run.stdout)
    assert len(found) == 1


def test_numpy_stays_out_until_it_is_needed() -> None:
    """Keys of plain values load neither NumPy nor pandas."""
    program = "import sys; from cascade.identity.data import data_key; data_key([1, {'a': 2.5}, object()]); "
    program += "print([m for m in ('numpy', 'pandas', 'asyncio') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_what_lies_between_long_numbers_does_not_count() -> None:
    """The bytes that pad NumPy's longest numbers hold whatever was in the memory before."""
    wide = np.array([1, 2, 3], dtype=np.longdouble)
    dirty = np.empty(3, dtype=np.longdouble)
    dirty.view(np.uint8)[:] = 255
    dirty[:] = 1, 2, 3
    if np.finfo(np.longdouble).nmant == 63:  # Intel's: ten bytes, and others have no padding
        dirty.view(np.uint8).reshape(3, -1)[:, 10:] = 7
    assert data_key(dirty) == data_key(wide)
    assert data_key(dirty[1]) == data_key(wide[1]) != data_key(wide[2])
    assert data_key(dirty * 2) != data_key(wide)
    assert data_key(dirty.astype(np.clongdouble)) == data_key(wide.astype(np.clongdouble))
