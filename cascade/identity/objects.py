"""Objects of all other classes → canonical bytes.

In: a value that is neither a plain builtin nor a container of them. Out: its bytes, or `Opaque`. Invariant: what a
class says about its own copies (``__reduce_ex__``, as pickle asks it) is encoded part by part, never as the bytes of a
pickle: those depend on which equal parts are one object, and know functions by name only.

Functions and classes count by their code, so a changed method changes the objects that have it. Classes of libraries
count by name: an upgrade does not make old data new.
"""

from __future__ import annotations

import copyreg
import sys
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from functools import _lru_cache_wrapper, cached_property, partial, partialmethod, singledispatchmethod
from threading import current_thread, main_thread
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, Final

from cascade.identity.data import Opaque, TooLarge, name_of, sized
from cascade.identity.origin import is_users, library_of_class
from cascade.spec.file import File
from cascade.spec.input import Input
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Inject, Resource
from cascade.spec.routing import Router
from cascade.spec.task import BoundTask, Task

if TYPE_CHECKING:
    from cascade.identity.data import Encoder

__all__ = ["CODE", "WRITTEN", "encode_object", "written_token"]

# What is code, and counts as such.
CODE: Final = (
    FunctionType,
    MethodType,
    type,
    ModuleType,
    BuiltinFunctionType,
    partial,
    partialmethod,
    staticmethod,
    classmethod,
    property,
    cached_property,
    singledispatchmethod,
    _lru_cache_wrapper,
    MethodDescriptorType,
    ClassMethodDescriptorType,
    WrapperDescriptorType,
    MethodWrapperType,
    GetSetDescriptorType,
    MemberDescriptorType,
)
# What the user wrote with cascade, and counts by its name.
WRITTEN: Final = (Task, Input, Resource, Inject, LazyResult, Router)
# Where classes say the same about equal objects every time.
_STEADY: Final = frozenset(
    {"builtins", "collections", "datetime", "decimal", "fractions", "numpy", "pandas", "pathlib", "types", "uuid"}
)
_WIDEST: Final = 6  # what a class may say about its copies: callable, arguments, state, items, pairs, setter
# Pickles of these begin anew or elsewhere in another process.
_LIVE: Final = (
    "_io.",
    "_thread.",
    "threading.",
    "multiprocessing.",
    "_asyncio.",
    "asyncio.",
    "socket.",
    "sqlite3.",
    "matplotlib.",
)


def encode_object(encoder: Encoder, value: Any) -> bytes:
    """Return the canonical bytes of an object.

    Raises:
        Opaque: when it cannot be keyed by value.
    """
    kind = type(value)
    if isinstance(value, CODE):
        return sized(b"C", encoder.code_token(value))
    if (own := getattr(kind, "__cascade_digest__", None)) is not None:
        return sized(b"D", name_of(kind).encode()) + encoder.encode(_call(own, value))
    if isinstance(value, WRITTEN):
        return written_token(encoder, value)
    if kind is File:
        return sized(b"A", value.digest().encode())
    if isinstance(value, Enum):
        return (
            b"U"
            + class_token(encoder, kind)
            + sized(b"", value.name.encode() if value.name else b"?")
            + (b"" if value.name and "|" not in value.name else encoder.encode(value.value))
        )
    special = _library_encoder(kind)
    if special is not None:
        return _ask_library(special, encoder, value)
    return _encode_builtin(encoder, value)


def class_token(encoder: Encoder, kind: type) -> bytes:
    """Return the token of a class: the user's by its code, a library's by its name."""
    known = encoder.classes.get(kind)
    if known is None:
        if library_of_class(kind) is None:
            known = sized(b"K", encoder.code_token(kind))
        else:
            known = sized(b"k", name_of(kind).encode())
        encoder.classes[kind] = known
    return known


def written_token(encoder: Encoder, value: Any) -> bytes:
    """Return the token of a task, Param, Env, resource, lazy result or Router: its name, since its value is data."""
    if encoder.met is not None:
        encoder.met.append(value)
    if isinstance(value, BoundTask):
        return sized(b"W", b"method") + sized(b"", value.task.key.encode()) + encoder.encode(value.owner)
    if isinstance(value, Task):
        name = value.key
    elif isinstance(value, LazyResult):
        name = value._task.key  # noqa: SLF001 - a recorded call has no public face for it
    elif isinstance(value, Router):
        name = value.label
    else:
        name = value.name
    word = getattr(value, "word", type(value).__name__)
    return sized(b"W", word.encode()) + sized(b"", name.encode())


def _call(method: Callable[[Any], Any], value: Any) -> Any:
    try:
        return method(value)
    except Exception as failure:  # noqa: BLE001 - the user's method may raise anything
        raise Opaque(f"{name_of(type(value))} whose __cascade_digest__ raised {type(failure).__name__}") from None


