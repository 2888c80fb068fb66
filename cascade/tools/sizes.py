"""Bytes → what people say, and back.

In: a number of bytes, or a text such as ``2GB``. Out: the other. Invariant: powers of a thousand, as disks are sold.
"""

from __future__ import annotations

from typing import Final

__all__ = ["UNITS", "in_bytes"]

UNITS: Final = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def in_bytes(count: float) -> str:
    """Return a number of bytes as people read it.

    Example:
        >>> in_bytes(512), in_bytes(12_345), in_bytes(7.8e9)
        ('512 B', '12.3 KB', '7.8 GB')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - a thousand
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
