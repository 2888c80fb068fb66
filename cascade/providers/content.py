"""A text or bytes → what a file will hold.

In: a path and what was given for its content. Out: bytes. Invariant: what cannot be meant is refused before any file is
touched: a content in the place of the path, a number, a character that the encoding does not have.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from cascade.providers.storage_errors import PlaceError
from cascade.providers.tables_errors import TableError

__all__ = ["as_bytes", "check_order", "encoded"]

_ENDING: Final = re.compile(r"\.\w{1,8}$")
_FILE_NAME: Final = re.compile(r"[^\s]*[^\s./\\]\.[A-Za-z]\w{0,7}")
_LONGEST_NAME: Final = 255


def check_order(path: object, content: object) -> None:
    """Refuse a path and a content that were most likely given in the wrong order.

    That is: a text with white space, of which no file has the name, no folder and no suffix, before a single word with
    a suffix. Whoever means it gives a `pathlib.Path`.

    Raises:
        PlaceError: when it is so.

    Example:
        >>> check_order("out.txt", "hello world"), check_order("my notes", "hello world.")
        (None, None)
        >>> check_order("hello world", "out.txt")
        Traceback (most recent call last):
        cascade.providers.storage_errors.PlaceError: 'hello world' looks like a text ...
    """
    if not isinstance(path, str) or not isinstance(content, str):
        return
    is_text = bool(path.split()[1:] or "\n" in path) and not _ENDING.search(path)
    is_name = len(content) <= _LONGEST_NAME and _FILE_NAME.fullmatch(content) is not None
    if is_text and is_name and ("\n" in path or not ({*path} & {"/", os.sep} or Path(path).exists())):
        raise PlaceError.for_swap(path, content)


def encoded(text: str, encoding: str) -> bytes:
    r"""Return a text in an encoding.

    Raises:
        TableError: when the encoding is unknown, or has no such character.

    Example:
        >>> encoded("é", "latin-1")
        b'\xe9'
    """
    try:
        return text.encode(encoding)
    except (UnicodeError, LookupError, TypeError) as error:
        raise TableError.for_encoding(encoding, error) from None


def as_bytes(data: object, encoding: str, task: str) -> bytes:
    """Return bytes, or a text in an encoding.

    Raises:
        TypeError: when `data` is something else: of a number, Python would make so many zero bytes.
        TableError: see `encoded`.
    """
    if isinstance(data, str):
        return encoded(data, encoding)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"{task} takes bytes or a text, not {type(data).__name__}. Use cs.write.json for other values.")
    return bytes(data)
