"""Tables as Arrow files: pandas, polars and pyarrow.

In: data frames. Out: the Arrow IPC format. Invariant: a pandas frame is written so only after a frame read back from
the same table was found equal in values, types, index and categories; any other goes to pickle.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["PandasCodec", "PolarsCodec", "TableCodec"]


class PandasCodec:
    """``pandas.DataFrame``, where pyarrow is installed."""

    name = "pandas-arrow"

    def encode(self, value: Any) -> Sequence[memoryview] | None:
        """Take a frame that comes back the same."""
        pandas = sys.modules.get("pandas")
        if pandas is None or type(value) is not pandas.DataFrame or not _is_candidate(value):
            return None
        arrow = _arrow()
        if arrow is None:
            return None
        table = arrow.Table.from_pandas(value)
        return _write(arrow, table) if _is_same(value, table.to_pandas()) else None

    def decode(self, data: memoryview) -> Any:
        """Read a frame."""
        return _read(data).to_pandas()


class PolarsCodec:
    """``polars.DataFrame``, in polars' own words."""

    name = "polars-arrow"

    def encode(self, value: Any) -> Sequence[memoryview] | None:
        """Take a frame without Python objects."""
        polars = sys.modules.get("polars")
        if polars is None or type(value) is not polars.DataFrame or polars.Object in value.dtypes:
            return None
        stream = io.BytesIO()
        value.write_ipc(stream)
        view = stream.getbuffer()
        read = polars.read_ipc(io.BytesIO(view))
        return [view] if read.schema == value.schema and read.equals(value, null_equal=True) else None

    def decode(self, data: memoryview) -> Any:
        """Read a frame."""
        import polars as pl

        return pl.read_ipc(io.BytesIO(data))


class TableCodec:
    """``pyarrow.Table``."""

    name = "arrow"

    def encode(self, value: Any) -> Sequence[memoryview] | None:
        """Take a table."""
        arrow = sys.modules.get("pyarrow")
        if arrow is None or type(value) is not arrow.Table:
            return None
        return _write(arrow, value)

    def decode(self, data: memoryview) -> Any:
        """Read a table."""
        return _read(data)


def _arrow() -> Any:
    """Return pyarrow, None where it is not installed."""
    try:
        import pyarrow as pa
    except ImportError:
        return None
    return pa


def _write(arrow: Any, table: Any) -> list[memoryview]:
    stream = arrow.BufferOutputStream()
    with arrow.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return [memoryview(stream.getvalue())]


def _read(data: memoryview) -> Any:
    import pyarrow as pa

    with pa.ipc.open_file(pa.py_buffer(data)) as reader:
        return reader.read_all()


def _is_candidate(frame: Any) -> bool:
    """Say whether looking closer is worth it: columns of Python objects lose their types, and attrs may hold any."""
    index = frame.index
    levels = index.dtypes if index.nlevels > 1 else [index.dtype]
    return not frame.attrs and not any(str(dtype) == "object" for dtype in [*frame.dtypes, *levels])


def _is_same(frame: Any, read: Any) -> bool:
    from pandas.testing import assert_frame_equal

    try:
        assert_frame_equal(
            frame, read, check_exact=True, check_index_type=True, check_column_type=True, check_freq=True
        )
    except AssertionError:
        return False
    return all(_has_same_categories(frame[name].dtype, read[name].dtype) for name in frame.columns)


def _has_same_categories(one: Any, other: Any) -> bool:
    """Compare categories with their order, which equality of unordered ones leaves out."""
    if getattr(one, "categories", None) is None:
        return bool(one == other)
    return bool(one.ordered == other.ordered and one.categories.equals(other.categories))
