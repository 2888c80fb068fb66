"""Exceptions on their way back from a worker process: class, words, frames and causes, whatever pickle says."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import traceback
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import CascadeError, TaskExitError
from cascade.runtime.failure import own_frames, text_of
from cascade.runtime.parcels import call_and_pack, unpack


class TwoArguments(Exception):
    """Pickle calls it with one argument, and fails."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__(f"{file}, line {line}")
        self.line = line


class HoldsLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text, threading.Lock())
        self.lock, self.code = threading.Lock(), 7


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Unreduced(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


class Own(BaseException):
    pass


def sent(function: Any, *args: Any) -> BaseException:
    """What arrives of what `function` raises."""
    ended_well, parcel = call_and_pack(function, args, {})
    assert not ended_well
    return unpack(parcel, "fit")


def raising(error: BaseException) -> Any:
    def fit() -> None:
        raise error

    return fit


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("boom"), "boom"),
        (TwoArguments("a.csv", 3), "a.csv, line 3"),
        (Unreduced("boom"), "boom"),
        (Mute("boom"), "<Mute without a text>"),
        (OSError(2, "No such file", "a.csv"), "[Errno 2] No such file: 'a.csv'"),
        (KeyError("a"), "'a'"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), None),
        (ValueError("x" * 1_000_000), "x" * 1_000_000),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_class_and_words_arrive(error: Exception, text: str | None) -> None:
    """A handler for the exception's own class catches it, with the words that it had."""
    error.add_note("seen")
    found = sent(raising(error))
    assert type(found) is type(error)
    assert found is not error
    assert text_of(found) == (str(error) if text is None else text)
    assert found.__notes__ == ["seen"]


@pytest.mark.slow
def test_a_library_that_pickles_exceptions_in_another_way_does_no_harm() -> None:
    """Dask loads tblib, after which plain pickle loses the words of some exceptions; keys of exceptions stay, too."""
    script = """
from cascade.identity.data import data_key
from cascade.runtime.failure import text_of
from cascade.runtime.parcels import call_and_pack, unpack
error = UnicodeDecodeError("utf-8", b"x", 0, 1, "invalid")
key = data_key(error)
import tblib.pickling_support
tblib.pickling_support.install()
def fit():
    raise error
ended_well, parcel = call_and_pack(fit, (), {})
assert text_of(unpack(parcel, "fit")) == str(error)
error.__traceback__ = None
assert data_key(error) == key
fresh = data_key(ValueError("a"))
looked_at = ValueError("a")
assert vars(looked_at) == {}
assert data_key(looked_at) == fresh
"""
    pytest.importorskip("tblib")
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_state_arrives_as_far_as_it_can() -> None:
    """Attributes come along; what cannot travel is left out, and arguments are put into words."""
    assert sent(raising(TwoArguments("a.csv", 3))).line == 3  # type: ignore[attr-defined]
    found = sent(raising(HoldsLock("boom")))
    assert type(found) is HoldsLock
    assert (found.code, hasattr(found, "lock")) == (7, False)
    assert found.args[0] == "boom"
    assert "lock" in found.args[1]


def test_group_arrives_with_its_parts() -> None:
    """Each exception of a group is sent by itself, also where one of them is difficult."""
    group = ExceptionGroup("two", [ValueError(1), ExceptionGroup("one", [TwoArguments("a", 1)])])
    found = sent(raising(group))
    assert isinstance(found, ExceptionGroup)
    assert found.message == "two"
    assert found.subgroup(TwoArguments) is not None
    assert found.subgroup(ValueError) is not None


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Own])
def test_what_would_end_the_worker_is_told_as_such(kind: type[BaseException]) -> None:
    """`SystemExit` and its kin arrive as a `TaskExitError`, which has the original as its cause."""
    found = sent(raising(kind("bye")))
    assert isinstance(found, TaskExitError)
    assert f"Task 'fit' raised {kind.__name__}('bye'), which would have ended its process" in str(found)
    assert type(found.__cause__) is kind


