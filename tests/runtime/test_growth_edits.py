"""Calls from the store are made of what there is now: edits between two runs, in the same kernel and in fresh ones."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces import events as ev

HEAD = """
import functools
import cascade as cs
"""
INNER = """
@cs.task({settings})
def {name}(x{more}):
    return {body}
"""
OUTER = """
@cs.task(pure=True)
def outer(x):
    return {body}
"""
FACTORY = """
def make(k):
    @cs.task(pure=True)
    def inner(x):
        return x * k
    return inner
"""


def inner(body: str = "x + 1", *, name: str = "inner", settings: str = "pure=True", more: str = "") -> str:
    """Return the source of the task that is called."""
    return INNER.format(name=name, body=body, settings=settings, more=more)


def outer(body: str = "inner(x)") -> str:
    """Return the source of the task that returns calls."""
    return OUTER.format(body=body)


def alpha(default: int) -> str:
    """Return the source of a Param."""
    return f"alpha = cs.Param('alpha', default={default}, type=int)\n"


# Of each pair: the source before, the source after, what `outer(2)` gives with the latter, and whether the function of
# the second is called: False where its calls are found, made of what there is now.
PAIRS: dict[str, tuple[str, str, Any, bool]] = {
    "nothing": (inner() + outer(), inner() + outer(), 3, False),
    "the code of what is called": (inner() + outer(), inner("x + 50") + outer(), 52, False),
    "it is not pure any more": (inner() + outer(), inner("x + 5", settings="") + outer(), 7, False),
    "its default": (
        inner("x + k", more=", k=1") + outer(),
        inner("x + k", more=", k=7") + outer(),
        9,
        False,
    ),
    "its parameters are called otherwise": (
        inner("x") + outer("inner(x=x)"),
        inner("y", more="").replace("(x)", "(y)") + outer("inner(x=x)"),
        TypeError,
        True,
    ),
    "what is said of all its calls": (
        inner() + outer(),
        inner(settings="pure=True, retry=5, name='n'") + outer(),
        3,
        False,
    ),
    "what is said of all, below what is said of one": (
        inner(settings="pure=True, timeout=50") + outer("inner(x).with_retry(2)"),
        inner(settings="pure=True, timeout=60") + outer("inner(x).with_retry(2)"),
        3,
        True,
    ),
    "a name is another task": (
        inner() + inner("x + 9", name="other") + outer(),
        inner() + inner("x + 9", name="other") + "inner = other\n" + outer(),
        11,
        True,
    ),
    "two names are exchanged": (
        inner(name="a") + inner("x + 9", name="b") + outer("[a(x), b(x)]"),
        inner(name="a") + inner("x + 9", name="b") + "a, b = b, a\n" + outer("[a(x), b(x)]"),
        [11, 3],
        True,
    ),
    "a task of a closure": (FACTORY + "inner = make(3)\n" + outer(), FACTORY + "inner = make(4)\n" + outer(), 8, False),
    "two tasks of one name": (
        FACTORY + "a, b = make(3), make(4)\n" + outer("[a(x), b(x)]"),
        FACTORY + "a, b = make(4), make(3)\n" + outer("[a(x), b(x)]"),
        [8, 6],
        True,
    ),
    "a task becomes a function": (inner() + outer(), inner().replace("@cs.task(pure=True)", "") + outer(), 3, True),
    "the function itself": (inner() + outer(), inner() + outer("inner(x + 1)"), 4, True),
    "a helper": (
        inner() + "def help(x): return x\n" + outer("inner(help(x))"),
        inner() + "def help(x): return x + 3\n" + outer("inner(help(x))"),
        6,
        True,
    ),
    "the default of a Param": (
        inner() + alpha(1) + outer("inner(alpha)"),
        inner() + alpha(4) + outer("inner(alpha)"),
        5,
        False,
    ),
    "a Param of the body": (
        inner() + outer("inner(cs.Param('beta', default=6, type=int))"),
        inner() + outer("inner(cs.Param('beta', default=6, type=int))"),
        7,
        False,
    ),
    "a lazy result from outside": (
        inner() + "shared = inner(5)\n" + outer("inner(shared)"),
        inner() + "shared = inner(6)\n" + outer("inner(shared)"),
        8,
        True,
    ),
    "a Router from outside": (
        inner() + "way = cs.Router(selector=inner(0), routes={1: inner(5)})\n" + outer("inner(way)"),
        inner() + "way = cs.Router(selector=inner(0), routes={1: inner(7)})\n" + outer("inner(way)"),
        9,
        True,
    ),
}


class Kernel:
    """A module whose source is run again, as the cells of a notebook are."""

    def __init__(self, name: str) -> None:
        """Begin with nothing defined."""
        self.module = types.ModuleType(name)
        sys.modules[name] = self.module

    def run(self, source: str, store: Any) -> tuple[Any, bool]:
        """Run `source` and ``outer(2)``; return its value, and whether the function was called."""
        exec(compile(HEAD + source, f"<cell of {self.module.__name__}>", "exec"), vars(self.module))
        run = cs.start(self.module.outer(2), cache=store, log_level=None)
        try:
            value = run.result(20)
        except TypeError:
            value = TypeError
        return value, any(isinstance(e, ev.NodeStarted) and e.name == "outer" for e in run.events)


@pytest.fixture
def kernel(own_context: Any) -> Iterator[Callable[[], Kernel]]:
    """Return what makes modules that are gone afterwards."""
    del own_context
    name = f"lesson_{uuid4().hex[:8]}"
    yield lambda: Kernel(name)
    sys.modules.pop(name, None)


@pytest.mark.parametrize("pair", PAIRS)
def test_edits_in_a_kernel(tmp_path: Path, kernel: Callable[[], Kernel], pair: str) -> None:
    """In one kernel, where what was defined before lives on, each edit gives what running the function would."""
    before, after, value, is_called = PAIRS[pair]
    lesson = kernel()
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as store:
        assert lesson.run(before, store)[1]
        assert lesson.run(after, store) == (value, is_called)


@pytest.mark.parametrize("pair", PAIRS)
def test_edits_between_kernels(tmp_path: Path, kernel: Callable[[], Kernel], pair: str) -> None:
    """With nothing left of what was defined before, the same."""
    before, after, value, is_called = PAIRS[pair]
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as store:
        assert kernel().run(before, store)[1]
        cs.get_current_context().clear()
        assert kernel().run(after, store) == (value, is_called)


SCRIPT = """
{source}
if __name__ == "__main__":
    import sys
    run = cs.start(outer(2), cache=sys.argv[1], log_level=None)
    value = run.result(20)
    print(value, any(type(e).__name__ == "NodeStarted" and e.name == "outer" for e in run.events))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", ["nothing", "the code of what is called", "a Param of the body", "two names are exchanged"]
)
def test_edits_between_processes(tmp_path: Path, pair: str) -> None:
    """In scripts that run one after the other, the same."""
    before, after, value, is_called = PAIRS[pair]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    said = []
    for source in (before, after):
        script = tmp_path / "lesson.py"
        script.write_text(SCRIPT.format(source=HEAD + source))
        command = [sys.executable, "-B", script, tmp_path / "store"]
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    assert said[0].endswith("True")
    assert said[1] == f"{value} {is_called}"
