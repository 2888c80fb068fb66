"""`%cascade COMMAND` → one function for each command.

In: a session and the words of the line. Out: displays, or text that is returned to be shown. Invariant: an unknown
command or run is a `UsageError` that names the nearest known one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cascade.interfaces.exceptions import nearest
from cascade.notebook.cell import evaluate
from cascade.notebook.numbers import ABOUT, hint_for_job, is_number, translate
from cascade.notebook.options import split_line, usage_error
from cascade.notebook.plain import plain
from cascade.notebook.session import Job, Session

__all__ = ["NAMES", "Said", "job_elsewhere", "job_for", "obey"]


class Said:
    """Text that a cell shows as it is, without the quotes of a `str`."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Wrap `text`."""
        self.text = text

    def __repr__(self) -> str:
        """Show the text."""
        return self.text


def obey(session: Session, line: str) -> Said | None:
    """Do what a line asks for."""
    words = [word.raw for word in split_line(line)]
    if not words or words[0] in {"-h", "--help"}:
        return _help(session, [])
    name, rest = words[0], words[1:]
    command = _COMMANDS.get(name)
    if command is None:
        usage_error(f"There is no %cascade {name}.{nearest(name, NAMES)} %cascade help lists them.")
    if "-h" in rest or "--help" in rest:
        return _help(session, [name])
    return command.function(session, translate(session, rest, command.words))


def _graph(session: Session, words: Sequence[str]) -> Said | None:
    from cascade.notebook.display import show_graph

    if words:
        from cascade.graph.build import build
        from cascade.notebook.folding import draw_graph

        graph = build(evaluate(session.shell, " ".join(words)))
        show_graph(draw_graph(graph), graph.name)
    else:
        record = job_for(session, []).views[0].record
        show_graph(record.drawing, record.name)
    return None


def _status(session: Session, words: Sequence[str]) -> Said | None:
    from cascade.notebook.summary import summarize

    job = job_for(session, words, elsewhere=True)
    if not job.over:
        job.run.catch_up()  # what the line before brought about is part of the answer
    note = getattr(job.run, "note", "")
    return Said(summarize(job.views[0].make_document()) + (f"\n{note}" if note else ""))


def _jobs(session: Session, words: Sequence[str]) -> Said | None:
    del words
    known = sorted([*session.jobs.values(), *session.elsewhere.values()], key=lambda job: job.number)
    if not known:
        return Said("No runs yet. A %%cascade cell makes one.")
    return Said("\n".join(job.describe() for job in known))


def _attach(session: Session, words: Sequence[str]) -> Said | None:
    from cascade.cli.desk import is_address
    from cascade.notebook.display import show_record, show_run

    if words and is_address(words[0]):
        from cascade.notebook.elsewhere import attach_elsewhere

        return attach_elsewhere(session, words)
    if words and not is_number(words[0]) and job_elsewhere(session, words[0]) is None:
        usage_error(
            f"'{plain(words[0], 60)}' is neither the number of a job (%cascade jobs lists them) nor an address: "
            "local, or mqtt://host:1883."
        )
    job = job_for(session, words, elsewhere=True)
    if job.elsewhere and not job.over:
        from cascade.notebook.elsewhere import attach_again

        return attach_again(session, job)
    if job.over:
        show_record(job.views[0].record)
    else:
        show_run(job.run)
    return None


def _cancel(session: Session, words: Sequence[str]) -> Said | None:
    return _steer(job_for(session, words, elsewhere=True), "cancelled", "cancel")


def _pause(session: Session, words: Sequence[str]) -> Said | None:
    return _steer(job_for(session, words, elsewhere=True), "paused", "pause")


def _resume(session: Session, words: Sequence[str]) -> Said | None:
    return _steer(job_for(session, words, elsewhere=True), "resumed", "resume")


