"""NumPy arrays as ``.npy`` files, readable by NumPy itself.

In: arrays without Python objects. Out: the header of the format and the array's own memory. Invariant: dtype, shape and
order of the memory come back; nothing is ever unpickled.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["ArrayCodec"]

_KINDS: Final = frozenset("biufcmMSUV")


class ArrayCodec:
    """Plain arrays; subclasses, objects and what the format cannot tell go to pickle."""

    name = "npy"

    def encode(self, value: Any) -> Sequence[bytes | memoryview] | None:
        """Take an array, without copying it if its memory lies in one piece."""
        numpy = sys.modules.get("numpy")
        if numpy is None or type(value) is not numpy.ndarray or not _is_exact(numpy, value.dtype):
            return None
        array = value
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            array = numpy.ascontiguousarray(array)
        stream = io.BytesIO()
        numpy.lib.format.write_array_header_2_0(stream, numpy.lib.format.header_data_from_array_1_0(array))
        flat = array.reshape(-1, order="A")
        memory = memoryview(flat.view(numpy.uint8)) if flat.nbytes else memoryview(b"")
        return [stream.getvalue(), memory]

    def decode(self, data: memoryview) -> Any:
        """Read it; the array uses the memory of `data`."""
        import numpy as np

        stream = io.BytesIO(data[: 1 << 16])
        if np.lib.format.read_magic(stream) != (2, 0):
            raise ValueError("it has another version of the format")
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        place = stream.tell()
        count = 1
        for length in shape:
            count *= length
        if count * dtype.itemsize != len(data) - place:
            raise ValueError("its shape and its size do not fit")
        array = np.ndarray(shape, dtype, data[place:], order="F" if is_fortran else "C")
        return array if array.flags.writeable else array.copy(order="A")


def _is_exact(numpy: Any, dtype: Any) -> bool:
    """Say whether the header of the format describes `dtype` completely."""
    if dtype.kind not in _KINDS or dtype.hasobject or dtype.metadata or not dtype.itemsize:
        return False
    if dtype.names is None and dtype.subdtype is None:
        return True
    described = numpy.lib.format.descr_to_dtype(numpy.lib.format.dtype_to_descr(dtype))
    return described == dtype and described.isalignedstruct == dtype.isalignedstruct and not _has_metadata(dtype)


def _has_metadata(dtype: Any) -> bool:
    if dtype.metadata:
        return True
    return any(_has_metadata(field[0]) for field in (dtype.fields or {}).values())
