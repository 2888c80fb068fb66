"""`%cascade why`, `plan`, `runs`, `diff` and `store`: what the notebook remembers, in words.

In: a session and the words of the line. Out: text. Invariant: what the store does not know is one line, a `UsageError`,
never a traceback; nothing but `store gc`, `store limit` and `store clear` changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from cascade.notebook.cell import evaluate
from cascade.notebook.commands import Said
from cascade.notebook.options import take_settings, usage_error
from cascade.notebook.session import Session

__all__ = ["diff", "plan", "runs", "store", "why"]

Asked = TypeVar("Asked")


def why(session: Session, words: Sequence[str]) -> Said:
    """Tell why a node ran, in its last run or in the run that is named."""
    from cascade.tools.why import why

    asked = [*words[:1], *_without_run(words[1:])]
    if not asked:
        usage_error("%cascade why takes the name of a node: %cascade why clean.")
    if len(asked) > 2:  # noqa: PLR2004 - a node and a run
        usage_error("%cascade why takes one node, and the number of a run: %cascade why clean 14.")
    run = asked[1] if len(asked) > 1 else None
    return Said(str(_ask(lambda: why(asked[0], run=run, cache=session.store))))


def plan(session: Session, words: Sequence[str]) -> Said:
    """Tell what a run would do."""
    from cascade.notebook.cell_task import store_of
    from cascade.tools.plan import plan

    rest, params, capacities = take_settings(words)
    if not rest:
        usage_error("%cascade plan takes a target: %cascade plan report(clean(load())).")
    target = evaluate(session.shell, " ".join(rest))
    return Said(str(plan(target, params, capacities or None, cache=store_of(session))))


def runs(session: Session, words: Sequence[str]) -> Said:
    """List runs, the latest first."""
    from cascade.tools.history import history

    if words and not words[0].isdigit():
        usage_error(f"%cascade runs takes how many to list, not '{words[0]}'.")
    return Said(str(history(session.store, limit=int(words[0]) if words else 20)))


def diff(session: Session, words: Sequence[str]) -> Said:
    """Tell what was different between two runs."""
    from cascade.tools.diff import diff

    asked = _without_run(words)
    if len(asked) != 2:  # noqa: PLR2004 - two runs
        usage_error("%cascade diff takes the numbers of two runs: %cascade diff 12 14. %cascade runs lists them.")
    return Said(str(_ask(lambda: diff(asked[0], asked[1], cache=session.store))))


def store(session: Session, words: Sequence[str]) -> Said:
    """Look at the store, or tidy it up."""
    from cascade.tools.storage import storage

    return Said(_ask(lambda: storage(*(words or ("size",)), cache=session.store)))


def _without_run(words: Sequence[str]) -> list[str]:
    """Return the words without ``run`` before a number: ``why clean run 14`` is what the answers themselves say."""
    return [word for place, word in enumerate(words) if not (word == "run" and words[place + 1 : place + 2])]


def _ask(question: Callable[[], Asked]) -> Asked:
    """Ask the store; what it does not know is a line, not a traceback."""
    try:
        return question()
    except ValueError as error:
        usage_error(str(error))
