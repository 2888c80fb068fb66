"""Arrays → canonical bytes, at the speed of memory.

In: arrays and scalars of NumPy, sparse matrices of SciPy. Out: type, shape and a digest of the elements in the order
of C. Invariant: how an array lies in memory, and what lies between its elements, does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cascade.identity.buffers import CHUNK, Source, digest_sources, from_buffer
from cascade.identity.data import Opaque, name_of, sized
from cascade.identity.objects import class_token, encode_reduced, loaded

if TYPE_CHECKING:
    from cascade.identity.data import Encoder

__all__ = ["array_source", "encode_array", "encode_column", "text_parts"]

_EXTENDED: Final = 10  # bytes that count of a number of the long type of Intel's processors; the rest is padding
_MOST_OTHERS: Final = 0.5  # share of a column's elements that may be something else than text


def encode_array(encoder: Encoder, value: Any) -> bytes:
    """Return the canonical bytes of an array, a scalar or a sparse matrix."""
    numpy = loaded("numpy")
    if isinstance(value, numpy.ndarray):
        return _encode_ndarray(encoder, value)
    if isinstance(value, numpy.generic):
        return _encode_scalar(encoder, value)
    if isinstance(value, numpy.dtype):
        return sized(b"nt", _type_name(value).encode())
    if (sparse := loaded("scipy.sparse")) is not None and sparse.issparse(value):
        return _encode_sparse(encoder, value)
    return encode_reduced(encoder, value)


def _encode_ndarray(encoder: Encoder, array: Any) -> bytes:
    numpy = loaded("numpy")
    base = array.view(numpy.ndarray)
    if isinstance(array, numpy.ma.MaskedArray):
        mask = numpy.ma.getmaskarray(array)
        shown = numpy.where(mask, numpy.zeros((), array.dtype), base) if array.dtype.names is None else base
        extra = encoder.encode(numpy.asarray(array.fill_value))
        return b"nm" + class_token(encoder, type(array)) + _content(encoder, shown) + _content(encoder, mask) + extra
    if type(array) in (numpy.ndarray, numpy.memmap):  # where the memory comes from does not count
        return _content(encoder, base)
    state = encoder.encode(getattr(array, "__dict__", None))
    return b"ns" + class_token(encoder, type(array)) + _content(encoder, base) + state


def _content(encoder: Encoder, array: Any) -> bytes:
    head = sized(b"na", f"{_type_name(array.dtype)}{array.shape}".encode())
    if array.dtype.names is not None:  # between the fields lies whatever was there before
        return head + encoder.sequence(b"t", [array[name] for name in array.dtype.names])
    if array.dtype.hasobject or array.dtype.char == "T":
        return head + encode_column(encoder, array.ravel().tolist())
    encoder.spend(array.nbytes)
    return head + digest_sources([array_source(array)])[0]


def _type_name(dtype: Any) -> str:
    if dtype.names is not None:
        return "{" + ",".join(f"{name!r}:{_type_name(dtype.fields[name][0])}" for name in dtype.names) + "}"
    if dtype.subdtype is not None:
        return f"{_type_name(dtype.subdtype[0])}{dtype.subdtype[1]}"
    return repr(dtype) if dtype.char == "T" else str(dtype.str)


def _encode_scalar(encoder: Encoder, value: Any) -> bytes:
    numpy = loaded("numpy")
    if isinstance(value, (numpy.void, numpy.object_)):
        return b"n0" + _content(encoder, numpy.asarray(value))
    is_nan = value.dtype.kind == "f" and bool(numpy.isnan(value))
    own = b"" if type(value).__module__ == "numpy" else class_token(encoder, type(value))
    content = b"nan" if is_nan else _without_padding(numpy.asarray(value)).tobytes()
    return b"n0" + own + sized(b"", value.dtype.str.encode()) + sized(b"", content)


def array_source(array: Any) -> Source:
    """Return the elements of a plain array, read in the order of C; only one leaf of it is copied at a time."""
    numpy = loaded("numpy")
    if array.size == 0 or array.dtype.itemsize == 0:
        return from_buffer(b"")
    if array.ndim == 0:
        array = array.reshape(1)
    if array.flags.c_contiguous:
        array = array.reshape(-1)
    step = max(1, CHUNK // array.dtype.itemsize)

    def read(number: int) -> Any:
        part = _without_padding(_range(array, number * step, min((number + 1) * step, array.size)))
        return numpy.ascontiguousarray(part).view(numpy.uint8)

    return Source(array.nbytes, step * array.dtype.itemsize, read)


def _without_padding(array: Any) -> Any:
    """Return the bytes that count of long numbers, between which lies whatever was there before; others as they are."""
    numpy = loaded("numpy")
    if array.dtype.char not in "gG" or numpy.finfo(numpy.longdouble).nmant != 63:  # noqa: PLR2004 - bits, as Intel has
        return array
    size = numpy.dtype(numpy.longdouble).itemsize
    return numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8).reshape(-1, size)[:, :_EXTENDED]


def _range(array: Any, start: int, stop: int) -> Any:
    """Return the elements from `start` to `stop` in the order of C; whole rows are copied, not single elements."""
    if array.ndim == 1:
        return array[start:stop]
    numpy = loaded("numpy")
    row = array.size // array.shape[0]
    first, last = start // row, -(-stop // row)
    if row <= stop - start:
        return numpy.ascontiguousarray(array[first:last]).reshape(-1)[start - first * row : stop - first * row]
    ends = [(max(start - n * row, 0), min(stop - n * row, row)) for n in range(first, last)]
    return numpy.concatenate([_range(array[first + n], *end) for n, end in enumerate(ends)])


def _encode_sparse(encoder: Encoder, matrix: Any) -> bytes:
    """Encode by rows, with sorted columns and without doubles, whatever the format."""
    try:
        rows = matrix.tocsr(copy=True)
    except (AttributeError, TypeError, ValueError, NotImplementedError):  # more than two dimensions
        rows = matrix.tocoo(copy=True)
        rows.sum_duplicates()
        parts: list[Any] = [rows.data, *[index.astype("int64") for index in rows.coords]]
    else:
        rows.sum_duplicates()
        rows.sort_indices()
        parts = [rows.data, rows.indices.astype("int64"), rows.indptr.astype("int64")]
    head = sized(b"nx", f"{name_of(type(matrix))}{matrix.shape}".encode())
    return head + encoder.sequence(b"t", parts)


# -- columns of objects ---------------------------------------------------------------------------------------------


def encode_column(encoder: Encoder, items: list[Any]) -> bytes:
    """Encode the elements of a column of objects; where most are text, all texts at once."""
    texts = sum(type(item) is str for item in items)
    if not texts or texts < _MOST_OTHERS * len(items):
        return encoder.sequence(b"nl", items)
    others: list[Any] = []
    if texts < len(items):
        others = [(number, item) for number, item in enumerate(items) if type(item) is not str]
        items = [item if type(item) is str else "" for item in items]
    joined, lengths = text_parts(items)
    encoder.spend(len(joined))
    digests = digest_sources([from_buffer(joined), array_source(lengths)])
    return sized(b"nj", b"".join(digests)) + encoder.sequence(b"l", others)


def text_parts(items: list[str]) -> tuple[bytes, Any]:
    """Return texts as one, and their lengths in characters."""
    numpy = loaded("numpy")
    if numpy is None:
        raise Opaque("column of texts without NumPy")
    lengths = numpy.fromiter(map(len, items), dtype="<i8", count=len(items))
    return "".join(items).encode("utf-8", "surrogatepass"), lengths