def _steer(job: Job, word: str, order: str) -> Said:
    if job.over:
        return Said(f"{job.title} is over: {job.run.state}.")
    run = job.run.at_once if job.elsewhere else job.run
    if order == "cancel":
        run.cancel("cancelled by %cascade cancel")
    else:
        getattr(run, order)()
    return Said(f"{job.title} is being {word}.")


def _leaving(name: str) -> Callable[[Session, Sequence[str]], Any]:
    """What is in a module of its own, loaded at first use."""

    def obey(session: Session, words: Sequence[str]) -> Any:
        from cascade.notebook import leaving

        return getattr(leaving, name)(session, words)

    return obey


def _run(session: Session, words: Sequence[str]) -> Any:
    from cascade.notebook.cell_task import run_named

    return run_named(session, words)


def _forget(session: Session, words: Sequence[str]) -> Said | None:
    from cascade.notebook.cell_task import forget

    return Said(forget(session, words))


def _nest(session: Session, words: Sequence[str]) -> Said | None:
    del session, words
    from cascade.notebook.nesting import allow_nested_loops

    return Said(allow_nested_loops())


def _help(session: Session, words: Sequence[str]) -> Said | None:
    del session
    if words and words[0] not in _COMMANDS:
        usage_error(f"There is no %cascade {words[0]}.{nearest(words[0], NAMES)}")
    shown = [words[0]] if words else NAMES
    width = max(len(_COMMANDS[name].words) for name in shown) + 2
    lines = [f"  %cascade {name:<9}{_COMMANDS[name].words:<{width}}{_COMMANDS[name].about}" for name in shown]
    if not words:
        lines.insert(
            0, "%%cascade [TARGET] [options]   run this cell's graph and show it; %%cascade -h lists the options\n"
        )
        lines.append(f"\n{ABOUT}")
    return Said("\n".join(lines))


def job_for(session: Session, words: Sequence[str], *, elsewhere: bool = False) -> Job:
    """The job that a command is about; with `elsewhere` it may be a run of another process, by its own id, too."""
    if not words:
        job = session.latest(elsewhere=elsewhere)
        if job is None:
            there = session.latest(elsewhere=True)
            usage_error(
                "There is no run yet. A %%cascade cell makes one; %cascade attach ADDRESS shows one of another process."
                if there is None
                else f"{there.title} runs elsewhere, and this can be done only there; there is no run of this session."
            )
        return job
    there = job_elsewhere(session, words[0])
    if there is not None and elsewhere:
        return there
    if there is not None:
        usage_error(f"{there.title} is not a run of this session: it runs elsewhere, and this can be done only there.")
    if not is_number(words[0]):
        usage_error(f"A job is named by its number, not '{plain(words[0], 60)}'. %cascade jobs lists them.")
    job = session.jobs.get(int(words[0]))
    if job is None:
        known = ", ".join(map(str, session.jobs)) or "none yet"
        usage_error(f"There is no job {words[0]}; the jobs are: {known}.{hint_for_job(session, words[0])}")
    return job


