"""Data frames → canonical bytes, column by column, at the speed of memory.

In: frames, columns, indexes and types of pandas, polars and Arrow. Out: names, types and digests of the elements.
Invariant: what a user cannot see does not count: blocks, chunks, offsets, what lies beneath a missing value, ``attrs``
and metadata. The columns of a frame are hashed together, so that many narrow ones keep all threads busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade.identity.arrays import array_source, encode_array, encode_column
from cascade.identity.buffers import Source, digest_sources, from_buffer
from cascade.identity.data import name_of, sized
from cascade.identity.objects import class_token, encode_reduced, loaded

if TYPE_CHECKING:
    from cascade.identity.data import Encoder

__all__ = ["encode_frame"]


@dataclass(slots=True)
class _Columns:
    """Collects what is known at once of each column, and the memory that is still to be hashed."""

    encoder: Encoder
    parts: list[bytes] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    def add(self, part: bytes, *sources: Source) -> None:
        for source in sources:
            self.encoder.spend(source.size)
        self.parts.append(sized(b"", part) + b"%x;" % len(sources))
        self.sources.extend(sources)

    def array(self, array: Any, head: bytes = b"") -> None:
        """Add a NumPy array."""
        if array.dtype.hasobject or array.dtype.names is not None or array.dtype.char == "T" or array.ndim > 1:
            is_flat = array.dtype.hasobject and array.ndim == 1
            own = encode_column(self.encoder, array.tolist()) if is_flat else encode_array(self.encoder, array)
            self.add(head + own)
        else:
            self.add(head + sized(b"na", f"{array.dtype.str}{array.shape}".encode()), array_source(array))

    def finish(self, tag: bytes) -> bytes:
        return sized(tag, b"".join(self.parts) + b"".join(digest_sources(self.sources)))


def encode_frame(encoder: Encoder, value: Any) -> bytes:
    """Return the canonical bytes of a frame, a column, an index or a scalar of pandas, polars or Arrow."""
    finders = (("pandas", _find_pandas), ("polars", _find_polars), ("pyarrow", _find_arrow))
    for library, find in finders:
        module = loaded(library)
        encode = None if module is None else find(module, value)
        if encode is not None:
            return encode(encoder, value)
    return encode_reduced(encoder, value)


Encode = Callable[["Encoder", Any], bytes]


# -- pandas -----------------------------------------------------------------------------------------------------------


def _find_pandas(pandas: Any, value: Any) -> Encode | None:
    if isinstance(value, pandas.DataFrame):
        return _encode_pandas_frame
    if isinstance(value, pandas.Series):
        return _encode_pandas_series
    if isinstance(value, pandas.Index):
        return _encode_pandas_index
    if isinstance(value, pandas.api.extensions.ExtensionArray):
        return _encode_pandas_array
    if isinstance(value, pandas.api.extensions.ExtensionDtype):
        return _encode_pandas_type
    return None


def _encode_pandas_frame(encoder: Encoder, frame: Any) -> bytes:
    columns = _Columns(encoder)
    columns.add(_own_class(encoder, frame, "pandas") + encoder.encode(frame.columns) + encoder.encode(frame.index))
    for place in range(frame.shape[1]):
        series = frame.iloc[:, place]  # by place, since names may be there twice
        _add_pandas(columns, series.array)
    return columns.finish(b"pf")


def _encode_pandas_series(encoder: Encoder, series: Any) -> bytes:
    columns = _Columns(encoder)
    columns.add(_own_class(encoder, series, "pandas") + encoder.encode(series.name) + encoder.encode(series.index))
    _add_pandas(columns, series.array)
    return columns.finish(b"ps")


def _encode_pandas_index(encoder: Encoder, index: Any) -> bytes:
    pandas = loaded("pandas")
    head = sized(b"pi", name_of(type(index)).encode()) + encoder.encode(tuple(index.names))
    if isinstance(index, pandas.RangeIndex):
        return head + encoder.encode(range(index.start, index.stop, index.step))
    if isinstance(index, pandas.MultiIndex):
        return head + encoder.sequence(b"t", [index.get_level_values(n) for n in range(index.nlevels)])
    columns = _Columns(encoder)
    columns.add(encoder.encode(getattr(index, "freqstr", None)))
    _add_pandas(columns, index.array)
    return head + columns.finish(b"pi")


def _encode_pandas_array(encoder: Encoder, array: Any) -> bytes:
    columns = _Columns(encoder)
    _add_pandas(columns, array)
    return columns.finish(b"pa")


def _encode_pandas_type(encoder: Encoder, dtype: Any) -> bytes:
    pandas = loaded("pandas")
    head = sized(b"pt", f"{name_of(type(dtype))}:{dtype}".encode())
    if isinstance(dtype, pandas.CategoricalDtype):
        return head + encoder.encode((dtype.categories, dtype.ordered))
    return head


def _add_pandas(columns: _Columns, array: Any) -> None:
    """Add one column; each kind of extension array by its plain parts, an unknown kind by its elements."""
    pandas, numpy = loaded("pandas"), loaded("numpy")
    kinds = pandas.arrays
    head = sized(b"pd", f"{name_of(type(array.dtype))}:{array.dtype}".encode())
    if isinstance(array, kinds.NumpyExtensionArray):
        columns.array(array.to_numpy())
    elif isinstance(array, pandas.Categorical):
        columns.array(array.codes, head + columns.encoder.encode((array.categories, bool(array.ordered))))
    elif isinstance(array, (kinds.IntegerArray, kinds.FloatingArray, kinds.BooleanArray)):
        plain = array.dtype.numpy_dtype
        columns.array(array.to_numpy(dtype=plain, na_value=plain.type(0)), head)
        columns.array(array.isna())
    elif isinstance(array, (kinds.DatetimeArray, kinds.TimedeltaArray, kinds.PeriodArray)):
        columns.array(array.view("i8"), head)
    elif isinstance(array, kinds.IntervalArray):
        columns.add(head + columns.encoder.encode(array.closed))
        _add_pandas(columns, array.left.array)
        _add_pandas(columns, array.right.array)
    elif isinstance(array.dtype, pandas.ArrowDtype) or getattr(array.dtype, "storage", "") == "pyarrow":
        columns.add(head)
        _add_arrow(columns, array.__arrow_array__())
    else:
        columns.array(numpy.asarray(array, dtype=object), head)


def _own_class(encoder: Encoder, value: Any, library: str) -> bytes:
    """Return the token of a class that somebody derived from the library's; its extra attributes count, too."""
    kind = type(value)
    if kind.__module__.partition(".")[0] == library:
        return sized(b"", kind.__name__.encode())
    extra = {name: getattr(value, name, None) for name in getattr(kind, "_metadata", ())}
    return class_token(encoder, kind) + encoder.encode(extra)


