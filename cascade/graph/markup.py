"""Text → markup: the one place where angle brackets are made.

In: names of elements, attributes, text of any origin. Out: well-formed XML. Invariant: whatever a text holds, it
stays text: it is cleaned of what XML cannot hold, and escaped, here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cascade.graph.draw_shapes import tidy

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][\w.:-]*\Z", re.ASCII)


class Markup(str):
    """Text that is markup already, made by `element`."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """The text as XML character data that is safe in elements and in quoted attributes alike."""
    text = _NOT_XML.sub("\ufffd", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markup(text.replace('"', "&quot;").replace("'", "&#39;"))


def element(name: str, attributes: Mapping[str, object] | None = None, *children: str) -> Markup:
    """One XML element.

    Args:
        name: of the element; written by us, never taken from a text.
        attributes: values are escaped; those that are None or empty are left out, numbers are written short.
        children: `Markup` goes in as it is, any other text is escaped.

    Example:
        >>> element("text", {"x": 3.0}, "a < b")
        '<text x="3">a &lt; b</text>'
    """
    pieces = [f"<{_checked(name)}"]
    for key, value in (attributes or {}).items():
        if value is None or value == "":
            continue
        shown = str(tidy(value)) if isinstance(value, float) else str(value)
        pieces.append(f' {_checked(key)}="{escape(shown)}"')
    if not children:
        return Markup("".join([*pieces, "/>"]))
    inside = [child if isinstance(child, Markup) else escape(child) for child in children]
    return Markup("".join([*pieces, ">", *inside, f"</{name}>"]))


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is no name for an element or attribute.")
    return name
