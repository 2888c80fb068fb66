"""The store's history → why a node ran, or did not.

In: the rows of a node in two runs. Out: `Why`: whole sentences. Invariant: says what is known and no more; reads only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade.runtime.run import open_store
from cascade.spec.task import Task
from cascade.tools.files import tell_file
from cascade.tools.history import ago, find_run, is_unsayable, run_word
from cascade.tools.items import PastItems, read_items, split_item, tell_item, tell_makers, tell_new

if TYPE_CHECKING:
    from cascade.identity.parts import CodeKey
    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import NodeRow

__all__ = ["Why", "compare_rows", "explain_row", "find_row", "read_code", "why", "with_inputs"]

MOST_BACK = 100  # runs
MOST_SOURCES = 3  # nodes that one input came from
MADE = "made in run "  # as `node_rows` writes it; the id of the run follows


@dataclass(frozen=True, slots=True)
class Why:
    """What became of a node in a run, and why.

    Args:
        node: its id. run_id: of the run. outcome: ``ran``, ``stored``, ``failed``, ``skipped`` or ``cancelled``.
        reasons: phrases, the most important first. items: of a map of which something ran, how much did.
    """

    node: str
    run_id: str
    outcome: str
    reasons: tuple[str, ...]
    items: str = ""

    def __str__(self) -> str:
        """Return one line."""
        told = self.items or self.outcome
        return f"{told}: {' · '.join(self.reasons)}" if self.reasons else told

    def __repr__(self) -> str:
        """Show the line, with the node."""
        return f"{self.node} {self}"


def why(node: Any, *, run: int | str | None = None, cache: Any = None) -> Why:
    """Say why a node ran in a run, or why it did not.

    Args:
        node: its name or id, or the task or the lazy result itself; ``fit[3]`` is an item of a map.
        run: the number of a run, or its id, or the beginning of that; None: the last run in which it took part.
        cache: as for `run`; by default the folder ``.cascade``.

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
    row, place = _find_row_or_item(store, _name_of(node), run)
    if place is not None:
        return _why_item(store, row, place)
    items = read_items(row)
    ran = str(items) if items is not None and items.total and row.outcome == "ran" else ""
    return Why(row.node, row.run_id, row.outcome, tuple(explain_row(store, row)), ran)


def _name_of(node: Any) -> str:
    name = node if isinstance(node, str) else node.name if isinstance(node, Task) else getattr(node, "_label", None)
    if isinstance(name, str):
        return name
    kind = type(node).__name__
    raise ValueError(f"A node is named by its name, its task or its lazy result, not by a value of type {kind}.")


def _find_row_or_item(store: Store, name: str, run: int | str | None) -> tuple[NodeRow, int | None]:
    """Return the row of a node, or that of a map and the place of its item; a node that is called so comes first."""
    base, place = split_item(name)
    if place is None:
        return find_row(store, name, run), None
    try:
        return find_row(store, name, run), None
    except ValueError:
        return find_row(store, base, run), place


def _why_item(store: Store, row: NodeRow, place: int) -> Why:
    """Say what became of one item of a map: the history keeps which ones ran, and what tells their elements apart.

    Raises:
        ValueError: when the map had fewer items.
    """
    label, items = f"{row.node}[{place}]", read_items(row)
    if items is None:
        reasons = explain_row(store, row)
        return Why(label, row.run_id, row.outcome, (*reasons, f"of single items of '{row.node}' no more is known"))
    if place >= items.total:
        there = f"items [0] to [{items.total - 1}]" if items.total else "no items"
        raise ValueError(f"'{row.node}' had {there} in {_run_word(store, row.run_id)}: there is no {label}.")
    if place in items.ran:
        if row.outcome != "ran":
            return Why(label, row.run_id, row.outcome, (f"its map: {row.reason}",) if row.reason else ())
        before, past = _find_map_before(store, row)
        if before is None:
            return Why(label, row.run_id, "ran", ("it had not run before",))
        changes = compare_rows(store, before, row) or [tell_item(store, past, items, place)]
        return Why(label, row.run_id, "ran", tuple(changes))
    if len(items.ran) < items.count:
        return Why(label, row.run_id, row.outcome, (f"{items}; of so many, not all places are kept",))
    makers = tell_makers(store, items.made, items.stored)
    made = makers.partition(" from ")[2] if len(items.made) == 1 else ""
    return Why(label, row.run_id, "stored", ("same code and inputs", f"made by {made}" if made else f"items: {makers}"))


def explain_row(store: Store, row: NodeRow) -> list[str]:
    """Return why the node of a row ran, or did not."""
    if row.outcome == "stored":
        return ["same code and inputs", *_tell_origin(store, row)]
    if row.outcome in {"skipped", "cancelled", "failed"}:
        return [row.reason] if row.reason else []
    reasons = [row.reason] if row.reason else []
    if not row.code:
        return [*reasons, "it is not remembered: @cs.task(pure=True) or .with_cache(…) would do that"]
    items = read_items(row)
    if items is not None and items.total:
        return _explain_items(store, row, items)
    before = _find_before(store, row)
    if before is None:
        return [*reasons, "it had not run before"]
    changes = compare_rows(store, before, row)
    if changes:
        return [*changes, *reasons]
    if before.outcome in {"failed", "cancelled"}:
        run = _run_word(store, before.run_id)
        return [*reasons, f"it {'failed' if before.outcome == 'failed' else 'was stopped'} in {run}"]
    return [*reasons, "same code and inputs, but its result was not in the store, had expired or was not asked for"]


