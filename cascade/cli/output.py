"""Results → stdout, everything else → stderr.

In: the value of a run, lines to say. Out: text on the streams. Invariant: a reader that has gone harms nobody; with
`keep_stdout_clean`, nothing reaches stdout but what is written here, whoever prints.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from datetime import time as time_of_day
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, TextIO

from cascade.messaging.bus import Message
from cascade.messaging.renderer import JsonRenderer, one_line
from cascade.runtime.failure import text_of
from cascade.runtime.summary import summarize

__all__ = ["encodable", "keep_stdout_clean", "readable", "say", "settle_streams", "show", "to_json_text"]

_DEEPEST: Final = 100  # containers in containers; more would end the recursion
_LONGEST: Final = 4_000  # bits of an int that JSON readers, and Python itself, still take
_SHOWN: Final = 200  # characters of a short text


# -- writing --------------------------------------------------------------------------------------------------------


def show(value: Any, *, as_json: bool) -> None:
    """Write a result to stdout: text as it is, other values readably, None not at all; or all as JSON.

    Raises:
        OSError: when stdout cannot be written to, as on a full disk; a reader that has gone is no error.
    """
    stream = sys.stdout
    if stream is None or (value is None and not as_json):
        return
    text = to_json_text(value) if as_json else value if isinstance(value, str) else readable(value, stream)
    try:
        stream.write(encodable(f"{text}\n", stream))
        stream.flush()
    except BrokenPipeError:
        _point_nowhere(stream)
    except OSError:
        _point_nowhere(stream)
        raise


def say(text: str, *, as_json: bool = False) -> None:
    """Write lines to stderr; as one JSON line where the log is JSON."""
    if as_json:
        JsonRenderer().render(Message("cli.said", "ERROR", text, {}, time.time()))
        return
    stream = sys.stderr
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.write(encodable(f"{text}\n", stream))
            stream.flush()


def settle_streams() -> bool:
    """Flush both streams and turn away from those whose reader has gone; say whether both are still read."""
    fine = True
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
                gone = _has_lost_reader(stream)
            except (OSError, ValueError):
                gone = True
            if gone:
                _point_nowhere(stream)
                fine = False
    return fine


def _has_lost_reader(stream: TextIO) -> bool:
    """Whether `stream` is a pipe that nobody reads any more, as far as the system tells."""
    try:
        from select import POLLERR, poll

        poller = poll()
        poller.register(stream.fileno(), 0)
        return any(event & POLLERR for _, event in poller.poll(0))
    except (ImportError, OSError, ValueError):  # a system without poll, a stream without a file
        return False


def _point_nowhere(stream: TextIO) -> None:
    """Let what is still in the buffer of `stream` vanish, so that the end of the program does not stumble over it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def encodable(text: str, stream: TextIO) -> str:
    """Return `text` with what the encoding of `stream` has no sign for as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding, getattr(stream, "errors", None) or "strict")
    except (UnicodeEncodeError, LookupError):
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


@contextmanager
def keep_stdout_clean() -> Iterator[None]:
    """Send to stderr whatever is printed meanwhile: by tasks, by C libraries, by other programs that tasks start."""
    saved = -1
    stdout, stderr = sys.stdout, sys.stderr
    if stdout is not None:
        stdout.flush()
    with suppress(OSError, ValueError, AttributeError):  # a stream without a file, as in tests and notebooks
        if stdout.fileno() == 1:
            saved = os.dup(1)
            os.dup2(stderr.fileno(), 1)
    try:
        with redirect_stdout(stderr):
            yield
    finally:
        if saved >= 0:
            with suppress(OSError, ValueError):
                stdout.flush()
            os.dup2(saved, 1)
            os.close(saved)


# -- values as text ---------------------------------------------------------------------------------------------------


def readable(value: Any, stream: TextIO) -> str:
    """Return a value as a person reads it, in colours where `stream` is a terminal."""
    from rich.pretty import pretty_repr

    plain = "\n".join([one_line(line, len(line)) for line in pretty_repr(value, max_width=_width()).split("\n")])
    try:
        is_terminal = stream.isatty()
    except ValueError:
        return plain
    if not is_terminal:
        return plain
    from rich.console import Console
    from rich.highlighter import ReprHighlighter

    console = Console(file=stream)
    with console.capture() as captured:
        console.print(ReprHighlighter()(plain), soft_wrap=True, end="")
    return captured.get()


def _width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


# -- values as JSON ---------------------------------------------------------------------------------------------------


def to_json_text(value: Any) -> str:
    """Return a value as JSON; what JSON cannot say is a short text.

    Example:
        >>> to_json_text({"loss": 0.5, "best": float("nan"), 3: {"a"}, "model": object()})
        '{"loss": 0.5, "best": "nan", "3": ["a"], "model": "object"}'
    """
    plain = _plain(value, ())
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return json.dumps(plain, allow_nan=False)
    return text


def _plain(value: Any, above: tuple[int, ...]) -> Any:  # noqa: C901, PLR0911 - one branch per kind of value
    """Return `value` in what JSON has words for; `above` has the ids of the containers around it."""
    if value is None or (isinstance(value, (bool, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, (*above, id(value)))
    if isinstance(value, int):
        return int(value) if value.bit_length() < _LONGEST else summarize(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if id(value) in above or len(above) > _DEEPEST:
        return summarize(value)
    inside = (*above, id(value))
    if isinstance(value, Mapping):
        return _plain_mapping(value, inside)
    if isinstance(value, (list, tuple)):
        return [_plain(item, inside) for item in value]
    if isinstance(value, (set, frozenset)):
        return [_plain(item, inside) for item in _sorted(value)]
    if is_dataclass(value) and not isinstance(value, type):
        shown = [field.name for field in fields(value) if not field.name.startswith("_")]
        return {name: _plain(getattr(value, name, None), inside) for name in shown}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return _plain(value.tolist(), inside)
    return _short_text(value)


def _sorted(items: Iterable[Any]) -> list[Any]:
    """Return the items of a set in an order that is the same in every process."""
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=repr)


def _plain_mapping(value: Mapping[Any, Any], inside: tuple[int, ...]) -> Any:
    """Return a JSON object; where two keys would be one in JSON, pairs, so that nothing is lost."""
    made = {_key(key): _plain(item, inside) for key, item in value.items()}
    if len(made) == len(value):
        return made
    return [[_plain(key, inside), _plain(item, inside)] for key, item in value.items()]


def _key(key: Any) -> str:
    plain = _plain(key, ())
    return plain if isinstance(plain, str) else json.dumps(plain)


def _short_text(value: Any) -> str:
    """Return what a person would say of a value: its text where that is known to be short, else a summary."""
    if isinstance(value, (PurePath, date, time_of_day, timedelta)):
        return value.isoformat() if isinstance(value, (date, time_of_day)) else str(value)
    if isinstance(value, BaseException):
        return one_line(f"{type(value).__name__}: {text_of(value)}", _SHOWN)
    return summarize(value)
