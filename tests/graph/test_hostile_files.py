"""Graph files of people who mean ill: one kind of error, nothing imported or called, no long wait, no full memory."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.graph.literals import check_spread
from cascade.interfaces.exceptions import GraphFormatError
from tests.graph import hostile

ROOT = Path(__file__).resolve().parent.parent.parent
SAME_HASH = (1 << 61) - 1  # whole numbers that differ by it have the same hash


@pytest.fixture(autouse=True)
def tasks(own_context: None) -> None:
    """The tasks of the files, registered for each test; what is made at first use is made."""
    hostile.register()
    for text in hostile.samples():
        cs.from_json(text)
    hostile.ran.clear()


def read_all(numbers: range) -> int:
    """Read files; return how many were graphs after all."""
    return sum(hostile.check(number, build_too=number % 10 == 0) for number in numbers)


def test_damaged_files_are_errors_or_graphs() -> None:
    """Five hundred files, damaged as data or as text: each is a `GraphFormatError` with its place, or a graph."""
    graphs = read_all(range(500))
    assert 10 < graphs < 250
    assert not hostile.ran


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_damaged_files() -> None:
    """So are many more; no module is loaded for any of them and nothing of the user's is called."""
    read_all(range(1_000))  # what reading needs itself is loaded
    before = set(sys.modules)
    graphs = read_all(range(1_000, 101_000))
    assert 2_000 < graphs < 50_000
    assert {name for name in set(sys.modules) - before if not name.startswith("encodings.")} == set()
    assert not hostile.ran


def test_reading_imports_nothing_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """No import statement runs while files are read, neither with a name from the file nor with another."""
    asked: set[str] = set()
    real: Callable[..., Any] = builtins.__import__

    def notice(name: str, *rest: Any, **more: Any) -> Any:
        asked.add(name)
        return real(name, *rest, **more)

    numbers = range(20_000, 20_300)
    texts = [hostile.damaged(number) for number in numbers]
    cs.get_current_context().find_task("none")  # from now on it is known which tasks are ready-made
    monkeypatch.setattr(builtins, "__import__", notice)
    for text in texts:
        try:
            cs.from_json(text)
        except GraphFormatError:
            continue
    monkeypatch.undo()
    assert asked <= {"json.decoder"}  # which json itself asks for from Python 3.13 on


AUDIT = """
import sys
from tests.graph import hostile
hostile.register()
for number in range(200):
    hostile.check(number)
texts = [hostile.damaged(number) for number in range(50_000, 53_000)]
seen, watching = [], False
def notice(event, args):
    if watching and event != "builtins.id":  # object.__repr__ and the like
        seen.append((event, args))
sys.addaudithook(notice)
import cascade as cs
from cascade.interfaces.exceptions import GraphFormatError
watching = True
for text in texts:
    try:
        cs.from_json(text)
    except GraphFormatError:
        pass
watching = False
print(sorted({(event, str(args)[:200]) for event, args in seen}))
"""


