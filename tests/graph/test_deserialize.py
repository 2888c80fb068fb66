from __future__ import annotations

import copy
import json
import random
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.context import get_current_context
from cascade.graph import deserialize, strict_json
from cascade.interfaces.exceptions import CascadeError, GraphFormatError


@pytest.fixture(autouse=True)
def tasks(own_context: None) -> None:
    """The task of this module, registered for each test."""
    get_current_context().tasks[add.key] = add


@cs.task
def add(x: Any, y: Any = 0) -> Any:
    """Stand for any task."""
    return x + y


def sample() -> dict[str, Any]:
    """A file with something of everything, as data."""
    a = add(1, y={"k": (cs.Param("p", 1), cs.inject("db"))}).with_retry(3)
    b = add.map([1, 2], a["k"]).with_timeout(2).named("b").with_constraints(gpu=1).run_if(a)
    return json.loads(cs.to_json([cs.Router(a, {"x": b}, name="way"), b]))  # type: ignore[no-any-return]


def refuse(document: object) -> str:
    """The error that a file gives."""
    with pytest.raises(GraphFormatError) as caught:
        cs.from_json(document if isinstance(document, (str, bytes)) else json.dumps(document))
    return str(caught.value)


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    """The sample with another value at one place; a callable gives the new value of the old one."""
    document: Any = sample()
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value(place[path[-1]]) if callable(value) else value
    return document  # type: ignore[no-any-return]


def test_the_sample_is_read() -> None:
    """What the tests below change is good before."""
    assert len(cs.from_json(json.dumps(sample()))) == 2
    assert len(cs.from_json(json.dumps(sample()).encode())) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        (b"\xff\xfe\xfd", "it is not JSON"),
        ("[]", "the file: an object is needed, not a list"),
        ("null", "an object is needed, not null"),
        ("{}", "format, inputs, nodes, target, tasks, version is missing"),
        ('{"format": 1, "format": 2}', "the key 'format' stands twice in one object"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        ('{"a": %s}' % ("9" * 100_000), "a number has more than 4,300 digits"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000, "it is nested too deeply"),
    ],
    ids=range(13),
)
def test_what_is_no_such_file(text: str | bytes, told: str) -> None:
    """Text that is not JSON, or JSON that is no graph, is an error with its place, whatever its depth or length."""
    assert told in refuse(text)


@pytest.mark.parametrize("given", [None, 3, object(), ["{}"]])
def test_text_is_needed(given: Any) -> None:
    """Anything else is told by its type."""
    with pytest.raises(GraphFormatError, match="text is needed"):
        cs.from_json(given)


