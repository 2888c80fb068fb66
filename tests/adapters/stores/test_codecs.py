from __future__ import annotations

import datetime as dt
import json
import math
from collections import OrderedDict, namedtuple
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cascade.adapters.stores.codecs import Codecs, default_codecs
from cascade.adapters.stores.plain_codecs import is_exact_json
from cascade.interfaces.store_errors import CodecError, StoreError

CODECS = default_codecs()
Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped kind is the harder one


def turn(value: object, codecs: Codecs = CODECS) -> tuple[str, Any]:
    """The codec of a value, and the value after going through bytes."""
    name, parts = codecs.encode(value)
    return name, codecs.decode(name, memoryview(bytearray(b"".join(parts))))


def form(value: Any) -> Any:
    """A value with all its types, in a form that can be compared: NaN equals NaN, and 1 is not 1.0."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, [(form(key), form(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return kind, [form(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(repr, map(form, value)))
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else value.hex()
    return kind, value


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.dates()
    | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False) | st.uuids()
    | st.sampled_from([1 << 12_000, Pair(1, 2), "\ud83d\ude00", "\ud83d", range(3)])
)  # fmt: skip
KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.tuples(st.integers())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=5)
        | st.dictionaries(st.text(), inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3).map(OrderedDict)
        | st.sets(KEYS, max_size=4) | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.slow
@given(VALUES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_values_come_back_with_their_types(value: object) -> None:
    """Whatever is nested in whatever, it comes back equal and of the same types."""
    _, found = turn(value)
    assert form(found) == form(value)


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        (None, "json"), (True, "json"), (1, "json"), (1.5, "json"), (-0.0, "json"), ([1, {"a": [None]}], "json"),
        ("é\ud800", "text"), (b"\x00", "bytes"), ((1,), "pickle"), ([(1,)], "pickle"), ({1: 2}, "pickle"),
        (math.inf, "pickle"), (bytearray(b"1"), "pickle"), (["\ud83d", "\ude00"], "pickle"), (Decimal("1.0"), "pickle"),
        (OrderedDict(a=1), "pickle"), (dt.date(2024, 1, 1), "pickle"), (list(range(30_000)), "pickle"),
        ([1 << 20_000], "pickle"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else type(value).__name__,
)  # fmt: skip
def test_the_safe_form_where_it_is_exact(value: object, codec: str) -> None:
    """JSON, text and bytes for what comes back exactly from them, pickle for the rest."""
    name, found = turn(value)
    assert (name, form(found)) == (codec, form(value))


def test_two_halves_in_one_text_stay_two() -> None:
    """JSON would join two halves of a character; the store does not."""
    halves = ["\ud83d" + "\ude00"]
    assert turn(halves) == ("pickle", halves)
    assert len(turn(halves)[1][0]) == 2


def test_one_object_in_two_places_stays_one() -> None:
    """A list that stands in a value twice is one list afterwards, and a value may hold itself."""
    inner: list[Any] = []
    assert not is_exact_json([inner, inner])
    _, found = turn([inner, inner])
    assert found[0] is found[1]
    inner.append(inner)
    _, found = turn(inner)
    assert found[0] is found


def test_subclasses_are_no_json() -> None:
    """What only looks like a plain value keeps its type."""

    class Name(str):
        __slots__ = ()

    name, found = turn({"a": [Name("x")]})
    assert name == "pickle"
    assert type(found["a"][0]).__name__ == "Name"


DTYPES = [
    "?",
    "i1",
    "<i4",
    ">i8",
    "u2",
    "f2",
    "f8",
    ">f4",
    "c16",
    "M8[ns]",
    "m8[D]",
    "S3",
    "U5",
    "V4",
    "i4,f8",
    [("a", "f4", (2,)), ("b", "U2")],
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (4, 0, 2)], ids=str)
def test_arrays(dtype: Any, shape: tuple[int, ...]) -> None:
    """Arrays of every plain dtype and shape come back with dtype, shape and bytes, and can be written to."""
    count = math.prod(shape)
    kind = np.dtype(dtype)
    array = np.frombuffer(bytes(n % 2 for n in range(count * kind.itemsize)), kind).reshape(shape).copy()
    name, found = turn(array)
    assert name == "npy"
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found.flags.writeable


@pytest.mark.parametrize(
    "array", [np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(20)[::3], np.arange(24).reshape(2, 3, 4).T]
)
def test_order_of_arrays(array: Any) -> None:
    """Views and arrays in Fortran order come back equal, those in one piece in their order."""
    _, found = turn(array)
    assert np.array_equal(found, array)
    assert found.flags.f_contiguous or not array.flags.f_contiguous


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a", None], dtype=object), np.float32(1.5), np.ma.masked_array([1, 2], [True, False]),
        np.rec.array([(1, 2.0)]),
        np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), np.array(["a", "bc"], dtype=np.dtypes.StringDType()),
        np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_arrays_keep_their_type(value: Any) -> None:
    """What the format of NumPy cannot tell keeps type, dtype and content by pickle."""
    name, found = turn(value)
    assert type(found) is type(value)
    assert found.dtype == value.dtype
    assert repr(found) == repr(value)
    assert name == "pickle" or not value.dtype.metadata


def test_a_large_array_inside_is_not_copied() -> None:
    """Buffers of arrays inside of other values lie beside the pickle, and come back writable."""
    value = {"a": np.arange(10_000), "b": [np.arange(3.0)]}
    name, parts = CODECS.encode(value)
    assert any(np.shares_memory(np.frombuffer(part, "u1"), value["a"]) for part in parts if len(part) == 80_000)
    found = CODECS.decode(name, memoryview(bytearray(b"".join(parts))))
    found["a"] += 1
    assert found["a"][0] == 1
    assert np.array_equal(found["b"][0], value["b"][0])


FRAMES = {
    "plain": lambda: pd.DataFrame({"a": [1, 2], "b": [1.5, float("nan")], "c": ["x", None]}),
    "empty": pd.DataFrame,
    "no rows": lambda: pd.DataFrame({"a": pd.Series([], dtype="i4")}),
    "index": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 7], name="n")),
    "levels": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_product([[1, 2], ["x"]], names=["n", "m"])),
    "times": lambda: pd.DataFrame({"a": pd.date_range("2024", periods=3, tz="Europe/Berlin")}),
    "freq": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024", periods=2, freq="D")),
    "categories": lambda: pd.DataFrame({"a": pd.Categorical(["y", "x"], categories=["z", "y", "x"])}),
    "ordered": lambda: pd.DataFrame({"a": pd.Categorical(["y", "x"], ordered=True)}),
    "nullable": lambda: pd.DataFrame({"a": pd.array([1, None], dtype="Int8"), "b": pd.array([True, None])}),
    "objects": lambda: pd.DataFrame({"a": pd.Series([1, "x", None, (1,)], dtype=object)}),
    "columns of numbers": lambda: pd.DataFrame({1: [1], 2: [2]}),
    "doubled names": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "named columns": lambda: pd.DataFrame({"a": [1]}).rename_axis(columns="n"),
    "attrs": lambda: pd.DataFrame({"a": [1]}).assign(b=1).pipe(lambda frame: (frame.attrs.update(u="m"), frame)[1]),
    "small": lambda: pd.DataFrame({"a": np.array([1], "i2"), "b": np.array([1], "f4"), "c": pd.to_timedelta([1])}),
    "periods": lambda: pd.DataFrame({"a": pd.period_range("2024", periods=2, freq="M")}),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_pandas_frames(name: str) -> None:
    """Frames come back with dtypes, index, categories and attrs, with pyarrow and without, and can be changed."""
    frame = FRAMES[name]()
    _, found = turn(frame)
    pd.testing.assert_frame_equal(found, frame, check_exact=True, check_index_type="exact", check_column_type="exact")
    assert found.attrs == frame.attrs
    if "category" in map(str, frame.dtypes):
        assert list(found["a"].cat.categories) == list(frame["a"].cat.categories)
    found["new"] = 1


def test_pandas_frames_as_arrow() -> None:
    """With pyarrow, a plain frame is an Arrow file, and its columns can be changed in place."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    name, found = turn(FRAMES["plain"]())
    assert name == "pandas-arrow"
    found["a"] += 1
    found.loc[0, "b"] = 9.0
    assert list(found["a"]) == [2, 3]
    assert turn(FRAMES["objects"]())[0] == turn(FRAMES["freq"]())[0] == turn(FRAMES["attrs"]())[0] == "pickle"