@pytest.mark.slow
def test_reading_touches_nothing_outside() -> None:
    """Python's own audit sees no import, no code, no file, no process and no socket while files are read."""
    done = subprocess.run([sys.executable, "-c", AUDIT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# -- time and memory ---------------------------------------------------------------------------------------------------


def document(*args: object, **changes: object) -> str:
    """A file in which one task gets some arguments."""
    nodes = [{"task": 0, "args": list(args)}]
    made: dict[str, object] = {"format": "cascade graph", "version": 1, "inputs": [], "nodes": nodes}
    made |= {"tasks": [{"key": hostile.join.key, "name": "join"}], "target": {"$": "ref", "node": 0}}
    return json.dumps({**made, **changes})


def refused(text: str) -> str:
    """The error of a file."""
    with pytest.raises(GraphFormatError) as caught:
        cs.from_json(text)
    assert len(str(caught.value)) < 2_000
    return str(caught.value)


def test_keys_of_one_hash_are_refused() -> None:
    """Sets, dicts and routes whose keys were chosen to collide would take time that grows with their square."""
    numbers = [{"$": "int", "hex": f"{i * SAME_HASH:x}"} for i in range(1, 2_500)]
    told = "more than 1,000 of these 2,499 keys have the same hash"
    assert told in refused(document({"$": "set", "items": numbers}))
    assert told in refused(document({"$": "frozenset", "items": numbers}))
    assert told in refused(document({"$": "dict", "items": [[number, 1] for number in numbers]}))
    router = {"router": {"selector": 1, "routes": [[number, 1] for number in numbers]}}
    assert told in refused(document(nodes=[router]))
    assert cs.from_json(document({"$": "set", "items": list(range(2_500))}))._args == (set(range(2_500)),)


def test_equal_keys_are_no_collision() -> None:
    """Keys that stand twice are told as such by whoever makes the set; those without a hash are a `TypeError`."""
    check_spread([1] * 900)
    with pytest.raises(TypeError):
        check_spread([[]] * 1_001)


def test_slow_arithmetic_is_refused() -> None:
    """Python reduces fractions in quadratic time: their parts are short; so are parts of a union."""
    long = {"$": "int", "hex": "f" * 20_000}
    assert "at most 5,000 hexadecimal digits" in refused(document({"$": "fraction", "parts": [long, 1]}))
    wide = {"of": "Union", "args": [{"of": "tuple", "args": ["int"] * n} for n in range(1, 60)]}
    param = {"kind": "param", "name": "p", "type": wide}
    assert "(a Union 50)" in refused(document(inputs=[param]))
    param["type"] = {"of": "Union", "args": [{"of": "Union", "args": ["int", "str"]}, "float"]}
    assert "Union (of what is no Union)" in refused(document(inputs=[param]))


def test_long_names_are_told_shortly() -> None:
    """An error holds the beginning of a name from the file, whatever its length."""
    name = "n" * 100_000
    for text in (
        document(format=name),
        document(**{name: 1}),
        document(nodes=[{"task": 0, name: 1}]),
        document(tasks=[{"key": name, "name": name}]),
        document({"$": name}),
        document({"$": "ref", "node": name}),
        document(inputs=[{"kind": name, "name": name, "type": name}]),
        document(inputs=[{"kind": "param", "name": "p", "type": name}]),
        document(inputs=[{"kind": "param", "name": "p", "type": f"{name}:x"}]),
        document(nodes=[{"task": 0, "options": {"retry": name}}]),
        document(nodes=[{"task": 0, "class": name}]),
        document({name: {name: {"$": "eval"}}}),
        document(nodes=[{"task": 1, "kwargs": {name: 1}}], tasks=[{"key": hostile.add.key, "name": "a"}] * 2),
        f'{{"{name}": 1, "{name}": 2}}',
    ):
        refused(text)


def test_names_are_plain_text() -> None:
    """A lone surrogate, which no other program could write, cannot be a name of anything."""
    odd = "p\ud800"
    join = hostile.join
    for text in (
        document(inputs=[{"kind": "param", "name": odd, "type": "int"}]),
        document(nodes=[{"task": 0, "kwargs": {odd: 1}}]),
        document(nodes=[{"task": 0, "options": {"constraints": {odd: 1}}}]),
        document(tasks=[{"key": join.key, "name": odd}]),
        document({"$": "inject", "name": odd}),
    ):
        assert refused(text).isprintable()


def test_numbers_beyond_all_measure_are_refused() -> None:
    """Seconds and the like are finite, and no whole number overflows on its way to one."""
    huge = {"$": "int", "hex": "f" * 5_000}
    for name in ("delay", "backoff", "jitter", "max_delay"):
        retry = {"max_attempts": 2, "delay": 0, "backoff": 1, "jitter": 0, "max_delay": None, "retry_on": "OSError"}
        retry[name] = huge  # type: ignore[assignment]
        assert f"options.retry.{name}: a number" in refused(document(nodes=[{"task": 0, "options": {"retry": retry}}]))
    assert "options.timeout: a number" in refused(document(nodes=[{"task": 0, "options": {"timeout": huge}}]))


@pytest.mark.parametrize("limit", [4_300, 0])
def test_long_numbers_are_refused_whatever_python_allows(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where somebody has lifted Python's own bound, beyond which it takes quadratic time."""
    before = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(limit)
        for digits in ("9" * 4_301, "-" + "9" * 4_301, "9" * 1_000_000):
            assert "a number has more than 4,300 digits" in refused(document("here").replace('"here"', digits))
    finally:
        sys.set_int_max_str_digits(before)


def test_deep_values_are_refused_wherever_they_stand() -> None:
    """A hundred containers in each other are read; more are an error, and not one of the recursion."""
    shapes = [("[", "]"), ('{"k":', "}"), ('{"$":"tuple","items":[', "]}"), ('{"$":"dict","items":[[1,', "]]}")]
    for before, after in shapes:
        for times in (90, 101, 150, 900, 990, 100_000):
            text = document("here").replace('"here"', before * times + "1" + after * times)
            if times == 90:
                assert cs.from_json(text)._args
            else:
                assert "nested" in refused(text)
            for field in ("format", "version", "tasks", "inputs", "nodes", "target"):
                refused(document(**{field: "here"}).replace('"here"', before * times + "1" + after * times))


SHAPES = """
import json, resource, sys, time
from tests.graph import hostile
from tests.graph.test_hostile_files import SAME_HASH, document
import cascade as cs
from cascade.interfaces.exceptions import GraphFormatError
hostile.register()
N = 10_000_000
def fill(text, *wrap):
    item = text + ","
    return item * (N // len(item)) + text
def put(body, place='"here"', **changes):
    return document(**changes).replace(place, body) if changes else document("here").replace(place, body)
def tagged(tag, field, item):
    return '{"$":"%s","%s":[%s]}' % (tag, field, fill(item))
colliding = ",".join('{"$":"int","hex":"%x"}' % (i * SAME_HASH) for i in range(1, 200_000))
call = '{"task":0,"args":[1]}'
shapes = {
    "numbers": lambda: put("[" + fill("0") + "]"),
    "fractions of one": lambda: put("[" + fill("0.1") + "]"),
    "objects": lambda: put("[" + fill("{}") + "]"),
    "lists": lambda: put("[" + fill("[]") + "]"),
    "texts": lambda: put("[" + fill('"ab"') + "]"),
    "one text": lambda: put('"' + "x" * N + '"'),
    "surrogates": lambda: put("[" + fill('"\\\\ud800"') + "]"),
    "tuples": lambda: put("[" + fill('{"$":"tuple","items":[]}') + "]"),
    "sets": lambda: put("[" + fill('{"$":"set","items":[1]}') + "]"),
    "zones": lambda: put("[" + fill('{"$":"datetime","iso":"2026-01-01","zone":"zone Europe/Berlin"}') + "]"),
    "wrong zones": lambda: put('[{"$":"datetime","iso":"2026-01-01","zone":"zone ' + "x" * N + '"}]'),
    "long ints": lambda: put("[" + fill('{"$":"int","hex":"%s"}' % ("f" * 100_000)) + "]"),
    "decimals": lambda: put("[" + fill('{"$":"decimal","text":"1E+999999"}') + "]"),
    "long decimals": lambda: put("[" + fill('{"$":"decimal","text":"%s"}' % ("9" * 99_999)) + "]"),
    "fractions": lambda: put("[" + fill(
        '{"$":"fraction","parts":[{"$":"int","hex":"%s"},{"$":"int","hex":"%s"}]}' % ("1" * 5_000, "f" * 4_999)) + "]"),
    "bytes": lambda: put('{"$":"bytes","base64":"%s"}' % ("A" * (N // 4 * 4))),
    "own values": lambda: put("[" + fill('{"$":"enum","of":"tests.graph.hostile:Colour","name":"RED"}') + "]"),
    "colliding set": lambda: put('{"$":"set","items":[%s]}' % colliding),
    "colliding dict": lambda: put('{"$":"dict","items":[%s]}' % ",".join(f"[{k},1]" for k in colliding.split(",{"))
        .replace('["$"', '[{"$"')),
    "many small sets that collide": lambda: put("[" + ",".join(
        '{"$":"set","items":[%s]}' % ",".join('{"$":"int","hex":"%x"}' % (i * SAME_HASH) for i in range(1, 1_000))
        for _ in range(N // 45_000)) + "]"),
    "keys": lambda: put("{" + ",".join('"%d":1' % i for i in range(N // 11)) + "}"),
    "a key twice, at the end": lambda: put("{" + ",".join('"%d":1' % i for i in range(N // 11)) + ',"7":1}'),
    "nodes": lambda: put("[" + fill(call) + "]", nodes="here"),
    "nodes that name the first": lambda: put(
        "[" + call + "," + fill('{"task":0,"args":[{"$":"ref","node":0}]}') + "]", nodes="here"),
    "routers": lambda: put("[" + call + "," + fill('{"router":{"selector":1,"routes":[[1,2]]}}') + "]", nodes="here"),
    "inputs": lambda: put("[" + fill('{"kind":"param","name":"p","type":"int"}') + "]", inputs="here"),
    "types": lambda: put("[" + fill('{"kind":"param","name":"p","type":{"of":"Union","args":[%s]}}' % ",".join(
        '{"of":"tuple","args":[%s]}' % ",".join(['"int"'] * n) for n in range(1, 50))) + "]", inputs="here"),
    "tasks": lambda: put("[" + fill(json.dumps({"key": hostile.join.key, "name": "n"})) + "]", tasks="here"),
    "an unknown task": lambda: put('[{"key":"%s","name":"n"}]' % ("k" * N), tasks="here"),
    "an unknown argument": lambda: document(tasks=[{"key": hostile.add.key, "name": "a"}],
        nodes=[{"task": 0, "kwargs": {"k" * N: 1}}]),
    "keyword arguments": lambda: put("{" + ",".join('"k%d":1' % i for i in range(N // 12)) + "}",
        nodes=[{"task": 0, "kwargs": "here"}]),
    "a path": lambda: put('{"$":"ref","node":0,"path":[%s]}' % fill("0"), target="here"),
    "retries": lambda: put("[" + fill('"OSError"') + "]", nodes=[{"task": 0, "options": {"retry": {
        "max_attempts": 2, "delay": 0, "backoff": 1, "jitter": 0, "max_delay": None, "retry_on": "here"}}}]),
    "open lists": lambda: "[" * N,
    "open objects": lambda: '{"a":' * (N // 5),
    "digits": lambda: put("9" * N),
    "an exponent": lambda: put("1e" + "9" * N),
    "small digits": lambda: put("[" + fill("9" * 4_299) + "]"),
    "blanks": lambda: " " * N,
    "noise": lambda: b"\\xff" * N,
    "wide noise": lambda: "\\U0001f389" * (N // 4),
}
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
names = sys.argv[1:] or list(shapes)
for name in names:
    text = shapes[name]()
    before = time.process_time()
    try:
        cs.from_json(text)
        told = "a graph"
    except GraphFormatError as error:
        told = str(error)[:100]
        assert len(str(error)) < 2_000
    print(f"{time.process_time() - before:.2f}", name, told.encode("ascii", "replace").decode())
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_megabytes_take_seconds_and_no_gigabytes() -> None:
    """Forty shapes of large files, in a process that may have 1.5 GB: each is read or refused in linear time."""
    done = subprocess.run([sys.executable, "-c", SHAPES], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    slow = [line for line in done.stdout.splitlines() if float(line.split()[0]) > 15]
    assert not slow, "\n".join(slow)
    assert len(done.stdout.splitlines()) > 30
