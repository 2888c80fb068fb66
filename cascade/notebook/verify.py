"""`%cascade verify`: does the saved notebook do in a fresh kernel what it did in this one?

In: the notebook's file, and what this kernel knows of its runs. Out: a `Verification`: run by run and node by node the
same or not, the cells that failed, the names that only this kernel has. Invariant: the file, the names and the store of
this kernel stay as they are; an interrupt ends the other kernel too.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascade.graph.markup import Markup, element
from cascade.interfaces.leaving_errors import VerifyError
from cascade.notebook.plain import duration, listed, plain, plural
from cascade.notebook.session import Job, Session
from cascade.tools.comparison import Comparison, compare, table
from cascade.tools.export_source import Cell, read_cells
from cascade.tools.likeness import Likeness

__all__ = ["Verification", "find_notebook", "verify_notebook"]

_PLACES = ("here", "in the fresh kernel")
_START = 60.0  # seconds beside the notebook's own that a kernel may take to start and to end
_STOP = 3.0  # seconds that the other process may take to end its kernel
_MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it.

    Args:
        file: the notebook's name. seconds: how long it took. cells: how many ran. failed: cells by name, with their
            errors. runs: compared, in the order of the cells. notes: sentences about the rest.
    """

    file: str
    seconds: float
    cells: int
    failed: tuple[tuple[str, str], ...]
    runs: tuple[Comparison, ...]
    notes: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether the notebook did the same, as far as can be told."""
        return not self.failed and all(run.is_good for run in self.runs)

    def headline(self) -> str:
        """Return ``lesson.ipynb in a fresh kernel: 9 cells in 4.2 s, everything is the same``."""
        bad = sum(not row.is_good for run in self.runs for row in run.rows)
        told = [f"{plural(len(self.failed), 'cell')} failed"] if self.failed else []
        told += [f"{plural(bad, 'node')} differ or fail"] if bad > 1 else ["1 node differs or fails"] if bad else []
        if not told:
            words = [row.word for run in self.runs for row in run.rows]
            left = words.count("not compared")
            told = ["no cell failed; it made no runs to compare"]
            if left < len(words):
                told = [f"the same but for {plural(left, 'node')} not compared" if left else "everything is the same"]
            elif left:
                told = ["no cell failed; none of its nodes could be compared"]
        where = f"{self.file} in a fresh kernel: {plural(self.cells, 'cell')} in {duration(self.seconds)}"
        return f"{where}, {', '.join(told)}"

    def __str__(self) -> str:
        """Return the headline, the failed cells, the runs and the notes."""
        lines = [self.headline()]
        lines += [f"  ✕ {cell}: {error}" for cell, error in self.failed]
        lines += [str(run) for run in self.runs]
        return "\n".join([*lines, *self.notes])

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Show tables in a notebook."""
        parts: list[Markup] = [element("p", None, element("b", None, self.headline()))]
        if self.failed:
            parts.append(table(("cell", "error"), [(f"✕ {cell}", error) for cell, error in self.failed]))
        parts += [run.to_html() for run in self.runs]
        parts += [element("p", {"style": "margin:2px 0"}, note) for note in self.notes]
        return {"text/plain": str(self), "text/html": str(element("div", None, *parts))}


# -- the file ---------------------------------------------------------------------------------------------------------


def find_notebook(shell: Any, name: str = "") -> Path:
    """Return the file of this notebook.

    Args:
        name: of the file, if someone said it; else Jupyter's and VS Code's own words are asked.

    Raises:
        VerifyError: when nobody knows, or when there is no such file.
    """
    if name:
        path = Path(name).expanduser()
        path = path if path.suffix else path.with_suffix(".ipynb")
        if not path.is_file():
            raise VerifyError.for_missing(name, [each.name for each in Path.cwd().glob("*.ipynb")])
        return path.resolve()
    told = [str(shell.user_ns.get("__vsc_ipynb_file__") or ""), os.environ.get("JPY_SESSION_NAME", "")]
    for text in filter(None, told):
        for path in (Path(text), Path.cwd() / Path(text).name):  # Jupyter tells it from its own root folder
            if path.suffix == ".ipynb" and path.is_file():
                return path.resolve()
    raise VerifyError.for_no_notebook()


def _read_cells(path: Path) -> list[dict[str, Any]]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerifyError.for_reading(path.name, f"{type(error).__name__}: {error}") from None


# -- the run ----------------------------------------------------------------------------------------------------------


