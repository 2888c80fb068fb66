"""The store in a folder: an SQLite index, small values in it, large ones in files beside it.

In: values by key, recipes, the history of runs. Out: the same in any later run, process or kernel. Invariant: a fault
of the disk, a stranger's file or a value that cannot be stored costs a computation and makes a report; it is never an
error of the run and never a wrong value.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from cascade.adapters.stores.blobs import BlobFolder, digest_of
from cascade.adapters.stores.claims import Claim, claim
from cascade.adapters.stores.codecs import Codecs, default_codecs
from cascade.adapters.stores.encoding import Encoded
from cascade.adapters.stores.entries import INLINE, Entries
from cascade.adapters.stores.file_ops import FileOps
from cascade.adapters.stores.history import History
from cascade.adapters.stores.index import Index
from cascade.adapters.stores.pruning import Pruning
from cascade.adapters.stores.reports import Heard, Reports, Told
from cascade.adapters.stores.signing import Signer, default_key_file, read_key
from cascade.adapters.stores.upkeep import Upkeep
from cascade.adapters.stores.writing import write_all
from cascade.interfaces.records import Cost, Draft, Entry, Freed, NodeRow, Problem, RunRow, StoreMiss, StorePart
from cascade.interfaces.store_errors import CodecError, SealError, StoreError, StoreFault

__all__ = ["LocalStore"]

T = TypeVar("T")
MOST_USED: Final = 20_000  # keys whose last use is remembered before it is written
LOOKS: Final = 3  # at bytes that do not fit their entry, before it is removed
GROWTH: Final = 0.1  # share of max_bytes that is stored before the limit is looked at again


class LocalStore:
    """Keeps results in a folder that several processes and threads may use at once.

    Args:
        folder: made when the first result is stored.
        max_bytes: of all values together; beyond it, the least recently used go. None: no limit.
        max_age: seconds; older results go. None: no limit.
        key_file: of the signing key, outside of `folder`; None: the user's own.
        on_report: called with (kind, key, problem) for each fault, from the thread that met it.
        codecs: how values become bytes; None: `default_codecs()`.
        fsync: wait for the disk with each large value, for folders that must survive a loss of power.
        files: the disk, for tests. clock: seconds since the epoch.

    Raises:
        StoreError: when a limit is no number, or the key file lies in the folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place, LocalStore(f"{place}/s", key_file=f"{place}/key") as store:
        ...     entry = store.save("k", (1, None), task="fit")
        ...     store.load(store.find(["k", "unknown"])["k"]), entry.codec
        ((1, None), 'pickle')
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = ".cascade",
        *,
        max_bytes: int | None = None,
        max_age: float | None = None,
        key_file: str | os.PathLike[str] | None = None,
        on_report: Told | None = None,
        codecs: Codecs | None = None,
        fsync: bool = False,
        files: FileOps | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Touch nothing yet."""
        self.folder = Path(folder).absolute()
        self.max_bytes, self.max_age = _check_limit("max_bytes", max_bytes), _check_limit("max_age", max_age)
        self.key_file = Path(key_file).absolute() if key_file is not None else default_key_file()
        if self.key_file.resolve().is_relative_to(self.folder.resolve()):
            raise StoreError.for_key_in_folder(self.key_file, self.folder)
        self.codecs = default_codecs() if codecs is None else codecs
        self._reports = Reports(on_report)
        self._files = FileOps() if files is None else files
        self._clock = clock
        self._lock = threading.Lock()
        self._blobs = BlobFolder(self.folder, self._files, fsync=fsync)
        self._index = Index(
            self.folder / "index.db", self._files, self._make_folder, lambda text: self._reports.tell("index", "", text)
        )
        self._history = History(self._index)
        self._parts: tuple[Entries, Upkeep] | None = None
        self._used: dict[str, float] = {}
        self._grown = 0

    # -- results ----------------------------------------------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those of `keys` that are stored and truly signed; reads no values."""
        entries, _ = self._opened()
        if entries is None or not keys:
            return {}
        met = entries.foreign
        found = self._reading(lambda: entries.find(_writable(keys)), dict[str, Entry]())
        if entries.foreign > met:
            self._reports.tell_once(
                "foreign", f"Results in {self.folder} were signed with another key; they are not used."
            )
        if found:
            self._note_use(found)
        return found

    def load(self, entry: Entry) -> Any:
        """Return the value of `entry`, or a `StoreMiss` when it cannot be trusted or read.

        Args:
            entry: from `find`, `save` or `ls` of a store; one that was made up is a miss.
        """
        entries, upkeep = self._opened()
        if entries is None or upkeep is None:
            return StoreMiss(entry.key, "the store is off")
        try:
            return self.codecs.decode(entry.codec, self._bytes_of(entry, entries))
        except (OSError, SealError, CodecError, MemoryError) as error:
            return self._miss(entry, entries, upkeep, error)
        except StoreFault as fault:
            self._reports.switch_off(str(fault))
            return StoreMiss(entry.key, str(fault))

    def save(
        self,
        key: str,
        value: object,
        *,
        digest: str | None = None,
        task: str = "",
        summary: str = "",
        run_id: str = "",
        duration: float = 0.0,
        outputs: str = "",
    ) -> Entry | None:
        """Store `value`; return its entry, or None when it could not be stored, which is reported once.

        Args:
            digest: of the value; None: that of the stored bytes. The others are those of `Draft`.
        """
        return self.save_many([Draft(key, value, digest, task, summary, run_id, duration, outputs)])[0]

    def save_many(self, drafts: Iterable[Draft]) -> list[Entry | None]:
        """Store several values in one transaction; None for each that could not be, which is reported."""
        drafts = list(drafts)
        entries, _ = self._opened()
        if entries is None or not self._reports.can_write:
            return [None] * len(drafts)
        used = self._take_used()

        def put(whole: list[Encoded]) -> None:
            self._index.change(lambda execute, _: self._put(execute, entries, whole, used))

        saved = write_all(drafts, self.codecs, self._blobs, self._reports, self._clock(), put, self.max_bytes)
        self._grown += sum(entry.size for entry in saved if entry is not None)
        if self.max_bytes is not None and self._grown > self.max_bytes * GROWTH:
            self.gc(self.max_bytes, self.max_age)
        return saved

    def forget(self, keys: Iterable[str]) -> None:
        """Remove the results of `keys`; unknown ones are no fault."""
        _, upkeep = self._opened()
        if upkeep is not None:
            self._writing(lambda: upkeep.forget(list(_writable(list(keys)))), None)

    # -- recipes ----------------------------------------------------------------------------------------------------

    def find_recipes(self, recipes: Sequence[str]) -> dict[str, str]:
        """Return the result key of each recipe key that is known and truly signed."""
        entries, _ = self._opened()
        if entries is None:
            return {}
        return self._reading(lambda: entries.find_recipes(_writable(recipes)), {})

    def save_recipes(self, pairs: Mapping[str, str]) -> None:
        """Remember result keys by recipe key."""
        entries, _ = self._opened()
        if entries is not None and pairs:
            self._writing(
                lambda: self._index.change(lambda execute, _: entries.put_recipes(execute, pairs.items())), None
            )

    # -- history ----------------------------------------------------------------------------------------------------

    def begin_run(self, run_id: str, facts: Mapping[str, object]) -> None:
        """Note that a run begins; a store that a fault had switched off tries again."""
        self._reports.switch_on()
        self._writing(lambda: self._history.begin_run(run_id, facts, self._clock()), None)

    def end_run(self, run_id: str, facts: Mapping[str, object]) -> None:
        """Note that a run has ended, and what it used; keep the limits."""
        self._write_used()
        self._writing(lambda: self._history.end_run(run_id, facts, self._clock()), None)
        if self.max_bytes is not None or self.max_age is not None:
            self.gc(self.max_bytes, self.max_age)

    def record_nodes(self, run_id: str, rows: Iterable[NodeRow]) -> None:
        """Note what happened to nodes; a second row of a node replaces the first."""
        self._writing(lambda: self._history.record_nodes(run_id, rows), None)

    def runs(self, limit: int | None = None) -> list[RunRow]:
        """Return the runs, the latest first."""
        return self._reading(lambda: self._history.runs(limit), [])

    def nodes(self, run_id: str) -> list[NodeRow]:
        """Return what happened to the nodes of a run, in the order in which it was recorded."""
        return self._reading(lambda: self._history.nodes(run_id), [])

    def find_runs(self, word: str) -> list[RunRow]:
        """Return the run of that id, or number; else those whose ids begin so, the latest first."""
        return self._reading(lambda: self._history.find_runs(word), [])

    def run_numbers(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return the numbers of those runs that have one: 1 for the first run of this store, and so on."""
        return self._reading(lambda: self._history.run_numbers(run_ids), {})

    def latest(self, task_or_node: str, before: str | None = None) -> NodeRow | None:
        """Return the last row of a node (or task) of that name, of runs that began before the run `before`."""
        return self._reading(lambda: self._history.latest(task_or_node, before), None)

    def durations(self) -> dict[str, tuple[float, int, int]]:
        """Return for each task that ran: mean seconds, of how many nodes, and their largest value in bytes.

        Only the last 100 nodes of each task are looked at.
        """
        return self._reading(self._history.durations, {})

    def costs(self, tasks: Iterable[str]) -> dict[str, Cost]:
        """Return what those of `tasks` that ran have cost lately."""
        return self._reading(lambda: self._history.costs(tasks), {})

    def put_text(self, text: str) -> str:
        """Keep a text once; return its digest, also where it could not be kept."""
        from cascade.adapters.stores.history import text_digest

        return self._writing(lambda: self._history.put_text(text), None) or text_digest(text)

    def get_text(self, digest: str) -> str | None:
        """Return the text of a digest; None when it is not there or not whole."""
        return self._reading(lambda: self._history.get_text(digest), None)

    # -- single flight ------------------------------------------------------------------------------------------------

    def claim(self, key: str, timeout: float) -> Claim | None:
        """Wait up to `timeout` seconds for the right to compute `key`; None when another has it still.

        Where the folder cannot lock files the claim is given all the same, with one report: a value may then be
        computed twice, which costs time and nothing else.
        """
        folder = self.folder / "locks"
        try:
            self._make_folder()
            self._files.mkdir(folder)
            return claim(key, folder / digest_of([key.encode("utf-8", "surrogatepass")]), timeout)
        except (OSError, StoreFault) as error:
            self._reports.tell_once("lock", f"{folder} cannot lock files ({error}); values may be computed twice.")
            return Claim(key, None, -1)

    # -- upkeep -----------------------------------------------------------------------------------------------------

    def gc(self, max_bytes: int | None = None, max_age: float | None = None, *, dry_run: bool = False) -> Freed:
        """Remove what is older than `max_age` seconds, then the least recently used beyond `max_bytes`.

        Runs that made nothing that is kept go by the same limits; files and claims that nobody needs and that are
        older than an hour, and texts that nothing names, go in any case.

        Raises:
            StoreError: when a limit is no number.
        """
        _check_limit("max_bytes", max_bytes), _check_limit("max_age", max_age)
        _, upkeep = self._opened()
        if upkeep is None:
            return Freed()
        self._write_used()
        self._grown = 0
        oldest = None if max_age is None else self._clock() - max_age
        do = self._reading if dry_run else self._writing
        return do(lambda: upkeep.gc(max_bytes, oldest, dry_run=dry_run), Freed())

    def check(self) -> list[Problem]:
        """Read and verify everything; return what is wrong, change nothing."""
        _, upkeep = self._opened()
        if upkeep is None:
            return [Problem("off", "", self._reports.off or "the store is off")]
        return self._reading(lambda: list(upkeep.check()), [Problem("off", "", "the index cannot be read")])

    def size(self) -> int:
        """Return the bytes of all stored values, each content once."""
        wanted = "SELECT sum(size) FROM (SELECT max(size) AS size FROM entries GROUP BY content)"
        rows = self._reading(lambda: self._index.rows(wanted), list[Any]())
        return int(rows[0][0] or 0) if rows else 0

    def parts(self) -> list[StorePart]:
        """Return what each part of the store takes: results, runs, texts, and the files on the disk."""
        return self._reading(self._list_parts, [])

    def _list_parts(self) -> list[StorePart]:
        ((count,),) = self._index.rows("SELECT count(*) FROM entries") or [(0,)]
        found = [StorePart("results", int(count), self.size()), *Pruning(self._index, self._files).parts()]
        sizes = [self._files.size(self._index.path.with_name(f"index.db{end}")) for end in ("", "-wal")]
        blobs = [size for _, size, _ in self._blobs.contents()]
        whole = sum(size or 0 for size in sizes)
        return [*found, StorePart("index on disk", int(whole > 0), whole), StorePart("files", len(blobs), sum(blobs))]

    def clear(self, task: str | None = None) -> int:
        """Forget all results, or those of one task; return how many. The history stays."""
        _, upkeep = self._opened()
        return 0 if upkeep is None else self._writing(lambda: upkeep.clear(task), 0)

    def ls(self, task: str | None = None) -> list[Entry]:
        """Return the entries, the latest first."""
        entries, _ = self._opened()
        return [] if entries is None else self._reading(lambda: entries.all(task), [])

    def close(self) -> None:
        """Write what was last used and let go of files; closing twice is fine, and using it again opens it again."""
        self._write_used()
        self._index.close()

    def secret(self) -> bytes:
        """Return what makes the keys of secrets: made of the signing key, so that the folder alone tells nothing."""
        try:
            return Signer(read_key(self.key_file)).secret
        except StoreFault:
            return os.urandom(32)

    def listen(self, told: Heard) -> Callable[[], None]:
        """Have `told` hear each fault, as (kind, key, problem, task), until the returned function is called."""
        return self._reports.listen(told)

    @property
    def off(self) -> str | None:
        """Why nothing is stored at the moment, None if all is well."""
        return self._reports.off

    def __enter__(self) -> Self:
        """Be open for the time of a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Show the folder."""
        return f"<store in {str(self.folder)!r}>"

    # -- inside -----------------------------------------------------------------------------------------------------

    def _opened(self) -> tuple[Entries, Upkeep] | tuple[None, None]:
        """Return the parts that need the key; none, after one report, where there is no key to trust."""
        if self._parts is not None:
            return self._parts
        with self._lock:
            if self._parts is None:
                try:
                    signer = Signer(read_key(self.key_file))
                except StoreFault as fault:
                    self._reports.tell_once("key", str(fault))
                    return None, None
                entries = Entries(self._index, signer, lambda key, words: self._reports.tell("miss", key, words))
                self._parts = entries, Upkeep(self._index, self._blobs, self._files, signer)
            return self._parts

    def _make_folder(self) -> None:
        try:
            self._files.mkdir(self.folder)
        except FileExistsError:
            raise StoreFault.for_no_folder(self.folder) from None
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            with suppress(FileExistsError), self._files.open(ignore) as file:
                self._files.write(file, memoryview(b"*\n"))

    def _bytes_of(self, entry: Entry, entries: Entries) -> memoryview:
        """Return the bytes; look again where they may just have been removed and stored anew by others."""
        for _ in range(LOOKS - 1):
            with suppress(OSError, SealError):
                return self._read(entry, entries)
            if entries.find([entry.key]).get(entry.key, entry).content != entry.content:
                break
        return self._read(entry, entries)

    def _read(self, entry: Entry, entries: Entries) -> memoryview:
        if entry.size >= INLINE:
            return self._blobs.read(entry.content, entry.size)
        data = entries.inline(entry.key)
        if not isinstance(data, bytes) or digest_of([data]) != entry.content:
            raise SealError.for_digest(len(data) if isinstance(data, bytes) else 0, entry.size)
        return memoryview(bytearray(data))

    def _miss(self, entry: Entry, entries: Entries, upkeep: Upkeep, error: Exception) -> StoreMiss:
        """Tell why an entry has no value; remove its row, unless another value took its place meanwhile."""
        now = self._reading(lambda: entries.find([entry.key]), dict[str, Entry]()).get(entry.key)
        if now is not None and now.content == entry.content:
            if not isinstance(error, MemoryError):
                self._writing(lambda: upkeep.remove(entry.key, entry.content), None)
            words = str(error)
        else:
            words = "it was removed meanwhile" if now is None else "it was replaced meanwhile"
        self._reports.tell("miss", entry.key, words)
        return StoreMiss(entry.key, words)

    def _put(self, execute: Any, entries: Entries, whole: list[Encoded], used: dict[str, float]) -> None:
        """Write rows, in a transaction; a file that a clean-up has taken meanwhile is written again before."""
        entries.use(execute, used)
        rows: list[tuple[Entry, bytes | None]] = []
        for each in whole:
            entry = each.entry
            if entry.size >= INLINE and not self._blobs.exists(entry.content, entry.size):
                self._blobs.write(entry.content, each.parts)
            rows.append((entry, each.join() if entry.size < INLINE else None))
        entries.put(execute, rows)

    def _note_use(self, found: Iterable[str]) -> None:
        now = self._clock()
        with self._lock:
            self._used.update(dict.fromkeys(found, now))
        if len(self._used) > MOST_USED:
            self._write_used()

    def _take_used(self) -> dict[str, float]:
        with self._lock:
            used, self._used = self._used, {}
        return used

    def _write_used(self) -> None:
        used = self._take_used()
        parts = self._parts
        if used and parts is not None:
            self._writing(lambda: self._index.change(lambda execute, _: parts[0].use(execute, used)), None)

    def _reading(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what `work` returns; after a fault, tell and return `otherwise`."""
        try:
            return work()
        except StoreFault as fault:
            self._reports.switch_off(str(fault))
        except OSError as error:
            self._reports.switch_off(str(StoreFault.for_failure(self.folder, error)))
        return otherwise

    def _writing(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what `work` returns; with a store that is off, or after a fault, `otherwise`."""
        return self._reading(work, otherwise) if self._reports.can_write else otherwise


def _writable(keys: Sequence[str]) -> Sequence[str]:
    """Return the keys that can be in a store: not those with halves of characters."""
    try:
        "".join(keys).encode()
    except UnicodeEncodeError:
        return [key for key in keys if key.encode("utf-8", "replace").decode() == key]
    return keys


def _check_limit(name: str, given: Any) -> Any:
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if given is not None and not (is_number and given >= 0):
        raise StoreError.for_limit(name, given)
    return given
