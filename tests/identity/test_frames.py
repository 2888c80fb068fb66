from __future__ import annotations

import pickle
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cascade.identity.data import data_key

HAS_ARROW, HAS_POLARS, HAS_SCIPY = (find_spec(name) is not None for name in ("pyarrow", "polars", "scipy"))


def test_the_way_an_array_lies_in_memory_does_not_count() -> None:
    """Views, strides, orders and memory maps have the key of a plain copy."""
    square = np.arange(700 * 900, dtype="f8").reshape(700, 900)  # several chunks
    for view in (square.T, square[::-1], square[:, ::7], square[3:5], np.asfortranarray(square), square.T[::3, ::2]):
        assert data_key(view) == data_key(np.ascontiguousarray(view))
    cube = np.arange(2 * 400 * 500, dtype="f8").reshape(2, 400, 500)
    assert data_key(cube.transpose(2, 0, 1)) == data_key(np.ascontiguousarray(cube.transpose(2, 0, 1)))


def test_type_shape_and_every_element_of_an_array_count() -> None:
    """An edit anywhere is seen; nothing is sampled."""
    plain = np.zeros(300_000)
    found = {
        data_key(plain),
        data_key(plain.reshape(300, -1)),
        data_key(plain.astype("f4")),
        data_key(plain.astype(">f8")),
    }
    for place in (0, 131_071, 131_072, 299_999):
        edited = plain.copy()
        edited[place] = 1
        found.add(data_key(edited))
    assert len(found) == 8


def test_other_arrays() -> None:
    """Objects, texts, dates, structures, masks and scalars are keyed by content."""
    table = np.array([("a", 1)], dtype=[("n", "U2"), ("v", "i8")])
    padded = np.array([(1, 2)], dtype=np.dtype([("a", "i1"), ("b", "i8")], align=True))
    values = [
        *(np.array(["a", None, 3], dtype=object), np.array(["a", None, "3"], dtype=object), np.array(["a", "b"])),
        *(table, padded, np.array(["2020"], "M8[D]"), np.array(["2020"], "M8[s]"), np.array(3), np.array([3])),
        *(np.zeros((0, 3)), np.zeros((3, 0)), np.ma.masked_array([1, 2], [0, 1]), np.ma.masked_array([1, 2], [1, 0])),
        *(np.datetime64("2020"), np.float32(1), np.float64(1), np.array([True]), np.array([1], "i1"), np.dtype("f8")),
        *(np.random.default_rng(0), np.random.default_rng(1), np.array([[1, 2]], dtype=object)),
        *(np.array([[1], [2]], dtype=object)),
    ]
    found = [data_key(value) for value in values]
    assert all(key.startswith("v:") for key in found)
    assert len(set(found)) == len(found)
    assert [data_key(pickle.loads(pickle.dumps(value))) for value in values] == found
    dirty = padded.copy()
    dirty.view("u1").reshape(-1)[3] = 9  # between the fields
    assert data_key(dirty) == data_key(padded)
    assert data_key(np.ma.masked_array([1, 5], [0, 1])) == data_key(np.ma.masked_array([1, 7], [0, 1]))


