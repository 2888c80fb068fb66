"""Messages → a console, or JSON lines.

In: a `Message`. Out: exactly one line. Invariant: whatever a message holds (markup, escape sequences, line breaks,
text that the stream cannot encode) it stays text on its own line, and a stream that is gone harms nobody.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from cascade.messaging.bus import Message

__all__ = ["ConsoleRenderer", "JsonRenderer", "one_line"]

LONGEST = 2_000  # characters of a line; a log is read by people
LONGEST_FIELD = 10_000  # characters of a field in JSON; a log is also read by programs
_HIDDEN = {
    *range(0x20),
    0x7F,
    *range(0x80, 0xA0),
    0x61C,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
}
_SPACES = {9: " ", 10: " ", 11: " ", 12: " ", 13: " ", 0x85: " ", 0x2028: " ", 0x2029: " "}
_SHOWN: Final = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _HIDDEN} | _SPACES  # noqa: PLR2004

_ICONS: Final = {
    "completed": ("●", "*", "green"),
    "more": (" ", " ", "dim"),
    "failed_at": (" ", " ", "dim"),
    "title": ("", "", "bold"),
    "head": ("", "", "dim"),
    "row": ("", "", ""),
    "started": ("◐", ">", "blue"),
    "retrying": ("▲", "^", "yellow"),
    "failed": ("✕", "x", "bold red"),
    "skipped": ("⊘", "-", "dim"),
    "cancelled": ("⊘", "-", "dim"),
    "waiting": ("◔", "~", "yellow"),
    "set_up": ("▾", "+", "cyan"),
    "torn_down": ("▴", "-", "cyan"),
}
_LEVELS: Final = {
    "DEBUG": ("·", ".", "dim"),
    "INFO": ("·", ".", ""),
    "WARNING": ("!", "!", "yellow"),
    "ERROR": ("✕", "x", "bold red"),
    "CRITICAL": ("✕", "x", "bold red"),
}


def one_line(text: str, longest: int = LONGEST) -> str:
    r"""Return `text` on one line, with whatever steers a terminal made visible.

    Example:
        >>> one_line("red\x1b[31m\nalert")
        'red\\x1b[31m alert'
    """
    if len(text) > longest:
        text = f"{text[:longest]}…"
    if text.isprintable():
        return text
    shown = text.replace("\r\n", " ").translate(_SHOWN)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")  # lone surrogates


class _StreamRenderer:
    """What both renderers share: one stream, one lock, one write a line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`; None: whatever ``sys.stderr`` is at that moment (notebooks replace it)."""
        self._stream = stream
        self._lock = threading.Lock()

    @property
    def stream(self) -> TextIO | None:
        """Where lines go now."""
        return self._stream if self._stream is not None else sys.stderr

    def _write(self, line: str) -> None:
        stream = self.stream
        if stream is None:
            return
        with self._lock, suppress(OSError, ValueError):  # closed, or its reader is gone
            stream.write(f"{line}\n")
            stream.flush()


class ConsoleRenderer(_StreamRenderer):
    """Lines for people: time since the run's start, an icon, the sentence; colours on a terminal only.

    Args:
        stream: a text stream; ``sys.stderr`` by default.
        color: True or False instead of looking at the stream and at ``NO_COLOR``.
    """

    def __init__(self, stream: TextIO | None = None, *, color: bool | None = None) -> None:
        """Import nothing yet."""
        super().__init__(stream)
        self.color = color
        self._draft: tuple[TextIO, Console, StringIO] | None = None

    def render(self, message: Message) -> None:
        """Write one line."""
        stream = self.stream
        if stream is None:
            return
        icon, style = _icon(stream, message)
        elapsed = message.fields.get("elapsed")
        clock = f"{elapsed:8.3f} s " if isinstance(elapsed, float) else ""
        text = one_line(message.text)
        if self._is_colored(stream):
            self._render_rich(stream, clock, icon, style, text, message.level)
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        line = f"{clock}{icon} {text}" if icon else text
        with suppress(LookupError):
            line = line.encode(encoding, "backslashreplace").decode(encoding)
        self._write(line)

    def _is_colored(self, stream: TextIO) -> bool:
        if self.color is not None:
            return self.color
        try:
            return stream.isatty()
        except (AttributeError, ValueError):
            return False

    def _render_rich(self, stream: TextIO, clock: str, icon: str, style: str, text: str, level: str) -> None:
        from rich.text import Text

        whole = style if not icon or level in ("ERROR", "CRITICAL") else ("dim" if level == "DEBUG" else "")
        line: Text = Text.assemble((clock, "dim"), (icon, style), " ") if icon else Text()
        line.append(text, whole)
        with self._lock:
            console, paper = self._drafting(stream)
            console.print(line, soft_wrap=True, end="")
            drafted = paper.getvalue()
            paper.seek(0)
            paper.truncate()
        self._write(drafted)

    def _drafting(self, stream: TextIO) -> tuple[Console, StringIO]:
        """Return a console with the colours of `stream` that writes on paper; a real one ends us if its pipe breaks."""
        if self._draft is None or self._draft[0] is not stream:
            from rich.console import Console

            terminal = True if self.color else None
            real = Console(file=stream, force_terminal=terminal, force_jupyter=False)
            paper = StringIO()
            colors: Any = real.color_system
            console = Console(
                file=paper,
                force_terminal=True,
                force_jupyter=False,
                color_system=colors,
                no_color=real.no_color,
                highlight=False,
                legacy_windows=False,
            )
            self._draft = (stream, console, paper)
        return self._draft[1:]


class JsonRenderer(_StreamRenderer):
    """One JSON object a line, for programs: time, level, event, message, and the fields as data.

    Example:
        >>> import io
        >>> from cascade.messaging.bus import Messenger
        >>> stream = io.StringIO()
        >>> Messenger(JsonRenderer(stream)).info("node.completed", label="fit", duration=0.5)
        >>> json.loads(stream.getvalue())["fields"]
        {'label': 'fit', 'duration': 0.5}
    """

    def render(self, message: Message) -> None:
        """Write one line."""
        record = {
            "ts": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": message.level,
            "event": message.id,
            "message": _clip(message.text),
            "fields": {str(name): _safe(value) for name, value in message.fields.items()},
        }
        self._write(json.dumps(record, allow_nan=False))


def _safe(value: Any, depth: int = 0) -> Any:
    """Return `value` as something that JSON has a word for."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if isinstance(value, str):
        return _clip(value)
    if depth < 4 and isinstance(value, Mapping):  # noqa: PLR2004 - fields are flat, nearly
        return {str(name): _safe(item, depth + 1) for name, item in value.items()}
    if depth < 4 and isinstance(value, (list, tuple)):  # noqa: PLR2004
        return [_safe(item, depth + 1) for item in value]
    return _clip(str(value))


def _clip(text: str) -> str:
    return text if len(text) <= LONGEST_FIELD else f"{text[:LONGEST_FIELD]}…"


def _icon(stream: TextIO, message: Message) -> tuple[str, str]:
    """Return the icon and its style; the last word of the id tells them, else the level."""
    word = message.id.rsplit(".", 1)[-1]
    found = _ICONS.get(word) or _ICONS.get(word.split("_")[0]) or _LEVELS[message.level]
    return found[0] if _can_write(stream, found[0]) else found[1], found[2]


def _can_write(stream: TextIO, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
