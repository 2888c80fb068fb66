"""`cascade status`, `pause`, `resume`, `limit`, `limits`, `unlimit` and `cancel`: orders to runs elsewhere.

In: words. Out: what was done and what is in force now, exit codes. Invariant: each order changes what it names and
nothing else; what did not answer is said, never taken for done.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from cascade.cli.codes import DONE, UNREACHED, CommandError
from cascade.cli.desk import OVER, find_run, going_runs, limit_words, nobody, open_desk, without_password
from cascade.cli.output import say, show
from cascade.cli.tables import lay_out
from cascade.interfaces.naming import clip
from cascade.messaging.catalogue import in_seconds
from cascade.messaging.renderer import one_line
from cascade.runtime.remote_desk import LimitInForce, RemoteDesk, RunStatus
from cascade.spec.constraint import GlobalConstraint
from cascade.spec.telemetry import constraint_topic

__all__ = ["cancel", "limit", "pause", "read_ttl", "resume", "show_limits", "show_status", "unlimit"]

_TIMES: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST: Final = 3650 * 86400.0  # seconds that a limit may be set for
WORDS: Final = (
    ("completed", "done"), ("running", "running"), ("failed", "failed"), ("skipped", "skipped"),
    ("cancelled", "cancelled"), ("pending", "to come"),
)  # fmt: skip


# -- what there is --------------------------------------------------------------------------------------------------


def show_status(word: str | None, at: str, *, also_ended: bool, as_json: bool) -> int:
    """List runs and the limits in force; return UNREACHED when no run goes on."""
    with open_desk(at) as desk:
        found = [desk.status(word)] if word is not None else going_runs(desk)
        ended = [s for s in desk.recent() if s.run_id not in {r.run_id for r in found}] if also_ended else []
        limits = desk.limits()
        statuses = [*found, *ended]
        if as_json:
            show({"address": without_password(at), "runs": statuses, "limits": limits}, as_json=True)
        elif statuses:
            show(_table(statuses), as_json=False)
            for status in statuses:
                _tell_limits(_own(status, limits), at, status)
            _tell_limits(limits, at)
        else:
            say(nobody(desk))
            _tell_limits(limits, at)
        return DONE if statuses else UNREACHED


def _table(statuses: Iterable[RunStatus]) -> str:
    rows = [("run", "name", "state", "since", "where", "nodes")]
    for status in statuses:
        when = in_seconds(status.elapsed) if status.elapsed > 0 else ""  # one that was lost has no end
        rows.append((status.run_id, clip(status.name), status.state, when, clip(status.source), count_words(status)))
    return lay_out(rows, _width())


def _width() -> int:
    """Return how wide a line may be: on a terminal no wider than that, in a file as wide as it takes."""
    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else 0


def count_words(status: RunStatus) -> str:
    """Return ``3 done, 2 running, 4 to come``."""
    return ", ".join(f"{status.counts[state]:,} {word}" for state, word in WORDS if status.counts.get(state))


def show_limits(at: str, *, as_json: bool) -> int:
    """List the limits that every run obeys."""
    with open_desk(at) as desk:
        limits = desk.limits()
    if as_json:
        show(limits, as_json=True)
    elif limits:
        show(_limit_table(limits), as_json=False)
    else:
        show(f"No limit is in force at {without_password(at)}.", as_json=False)
    return DONE


def _limit_table(limits: Sequence[LimitInForce]) -> str:
    return lay_out([("scope", "limit"), *((known.limit.scope, limit_words(known)) for known in limits)], _width())


def _tell_limits(limits: Sequence[LimitInForce], at: str, run: RunStatus | None = None) -> None:
    """Say what every run obeys, or one alone; a pause that somebody forgot explains why nothing moves."""
    where, name = (f" in run {run.run_id}", f" {run.run_id}") if run is not None else ("", "")
    for known in limits:
        undo = f"{'resume' if known.limit.type == 'pause' else 'unlimit'}{name}"
        told = f"In force{where}: {limit_words(known)}. Lift it: cascade {undo}{_scope(known.limit.scope)}{_at(at)}"
        show(told, as_json=False)


def _own(run: RunStatus, limits: Sequence[LimitInForce]) -> list[LimitInForce]:
    """Return the limits that this run alone obeys: set for it from outside, or by its own program."""
    shared = {known.limit.id for known in limits}
    return [known for known in run.limits if known.limit.id not in shared]


def _lift_own(desk: RemoteDesk, run: RunStatus, scope: str, kinds: Sequence[str]) -> tuple[int, RunStatus]:
    """Lift the limits of a run alone that are of one scope and of some types; return how many, and how it is now."""
    lifted, status = 0, run
    for known in _own(run, desk.limits()):
        if known.limit.scope == scope and known.limit.type in kinds:
            status = desk.unlimit(run.run_id, known.limit.id)
            lifted += 1
    return lifted, status


# -- orders ---------------------------------------------------------------------------------------------------------


def pause(word: str | None, at: str, ttl: str, scope: str, *, as_json: bool) -> int:
    """Hold the starts of one run, or of all."""
    rule = _make(scope, "pause", {}, read_ttl(ttl), is_own=word is not None)
    with open_desk(at) as desk:
        if word is None:
            desk.set_limit(rule)
            lift = f"cascade resume{_scope(scope)}{_at(at)}"
            return _said(f"Every run at {_place(at)}: {_words(rule)}. Go on with: {lift}", [rule], as_json=as_json)
        run = _going(desk, word, "pause")
        is_plain = scope == "global" and rule.expires_at is None
        status = desk.pause(run.run_id) if is_plain else desk.limit(run.run_id, rule)
        lift = f"cascade resume {run.run_id}{_scope(scope)}{_at(at)}"
        told = f"{_title(run)}: {_words(rule)}; what runs goes on. Go on with: {lift}"
        return _said(told, status, as_json=as_json)


def resume(word: str | None, at: str, scope: str, *, as_json: bool) -> int:
    """Lift one pause, and tell what still holds."""
    _make(scope, "pause", {}, None, is_own=word is not None)  # checks the scope
    run: RunStatus | None = None
    own: list[LimitInForce] = []
    with open_desk(at) as desk:
        if word is None:
            was_there = desk.clear_limit(scope, "pause")
            left = desk.limits()
            who = "every run" if scope == "global" else f"'{clip(scope)}'"
            told = f"The pause of {who} at {_place(at)} is lifted." if was_there else _nothing_to_lift(who, at)
            held = [_held(status, at) for status in desk.runs() if status.state == "paused"]
        else:
            run = _going(desk, word, "resume")
            count, status = _lift_own(desk, run, scope, ("pause",))
            is_all, was_paused = scope == "global", run.state == "paused"
            status = desk.resume(run.run_id) if is_all else status
            told = f"{_title(run)} may go on."
            if not count and not (is_all and was_paused):
                of = "" if is_all else f" of '{clip(scope)}'"
                told = f"{_title(run)} has no pause of its own{of}; nothing was changed."
            held, left = [_held(run, at)] if was_paused and not is_all else [], desk.limits()
            own = _own(status, left)
    if as_json:
        show({"said": told, "in_force": [*own, *left]}, as_json=True)
        return DONE
    show("\n".join([told, *held]), as_json=False)
    _tell_limits(own, at, run)
    _tell_limits(left, at)
    return DONE


def _nothing_to_lift(who: str, at: str) -> str:
    return f"No pause of {who} is in force at {_place(at)}; nothing was changed."


def _held(run: RunStatus, at: str) -> str:
    return f"{_title(run)} is paused by itself: cascade resume {run.run_id}{_at(at)}"


def limit(
    word: str | None, at: str, concurrency: int | None, rate: str, ttl: str, scope: str, *, clear: bool, as_json: bool
) -> int:
    """Set a limit on one run, or on all; with `clear`, take those of the scope away."""
    if clear:
        if concurrency is not None or rate or ttl:
            raise CommandError("--clear stands alone, with --scope where it is not for everything.")
        return unlimit(word, at, scope, as_json=as_json)
    if (concurrency is None) == (not rate):
        raise CommandError("Give one of --concurrency N, as in --concurrency 2, and --rate RATE, as in --rate 10/m.")
    expires = read_ttl(ttl)
    kind = "rate_limit" if rate else "concurrency"
    params: dict[str, object] = {"rate": rate, "capacity": 1} if rate else {"limit": concurrency}
    rule = _make(scope, kind, params, expires, is_own=word is not None)
    lift = f"unlimit{f' {clip(word)}' if word else ''}{_scope(scope)}{_at(at)}"
    with open_desk(at) as desk:
        if word is None:
            desk.set_limit(rule)
            told = f"Every run at {_place(at)}: {_words(rule)}. Lift it: cascade {lift}"
            return _said(told, [rule], as_json=as_json)
        run = _going(desk, word, "limit")
        status = desk.limit(run.run_id, rule)
        return _said(f"{_title(run)}: {_words(rule)}. Lift it: cascade {lift}", status, as_json=as_json)


def unlimit(word: str | None, at: str, scope: str, *, as_json: bool) -> int:
    """Take the limits of a scope away; a pause is none of them."""
    kinds = ("concurrency", "rate_limit")
    _make(scope, "pause", {}, None, is_own=word is not None)  # checks the scope
    run: RunStatus | None = None
    own: list[LimitInForce] = []
    with open_desk(at) as desk:
        if word is None:
            lifted = [kind for kind in kinds if desk.clear_limit(scope, kind)]
            told = f"{len(lifted)} limit{'' if len(lifted) == 1 else 's'} of '{clip(scope)}' lifted at {_place(at)}."
            if not lifted:
                told = f"No limit of '{clip(scope)}' is in force at {_place(at)}; nothing was changed."
            left = desk.limits()
        else:
            run = _going(desk, word, "unlimit")
            count, status = _lift_own(desk, run, scope, kinds)
            told = f"{_title(run)}: its own limits of '{clip(scope)}' are lifted."
            if not count:
                told = f"{_title(run)} has no limit of its own of '{clip(scope)}'; nothing was changed."
            left = desk.limits()
            own = _own(status, left)
    if as_json:
        show({"said": told, "in_force": [*own, *left]}, as_json=True)
        return DONE
    show(told, as_json=False)
    _tell_limits(own, at, run)
    _tell_limits(left, at)
    return DONE


def cancel(word: str | None, at: str, reason: str, *, as_json: bool) -> int:
    """Stop a run."""
    with open_desk(at) as desk:
        run = _going(desk, word, "cancel")
        status = desk.cancel(run.run_id, reason or "cancelled by the command line")
        return _said(f"{_title(run)} is being cancelled.", status, as_json=as_json)


def _going(desk: RemoteDesk, word: str | None, doing: str) -> RunStatus:
    run = find_run(desk, word, doing)
    if run.state in OVER:
        raise CommandError.unreached(f"{_title(run)} is over: {run.state}. There is nothing to {doing}.")
    return run


# -- words ----------------------------------------------------------------------------------------------------------


def read_ttl(text: str) -> float | None:
    """Return when something ends that lasts as long as `text` says, in seconds since the epoch; None: never.

    Raises:
        CommandError: when it is no time.
    """
    if not text:
        return None
    digits = text.rstrip("smhd")
    try:
        seconds = float(digits) * _TIMES[text[len(digits) :]]
    except (ValueError, KeyError):
        seconds = math.nan
    if not 0 < seconds <= LONGEST:
        raise CommandError(f"--ttl takes a time such as 90s, 30m, 2h or 1d, not '{clip(text)}'.")
    return time.time() + seconds


def _make(scope: str, kind: str, params: dict[str, object], expires: float | None, *, is_own: bool) -> GlobalConstraint:
    try:
        if not is_own:
            constraint_topic(scope, kind)  # one that cannot stand in a topic is said before anybody is asked
        return GlobalConstraint(_id(kind, scope, is_own=is_own), scope, kind, params, expires)
    except ValueError as error:
        raise CommandError(one_line(str(error))) from None


def _id(kind: str, scope: str, *, is_own: bool) -> str:
    """Return the name of a limit; one of a run alone never replaces one that all runs obey."""
    return f"{'own-' if is_own else ''}{kind}:{scope}"


def _words(rule: GlobalConstraint) -> str:
    return limit_words(LimitInForce(rule))


def _title(status: RunStatus) -> str:
    name = f" ({clip(status.name)})" if status.name else ""
    return f"Run {status.run_id}{name}"


def _place(at: str) -> str:
    return without_password(at)


def _at(at: str) -> str:
    return "" if at == "local" else f" --at {without_password(at)}"


def _scope(scope: str) -> str:
    return "" if scope == "global" else f" --scope '{clip(scope)}'"


def _said(told: str, answer: Any, *, as_json: bool) -> int:
    show({"said": told, "now": answer} if as_json else told, as_json=as_json)
    return DONE