def _library_encoder(kind: type) -> Callable[[Encoder, Any], bytes] | None:
    """Return who knows the classes of NumPy, SciPy, pandas, polars and Arrow, if this is one of them or below one."""
    for base in kind.__mro__:
        root = base.__module__.partition(".")[0]
        if root == "numpy" or (root == "scipy" and "sparse" in base.__module__):
            from cascade.identity.arrays import encode_array

            return encode_array
        if root in {"pandas", "polars", "pyarrow"}:
            from cascade.identity.frames import encode_frame

            return encode_frame
    return None


def _ask_library(special: Callable[[Encoder, Any], bytes], encoder: Encoder, value: Any) -> bytes:
    try:
        return special(encoder, value)
    except (Opaque, TooLarge, RecursionError, OSError):
        raise
    except Exception:  # noqa: BLE001 - another version of the library may know less than this one
        raise Opaque(name_of(type(value))) from None


def _encode_builtin(encoder: Encoder, value: Any) -> bytes:
    """Encode the builtins that pickle does not take or whose order does not count, else ask the class."""
    kind = type(value)
    if kind is slice:
        return encoder.sequence(b"y", (value.start, value.stop, value.step))
    if kind is MappingProxyType:
        return encoder.mapping(b"p", value)
    if kind is memoryview:
        return encoder.sequence(b"m", (value.format, value.shape, value.tobytes()))
    if isinstance(value, (set, frozenset)):
        state = getattr(value, "__dict__", None)
        return b"X" + class_token(encoder, kind) + encoder.collection(b"e", value) + encoder.encode(state)
    return encode_reduced(encoder, value)


def encode_reduced(encoder: Encoder, value: Any) -> bytes:
    """Encode what the class of an object says about its copies.

    Raises:
        Opaque: when it says nothing.
    """
    kind = type(value)
    if name_of(kind).startswith(_LIVE):
        raise Opaque(name_of(kind))
    reduced = _reduce(value)
    if isinstance(reduced, str):
        module = getattr(value, "__module__", None) or kind.__module__
        if _find(module, reduced) is not value:
            raise Opaque(name_of(kind))  # a name that leads elsewhere says nothing, as those of `numpy.frompyfunc`
        return sized(b"G", f"{module}:{reduced}".encode())
    encoder.is_unsure = encoder.is_unsure or not _is_steady(kind)
    told: list[Any] = [*reduced, *[None] * (_WIDEST - len(reduced))]
    make, args, state, items, pairs, setter = told
    parts = [b"R", _maker(encoder, make), encoder.sequence(b"t", args), encoder.encode(state)]
    parts.append(b"-" if items is None else encoder.sequence(b"l", items))
    if pairs is None:
        parts.append(b"-")
    elif isinstance(value, OrderedDict):
        parts.append(encoder.sequence(b"l", pairs))
    else:
        parts.append(encoder.collection(b"e", pairs))
    parts.append(b"-" if setter is None else encoder.encode(setter))
    return sized(b"O", b"".join(parts))


def _find(module: str, name: str) -> Any:
    """Return what pickle would find under a name that an object gives in its place."""
    found: Any = loaded(module)
    for step in name.split("."):
        found = getattr(found, step, None)
    return found


def _maker(encoder: Encoder, make: Any) -> bytes:
    if isinstance(make, type):
        return class_token(encoder, make)
    module = getattr(make, "__module__", None)
    if isinstance(make, (FunctionType, BuiltinFunctionType)) and isinstance(module, str) and not is_users(module):
        return sized(b"g", f"{module}:{make.__qualname__}".encode())
    return encoder.encode(make)


def _reduce(value: Any) -> str | tuple[Any, ...]:
    kind = type(value)
    try:
        # Libraries register ways for all exceptions (tblib, which Dask loads, adds their tracebacks): not their value.
        is_error = isinstance(value, BaseException)
        given = None if is_error else copyreg.dispatch_table.get(kind)
        reduced = value.__reduce_ex__(4) if given is None else given(value)
        if is_error and isinstance(reduced, tuple) and reduced[2:] == ({},):
            reduced = reduced[:2]  # attributes that somebody has only looked for
    except (Opaque, RecursionError):
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise  # somebody wants to stop us, and nobody else can be told so
        raise Opaque(name_of(kind)) from None  # a class may raise anything to say no
    if isinstance(reduced, str) or (isinstance(reduced, tuple) and 2 <= len(reduced) <= _WIDEST):  # noqa: PLR2004 - the protocol's
        return reduced
    raise Opaque(name_of(kind))


def _is_steady(kind: type) -> bool:
    """Say whether a class leaves its copies to Python, or is one of Python's own."""
    if kind.__module__.partition(".")[0] in _STEADY:
        return True
    said = ("__reduce_ex__", "__reduce__", "__getstate__")
    return all(getattr(kind, name, None) is getattr(object, name, None) for name in said)


def loaded(name: str) -> Any:
    """Return a library that is already imported; who has a value of it has imported it."""
    return sys.modules.get(name)
