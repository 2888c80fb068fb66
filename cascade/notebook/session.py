"""The notebook's runs: which cell owns which run, and what `%cascade jobs` lists.

In: the shell's events and the runs that are shown. Out: numbered jobs. Invariant: a cell has at most one run; running
the cell again cancels the one before and closes its display.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascade.notebook.cell_graph import Cells
from cascade.notebook.cell_store import CellMemory
from cascade.notebook.output import capture
from cascade.notebook.plain import duration, plain
from cascade.notebook.view.driver import RunView
from cascade.notebook.view.routing import CellMark
from cascade.notebook.view.rungs import choose

if TYPE_CHECKING:
    from cascade.adapters.stores.local import LocalStore
    from cascade.notebook.view.rungs import Rung

__all__ = ["Job", "Session", "current_session"]

MOST_JOBS = 50
MOST_HANDLES = 2
MOST_LIVE = 20
MOST_GUESTS = 10
VIEWS = ("auto", "live", "static", "text", "none")
_OVER = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class EndedRun:
    """What is kept of a run once newer ones are over: its values may be large, and its handle holds them."""

    run_id: str
    name: str
    state: str
    elapsed: float

    def done(self) -> bool:
        """It is over."""
        return True


@dataclass(slots=True)
class Job:
    """One run of this notebook.

    Args:
        number: counts from 1. run: its handle. cell: the id of its cell, empty if the front end gives none.
        views: its displays; the first keeps the record. background: whether the cell went on without waiting.
        output: the name to which its value is bound, if any. elsewhere: it is a run of another process, looked at here.
    """

    number: int
    run: Any
    cell: str
    views: list[RunView] = field(default_factory=list)
    background: bool = False
    output: str = ""
    below: Any = None  # where its value stands below its card, if that can be replaced
    out: int = 0  # the number of the Out that has its value, 0 if there is none
    elsewhere: bool = False
    known: int = 0  # the number of its run in the store, once it has been asked for

    @property
    def stored(self) -> int:
        """The number of its run in the store, 0 while none is known: nothing is stored, or not yet."""
        rebuilder = getattr(getattr(self.run, "_flow", None), "rebuilder", None)
        if not self.known and rebuilder is not None:
            self.known = rebuilder.store.run_numbers([self.run.run_id]).get(self.run.run_id, 0)
        return self.known

    @property
    def called(self) -> str:
        """How people call it: ``job 3``, and ``job 3 (run 14)`` where the store knows its run."""
        if self.elsewhere:
            return f"job {self.number} ({plain(self.run.run_id, 20)})"
        return f"job {self.number} (run {self.stored})" if self.stored else f"job {self.number}"

    @property
    def title(self) -> str:
        """The same at the beginning of a sentence."""
        return self.called.capitalize()

    @property
    def over(self) -> bool:
        """Whether the run is over."""
        return str(self.run.state) in _OVER

    def let_go(self) -> None:
        """Keep the record and let the handle go, and with it the values of the run."""
        run = self.run
        if not isinstance(run, EndedRun):
            _ = self.stored  # asked for while the run is there
            self.run = EndedRun(run.run_id, run.name, run.state, run.elapsed)
            for view in self.views:
                view.run = self.run

    def describe(self) -> str:
        """Return ``job 3 (run 14)  penguin report  running  4.2 s``."""
        how = "  in the background" if self.background and not self.over else "  elsewhere" if self.elsewhere else ""
        name = plain(str(self.run.name), 40)
        return f"{self.called:<16}  {name:<24}  {self.run.state:<10}  {duration(self.run.elapsed)}{how}"


class Session:
    """What cascade keeps while its extension is loaded."""

    def __init__(self, shell: Any) -> None:
        """Take the IPython shell; `begin` listens to it."""
        self.shell = shell
        self.jobs: dict[int, Job] = {}
        self.elsewhere: dict[int, Job] = {}  # runs of other processes that are looked at here, by job number
        self.cell = ""
        self.ran: list[tuple[str, str, float]] = []  # id and text of each cell that ran, and when
        self.count = 0
        self.mark = CellMark.of_now(shell)
        self.depth = 0
        self.usual: dict[str, float] = {}
        self.cells = Cells()
        self.cell_memory = CellMemory()
        self.left: list[RunView] = []  # views of which a picture was left while their runs went on
        self.replaces_values = False  # values are shown so that auto can bring them up to date
        self.guests: list[Any] = []  # controls that live in cells: each has `cell` and `close(discard=…)`
        self._store: LocalStore | None = None
        self.chosen_store: Any = None  # in place of the notebook's own, by %cascade store use
        self._numbers = itertools.count(1)

    def begin(self) -> None:
        """Listen to which cell runs."""
        self.shell.events.register("pre_run_cell", self.enter_cell)
        self.shell.events.register("post_run_cell", self.leave_cell)
        # the cell that loads the extension began before anyone listened
        asked: dict[str, Any] = getattr(self.shell, "get_parent", dict)() or {}
        told = asked.get("metadata", {}).get("cellId"), asked.get("content", {}).get("code")
        self.ran.append((str(told[0] or ""), str(told[1] or ""), time.time()))

    def end(self) -> None:
        """Take everything away; runs in the background go on without a display."""
        for name, listener in (("pre_run_cell", self.enter_cell), ("post_run_cell", self.leave_cell)):
            try:
                self.shell.events.unregister(name, listener)
            except ValueError:
                continue
        for job in self.jobs.values():
            for view in job.views:
                view.close()
        for guest in list(self.guests):
            guest.close(discard=False)
        self.jobs.clear()
        self.elsewhere.clear()

    @property
    def has_store(self) -> bool:
        """Whether this notebook has a store yet; asking for it makes none."""
        from cascade.runtime.run import FOLDER

        return self.chosen_store is not None or (Path.cwd() / FOLDER).is_dir()

    @property
    def store(self) -> LocalStore:
        """The store of this notebook: in the folder that the kernel works in, which is its own, or a chosen one."""
        from cascade.adapters.stores.local import LocalStore
        from cascade.runtime.run import FOLDER

        if self.chosen_store is not None:
            return self.chosen_store  # type: ignore[no-any-return]
        folder = Path.cwd() / FOLDER
        if self._store is None or self._store.folder != folder:
            self._store = LocalStore(folder)
        return self._store

    # -- cells -------------------------------------------------------------------------------------------------------

    def enter_cell(self, info: Any = None) -> None:
        """A cell begins: what it ran before is replaced."""
        self.depth += 1
        if self.depth > 1:
            return
        self.mark = CellMark.of_now(self.shell)
        self.cell = str(getattr(info, "cell_id", None) or "")
        self.ran.append((self.cell, str(getattr(info, "raw_cell", None) or ""), time.time()))
        self.count = self.shell.execution_count - bool(getattr(info, "store_history", True))
        self.cells.retire(self.cell, str(getattr(info, "raw_cell", None) or ""))
        if self.cell:
            for guest in [guest for guest in self.guests if guest.cell == self.cell]:
                guest.close(discard=True)
            for job in [job for job in self.jobs.values() if job.cell == self.cell]:
                self._replace(job)

    def leave_cell(self, _result: Any = None) -> None:
        """A cell ended."""
        self.depth = max(0, self.depth - 1)
        if not self.depth and (self.left or self._has_live_views()):
            from cascade.notebook.unfinished import leave_pictures

            leave_pictures(self)

    def _has_live_views(self) -> bool:
        return any(view.is_live for job in (*self.jobs.values(), *self.elsewhere.values()) for view in job.views)

    @property
    def in_cell(self) -> bool:
        """Whether the code of a cell runs now."""
        return self.depth > 0

    def _replace(self, job: Job) -> None:
        if not job.over:
            job.run.cancel("its cell runs again")
        for view in job.views:
            view.close(discard=True)
        job.cell = ""

    # -- jobs --------------------------------------------------------------------------------------------------------

    def add(self, run: Any, *, background: bool = False) -> Job:
        """Give a run a number, or return the job that it has already."""
        known = self.job_of(run)
        if known is not None:
            return known
        job = Job(next(self._numbers), run, self.cell, background=background)
        self.jobs[job.number] = job
        self._tidy_up()
        return job

    def add_elsewhere(self, run: Any) -> Job:
        """Give a run of another process a number; one that is shown a second time keeps the one that it has."""
        same = [job for job in self.elsewhere.values() if (job.run.run_id, job.run.place) == (run.run_id, run.place)]
        number = same[0].number if same else next(self._numbers)
        made = self.elsewhere[number] = Job(number, run, self.cell, elsewhere=True)
        over = [old.number for old in self.elsewhere.values() if old.over]
        for old in over[:-MOST_GUESTS]:
            del self.elsewhere[old]
        return made

    def _tidy_up(self) -> None:
        over = [old for old in self.jobs.values() if old.over and not any(view.is_live for view in old.views)]
        for old in over[:-MOST_HANDLES]:
            old.let_go()
        for old in over[: max(0, len(self.jobs) - MOST_JOBS)]:
            del self.jobs[old.number]

    def job_of(self, run: Any) -> Job | None:
        """Return the job of a run."""
        return next((job for job in self.jobs.values() if job.run is run), None)

    def latest(self, *, elsewhere: bool = False) -> Job | None:
        """Return the newest job that still runs, else the newest; with `elsewhere`, of other processes too."""
        others = self.elsewhere.values() if elsewhere else ()
        known = sorted([*self.jobs.values(), *others], key=lambda job: job.number)
        known = [job for job in known if not job.over] or known
        return known[-1] if known else None

    def show(
        self,
        job: Job,
        view: str = "auto",
        *,
        shows_value: bool = False,
        on_end: Callable[[], None] | None = None,
        rung: Rung | None = None,
    ) -> RunView:
        """Open a display of `job` in the cell that runs now.

        `on_end` undoes what was done for the run; without it, what the run's tasks print is captured from now on.
        `rung` is how it is shown, by default the best way that works here.
        """
        self._thin_out()
        if not self.usual and self._store is not None:  # what earlier sessions learned
            self.usual = {task: mean for task, (mean, _, _) in self._store.durations().items()}
        if on_end is None:
            capture.acquire()
            on_end = capture.release
        undo = on_end

        def learn(ended: RunView) -> None:
            self.usual.update(ended.record.typical())
            undo()

        made = RunView(
            job.run,
            CellMark.of_now(self.shell),
            rung or choose(view, self.shell),
            current=lambda: self.mark,
            usual=self.usual,
            shows_value=shows_value,
            redact=job.run.redact,
            locate=self.locate,
            on_end=learn,
        )
        job.views = [kept for kept in job.views if kept.is_live or kept is job.views[0]]
        job.views.append(made)
        made.open()
        return made

    def locate(self, file: str) -> str:
        """Return ``Cell In[3]`` for the file name that the shell gave a cell."""
        name = getattr(self.shell.compile, "format_code_name", lambda _: None)(file)
        return " ".join(name) if name else file

    def _thin_out(self) -> None:
        """Keep the number of live displays bounded: the oldest become pictures."""
        live = [view for job in self.jobs.values() for view in job.views if view.is_live]
        for view in live[: max(0, len(live) - MOST_LIVE + 1)]:
            view.close()


_current: list[Session] = []


def current_session() -> Session | None:
    """Return the session of this kernel, None while the extension is not loaded."""
    return _current[-1] if _current else None


def set_session(session: Session | None) -> None:
    """Begin or end the session of this kernel."""
    _current[:] = [session] if session is not None else []
