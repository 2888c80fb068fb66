"""What a store keeps and tells, as plain data: entries, runs, rows of nodes, reports.

In: nothing. Out: frozen records that the runtime, stores and views hand to each other. Invariant: a record holds text
and numbers only, but for `Draft` and `Grown`, which carry what is to be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

__all__ = [
    "GROWTH", "OUTCOMES", "Cost", "Draft", "Entry", "Freed", "Grown", "NodeRow", "Outcome", "Problem", "ReportKind",
    "RunRow", "StoreMiss", "StorePart",
]  # fmt: skip

Outcome = Literal["ran", "stored", "failed", "skipped", "cancelled"]
OUTCOMES: Final = ("ran", "stored", "failed", "skipped", "cancelled")
GROWTH: Final = "growth"  # the codec of what calls returned instead of a value
ReportKind = Literal["miss", "unsaved", "foreign", "off", "index", "key", "lock", "codec"]


class Entry(NamedTuple):
    """A stored result without its value. A tuple, since bulk look-ups make thousands and a tuple is four times faster.

    Attributes:
        key: of the node. digest: of the value, for the keys of its consumers. codec: which reads the bytes.
        size: bytes as stored. type: of the value, ``module.name``. summary: a short text of the value.
        run_id: of the run that made it. made_at: seconds since the epoch. duration: seconds that it took.
        outputs: digest of a text that says what the node printed and plotted, or empty. task: its name.
        content: digest of the stored bytes.
    """

    key: str
    digest: str
    codec: str
    size: int
    type: str
    summary: str = ""
    run_id: str = ""
    made_at: float = 0.0
    duration: float = 0.0
    outputs: str = ""
    task: str = ""
    content: str = ""

    @property
    def is_growth(self) -> bool:
        """Whether it holds the calls that a call returned, and no value."""
        return self.codec == GROWTH


@dataclass(frozen=True, slots=True)
class Grown:
    """The calls that a call returned, as a store keeps them: a graph file that names its tasks, and runs nothing.

    Args:
        text: the file. leaves: arrays and frames in it, which have codecs of their own.
    """

    text: str
    leaves: tuple[Any, ...] = ()

    def __reduce__(self) -> str:
        """Refuse to be pickled: it has a codec, and what that cannot write is not stored.

        Raises:
            TypeError: always.
        """
        raise TypeError("an argument of calls that were returned has no codec but pickle, and these are never pickled")


class Draft(NamedTuple):
    """A result that is to be stored; the attributes are those of `Entry`. A tuple, as `Entry` is.

    Args:
        digest: of the value; None: the store takes that of the stored bytes.
    """

    key: str
    value: Any
    digest: str | None = None
    task: str = ""
    summary: str = ""
    run_id: str = ""
    duration: float = 0.0
    outputs: str = ""


@dataclass(frozen=True, slots=True)
class StoreMiss:
    """What `Store.load` returns in place of a value that cannot be trusted or read: None is a value, this is none."""

    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a store that is not as it was written."""

    kind: ReportKind
    key: str
    problem: str


class NodeRow(NamedTuple):
    """What happened to one node in one run. A tuple, since the end of a run makes one for each node.

    Args:
        outcome: one of `OUTCOMES`. key: the node's. code: digest of a text with the parts of its code.
        inputs: a JSON list of (argument, digest, short text, from which node). duration: seconds.
        memory: bytes of its value, as stored; 0: not known. reason: why it ran, was skipped or failed.
        started_at: seconds since the epoch. items: of a map, JSON of which items ran and who made the others.
    """

    run_id: str
    node: str
    task: str
    outcome: Outcome
    key: str = ""
    code: str = ""
    inputs: str = "[]"
    duration: float = 0.0
    memory: int = 0
    summary: str = ""
    reason: str = ""
    started_at: float = 0.0
    items: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run: when it began and ended (seconds since the epoch; None: not ended), and what is known of it.

    Args:
        number: 1 for the first run of the store, 2 for the next; 0: it has none.
    """

    run_id: str
    begun_at: float
    ended_at: float | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a task has cost lately: mean seconds, of how many nodes, and the middle size of their values.

    Args:
        size: bytes as stored; None: nobody knows.
    """

    seconds: float
    count: int
    size: int | None = None


@dataclass(frozen=True, slots=True)
class StorePart:
    """One part of what a store keeps: its name, how many there are, and bytes."""

    name: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Freed:
    """What a clean-up removed, or would remove: entries, files, and bytes.

    Args:
        runs: of the history, with the rows of their nodes. texts: code and outputs that nothing names.
        claims: left behind by processes that were killed.
    """

    entries: int = 0
    files: int = 0
    size: int = 0
    runs: int = 0
    texts: int = 0
    claims: int = 0
