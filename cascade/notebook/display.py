"""Objects of cascade → what a notebook shows of them. Called by the objects themselves, at first use.

In: a lazy result, a graph, a run. Out: MIME bundles, or a display. Invariant: showing something never runs it and
never fails; what has no picture has its text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.notebook.bundle import finished_bundle
from cascade.notebook.bundle import graph_bundle as bundle_of_drawing
from cascade.notebook.figures import enlarge
from cascade.notebook.folding import Drawing, draw_graph
from cascade.notebook.intake import Intake
from cascade.notebook.record import RunRecord
from cascade.runtime.collector import UNKNOWN, calm_collector

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = [
    "bundle",
    "graph_bundle",
    "lazy_bundle",
    "replay",
    "report",
    "run_bundle",
    "show_graph",
    "show_plan",
    "show_run",
    "view",
]

Bundle = tuple[dict[str, Any], dict[str, Any]]


def bundle(shown: Any) -> Bundle:
    """Return what a notebook shows of a lazy result, a Router, a graph, a run or a simulation."""
    from cascade.graph.model import Graph

    if hasattr(shown, "makespan"):
        from cascade.notebook.simulating import simulation_bundle

        return simulation_bundle(shown)
    is_run = hasattr(shown, "run_id")  # also one that was read from a journal
    made = run_bundle if is_run else graph_bundle if isinstance(shown, Graph) else lazy_bundle
    return made(shown)


def lazy_bundle(lazy: Any) -> Bundle:
    """Return the picture of everything that a lazy result needs."""

    def make() -> dict[str, Any]:
        from cascade.graph.build import build

        with calm_collector(UNKNOWN):
            return {**_picture_of(build(lazy)), "text/plain": repr(lazy)}

    return _or_text(make, lazy)


def graph_bundle(graph: Any) -> Bundle:
    """Return the picture of a graph."""
    with calm_collector(UNKNOWN):
        return _or_text(lambda: _picture_of(graph), graph)


def run_bundle(run: Any) -> Bundle:
    """Return the picture of a run as it stands; what `run.view()` shows goes on, this does not."""

    def make() -> dict[str, Any]:
        record = record_of(run)
        made = record.document(run.elapsed)
        enlarge(made, run.figure)
        return finished_bundle(made, record.drawing.shape)

    return _or_text(make, run)


def record_of(run: Any) -> RunRecord:
    """Return the record of a run: that of its display if it has one, else one made of its events."""
    session = _session()
    job = session.job_of(run) if session is not None else None
    if job is not None and job.views and job.views[0].finished.is_set():
        kept: RunRecord = job.views[0].record
        return kept
    with calm_collector(UNKNOWN):
        graph = run.graph
        record = RunRecord(graph, locate=session.locate) if session is not None else RunRecord(graph)
        journal = getattr(getattr(run, "_flow", None), "journal", None)
        if journal is None:  # one that was read from a file has a list
            record.apply(run.events)
            record.is_cut = not record.finished
        else:
            intake = Intake(record, journal)
            intake.catch_up()
            intake.close()
    return record


def _session() -> Any:
    """Return the session of this kernel, if there is one; where IPython is missing, there is none to import."""
    module = sys.modules.get("cascade.notebook.session")
    return module.current_session() if module is not None else None


def view(run: Any) -> str | None:
    """Show a run in the cell that runs now; outside a notebook, return its text."""
    from IPython import get_ipython

    if get_ipython() is None:
        return str(run_bundle(run)[0]["text/plain"])
    show_run(run)
    return None


def replay(run: Any) -> str | None:
    """Show a run that has ended from its beginning again; outside a notebook, return its story as text."""
    from cascade.interfaces.step_errors import ReportError
    from cascade.notebook.replay import describe_replay, show_replay

    if not run.done():
        raise ReportError.while_going_on(run.name)
    record = record_of(run)
    shell = sys.modules.get("IPython")
    if shell is None or shell.get_ipython() is None:
        return describe_replay(record.document())
    show_replay(record.document(), record.drawing.shape)
    return None


def report(run: Any, path: str | os.PathLike[str]) -> Path:
    """Write a run that has ended as one HTML page."""
    from cascade.notebook.report import write_report

    return write_report(run, path)


def show_run(run: Any, view: str = "auto") -> None:
    """Show a run in the cell that runs now: live while it goes on, finished afterwards.

    Works without the extension too: then nothing remembers the run once it is over.
    """
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if run.done():
        display(run_bundle(run)[0], raw=True)
        return
    from cascade.notebook.session import Session, current_session

    session = current_session() or Session(shell)
    session.show(session.add(run, background=True), view)


def show_record(record: RunRecord) -> None:
    """Show the finished picture of a run in the cell that runs now."""
    from IPython.display import display

    display(finished_bundle(record.document(), record.drawing.shape), raw=True)


def show_graph(drawing: Drawing, name: str) -> None:
    """Show the graph of a run, or of a target, in the cell that runs now."""
    from IPython.display import display

    display(bundle_of_drawing(drawing, name), raw=True)


def show_plan(target: Any, params: Mapping[str, Any], capacities: Mapping[str, float]) -> None:
    """Show the graph of `target` and what would run in which order; runs nothing."""
    from IPython.display import display

    from cascade.graph.build import build
    from cascade.tools.preview import preview

    plan = preview(target, params, capacities or None)
    picture = _picture_of(build(target))
    html = f"{picture['text/html']}{plan._repr_html_()}"
    display({"text/html": html, "text/plain": f"{picture['text/plain']}\n{plan}"}, raw=True)


def _picture_of(graph: Any) -> dict[str, Any]:
    return bundle_of_drawing(draw_graph(graph), graph.name)


def _or_text(make: Callable[[], dict[str, Any]], shown: object) -> Bundle:
    try:
        return make(), {}
    except Exception:  # noqa: BLE001 - an object that cannot be drawn still has its repr
        return {"text/plain": repr(shown)}, {}