# -- polars -----------------------------------------------------------------------------------------------------------


def _find_polars(polars: Any, value: Any) -> Encode | None:
    if isinstance(value, polars.DataFrame):
        return _encode_polars_frame
    if isinstance(value, polars.Series):
        return _encode_polars_series
    return None


def _encode_polars_frame(encoder: Encoder, frame: Any) -> bytes:
    columns = _Columns(encoder)
    columns.add(_own_class(encoder, frame, "polars") + encoder.encode(tuple(frame.shape)))
    for series in frame.iter_columns():
        _add_polars(columns, series)
    return columns.finish(b"lf")


def _encode_polars_series(encoder: Encoder, series: Any) -> bytes:
    columns = _Columns(encoder)
    _add_polars(columns, series)
    return columns.finish(b"ls")


def _add_polars(columns: _Columns, series: Any) -> None:
    polars, dtype = loaded("polars"), series.dtype
    head = columns.encoder.encode((series.name, repr(dtype), len(series)))
    if dtype in (polars.Categorical, polars.Enum):
        series = series.cast(polars.String)
    elif dtype.is_temporal():
        series = series.to_physical()
    missing = series.is_null()
    marks = array_source(missing.to_numpy()) if missing.any() else from_buffer(b"")
    if series.dtype == polars.String and loaded("numpy") is not None:
        filled = series.fill_null("")
        joined = filled.str.join("").item().encode() if len(series) else b""
        columns.add(head, marks, from_buffer(joined), array_source(filled.str.len_bytes().to_numpy()))
    elif series.dtype == polars.Boolean or (series.dtype.is_numeric() and not series.dtype.is_decimal()):
        zero = False if series.dtype == polars.Boolean else 0
        columns.add(head, marks, array_source(series.fill_null(zero).rechunk().to_numpy()))
    else:
        columns.add(head + columns.encoder.sequence(b"l", series.to_list()))


