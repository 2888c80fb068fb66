"""What people give by mistake, or hostile names, to the tools and to a run: a short sentence, never a fault inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import cascade as cs
from cascade.tools.storage import storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = "n" * 50_000
HALF = "a\ud800\n\x1b[31mb"
LONGEST = 500  # characters of an error about one thing


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with one run of one task, `fit`."""

    @cs.task(pure=True)
    def fit(x: int) -> int:
        return x

    cs.run(fit(1), cache=str(tmp_path), log_level=None)
    return str(tmp_path)


@cs.task
def plain(x: object) -> object:
    """A task that takes anything."""
    return x


def told_by(ask: Callable[[], object]) -> str:
    """The text of the error, which can be printed."""
    with pytest.raises(ValueError, match=r".") as caught:
        ask()
    assert "\x1b" not in str(caught.value)
    return str(caught.value).encode("utf-8").decode()


@pytest.mark.parametrize("name", [BIG, HALF], ids=["huge", "half a character"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda name, store: cs.why(name, cache=store),
        lambda name, store: cs.why("fit", run=name, cache=store),
        lambda name, store: cs.diff(name, 1, cache=store),
        lambda name, store: cs.lineage(name, cache=store),
        lambda name, store: cs.lineage("fit", run=name, cache=store),
        lambda name, store: cs.history(store).nodes(name),
        lambda name, store: storage("gc", name, cache=store),
        lambda name, store: storage("limit", name, cache=store),
    ],
    ids=["why", "why run", "diff", "lineage", "lineage run", "nodes", "gc", "limit"],
)
def test_a_name_that_nobody_has_is_not_known(ask: Callable[[str, str], object], name: str, store: str) -> None:
    """It is the ordinary error, whatever characters the name has, and it is short."""
    assert len(told_by(lambda: ask(name, store))) < LONGEST


@pytest.mark.parametrize("name", [BIG, HALF], ids=["huge", "half a character"])
def test_nothing_is_stored_of_such_a_task(name: str, store: str) -> None:
    """Listing and clearing find nothing, and leave the rest alone."""
    assert storage("ls", name, cache=store).startswith("Nothing is stored of a task '")
    assert storage("clear", name, cache=store).startswith("0 results forgotten: nothing is stored of a task '")
    assert storage("size", cache=store).startswith("1 result,")


def test_a_size_beyond_everything_is_none(store: str) -> None:
    """It is told like any other word that is no size."""
    assert "neither a size" in told_by(lambda: storage("gc", "1e999GB", cache=store))


def test_few_digits_are_a_number_and_never_the_beginning_of_an_id(store: str) -> None:
    """Whatever ids there are, run 2 of one run is not there."""
    for digit in range(2, 10):
        assert f"There is no run {digit} in this store" in told_by(lambda digit=digit: cs.diff(1, digit, cache=store))


@pytest.mark.parametrize("name", [BIG, HALF], ids=["huge", "half a character"])
@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda name: cs.run(plain(cs.Param(name)), log_level=None), ValueError),
        (lambda name: cs.run(plain(cs.Param(name, type=int)), {name: "x"}, log_level=None), ValueError),
        (lambda name: cs.run(plain(cs.Param("p", choices=["a", name])), {"p": name * 2}, log_level=None), ValueError),
        (lambda name: cs.run(plain(cs.Env(name)), log_level=None), ValueError),
        (lambda name: cs.run(plain(1), {name: 1}, log_level=None), ValueError),
        (lambda name: cs.run(plain(1).with_constraints(**{name: 1}), None, {"cpu": 1}, log_level=None), ValueError),
        (lambda name: cs.run(plain(1).with_constraints(**{name: 2}), None, {name: 1}, log_level=None), ValueError),
        (lambda name: cs.run(plain(1).with_constraints(cpu=1), None, {name: 1}, log_level=None), ValueError),
        (lambda name: cs.run(plain(1), None, {name: -1}, log_level=None), ValueError),
        (lambda name: cs.run(plain(cs.inject(name)), log_level=None), RuntimeError),
    ],
    ids=["missing", "wrong", "choice", "env", "unknown", "lacking", "excess", "known", "capacity", "injection"],
)
def test_an_error_before_a_run_clips_names(ask: Callable[[str], Any], error: type[Exception], name: str) -> None:
    """Params, capacities and injections with such names are told in a few lines that can be printed."""
    with pytest.raises(error) as caught:
        ask(name)
    assert len(str(caught.value)) < LONGEST
    assert "\x1b" not in str(caught.value)
    assert str(caught.value).encode("utf-8")
