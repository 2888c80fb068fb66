"""`%cascade limit`: not more than so many at once, or so many a minute, in a run that goes on.

In: a session and the words of the line. Out: limits set and lifted, texts. Invariant: a limit for the same tasks
replaces the one before; `off` lifts whatever limit is in force, whoever set it.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from typing import Any, Final

from cascade.interfaces.events import LimitRemoved, LimitSet
from cascade.interfaces.exceptions import nearest
from cascade.notebook.commands import Said, job_elsewhere, job_for
from cascade.notebook.numbers import is_number
from cascade.notebook.options import parse_line, usage_error
from cascade.notebook.plain import listed, plain
from cascade.notebook.session import EndedRun, Job, Session
from cascade.spec.constraint import GlobalConstraint, describe_limit

__all__ = ["limit", "limits_in_force"]

EVERYTHING: Final = "global"
_GLOB: Final = frozenset("*?[")
_USE: Final = (
    "%cascade limit takes how many may run at once, or how many may start in a time, and for which tasks: "
    "%cascade limit 2, %cascade limit 1 fetch, %cascade limit 10/m 'fetch*'; %cascade limit off lifts it. "
    "The words of the command line do too: --concurrency 2, --rate 10/m, with --scope and --ttl; --clear."
)


def limit(session: Session, words: Sequence[str]) -> Said:
    """Set a limit in a run, lift those in force, or, without words, tell them: ``[AMOUNT|off] [TASK] [N]``.

    With the options of the command line: ``--concurrency N``, ``--rate RATE``, ``--scope``, ``--ttl``, ``--clear``.
    """
    asked = parse_line(_parser(), " ".join(words))
    given = [str(one) for one in asked.words]
    if given[:1] == ["job"] and len(given) == 2 and is_number(given[1]):  # noqa: PLR2004 - ``job 3`` alone
        given = given[1:]
        return _tell(job_for(session, given, elsewhere=True))
    amount = _amount(asked, given)
    is_last = bool(given) and (is_number(given[-1]) or job_elsewhere(session, given[-1]) is not None)
    job = job_for(session, [given.pop()] if is_last else [], elsewhere=True)
    if amount is None:
        return _tell(job)
    if len(given) > 1:
        usage_error(_USE)
    if job.over:
        return Said(f"{job.title} is over: {job.run.state}.")
    scope = _scope(job, _task(asked.scope, given))
    if amount == "off":
        return _lift(job, scope if given or asked.scope else "")
    made = _constraint(amount, scope, _until(asked.ttl))
    _run_of(job).set_limit(made)
    lasts = f", for {asked.ttl}" if asked.ttl else ""
    return Said(f"{job.title}: {describe_limit(made.type, made.scope, made.params)}{lasts}.")


def limits_in_force(run: Any) -> dict[str, LimitSet]:
    """Return the limits of a run that are in force, by id: the last word on each, as its events tell it."""
    known: dict[str, LimitSet] = {}
    for event in run.events:
        if isinstance(event, LimitSet):
            known[event.limit_id] = event
        elif isinstance(event, LimitRemoved):
            known.pop(event.limit_id, None)
    now = time.time()
    return {name: event for name, event in known.items() if event.expires_at is None or event.expires_at > now}


# -- steps ------------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    from IPython.core.magic_arguments import MagicArgumentParser

    parser: argparse.ArgumentParser = MagicArgumentParser("cascade limit", add_help=False)
    parser.add_argument("words", nargs="*")
    for name in ("--concurrency", "--rate", "--scope", "--ttl"):
        parser.add_argument(name)
    parser.add_argument("--clear", action="store_true")
    return parser


def _amount(asked: argparse.Namespace, given: list[str]) -> str | None:
    """Return the amount, as an option or as the first word, which is taken away; None: there is none."""
    options = [word for word in (asked.concurrency, asked.rate, "off" if asked.clear else None) if word is not None]
    if len(options) > 1:
        usage_error(f"Give one of --concurrency N, --rate RATE and --clear. {_USE}")
    if not options:
        if not given and (asked.scope or asked.ttl):
            usage_error(f"--scope and --ttl belong to a limit. {_USE}")
        return given.pop(0) if given else None
    if asked.concurrency is not None and not is_number(asked.concurrency):
        is_rate = "/" in asked.concurrency
        hint = f" Write --rate {plain(asked.concurrency, 40)}." if is_rate else " Write --concurrency 2."
        usage_error(f"--concurrency takes a whole number, not '{plain(asked.concurrency, 40)}'.{hint}")
    if asked.rate is not None and is_number(asked.rate):
        return f"{asked.rate}/s"  # as the command line reads it
    return options[0]


def _task(scope: str | None, given: list[str]) -> str:
    """Return the name or pattern of the tasks: a word, or ``--scope task:PATTERN``; empty: all."""
    if scope is None:
        return given[0] if given else ""
    if given:
        usage_error(f"The tasks are named twice: '{plain(given[0], 40)}' and --scope {plain(scope, 40)}.")
    kind, _, pattern = scope.partition(":")
    if kind == "task" and pattern:
        return pattern
    if scope != EVERYTHING:
        usage_error(
            f"A scope is global or task:PATTERN, not '{plain(scope, 40)}'. Write --scope 'task:{plain(scope, 40)}'."
        )
    return ""


def _until(ttl: str | None) -> float | None:
    """Return when a limit ends, in seconds since the epoch; None: with the run."""
    if ttl is None:
        return None
    from cascade.cli.codes import CommandError
    from cascade.cli.steering import read_ttl

    try:
        return read_ttl(ttl)
    except CommandError as error:
        usage_error(str(error))


def _tell(job: Job) -> Said:
    if isinstance(job.run, EndedRun) or job.over:
        return Said(f"{job.title} is over: {job.run.state}.")
    known = [describe_limit(event.kind, event.scope, event.params) for event in limits_in_force(job.run).values()]
    return Said(f"{job.title}: {'; '.join(known)}." if known else f"{job.title} has no limits.")


def _lift(job: Job, scope: str) -> Said:
    """Take limits out of force: those of one scope, or all."""
    lifted = {name: event for name, event in limits_in_force(job.run).items() if not scope or event.scope == scope}
    for name in lifted:
        _run_of(job).remove_limit(name)
    if not lifted:
        return Said(f"{job.title} has no limits{' of that kind' if scope else ''}, so there is nothing to lift.")
    told = listed([describe_limit(event.kind, event.scope, event.params) for event in lifted.values()])
    return Said(f"{job.title}: lifted ({told}).")


def _run_of(job: Job) -> Any:
    """Return what takes orders."""
    return job.run.at_once if job.elsewhere else job.run


def _scope(job: Job, task: str) -> str:
    """Return the scope for a name or a pattern; a name that no node has is a mistake."""
    if not task:
        return EVERYTHING
    if not _GLOB & set(task):
        graph = job.run.graph
        known = set(graph.labels) | {call._task.name for call in graph.calls if hasattr(call, "_task")}  # noqa: SLF001 - there is no public way
        if task not in known and not getattr(graph, "is_flat", False):  # of a run elsewhere not all may be known
            usage_error(f"{job.title} has no task '{task}'.{nearest(task, known)}")
    return f"task:{task}"


def _constraint(amount: str, scope: str, until: float | None) -> GlobalConstraint:
    name = f"notebook {scope}"
    if amount == "0":
        usage_error("A limit lets at least 1 run. %cascade pause starts nothing more.")
    try:
        if re.fullmatch(r"\d+", amount):
            return GlobalConstraint(name, scope, "concurrency", {"limit": int(amount)}, until)
        return GlobalConstraint(name, scope, "rate_limit", {"rate": amount}, until)
    except ValueError:
        usage_error(f"'{plain(amount, 40)}' is no limit. {_USE}")