# -- Arrow ------------------------------------------------------------------------------------------------------------


def _find_arrow(arrow: Any, value: Any) -> Encode | None:
    if isinstance(value, (arrow.Table, arrow.RecordBatch)):
        return _encode_arrow_table
    if isinstance(value, (arrow.ChunkedArray, arrow.Array)):
        return _encode_arrow_array
    if isinstance(value, (arrow.Schema, arrow.DataType, arrow.Field)):
        return _encode_arrow_type
    if isinstance(value, arrow.Scalar):
        return lambda encoder, scalar: sized(b"ac", str(scalar.type).encode()) + encoder.encode(scalar.as_py())
    return None


def _encode_arrow_type(_: Encoder, value: Any) -> bytes:
    shown = value.remove_metadata() if hasattr(value, "remove_metadata") else value
    return sized(b"ah", f"{name_of(type(value))}:{shown}".encode())


def _encode_arrow_table(encoder: Encoder, table: Any) -> bytes:
    columns = _Columns(encoder)
    columns.add(encoder.encode((type(table).__name__, table.num_rows)))
    for part, column in zip(table.schema, table.columns, strict=True):
        columns.add(encoder.encode((part.name, str(part.type), part.nullable)))
        _add_arrow(columns, column)
    return columns.finish(b"af")


def _encode_arrow_array(encoder: Encoder, array: Any) -> bytes:
    columns = _Columns(encoder)
    columns.add(encoder.encode((type(array).__name__, str(array.type), len(array))))
    _add_arrow(columns, array)
    return columns.finish(b"as")


def _add_arrow(columns: _Columns, array: Any) -> None:
    arrow = loaded("pyarrow")
    types = arrow.types
    if isinstance(array, arrow.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if isinstance(array, arrow.ChunkedArray):  # what is too long for one chunk
        columns.add(columns.encoder.sequence(b"l", array.to_pylist()))
        return
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    marks = from_buffer(b"")
    if array.null_count:
        marks = array_source(array.is_null().to_numpy(zero_copy_only=False))
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        zero = False if types.is_boolean(kind) else 0
        plain = array.fill_null(arrow.scalar(zero, kind)) if array.null_count else array
        columns.add(b"n", marks, array_source(plain.to_numpy(zero_copy_only=False)))
    elif types.is_temporal(kind) and kind.bit_width in (32, 64) and not types.is_interval(kind):
        whole = array.view(arrow.int32() if kind.bit_width == 32 else arrow.int64())  # noqa: PLR2004 - bits
        plain = whole.fill_null(0) if whole.null_count else whole
        columns.add(b"w", marks, array_source(plain.to_numpy(zero_copy_only=False)))
    elif types.is_string(kind) or types.is_large_string(kind):
        plain = array.fill_null("") if array.null_count else array
        columns.add(b"s", marks, _joined(plain), array_source(_lengths(plain)))
    else:
        columns.add(b"p" + columns.encoder.sequence(b"l", array.to_pylist()))


def _lengths(texts: Any) -> Any:
    from importlib import import_module

    return import_module("pyarrow.compute").binary_length(texts).to_numpy()


def _joined(texts: Any) -> Source:
    """Return the memory of an array of texts without missing ones, from its first text to its last."""
    numpy = loaded("numpy")
    _, offsets, data = texts.buffers()
    if data is None or len(texts) == 0:
        return from_buffer(b"")
    wide = "<i8" if str(texts.type).startswith("large") else "<i4"
    places = numpy.frombuffer(offsets, dtype=wide, count=len(texts) + 1, offset=texts.offset * int(wide[-1]))
    return from_buffer(memoryview(data)[int(places[0]) : int(places[-1])])
