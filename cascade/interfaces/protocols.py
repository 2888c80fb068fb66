"""The agreements between the engine and what can be exchanged around it.

In: nothing. Out: protocols. Invariant: the engine knows its surroundings only by these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cascade.graph.model import Graph
    from cascade.interfaces.events import Event
    from cascade.interfaces.records import Cost, Draft, Entry, Freed, NodeRow, Problem, RunRow, StorePart

__all__ = [
    "Bell",
    "CacheBackend",
    "CachePolicy",
    "Clock",
    "Connector",
    "ConstraintHandler",
    "ExecutionPlan",
    "Executor",
    "LimitState",
    "Solver",
    "StateBackend",
    "Store",
    "StoreClaim",
    "Subscriber",
]


class ExecutionPlan(Protocol):
    """What a solver makes of a graph.

    Attributes:
        order: node numbers, each after what it may need. rank: for each node its place in the queue, 0 first; a
            permutation. heights: for each node, the longest path that remains, in nodes.
    """

    @property
    def order(self) -> Sequence[int]:
        """Node numbers, needs first."""

    @property
    def rank(self) -> Sequence[int]:
        """Priority of each node, 0 first."""

    @property
    def heights(self) -> Sequence[int]:
        """Longest remaining path of each node."""


@runtime_checkable
class Solver(Protocol):
    """Makes a plan of a graph. Runs nothing, keeps nothing."""

    def solve(self, graph: Graph, capacities: Mapping[str, float] | None = None) -> ExecutionPlan:
        """Return the plan; `capacities` are those of the run by name, None when nothing is known of them."""


@runtime_checkable
class Executor(Protocol):
    """Runs calls somewhere else."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call and return its future."""


@runtime_checkable
class Subscriber(Protocol):
    """Hears the events of a run, in order, on a thread of its own."""

    def __call__(self, event: Event, /) -> object:
        """Take one event."""


class CachePolicy(Protocol):
    """Decides whether a stored result serves, and whether a new one is stored. Any object with these two hooks.

    An entry is only ever offered under the node's own key: code and inputs are the same already.
    """

    def serves(self, entry: Entry, now: float, arguments: Mapping[str, object]) -> bool:
        """Say whether `entry` serves at `now` (seconds since the epoch) for a call with `arguments`."""

    def stores(self, value: object, arguments: Mapping[str, object]) -> bool:
        """Say whether `value`, just computed for `arguments`, is stored."""


