"""`%cascade auto`: after each cell, what is cheap to bring up to date runs by itself, what is dear turns stale.

In: which cell ran. Out: runs in the displays of the cells that are no longer true, or marks and a line in them.
Invariant: a run by auto never leads to another one; a cell has at most one run; whatever goes wrong is told in the
display of the cell that it is about, never in the cell that led to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cascade.notebook.auto_reading import Marks, find_moved, look, rebuild, roots_of
from cascade.notebook.auto_showing import show_stale, start_in_place
from cascade.notebook.cell_body import names_in
from cascade.notebook.cell_task import is_task_line, store_of
from cascade.notebook.commands import Said
from cascade.notebook.forecast import Forecast, Latest, foresee
from cascade.notebook.options import Options, parse_line, read_options, split_line, usage_error
from cascade.notebook.plain import duration, listed, plain
from cascade.notebook.session import VIEWS, Job, Session
from cascade.notebook.value_place import tell_older

if TYPE_CHECKING:
    from cascade.notebook.cell_body import CellTask

__all__ = ["Auto", "auto"]

USUAL: Final = 2.0  # seconds, when nobody says how much is cheap
UP_TO_DATE: Final = "up to date"
LANDING: Final = 10.0  # seconds that a cancelled run may take to end before the cell is left as it is
POLL: Final = 0.05
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|sec|min|m|h)?\Z")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "": 1.0}


def auto(session: Session, words: Sequence[str]) -> Said:
    """Do what ``%cascade auto`` asks for: ``--under S``, ``on``, ``off``, or nothing to be told how it stands."""
    known = _state(session)
    given = [str(word) for raw in words for word in split_line(raw)]
    if not given:
        return Said(known.describe() if known is not None else _OFF)
    if given == ["off"]:
        if known is not None:
            known.end()
        return Said("Auto is off: cells run when you run them. Marks of stale nodes stay until then.")
    limit = _read_limit(given)
    if known is None:
        known = Auto(session)
        known.begin()
    known.limit = limit
    return Said(known.describe())


_OFF: Final = (
    "Auto is off. %cascade auto --under 2s turns it on: cheap changes then run by themselves, dear ones turn stale."
)


def _read_limit(given: Sequence[str]) -> float:
    words = [part for word in given for part in word.split("=", 1)]
    if words == ["on"]:
        return USUAL
    found = _SECONDS.match(words[1]) if len(words) == 2 and words[0] == "--under" else None  # noqa: PLR2004 - flag, value
    if found is None:
        usage_error(f"%cascade auto takes --under SECONDS, such as --under 2s, or on, or off; not '{' '.join(given)}'.")
    return float(found[1]) * _UNITS[found[2] or ""]


def _state(session: Session) -> Auto | None:
    return next((guest for guest in session.guests if isinstance(guest, Auto)), None)


@dataclass(slots=True)
class Watched:
    """One cell that auto keeps true.

    Args:
        cell: its id. source: its body as plain Python. options: of its line. task: the name of a task cell, empty for
            others. roots: the names that its code looks up. shown: what was read when the present output was made.
        seen: what was read when it was last looked at. number: of the newest job that is known. worker: of this cell.
        state: what became of it, in a few words. is_owed: a run of it was cancelled, and another is to take its place.
    """

    cell: str
    source: str
    options: Options
    task: str
    roots: frozenset[str]
    worker: Latest
    shown: Marks = field(default_factory=Marks)
    seen: Marks = field(default_factory=Marks)
    number: int = 0
    state: str = UP_TO_DATE
    is_owed: bool = False


class Auto:
    """Keeps the cells of a session true.

    Responsible for: which cells there are, what each of them reads, whether it runs or turns stale. Refuses: how that
    is shown (`auto_showing`), what changed and what a cell would run (`auto_reading`).

    Attributes:
        limit: seconds up to which a run is cheap. cell: empty: it lives in no cell.
    """

    cell = ""

    def __init__(self, session: Session) -> None:
        """`begin` listens."""
        self.session = session
        self.limit = USUAL
        self.watched: dict[str, Watched] = {}
        self._is_on = False
        self._own: set[int] = set()  # numbers of the jobs that auto began

    def begin(self) -> None:
        """Listen to cells; what is shown now counts as true."""
        self._is_on = self.session.replaces_values = True
        self.session.guests.append(self)
        self.session.shell.events.register("post_run_cell", self.after_cell)
        for cell in dict.fromkeys(job.cell for job in self.session.jobs.values() if job.cell):
            self._watch(cell)

    def end(self) -> None:
        """Listen no more; runs that go on end as they would, and what was cancelled for another is made good."""
        self._is_on = self.session.replaces_values = False
        with suppress(ValueError):
            self.session.guests.remove(self)
            self.session.shell.events.unregister("post_run_cell", self.after_cell)

    def close(self, *, discard: bool) -> None:
        """The session ends."""
        del discard
        self.end()
        self.watched.clear()

    def describe(self) -> str:
        """Tell how it stands."""
        cells = [f"  {self._name(one)}: {self._stands(one)}" for one in self.watched.values()]
        told = f"Auto is on: what takes at most {duration(self.limit)} runs by itself, the rest turns stale."
        return "\n".join([told, *cells] if cells else [told, "  No %%cascade cell has run yet."])

    def _stands(self, one: Watched) -> str:
        job = self._job(one)
        if one.state == UP_TO_DATE and job is not None and job.run.state in {"failed", "cancelled"}:
            return f"{job.run.state}, and nothing that it reads has changed since"
        return one.state

    def _name(self, one: Watched) -> str:
        job = self._job(one)
        return plain(one.task or (str(job.run.name) if job is not None else one.cell), 40)

    # -- cells -------------------------------------------------------------------------------------------------------

    def after_cell(self, result: Any = None) -> None:
        """A cell has ended: look at every other one that may read what it did."""
        try:
            self._after_cell(result)
        except KeyboardInterrupt:
            return  # the cells are looked at again after the next one
        except Exception as error:  # noqa: BLE001 - the cell that ran has nothing to do with it
            self._tell_fault(error)

    def _after_cell(self, result: Any) -> None:
        if self.session.depth > 0 or not self._is_on:
            return
        info = getattr(result, "info", None)
        own, raw = str(getattr(info, "cell_id", None) or ""), str(getattr(info, "raw_cell", None) or "")
        self._drop_lost()
        if own:
            self.watched.pop(own, None)
        moved = find_moved(self._plain(_parts(raw)[1] if raw.lstrip().startswith("%%cascade") else raw))
        for one in list(self.watched.values()):
            self._look_at(one, one.roots if moved is None else moved)
        if own:
            self._watch(own)

    def _plain(self, text: str) -> str:
        try:
            return str(self.session.shell.transform_cell(text)) if text.strip() else ""
        except Exception:  # noqa: BLE001 - a text that is no code was no code for the shell either
            return text

    def _drop_lost(self) -> None:
        """Forget task cells that are tasks no longer."""
        for one in [one for one in self.watched.values() if one.task and one.task not in self.session.cells.tasks]:
            del self.watched[one.cell]

    def _watch(self, cell: str) -> None:
        """Begin to keep a cell true whose run is shown."""
        text = next((text for known, text, _ in reversed(self.session.ran) if known == cell), "")
        job = self._newest(cell)
        if job is None or not text.lstrip().startswith("%%cascade"):
            return
        made = self._read(cell, text)
        if made is not None:
            made.number = job.number
            made.shown = made.seen = self._marks(made)
            self.watched[cell] = made

    def _read(self, cell: str, text: str) -> Watched | None:
        from cascade.notebook.magics import CascadeMagics

        line, body = _parts(text)
        worker = Latest("cascade-auto", self._tell_fault)
        if is_task_line(line):
            task = next((task for task in self.session.cells.tasks.values() if task.cell == cell), None)
            return None if task is None else Watched(cell, task.source, Options(), task.name, frozenset(), worker)
        options = read_options(parse_line(vars(CascadeMagics.run_cell)["parser"], line), VIEWS)
        if options.plan or options.help:
            return None
        source = self._plain(body)
        return Watched(cell, source, options, "", roots_of(source, options.target), worker)

    # -- what has changed --------------------------------------------------------------------------------------------

    def _marks(self, one: Watched, moved: frozenset[str] = frozenset()) -> Marks:
        names, cells = self.session.shell.user_ns, self.session.cells
        before = one.seen if one.seen.digests else None
        if not one.task:
            return look(one.roots, names, before, moved)
        tasks = cells.closure([one.task], names)
        given = {name for task in tasks for name in task.gives}
        roots = {name for task in tasks for name in names_in(task.body.main, task.body.last)} - given
        found = look(roots, names, before, moved)
        texts = {task.name: f"cell:{_text_key(task)}" for task in tasks}
        return Marks({**found.digests, **texts}, found.ids, found.functions)

    def _look_at(self, one: Watched, moved: frozenset[str]) -> None:
        now = self._marks(one, moved)
        if now.digests == one.seen.digests:
            one.seen = now
            return
        one.seen = now
        changed = now.changed_since(one.shown)
        try:
            target = self._target(one, changed) if changed else None
        except Exception as error:  # noqa: BLE001 - what composing the user's graph raises
            one.state = self._stale(changed, "")
            told = f"{type(error).__name__}: {error}"
            one.worker.ask(partial(self._turn_stale, one, Forecast(), f"{one.state} · {plain(told, 160)}"))
            return
        one.worker.ask(partial(self._decide, one, target, now, changed))

    def _target(self, one: Watched, changed: Sequence[str]) -> Any:
        names = self.session.shell.user_ns
        if not one.task:
            return rebuild(one.source, one.options.target, names, changed)
        return self._lazy_cell(one.task)

    def _lazy_cell(self, name: str) -> Any:
        from cascade.notebook.cell_runner import make_lazies

        shell = self.session.shell
        return make_lazies(self.session.cells, [name], shell.user_ns, shell.compile.flags)[name]

    # -- in the cell's own thread ------------------------------------------------------------------------------------

    def _decide(self, one: Watched, target: Any, now: Marks, changed: Sequence[str]) -> None:
        if not self._is_free(one):
            return
        if not changed:
            one.state = UP_TO_DATE
            self._turn_stale(one, Forecast(), "")
            return
        options = one.options
        store = store_of(self.session) if options.store else None
        try:
            found = foresee(target, options.params, options.capacities or None, store)
        except Exception as error:  # noqa: BLE001 - what a run would raise, or a user's object when it is looked at
            one.state = f"{self._stale(changed, '')} · {plain(str(error), 160)}"
            self._turn_stale(one, Forecast(), one.state)
            return
        if one.worker.is_waiting or not (self._is_on or one.is_owed):
            return
        is_cheap = found.count == 0 or (found.is_known and found.seconds <= self.limit)
        if is_cheap:
            self._run(one, target, now, changed)
            return
        cost = f"about {duration(found.seconds)}" if found.is_known else "what it takes is not known"
        one.state = self._stale(changed, cost)
        self._turn_stale(one, found, f"{one.state} · run the cell again")

    def _stale(self, changed: Sequence[str], cost: str) -> str:
        told = f"stale: {listed(list(changed))} changed"
        return f"{told} · {cost}" if cost else told

    def _is_free(self, one: Watched, *, cancels: bool = True) -> bool:
        """Wait until the cell's present run is over; `cancels` one that auto began. Say whether to go on."""
        from time import monotonic

        job = self._job(one)
        if job is None or not self._is_shown(one):
            return False
        until = float("inf")
        if cancels and not job.over and job.number in self._own:
            one.is_owed = True
            job.run.cancel("what it reads has changed again")
            until = monotonic() + LANDING
        while not job.run.done() or not all(view.wait(0) for view in job.views):
            is_wanted = self._is_on or one.is_owed or not cancels
            if one.worker.is_waiting or not is_wanted or not self._is_shown(one) or monotonic() > until:
                return False
            job.run.wait(POLL) if not job.run.done() else job.views[-1].wait(POLL)
        return True

    def _is_shown(self, one: Watched) -> bool:
        """Whether the cell has not been run again, deleted or forgotten since."""
        return self.watched.get(one.cell) is one

    def _run(self, one: Watched, target: Any, now: Marks, changed: Sequence[str]) -> None:
        job = self._job(one)
        if job is None:
            return
        if one.task:
            self.session.cells.touched.clear()
        told = f"ran by itself: {listed(list(changed))} changed{tell_older(job)}"
        try:
            made = start_in_place(self.session, job, target, one.options, told)
        except Exception as error:  # noqa: BLE001 - what is wrong is told where it is wrong
            one.state = f"{self._stale(changed, '')} · {plain(str(error), 160)}"
            self._turn_stale(one, Forecast(), one.state)
            return
        self._own = {number for number in (*self._own, made.number) if number in self.session.jobs}
        one.is_owed = False
        one.number, one.shown, one.state = made.number, now, "up to date, ran by itself"
        made.run.add_done_callback(partial(self._bind, one, made))
        if self._is_free(one, cancels=False) and made.run.state == "completed":
            show_stale(self.session, made, {}, told)

    def _bind(self, one: Watched, made: Job) -> None:
        """Give the notebook what the cell gives, if that is what its line says."""
        names, cells = self.session.shell.user_ns, self.session.cells
        if one.task in cells.tasks:
            cells.bind(cells.closure([one.task], names), names)
        if made.run.state != "completed":
            one.state = f"ran by itself and {made.run.state}"
        elif made.output:
            names[made.output] = made.run.result(0)
        if made.below is not None and not (made.run.state == "cancelled" and one.is_owed):
            made.below.follow(made)

    def _turn_stale(self, one: Watched, found: Forecast, text: str) -> None:
        if not self._is_free(one):
            return
        job = self._job(one)
        if job is not None:
            show_stale(self.session, job, found.marks, text)

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _newest(self, cell: str) -> Job | None:
        return next((job for job in reversed(list(self.session.jobs.values())) if job.cell == cell), None)

    def _job(self, one: Watched) -> Job | None:
        return self._newest(one.cell)

    def _tell_fault(self, error: Exception) -> None:
        import logging

        logging.getLogger("cascade").warning("%%cascade auto: %s: %s", type(error).__name__, error)


def _parts(text: str) -> tuple[str, str]:
    """Return what stands after ``%%cascade``, and the lines below."""
    line, _, body = text.lstrip().partition("\n")
    return line.removeprefix("%%cascade").strip(), body


def _text_key(task: CellTask) -> str:
    from hashlib import blake2b

    return blake2b(f"{task.line}\n{task.source}".encode(), digest_size=16).hexdigest()
