"""A run that has ended → its report: one HTML page with all that is known of it.

In: a run, or the record that a view kept of it. Out: a file. Invariant: the page reads without a script and without a
network: what happened, the nodes, the log, the Params, the environment and how to do it again are plain HTML; with a
script the same run can be looked at and replayed. No user, host or folder is named, and secrets stay redacted.
"""

from __future__ import annotations

import ast
import inspect
import os
import platform
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from cascade.graph.draw import Picture
from cascade.graph.markup import Markup, element
from cascade.interfaces.step_errors import ReportError
from cascade.notebook.bundle import static_bundle
from cascade.notebook.figures import enlarge
from cascade.notebook.page import make_page, run_place
from cascade.notebook.plain import duration, plain, plural

__all__ = ["report_page", "write_report"]

REDACTED = "•••"  # what stands for the value of a secret
MOST_TASKS = 60
MOST_CODE = 40_000  # characters
STYLE = """
main { max-width: 72rem; }
.about { margin: -.4em 0 1.6em; color: var(--soft); }
.wide { width: 100%; border-collapse: collapse; font-size: 13px; line-height: 1.45; }
.wide th, .wide td { padding: .3rem .6rem .3rem 0; border: 0 solid var(--line); border-bottom-width: 1px;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; font-weight: 400; }
.wide thead th { color: var(--soft); white-space: nowrap; }
.wide .number { white-space: nowrap; text-align: right; padding-right: 1rem; font-variant-numeric: tabular-nums; }
.wide .short { white-space: nowrap; }
.block { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--code);
  margin: .8rem 0; }
details > summary { cursor: pointer; margin: 2.2em 0 .6em; font-size: 1.17em; font-weight: 700; }
.picture table { border-collapse: collapse; font-size: 13px; }
.picture td, .picture th { padding: .2rem .7rem; border: 0 solid var(--line); border-bottom-width: 1px;
  text-align: left; }
.has-views .told { display: none; }
@media print {
  .has-views .told { display: block; }
  .wide { font-size: 8.5pt; }
  .block { border-radius: 0; }
  pre { font-size: 8pt; }
  details > summary { list-style: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  thead { display: table-header-group; }
}
"""


def write_report(run: Any, path: str | os.PathLike[str], view: Any = None) -> Path:
    """Write the report of a run and return where it is.

    Args:
        run: its handle; what is kept of one whose values were let go will do. path: ends in ``.html``. view: a display
            whose record is used instead of one that is made of the run's events.

    Raises:
        ReportError: while the run goes on, or for another kind of file. OSError: it cannot be written.

    Example:
        >>> import cascade as cs, pathlib, tempfile
        >>> @cs.task
        ... def one(): return 1
        >>> run = cs.start(one(), log_level=None)
        >>> ended = run.wait(10)
        >>> write_report(run, pathlib.Path(tempfile.mkdtemp()) / "one.html").name
        'one.html'
    """
    from cascade.notebook.cell_showing import preview_result
    from cascade.notebook.display import record_of

    target = Path(path)
    if target.suffix.lower() not in {".html", ".htm"}:
        raise ReportError.of_kind(str(path))
    if not run.done():
        raise ReportError.while_going_on(run.name)
    record = view.record if view is not None else record_of(run)
    if record.result is None and record.state == "completed" and hasattr(run, "result"):
        record.set_result(preview_result(run, run.result(0), run.redact))
    tasks = _tasks_of(getattr(run, "graph", None))
    document = record.document()
    if hasattr(run, "figure"):
        enlarge(document, run.figure)
    text = report_page(document, record.drawing.shape, tasks, getattr(run, "redact", str))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", errors="replace")
    return target


def report_page(document: Mapping[str, Any], shape: Picture, tasks: Sequence[Any] = (), redact: Any = str) -> str:
    """Return the page of a run document.

    Args:
        shape: of the graph, for the picture. tasks: those that took part, for their code and the packages that they
            use. redact: takes secrets out of the code.
    """
    shown = _without_paths(document)
    run = shown["run"]
    body = [
        element("h1", None, run["name"]),
        element("p", {"class": "about"}, _about(run)),
        run_place(shown, static_bundle(shown, shape)["text/html"], "run"),
        _section("Nodes", _nodes(shown), told=True),
        _section("Log", _log(shown), told=True),
        _section("Params", _params(shown)),
        _section("Environment", _environment(tasks)),
        _section("To do it again", _again(shown, tasks)),
        _code(tasks, redact),
    ]
    return make_page(f"{plain(run['name'], 80)} · run {run['id']}", "\n".join(body), style=STYLE)


def _section(title: str, content: Markup | None, *, told: bool = False) -> Markup:
    """A part of the page; one that the view tells too (`told`) is for paper, and for readers without a script."""
    if content is None:
        return Markup("")
    return element("section", {"class": "told" if told else ""}, element("h2", None, title), content)


