"""`%cascade peek NODE`: what the view's detail tells of a node, as text and HTML.

In: a session and the words of the line. Out: a display. Invariant: bounded plain text; markup is made by
`cascade.graph.markup` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cascade.graph.markup import Markup, element
from cascade.interfaces.exceptions import nearest
from cascade.notebook.numbers import is_number
from cascade.notebook.options import usage_error
from cascade.notebook.plain import duration, plural
from cascade.notebook.view.questions import peeker_of

if TYPE_CHECKING:
    from cascade.notebook.session import Job, Session

__all__ = ["job_and_node", "peek", "peek_bundle"]

_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def peek(session: Session, words: Sequence[str]) -> None:
    """Show what is known of a node, its arguments and its value."""
    from IPython.display import display

    job, node = job_and_node(session, words, "peek")
    if len(words) == 1:
        job = _newest_with(session, job, node)
    display(peek_bundle(_look(job, node)), raw=True)


def job_and_node(session: Session, words: Sequence[str], command: str) -> tuple[Job, str]:
    """Return the run and the node that the words of a command name: ``NODE`` or ``NODE N``."""
    from cascade.notebook.commands import job_for

    words = list(words)
    if not words:
        usage_error(f"%cascade {command} takes the name of a node: %cascade {command} clean, or fit[3] for an item.")
    number = [words.pop()] if len(words) > 1 and is_number(words[-1]) else []
    return job_for(session, number), " ".join(words).strip("'\"")


def _newest_with(session: Session, latest: Job, node: str) -> Job:
    """Return the newest job that has a node of that name; the latest if there is none."""
    name = node.partition("[")[0].partition("#")[0]
    for job in [latest, *reversed(list(session.jobs.values()))]:
        if job.views and name in {unit.name for unit in job.views[0].record.units.values()}:
            return job
    return latest


def _look(job: Job, node: str) -> dict[str, Any]:
    view = job.views[0]
    try:
        with view.lock:
            return peeker_of(view).look(node)
    except KeyError:
        names = sorted({unit.name for unit in view.record.units.values()})
        usage_error(f"{job.title} has no node '{node}'.{nearest(node.partition('[')[0], names)}")


def peek_bundle(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a peek as text and as HTML."""
    return {"text/plain": "\n".join(_lines(found)), "text/html": str(_html(found))}


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    task = found.get("task") or {}
    yield "is", task.get("signature", "")
    yield "says", task.get("doc", "")
    yield "defined in", task.get("where", "")
    yield "why", found.get("why", "")
    took = found.get("took")
    yield "took", duration(took) if took is not None else found.get("d", "")
    value = found.get("value") or {}
    yield "value", _value_line(value)


def _value_line(value: Mapping[str, Any]) -> str:
    if not value or value["state"] == "none":
        return ""
    if value["state"] == "gone":
        return "nobody keeps it any more: the last node that reads it has it"
    size = next((f"{value['size'] / unit:.1f} {word}" for unit, word in _SIZES if value["size"] >= unit), "")
    first = value["text"].splitlines()[0] if value["text"] else ""
    note = "as it was; nobody keeps it any more" if value["state"] == "recorded" else ""
    return " · ".join(part for part in (value["type"], first, size, note) if part)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['label']}: {found.get('s', '')}".rstrip(": ")
    yield from (f"  {name}: {text}" for name, text in _facts(found) if text)
    for argument in found.get("arguments", ()):
        yield f"  {argument['name']} = {_argument(argument)}"
    table = (found.get("value") or {}).get("table")
    if table:
        yield from _table_lines(table)
    for label, state, _, text, _ in (found.get("parts") or {"rows": []})["rows"][:20]:
        yield f"  {label}  {state}  {text}".rstrip()
    more = (found.get("parts") or {}).get("more", 0)
    if more:
        yield f"  and {plural(more, 'more')}".replace("mores", "more")


def _argument(argument: Mapping[str, str]) -> str:
    value, text = argument.get("value", ""), argument["text"]
    return f"{text}: {value}" if value and value != text else text


def _table_lines(table: Mapping[str, Any]) -> Iterator[str]:
    rows = [table["columns"], *table["rows"]] if table["columns"] else table["rows"]
    widths = [max(len(row[place]) for row in rows if place < len(row)) for place in range(max(map(len, rows)))]
    for row in rows:
        yield "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
    if table["more"]:
        yield f"    and {plural(table['more'], 'more row')}"


def _html(found: Mapping[str, Any]) -> Markup:
    small = {"style": "margin:2px 0;font-size:13px"}
    head = [element("b", None, found["label"]), f" {found.get('s', '')}"]
    parts = [element("p", small, *head)]
    facts = [(name, text) for name, text in _facts(found) if text]
    facts += [(f"{each['name']} =", _argument(each)) for each in found.get("arguments", ())]
    rows = [
        element(
            "tr", None, element("th", {"scope": "row", "style": "text-align:left"}, name), element("td", None, text)
        )
        for name, text in facts
    ]
    if rows:
        parts.append(element("table", None, element("tbody", None, *rows)))
    table = (found.get("value") or {}).get("table")
    if table:
        parts.append(_table(table["columns"], table["rows"], table["more"]))
    listed_parts = found.get("parts")
    if listed_parts and listed_parts["rows"]:
        cells = [[label, state, text] for label, state, _, text, _ in listed_parts["rows"][:20]]
        hidden = listed_parts["more"] + max(0, len(listed_parts["rows"]) - 20)
        parts.append(_table(["item", "state", ""], cells, hidden))
    return element("div", {"style": "font-family:system-ui,sans-serif"}, *parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], more: int) -> Markup:
    head = [element("thead", None, element("tr", None, *(element("th", None, name) for name in columns)))]
    body = [element("tr", None, *(element("td", None, cell) for cell in row)) for row in rows]
    foot = [element("caption", {"style": "caption-side:bottom"}, plural(more, "more row"))] if more else []
    return element("table", None, *foot, *(head if columns else []), element("tbody", None, *body))
