"""The state of runs in Redis: read it from another machine while the run goes on.

In: values, reasons and facts, from any thread. Out: the same, here or elsewhere, 50 ms later at most. Invariant: a
value is a copy made when it is put, signed, and unpickled only where the signature fits; what belongs together is
written in one transaction; nothing stays for longer than its time to live after the run's last word.
"""

from __future__ import annotations

import json
import pickle
import threading
import time
import weakref
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cascade.adapters.caching.redis_errors import RedisError
from cascade.adapters.caching.redis_link import TIMEOUT, RedisLink
from cascade.adapters.state.errors import StateError
from cascade.adapters.state.facts import read_fact, write_fact
from cascade.adapters.state.redis_writer import KINDS, Change, Kind, RedisWriter, index_of, name_of
from cascade.adapters.state.values import pickle_value
from cascade.adapters.state.written import WrittenState
from cascade.adapters.stores.signing import MAC_BYTES, MARK_LENGTH, Signer, default_key_file, read_key
from cascade.interfaces.store_errors import StoreFault

if TYPE_CHECKING:
    import os

__all__ = ["RedisStateBackend"]

TTL: Final = 7 * 86400.0  # seconds
LARGEST: Final = 16 << 20  # bytes of one value


class RedisStateBackend(WrittenState[RedisWriter]):
    """Keeps what runs know in a Redis server, many runs side by side.

    Whoever reads values on another machine needs a copy of the key file; names, skips and facts can be read without.

    Args:
        url: as redis-py takes it: ``redis://host:6379/0``, ``rediss://…`` for TLS, ``unix://…``.
        run_id: the run to write or read; None: the run that begins first, and to look at `runs` only.
        prefix: of all keys, so that several projects can share a server.
        ttl: seconds after the last change until a run is forgotten; None: it stays.
        largest: bytes of one value; a larger one is not kept, see `unkept`.
        read_only: write nothing. timeout: seconds for each answer. key_file: of the signing key; None: the user's own.

    Raises:
        RedisAddressError: when redis-py is not installed, or `url` is no address. Nothing is asked of the server yet.
        StateError: when ttl or largest is not a number above 0.

    Example:
        >>> RedisStateBackend("redis://:hush@localhost:6379/0", "r1")
        <state of run 'r1' at redis://:***@localhost:6379/0>
    """

    __slots__ = (
        "__weakref__", "_begun", "_link", "_lock", "_signer", "key_file", "largest", "prefix", "read_only", "run_id",
        "ttl",
    )  # fmt: skip

    def __init__(
        self,
        url: str,
        run_id: str | None = None,
        *,
        prefix: str = "cascade:",
        ttl: float | None = TTL,
        largest: int = LARGEST,
        read_only: bool = False,
        timeout: float = TIMEOUT,
        key_file: str | os.PathLike[str] | None = None,
    ) -> None:
        """Connect at the first use: a server that is away is told by the run, and costs it nothing."""
        self.ttl = None if ttl is None else _above_zero("ttl", ttl)
        self.largest = int(_above_zero("largest", largest))
        self.run_id = run_id
        self.prefix = prefix
        self.read_only = read_only
        self.key_file = Path(key_file) if key_file is not None else default_key_file()
        self._begun = ""
        self._signer: Signer | None = None
        self._lock = threading.Lock()
        self._link = RedisLink(url, "State in Redis", timeout)
        self._writer = RedisWriter(self._link, prefix, self.ttl)
        self._finalizer = weakref.finalize(self, _let_go, self._writer, self._link)

    def begin_run(self, run_id: str) -> None:
        """Belong to the run `run_id` from now on; other runs stay.

        Raises:
            StateError: when the server has said no already, or nothing may be written.
        """
        if run_id != self.run_id and self._begun:
            self._writer.flush()  # its end belongs to the run before
        self.run_id = run_id
        self._begin()

    # -- values ---------------------------------------------------------------------------------------------------

    def put_result(self, node: str, value: object) -> None:
        """Keep a copy of the value of `node`; one that cannot be pickled, or is too large, is noted, see `unkept`.

        Raises:
            StateError: when the server has said no.
        """
        run_id = self._begin()
        data, problem = self._seal(run_id, node, value)
        field = _to_bytes(node)
        note = json.dumps([time.time_ns(), problem]).encode()
        self._writer.put(
            Change(run_id, "values", {field: data}),
            Change(run_id, "nodes", {field: note}),
            size=len(data),
        )

    def get_result(self, node: str) -> Any:
        """Return the value of `node`, decoded now.

        Raises:
            KeyError: when it has none.
            StateError: when its value could not be kept, is damaged, was signed with another key, or no answer comes.
        """
        run_id, field = self._known_run(), _to_bytes(node)
        values, nodes = self._name(run_id, "values"), self._name(run_id, "nodes")
        data, note = self._ask_all(lambda pipe: [pipe.hget(values, field), pipe.hget(nodes, field)])
        if note is None:
            raise KeyError(node)
        problem = _read_note(note)[1]
        if problem is not None:
            raise StateError.for_unkept_value(node, problem)
        return self._open(run_id, node, data or b"")

    def has_result(self, node: str) -> bool:
        """Say whether the value of `node` is kept; decodes nothing."""
        note = self._ask("hget", "nodes", _to_bytes(node))
        return note is not None and _read_note(note)[1] is None

    def results(self) -> list[str]:
        """Return the nodes whose values are kept, in the order in which they got them."""
        return [node for node, (_, problem) in self._notes("nodes") if problem is None]

    def unkept(self) -> dict[str, str]:
        """Return the nodes whose values could not be kept, and why."""
        return {node: problem for node, (_, problem) in self._notes("nodes") if problem is not None}

    def counts(self) -> tuple[int, int]:
        """Return how many nodes have a value, kept or not, and how many were skipped: how far it is."""
        run_id = self._known_run()
        names = [self._name(run_id, "nodes"), self._name(run_id, "skips")]
        done, skipped = self._ask_all(lambda pipe: [pipe.hlen(name) for name in names])
        return done, skipped

    # -- skips and facts --------------------------------------------------------------------------------------------

    def mark_skipped(self, node: str, reason: str) -> None:
        """Note that `node` will not run, and why."""
        note = json.dumps([time.time_ns(), reason]).encode()
        self._writer.put(Change(self._begin(), "skips", {_to_bytes(node): note}))

    def get_skip_reason(self, node: str) -> str | None:
        """Return why `node` was skipped, None if it was not."""
        note = self._ask("hget", "skips", _to_bytes(node))
        return None if note is None else _read_note(note)[1] or ""

    def skips(self) -> dict[str, str]:
        """Return the reasons of all skipped nodes."""
        return {node: reason or "" for node, (_, reason) in self._notes("skips")}

    def put_metadata(self, key: str, value: object) -> None:
        """Keep a fact about the run.

        Raises:
            StateError: when it is not made of text, numbers, booleans, None, lists and dicts.
        """
        fact = write_fact(key, value).encode()
        self._writer.put(Change(self._begin(), "facts", {_to_bytes(key): fact}))

    def get_metadata(self, key: str) -> Any:
        """Return the fact `key`, None if it is not known."""
        found = self._ask("hget", "facts", _to_bytes(key))
        return _read(found)

    def metadata(self) -> dict[str, Any]:
        """Return all facts about the run."""
        return {_to_text(key): _read(fact) for key, fact in self._ask("hgetall", "facts").items()}

    # -- runs -----------------------------------------------------------------------------------------------------

    def runs(self) -> list[str]:
        """Return the ids of all runs that are not forgotten, the oldest first."""
        index = index_of(self.prefix)
        (listed,) = self._ask_all(lambda pipe: [pipe.zrange(index, 0, -1)])
        run_ids = [_to_text(run_id) for run_id in listed]
        if not run_ids:
            return []
        names = [self._name(run_id, "begun") for run_id in run_ids]
        begun = self._ask_all(lambda pipe: [pipe.hget(name, b"at") for name in names])
        found = [(at, run_id) for run_id, at in zip(run_ids, map(_read, begun), strict=True) if isinstance(at, float)]
        return [run_id for _, run_id in sorted(found)]

    def forget_run(self, run_id: str) -> None:
        """Remove everything about a run; one that is not there is no fault."""
        self._check_writable()
        self._flush_own()
        names, index = [self._name(run_id, kind) for kind in KINDS], index_of(self.prefix)
        self._ask_all(lambda pipe: [pipe.unlink(*names), pipe.zrem(index, _to_bytes(run_id))])
        self._begun = "" if self._begun == run_id else self._begun

    def __repr__(self) -> str:
        """Show the run, and the address without its password."""
        return f"<state of run {self.run_id!r} at {self._link.shown}>"

    # -- inside ---------------------------------------------------------------------------------------------------

    def _name(self, run_id: str, kind: Kind) -> bytes:
        return name_of(self.prefix, run_id, kind)

    def _begin(self) -> str:
        """Return the run's id; the first time, note that it began."""
        run_id = self._known_run()
        if self._begun == run_id:
            return run_id
        self._check_writable()
        with self._lock:
            if self._begun != run_id:
                self._writer.put(Change(run_id, "begun", {b"at": repr(time.time()).encode()}))
                self._begun = run_id
        return run_id

    def _check_writable(self) -> None:
        if self.read_only:
            raise StateError.for_reader_of(self._link.shown)

    def _known_run(self) -> str:
        if self.run_id is None:
            raise StateError.for_no_run_there(self._link.shown, self.runs())
        return self.run_id

    def _notes(self, kind: Kind) -> list[tuple[str, tuple[int, str | None]]]:
        """Return what is noted of nodes, in the order in which it was."""
        notes = [(_to_text(node), _read_note(note)) for node, note in self._ask("hgetall", kind).items()]
        return sorted(notes, key=lambda item: item[1][0])

    def _ask(self, command: str, kind: Kind, *arguments: bytes) -> Any:
        name = self._name(self._known_run(), kind)
        return self._ask_all(lambda pipe: [getattr(pipe, command)(name, *arguments)])[0]

    def _ask_all(self, fill: Any) -> list[Any]:
        """Return the answers to commands; who reads here sees what was put here."""
        if not self._finalizer.alive:
            raise StateError.for_closed_link(self._link.shown)
        self._flush_own()
        try:
            return self._link.pipe(fill, is_atomic=True)
        except RedisError as error:
            raise StateError.for_server(str(error)) from None

    def _flush_own(self) -> None:
        if self._begun:
            self._writer.flush()

    # -- values as bytes ------------------------------------------------------------------------------------------

    def _signed(self) -> Signer:
        """Return the signer.

        Raises:
            StoreFault: where there is no key to trust.
        """
        if self._signer is None:
            self._signer = Signer(read_key(self.key_file))
        return self._signer

    def _seal(self, run_id: str, node: str, value: object) -> tuple[bytes, str | None]:
        """Return a value as signed bytes, or none and why it cannot be kept."""
        data, problem = pickle_value(value)
        if data is None:
            return b"", problem
        if len(data) > self.largest:
            return b"", f"it takes {len(data):,} bytes, and at most {self.largest:,} are kept"
        try:
            signer = self._signed()
        except StoreFault as fault:
            return b"", str(fault)
        return signer.mark.encode() + signer.sign(_message(run_id, node, data), "state") + data, None

    def _open(self, run_id: str, node: str, sealed: bytes) -> Any:
        """Return the value that was sealed.

        Raises:
            StateError: when it was not sealed for this node by somebody with the same key.
        """
        try:
            signer = self._signed()
        except StoreFault as fault:
            raise StateError.for_damaged_value(node, str(fault)) from None
        mark, data = sealed[:MARK_LENGTH], sealed[MARK_LENGTH + MAC_BYTES :]
        if not compare_digest(mark, signer.mark.encode()):
            raise StateError.for_foreign_value(node, self.key_file)
        signature = sealed[MARK_LENGTH : MARK_LENGTH + MAC_BYTES]
        if not signer.fits(_message(run_id, node, data), signature, "state"):
            raise StateError.for_damaged_value(node, "its bytes are not those that were written")
        try:
            return pickle.loads(data)  # noqa: S301 - signed by who has the key
        except Exception as error:
            raise StateError.for_damaged_value(node, f"{type(error).__name__}: {error}") from error


