"""`%cascade why`, `plan`, `runs`, `diff` and `store`: what the notebook remembers, in words.

In: a session and the words of the line. Out: text. Invariant: what the store does not know is one line, a `UsageError`,
never a traceback; nothing but `store gc`, `limit`, `clear` and `use` changes anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from cascade.notebook.cell import evaluate
from cascade.notebook.commands import Said
from cascade.notebook.numbers import hint_for_run, is_number
from cascade.notebook.options import take_settings, usage_error
from cascade.notebook.plain import plain
from cascade.notebook.session import Session

__all__ = ["diff", "plan", "runs", "store", "why"]

Asked = TypeVar("Asked")


def why(session: Session, words: Sequence[str]) -> Said:
    """Tell why a node ran, in its last run or in the run that is named."""
    from cascade.tools.why import why

    asked = list(words)
    if not asked:
        usage_error("%cascade why takes the name of a node: %cascade why clean.")
    if len(asked) > 2:  # noqa: PLR2004 - a node and a run
        usage_error("%cascade why takes one node, and the number of a run: %cascade why clean 14.")
    run = asked[1] if len(asked) > 1 else None
    return Said(str(_ask(lambda: why(asked[0], run=run, cache=session.store), session, asked[1:])))


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

    if words and not is_number(words[0]):
        usage_error(f"%cascade runs takes how many to list, not '{plain(words[0], 60)}'.")
    return Said(str(history(session.store, limit=int(words[0]) if words else 20)))


def diff(session: Session, words: Sequence[str]) -> Said:
    """Tell what was different between two runs."""
    from cascade.tools.diff import diff

    asked = list(words)
    if len(asked) != 2:  # noqa: PLR2004 - two runs
        usage_error("%cascade diff takes the numbers of two runs: %cascade diff 12 14. %cascade runs lists them.")
    return Said(str(_ask(lambda: diff(asked[0], asked[1], cache=session.store), session, asked)))


def store(session: Session, words: Sequence[str]) -> Said:
    """Look at the store, or tidy it up."""
    from cascade.tools.storage import storage

    if words and words[0] == "use":
        return Said(_use(session, words[1:]))
    return Said(_ask(lambda: storage(*(words or ("size",)), cache=session.store), session))


def _use(session: Session, words: Sequence[str]) -> str:
    """Have the session remember elsewhere from now on, or tell where it does."""
    from cascade.runtime.run import open_store

    if len(words) > 1:
        usage_error("%cascade store use takes one place: a folder, redis://host:6379/0, $NAME, or here.")
    if words:
        place = _place(words[0])
        try:
            chosen = None if place == "here" else open_store(place)
        except ValueError as error:
            usage_error(str(error))
        session.chosen_store = chosen
    return f"This session remembers in {session.store!r}."


def _place(word: str) -> str:
    """Return the place; of ``$NAME`` what the environment says, so that no password need be in the notebook."""
    if not word.startswith("$"):
        return word
    place = os.environ.get(word[1:], "")
    if not place:
        usage_error(f"The environment has no variable {plain(word[1:], 60)}. Set it before Jupyter starts.")
    return place


def _ask(question: Callable[[], Asked], session: Session, runs: Sequence[str] = ()) -> Asked:
    """Ask the store; what it does not know is a line, not a traceback.

    Args:
        runs: the runs that the question names.
    """
    try:
        return question()
    except ValueError as error:
        usage_error(f"{error}{hint_for_run(session, runs)}")