REF = {"$": "ref", "node": 0}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["format"], "other", "at format: it says 'other', not 'cascade graph'"),
        (["version"], 2, "at version: this cascade reads version 1 only"),
        (["version"], True, "at version"),
        (["nodes"], {}, "at nodes: a list is needed, not an object"),
        (["nodes", 0], [], "at nodes[0]: an object is needed, not a list"),
        (["nodes", 0, "argss"], [], "at nodes[0]: 'argss' means nothing here. Did you mean 'args'?"),
        (["tasks", 0, "key"], "m:ad", "at tasks[0]: no task is registered as 'm:ad'"),
        (["tasks", 0, "key"], lambda key: key + "d", "Did you mean 'tests"),
        (["tasks", 0, "key"], "os:system", "no task is registered as 'os:system'"),
        (["nodes", 0, "task"], 9, "at nodes[0].task"),
        (["nodes", 0, "task"], -1, "at nodes[0].task"),
        (["nodes", 0, "task"], False, "at nodes[0].task"),
        (["nodes", 0, "task"], "add", "at nodes[0].task"),
        (["nodes", 0, "args"], "ab", "at nodes[0].args: a list is needed, not text"),
        (
            ["nodes", 0, "args"],
            [],
            "at nodes[0]: Task 'add' cannot be called like this: missing a required argument: 'x'",
        ),
        (["nodes", 0, "kwargs"], {"z": 1}, "at nodes[0]: Task 'add' cannot be called like this"),
        (["nodes", 0, "args", 0], REF, "at nodes[0].args[0]: node 0 is not one that stands before this place"),
        (
            ["nodes", 0, "args", 0],
            [1, {"k": {"$": "ref", "node": 2}}],
            "at nodes[0].args[0][1]['k']: node 2 is not one",
        ),
        (["nodes", 1, "args", 1, "node"], -1, "at nodes[1].args[1]: node -1 is not one"),
        (["nodes", 1, "args", 1, "node"], True, "node True is not one"),
        (["nodes", 1, "args", 1, "path"], [], "a path is a list of keys"),
        (["nodes", 1, "args", 1, "more"], 1, "a value of kind 'ref' has node and path and nothing else"),
        (["nodes", 2, "router", "selector"], {"$": "ref", "node": 2}, "at nodes[2].router.selector: node 2 is not one"),
        (["nodes", 2, "router", "routes"], [["x"]], "a key and a value are needed"),
        (
            ["nodes", 2, "router", "routes"],
            [["x", 1], ["x", 2]],
            "at nodes[2].router.routes: a key stands twice",
        ),
        (["nodes", 2, "router", "routes"], [[True, 1], [1, 2]], "stands twice"),
        (["nodes", 2, "router", "routes"], [[[], 1]], "at nodes[2].router.routes: a key cannot be a key"),
        (["nodes", 2, "router", "routes"], [[REF, 1]], "'$' is 'ref', which is no known kind of value"),
        (["nodes", 2, "router", "routes"], [], "A Router needs routes"),
        (["nodes", 1, "map", "max_concurrency"], 0, "at nodes[1].map.max_concurrency"),
        (["nodes", 1, "map", "max_concurrency"], 1.5, "at nodes[1].map.max_concurrency"),
        (["nodes", 1, "map", "on_error"], "ignore", "it is 'fail' or 'collect'"),
        (["nodes", 1, "options", "timeout"], 0, "at nodes[1].options.timeout: a number above 0 is needed"),
        (["nodes", 1, "options", "timeout"], "2", "at nodes[1].options.timeout"),
        (["nodes", 1, "options", "timeout"], {"$": "float", "text": "nan"}, "at nodes[1].options.timeout"),
        (["nodes", 1, "options", "name"], 3, "at nodes[1].options.name: text is needed, not a number"),
        (["nodes", 1, "options", "constraints"], [], "at nodes[1].options.constraints: an object is needed"),
        (["nodes", 1, "options", "after"], {}, "at nodes[1].options.after: a list is needed"),
        (["nodes", 0, "options", "retry", "max_attempts"], 0, "at nodes[0].options.retry: max_attempts is 0"),
        (["nodes", 0, "options", "retry", "max_attempts"], 2.5, "a whole number is needed"),
        (["nodes", 0, "options", "retry", "delay"], -1, "at nodes[0].options.retry.delay"),
        (["nodes", 0, "options", "retry", "jitter"], 2, "jitter is 2"),
        (
            ["nodes", 0, "options", "retry", "retry_on"],
            "ValueEror",
            "is no built-in exception. Did you mean 'ValueError'?",
        ),
        (["nodes", 0, "options", "retry", "retry_on"], ["eval"], "'eval' is no built-in exception"),
        (["nodes", 0, "options", "retry", "retry_on"], [{}], "no class beside a registered task is called an object"),
        (["inputs", 0, "kind"], "secret", "it is 'param' or 'env'"),
        (["inputs", 0, "name"], "", "name is text that is not empty"),
        (["inputs", 0, "secret"], 1, "secret is true or false"),
        (["inputs", 0, "type"], "itn", "at inputs[0].type: no type is called 'itn'. Did you mean 'int'?"),
        (["inputs", 0, "type"], {"of": "list", "args": []}, "a type has between 1 and 1,000 parts"),
        (["inputs", 0, "type"], {"of": "os", "args": ["int"]}, "'of' is Literal, Union"),
        (["inputs", 0, "default"], REF, "which is no known kind of value"),
        (["inputs", 0, "choices"], 3, "at inputs[0].choices: a list is needed"),
        (["nodes", 0, "args", 0], {"$": "input", "of": 1}, "'of' is not the number of one of the inputs"),
        (["nodes", 0, "args", 0], {"$": "inject", "name": 1}, "the name of a resource is text"),
        (
            ["nodes", 0, "args", 0],
            {"$": "eval", "text": "1"},
            "at nodes[0].args[0]: '$' is 'eval', which is no known kind",
        ),
        (["nodes", 0, "args", 0], {"$": ["tuple"]}, "no known kind of value"),
        (["nodes", 0, "args", 0], {"$": "tuple"}, "a value of kind 'tuple' has items and nothing else"),
        (["nodes", 0, "args", 0], {"$": "tuple", "items": 3}, "this is not a valid tuple"),
        (["nodes", 0, "args", 0], {"$": "set", "items": [[]]}, "this is not a valid set"),
        (["nodes", 0, "args", 0], {"$": "set", "items": [1, True]}, "two equal items"),
        (["nodes", 0, "args", 0], {"$": "dict", "items": [[1, 2], [True, 3]]}, "two equal keys"),
        (["nodes", 0, "args", 0], {"$": "int", "hex": "zz"}, "hexadecimal digits"),
        (["nodes", 0, "args", 0], {"$": "int", "hex": "f" * 100_001}, "at most 100,000 hexadecimal digits"),
        (["nodes", 0, "args", 0], {"$": "float", "text": "1"}, "only nan, inf and -inf"),
        (["nodes", 0, "args", 0], {"$": "bytes", "base64": "###"}, "this is not a valid bytes"),
        (["nodes", 0, "args", 0], {"$": "date", "iso": "yesterday"}, "this is not a valid date"),
        (
            ["nodes", 0, "args", 0],
            {"$": "datetime", "iso": "2026-01-01", "zone": "zone ../../etc"},
            "knows no time zone",
        ),
        (["nodes", 0, "args", 0], {"$": "datetime", "iso": "2026-01-01", "fold": 2}, "not a valid datetime"),
        (["nodes", 0, "args", 0], {"$": "timedelta", "parts": [10**12, 0, 0]}, "this is not a valid timedelta"),
        (["nodes", 0, "args", 0], {"$": "fraction", "parts": [1, 0]}, "this is not a valid fraction"),
        (["nodes", 0, "args", 0], {"$": "range", "items": [0, 1, 0]}, "this is not a valid range"),
        (["nodes", 0, "args", 0], {"$": "path", "of": "os", "text": "x"}, "this is not a valid path"),
        (["target"], 3, "at target: it refers to no node"),
        (["target"], [{"$": "input", "of": 0}], "it refers to no node"),
        (["target"], {"$": "ref", "node": 3}, "at target: node 3 is not one"),
    ],
)
def test_hostile_files_are_refused_with_their_place(path: list[Any], value: Any, told: str) -> None:
    """Wrong types, dangling and forward references, circles, unknown words: an error that says where."""
    assert told in refuse(changed(path, value))