def test_arrow_tables() -> None:
    """An Arrow table comes back with its schema and metadata."""
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = arrow.table({"a": [1, None], "b": [["x"], []]}).replace_schema_metadata({"k": "v"})
    name, found = turn(table)
    assert name == "arrow"
    assert found.equals(table, check_metadata=True)


def test_polars_frames() -> None:
    """A polars frame comes back with its schema, also a categorical one and one without rows."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    for frame in (
        polars.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], []]}),
        polars.DataFrame({"a": ["x", "y"]}, schema={"a": polars.Categorical}),
        polars.DataFrame({"a": []}, schema={"a": polars.Datetime("us", "UTC")}),
    ):
        name, found = turn(frame)
        assert name == "polars-arrow"
        assert found.schema == frame.schema
        assert found.equals(frame)


class Point:
    """A user's class."""

    def __init__(self, x: int) -> None:
        self.x = x


class PointCodec:
    """A user's codec."""

    name = "point-1"

    def encode(self, value: Any) -> list[bytes] | None:
        return [str(value.x).encode()] if type(value) is Point else None

    def decode(self, data: memoryview) -> Point:
        return Point(int(bytes(data)))


def test_users_register_their_codecs() -> None:
    """A user's codec is asked first; one that fails leaves the value to the next; a name is taken once."""
    codecs = default_codecs()
    codecs.register(PointCodec())
    name, found = turn(Point(3), codecs)
    assert (name, found.x, codecs.names()[0]) == ("point-1", 3, "point-1")
    assert turn([1], codecs)[0] == "json"
    with pytest.raises(StoreError, match="is called 'point-1' already"):
        codecs.register(PointCodec())
    odd = PointCodec()
    odd.name = "a\x1fb"
    with pytest.raises(StoreError, match="Its name is a word"):
        codecs.register(odd)


def test_bytes_of_an_unknown_codec() -> None:
    """Bytes of a codec that is not registered, or that it cannot read, are an error that says so."""
    with pytest.raises(CodecError, match=r"codec 'point-1', which is not registered here"):
        CODECS.decode("point-1", memoryview(b"1"))


@pytest.mark.parametrize("name", CODECS.names())
@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x80" * 100, b"\x93NUMPY\x01\x00", b"\x01" + bytes(15)], ids=repr)
def test_no_bytes_make_a_codec_fail_in_another_way(name: str, data: bytes) -> None:
    """Bytes that no codec wrote give a value (text, bytes) or a CodecError, nothing else."""
    with suppress(CodecError):
        assert isinstance(CODECS.decode(name, memoryview(bytearray(data))), str | bytes)


@pytest.mark.parametrize("number", [0, 5, -1, 255, 2**63, -(2**200)])
def test_numbers_are_written_as_json_writes_them(number: int) -> None:
    """The short way for numbers leaves the bytes as they were: what is stored already is found again."""
    assert CODECS.encode(number) == ("json", [json.dumps(number).encode()])
    assert CODECS.encode(True) == ("json", [b"true"])
    assert turn(number) == ("json", number)
