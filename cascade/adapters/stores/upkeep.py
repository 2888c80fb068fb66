"""Clean-up and verification of a store folder.

In: limits. Out: what was removed, or what is wrong. Invariant: a row goes before its file, and a file goes only while
no transaction can be naming it; so a reader may miss, and never finds half of something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cascade.adapters.stores.blobs import LITTER_AGE, BlobFolder, digest_of
from cascade.adapters.stores.entries import INLINE
from cascade.adapters.stores.file_ops import FileOps, fault_point
from cascade.adapters.stores.history import unpack_text
from cascade.adapters.stores.index import Index
from cascade.adapters.stores.pruning import SHARE, Pruning
from cascade.adapters.stores.sealing import open_entry, open_recipe
from cascade.adapters.stores.signing import Signer
from cascade.interfaces.records import Freed, Problem
from cascade.interfaces.store_errors import SealError, StoreFault

__all__ = ["Upkeep"]

LEAST_FREE: Final = 1000  # pages of the index; below it, making it smaller is not worth the time
STEP: Final = 200  # rows or files in one transaction, so that nobody waits long
_BY_USE: Final = "SELECT key, content, size, made_at, used_at FROM entries ORDER BY used_at, rowid"
_IS_NAMED: Final = "SELECT 1 FROM entries WHERE content = ? AND data IS NULL LIMIT 1"
_REMOVE_UNUSED: Final = "DELETE FROM entries WHERE key = ? AND content = ? AND used_at <= ?"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What `LocalStore.gc`, `check` and `clear` do.

    Args:
        index, blobs, files: the parts of the folder. signer: whose rows are whole.
    """

    index: Index
    blobs: BlobFolder
    files: FileOps
    signer: Signer

    # -- clean-up ---------------------------------------------------------------------------------------------------

    def gc(self, max_bytes: int | None, oldest: float | None, *, dry_run: bool) -> Freed:
        """Remove entries made before `oldest` (seconds since the epoch), then the least recently used ones.

        Runs that no result needs any more, and texts that nothing names, go by the same limits.

        Args:
            max_bytes: that the rest may take, of which history and texts have a quarter at most. dry_run: only count.
        """
        beside = Pruning(self.index, self.files)
        share = None if max_bytes is None else max_bytes // SHARE
        left = None if max_bytes is None or share is None else max_bytes - min(share, beside.size())
        victims, contents, size = self._choose(left, oldest)
        entries = len(victims)
        if not dry_run:
            entries = self._remove_rows(victims)
            fault_point("gc.rows_removed")
            self._remove_files(contents)
            self.index.change(
                lambda execute, _: execute("DELETE FROM recipes WHERE key NOT IN (SELECT key FROM entries)", [()])
            )
        pruned = beside.prune(oldest, share, [key for key, *_ in victims], dry_run=dry_run)
        files, litter = self._sweep(dry_run=dry_run)
        if not dry_run:
            self._shrink()
        size += litter + pruned.size
        return Freed(entries, files + len(contents), size, pruned.runs, pruned.texts, pruned.claims)

    def _shrink(self) -> None:
        """Give back the room in the index that clean-up has left, where it is worth writing the rest anew."""
        ((free,),) = self.index.rows("PRAGMA freelist_count") or [(0,)]
        ((pages,),) = self.index.rows("PRAGMA page_count") or [(0,)]
        if free > LEAST_FREE and free * 2 > pages:
            with suppress(StoreFault):  # others are writing: next time
                self.index.rows("VACUUM")
                self.index.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def _choose(
        self, max_bytes: int | None, oldest: float | None
    ) -> tuple[list[tuple[str, str, float]], list[str], int]:
        """Return the rows to remove (key, content, last use), the files that nobody needs then, and bytes freed."""
        if max_bytes is None and oldest is None:
            return [], [], 0
        rows = self.index.rows(_BY_USE)
        named = Counter(content for _, content, *_ in rows)
        left = sum({content: size for _, content, size, *_ in rows}.values())
        victims: list[tuple[str, str, float]] = []
        contents: list[str] = []
        freed = 0

        def give_up(row: Any) -> None:
            nonlocal left, freed
            key, content, size, _, used_at = row
            victims.append((key, content, used_at))
            named[content] -= 1
            if not named[content]:
                left -= size
                freed += size
                if size >= INLINE:
                    contents.append(content)

        kept = []
        for row in rows:
            if oldest is not None and row[3] < oldest:
                give_up(row)
            else:
                kept.append(row)
        for row in kept:
            if max_bytes is None or left <= max_bytes:
                break
            give_up(row)
        return victims, contents, freed

    def _remove_rows(self, victims: list[tuple[str, str, float]]) -> int:
        removed = 0
        for start in range(0, len(victims), STEP):
            step = victims[start : start + STEP]
            removed += self.index.change(lambda execute, _, step=step: execute(_REMOVE_UNUSED, step))  # type: ignore[misc]
        return removed

    def _remove_files(self, contents: list[str]) -> int:
        """Remove the files of `contents` that no row names; under the write lock, so that none is just being named."""
        removed = 0

        def work(_: Any, connection: Any, step: list[str]) -> None:
            nonlocal removed
            for content in step:
                if connection.execute(_IS_NAMED, (content,)).fetchone() is None:
                    with suppress(OSError, SealError):
                        self.blobs.remove(content)
                        removed += 1
                        fault_point("gc.file_removed")

        for start in range(0, len(contents), STEP):
            step = contents[start : start + STEP]
            self.index.change(lambda execute, connection, step=step: work(execute, connection, step))  # type: ignore[misc]
        return removed

    def _sweep(self, *, dry_run: bool) -> tuple[int, int]:
        """Remove old files that no row names, and temporary files of those who did not end well."""
        named = {content for (content,) in self.index.rows("SELECT DISTINCT content FROM entries")}
        orphans = {
            content: size for content, size, age in self.blobs.contents() if age > LITTER_AGE and content not in named
        }
        litter = dict(self.blobs.litter())
        if not dry_run:
            if orphans:
                self._remove_files(list(orphans))
            for path in litter:
                with suppress(OSError):
                    self.files.unlink(path)
        return len(orphans) + len(litter), sum(orphans.values()) + sum(litter.values())

    def remove(self, key: str, content: str) -> None:
        """Remove a result whose bytes are not what they should be, and all others of the same bytes."""

        def work(execute: Any, _: Any) -> None:
            execute("DELETE FROM entries WHERE key = ? AND content = ?", [(key, content)])
            if self.blobs.path(content).exists():
                execute("DELETE FROM entries WHERE content = ? AND data IS NULL", [(content,)])
                with suppress(OSError):
                    self.blobs.remove(content)

        self.index.change(work)

    def clear(self, task: str | None) -> int:
        """Remove all results, or those of one task, and the recipes and files that nobody needs then."""
        where, values = ("", ()) if task is None else (" WHERE task = ?", (task,))
        contents = [c for (c,) in self.index.rows(f"SELECT DISTINCT content FROM entries{where}", values)]  # noqa: S608 - two fixed texts

        def work(execute: Any, _: Any) -> int:
            removed: int = execute(f"DELETE FROM entries{where}", [values])  # noqa: S608 - two fixed texts
            execute("DELETE FROM recipes WHERE key NOT IN (SELECT key FROM entries)", [()])
            return removed

        removed = self.index.change(work)
        self._remove_files(contents)
        return removed

    def forget(self, keys: list[str]) -> None:
        """Remove the results of `keys`; unknown ones are no fault."""
        rows = [row for key in keys for row in self.index.rows("SELECT content FROM entries WHERE key = ?", (key,))]
        self.index.change(lambda execute, _: execute("DELETE FROM entries WHERE key = ?", [(key,) for key in keys]))
        self._remove_files([content for (content,) in rows])

    # -- verification -----------------------------------------------------------------------------------------------

    def check(self) -> Iterator[Problem]:
        """Go over everything that is not as it was written."""
        for (answer,) in self.index.rows("PRAGMA integrity_check(20)"):
            if answer != "ok":
                yield Problem("index", "", f"the index is damaged: {answer}")
        yield from self._check_entries()
        for recipe, sealed, signer in self.index.rows("SELECT recipe, sealed, signer FROM recipes"):
            try:
                open_recipe(self.signer, recipe, sealed)
            except (ValueError, TypeError) as error:
                yield self._problem(recipe, signer, f"recipe: {error}")
        for digest, text in self.index.rows("SELECT digest, text FROM texts"):
            if unpack_text(digest, text) is None:
                yield Problem("miss", str(digest), "text: its bytes are not those that were stored")

    def _check_entries(self) -> Iterator[Problem]:
        last = -1
        while rows := self.index.rows(
            "SELECT rowid, key, sealed, signer, data FROM entries WHERE rowid > ? ORDER BY rowid LIMIT ?", (last, STEP)
        ):
            for last, key, sealed, signer, data in rows:  # noqa: B007 - the last one is where the next page begins
                try:
                    self._check_entry(key, sealed, data)
                except (ValueError, TypeError, OSError, StoreFault) as error:
                    yield self._problem(str(key), signer, str(error))

    def _check_entry(self, key: str, sealed: bytes, data: Any) -> None:
        entry = open_entry(self.signer, key, sealed)
        if entry.size >= INLINE:
            try:
                self.blobs.read(entry.content, entry.size)
            except (OSError, SealError):
                now = self.index.rows("SELECT sealed FROM entries WHERE key = ?", (key,))
                if now and now[0][0] == sealed:  # it was not replaced or removed while we looked
                    raise
        elif not isinstance(data, bytes) or digest_of([data]) != entry.content:
            raise SealError.for_digest(len(data) if isinstance(data, bytes) else 0, entry.size)

    def _problem(self, key: str, signer: object, words: str) -> Problem:
        if signer != self.signer.mark:
            return Problem("foreign", key, "it was signed with another key")
        return Problem("miss", key, words)
