"""Message id and fields → one sentence in the reader's language.

In: a locale's JSON table and the fields of a message. Out: text. Invariant: fields are data: nothing in them is read
as a template, and a message that the table does not know, or whose fields do not fit, still comes out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter

from cascade.interfaces.exceptions import SettingError

__all__ = ["Catalogue", "in_seconds", "load", "locales", "time_ago"]

_FOLDER = Path(__file__).with_name("locales")
_LONG = 60.0


def locales() -> list[str]:
    """Return the languages that cascade speaks.

    Example:
        >>> locales()
        ['en', 'zh']
    """
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def load(locale: str) -> Catalogue:
    """Return the table of `locale`.

    Raises:
        SettingError: when there is none, with the nearest.
    """
    known = locales()
    if locale not in known:
        raise SettingError.for_choice("The locale", locale, known)
    return Catalogue(json.loads((_FOLDER / f"{locale}.json").read_text(encoding="utf-8")))


class Catalogue:
    """The words of one language.

    A text is a template with ``{field}`` places, or ``{"by": field, "one": template, "other": template}`` where the
    number of something changes the sentence. Places may end in ``:time`` (seconds), ``:ago`` (seconds since then),
    ``:number``, ``:list`` or ``:counts`` (a mapping of states to numbers).
    """

    def __init__(self, texts: Mapping[str, str | Mapping[str, str]]) -> None:
        """Keep the table."""
        self.texts = texts

    def template(self, message_id: str, fields: Mapping[str, object]) -> str | None:
        """Return the template for these fields; None for an unknown message."""
        text = self.texts.get(message_id)
        if text is None or isinstance(text, str):
            return text
        return text["one"] if fields.get(text["by"]) == 1 else text["other"]

    def text(self, message_id: str, fields: Mapping[str, object]) -> str:
        """Return the sentence.

        Example:
            >>> load("en").text("run.started", {"name": "demo", "nodes": 1})
            'run demo started: 1 node'
        """
        template = self.template(message_id, fields)
        if template is not None:
            try:
                return _Words(self).vformat(template, (), fields)
            except (KeyError, ValueError, TypeError, LookupError):
                pass
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{message_id} {shown}".rstrip()


class _Words(Formatter):
    """Fills a template; fields are looked up by their plain name only."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def get_field(self, field_name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[object, str]:  # noqa: ARG002 - as in the base class
        return kwargs[field_name], field_name

    def format_field(self, value: object, format_spec: str) -> str:
        if format_spec == "time" and isinstance(value, (int, float)):
            return in_seconds(value)
        if format_spec == "ago" and isinstance(value, (int, float)):
            count, unit = _age(value)
            return self.catalogue.text(f"ago.{unit}", {"count": count})
        if format_spec == "number" and isinstance(value, (int, float)):
            return f"{value:,}" if isinstance(value, int) else f"{value:g}"
        if format_spec == "list" and isinstance(value, Mapping):
            return self.join([f"{name} {_plain(amount)}" for name, amount in value.items()])
        if format_spec == "list" and isinstance(value, Sequence) and not isinstance(value, str):
            return self.join([str(item) for item in value])
        if format_spec == "counts" and isinstance(value, Mapping):
            parts = [self.catalogue.text(f"count.{state}", {"count": count}) for state, count in value.items() if count]
            return self.catalogue.text("counts", {"counts": self.join(parts)}) if parts else ""
        return str(value)

    def join(self, parts: Sequence[str]) -> str:
        return str(self.catalogue.texts.get("comma", ", ")).join(parts)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def time_ago(seconds: float) -> str:
    """Return how long ago something was, as people say it.

    Example:
        >>> time_ago(7300), time_ago(90), time_ago(0.2)
        ('2 h ago', '90 s ago', 'just now')
    """
    count, unit = _age(seconds)
    return f"{count} {unit} ago" if count else "just now"


def _age(seconds: float) -> tuple[int, str]:
    """Return how many of which unit are over; ``(0, "now")`` for less than a second."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return int(seconds // length), unit
    return (int(seconds), "s") if seconds >= 1 else (0, "now")


def in_seconds(seconds: float) -> str:
    """Return a duration as people read it.

    Example:
        >>> in_seconds(0.0421), in_seconds(3.14159), in_seconds(75), in_seconds(7325)
        ('42 ms', '3.14 s', '1 min 15 s', '2 h 02 min')
        >>> in_seconds(0.000_03), in_seconds(0.0015)
        ('30 µs', '1.5 ms')
    """
    if not 0 <= seconds < float("inf"):
        return f"{seconds:g} s"
    if seconds < 0.0995:  # noqa: PLR2004 - what rounds to 100 ms and more is told in seconds
        milliseconds = seconds * 1000
        if milliseconds < 0.9995:  # noqa: PLR2004 - the same for microseconds
            return f"{milliseconds * 1000:.0f} µs" if seconds else "0 s"
        return f"{milliseconds:.2g} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"  # noqa: PLR2004
    if seconds < _LONG:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"  # noqa: PLR2004 - three digits are enough
    minutes, rest = divmod(round(seconds), 60)
    if minutes < _LONG:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
