"""The rows of results and recipes.

In: entries, keys. Out: rows, and entries whose signature fits. Invariant: only the sealed bytes of a row are believed;
its other columns are for clean-up, where the worst that a wrong one can do is to remove a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from cascade.adapters.stores.index import Index
from cascade.adapters.stores.sealing import open_entries, open_recipe, seal_entry, seal_recipe
from cascade.adapters.stores.signing import MARK_LENGTH, Signer
from cascade.interfaces.records import Entry
from cascade.interfaces.store_errors import StoreFault

__all__ = ["Entries", "batches"]

BATCH: Final = 500  # keys in one SELECT
INLINE: Final = 8192  # bytes; smaller values live in their row
_PUT: Final = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_RECIPE: Final = "INSERT OR REPLACE INTO recipes VALUES (?, ?, ?, ?)"
_USE: Final = "UPDATE entries SET used_at = ? WHERE key = ? AND used_at < ?"

Execute = Callable[[str, list[tuple[Any, ...]]], int]
Told = Callable[[str, str], None]  # key and problem of a row that is not what was written


def batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut `keys` into pieces for one SELECT each."""
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]


class Entries:
    """The tables of results and recipes, read with one signer's eyes.

    Args:
        index: the file. signer: whose rows count. forged: hears of rows that say they are the signer's and are not.
    """

    __slots__ = ("_forged", "_index", "_signer", "foreign")

    def __init__(self, index: Index, signer: Signer, forged: Told) -> None:
        """Read nothing yet."""
        self._index = index
        self._signer = signer
        self._forged = forged
        self.foreign = 0  # rows of other signers that were met

    # -- results --------------------------------------------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries that are there and truly signed."""
        found: dict[str, Entry] = {}
        for batch in batches(keys):
            marks = ",".join("?" * len(batch))
            rows = self._index.rows(f"SELECT key, sealed FROM entries WHERE key IN ({marks})", batch)  # noqa: S608 - question marks
            fit, unfit = open_entries(self._signer, rows)
            found.update(fit)
            for key, error in unfit:
                self._judge("entries", "key", key, error)
        return found

    def all(self, task: str | None = None) -> list[Entry]:
        """Return all entries that are truly signed, the latest first."""
        where, values = ("", ()) if task is None else (" WHERE task = ?", (task,))
        rows = self._index.rows(f"SELECT key FROM entries{where} ORDER BY made_at DESC, rowid DESC", values)  # noqa: S608 - two fixed texts
        keys = [key for (key,) in rows]
        found = self.find(keys)
        return [found[key] for key in keys if key in found]

    def inline(self, key: str) -> object:
        """Return the bytes in the row of a key, None if there are none."""
        rows = self._index.rows("SELECT data FROM entries WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def put(self, execute: Execute, entries: Iterable[tuple[Entry, bytes | None]]) -> None:
        """Write the rows of entries with the bytes of the small ones."""
        mark = self._signer.mark
        execute(_PUT, [
            (e.key, seal_entry(self._signer, e), mark, e.content, e.size, e.task, e.made_at, e.made_at, data)
            for e, data in entries
        ])  # fmt: skip

    def use(self, execute: Execute, used: Mapping[str, float]) -> None:
        """Note when keys were last used (seconds since the epoch)."""
        execute(_USE, [(at, key, at) for key, at in used.items()])

    # -- recipes --------------------------------------------------------------------------------------------------

    def find_recipes(self, recipes: Sequence[str]) -> dict[str, str]:
        """Return the result keys of the recipes that are there and truly signed."""
        found: dict[str, str] = {}
        for batch in batches(recipes):
            marks = ",".join("?" * len(batch))
            statement = f"SELECT recipe, sealed FROM recipes WHERE recipe IN ({marks})"  # noqa: S608 - question marks
            for recipe, sealed in self._index.rows(statement, batch):
                try:
                    found[recipe] = open_recipe(self._signer, recipe, sealed)
                except (ValueError, TypeError) as error:
                    self._judge("recipes", "recipe", recipe, error)
        return found

    def put_recipes(self, execute: Execute, pairs: Iterable[tuple[str, str]]) -> None:
        """Write the rows of recipes."""
        signer = self._signer
        execute(_PUT_RECIPE, [(recipe, seal_recipe(signer, recipe, key), signer.mark, key) for recipe, key in pairs])

    # -- rows that do not fit ---------------------------------------------------------------------------------------

    def _judge(self, table: str, column: str, key: str, error: Exception) -> None:
        """Leave a row of another signer alone, it may be good elsewhere; tell of any other, and remove it."""
        rows = self._index.rows(f"SELECT signer FROM {table} WHERE {column} = ?", (key,))  # noqa: S608 - own names
        if rows and _is_mark(rows[0][0]) and rows[0][0] != self._signer.mark:
            self.foreign += 1
            return
        self._forged(key, str(error))
        with suppress(StoreFault):  # where nothing can be written, it is only left out
            self._index.change(lambda execute, _: execute(f"DELETE FROM {table} WHERE {column} = ?", [(key,)]))  # noqa: S608 - own names


def _is_mark(text: object) -> bool:
    return isinstance(text, str) and len(text) == MARK_LENGTH and all(c in "0123456789abcdef" for c in text)
