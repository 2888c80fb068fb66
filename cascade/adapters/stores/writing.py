"""Storing several values: encode, write the large ones, then name them all in one step.

In: drafts. Out: their entries. Invariant: a value that cannot be encoded or written leaves the others alone; each one
that is not stored is told once, but for those that come after the store was switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cascade.adapters.stores.blobs import BlobFolder
from cascade.adapters.stores.codecs import Codecs
from cascade.adapters.stores.encoding import Encoded, encode
from cascade.adapters.stores.entries import INLINE
from cascade.adapters.stores.file_ops import fault_point
from cascade.adapters.stores.reports import Reports, is_lasting
from cascade.interfaces.records import Draft, Entry
from cascade.interfaces.store_errors import CodecError, StoreFault

__all__ = ["write_all"]


def write_all(
    drafts: Sequence[Draft],
    codecs: Codecs,
    blobs: BlobFolder,
    reports: Reports,
    now: float,
    put: Callable[[list[Encoded]], None],
    most: int | None = None,
) -> list[Entry | None]:
    """Return the entry of each draft, None for one that is not stored.

    Args:
        put: writes the rows in one transaction; raises StoreFault or OSError when that failed.
        most: bytes that one value may take; None: any number.
    """
    whole = [_write(draft, codecs, blobs, reports, now, most) for draft in drafts]
    ready = [each for each in whole if each is not None]
    if not ready:
        return [None] * len(drafts)
    fault_point("save.before_rows")
    try:
        put(ready)
    except StoreFault as fault:
        reports.switch_off(str(fault))
        return [None] * len(drafts)
    except OSError as error:
        reports.switch_off(str(StoreFault.for_failure(blobs.objects.parent, error)))
        return [None] * len(drafts)
    return [each.entry if each is not None else None for each in whole]


def _write(
    draft: Draft, codecs: Codecs, blobs: BlobFolder, reports: Reports, now: float, most: int | None
) -> Encoded | None:
    """Encode one value, and write its file if it is large."""
    if not reports.can_write:
        return None
    try:
        made = encode(draft, codecs, now)
    except CodecError as error:
        reports.tell("unsaved", str(draft.key), str(error), draft.task)
        return None
    if most is not None and made.entry.size > most:
        told = f"it takes {made.entry.size:,} bytes, and all values together may take {most:,} (max_bytes)"
        reports.tell("unsaved", draft.key, told, draft.task)
        return None
    if made.entry.size < INLINE:
        return made
    try:
        blobs.write(made.entry.content, made.parts)
    except OSError as error:
        if is_lasting(error):
            reports.switch_off(str(StoreFault.for_read_only(blobs.objects.parent, error)))
        else:
            reports.tell("unsaved", draft.key, f"its file could not be written ({error})", draft.task)
        return None
    return made
