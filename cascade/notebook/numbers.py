"""Two numberings, one word for each: a *job* is a run of this session, a *run* is one that the store knows.

In: the words of a line. Out: the words with the number that the command takes, or hints for numbers that it does not
know. Invariant: a number without a word is of the kind that the command's help names; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cascade.notebook.options import usage_error

if TYPE_CHECKING:
    from cascade.notebook.session import Job, Session

__all__ = ["ABOUT", "hint_for_job", "hint_for_run", "is_number", "translate"]

LONGEST = 18  # digits of a number that a job or a run may have

ABOUT = (
    "JOB is a number of %cascade jobs: a run of this session. RUN is a number of %cascade runs: a run in the store,\n"
    "also of earlier sessions. Where both are known, both are said: job 3 (run 14). Either word may stand before its\n"
    "number, whatever the command takes: %cascade attach run 14, %cascade why clean job 3."
)


def is_number(word: str) -> bool:
    """Whether a word may be the number of a job or a run.

    Example:
        >>> is_number("14"), is_number("clean"), is_number("9" * 5000)
        (True, False, False)
    """
    return word.isdecimal() and len(word) <= LONGEST


def translate(session: Session, words: Sequence[str], takes: str) -> list[str]:
    """Return the words with ``job 3`` and ``run 14`` as the number that a command takes.

    Args:
        takes: what may follow the command, as its help says it: with ``JOB`` or ``RUN`` in it, or neither.

    Raises:
        UsageError: when a job is not in the store, or no job of this session is that run.
    """
    if "JOB" not in takes and "RUN" not in takes:
        return list(words)
    first = 0 if takes.startswith(("[JOB", "RUN")) else 1  # before it stands a node, an amount or a file
    made = list(words[:first])
    left = list(words[first:])
    while left:
        word = left.pop(0)
        if word in {"job", "run"} and left and is_number(left[0]):
            number = int(left.pop(0))
            word = _number_of(session, word, number) if "JOB" in takes else _run_of(session, word, number)
        made.append(word)
    return made


def _number_of(session: Session, word: str, number: int) -> str:
    """Return the number of a job."""
    if word == "job":
        return str(number)
    job = _job_of(session, number)
    if job is None:
        usage_error(f"Run {number} is no job of this session. %cascade jobs lists them.")
    return str(job.number)


def _run_of(session: Session, word: str, number: int) -> str:
    """Return the number of a run."""
    if word == "run":
        return str(number)
    job = session.jobs.get(number)
    if job is None:
        usage_error(f"There is no job {number}. %cascade jobs lists them.")
    if not job.stored:
        usage_error(f"Job {number} is not in the store, and only runs in the store can be asked about.")
    return str(job.stored)


def hint_for_job(session: Session, number: str) -> str:
    """Return what to say of the number of a job that there is not, when it is that of a run; else nothing."""
    from cascade.tools.history import find_runs

    job = _job_of(session, int(number))
    if job is not None:
        return f" Run {number} is job {job.number}."
    if session.has_store and find_runs(session.store, number):
        return f" Run {number} is in the store, and no job of this session: %cascade why and diff take it."
    return ""


def hint_for_run(session: Session, words: Sequence[str]) -> str:
    """Return what to say of numbers of runs, one of which there is not, when they are those of jobs; else nothing."""
    from cascade.tools.history import find_runs

    jobs = [session.jobs[int(word)] for word in words if is_number(word) and int(word) in session.jobs]
    unknown = [job for job in jobs if not (session.has_store and find_runs(session.store, str(job.number)))]
    return "".join(
        f" Job {job.number} is run {job.stored}." if job.stored else f" Job {job.number} is not in the store."
        for job in unknown
    )


def _job_of(session: Session, number: int) -> Job | None:
    return next((job for job in session.jobs.values() if job.stored == number), None)