class CacheBackend(Protocol):
    """Keeps bytes by key, for several threads and processes at once. Keys are any text.

    One that several processes share may have ``lock(key, timeout)`` too: a context manager that gives True when this
    holder alone has the key, and False when that was not so within `timeout` seconds; and ``count(key)``, which gives
    1, 2, 3 and so on, no number twice: with it, runs have numbers.
    """

    def get(self, key: str) -> bytes | None:
        """Return what is stored, or None."""

    def get_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        """Return what is stored under those of `keys` that are there."""

    def put(self, key: str, value: bytes) -> None:
        """Store `value`; readers see the whole of it or what was there before."""

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store each value."""

    def delete(self, key: str) -> None:
        """Forget a key; an unknown one is no error."""

    def keys(self) -> Iterable[str]:
        """Return the keys that are stored, in no order."""

    def size(self) -> int:
        """Return the bytes of all values."""

    def clear(self) -> None:
        """Forget everything."""


class StoreClaim(Protocol):
    """The right to compute one key, held until it is released; also when its process is killed."""

    @property
    def key(self) -> str:
        """What is claimed."""

    def release(self) -> None:
        """Let others compute it; a second release does nothing."""

    def __enter__(self) -> Self:
        """Hold it for a ``with`` block."""

    def __exit__(self, *_: object) -> None:
        """Release it."""


class Store(Protocol):
    """Keeps results, recipes and the history of runs beyond the run.

    No method raises because of what is stored, of the disk or of a value: what cannot be read is a miss, what cannot be
    written is not stored, and each is told once through ``on_report(kind, key, problem)``.
    """

    def find(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those of `keys` that are stored and truly signed; reads no values."""

    def load(self, entry: Entry) -> Any:
        """Return the value of `entry`, or a `StoreMiss` when it cannot be trusted or read."""

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
        """Store `value`; None when it could not be. The arguments are those of `Draft`."""

    def save_many(self, drafts: Iterable[Draft]) -> list[Entry | None]:
        """Store several values in one go; None for each that could not be."""

    def find_recipes(self, recipes: Sequence[str]) -> dict[str, str]:
        """Return the result key of each recipe key that is known."""

    def save_recipes(self, pairs: Mapping[str, str]) -> None:
        """Remember result keys by recipe key."""

    def begin_run(self, run_id: str, facts: Mapping[str, object]) -> None:
        """Note that a run begins; `facts` are plain data. Storing that was switched off by a fault is tried again."""

    def end_run(self, run_id: str, facts: Mapping[str, object]) -> None:
        """Note that it has ended; `facts` join those of its beginning."""

    def record_nodes(self, run_id: str, rows: Iterable[NodeRow]) -> None:
        """Note what happened to nodes; a second row of a node replaces the first."""

    def runs(self, limit: int | None = None) -> list[RunRow]:
        """Return the runs, the latest first."""

    def nodes(self, run_id: str) -> list[NodeRow]:
        """Return what happened to the nodes of a run, in the order in which it was recorded."""

    def find_runs(self, word: str) -> list[RunRow]:
        """Return the run of that id, or number; else those whose ids begin so, the latest first."""

    def run_numbers(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return the numbers of those runs that have one: 1 for the first run of the store, and so on."""

    def latest(self, task_or_node: str, before: str | None = None) -> NodeRow | None:
        """Return the last row of a node (or task) of that name, of runs that began before the run `before`."""

    def durations(self) -> dict[str, tuple[float, int, int]]:
        """Return for each task that ran: mean seconds, of how many nodes, and their largest value in bytes."""

    def costs(self, tasks: Iterable[str]) -> dict[str, Cost]:
        """Return what those of `tasks` that ran have cost lately."""

    def put_text(self, text: str) -> str:
        """Keep a text once; return its digest."""

    def get_text(self, digest: str) -> str | None:
        """Return the text of a digest; None when it is not there or not whole."""

    def claim(self, key: str, timeout: float) -> StoreClaim | None:
        """Wait up to `timeout` seconds for the right to compute `key`; None when another has it still."""

    def gc(self, max_bytes: int | None = None, max_age: float | None = None, *, dry_run: bool = False) -> Freed:
        """Remove what is older than `max_age` seconds, then the least recently used beyond `max_bytes`."""

    def check(self) -> list[Problem]:
        """Read and verify everything; return what is wrong, change nothing."""

    def size(self) -> int:
        """Return the bytes of all stored values."""

    def parts(self) -> list[StorePart]:
        """Return what each part of the store takes."""

    def clear(self, task: str | None = None) -> int:
        """Forget all results, or those of one task; return how many. The history stays."""

    def ls(self, task: str | None = None) -> list[Entry]:
        """Return the entries, the latest first."""

    def close(self) -> None:
        """Let go of files; closing twice is fine."""


class StateBackend(Protocol):
    """Keeps what one run knows while it goes on, so that it can be read from elsewhere meanwhile.

    Nodes are named by their ids. The run calls `begin_run` first, then writes from any of its threads; readers may
    ask at any time, from other threads too. A value may be kept by reference or as a copy made when it is put.
    """

    def begin_run(self, run_id: str) -> None:
        """Belong to the run `run_id` from now on; what is known of it already stays, what is of others is not seen."""

    def put_result(self, node: str, value: object) -> None:
        """Keep the value of `node`; a second value replaces the first. A value that cannot be kept is no error."""

    def get_result(self, node: str) -> object:
        """Return the value of `node`; KeyError if there is none."""

    def has_result(self, node: str) -> bool:
        """Say whether `get_result` would return a value; decodes nothing."""

    def results(self) -> Sequence[str]:
        """Return the nodes that have a value."""

    def mark_skipped(self, node: str, reason: str) -> None:
        """Note that `node` will not run, and why."""

    def get_skip_reason(self, node: str) -> str | None:
        """Return why `node` was skipped, None if it was not."""

    def skips(self) -> Mapping[str, str]:
        """Return the reasons of all skipped nodes."""

    def put_metadata(self, key: str, value: object) -> None:
        """Keep a fact about the run: text, numbers, booleans, None, and lists and dicts of them."""

    def get_metadata(self, key: str) -> object:
        """Return the fact `key`, None if it is not known."""

    def metadata(self) -> Mapping[str, object]:
        """Return all facts about the run."""

    def flush(self) -> None:
        """Return when everything written so far can be read from elsewhere."""

    def close(self) -> None:
        """Flush and let go of files and threads; closing twice is fine."""


class Bell(Protocol):
    """A locked `threading.Lock`: releasing it rings, and who waits for it gets it locked again."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as threading.Lock
        """Wait for the ring, up to `timeout` seconds (-1: without end); say whether it has rung."""

    def release(self) -> None:
        """Ring; RuntimeError when it has been rung already and nobody has heard it yet."""


class Clock(Protocol):
    """Tells a run the time, and waits for it. The workflow context names another one than the machine's.

    Attributes:
        sleepers: how many attempts do nothing but wait for this clock; 0 for a clock that only tells the time. The
            driver of a run, and no other thread, asks before each `wait`.
    """

    @property
    def sleepers(self) -> int:
        """Attempts that wait for this clock and for nothing else."""

    def now(self) -> float:
        """Return seconds on a scale that never goes back."""

    def wall(self) -> float:
        """Return seconds since the epoch."""

    def wait(self, bell: Bell, seconds: float, *, idle: bool) -> None:
        """Return when `bell` has rung or `seconds` are over, perhaps earlier; for the driver of a run.

        The bell rings whenever an attempt ends.

        Args:
            seconds: until the run's next timer; below 0: none is set.
            idle: nothing runs but attempts that count as `sleepers` and were not told to stop, so that only time can
                bring the run further.
        """


class LimitState(Protocol):
    """One limit in force in one run."""

    def turns(self, running: int, now: float) -> tuple[int, float | None]:
        """Return how many attempts may start now, and when that may change without one ending (None: it will not).

        Args:
            running: attempts in scope that run. now: seconds on the run's clock, as is the time returned.
        """

    def started(self, now: float) -> None:
        """Hear that an attempt in scope starts."""


class ConstraintHandler(Protocol):
    """Knows what limits of one type mean; register it in ``get_current_context().constraint_handlers[type]``."""

    def check(self, params: Mapping[str, object]) -> None:
        """Refuse what cannot be meant, with a ValueError."""

    def open(self, params: Mapping[str, object], now: float) -> LimitState:
        """Return the state of a limit that comes into force at `now`."""


class Connector(Protocol):
    """Carries events out and limits in."""

    async def connect(self) -> None:
        """Begin."""

    async def disconnect(self) -> None:
        """End."""

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:  # noqa: FBT001, FBT002
        """Send one message."""

    async def subscribe(self, topic: str, callback: Callable[[str, Mapping[str, object]], Any]) -> Iterable[object]:
        """Hear messages."""
