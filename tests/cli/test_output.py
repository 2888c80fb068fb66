from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.cli.output import encodable, keep_stdout_clean, readable, say, settle_streams, show, to_json_text


@dataclass
class Point:
    x: int
    y: Any
    _secret: int = 0


class Color(Enum):
    RED = "red"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def plain(value: Any) -> Any:
    return json.loads(to_json_text(value))


NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
NESTED = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(NESTED)
def test_what_json_can_say_is_said(value: Any) -> None:
    """Numbers, texts, truth values, lists and dicts come out as they went in."""
    assert plain(value) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "nan"), (float("-inf"), "-inf"), ((1, {2}), [1, [2]]), ({"b", "a"}, ["a", "b"]),
        ({2: "a", None: "b", True: "c", (1, 2): "d"}, {"2": "a", "null": "b", "true": "c", "[1, 2]": "d"}),
        ({1: "a", "1": "b"}, [[1, "a"], ["1", "b"]]), (Point(1, Color.RED), {"x": 1, "y": "red"}),
        (Path("a/b"), "a/b"), (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29T00:00:00+00:00"),
        (b"abc", "3 bytes"), (object(), "object"), (ValueError("no"), "ValueError: no"), (Point, "type"),
        (np.float32(0.5), 0.5), (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]), (np.bool_(True), True),
        (pd.DataFrame({"a": [1, 2]}), "2 rows × 1 columns"),
    ],
)  # fmt: skip
def test_other_values_fall_back(value: Any, said: Any) -> None:
    """What JSON has no word for is a short text; what is nearly JSON is made JSON."""
    assert plain(value) == said


def test_values_without_an_end() -> None:
    """A list in itself, containers nested thousands of times and numbers of thousands of digits do not stop it."""
    circle: list[Any] = [1]
    circle += [circle, circle]
    assert plain(circle) == [1, "list of 3", "list of 3"]
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert "list of 1" in to_json_text(deep)
    assert plain(10**5_000) == "int of 16610 bits"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_texts_are_printed_as_they_are(text: str) -> None:
    """A text goes to stdout sign by sign; escape sequences that the user made stay."""
    stream, before = io.StringIO(newline=""), sys.stdout
    sys.stdout = stream
    try:
        show(text, as_json=False)
    finally:
        sys.stdout = before
    assert stream.getvalue() == f"{text}\n"


def test_none_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No result, no line; in JSON it is null."""
    show(None, as_json=False)
    assert capsys.readouterr().out == ""
    show(None, as_json=True)
    assert capsys.readouterr().out == "null\n"


def test_values_are_readable() -> None:
    """Containers are laid out, frames keep their lines, and nothing steers a terminal or has colours in a file."""
    file = io.StringIO()
    assert readable({"a": [1, 2]}, file) == "{'a': [1, 2]}"
    assert readable(list(range(100, 140)), file).splitlines()[1] == "    100,"
    frame = pd.DataFrame({"name": ["größe", "b"], "n": [1, 22]})
    assert readable(frame, file) == repr(frame)

    class Hostile:
        def __repr__(self) -> str:
            return "red\x1b[31m\r\nnext"

    assert readable(Hostile(), file) == "red\\x1b[31m \nnext"


def test_values_have_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a person looks, numbers and texts differ in colour, unless the person has said no."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in readable([1, "a"], Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert readable([1, "a"], Terminal()) == "[1, 'a']"


def test_signs_that_an_encoding_lacks() -> None:
    """Unicode on an ASCII stream, and halves of signs anywhere, become escapes instead of errors."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert encodable("größe", stream) == "gr\\xf6\\xdfe"
    assert encodable("größe\ud800", io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == "größe\\ud800"
    assert encodable("größe", io.StringIO()) == "größe"


def test_json_on_a_narrow_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON that the stream cannot encode is written in ASCII, and means the same."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    show(["größe", "\ud800"], as_json=True)
    assert json.loads(stream.buffer.getvalue()) == ["größe", "\ud800"]  # type: ignore[attr-defined]


def test_lines_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    """What the command says goes to stderr: as lines, or as one JSON line where the log is JSON."""
    say("one\ntwo")
    say("one\ntwo", as_json=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second, third = captured.err.splitlines()
    assert (first, second) == ("one", "two")
    assert json.loads(third)["message"] == "one\ntwo"


def pipe_without_reader() -> io.TextIOWrapper:
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", encoding="utf-8")


def test_a_reader_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing to a pipe that nobody reads is quiet, and so is closing it afterwards."""
    stream = pipe_without_reader()
    monkeypatch.setattr(sys, "stdout", stream)
    show("x" * 100_000, as_json=False)
    show([1], as_json=True)
    stream.close()


@pytest.mark.skipif(os.name == "nt", reason="only on systems that tell whether a pipe is read")
def test_streams_are_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without a reader is noticed, with text in its buffer or without, and can then be closed."""
    assert settle_streams()
    for text in ("", "waiting"):
        stream = pipe_without_reader()
        stream.write(text)
        monkeypatch.setattr(sys, "stdout", stream)
        assert not settle_streams()
        assert settle_streams()
        stream.close()


def test_programs_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no streams at all, as under pythonw, nothing fails."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with keep_stdout_clean():
        show([1], as_json=True)
        say("hello")
    assert settle_streams()


def test_prints_are_led_aside(capfd: pytest.CaptureFixture[str]) -> None:
    """While stdout is kept clean, what is printed is on stderr; afterwards all is as before."""
    before = sys.stdout
    with keep_stdout_clean():
        print("aside")
    print("back")
    assert sys.stdout is before
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("back\n", "aside\n")