def _explain_items(store: Store, row: NodeRow, items: PastItems) -> list[str]:
    """Return why items of a map ran: what changed for all of them, or which elements are new; and who made the rest."""
    before, past = _find_map_before(store, row)
    if before is None:
        changes = ["it had not run before"]
    else:
        changes = compare_rows(store, before, row) or tell_new(store, past, items)
    makers = tell_makers(store, items.made, items.stored)
    if not makers:
        return changes
    return [*changes[:-1], f"{changes[-1]}; {makers}"] if changes else [makers]


def _find_map_before(store: Store, row: NodeRow) -> tuple[NodeRow | None, PastItems | None]:
    """Return the last row of a map in which its items were looked at."""
    before = store.latest(row.node, row.run_id)
    for _ in range(MOST_BACK):
        past = read_items(before) if before is not None else None
        if before is None or past is not None:
            return before, past
        before = store.latest(row.node, before.run_id)
    return None, None


def _tell_origin(store: Store, row: NodeRow) -> list[str]:
    """Return which run made a stored value, and when."""
    items = read_items(row)
    if items is not None and items.stored:
        return [tell_makers(store, items.made, items.stored)]
    made = row.reason.removeprefix(MADE)
    if made == row.reason:
        return [row.reason] if row.reason else []
    run = next((each for each in store.find_runs(made) if each.run_id == made), None)
    if run is None:
        return [f"made by {_run_word(store, made)}"]
    return [f"made by {run_word(made, run.number)}, {ago(run.begun_at)}"]


def _run_word(store: Store, run_id: str) -> str:
    return run_word(run_id, store.run_numbers([run_id]).get(run_id, 0))


def _find_before(store: Store, row: NodeRow) -> NodeRow | None:
    """Return the last row of the node with known inputs: where its value was found at once, nobody looked at them."""
    before = store.latest(row.node, row.run_id)
    for _ in range(MOST_BACK):
        if before is None or not _has_keys(row):
            break
        before = with_inputs(store, before)
        if _has_keys(before):
            break
        before = store.latest(row.node, before.run_id)
    return before


def with_inputs(store: Store, row: NodeRow, made: dict[str, dict[str, NodeRow]] | None = None) -> NodeRow:
    """Return the row of a stored value with the inputs of the run that made it, if it has none of its own.

    Args:
        made: keeps the rows of those runs by key, for who asks more than once.
    """
    made_by = row.reason.removeprefix(MADE)
    if row.outcome != "stored" or not row.key or made_by == row.reason or _has_keys(row):
        return row
    made = {} if made is None else made
    if made_by not in made:
        made[made_by] = {each.key: each for each in store.nodes(made_by)}
    return row._replace(inputs=made[made_by].get(row.key, row).inputs)


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
            found.append(f"{_named(name)} is new")
        elif old[name][0] != key and key and old[name][0]:
            found.append(_tell_input(name, old[name][:2], (key, text), _tell_sources(store, after, source)))
    found += [f"{_named(name)} is gone" for name in old if name not in new]
    return found


def _tell_sources(store: Store, row: NodeRow, sources: str) -> str:
    """Return the nodes that an input came from; of many, those that ran in the same run, if that is known."""
    names = sources.split(", ")
    if len(names) <= MOST_SOURCES:
        return sources
    ran = {each.node for each in store.nodes(row.run_id) if each.outcome == "ran"}
    shown = [name for name in names if name in ran] or names
    rest = len(shown) - MOST_SOURCES
    return ", ".join(shown[:MOST_SOURCES]) + (f" and {rest:,} more" if rest > 0 else "")


def _named(name: str) -> str:
    """Return ``the argument limit``; arguments after the named ones have a number."""
    return f"the {name}" if name.startswith("argument ") else f"the argument {name}"


def _tell_input(name: str, was: tuple[str, str], now: tuple[str, str], source: str) -> str:
    """Return how an input changed, of which the keys and short texts before and after are known."""
    (key, before), (new_key, after) = was, now
    if (file := tell_file(before, after)) is not None:
        return f"{name} {file}"
    change = f"{before} → {after}"
    if before == after:  # digests of secrets stay where they are
        short = [each.removeprefix("v:")[:8] for each in (key, new_key) if ":" not in each.removeprefix("v:")]
        digests = f": digest {short[0]} → {short[1]}" if len(short) > 1 else ""
        change = f"{after}, with another content{digests}"
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


def find_row(store: Store, name: str, run: int | str | None) -> NodeRow:
    """Return the row of a node or task in a run, by default in the last one that had it.

    Raises:
        ValueError: when there is none, with the nearest name.
    """
    from cascade.interfaces.naming import clip, nearest

    if run is None:
        found = None if is_unsayable(name) else store.latest(name)
        if found is not None:
            return found
        known = {row.node for past in store.runs(20) for row in store.nodes(past.run_id)}
        raise ValueError(f"No run in this store had a node '{clip(name)}'.{nearest(name, known)}")
    past_run = find_run(store, run)
    rows = store.nodes(past_run.run_id)
    for row in rows:
        if name in {row.node, row.task}:
            return row
    told = run_word(past_run.run_id, past_run.number)
    raise ValueError(f"{told.capitalize()} had no node '{clip(name)}'.{nearest(name, [row.node for row in rows])}")