def job_elsewhere(session: Session, word: str) -> Job | None:
    """Return the run of another process that is shown here with this number, this id, or an id that begins so."""
    jobs = session.elsewhere.values()
    if is_number(word) and (int(word) in session.elsewhere or int(word) in session.jobs):
        return session.elsewhere.get(int(word))
    found = [job for job in jobs if job.run.run_id == word] or [job for job in jobs if job.run.run_id.startswith(word)]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what may follow its name, what it does, and the function."""

    words: str
    about: str
    function: Callable[[Session, Sequence[str]], Said | None]


def _looking(module: str, name: str) -> Callable[[Session, Sequence[str]], Said | None]:
    """Return the command `name` of a module of this package, which is imported at first use."""

    def ask(session: Session, words: Sequence[str]) -> Said | None:
        from importlib import import_module

        return getattr(import_module(f"cascade.notebook.{module}"), name)(session, words)  # type: ignore[no-any-return]

    return ask


_COMMANDS = {
    "graph": Command("[TARGET]", "draw the graph of TARGET, or of the latest job", _graph),
    "status": Command("[JOB]", "tell how a job, or the latest one, is doing", _status),
    "jobs": Command("", "list the jobs: the runs of this session, with the numbers that these commands take", _jobs),
    "attach": Command(
        "[JOB] or ADDRESS [RUN]", "show a job, or a run elsewhere (at local, mqtt://host:1883), in this cell", _attach
    ),
    "cancel": Command("[JOB]", "stop a job, or the latest one", _cancel),
    "pause": Command("[JOB]", "start nothing more in a job for now; what runs goes on", _pause),
    "resume": Command("[JOB]", "let a job go on", _resume),
    "limit": Command(
        "AMOUNT [TASK] [JOB]",
        "let at most AMOUNT (2, or 10/m) of TASK run in a job; off lifts it; takes --rate, --ttl, --scope",
        _looking("limiting", "limit"),
    ),
    "step": Command("[JOB]", "hold each start in a job until %cascade next", _looking("watching", "step")),
    "next": Command(
        "[JOB] [NODE]",
        "let the next node start, or NODE, in a job that goes step by step",
        _looking("watching", "next_"),
    ),
    "replay": Command(
        "[JOB]", "show a job, or the latest one, from its beginning again", _looking("watching", "replay")
    ),
    "report": Command("FILE [JOB]", "write a job, or the latest one, as one HTML page", _looking("watching", "report")),
    "retry": Command(
        "[JOB]",
        "run again what failed or was cancelled in a job, with the rest kept",
        _looking("retrying", "retry_and_wait"),
    ),
    "peek": Command("NODE [JOB]", "show what a node is, its arguments and its value", _looking("looking", "peek")),
    "debug": Command(
        "[NODE] [JOB]", "put the inputs of a node that failed into the notebook", _looking("debugging", "debug")
    ),
    "auto": Command(
        "[--under S] ",
        "after each cell, run by themselves the cells that it makes untrue, if that takes at most S; off ends it",
        _looking("auto", "auto"),
    ),
    "controls": Command(
        "TARGET",
        "show the Params of a task cell, or of a target, as sliders and fields; takes -p and -r, as a cell does",
        _looking("control_command", "show_controls"),
    ),
    "run": Command("NAME [OPTIONS]", "run a task cell with what is stale before it, and bind what it gives", _run),
    "forget": Command("NAME", "let a task cell be a task no longer", _forget),
    "why": Command("NODE [RUN]", "tell why a node ran, or why it did not", _looking("memory_commands", "why")),
    "plan": Command(
        "TARGET",
        "tell what a run would compute and what is stored; takes -p and -r, as a cell does",
        _looking("memory_commands", "plan"),
    ),
    "simulate": Command(
        "TARGET [--workers N]",
        "show how its run would go, by past durations; --workers 1-16 shows where more stop paying; takes -p and -r",
        _looking("simulating", "simulate"),
    ),
    "runs": Command(
        "[COUNT]", "list the runs in the store, of earlier sessions too", _looking("memory_commands", "runs")
    ),
    "diff": Command("RUN RUN", "tell what was different between two runs", _looking("memory_commands", "diff")),
    "export": Command(
        "FILE",
        "write what the latest %%cascade cell, or a TARGET after FILE, needs as a module; takes --check and --force",
        _leaving("export"),
    ),
    "verify": Command(
        "[FILE]", "run the whole notebook in a fresh kernel and compare; takes --timeout S", _leaving("verify")
    ),
    "doctor": Command("", "tell what is odd in this notebook, and what to do about it", _leaving("doctor")),
    "store": Command(
        "ACTION",
        "ls [TASK], size, check, gc [SIZE] [AGE], limit [SIZE] [AGE], clear [TASK] or use PLACE",
        _looking("memory_commands", "store"),
    ),
    "nest": Command("", "let your own code call asyncio.run(...) in cells; cascade itself needs no nesting", _nest),
    "help": Command("[COMMAND]", "show this list, or what one command does", _help),
}
NAMES = tuple(_COMMANDS)
