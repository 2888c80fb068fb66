"""``cs.io.stdin`` and ``cs.io.stdout``: what a script is fed, and what it gives.

In: the standard streams of this process. Out: text or bytes. Invariant: what is read is read once, to its end; what is
written appears whole. In a notebook there is no input to read; there, output goes where a task's output goes.
"""

from __future__ import annotations

import sys
from typing import Any, Literal, TextIO

import cascade as cs
from cascade.providers.errors import ProviderError, short

__all__ = ["StreamError", "stdin", "stdout"]


class StreamError(ProviderError, OSError):
    """A standard stream is not there, or cannot do what is asked of it."""


@cs.task(name="io.stdin")
def stdin(kind: Literal["text", "bytes", "lines"] = "text", /) -> Any:
    """Read the standard input up to its end, as in ``cat data.csv | python script.py``.

    Args:
        kind: ``text``, ``bytes``, or ``lines``: a list of text without line ends.

    Raises:
        StreamError: when there is none, as in a notebook, or when it is not text.

    Example:
        >>> import cascade as cs
        >>> cs.io.stdin("lines").with_fallback([])
        <lazy io.stdin('lines')>
    """
    if kind not in ("text", "bytes", "lines"):
        raise StreamError(f"cs.io.stdin reads 'text', 'bytes' or 'lines', not {short(kind)}.")
    stream = sys.stdin
    if stream is None or stream.closed or _is_kernel():
        raise StreamError("This process has no standard input to read. In a notebook, use a cs.Param or read a file.")
    if kind == "bytes":
        return stream.buffer.read()
    text = _read_text(stream)
    return text.splitlines() if kind == "lines" else text


def _read_text(stream: TextIO) -> str:
    """Return what a stream holds. Some locales let bytes that are no text pass as half characters; those fail later."""
    try:
        text = stream.read()
        text.encode()
    except UnicodeError:
        raise StreamError("The standard input is not text. Read it as bytes: cs.io.stdin('bytes').") from None
    return text


def _is_kernel() -> bool:
    """Say whether this process is the kernel of a notebook, whose standard input nobody writes to."""
    app = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    return app is not None and bool(app.initialized())


@cs.task(name="io.stdout")
def stdout(value: Any, /, *, end: str = "\n") -> Any:
    """Write a value to the standard output, and pass it on.

    Args:
        value: text and numbers as they show; bytes as they are. end: what follows text.

    Raises:
        StreamError: when there is no output, or none that takes bytes.

    Example:
        >>> import cascade as cs
        >>> _ = cs.run(cs.io.stdout(cs.format("{:.2f}", 3.14159)), log_level="ERROR")
        3.14
    """
    stream = sys.stdout
    if stream is None:
        raise StreamError("This process has no standard output to write to.")
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = getattr(stream, "buffer", None)
        if raw is None:
            raise StreamError("The standard output takes text only here: decode the bytes, or write them to a file.")
        stream.flush()
        raw.write(value)
        raw.flush()
        return value
    stream.write(f"{value}{end}")
    stream.flush()
    return value
