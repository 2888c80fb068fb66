"""`%cascade why`, `plan`, `runs`, `diff` and `store`: what the notebook remembers, in words.

In: a session and the words of the line. Out: text. Invariant: what the store does not know is one line, a `UsageError`,
never a traceback; nothing but `store gc`, `limit`, `clear` and `use` changes anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from cascade.notebook.cell import evaluate
from cascade.notebook.commands import Said
from cascade.notebook.numbers import hint_for_run, is_number
from cascade.notebook.options import refuse_options, split_line, take_settings, usage_error
from cascade.notebook.plain import plain
from cascade.notebook.session import Session

__all__ = ["diff", "plan", "runs", "store", "why"]

Asked = TypeVar("Asked")
_HERE: Final = ("here", "default")  # the notebook's own folder
_ELSEWHERE: Final = {
    "redis": "%cascade store use redis://localhost:6379/0",
    "memory": "%cascade store use memory://cascade, which is gone with the kernel",
    "none": "%%cascade --no-store for a cell that remembers nothing",
    "nothing": "%%cascade --no-store for a cell that remembers nothing",
    "off": "%%cascade --no-store for a cell that remembers nothing",
}


def why(session: Session, words: Sequence[str]) -> Said:
    """Tell why a node ran, in its last run or in the run that is named."""
    from cascade.tools.why import why

    asked = [word.strip("'\"") for word in words]  # people quote fit[3], as a shell asks for
    if not asked:
        usage_error("%cascade why takes the name of a node: %cascade why clean.")
    if len(asked) > 2:  # noqa: PLR2004 - a node and a run
        usage_error("%cascade why takes one node, and the number of a run: %cascade why clean 14.")
    run = asked[1] if len(asked) > 1 else None
    return Said(str(_ask(lambda: why(asked[0], run=run, cache=session.store), session, asked[1:])))


def plan(session: Session, words: Sequence[str]) -> Said:
    """Tell what a run would do."""
    from cascade.notebook.cell_task import store_of
    from cascade.notebook.simulating import SETTINGS, take_workers
    from cascade.tools.plan import plan

    rest, params, capacities = take_settings(words)
    rest, counts = take_workers(rest)
    refuse_options(rest, SETTINGS, "plan")
    if len(counts) > 1:
        usage_error("%cascade plan takes one number of workers; %cascade simulate compares several.")
    if not rest:
        usage_error("%cascade plan takes a target: %cascade plan report(clean(load())).")
    target = evaluate(session.shell, " ".join(rest))
    return Said(
        str(plan(target, params, capacities or None, cache=store_of(session), workers=counts[0] if counts else None))
    )


def runs(session: Session, words: Sequence[str]) -> Said:
    """List runs, the latest first."""
    from cascade.tools.history import history

    if len(words) > 1 or (words and not (is_number(words[0]) and int(words[0]))):
        usage_error(f"%cascade runs takes how many to list, not '{plain(' '.join(words), 60)}'.")
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
        place = _place(str(split_line(words[0])[0]))
        try:
            chosen = None if place in _HERE else open_store(_checked(place))
        except ValueError as error:
            usage_error(str(error))
        session.chosen_store = chosen
    return f"This session remembers in {_name_of(session.store)}."


def _name_of(store: object) -> str:
    """Return ``'.cascade'``, or ``the redis cache 'cascade:' at redis://localhost:6379``."""
    shown = repr(store).removeprefix("<store in ").removesuffix(">")
    return f"the {shown[1:-1]}" if shown.startswith("<") else shown


def _checked(place: str) -> str:
    """Return the name of a place, unless it is more likely a slip of the hand than a folder to be made."""
    from difflib import get_close_matches

    if not place.isidentifier() or os.path.isdir(place):  # noqa: PTH112 - a text, as it was written
        return place
    meant = get_close_matches(place.lower(), [*_HERE, *_ELSEWHERE], n=1, cutoff=0.75)
    if meant:
        right = _ELSEWHERE.get(meant[0], f"%cascade store use {meant[0]}")
        usage_error(f"'{place}' is no folder yet. Write {right}, or ./{place} for a new folder of that name.")
    return place


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
