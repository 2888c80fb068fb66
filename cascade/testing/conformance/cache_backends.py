"""What a cache backend promises.

In: a factory of cache backends. Out: the promises that it breaks. Invariant: keys are new each time, so that backends
over one shared folder or server can be held to them too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from cascade.interfaces.protocols import CacheBackend
from cascade.testing.conformance.cases import TIMEOUT, Case, Trial, case, expect, run_cases

__all__ = ["CACHE_BACKEND_CASES", "check_cache_backend"]

Factory = Callable[[], CacheBackend]
CACHE_BACKEND_CASES: Final[list[Case]] = []

THREADS, ROUNDS = 8, 20
LARGE = 8_000_000  # bytes
TORN = 200_000  # bytes of a value that several write at once
ODD_KEYS = (
    "a b", "a/b", "a\\b", "../up", ".", "..", "/etc", "é✓", "it's", 'quo"te', "100%", "%2F", "a:b", "a*b?", "[x]",
    "new\nline", "tab\t", "trailing.", " ", "-rf", "~", "$HOME", "CON", "x" * 200, "A", "a",
)  # fmt: skip


def check_cache_backend(factory: Factory, *, timeout: float = TIMEOUT) -> None:
    """Hold the cache backends that `factory` makes to every promise of `CacheBackend`.

    Methods `delete(key)` and `clear()` are looked at if there are any; `clear` empties what the factory gives.

    Args:
        factory: makes one for each case; it is closed after use, if it has `close`.
        timeout: seconds that several threads may take together.

    Raises:
        ConformanceError: lists each promise that is broken.

    Example:
        >>> class Shelf(dict):
        ...     put = dict.__setitem__
        >>> check_cache_backend(Shelf)
    """
    run_cases("a cache backend", CACHE_BACKEND_CASES, factory, timeout)


def _key(name: str = "") -> str:
    return secrets.token_hex(8) + name


def _read(backend: Any, key: str) -> bytes:
    found = backend.get(key)
    expect(found is not None, f"the key {key[16:36]!r} is lost")
    expect(isinstance(found, bytes), f"get returned a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


@case(CACHE_BACKEND_CASES)
def does_not_know(trial: Trial) -> None:
    """A key that was never put gives None."""
    with trial.using() as backend:
        found = backend.get(_key())
        expect(found is None, f"it gives {found!r}")


@case(CACHE_BACKEND_CASES)
def gives_bytes_back(trial: Trial) -> None:
    """Bytes come back as they were put, whatever bytes they are."""
    value, key = bytes(range(256)) * 3 + b"\r\n\x00", _key()
    with trial.using() as backend:
        backend.put(key, value)
        expect(_read(backend, key) == value, "they came back changed")
        expect(_read(backend, key) == value, "they came back changed the second time")


@case(CACHE_BACKEND_CASES)
def keeps_empty_values(trial: Trial) -> None:
    """An empty value is a value, not a miss."""
    key = _key()
    with trial.using() as backend:
        backend.put(key, b"")
        found = backend.get(key)
        expect(found == b"", f"it gives {found!r}")


@case(CACHE_BACKEND_CASES)
def keeps_large_values(trial: Trial) -> None:
    """Values of some megabytes are kept."""
    value, key = secrets.token_bytes(1000) * (LARGE // 1000), _key()
    with trial.using() as backend:
        backend.put(key, value)
        expect(_read(backend, key) == value, f"{len(value):,} bytes came back changed")


@case(CACHE_BACKEND_CASES)
def replaces_values(trial: Trial) -> None:
    """A second value under a key replaces the first, also a shorter one."""
    key = _key()
    with trial.using() as backend:
        for value in (b"first and long", b"second", b""):
            backend.put(key, value)
            expect(_read(backend, key) == value, f"after {value!r} was put last, there is {backend.get(key)!r}")


@case(CACHE_BACKEND_CASES)
def keeps_odd_keys_apart(trial: Trial) -> None:
    """Keys are any text, and none is taken for another."""
    prefix = _key()
    for keys in ([prefix + odd for odd in ODD_KEYS], [odd + prefix for odd in ODD_KEYS]):
        with trial.using() as backend:
            for number, key in enumerate(keys):
                backend.put(key, str(number).encode())
            wrong = [ODD_KEYS[n] for n, key in enumerate(keys) if backend.get(key) != str(n).encode()]
            expect(not wrong, f"these are lost or have the value of another: {wrong}")


@case(CACHE_BACKEND_CASES)
def works_in_threads(trial: Trial) -> None:
    """Several threads may write and read at once, each under its own keys."""
    prefix = _key()
    with trial.using() as backend:

        def work(number: int) -> None:
            for n in range(ROUNDS):
                key, value = f"{prefix}-{number}-{n}", f"{number} {n}".encode()
                backend.put(key, value)
                expect(_read(backend, key) == value, f"with {THREADS} threads, values are mixed up")

        trial.in_threads(THREADS, work)


@case(CACHE_BACKEND_CASES)
def is_never_torn(trial: Trial) -> None:
    """Who reads a key while others write it sees one whole value, never a mixture, a part or nothing."""
    key = _key()
    with trial.using() as backend:
        backend.put(key, b"0" * TORN)
        writing = {1, 3}

        def work(number: int) -> None:
            if number not in writing:
                while writing:
                    _expect_whole(_read(backend, key))
                return
            try:
                for _ in range(ROUNDS):
                    backend.put(key, str(number).encode() * (TORN - number))
            finally:
                writing.discard(number)

        trial.in_threads(4, work)
        _expect_whole(_read(backend, key))


def _expect_whole(found: bytes) -> None:
    number = int(found[:1] or b"9")
    expect(found == str(number).encode() * (TORN - number), f"{len(found):,} bytes that nobody put together")


@case(CACHE_BACKEND_CASES)
def deletes(trial: Trial) -> None:
    """If it has `delete`: the key is gone, others stay, and deleting an unknown key is no error."""
    with trial.using() as backend:
        delete = getattr(backend, "delete", None)
        if delete is None:
            return
        key, other = _key(), _key()
        backend.put(key, b"1")
        backend.put(other, b"2")
        delete(key)
        expect(backend.get(key) is None, "the key is still there")
        expect(backend.get(other) == b"2", "another key is gone too")
        delete(key)


@case(CACHE_BACKEND_CASES)
def clears(trial: Trial) -> None:
    """If it has `clear`: everything is gone, and new values are kept."""
    with trial.using() as backend:
        clear = getattr(backend, "clear", None)
        if clear is None:
            return
        keys = [_key() for _ in range(3)]
        for key in keys:
            backend.put(key, b"1")
        clear()
        expect([backend.get(key) for key in keys] == [None] * 3, "some keys are still there")
        backend.put(keys[0], b"2")
        expect(backend.get(keys[0]) == b"2", "after it, a new value is lost")