def verify_notebook(session: Session, name: str = "", *, timeout: float | None = None) -> Verification:
    """Run the notebook of `session` in a fresh kernel, and compare.

    Args:
        name: of the file, by default this notebook's. timeout: seconds for all cells together.

    Raises:
        VerifyError: before anything runs. KeyboardInterrupt: the other kernel has been stopped then.
    """
    if os.environ.get("CASCADE_VERIFYING"):
        raise VerifyError.for_itself()
    _need_libraries()
    path = find_notebook(session.shell, name)
    cells = _read_cells(path)
    told = _Told(cells)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cascade-verify-") as folder:
        show = _progress(path.name, cells, is_kernel=hasattr(session.shell, "kernel"))
        for fact in _facts(path, folder, timeout):
            told.take(fact)
            show(fact)
        show({})
    return told.conclude(session, path, time.monotonic() - began, timeout)


def _need_libraries() -> None:
    from importlib.util import find_spec

    for library in ("nbclient", "nbformat", "ipykernel"):
        if find_spec(library) is None:
            raise VerifyError.for_library(library)


def _facts(path: Path, store: str, timeout: float | None) -> Iterator[dict[str, Any]]:
    """Run the other process; yield what it tells. Whatever ends this, ends it too."""
    here = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(dict.fromkeys([here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]))
    process = subprocess.Popen(
        [sys.executable, "-m", "cascade.notebook.verify_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": search},
        start_new_session=os.name == "posix",  # an interrupt is ours to handle; the kernel would have it, too
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    complaint: list[str] = []
    readers = [threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True),
               threading.Thread(target=lambda: complaint.append(process.stderr.read()), daemon=True)]  # type: ignore[union-attr]  # fmt: skip
    for reader in readers:
        reader.start()
    until = None if timeout is None else time.monotonic() + timeout + _START
    try:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write(json.dumps({"path": str(path), "store": store, "timeout": timeout}) + "\n")
        process.stdin.close()
        ended = False
        while (line := _next_line(lines, until)) is not None:
            fact = json.loads(line)
            ended = ended or bool({"names", "stopped", "broken"} & set(fact))
            yield fact
        if not ended:
            readers[1].join(_STOP)
            last = "".join(complaint).strip().splitlines()[-1:] or ["it took too long"]
            yield {"broken": last[0]}
    finally:
        _stop(process)
        for reader in readers:
            reader.join(_STOP)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _pump(stream: Any, lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _next_line(lines: queue.SimpleQueue[str | None], until: float | None) -> str | None:
    """Wait for a line in short steps, so that an interrupt is seen on every system."""
    while until is None or time.monotonic() < until:
        try:
            return lines.get(timeout=0.1)
        except queue.Empty:
            continue
    return None


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _progress(file: str, cells: Sequence[Mapping[str, Any]], *, is_kernel: bool) -> Callable[[Mapping[str, Any]], None]:
    """Return what keeps one line of the cell's output up to date."""
    from IPython.display import display

    total = sum(cell["cell_type"] == "code" and bool(cell["source"].strip()) for cell in cells)
    begins = {"text/plain": f"{file}: starting a fresh kernel"}
    handle = display(begins, raw=True, display_id=True) if is_kernel else None  # a terminal cannot change a line
    done = 0

    def show(fact: Mapping[str, Any]) -> None:
        nonlocal done
        if "cell" in fact:
            done += 1
        if handle is not None and ("begins" in fact or not fact):
            text = f"{file}: {done} of {plural(total, 'cell')} done" if fact else f"{file}: {plural(done, 'cell')} ran"
            handle.update({"text/plain": text}, raw=True)

    return show


# -- what it means ----------------------------------------------------------------------------------------------------


class _Told:
    """Collects what the other process tells."""

    def __init__(self, cells: Sequence[Mapping[str, Any]]) -> None:
        self._cells = cells
        self._runs: list[dict[str, Any]] = []
        self._failed: dict[int, str] = {}
        self._ran = 0
        self._names: set[str] | None = None
        self._notes: list[str] = []

    def take(self, fact: Mapping[str, Any]) -> None:
        """Take one fact."""
        if "run" in fact:
            self._runs.append(fact["run"])
        elif "cell" in fact:
            self._ran += 1
            if fact["error"]:
                self._failed[int(fact["cell"])] = str(fact["error"])
        elif "names" in fact:
            self._names = set(fact["names"])
        elif "stopped" in fact:
            left = [place for place in range(int(fact["stopped"]), len(self._cells)) if self._is_code(place)]
            if left:
                self._notes.append(f"The time was over before {self._name(left[0])}; raise --timeout.")
        elif "broken" in fact:
            self._notes.append(f"The fresh kernel could not go on: {plain(str(fact['broken']))}.")

    def _is_code(self, place: int) -> bool:
        cell = self._cells[place]
        return cell["cell_type"] == "code" and bool(cell["source"].strip())

    def _name(self, place: int) -> str:
        lines = [line.strip() for line in self._cells[place]["source"].splitlines() if line.strip()]
        shown = " … ".join(dict.fromkeys([lines[0], lines[-1]])) if lines[0].startswith("%%") else lines[0]
        return f"cell {place + 1} ({plain(shown, 50)})"

    def conclude(self, session: Session, path: Path, seconds: float, timeout: float | None) -> Verification:
        """Compare with what the session knows."""
        del timeout
        runs = tuple(self._compare(session))
        failed = tuple((self._name(place), self._failure(place)) for place in sorted(self._failed))
        notes = [*self._notes, *self._about_saving(session, path), *self._about_names(session)]
        if self._notes and not failed:
            failed = ((path.name, "it did not run to its end"),)
        return Verification(path.name, seconds, self._ran, failed, runs, tuple(notes))

    def _failure(self, place: int) -> str:
        outputs = self._cells[place].get("outputs", ())
        as_saved = any(output.get("output_type") == "error" for output in outputs)
        return plain(self._failed[place], 200) + (" (as it did when the notebook was saved)" if as_saved else "")

    def _compare(self, session: Session) -> Iterator[Comparison]:
        from cascade.notebook.leaving import likenesses

        left = [job for job in session.jobs.values() if job.over]
        for place, run in enumerate(self._runs):
            title = f"{self._name(run['cell'])}, run of {plain(run['name'], 60)}"
            there = {node: Likeness.from_dict(told) for node, told in run["nodes"].items()}
            later = sum(other["name"] == run["name"] for other in self._runs[place + 1 :])
            job = _match(left, str(self._cells[run["cell"]].get("id", "")), run["name"], later)
            if job is None:
                notes = ("This kernel has not run it, so there was nothing to compare with.",)
                yield compare(title, {}, there, run["failed"], _PLACES, notes)
                continue
            left.remove(job)
            here = likenesses(job, session.store)
            found = compare(title, here, there, run["failed"], _PLACES)
            redact = getattr(job.run, "redact", str)
            rows = tuple(type(row)(row.name, row.word, redact(row.why)) for row in found.rows)
            yield Comparison(found.title, rows, found.notes)

    def _about_names(self, session: Session) -> Iterator[str]:
        if self._names is None:
            return
        shell = session.shell
        here = {name for name in shell.user_ns if not name.startswith("_") and name not in shell.user_ns_hidden}
        given = set[str]().union(*(each.gives for each in read_cells(self._plain_cells(shell))))
        only = sorted(here - self._names - given)  # what a cell gives that failed is said with the cell
        if only:
            yield (
                f"{plural(len(only), 'name exists', 'names exist')} only in this kernel: "
                f"{listed(only, _MOST_NAMES)}. No cell of the saved file gives {'it' if len(only) == 1 else 'them'}."
            )

    def _plain_cells(self, shell: Any) -> Iterator[Cell]:
        for cell in self._cells:
            if cell["cell_type"] == "code":
                text = cell["source"]
                body = text.partition("\n")[2] if text.startswith("%%") else text
                yield Cell("", shell.transform_cell(body))

    def _about_saving(self, session: Session, path: Path) -> Iterator[str]:
        """Say which cells of the file this kernel has not run as they are saved."""
        ran = {str(text).strip() for text in session.shell.history_manager.input_hist_raw}
        latest = {cell: text.strip() for cell, text, _ in session.ran if cell}
        new = []
        for place, cell in enumerate(self._cells):
            text = cell["source"].strip() if cell["cell_type"] == "code" else ""
            known = latest.get(str(cell.get("id", "")))
            if text and not text.startswith("%cascade") and (text != known if known is not None else text not in ran):
                new.append(place)
        if new:
            names = listed([self._name(place) for place in new], 3)
            yield (
                f"As {path.name} is saved, {names} did not run in this kernel. Save the notebook if you changed it, "
                "or run them."
            )


def _match(jobs: Sequence[Job], cell: str, name: str, later: int = 0) -> Job | None:
    """Return the run of this kernel that belongs to a run over there: that of the same cell, else of the same name.

    A front end that does not tell cells apart leaves the order: `later` runs of that name are still to be matched.
    """
    of_cell = [job for job in jobs if cell and job.cell == cell]
    if any(job.cell for job in jobs):
        later = 0
    same = [job for job in of_cell or jobs if str(job.run.name) == name] or of_cell
    return same[max(0, len(same) - 1 - later)] if same else None
