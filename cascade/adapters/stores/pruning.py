"""Clean-up of what is kept beside results: old runs, texts that nothing names, claims of processes that are gone.

In: limits, and the results that are to stay. Out: what was removed. Invariant: a run that made a result that stays, or
one from which it was handed on, stays with all its rows, and so do the texts that these and the results name; while
some other run goes on no text goes, since it may be about to be named.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cascade.adapters.stores.blobs import LITTER_AGE
from cascade.adapters.stores.claims import claim
from cascade.adapters.stores.file_ops import FileOps, fault_point
from cascade.adapters.stores.history import facts_of, is_alive, unpack_text
from cascade.adapters.stores.index import Index
from cascade.adapters.stores.sealing import origin_of
from cascade.interfaces.records import Freed, StorePart

__all__ = ["Pruning"]

LOST_AFTER: Final = 86_400.0  # seconds: a run of another machine that has not ended by then is taken for lost
SHARE: Final = 4  # of a size limit, the history and its texts may take one part of so many
_ROW: Final = "length(node) + length(task) + length(key) + length(inputs) + length(summary) + length(reason) + 150"
_SIZES: Final = f"SELECT run_id, sum({_ROW}) FROM nodes GROUP BY run_id"  # noqa: S608 - own columns
_MADE: Final = "SELECT DISTINCT reason, items FROM nodes WHERE run_id = ? AND (outcome = 'stored' OR items <> '')"
_TEXTS: Final = "SELECT count(*), ifnull(sum(length(text)), 0) FROM texts"
_DIGEST: Final = re.compile(r"[0-9a-f]{40}")
_MADE_IN: Final = "made in run "
STEP: Final = 500  # rows in one statement


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a clean-up does to everything that is no result.

    Args:
        index: of the store. files: the disk.
    """

    index: Index
    files: FileOps

    def size(self) -> int:
        """Return about how many bytes the history and its texts take."""
        return sum(part.size for part in self.parts())

    def parts(self) -> list[StorePart]:
        """Return what there is beside results."""
        ((runs, facts),) = self.index.rows("SELECT count(*), ifnull(sum(length(facts)), 0) FROM runs") or [(0, 0)]
        ((nodes, rows),) = self.index.rows(f"SELECT count(*), ifnull(sum({_ROW}), 0) FROM nodes") or [(0, 0)]  # noqa: S608 - own columns
        ((texts, size),) = self.index.rows(_TEXTS) or [(0, 0)]
        return [
            StorePart("runs", int(runs), int(facts)),
            StorePart("nodes of runs", int(nodes), int(rows)),
            StorePart("texts of code and output", int(texts), int(size)),
        ]

    def prune(self, oldest: float | None, most: int | None, gone: Iterable[str], *, dry_run: bool) -> Freed:
        """Remove runs that began before `oldest`, then the oldest ones beyond `most` bytes, and what nothing names.

        Args:
            oldest: seconds since the epoch. gone: keys of the results that do not stay. dry_run: only count.
        """
        kept = self._origins(frozenset(gone))
        victims, size = self._choose(oldest, most, {run for run, _ in kept})
        if victims and not dry_run:
            self._remove(victims)
        texts, bytes_of_texts = self._sweep_texts({output for _, output in kept}, victims, dry_run=dry_run)
        claims = self._sweep_claims(dry_run=dry_run)
        return Freed(0, 0, size + bytes_of_texts, len(victims), texts, claims)

    # -- runs -----------------------------------------------------------------------------------------------------

    def _origins(self, gone: frozenset[str]) -> set[tuple[str, str]]:
        """Return for all results that stay the runs that made them, and the names of what they wrote."""
        rows = self.index.rows("SELECT key, sealed FROM entries")
        return {origin_of(sealed) for key, sealed in rows if key not in gone}

    def _choose(self, oldest: float | None, most: int | None, makers: set[str]) -> tuple[list[str], int]:
        """Return the runs to remove, the oldest first, and how many bytes that frees."""
        if oldest is None and most is None:
            return [], 0
        runs = self.index.rows("SELECT run_id, begun_at, ended_at, facts FROM runs ORDER BY begun_at, rowid")
        sizes: dict[str, int] = dict(self.index.rows(_SIZES))
        needed, left = self._follow(makers), self.size()
        victims, freed = [], 0
        for run_id, begun, ended, facts in runs[:-1]:  # the latest stays: it is what people ask about
            if run_id in needed or (ended is None and _goes_on(begun, facts)):
                continue
            is_old = oldest is not None and begun < oldest
            if is_old or (most is not None and left - freed > most):
                victims.append(run_id)
                freed += sizes.get(run_id, 0) + len(str(facts))
        return victims, freed

    def _follow(self, makers: set[str]) -> set[str]:
        """Return `makers` and the runs from which these had values: where a result comes from can be told."""
        needed, stack = set(makers), list(makers)
        while stack:
            for reason, items in self.index.rows(_MADE, (stack.pop(),)):
                for run_id in _named_runs(reason, items):
                    if run_id not in needed:
                        needed.add(run_id)
                        stack.append(run_id)
        return needed

    def _remove(self, victims: list[str]) -> None:
        def work(execute: Any, step: list[tuple[str]]) -> None:
            execute("DELETE FROM nodes WHERE run_id = ?", step)
            execute("DELETE FROM runs WHERE run_id = ?", step)  # its number stays taken

        for start in range(0, len(victims), STEP):
            step = [(run_id,) for run_id in victims[start : start + STEP]]
            self.index.change(lambda execute, _, step=step: work(execute, step))  # type: ignore[misc]
        fault_point("gc.runs_removed")

    # -- texts ----------------------------------------------------------------------------------------------------

    def _sweep_texts(self, outputs: set[str], victims: list[str], *, dry_run: bool) -> tuple[int, int]:
        """Remove the texts that no result and no row names; return how many, and their bytes."""
        going = self.index.rows("SELECT begun_at, facts FROM runs WHERE ended_at IS NULL")
        if any(_goes_on(begun, facts) for begun, facts in going):
            return 0, 0
        sizes: dict[str, int] = dict(self.index.rows("SELECT digest, length(text) FROM texts"))
        named = self._named(outputs, frozenset(victims), sizes)
        garbage = [digest for digest in sizes if digest not in named]
        if garbage and not dry_run:
            for start in range(0, len(garbage), STEP):
                step = [(digest,) for digest in garbage[start : start + STEP]]
                self.index.change(lambda execute, _, step=step: execute("DELETE FROM texts WHERE digest = ?", step))  # type: ignore[misc]
            fault_point("gc.texts_removed")
        return len(garbage), sum(sizes[digest] for digest in garbage)

    def _named(self, outputs: set[str], victims: frozenset[str], known: Mapping[str, int]) -> set[str]:
        """Return the texts that are named: by results, by rows, and by such texts themselves."""
        rows = self.index.rows("SELECT DISTINCT run_id, code, items FROM nodes WHERE code <> '' OR items <> ''")
        stack = set(outputs)
        for run_id, code, items in rows:
            if run_id not in victims:
                stack.add(code)
                stack.update(_DIGEST.findall(str(items)))
        stack &= known.keys()
        named = set(stack)
        while stack:
            digest = stack.pop()
            for (data,) in self.index.rows("SELECT text FROM texts WHERE digest = ?", (digest,)):
                found = set(_DIGEST.findall(unpack_text(digest, data) or "")) & known.keys() - named
                named |= found
                stack |= found
        return named

    # -- claims ---------------------------------------------------------------------------------------------------

    def _sweep_claims(self, *, dry_run: bool) -> int:
        """Remove the lock files that nobody holds: those of processes that were killed."""
        count = 0
        for file in self.files.scan(self.index.path.with_name("locks")):
            with suppress(OSError):  # removed meanwhile
                if time.time() - file.stat(follow_symlinks=False).st_mtime < LITTER_AGE or not file.is_file():
                    continue
                if dry_run:
                    count += 1
                    continue
                held = claim("", self.index.path.with_name("locks") / file.name, 0.0)
                if held is not None:
                    held.release()  # which removes the file
                    count += 1
        return count


def _goes_on(begun: object, facts: object) -> bool:
    """Whether a run that has not ended may still be going on."""
    known = is_alive(facts_of(facts))
    return known if known is not None else isinstance(begun, float) and time.time() - begun < LOST_AFTER


def _named_runs(reason: object, items: object) -> Iterator[str]:
    """Go over the runs that a row says its value, or some items of it, came from."""
    if isinstance(reason, str) and reason.startswith(_MADE_IN):
        yield reason.removeprefix(_MADE_IN)
    with suppress(ValueError, TypeError, KeyError):
        for run_id, _ in json.loads(items)["made"] if isinstance(items, str) and items else ():
            yield str(run_id)
