from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.messaging.bus import Message, Messenger
from cascade.messaging.renderer import ConsoleRenderer, JsonRenderer, one_line


def message(text: str = "text", level: str = "INFO", message_id: str = "x.y", **fields: Any) -> Message:
    """A message as a messenger makes it."""
    return Message(message_id, level, text, fields, 1_750_000_000.123)


def shown(*messages: Message, color: bool | None = None, encoding: str = "utf-8") -> str:
    """What a console has after these messages."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    renderer = ConsoleRenderer(stream, color=color)
    for each in messages:
        renderer.render(each)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_a_line_has_time_icon_and_text() -> None:
    """The time since the run's start, when there is one, then an icon for what happened."""
    assert shown(message("fit done", message_id="node.completed", elapsed=1.5)) == "   1.500 s ● fit done\n"
    assert shown(message("plain")) == "· plain\n"
    assert shown(message("bad", level="ERROR")) == "✕ bad\n"
    assert shown(message("a | b", message_id="plan.row")) == "a | b\n"


def test_console_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever sys.stderr is when something is said; results on stdout stay clean."""
    ConsoleRenderer().render(message("hello"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "· hello\n")


HOSTILE = "[bold]x[/bold] [/] \\[a] :smile: \x1b[31m\x1b]0;title\x07 a\nb\r\nc\rd\te \u2028\u202etxt\u202c \x9b1m \x00"


@pytest.mark.parametrize("color", [False, True])
def test_hostile_text_is_one_line_of_text(color: bool) -> None:
    """Markup, emoji codes, escape sequences, line breaks and direction marks are shown, not obeyed."""
    text = shown(message(HOSTILE), color=color)
    if color:
        for code in ("\x1b[0m", "\x1b[2m"):
            text = text.replace(code, "")
    assert text.count("\n") == 1
    for kept in (
        "[bold]x[/bold] [/] \\[a] :smile:",
        "\\x1b[31m",
        "\\x1b]0;title\\x07",
        "a b c d e",
        "\\u202etxt",
        "\\x9b1m",
    ):
        assert kept in text
    assert "\x1b[31m" not in text.replace("\\x1b[31m", "")


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line(text: str) -> None:
    """Whatever characters it has, lone surrogates too: one line, nothing that steers a terminal, no error."""
    line = shown(message(text))
    assert line.count("\n") == 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line[:-1])
    assert one_line(text) == one_line(one_line(text))


def test_long_text_is_cut() -> None:
    """A megabyte of error message is two thousand characters on the console, ten thousand in JSON."""
    assert len(shown(message("x" * 1_000_000))) < 2_100
    stream = io.StringIO()
    JsonRenderer(stream).render(message("x" * 1_000_000, error="y" * 1_000_000))
    assert len(stream.getvalue()) < 21_000


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
def test_streams_of_other_encodings(encoding: str) -> None:
    """What a stream cannot encode is shown by its code; icons have a plain form."""
    text = shown(message("naïve 数", message_id="node.completed"), encoding=encoding)
    if encoding == "ascii":
        assert text == "* na\\xefve \\u6570\n"
    elif encoding == "cp1252":
        assert text == "* naïve \\u6570\n"
    else:
        assert "naïve 数" in text


def test_colors_only_on_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets plain text, a terminal colours, unless NO_COLOR says no."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    event = message("fit done", message_id="node.completed", elapsed=0.5)
    stream = Terminal()
    ConsoleRenderer(stream).render(event)
    assert "\x1b[32m●\x1b[0m" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    ConsoleRenderer(stream).render(event)
    assert "32m" not in stream.getvalue()


def test_rich_is_imported_for_terminals_only() -> None:
    """A script whose log goes to a file never pays for it."""
    code = (
        "import io, sys; from cascade.messaging.bus import messaging_bus as m; m.info('limit.removed', limit='x');"
        "print('rich' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
    assert answer.stderr == "· limit x removed\n"


@pytest.mark.parametrize("color", [False, True])
def test_a_stream_that_is_gone_harms_nobody(color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed, broken or missing: the message is lost, the run goes on."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (closed, Broken()):
        ConsoleRenderer(stream, color=color).render(message())
        JsonRenderer(stream).render(message())
    monkeypatch.setattr(sys, "stderr", None)
    ConsoleRenderer(color=color).render(message())
    JsonRenderer().render(message())


def records(*messages: Message) -> list[dict[str, Any]]:
    """What a program reads after these messages."""
    stream = io.StringIO()
    renderer = JsonRenderer(stream)
    for each in messages:
        renderer.render(each)
    return [json.loads(line, parse_constant=pytest.fail) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line() -> None:
    """Time in UTC, level, event, sentence, and the fields as data."""
    assert records(message("fit done", message_id="node.completed", label="fit", duration=0.5)) == [
        {
            "ts": "2025-06-15T15:06:40.123Z",
            "level": "INFO",
            "event": "node.completed",
            "message": "fit done",
            "fields": {"label": "fit", "duration": 0.5},
        }
    ]


def test_json_takes_any_field() -> None:
    """Not-a-number, bytes, sets, circles and objects become text; the line stays strict JSON in ASCII."""
    loop: list[Any] = []
    loop.append(loop)
    fields = {
        "nan": float("nan"),
        "inf": float("inf"),
        "loop": loop,
        "set": {1},
        "pair": (1, None),
        "lone": "\ud800é\n",
    }
    ((record),) = records(message(**fields))
    assert record["fields"]["nan"] == "nan"
    assert record["fields"]["pair"] == [1, None]
    assert record["fields"]["lone"] == "\ud800é\n"
    stream = io.StringIO()
    JsonRenderer(stream).render(message(**fields))
    assert stream.getvalue().isascii()


def test_a_messenger_with_json() -> None:
    """The same messages, for programs."""
    stream = io.StringIO()
    Messenger(JsonRenderer(stream)).error("node.failed", label="fit", attempt=2, error_type="ValueError", error="no")
    assert json.loads(stream.getvalue())["message"] == "fit failed in attempt 2: ValueError: no"