def _message(run_id: str, node: str, data: bytes) -> bytes:
    """Return what is signed; the lengths keep the three apart."""
    run, name = _to_bytes(run_id), _to_bytes(node)
    return b"%d %d %b%b%b" % (len(run), len(name), run, name, data)


def _read_note(note: bytes) -> tuple[int, str | None]:
    """Return when something was noted, and the text; of damaged bytes, that they are."""
    try:
        at, text = json.loads(note)
    except (ValueError, TypeError, RecursionError):
        return 0, "its note is damaged"
    return (at, text) if isinstance(at, int) and (text is None or isinstance(text, str)) else (0, "its note is damaged")


def _read(fact: bytes | None) -> object:
    """Return a fact; None where there is none, or its bytes are damaged."""
    if fact is None:
        return None
    try:
        return read_fact(fact.decode())
    except (ValueError, RecursionError):
        return None


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _to_text(data: bytes) -> str:
    return data.decode("utf-8", "replace") if b"\xed" not in data else data.decode("utf-8", "surrogatepass")


def _above_zero(name: str, given: Any) -> float:
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not (is_number and 0 < given < float("inf")):
        raise StateError.for_limit(name, given)
    return float(given)


def _let_go(writer: RedisWriter, link: RedisLink) -> None:
    writer.close()
    link.close()
