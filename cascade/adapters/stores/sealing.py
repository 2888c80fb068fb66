"""Entries and recipes as signed bytes.

In: entries. Out: one sealed text each, and back. Invariant: the signature covers the key and every field, so that a row
cannot be changed, nor moved to another key, nor taken for one of another kind.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from cascade.adapters.stores.signing import MAC_BYTES, Signer
from cascade.interfaces.records import Entry
from cascade.interfaces.store_errors import SealError

__all__ = ["open_entry", "open_recipe", "plain", "seal_entry", "seal_recipe"]

_CUT: Final = "\x1f"  # stands in no field and after each, so that fields and key can be divided in one way only
_FIELDS: Final = len(Entry._fields) - 1  # the key is not repeated


def plain(text: str, longest: int) -> str:
    """Return a text that can stand in a field: bounded, without the character that divides fields, and UTF-8.

    Example:
        >>> plain("abcdef", 4)
        'abc…'
    """
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return short.replace(_CUT, " ").encode("utf-8", "replace").decode("utf-8")


def seal_entry(signer: Signer, entry: Entry) -> bytes:
    """Return the signature and the fields of `entry`, whose texts are `plain`."""
    fields = (_CUT.join(map(str, entry[1:])) + _CUT).encode()
    return signer.sign(fields + entry.key.encode(), "entry") + fields


def open_entry(signer: Signer, key: str, sealed: bytes) -> Entry:
    """Return the entry that was sealed for `key`.

    Raises:
        SealError: when it was not, or not by this signer.
    """
    fields = sealed[MAC_BYTES:]
    state = signer.entry.copy()  # not `signer.fits`: thousands are opened at a time
    state.update(fields + key.encode())
    if not compare_digest(state.digest(), sealed[:MAC_BYTES]):
        raise SealError.for_signature()
    parts = fields.decode().split(_CUT)
    if len(parts) != _FIELDS + 1 or parts[-1]:  # or the end of the fields could be taken from the key
        raise SealError.for_signature()
    digest, codec, size, kind, summary, run_id, made_at, duration, outputs, task, content, _ = parts
    return tuple.__new__(
        Entry,
        (key, digest, codec, int(size), kind, summary, run_id, float(made_at), float(duration), outputs, task, content),
    )


def seal_recipe(signer: Signer, recipe: str, key: str) -> bytes:
    """Return the signature and the result key of a recipe."""
    content = key.encode()
    return signer.sign(_recipe_message(recipe, content), "recipe") + content


def open_recipe(signer: Signer, recipe: str, sealed: bytes) -> str:
    """Return the result key that was sealed for `recipe`.

    Raises:
        SealError: when it was not, or not by this signer.
    """
    content = sealed[MAC_BYTES:]
    if not signer.fits(_recipe_message(recipe, content), sealed[:MAC_BYTES], "recipe"):
        raise SealError.for_signature()
    return content.decode()


def _recipe_message(recipe: str, content: bytes) -> bytes:
    """Return what is signed; the length keeps the two apart."""
    return b"%d %b%b" % (len(content), content, recipe.encode())
