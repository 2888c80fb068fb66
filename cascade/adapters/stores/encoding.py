"""Drafts → entries with their bytes: what both kinds of store do before they write.

In: a draft. Out: its entry and bytes, or a report. Invariant: nothing a value does while it is encoded comes out of
here as an error, but what ends the program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cascade.adapters.stores.blobs import digest_of
from cascade.adapters.stores.codecs import Buffer, Codecs
from cascade.adapters.stores.sealing import plain
from cascade.interfaces.records import Draft, Entry
from cascade.interfaces.store_errors import CodecError

__all__ = ["Encoded", "encode"]

LONGEST_NAME, LONGEST_SUMMARY = 300, 2000  # characters


class Encoded(NamedTuple):
    """An entry and its bytes, in pieces that are not copied until they are written."""

    entry: Entry
    parts: Sequence[Buffer]

    def join(self) -> bytes:
        """Return the bytes in one piece."""
        parts = self.parts
        return parts[0] if len(parts) == 1 and type(parts[0]) is bytes else b"".join(parts)


def encode(draft: Draft, codecs: Codecs, now: float) -> Encoded:
    """Return the entry of a draft, made at `now` (seconds since the epoch), with its bytes.

    Raises:
        CodecError: when its value or its key cannot be written.
    """
    _check_key(draft.key)
    codec, parts = codecs.encode(draft.value)
    content = digest_of(parts)
    kind = type(draft.value)
    entry = Entry(
        key=draft.key,
        digest=plain(draft.digest if draft.digest is not None else f"b:{content}", LONGEST_NAME),
        codec=codec,
        size=sum([len(part) if type(part) is bytes else memoryview(part).nbytes for part in parts]),
        type=plain(f"{kind.__module__}.{kind.__qualname__}", LONGEST_NAME),
        summary=plain(draft.summary, LONGEST_SUMMARY),
        run_id=plain(draft.run_id, LONGEST_NAME),
        made_at=now,
        duration=float(draft.duration),
        outputs=plain(draft.outputs, LONGEST_NAME),
        task=plain(draft.task, LONGEST_NAME),
        content=content,
    )
    return Encoded(entry, parts)


def _check_key(key: object) -> None:
    try:
        if isinstance(key, str) and key.encode() is not None:
            return
    except UnicodeEncodeError:
        pass
    raise CodecError(f"a key is text that can be written as UTF-8, not {key!r}")
