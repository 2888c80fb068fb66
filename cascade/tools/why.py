"""The store's history → why a node ran, or did not.

In: the rows of a node in two runs. Out: `Why`: whole sentences. Invariant: says what is known and no more; reads only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade.runtime.run import open_store
from cascade.tools.history import ago, find_run

if TYPE_CHECKING:
    from cascade.identity.parts import CodeKey
    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import NodeRow

__all__ = ["Why", "compare_rows", "explain_row", "find_row", "read_code", "why"]

MOST_BACK = 100  # runs


@dataclass(frozen=True, slots=True)
class Why:
    """What became of a node in a run, and why.

    Args:
        node: its id. run_id: of the run. outcome: ``ran``, ``stored``, ``failed``, ``skipped`` or ``cancelled``.
        reasons: phrases, the most important first.
    """

    node: str
    run_id: str
    outcome: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.outcome}: {' · '.join(self.reasons)}" if self.reasons else self.outcome

    def __repr__(self) -> str:
        """Show the line, with the node."""
        return f"{self.node} {self}"


def why(node: Any, *, run: str | None = None, cache: Any = None) -> Why:
    """Say why a node ran in a run, or why it did not.

    Args:
        node: its name or id, or the lazy result itself. run: the id of a run, or its beginning; None: the last run in
            which the node took part. cache: as for `run`; by default the folder ``.cascade``.

    Raises:
        ValueError: when the store knows nothing of such a node or run, with the nearest name.

    Example:
        >>> import cascade as cs
        >>> from tempfile import TemporaryDirectory
        >>> @cs.task(pure=True)
        ... def fit(degree): return degree
        >>> with TemporaryDirectory() as folder:
        ...     _ = cs.run(fit(2), cache=folder, log_level=None), cs.run(fit(3), cache=folder, log_level=None)
        ...     print(why("fit", cache=folder))
        ran: degree 2 → 3
    """
    store = open_store(True if cache is None else cache)
    name = node if isinstance(node, str) else getattr(node, "_label", "") or str(node)
    row = find_row(store, name, run)
    return Why(row.node, row.run_id, row.outcome, tuple(explain_row(store, row)))


def explain_row(store: Store, row: NodeRow) -> list[str]:
    """Return why the node of a row ran, or did not."""
    if row.outcome == "stored":
        made = row.reason.removeprefix("made in run ")
        runs = {r.run_id: r.begun_at for r in store.runs()} if row.reason.startswith("made in") else {}
        when = f", {ago(runs[made])}" if made in runs else ""
        return ["same code and inputs", f"{row.reason}{when}"] if row.reason else ["same code and inputs"]
    if row.outcome in {"skipped", "cancelled", "failed"}:
        return [row.reason] if row.reason else []
    reasons = [row.reason] if row.reason else []
    if not row.code:
        return [*reasons, "it is not remembered: @cs.task(pure=True) or .with_cache(…) would do that"]
    before = _find_before(store, row)
    if before is None:
        return [*reasons, "it had not run before"]
    changes = compare_rows(store, before, row)
    if changes:
        return [*changes, *reasons]
    if row.reason.endswith("from the store"):
        return [f"{row.reason}, the others are new"]
    if before.outcome in {"failed", "cancelled"}:
        return [*reasons, f"it {'failed' if before.outcome == 'failed' else 'was stopped'} in run {before.run_id}"]
    return [*reasons, "same code and inputs, but its result was not in the store, had expired or was not asked for"]


def _find_before(store: Store, row: NodeRow) -> NodeRow | None:
    """Return the last row of the node with known inputs: where its value was found at once, nobody looked at them."""
    before = store.latest(row.node, row.run_id)
    for _ in range(MOST_BACK):
        if before is None or _has_keys(before) or not _has_keys(row):
            break
        before = store.latest(row.node, before.run_id)
    return before


def _has_keys(row: NodeRow) -> bool:
    """Whether someone looked at the inputs; where a value was found at once, and of maps, only sources are known."""
    return any(key for key, _, _ in _inputs(row).values())


def compare_rows(store: Store, before: NodeRow, after: NodeRow) -> list[str]:
    """Return what changed between two rows of one node: code, then inputs."""
    found: list[str] = []
    if before.code != after.code:
        found += _compare_code(store, before, after)
    if not (_has_keys(before) and _has_keys(after)):
        return found
    old, new = _inputs(before), _inputs(after)
    for name, (key, text, source) in new.items():
        if name not in old:
            found.append(f"{name} is a new argument")
        elif old[name][0] != key and key and old[name][0]:
            found.append(_tell_input(name, old[name][1], text, source))
    found += [f"the argument {name} is gone" for name in old if name not in new]
    return found


def _tell_input(name: str, before: str, after: str, source: str) -> str:
    change = f"{before} → {after}" if before != after else f"{after}, with another content"
    if source and source != name:
        return f"{name} is new from {source} ({change})"
    return f"{name} {change}"


def _compare_code(store: Store, before: NodeRow, after: NodeRow) -> list[str]:
    from cascade.identity.explain import explain_code

    old, new = read_code(store, before), read_code(store, after)
    if old is None or new is None:
        return ["code changed"] if before.code and after.code else []
    changes = [str(change) for change in explain_code(old, new)]
    return [f"code changed ({change})" for change in changes]


def read_code(store: Store, row: NodeRow) -> CodeKey | None:
    """Return the code that a row was made with, None if it is not known."""
    from cascade.identity.errors import IdentityError
    from cascade.identity.parts import CodeKey

    text = store.get_text(row.code) if row.code else None
    if text is None:
        return None
    try:
        return CodeKey.from_dict(json.loads(text), store.get_text)
    except (ValueError, IdentityError):
        return None


def _inputs(row: NodeRow) -> dict[str, tuple[str, str, str]]:
    try:
        return {str(name): (str(key), str(text), str(source)) for name, key, text, source in json.loads(row.inputs)}
    except (ValueError, TypeError):
        return {}


def find_row(store: Store, name: str, run: str | None) -> NodeRow:
    """Return the row of a node or task in a run, by default in the last one that had it.

    Raises:
        ValueError: when there is none, with the nearest name.
    """
    from cascade.interfaces.exceptions import nearest

    if run is None:
        found = store.latest(name)
        if found is not None:
            return found
        known = {row.node for past in store.runs(20) for row in store.nodes(past.run_id)}
        raise ValueError(f"No run in this store had a node '{name}'.{nearest(name, known)}")
    run_id = find_run(store, run).run_id
    rows = store.nodes(run_id)
    for row in rows:
        if name in {row.node, row.task}:
            return row
    raise ValueError(f"The run {run_id} had no node '{name}'.{nearest(name, [row.node for row in rows])}")
