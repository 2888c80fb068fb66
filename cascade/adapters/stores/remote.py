"""A store over any cache backend: results that several machines share.

In: values by key, recipes. Out: the same, wherever the backend reaches. Invariant: as of the store in a folder: what
the backend holds is believed only where signature and digest fit, and its faults are reports, never errors of the
run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from cascade.adapters.stores.blobs import digest_of
from cascade.adapters.stores.claims import Claim
from cascade.adapters.stores.codecs import Codecs, default_codecs
from cascade.adapters.stores.encoding import encode
from cascade.adapters.stores.history import pack_text, text_digest, unpack_text
from cascade.adapters.stores.remote_history import RemoteHistory
from cascade.adapters.stores.reports import Heard, Reports, Told
from cascade.adapters.stores.sealing import open_entry, open_recipe, seal_entry, seal_recipe
from cascade.adapters.stores.signing import MARK_LENGTH, Signer, default_key_file, read_key
from cascade.interfaces.exceptions import CascadeError
from cascade.interfaces.protocols import CacheBackend
from cascade.interfaces.records import Cost, Draft, Entry, Freed, NodeRow, Problem, RunRow, StoreMiss, StorePart
from cascade.interfaces.store_errors import CodecError, SealError, StoreFault

__all__ = ["BackendStore", "LockClaim"]

T = TypeVar("T")
SMALL: Final = 2048  # bytes of a value that comes with its entry …
MOST_AHEAD: Final = 10_000  # … and how many such values are held
_ENTRY, _VALUE, _RECIPE, _TEXT = "entry/", "value/", "recipe/", "text/"


class LockClaim:
    """A backend's lock as a claim."""

    __slots__ = ("_stack", "key")

    def __init__(self, key: str, stack: ExitStack) -> None:
        """Own the entered lock."""
        self.key = key
        self._stack = stack

    def release(self) -> None:
        """Let others compute it; a second release does nothing."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Hold it for a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()


class BackendStore:
    """Keeps results, and the latest runs, in a `CacheBackend`.

    Machines that share results must share the key file too: copy it, readable for its owner alone.

    Args:
        backend: bytes by key. key_file: of the signing key; None: the user's own.
        on_report: called with (kind, key, problem) for each fault.
        codecs: how values become bytes; None: `default_codecs()`. clock: seconds since the epoch.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from cascade.adapters.caching.memory import MemoryCache
        >>> with TemporaryDirectory() as place:
        ...     store = BackendStore(MemoryCache(), key_file=f"{place}/key")
        ...     store.load(store.save("k", [1, 2]))
        [1, 2]
    """

    def __init__(
        self,
        backend: CacheBackend,
        *,
        key_file: str | os.PathLike[str] | None = None,
        on_report: Told | None = None,
        codecs: Codecs | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Ask nothing yet."""
        self.backend = backend
        self.key_file = Path(key_file) if key_file is not None else default_key_file()
        self.codecs = default_codecs() if codecs is None else codecs
        self._reports = Reports(on_report)
        self._clock = clock
        self._signer: Signer | None = None
        self._history = RemoteHistory(backend)
        self._ahead: dict[str, bytes] = {}  # by content, so that it can be old but never wrong

    # -- results ----------------------------------------------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those of `keys` that are stored and truly signed.

        Small values come with them, in as few round trips, and wait for `load`: a backend may be far away.
        """
        found = self._open(_ENTRY, keys, open_entry)
        self._read_ahead(found.values())
        return found

    def _read_ahead(self, entries: Iterable[Entry]) -> None:
        small = list(dict.fromkeys(entry.content for entry in entries if entry.size <= SMALL))[:MOST_AHEAD]
        if len(small) > 1:
            ask = self.backend.get_many
            ahead = self._ask(lambda: dict(ask([_VALUE + content for content in small])), dict[str, bytes]())
            self._ahead = {name.removeprefix(_VALUE): data for name, data in ahead.items() if len(data) <= SMALL}

    def load(self, entry: Entry) -> Any:
        """Return the value of `entry`, or a `StoreMiss` when it cannot be trusted or read."""
        try:
            data = self._ahead.get(entry.content)
            if data is None:
                data = self._ask(lambda: self.backend.get(_VALUE + entry.content), None)
            if not isinstance(data, bytes) or digest_of([data]) != entry.content:
                raise SealError.for_digest(len(data) if isinstance(data, bytes) else 0, entry.size)
            return self.codecs.decode(entry.codec, memoryview(bytearray(data)))
        except (SealError, CodecError, MemoryError) as error:
            words = str(error)
        if self._reports.can_write:
            self._ask(lambda: self.backend.delete(_ENTRY + entry.key), None)
        self._reports.tell("miss", entry.key, words)
        return StoreMiss(entry.key, words)

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
        """Store `value`; return its entry, or None when it could not be stored, which is reported once."""
        return self.save_many([Draft(key, value, digest, task, summary, run_id, duration, outputs)])[0]

    def save_many(self, drafts: Iterable[Draft]) -> list[Entry | None]:
        """Store several values, their bytes before their entries; None for each that could not be."""
        saved: list[Entry | None] = []
        values: dict[str, bytes] = {}
        entries: dict[str, bytes] = {}
        signer = self._signed()
        for draft in drafts:
            if signer is None or not self._reports.can_write:
                saved.append(None)
                continue
            try:
                made = encode(draft, self.codecs, self._clock())
            except CodecError as error:
                self._reports.tell("unsaved", str(draft.key), str(error), draft.task)
                saved.append(None)
                continue
            values[_VALUE + made.entry.content] = made.join()
            entries[_ENTRY + draft.key] = _marked(signer, seal_entry(signer, made.entry))
            saved.append(made.entry)
        if entries and not self._put(values | entries):
            return [None] * len(saved)
        return saved

    # -- recipes and texts ------------------------------------------------------------------------------------------

    def find_recipes(self, recipes: Sequence[str]) -> dict[str, str]:
        """Return the result key of each recipe key that is known and truly signed."""
        return self._open(_RECIPE, recipes, open_recipe)

    def save_recipes(self, pairs: Mapping[str, str]) -> None:
        """Remember result keys by recipe key."""
        signer = self._signed()
        if signer is not None and pairs:
            sealed = {_RECIPE + r: _marked(signer, seal_recipe(signer, r, key)) for r, key in pairs.items()}
            self._put(sealed)

    def put_text(self, text: str) -> str:
        """Keep a text once; return its digest, also where it could not be kept."""
        digest = text_digest(text)
        self._put({_TEXT + digest: pack_text(text)})
        return digest

    def get_text(self, digest: str) -> str | None:
        """Return the text of a digest; None when it is not there or not whole."""
        return unpack_text(digest, self._ask(lambda: self.backend.get(_TEXT + digest), None))

    # -- history ----------------------------------------------------------------------------------------------------

    def begin_run(self, run_id: str, facts: Mapping[str, object]) -> None:
        """Note that a run begins. Storing that was switched off by a fault is tried again."""
        self._reports.switch_on()
        self._note(lambda: self._history.begin_run(run_id, facts, self._clock()))

    def end_run(self, run_id: str, facts: Mapping[str, object]) -> None:
        """Note that it has ended."""
        self._note(lambda: self._history.end_run(run_id, facts, self._clock()))

    def record_nodes(self, run_id: str, rows: Iterable[NodeRow]) -> None:
        """Note what happened to nodes."""
        self._note(lambda: self._history.record_nodes(run_id, rows))

    def runs(self, limit: int | None = None) -> list[RunRow]:
        """Return the runs of all machines, the latest first; the 500 latest are known."""
        return self._ask(lambda: self._history.runs(limit), [])

    def nodes(self, run_id: str) -> list[NodeRow]:
        """Return what happened to the nodes of a run."""
        return self._ask(lambda: self._history.nodes(run_id), [])

    def find_runs(self, word: str) -> list[RunRow]:
        """Return the run of that id, or number; else those whose ids begin so, the latest first."""
        return self._ask(lambda: self._history.find_runs(word), [])

    def run_numbers(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return the numbers of those runs that have one: all, where the backend can count."""
        if not self._reports.can_write:  # a server that is away would be asked again and again
            return {}
        return self._ask(lambda: self._history.run_numbers(run_ids), {})

    def latest(self, task_or_node: str, before: str | None = None) -> NodeRow | None:
        """Return the last row of a node (or task) of that name, of the latest runs."""
        return self._ask(lambda: self._history.latest(task_or_node, before), None)

    def durations(self) -> dict[str, tuple[float, int, int]]:
        """Return for each task that ran lately: mean seconds, of how many nodes, and their largest value in bytes."""
        return self._ask(self._history.durations, {})

    def costs(self, tasks: Iterable[str]) -> dict[str, Cost]:
        """Return what those of `tasks` that ran have cost lately."""
        return self._ask(lambda: self._history.costs(tasks), {})

    def _note(self, work: Callable[[], object]) -> None:
        if self._reports.can_write:
            self._ask(work, None)

    # -- single flight ------------------------------------------------------------------------------------------------

    def claim(self, key: str, timeout: float) -> LockClaim | Claim | None:
        """Wait up to `timeout` seconds for the right to compute `key`; None when another has it still.

        A backend without ``lock`` gives it to everybody.
        """
        lock = getattr(self.backend, "lock", None)
        if lock is None:
            return Claim(key, None, -1)
        stack = ExitStack()
        try:
            is_held = stack.enter_context(lock(key, timeout))
        except Exception as error:  # noqa: BLE001 - a backend may raise anything
            if self._reports.can_write:  # else it is told already that the backend does not do its work
                self._reports.tell_once("lock", f"the backend cannot lock ({error}); values may be computed twice.")
            return Claim(key, None, -1)
        if is_held is False:
            stack.close()
            return None
        return LockClaim(key, stack)

    # -- secrets ----------------------------------------------------------------------------------------------------

    def secret(self) -> bytes:
        """Return what makes the keys of secrets: the same wherever the key file is."""
        signer = self._signed()
        return os.urandom(32) if signer is None else signer.secret

    def listen(self, told: Heard) -> Callable[[], None]:
        """Have `told` hear each fault, as (kind, key, problem, task), until the returned function is called."""
        return self._reports.listen(told)

    # -- upkeep -----------------------------------------------------------------------------------------------------

    def gc(self, max_bytes: int | None = None, max_age: float | None = None, *, dry_run: bool = False) -> Freed:
        """Remove what is older than `max_age` seconds, then the oldest beyond `max_bytes`, and values of no entry.

        A backend does not know what was used last. Clean up while no run stores: a value that is being written has no
        entry yet.
        """
        entries = self.ls()
        now, left = self._clock(), sum({e.content: e.size for e in entries}.values())
        named: dict[str, list[Entry]] = {}
        for entry in entries:
            named.setdefault(entry.content, []).append(entry)
        victims: list[Entry] = []
        for entry in reversed(entries):
            is_old = max_age is not None and now - entry.made_at > max_age
            if is_old or (max_bytes is not None and left > max_bytes):
                victims.append(entry)
                named[entry.content].remove(entry)
                left -= 0 if named[entry.content] else entry.size
        kept = {_VALUE + content for content, owners in named.items() if owners}
        orphans = [key for key in self._keys() if key.startswith(_VALUE) and key not in kept]
        freed = sum({e.content: e.size for e in entries if _VALUE + e.content in orphans}.values())
        runs = [run.run_id for run in self.runs() if max_age is not None and now - run.begun_at > max_age]
        if not dry_run:
            self._delete([_ENTRY + entry.key for entry in victims] + orphans)
            self._note(lambda: self._history.forget(runs))
        return Freed(len(victims), len(orphans), freed, len(runs))

    def check(self) -> list[Problem]:
        """Read and verify everything; return what is wrong, change nothing."""
        signer = self._signed()
        if signer is None:
            return [Problem("off", "", self._reports.off or "the store is off")]
        problems: list[Problem] = []
        for name in self._keys():
            kind, _, key = name.partition("/")
            data = self._ask(lambda name=name: self.backend.get(name), None)  # type: ignore[misc]
            try:
                if kind == "entry":
                    self._check_value(open_entry(signer, key, _unmarked(signer, data)))
                elif kind == "recipe":
                    open_recipe(signer, key, _unmarked(signer, data))
                elif kind == "text" and unpack_text(key, data) is None:
                    raise SealError.for_form("text: its bytes are not those that were stored")
            except _ForeignError:
                problems.append(Problem("foreign", key, "it was signed with another key"))
            except (ValueError, TypeError) as error:
                problems.append(Problem("miss", key, str(error)))
        return problems

    def size(self) -> int:
        """Return the bytes of all stored values, each content once."""
        return sum({entry.content: entry.size for entry in self.ls()}.values())

    def parts(self) -> list[StorePart]:
        """Return what the results take, and how many runs are known; of the rest a backend does not know."""
        return [StorePart("results", len(self.ls()), self.size()), StorePart("runs", len(self.runs()), 0)]

    def clear(self, task: str | None = None) -> int:
        """Forget all results, or those of one task; return how many."""
        entries = self.ls()
        victims = [entry for entry in entries if task is None or entry.task == task]
        kept = {entry.content for entry in entries if entry not in victims}
        self._delete([_ENTRY + e.key for e in victims] + [_VALUE + e.content for e in victims if e.content not in kept])
        return len(victims)

    def ls(self, task: str | None = None) -> list[Entry]:
        """Return the entries, the latest first."""
        keys = [key.removeprefix(_ENTRY) for key in self._keys() if key.startswith(_ENTRY)]
        found = [entry for entry in self._open(_ENTRY, keys, open_entry).values() if task is None or entry.task == task]
        return sorted(found, key=lambda entry: entry.made_at, reverse=True)

    def close(self) -> None:
        """Close the backend, if it can be."""
        end = getattr(self.backend, "close", None)
        if end is not None:
            self._ask(end, None)

    @property
    def off(self) -> str | None:
        """Why nothing is stored at the moment, None if all is well."""
        return self._reports.off

    def __repr__(self) -> str:
        """Show the backend."""
        return f"<store in {self.backend!r}>"

    # -- inside -----------------------------------------------------------------------------------------------------

    def _signed(self) -> Signer | None:
        """Return the signer; none, after one report, where there is no key to trust."""
        if self._signer is None:
            try:
                self._signer = Signer(read_key(self.key_file))
            except StoreFault as fault:
                self._reports.tell_once("key", str(fault))
        return self._signer

    def _open(self, prefix: str, keys: Sequence[str], opener: Callable[[Signer, str, bytes], T]) -> dict[str, T]:
        """Return what was sealed for those of `keys` that are there and truly signed; remove what was forged."""
        signer = self._signed()
        if signer is None or not keys:
            return {}
        found: dict[str, T] = {}
        data = self._ask(lambda: dict(self.backend.get_many([prefix + key for key in keys])), dict[str, bytes]())
        for key in keys:
            if prefix + key not in data:
                continue
            try:
                found[key] = opener(signer, key, _unmarked(signer, data[prefix + key]))
            except _ForeignError:
                self._reports.tell_once("foreign", "Results were signed with another key; they are not used.")
            except (ValueError, TypeError) as error:
                self._reports.tell("miss", key, str(error))
                self._delete([prefix + key])
        return found

    def _check_value(self, entry: Entry) -> None:
        data = self._ask(lambda: self.backend.get(_VALUE + entry.content), None)
        if data is None or digest_of([data]) != entry.content:
            raise SealError.for_digest(len(data or b""), entry.size)

    def _keys(self) -> list[str]:
        return self._ask(lambda: list(self.backend.keys()), [])

    def _put(self, items: dict[str, bytes]) -> bool:
        """Put and say whether that went well."""

        def put() -> bool:
            self.backend.put_many(items)
            return True

        return self._reports.can_write and self._ask(put, otherwise=False)

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            if not self._reports.can_write:
                return
            self._ask(lambda key=key: self.backend.delete(key), None)  # type: ignore[misc]

    def _ask(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what `work` returns; after a fault of the backend, tell once and return `otherwise`."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - a backend may raise anything
            is_ours = isinstance(error, CascadeError)  # then it says what happened, where, and what to do
            told = f"{error}" if is_ours else f"The backend {self.backend!r} failed: {type(error).__name__}: {error}"
            self._reports.switch_off(f"{told} Until then, results are not remembered; runs go on.")
            return otherwise


class _ForeignError(Exception):
    """Signed by another key."""


def _marked(signer: Signer, sealed: bytes) -> bytes:
    return signer.mark.encode() + sealed


def _unmarked(signer: Signer, data: object) -> bytes:
    """Return what was sealed, without the mark of the signer in front."""
    if not isinstance(data, bytes):
        raise SealError.for_form("it is no entry")
    mark = data[:MARK_LENGTH]
    if mark != signer.mark.encode():
        if len(mark) == MARK_LENGTH and not mark.strip(b"0123456789abcdef"):
            raise _ForeignError
        raise SealError.for_signature()
    return data[MARK_LENGTH:]
