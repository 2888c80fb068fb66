from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import CascadeError, LazyUseError
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult


@cs.task
def load(*args: Any, **kwargs: Any) -> Any:
    """Stand for any task."""
    return args


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (bool, "has no truth value before the run. To run something only if it is true, use other.run_if"),
        (lambda lazy: 1 if lazy else 2, "use cs.Router"),
        (lambda lazy: not lazy, "has no truth value"),
        (list, r"cannot be iterated before the run. To call a task for each of its items, use task.map\(x=load\)"),
        (tuple, "cannot be iterated"),
        (len, "cannot be iterated"),
        (lambda lazy: 1 in lazy, "cannot be iterated"),
        (str, "has no text before the run"),
        (lambda lazy: f"{lazy}", "Build the text inside a task, or use cs.template"),
        (lambda lazy: f"{lazy:>10}", "has no text"),
        ("{}".format, "has no text"),
    ],
)
@pytest.mark.parametrize("kind", ["call", "map", "item"])
def test_using_a_lazy_result_as_its_value_teaches(use: Any, told: str, kind: str) -> None:
    """Truth, iteration, length and text are errors that name the right tool; for maps and items alike."""
    lazy = {"call": load(), "map": load.map([1]), "item": load()["key"]}[kind]
    with pytest.raises(LazyUseError, match=told) as caught:
        use(lazy)
    assert "'load'" in str(caught.value)
    assert isinstance(caught.value, (CascadeError, TypeError))


@pytest.mark.parametrize("use", [bool, list, str, "{}".format])
def test_routers_and_params_teach_too(use: Any) -> None:
    """A Param in an f-string, or a Router in an ``if``, would be a silent mistake."""
    with pytest.raises(LazyUseError, match="'way'"):
        use(cs.Param("way"))
    if use in (bool, list):
        with pytest.raises(LazyUseError, match="'way'"):
            use(cs.Router(1, {1: 2}, name="way"))


def test_attributes_of_the_value_are_not_there() -> None:
    """An unknown attribute names the nearest method; private ones are plain errors, so that tools can probe."""
    with pytest.raises(
        AttributeError, match=r"has no attribute 'with_retries' before the run. Did you mean 'with_retry'\?"
    ):
        load().with_retries(3)
    with pytest.raises(AttributeError, match="To use an attribute of its value, do it inside a task"):
        _ = load().columns
    assert not hasattr(load(), "_repr_html_")
    assert not hasattr(load(), "__array__")


def test_refining_gives_a_new_one() -> None:
    """Each method leaves the lazy result as it was; what was said before is kept."""
    first = load(1)
    refined = (
        first.named("n").with_retry(2).with_timeout(3).run_if(first).after(first).with_fallback(None).with_cache("c")
    )
    assert first._options is None
    options = refined._options
    assert (options.name, options.retry.max_attempts, options.timeout, options.cache) == ("n", 2, 3.0, "c")
    assert options.after == (first,)
    assert options.condition is first
    assert options.fallback is None
    assert refined.after(refined)._options.after == (first, refined)


def test_maps_and_items_stay_what_they_are() -> None:
    """Refining a map gives a map with the same rules; refining an item refines its call."""
    mapped = load.map([1], max_concurrency=2, on_error="collect").with_retry(2)
    assert type(mapped) is LazyMap
    assert (mapped._max_concurrency, mapped._on_error) == (2, "collect")
    item = load()["a"][0].named("n")
    assert type(item) is LazyItem
    assert (item._path, item._base._options.name) == (("a", 0), "n")


def test_repr_is_short_and_names_lazy_arguments() -> None:
    """A repr never shows a whole value, and never fails."""

    class Angry:
        def __repr__(self) -> str:
            raise RuntimeError

    shown = repr(load(load(), "x" * 100, Angry(), 10**30, b"1", [1], key=load.map([1])))
    assert shown == (
        "<lazy load(<lazy load>, 'xxxxxxxxxxxxxxxxxxxx'…, <Angry>, 1000000000000000000000000000000, b'1', <list>, "
        "key=<lazy load>)>"
    )
    assert repr(load()["a"][0]) == "<lazy load()>['a'][0]"
    assert repr(cs.unmapped([1])) == "unmapped(<list>)"


def test_equality_is_identity() -> None:
    """Lazy results are keys of sets and dicts, each its own."""
    a, b = load(1), load(1)
    assert a == a  # noqa: PLR0124 - what equality means is the question
    assert len({a, b, a}) == 2


def test_copies_and_pickles_are_lazy_results() -> None:
    """Copying tools find what they look for."""
    assert copy.copy(load(1))._args == (1,)
    assert isinstance(copy.deepcopy(load([1])), LazyResult)
    assert pickle.loads(pickle.dumps(cs.task(len)("abc")))._args == ("abc",)


def test_a_lazy_result_is_small() -> None:
    """A graph may have a hundred thousand: slots only, no dict, no options object for a plain call."""
    assert not hasattr(load(1), "__dict__")
    assert load(1)._options is None
    assert load(1)._kwargs is None
