"""Two runs → what was different.

In: the rows of two runs. Out: a `Difference`. Invariant: reads only; what is the same is counted, not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cascade.runtime.run import open_store
from cascade.tools.history import find_run, run_word
from cascade.tools.items import tell_elements
from cascade.tools.why import compare_rows, with_inputs

if TYPE_CHECKING:
    from cascade.interfaces.records import NodeRow, RunRow

__all__ = ["Difference", "diff"]

MOST_SHOWN: Final = 50  # nodes of each kind


@dataclass(frozen=True, slots=True)
class Difference:
    """What two runs differ in; ``str()`` is a list.

    Args:
        before, after: ids of the runs. numbers: of the two, 0 where one has none.
        changes: phrases by node id, in the order of the second run.
        added, gone: ids of nodes that only one of them has. same: how many nodes had the same code and inputs.
        params: phrases such as ``limit 5 → 6``. notes: sentences about what is not known.
    """

    before: str
    after: str
    changes: dict[str, tuple[str, ...]]
    added: tuple[str, ...]
    gone: tuple[str, ...]
    same: int
    params: tuple[str, ...]
    numbers: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a line for each difference."""
        before, after = run_word(self.before, self.numbers[0]), run_word(self.after, self.numbers[1])
        same = "1 node had" if self.same == 1 else f"{self.same:,} nodes had"
        lines = [f"{before} → {after}: {same} the same code and inputs"]
        lines += [f"Param {change}" for change in self.params]
        lines += _some([f"{node}: {' · '.join(changes)}" for node, changes in self.changes.items()], "changed")
        lines += _some([f"{node}: only in {after}" for node in self.added], f"only in {after}")
        lines += _some([f"{node}: only in {before}" for node in self.gone], f"only in {before}")
        return "\n".join([*lines, *self.notes])

    def __repr__(self) -> str:
        """Show the list."""
        return str(self)


def _some(lines: list[str], what: str) -> list[str]:
    """Return the first lines, and how many more there are."""
    rest = len(lines) - MOST_SHOWN
    return [*lines[:MOST_SHOWN], f"… and {rest:,} more {what}"] if rest > 0 else lines


def diff(before: int | str, after: int | str, *, cache: Any = None) -> Difference:
    """Say what was different between two runs.

    Args:
        before, after: numbers of runs, or their ids, or the beginnings of these.
        cache: as for `run`; by default ``.cascade``.

    Raises:
        ValueError: when the store does not know one of them.

    Example:
        >>> import cascade as cs
        >>> from tempfile import TemporaryDirectory
        >>> @cs.task(pure=True)
        ... def fit(degree): return degree
        >>> with TemporaryDirectory() as folder:
        ...     _ = [cs.run(fit(n), cache=folder, log_level=None) for n in (2, 3)]
        ...     diff(1, 2, cache=folder).changes
        {'fit': ('degree 2 → 3',)}
    """
    store = open_store(True if cache is None else cache)
    first, second = find_run(store, before), find_run(store, after)
    old = {row.node: row for row in store.nodes(first.run_id)}
    new = {row.node: row for row in store.nodes(second.run_id)}
    changes: dict[str, tuple[str, ...]] = {}
    made: dict[str, dict[str, NodeRow]] = {}
    for node, row in new.items():
        if node in old:
            found = []
            if not row.key or row.key != old[node].key:
                found = compare_rows(store, with_inputs(store, old[node], made), with_inputs(store, row, made))
            found = found or tell_elements(store, old[node], row)
            if {old[node].outcome, row.outcome} - {"ran", "stored"} and old[node].outcome != row.outcome:
                found.append(f"{old[node].outcome} → {row.outcome}")
            if found:
                changes[node] = tuple(found)
    params = _params(first.facts.get("params"), second.facts.get("params"))
    same = len(new.keys() & old.keys()) - len(changes)
    # Of a large graph, what nothing needed has no rows: it may have been there all the same.
    hidden = _count_hidden(first, old), _count_hidden(second, new)
    added = () if hidden[0] else tuple([node for node in new if node not in old])
    gone = () if hidden[1] else tuple([node for node in old if node not in new])
    notes = tuple([_note(run, count) for run, count in zip((first, second), hidden, strict=True) if count])
    numbers = first.number, second.number
    return Difference(first.run_id, second.run_id, changes, added, gone, same, params, numbers, notes)


def _count_hidden(run: RunRow, rows: dict[str, NodeRow]) -> int:
    """Return how many nodes a run had that have no rows."""
    counts = run.facts.get("counts")
    known = counts.values() if isinstance(counts, dict) else ()
    return max(0, sum(count for count in known if isinstance(count, int)) - len(rows))


def _note(run: RunRow, count: int) -> str:
    what = "1 node" if count == 1 else f"{count:,} nodes"
    told = run_word(run.run_id, run.number).capitalize()
    return f"{told} had {what} more that nothing needed, of which no more is known."


def _params(before: object, after: object) -> tuple[str, ...]:
    old, new = (each if isinstance(each, dict) else {} for each in (before, after))
    names = dict.fromkeys((*new, *old))
    return tuple([f"{n} {old.get(n, 'unset')} → {new.get(n, 'unset')}" for n in names if old.get(n) != new.get(n)])