def _about(run: Mapping[str, Any]) -> str:
    words = [f"run {run['id']}", "done" if run["state"] == "completed" else run["state"]]
    if run["started"]:
        words.append(datetime.fromtimestamp(run["started"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))
    words.append(f"took {duration(run['elapsed'])}")
    return " · ".join(words)


def _without_paths(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the names of source files, but not of the folders in which they lie."""
    failure = document["failure"]
    if failure:
        frames = [{**frame, "file": _file_name(frame["file"])} for frame in failure["frames"]]
        failure = {**failure, "frames": frames}
    return {**document, "failure": failure}


def _file_name(file: str) -> str:
    return PurePath(file.replace("\\", "/")).name if "/" in file or "\\" in file else file


# -- what happened -----------------------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], kinds: Sequence[str] = ()) -> Markup:
    looks = [*kinds, *[""] * (len(heads) - len(kinds))]
    head = element(
        "tr", None, *(element("th", {"class": k, "scope": "col"}, h) for h, k in zip(heads, looks, strict=True))
    )
    body = [
        element("tr", None, *(element("td", {"class": k}, cell) for cell, k in zip(row, looks, strict=True)))
        for row in rows
    ]
    return element("table", {"class": "wide"}, element("thead", None, head), element("tbody", None, "", *body))


def _nodes(document: Mapping[str, Any]) -> Markup:
    rows = []
    for box in document["picture"]["boxes"]:
        entry = document["nodes"].get(box["id"])
        if entry is None or entry["s"] == "param":
            continue
        began = "" if entry["t0"] is None else duration(entry["t0"])
        took = "" if entry["t0"] is None or entry["t1"] is None else duration(entry["t1"] - entry["t0"])
        told = [part for part in (entry["d"], entry["why"], entry["v"]) if part and part != took]
        rows.append([box["name"], entry["s"], began, took, " · ".join(told)])
    return _table(["Node", "State", "Started at", "Took", "Detail"], rows, ["", "short", "number", "number", ""])


def _log(document: Mapping[str, Any]) -> Markup | None:
    if not document["log"]:
        return None
    rows = [[f"{line['t']:.2f} s", line["label"], line["text"]] for line in document["log"]]
    table = _table(["At", "Who", "What"], rows, ["number", "", ""])
    missing = document["dropped"]["log"]
    if not missing:
        return table
    return element("div", None, element("p", {"class": "about"}, f"{plural(missing, 'earlier line')} left out."), table)


def _params(document: Mapping[str, Any]) -> Markup | None:
    if not document["params"]:
        return None
    rows = [[one["name"], one["value"], one["type"], one["description"]] for one in document["params"]]
    return _table(["Param", "Value", "Type", "What it is"], rows)


# -- where, and how to do it again -------------------------------------------------------------------------------------


def _tasks_of(graph: Any) -> list[Any]:
    """Return the tasks of a graph, each once, in the order in which they were called."""
    found: dict[int, Any] = {}
    for call in getattr(graph, "calls", ()):
        task = getattr(call, "_task", None)
        if callable(getattr(task, "func", None)):
            found.setdefault(id(task), task)
    return list(found.values())[:MOST_TASKS]


def libraries(tasks: Iterable[Any]) -> dict[str, str]:
    """Return the versions of the packages that the code of `tasks` really uses, by name."""
    from cascade.identity.code import code_key

    found: dict[str, str] = {}
    for task in tasks:
        try:
            parts = code_key(task).parts
        except Exception:  # noqa: BLE001, S112 - code that cannot be read tells nothing of what it uses
            continue
        for part in parts:
            name, _, version = part.source.partition(" ")
            if part.kind == "library" and name not in {"python", "cascade"}:
                found[name] = version
    return dict(sorted(found.items()))


def _environment(tasks: Sequence[Any]) -> Markup:
    from cascade import __version__

    rows = [
        ["Python", f"{platform.python_version()} ({platform.python_implementation()})"],
        ["System", f"{platform.system()} on {platform.machine()}, {plural(os.cpu_count() or 1, 'core')}"],
        ["cascade-notebook", __version__],
        *[[name, version] for name, version in libraries(tasks).items()],
    ]
    return _table(["What", "Version"], rows)


def _again(document: Mapping[str, Any], tasks: Sequence[Any]) -> Markup:
    from cascade import __version__

    packages = [f"cascade-notebook=={__version__}", *(f"{name}=={v}" for name, v in libraries(tasks).items())]
    params = [f"{one['name']!r}: {_literal(one['value'])}" for one in document["params"] if one["value"]]
    amounts = [f"{one['name']!r}: {one['total']}" for one in document["capacities"]]
    given = [
        f"params={{{', '.join(params)}}}" if params else "",
        f"system_resources={{{', '.join(amounts)}}}" if amounts else "",
    ]
    call = ", ".join(["target", *(part for part in given if part)])
    lines = [f"pip install {' '.join(packages)}", "", "import cascade as cs", f"cs.run({call})"]
    return element("pre", {"class": "block"}, "\n".join(lines))


def _literal(preview: str) -> str:
    """Return a value as code, as far as its preview is that; three dots for what is secret or cut short."""
    try:
        return repr(ast.literal_eval(preview))
    except (ValueError, SyntaxError):
        return "..." if preview.endswith("…") or preview == REDACTED else repr(preview)


def _code(tasks: Sequence[Any], redact: Any) -> Markup:
    """The code of the tasks, as far as it fits."""
    pieces, room = [], MOST_CODE
    for task in tasks:
        try:
            source = redact(textwrap.dedent(inspect.getsource(task.func)).rstrip())
        except (OSError, TypeError):
            continue  # typed where no source is kept
        room -= len(source)
        if room < 0:
            break
        pieces.append(element("pre", {"class": "block"}, source))
    if not pieces:
        return Markup("")
    return element("details", None, element("summary", None, f"Code of {plural(len(pieces), 'task')}"), *pieces)
