"""A run document → text: what a terminal, a screen reader, a mail or a diff shows of a run.

In: a document. Out: some lines of plain text. Invariant: bounded; it says what the picture says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascade.notebook.card import run_state, told_counts
from cascade.notebook.plain import duration, plural

_MOST_NODES = 30
_WIDE = 28
_MOST_RESULT_LINES = 12
_MOST_STORE_LINES = 3


def summarize(document: Mapping[str, Any]) -> str:
    """Return the text of a run: one line for the run, one for each node, then the result or the failure."""
    lines = [headline(document), *_node_lines(document), *_store_lines(document)]
    failure, result = document["failure"], document["result"]
    if failure:
        lines += _failure_lines(failure)
    elif result:
        kind, *rest = result["text"].splitlines()[:_MOST_RESULT_LINES] or [""]
        lines.append(f"result: {result['type']} {kind}".rstrip() if result["type"] not in kind else f"result: {kind}")
        lines += [f"  {line}" for line in rest]
    return "\n".join(lines)


def headline(document: Mapping[str, Any]) -> str:
    """Return ``penguin report: done in 3.2 s · 17 done · 1 skipped``."""
    run = document["run"]
    word = run_state(run)[1]
    over = run["state"] in {"completed", "failed", "cancelled"}
    time = (
        f" {'in' if run['state'] == 'completed' else 'after'} {duration(run['elapsed'])}"
        if over or run["elapsed"]
        else ""
    )
    counts = [f"{count:,} {told}" for _, count, told in told_counts(run["counts"])]
    message = [run["message"]] if run["message"] else []
    return f"{run['name']}: {word}{time}" + "".join(f" · {part}" for part in (*counts, *message))


def _node_lines(document: Mapping[str, Any]) -> list[str]:
    nodes = document["nodes"]
    boxes = document["picture"]["boxes"]
    lines = []
    for box in boxes[:_MOST_NODES]:
        entry = nodes.get(box["id"])
        if entry is None:
            continue
        name = box["name"] if len(box["name"]) <= _WIDE else f"{box['name'][: _WIDE - 1]}…"
        is_told = entry["d"] == entry["s"] or (entry["why"].startswith(entry["d"].rstrip("…")) and not entry["v"])
        why = "" if is_told else entry["d"]
        told = "  ".join(part for part in (why, entry["v"] or entry["why"]) if part)
        lines.append(f"  {name:<{_WIDE}} {entry['s']:<9} {told}".rstrip())
    if len(boxes) > _MOST_NODES:
        lines.append(f"  and {plural(len(boxes) - _MOST_NODES, 'more node')}")
    return lines


def _store_lines(document: Mapping[str, Any]) -> list[str]:
    """Return what the run could not remember, or look up: nobody should find out the next day."""
    told = (line["text"] for line in document["log"] if not line["node"] and line["text"].startswith("store: "))
    return list(dict.fromkeys(told))[:_MOST_STORE_LINES]


def _failure_lines(failure: Mapping[str, Any]) -> list[str]:
    lines = [f"{failure['label']} failed: {failure['error_type']}: {failure['error']}".rstrip(": ")]
    lines += [f"  {f['file']}, line {f['line']}, in {f['function']}: {f['code']}" for f in failure["frames"]]
    lines += [
        f"  {cause['how']} {cause['error_type']}: {cause['error']}".rstrip(": ") for cause in failure.get("causes", ())
    ]
    lines += [f"  {given['name']} = {given['preview']}" for given in failure["inputs"]]
    lines += [
        f"  {other['label']} failed, too: {other['error_type']}: {other['error']}".rstrip(": ")
        for other in failure.get("more", ())
    ]
    if failure.get("others"):
        lines.append(f"  and {plural(failure['others'], 'more failure')}")
    return [*lines, f"  {failure['good']}"] if failure["good"] else lines
