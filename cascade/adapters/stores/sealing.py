"""Entries and recipes as signed bytes.

In: entries. Out: one sealed text each, and back. Invariant: the signature covers the key and every field, so that a row
cannot be changed, nor moved to another key, nor taken for one of another kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import Final

from cascade.adapters.stores.signing import MAC_BYTES, Signer
from cascade.interfaces.records import Entry
from cascade.interfaces.store_errors import SealError

__all__ = ["open_entries", "open_entry", "open_recipe", "plain", "seal_entry", "seal_recipe"]

_CUT: Final = "\x1f"  # stands in no field and after each, so that fields and key can be divided in one way only
_FIELDS: Final = len(Entry._fields) - 1  # the key is not repeated


def plain(text: str, longest: int) -> str:
    """Return a text that can stand in a field: bounded, without the character that divides fields, and UTF-8.

    Example:
        >>> plain("abcdef", 4)
        'abc…'
    """
    if len(text) <= longest and text.isascii() and _CUT not in text:
        return text  # nearly all are such
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
    found, unfit = open_entries(signer, [(key, sealed)])
    for _, error in unfit:
        raise error
    return found[key]


def open_entries(
    signer: Signer, rows: Iterable[tuple[str, bytes]]
) -> tuple[dict[str, Entry], list[tuple[str, Exception]]]:
    """Return the entries of rows by their keys, and what is wrong with the other rows: thousands are opened at a time.

    Args:
        rows: keys, and what was sealed for them.
    """
    found: dict[str, Entry] = {}
    unfit: list[tuple[str, Exception]] = []
    copy, new = signer.entry.copy, tuple.__new__
    for key, sealed in rows:
        try:
            fields = sealed[MAC_BYTES:]
            state = copy()
            state.update(fields + key.encode())
            parts = fields.decode().split(_CUT) if compare_digest(state.digest(), sealed[:MAC_BYTES]) else []
            if len(parts) != _FIELDS + 1 or parts[-1]:  # or the end of the fields could be taken from the key
                raise SealError.for_signature()
            digest, codec, size, kind, summary, run_id, made, took, outputs, task, content, _ = parts
            made_at, duration = float(made), float(took)
            found[key] = new(
                Entry,
                (key, digest, codec, int(size), kind, summary, run_id, made_at, duration, outputs, task, content),
            )
        except (ValueError, TypeError) as error:
            unfit.append((key, error))
    return found, unfit


def origin_of(sealed: bytes) -> tuple[str, str]:
    """Return the run that made an entry and the name of what it wrote, without asking who signed; empty if unreadable.

    For clean-up, where the worst that a wrong one can do is to keep something.
    """
    parts = sealed[MAC_BYTES:].decode("utf-8", "replace").split(_CUT) if isinstance(sealed, bytes) else []
    return (parts[5], parts[8]) if len(parts) == _FIELDS + 1 else ("", "")


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
