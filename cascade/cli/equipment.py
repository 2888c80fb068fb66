"""`cascade doctor`: what is installed, what does not work here, and what to do about it.

In: this Python, its packages, the folder, an address. Out: a line for each. Invariant: looks only: nothing is
installed, no store is made, no run is told anything.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cascade.cli.codes import DONE, FAILED
from cascade.cli.desk import open_desk, without_password
from cascade.cli.output import show
from cascade.cli.tables import lay_out
from cascade.interfaces.exceptions import CascadeError
from cascade.messaging.renderer import one_line

__all__ = ["Finding", "examine", "findings"]

EXTRAS: Final = {
    "notebook": (("IPython", "ipython"), ("ipykernel", ""), ("ipywidgets", ""), ("anywidget", "")),
    "data": (("pandas", ""), ("duckdb", ""), ("matplotlib", "")),
    "sql": (("sqlalchemy", ""), ("duckdb", "")),
    "http": (("httpx", ""),),
    "s3": (("fsspec", ""), ("s3fs", "")),
    "mqtt": (("aiomqtt", ""),),
    "redis": (("redis", ""),),
    "otel": (("opentelemetry.sdk", "opentelemetry-sdk"),),
    "process": (("loky", ""),),
    "dask": (("dask", ""), ("distributed", "")),
    "solver": (("ortools", ""),),
    "text": (("jinja2", ""), ("yaml", "pyyaml")),
}
NEEDED: Final = ("cloudpickle", "graphviz", "rich", "typer")
SIGNS: Final = {"ok": "✓", "missing": "–", "wrong": "✕"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        state: ``ok``; ``missing``: an extra that nobody needs before they use it; ``wrong``: something does not work.
        what: a name. found: what is there. advice: what to do; empty where nothing is to be done.
    """

    state: str
    what: str
    found: str
    advice: str = ""


def examine(at: str, *, as_json: bool) -> int:
    """Print all findings; return FAILED when something is wrong."""
    found = list(findings(at))
    wrong = sum(each.state == "wrong" for each in found)
    if as_json:
        show(found, as_json=True)
    else:
        rows = [(SIGNS[one.state], one.what, " ".join(p for p in (one.found, one.advice) if p)) for one in found]
        told = "Everything that is needed works." if not wrong else f"{wrong} of these do not work."
        show(f"{lay_out(rows)}\n{told}", as_json=False)
    return FAILED if wrong else DONE


def findings(at: str) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    from cascade import __version__

    yield Finding("ok", "cascade-notebook", f"{__version__}")
    is_new = sys.version_info >= (3, 11)
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok" if is_new else "wrong", "Python", version, "" if is_new else "Use Python 3.11 or newer.")
    yield _packages("needed", tuple((name, "") for name in NEEDED), is_needed=True)
    for extra, modules in EXTRAS.items():
        yield _packages(extra, modules, is_needed=False)
    program = shutil.which("dot")
    yield Finding(
        "ok" if program else "missing", "Graphviz program", "there" if program else "not there;",
        "" if program else "only .png and .pdf pictures of graphs need it, .svg does not.",
    )  # fmt: skip
    yield _extension()
    yield _store()
    yield from _connection(at)


def _packages(extra: str, modules: tuple[tuple[str, str], ...], *, is_needed: bool) -> Finding:
    told, missing, broken = [], [], []
    for module, distribution in modules:
        name = distribution or module
        state = _import_state(module)
        if state == "there":
            told.append(f"{name} {_version_of(name)}".rstrip())
        elif state == "missing":
            missing.append(name)
        else:
            broken.append(f"{name} ({state})")
    parts = [", ".join(told), f"not installed: {', '.join(missing)}." if missing else ""]
    parts.append(f"does not work: {', '.join(broken)}." if broken else "")
    found = "; ".join(part for part in parts if part)
    names = " ".join([*missing, *(each.partition(" ")[0] for each in broken)])
    what = "libraries" if is_needed else f"extra {extra}"
    if broken or (missing and is_needed):
        return Finding("wrong", what, found, f"Run: pip install --upgrade {names}")
    if missing:
        return Finding("missing", what, found, f"To have it: pip install 'cascade-notebook[{extra}]'")
    return Finding("ok", what, found)


def _import_state(module: str) -> str:
    """Return ``there``, ``missing``, or why the library cannot be found whole; it is not loaded."""
    from importlib.util import find_spec

    try:
        return "there" if find_spec(module) is not None else "missing"
    except ModuleNotFoundError:
        return "missing"
    except (ImportError, ValueError, AttributeError) as error:
        return type(error).__name__


def _version_of(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _extension() -> Finding:
    """Whether JupyterLab finds the renderer of finished runs."""
    places = [Path(sys.prefix, "share"), Path.home() / ".local" / "share"]
    if os.environ.get("JUPYTER_PATH"):
        places += [Path(each).parent for each in os.environ["JUPYTER_PATH"].split(os.pathsep)]
    there = any((place / "jupyter" / "labextensions" / "cascade-notebook").is_dir() for place in places)
    if there:
        return Finding("ok", "JupyterLab renderer", "there")
    advice = "Install the package beside JupyterLab, not from its sources alone: pip install cascade-notebook"
    return Finding("missing", "JupyterLab renderer", "not there: saved runs are shown as pictures.", advice)


def _store() -> Finding:
    """Whether the store of this folder is whole."""
    from cascade.cli.launching import PLACE
    from cascade.tools.storage import storage

    if not Path(PLACE).is_dir():
        return Finding("ok", "store", "none in this folder; cascade run makes one.")
    try:
        told = storage("check", cache=PLACE)
        size = storage("size", cache=PLACE).partition("\n")[0]
    except (CascadeError, OSError, ValueError) as error:
        return Finding("wrong", "store", one_line(f"{PLACE} cannot be read: {error}"), "Remove it, or name another.")
    if told.startswith("Everything"):
        return Finding("ok", "store", f"{PLACE}: {size}")
    return Finding("wrong", "store", one_line(told, 200), "Clean it up with cascade store gc.")


def _connection(at: str) -> Iterator[Finding]:
    """Whether runs can be reached, and a pause that somebody forgot."""
    place = without_password(at)
    try:
        with open_desk(at) as desk:
            going, limits = desk.runs(), desk.limits()
    except CascadeError as error:
        yield Finding("wrong", f"runs at {place}", one_line(str(error), 300))
        return
    count = f"{len(going)} run{'' if len(going) == 1 else 's'}"
    yield Finding("ok", f"runs at {place}", f"reached; {count} going on.")
    from cascade.cli.desk import limit_words

    for known in limits:
        undo = "resume" if known.limit.type == "pause" else "unlimit"
        yield Finding("ok", f"limit at {place}", f"{limit_words(known)}.", f"Lift it with cascade {undo}.")
