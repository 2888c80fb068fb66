"""`%cascade limit`: not more than so many at once, or so many a minute, in a run that goes on.

In: a session and the words of the line. Out: limits set and lifted, texts. Invariant: a limit for the same tasks
replaces the one before; `off` lifts whatever limit is in force, whoever set it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, Final

from cascade.interfaces.events import LimitRemoved, LimitSet
from cascade.interfaces.exceptions import nearest
from cascade.notebook.commands import Said, job_for
from cascade.notebook.numbers import is_number
from cascade.notebook.options import split_line, usage_error
from cascade.notebook.plain import listed, plain
from cascade.notebook.session import EndedRun, Job, Session
from cascade.spec.constraint import GlobalConstraint, describe_limit

__all__ = ["limit", "limits_in_force"]

EVERYTHING: Final = "global"
_GLOB: Final = frozenset("*?[")
_USE: Final = (
    "%cascade limit takes how many may run at once, or how many may start in a time, and for which tasks: "
    "%cascade limit 2, %cascade limit 1 fetch, %cascade limit 10/m 'fetch*'; %cascade limit off lifts it."
)


def limit(session: Session, words: Sequence[str]) -> Said:
    """Set a limit in a run, lift those in force, or, without words, tell them: ``[AMOUNT|off] [TASK] [N]``."""
    given = [str(one) for word in words for one in split_line(word)]
    number = [given.pop()] if len(given) > 1 and is_number(given[-1]) else []
    job = job_for(session, number)
    if not given:
        return _tell(job)
    if len(given) > 2:  # noqa: PLR2004 - an amount and the tasks
        usage_error(_USE)
    if job.over:
        return Said(f"{job.title} is over: {job.run.state}.")
    amount, task = given[0], given[1] if len(given) > 1 else ""
    scope = _scope(job, task)
    if amount == "off":
        return _lift(job, scope if task else "")
    made = _constraint(amount, scope)
    job.run.set_limit(made)
    return Said(f"{job.title}: {describe_limit(made.type, made.scope, made.params)}.")


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


def _tell(job: Job) -> Said:
    if isinstance(job.run, EndedRun) or job.over:
        return Said(f"{job.title} is over: {job.run.state}.")
    known = [describe_limit(event.kind, event.scope, event.params) for event in limits_in_force(job.run).values()]
    return Said(f"{job.title}: {'; '.join(known)}." if known else f"{job.title} has no limits.")


def _lift(job: Job, scope: str) -> Said:
    """Take limits out of force: those of one scope, or all."""
    lifted = {name: event for name, event in limits_in_force(job.run).items() if not scope or event.scope == scope}
    for name in lifted:
        job.run.remove_limit(name)
    if not lifted:
        return Said(f"{job.title} has no limits{' of that kind' if scope else ''}, so there is nothing to lift.")
    told = listed([describe_limit(event.kind, event.scope, event.params) for event in lifted.values()])
    return Said(f"{job.title}: lifted ({told}).")


def _scope(job: Job, task: str) -> str:
    """Return the scope for a name or a pattern; a name that no node has is a mistake."""
    if not task:
        return EVERYTHING
    if not _GLOB & set(task):
        graph = job.run.graph
        known = set(graph.labels) | {call._task.name for call in graph.calls if hasattr(call, "_task")}  # noqa: SLF001 - there is no public way
        if task not in known:
            usage_error(f"{job.title} has no task '{task}'.{nearest(task, known)}")
    return f"task:{task}"


def _constraint(amount: str, scope: str) -> GlobalConstraint:
    name = f"notebook {scope}"
    if amount == "0":
        usage_error("A limit lets at least 1 run. %cascade pause starts nothing more.")
    try:
        if re.fullmatch(r"\d+", amount):
            return GlobalConstraint(name, scope, "concurrency", {"limit": int(amount)})
        return GlobalConstraint(name, scope, "rate_limit", {"rate": amount})
    except ValueError:
        usage_error(f"'{plain(amount, 40)}' is no limit. {_USE}")