def frame() -> pd.DataFrame:
    """One column of each kind."""
    return pd.DataFrame(
        {
            "int": [1, 2, 3],
            "object": pd.Series(["x", None, "z"], dtype=object),
            "category": pd.Categorical(["u", "v", "u"]),
            "date": pd.to_datetime(["2020", "2021", "2022"]),
            "zoned": pd.to_datetime(["2020", "2021", "2022"], utc=True),
            "delta": pd.to_timedelta([1, 2, 3], unit="s"),
            "masked": pd.array([1, None, 3], dtype="Int64"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "string": pd.array(["a", None, "c"], dtype="string"),
            "period": pd.period_range("2020", periods=3, freq="M"),
            "interval": pd.interval_range(0, 3),
            "mixed": pd.Series([[1], {2: 3}, None], dtype=object),
        }
    )


@pytest.mark.parametrize("name", frame().columns)
def test_every_kind_of_column(name: str) -> None:
    """An edit in any column of a frame is seen, in the frame and in the column; a copy is the same."""
    plain, edited = frame(), frame()
    edited.loc[1, name] = plain.loc[2, name] if name != "mixed" else 5
    assert data_key(plain) == data_key(plain.copy()) == data_key(pickle.loads(pickle.dumps(plain)))
    assert data_key(plain) != data_key(edited)
    assert data_key(plain[name]) == data_key(plain[name].copy()) != data_key(edited[name])
    assert data_key(plain[name].array) == data_key(plain[name].array.copy())
    assert data_key(plain[name].dtype) == data_key(edited[name].dtype)
    assert data_key(plain.set_index(name)) == data_key(plain.copy().set_index(name)) != data_key(plain)


def test_what_counts_of_a_frame() -> None:
    """Names, order, index and types count; blocks and ``attrs`` do not."""
    plain = frame()
    others = [
        *(plain.rename(columns={"int": "INT"}), plain.iloc[::-1], plain.set_index("int")),
        *(plain.astype({"int": "i4"}), plain[plain.columns[::-1]], plain.set_index(["int", "string"])),
        *(plain.set_index(["string", "int"]), plain["int"], plain.iloc[:0], pd.concat([plain, plain], axis=1)),
        *(plain.rename_axis("rows"),),
    ]
    assert len({data_key(other) for other in [plain, *others]}) == len(others) + 1
    noted = plain.copy()
    noted.attrs["source"] = "somewhere"
    assert data_key(noted) == data_key(plain)
    block = np.arange(12.0).reshape(3, 4)
    apart = pd.DataFrame({n: block[:, n].copy() for n in range(4)}, columns=pd.RangeIndex(4))
    assert data_key(pd.DataFrame(block)) == data_key(apart)


def test_scalars_and_indexes_of_pandas() -> None:
    """Time stamps, missing values, indexes and offsets are keyed by value."""
    values = [
        *(pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC"), pd.NaT, pd.NA, pd.Timedelta(1), pd.Period("2020")),
        *(pd.Interval(0, 1), pd.Interval(0, 1, closed="left"), pd.offsets.Day(2), pd.Index([1, 2]), pd.RangeIndex(2)),
        *(pd.Index([1.0, 2.0]), pd.Index(["a"]), pd.date_range("2020", periods=3)),
        *(pd.date_range("2020", periods=3).shift(1), pd.DataFrame(), pd.Series(dtype=object)),
        *(pd.CategoricalDtype(["a"]), pd.CategoricalDtype(["a"], ordered=True)),
        *(pd.MultiIndex.from_product([[1, 2], ["a"]])),
    ]
    found = [data_key(value) for value in values]
    assert all(key.startswith("v:") for key in found)
    assert len(set(found)) == len(found)
    assert [data_key(pickle.loads(pickle.dumps(value))) for value in values] == found


class Own(pd.DataFrame):
    """A frame of the user's own class, with an attribute that is kept."""

    _metadata = ("unit",)

    @property
    def _constructor(self) -> Any:
        return Own


def test_a_frame_of_another_class() -> None:
    """The class of a frame and the attributes that it keeps count."""
    plain, own, other = pd.DataFrame({"a": [1]}), Own({"a": [1]}), Own({"a": [1]})
    own.unit, other.unit = "m", "s"
    assert len({data_key(plain), data_key(own), data_key(other)}) == 3


@pytest.mark.parametrize(
    "library",
    [n for n, has in (("polars", HAS_POLARS), ("pyarrow", HAS_ARROW), ("scipy", HAS_SCIPY), ("numpy", True)) if has],
)
def test_tables_of_other_libraries(library: str) -> None:
    """Of tables of polars, Arrow, SciPy and NumPy, chunks and offsets do not count, and every element does."""
    data = {
        "a": [1, None, 3],
        "b": ["x", None, "zé"],
        "c": [1.5, 2.0, None],
        "d": [True, None, False],
        "e": [[1], [2, 3], None],
    }
    make = {"polars": polars_tables, "pyarrow": arrow_tables, "scipy": sparse_matrices, "numpy": numpy_tables}[library]
    same, others = make(data)
    assert len({data_key(each) for each in same}) == 1
    found = {data_key(each) for each in [same[0], *others]}
    assert len(found) == len(others) + 1
    assert all(key.startswith("v:") for key in found)


def polars_tables(data: Any) -> tuple[list[Any], list[Any]]:
    import polars as pl

    more = {"f": pl.Series(["u", "v", "u"]).cast(pl.Categorical), "g": pl.Series([1, 2, None]).cast(pl.Datetime)}
    plain = pl.DataFrame({**data, **more})
    same = [plain, plain.clone(), pickle.loads(pickle.dumps(plain)), pl.concat([plain[:1], plain[1:]], rechunk=False)]
    edits = [plain.with_columns(plain[name].gather([0, 0, 2]).alias(name)) for name in plain.columns]
    return same, [
        *edits,
        plain[1:],
        plain["a"],
        plain["b"],
        plain.rename({"a": "A"}),
        plain.with_columns(pl.col("a").cast(pl.Int32)),
    ]


def arrow_tables(data: Any) -> tuple[list[Any], list[Any]]:
    import pyarrow as pa

    plain = pa.table(
        {**data, "f": pa.array(["u", "v", "u"]).dictionary_encode(), "g": pa.array([1, 2, None], pa.timestamp("ns"))}
    )
    same = [
        plain,
        pickle.loads(pickle.dumps(plain)),
        pa.concat_tables([plain[:1], plain[1:]]),
        pa.concat_tables([plain, plain])[3:],
    ]
    edits = [
        plain.set_column(n, name, plain[name].take(pa.array([0, 0, 2]))) for n, name in enumerate(plain.column_names)
    ]
    return same, [*edits, plain[1:], plain["a"], plain["b"], plain.schema, pa.int64(), pa.scalar(1)]


def numpy_tables(data: Any) -> tuple[list[Any], list[Any]]:
    plain = np.rec.fromarrays([[1, 2], ["x", "y"]], names="a,b")
    other = plain.copy()
    other.b[1] = "z"
    return [plain, plain.copy(), np.concatenate([plain[:1], plain[1:]]).view(np.recarray)], [
        other,
        plain.view(np.ndarray),
    ]


def sparse_matrices(_: Any) -> tuple[list[Any], list[Any]]:
    from scipy import sparse

    plain = sparse.random(30, 20, 0.2, format="csr", random_state=0)
    parts = sparse.coo_matrix(plain)
    order = np.random.default_rng(0).permutation(parts.nnz)
    shuffled = sparse.coo_matrix((parts.data[order], (parts.row[order], parts.col[order])), shape=parts.shape)
    others = [plain.asformat(form) for form in ("csc", "coo", "lil", "dok", "dia", "bsr")]
    for other in others:
        assert data_key(other) == data_key(shuffled.asformat(other.format))
    cubes = [sparse.coo_array(np.eye(4).reshape(2, 2, 4)), sparse.coo_array(np.eye(4).reshape(2, 4, 2))]
    return [plain, plain.copy(), shuffled.tocsr()], [*others, plain * 2, plain.T, plain.toarray(), *cubes]