def test_class_that_cannot_be_sent_is_told_in_words() -> None:
    """What has no way at all is told with its class and words, and what to do."""

    class Refusing(type):
        def __reduce_ex__(cls, protocol: Any) -> Any:
            raise TypeError("this class stays here")

    class Stays(Exception, metaclass=Refusing):
        def __reduce__(self) -> Any:
            raise TypeError("and so do its instances")

    lock = threading.Lock()
    Stays.lock = lock  # type: ignore[attr-defined]  # a class that is defined in a function is pickled by its contents
    found = sent(raising(Stays("boom")))
    assert isinstance(found, CascadeError)
    assert "Task 'fit' raised Stays('boom') in another process, from which its class cannot be sent." in str(found)


# -- places ---------------------------------------------------------------------------------------------------------


def inner(x: int) -> float:
    return (x + 1) / (x - 1)


def outer(x: int) -> float:
    return inner(x) + 1


def test_traceback_reads_as_if_the_task_had_run_here() -> None:
    """Frames have their files, lines, functions and even the marks under the part of the line that failed."""
    try:
        outer(1)
    except ZeroDivisionError as error:
        here = traceback.format_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
    found = sent(outer, 1)
    assert traceback.format_exception(found) == here
    assert "^" in "".join(here)
    assert [frame[2] for frame in own_frames(found)] == ["outer", "inner"]  # type: ignore[arg-type]


def test_causes_and_contexts_arrive() -> None:
    """`raise … from …` and an exception during the handling of another one are told as they happened."""

    def fit(how: str) -> None:
        try:
            inner(1)
        except ZeroDivisionError as error:
            if how == "cause":
                raise TwoArguments("a", 1) from error
            if how == "none":
                raise TwoArguments("a", 1) from None
            raise TwoArguments("a", 1)  # noqa: B904 - the context is what is tested

    told = {how: "".join(traceback.format_exception(sent(fit, how))) for how in ("cause", "context", "none")}
    assert "ZeroDivisionError: division by zero\n\nThe above exception was the direct cause" in told["cause"]
    assert "ZeroDivisionError: division by zero\n\nDuring handling of the above" in told["context"]
    assert "ZeroDivisionError" not in told["none"]
    assert all(re.search(r"in inner\n", told[how]) for how in ("cause", "context"))


def test_causes_in_a_circle_end() -> None:
    """Exceptions that cause each other are sent once each."""
    first, second = ValueError(1), ValueError(2)
    first.__cause__, second.__cause__ = second, first
    found = sent(raising(first))
    assert [found.args, found.__cause__ and found.__cause__.args] == [(1,), (2,)]


def test_endless_recursion_arrives_in_short() -> None:
    """Of a thousand frames the first and last are kept."""

    def fall(n: int) -> int:
        return fall(n + 1)

    found = sent(fall, 0)
    assert isinstance(found, RecursionError)
    assert 20 < len(traceback.extract_tb(found.__traceback__)) <= 60


@pytest.mark.slow
def test_frames_can_be_read_by_ipython() -> None:
    """The rebuilt frames are real ones for those who look into them, as IPython's traceback does."""
    from IPython.core.ultratb import VerboseTB

    found = sent(outer, 1)
    told = re.sub(r"\x1b\[[0-9;]*m", "", VerboseTB().text(type(found), found, found.__traceback__))
    assert "ZeroDivisionError" in told
    assert "return (x + 1) / (x - 1)" in told


def test_values_come_back_as_they_are() -> None:
    """A call that ends well is its value, an exception as a value included."""
    error = ValueError("a value")
    assert call_and_pack(lambda: error, (), {}) == (True, error)


def test_frames_of_what_carries_the_work_are_nobodys_own() -> None:
    """An error out of a ready-made task has no frame of the pool whose thread ran it; those of a library stay."""
    for target, names in ((cs.sql("selec"), []), (cs.task(json.loads)("selec"), ["loads", "decode", "raw_decode"])):
        error = cs.start(target, log_level=None).exception(30)
        assert error is not None
        assert [frame[2] for frame in own_frames(error)] == names