def test_deep_values_are_refused() -> None:
    """A value of 150 lists in each other is read by JSON, but not by us."""
    deep: Any = 1
    for _ in range(150):
        deep = [deep]
    assert "nested more than 100 deep" in refuse(changed(["nodes", 0, "args", 0], deep))


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer texts, and more nodes, than anybody has are refused before any work."""
    monkeypatch.setattr(deserialize, "MOST_NODES", 2)
    assert "at nodes: there are more than 2" in refuse(sample())
    monkeypatch.setattr(strict_json, "_MOST_OBJECTS", 12)
    assert "more than 12 objects and lists" in refuse(sample())
    monkeypatch.setattr(strict_json, "MOST_TEXT", 10)
    assert "longer than 10 characters" in refuse(sample())


def test_reading_imports_and_calls_nothing() -> None:
    """A file that names a module, a function or a class leads to no import and no call."""
    called: list[int] = []

    @cs.task
    def trap() -> None:
        called.append(1)

    before = set(sys.modules)
    for key in ("antigravity:fly", "this:s", "subprocess:Popen"):
        refuse(changed(["tasks", 0, "key"], key))
    document = {"format": "cascade graph", "version": 1, "inputs": [], "target": REF}
    cs.from_json(json.dumps({**document, "tasks": [{"key": trap.key, "name": "trap"}], "nodes": [{"task": 0}]}))
    assert not called
    assert not {"antigravity", "this"} & (set(sys.modules) - before)


def test_no_task_at_all() -> None:
    """When nothing is registered the error says what to do."""
    document = sample()
    get_current_context().tasks.clear()
    assert "None is registered. Import the module, or run the cell, that defines it" in refuse(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$", "node", "items", "of", "text", "path", "key"]), inner, max_size=3)
        | st.fixed_dictionaries({"$": st.sampled_from(["ref", "tuple", "dict", "int", "datetime", "path", "input"])})
    ),
    max_leaves=6,
)


@given(JSON, st.randoms(use_true_random=False))
def test_random_damage_is_an_error_or_a_graph(value: Any, chance: random.Random) -> None:
    """Whatever is put anywhere into a file, the answer is a GraphFormatError or a target, never another error."""
    get_current_context().tasks[add.key] = add
    document: Any = copy.deepcopy(SAMPLE)
    place, step = document, "nodes"
    while isinstance(place, (dict, list)) and place:
        holder, step = place, chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        place = holder[step]
        if chance.random() < 0.2:
            break
    holder[step] = value
    try:
        cs.from_json(json.dumps(document))
    except CascadeError as error:
        assert isinstance(error, GraphFormatError)  # noqa: PT017 - nothing may be raised, too


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_random_text_is_an_error(text: str | bytes) -> None:
    """Noise is no file."""
    refuse(text)


SAMPLE = sample()
