"""The store's history → where a value comes from.

In: the name of a node, or a value. Out: a `Lineage`: the computation that made it, and those that made what it was
given, all the way up; as text, and as W3C PROV. Invariant: reads only; says of each step which run really computed it.

The exported form is PROV-JSON (W3C member submission, 2013): values are entities, computations are activities, the
Python on a machine is the agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cascade.interfaces.naming import clip
from cascade.runtime.run import open_store
from cascade.spec.task import Task
from cascade.tools.history import ago, run_word
from cascade.tools.why import MOST_BACK, find_row, read_code

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import NodeRow

__all__ = ["Lineage", "lineage"]

MOST_STEPS = 10_000
MOST_LINES = 200


@dataclass(frozen=True, slots=True)
class Lineage:
    """The computation that made a value.

    Args:
        node: its id. run_id: the run that computed it. made_at: when it began, seconds since the epoch.
        duration: seconds. summary: a short text of the value. code: the digest of the code.
        number: of the run in the store, 0 if it has none.
        inputs: what it was given: argument, short text, and where that comes from (None: written there, or a Param). An
            argument that holds values of several nodes stands there as a whole, and then once for each of them.
        libraries: versions by name. machine: what is known of where it ran: host, Python, process.
    """

    node: str
    run_id: str
    made_at: float
    duration: float
    summary: str
    code: str
    inputs: tuple[tuple[str, str, Lineage | None], ...]
    libraries: Mapping[str, str]
    machine: Mapping[str, object]
    number: int = 0

    def steps(self) -> Iterator[Lineage]:
        """Yield this computation and all above it, each once."""
        seen: set[tuple[str, str]] = set()
        stack = [self]
        while stack:
            step = stack.pop()
            if (step.run_id, step.node) not in seen:
                seen.add((step.run_id, step.node))
                yield step
                stack.extend(above for _, _, above in reversed(step.inputs) if above is not None)

    def __str__(self) -> str:
        """Return an indented list: each computation above what it was given."""
        lines: list[str] = []
        seen: set[tuple[str, str]] = set()
        stack: list[tuple[int, str, Lineage]] = [(0, "", self)]
        while stack:
            depth, name, step = stack.pop()
            again = (step.run_id, step.node) in seen
            seen.add((step.run_id, step.node))
            label = f"{name} ← {step.node}" if name else step.node
            made = f"{run_word(step.run_id, step.number)}, {ago(step.made_at)}"
            told = " (see above)" if again else f": {step.summary or 'a value'}, {made}"
            lines.append(f"{'  ' * depth}{label}{told}")
            if not again:
                lines += [f"{'  ' * (depth + 1)}{n} = {text}" for n, text, above in step.inputs if above is None]
                stack += [(depth + 1, n, above) for n, _, above in reversed(step.inputs) if above is not None]
        rest = len(lines) - MOST_LINES
        return "\n".join([*lines[:MOST_LINES], f"… and {rest:,} more lines"] if rest > 0 else lines)

    def __repr__(self) -> str:
        """Show the list."""
        return str(self)

    def to_prov(self) -> dict[str, Any]:
        """Return the lineage as PROV-JSON: plain data for `json.dumps`."""
        made: dict[str, Any] = {"prefix": {"cascade": "urn:cascade:"}}
        for kind in ("entity", "activity", "agent", "used", "wasGeneratedBy", "wasAssociatedWith"):
            made[kind] = {}
        for number, step in enumerate(self.steps()):
            activity, value = f"cascade:run/{step.run_id}/{step.node}", f"cascade:value/{step.run_id}/{step.node}"
            agent = f"cascade:python/{step.machine.get('host', '')}/{step.machine.get('python', '')}"
            made["agent"][agent] = {"prov:type": "prov:SoftwareAgent", **_named(step.machine)}
            made["entity"][value] = {"prov:label": step.summary}
            made["activity"][activity] = {
                "prov:startTime": _time(step.made_at),
                "prov:endTime": _time(step.made_at + step.duration),
                "cascade:code": step.code,
                **({"cascade:run": step.number} if step.number else {}),
                **{f"cascade:library/{name}": version for name, version in step.libraries.items()},
            }
            made["wasGeneratedBy"][f"_:g{number}"] = {"prov:entity": value, "prov:activity": activity}
            made["wasAssociatedWith"][f"_:a{number}"] = {"prov:activity": activity, "prov:agent": agent}
            for place, (name, text, above) in enumerate(step.inputs):
                given = f"{activity}/{name}"
                if above is not None:
                    given = f"cascade:value/{above.run_id}/{above.node}"
                else:
                    made["entity"][given] = {"prov:label": text}
                made["used"][f"_:u{number}.{place}"] = {
                    "prov:activity": activity, "prov:entity": given, "prov:role": name,
                }  # fmt: skip
        return made


def lineage(of: Any, *, run: int | str | None = None, cache: Any = None) -> Lineage:
    """Return where a value comes from: the run, the code, the inputs, the libraries and the machine that made it.

    Args:
        of: the name or id of a node, a lazy result, or a value that is in the store. run: the number of a run, or
            its id, or the beginning of that; None: the last run.
        cache: as for `run`; by default the folder ``.cascade``.

    Raises:
        ValueError: when the store knows no such node, run or value.

    Example:
        >>> import cascade as cs
        >>> from tempfile import TemporaryDirectory
        >>> @cs.task(pure=True)
        ... def load(): return [1, 2, 3]
        >>> @cs.task(pure=True)
        ... def mean(rows): return sum(rows) / len(rows)
        >>> with TemporaryDirectory() as folder:
        ...     value = cs.run(mean(load()), cache=folder, log_level=None)
        ...     [step.node for step in lineage(value, cache=folder).steps()]
        ['mean', 'load']
    """
    store = open_store(True if cache is None else cache)
    return _Reader(store).read(_find(store, of, run))


def _find(store: Store, of: Any, run: int | str | None) -> NodeRow:
    label = of if isinstance(of, str) else getattr(of, "_label", None)
    if isinstance(of, Task):
        label = of.name
    try:
        if isinstance(label, str):
            return _with_value(store, find_row(store, label, run), is_asked=run is not None)
    except ValueError:
        if not isinstance(of, str):
            raise
        found = _row_of_value(store, of)  # a text may be a value, too
        if found is None:
            raise
        return found
    found = _row_of_value(store, of)
    if found is None:
        raise ValueError("The store does not know this value. It knows values that remembered tasks have returned.")
    return found


def _with_value(store: Store, row: NodeRow, *, is_asked: bool) -> NodeRow:
    """Return the row, or the last one before it that has a value; that of a run that was asked for alone.

    Raises:
        ValueError: when there is none.
    """
    found: NodeRow | None = row
    for _ in range(MOST_BACK):
        if found is None or found.outcome in {"ran", "stored"}:
            break
        found = None if is_asked else store.latest(row.node, found.run_id)
    if found is None:
        told = run_word(row.run_id, store.run_numbers([row.run_id]).get(row.run_id, 0))
        raise ValueError(f"'{clip(row.node)}' has no value: in {told} it was {row.outcome} ({row.reason}).")
    return found


def _row_of_value(store: Store, value: object) -> NodeRow | None:
    from cascade.identity.data import data_key

    key = data_key(value)
    for entry in store.ls():
        if entry.digest == key:
            rows = [row for row in store.nodes(entry.run_id) if row.key == entry.key]
            if rows:
                return rows[0]
    return None


class _Reader:
    """Follows rows up, each once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.rows: dict[str, dict[str, NodeRow]] = {}
        self.by_key: dict[str, dict[str, NodeRow]] = {}
        self.told: set[tuple[str, str]] = set()  # the rows that have a place in the lineage
        self.runs = {row.run_id: row for row in store.runs()}
        self.libraries: dict[str, dict[str, str]] = {}

    def row(self, run_id: str, node: str) -> NodeRow | None:
        """Return the row of the run that really computed what `node` had in the run `run_id`."""
        if run_id not in self.rows:
            self.rows[run_id] = {row.node: row for row in self.store.nodes(run_id)}
        row = self.rows[run_id].get(node)
        if row is not None and row.outcome == "stored" and row.key:
            made_by = row.reason.removeprefix("made in run ")
            if made_by not in {row.reason, run_id}:
                if made_by not in self.by_key:
                    self.rows[made_by] = {each.node: each for each in self.store.nodes(made_by)}
                    self.by_key[made_by] = {each.key: each for each in reversed(self.rows[made_by].values())}
                return self.by_key[made_by].get(row.key, row)
        return row

    def above(self, run_id: str, source: str) -> list[NodeRow]:
        """Return the rows of the nodes that an argument came from: several where they stood in one list."""
        whole = self.row(run_id, source) if source else None
        if whole is not None or ", " not in source:
            return [whole] if whole is not None else []
        return [row for name in source.split(", ") if (row := self.row(run_id, name)) is not None]

    def read(self, row: NodeRow) -> Lineage:
        """Return the lineage of a row; the rows above are read first, without recursion."""
        row = self.row(row.run_id, row.node) or row
        order: list[NodeRow] = []
        stack, seen = [row], {(row.run_id, row.node)}
        while stack and len(order) < MOST_STEPS:
            current = stack.pop()
            order.append(current)
            for _, _, source in _given(current):
                for above in self.above(current.run_id, source):
                    if (above.run_id, above.node) not in seen:
                        seen.add((above.run_id, above.node))
                        stack.append(above)
        self.told = {(each.run_id, each.node) for each in order}
        made: dict[tuple[str, str], Lineage] = {}
        pending = order[::-1]
        for _ in range(len(pending) + 1):  # a row is made when all above it are; each round makes some
            rest = [each for each in pending if not self._make(each, made)]
            if not rest or len(rest) == len(pending):
                break
            pending = rest
        return made[row.run_id, row.node]

    def _make(self, row: NodeRow, made: dict[tuple[str, str], Lineage]) -> bool:
        inputs: list[tuple[str, str, Lineage | None]] = []
        for name, text, source in _given(row):
            above = [each for each in self.above(row.run_id, source) if (each.run_id, each.node) in self.told]
            if any((each.run_id, each.node) not in made for each in above):
                return False
            if len(above) != 1:
                inputs.append((name, text, None))
            inputs += [(name, text, made[each.run_id, each.node]) for each in above]
        run = self.runs.get(row.run_id)
        facts = run.facts if run is not None else {}
        machine = {name: facts[name] for name in ("host", "python", "pid") if name in facts}
        made[row.run_id, row.node] = Lineage(
            row.node, row.run_id, row.started_at, row.duration, row.summary, row.code, tuple(inputs),
            self._libraries(row), machine, run.number if run is not None else 0,
        )  # fmt: skip
        return True

    def _libraries(self, row: NodeRow) -> dict[str, str]:
        if row.code not in self.libraries:
            key = read_code(self.store, row)
            sources = [part.source for part in key.parts if part.kind == "library"] if key is not None else []
            pairs = [source.split(" ", 1) for source in sources if " " in source]
            self.libraries[row.code] = {name: version for name, version in pairs}  # noqa: C416 - lists of two
        return self.libraries[row.code]


def _given(row: NodeRow) -> list[tuple[str, str, str]]:
    try:
        return [(str(name), str(text), str(source)) for name, _, text, source in json.loads(row.inputs)]
    except (ValueError, TypeError):
        return []


def _named(facts: Mapping[str, object]) -> dict[str, str]:
    return {f"cascade:{name}": str(value) for name, value in facts.items()}


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
