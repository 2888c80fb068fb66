"""What is known of a run elsewhere → lines for a terminal of any size.

In: a `Followed` run and the room there is. Out: lines with the style of each piece. Invariant: never more lines and
columns than there is room for; what does not fit is counted; state is told by sign and word, colour only repeats it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TextIO

from cascade.cli.following import ENDED, Followed, NodeSeen, Told
from cascade.cli.output import encodable
from cascade.cli.tables import cut, pad
from cascade.messaging.catalogue import in_seconds

__all__ = ["SIGNS", "Line", "draw", "sayable", "tell"]

Line = tuple[tuple[str, str], ...]  # pieces of text, each with its style

SIGNS: Final = {
    "pending": "○", "running": "◐", "done": "●", "failed": "✕", "skipped": "⊘", "cancelled": "⊘", "waiting": "◌",
    "retry": "▲", "paused": "‖", "completed": "●", "lost": "?", "cancelling": "⊘",
}  # fmt: skip
STYLES: Final = {
    "running": "blue", "done": "green", "completed": "green", "failed": "bold red", "waiting": "yellow",
    "retry": "yellow", "paused": "yellow", "lost": "bold red", "skipped": "dim", "cancelled": "dim", "pending": "dim",
}  # fmt: skip
TOLD: Final = ("done", "running", "waiting", "retry", "failed", "skipped", "cancelled", "pending")
ORDER: Final = {"failed": 0, "running": 1, "retry": 2, "waiting": 3, "done": 4, "cancelled": 5, "skipped": 6}
NAME: Final = 32  # columns of a name
FEWEST: Final = 3  # lines of the log, where there is room for them
ABOUT: Final = "q leaves; the run goes on"


PLAIN: Final = str.maketrans(dict(zip("█░●◐○✕⊘◌▲‖·…–", "#.*>ox-~^=..-", strict=True)))


def sayable(text: str, stream: TextIO) -> str:
    """Return a text in signs of one column each that `stream` has, where it lacks those that are used here."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return encodable(text.translate(PLAIN), stream)
    return text


def draw(
    run: Followed, wide: int, high: int, *, note: str = "", place: str = "", now: float | None = None
) -> list[Line]:
    """Return at most `high` lines of at most `wide` columns.

    Args:
        note: something about the connection, empty for nothing. place: the address. now: seconds since the epoch.
    """
    now = time.time() if now is None else now
    head = [*_head(run, wide, place, now), *_notes(run, note)]
    foot = [] if run.over else [_plain(ABOUT, "dim")]
    room = max(0, high - len(head) - len(foot))
    log = [((_stamp(told, run), "dim"), (tell(told), STYLES.get(told.state, ""))) for told in run.lines]
    some_log = min(len(log), max(FEWEST, room // 3)) if room > 2 * FEWEST else 0
    nodes = _nodes(run, room - some_log - (1 if some_log else 0), now)
    some_log = min(len(log), max(0, room - len(nodes) - 1)) if some_log else 0
    middle = [*nodes, *([_plain("")] if some_log else []), *log[len(log) - some_log :]]
    return [_fit(line, wide) for line in [*head, *middle, *foot][:high]]


def tell(told: Told) -> str:
    """Return one message as a line: a sign, what it is about, and how it is now."""
    if told.kind == "life":
        what = f"the run {'started' if told.name == 'started' else 'ended'}: {told.state}"
        return f"{SIGNS.get(told.state, '·')} {what}"
    if told.kind == "resource":
        how = "taken" if told.state == "ACQUIRE" else "given back"
        return f"· {told.name} {how}, {told.seconds:g} in use"
    took = f" in {in_seconds(told.seconds)}" if told.seconds else ""
    error = f": {told.error}" if told.error else ""
    return f"{SIGNS[told.state]} {told.name} {told.state}{took}{error}"


def _stamp(told: Told, run: Followed) -> str:
    since = run.since_start(told.at)
    return f"{since:9.3f} s  " if since is not None else f"{time.strftime('%H:%M:%S', time.localtime(told.at))}     "


# -- the parts ------------------------------------------------------------------------------------------------------


def _head(run: Followed, wide: int, place: str, now: float) -> Iterator[Line]:
    state = run.state or "not heard of yet"
    took = in_seconds(round(run.elapsed(now), 1)) if run.elapsed(now) >= 1 else ""
    about = f"run {run.run_id}{f' at {place}' if place else ''}"
    yield (
        (f"{SIGNS.get(state, '·')} {run.name or 'run'}", "bold"), ("  ", ""), (state, STYLES.get(state, "")),
        (f"  {took}", ""), (f"  {about}", "dim"),
    )  # fmt: skip
    counts = run.counts
    total = sum(counts.values())
    over = sum(counts.get(state, 0) for state in ENDED)
    if total:
        long = max(10, min(40, wide - 24))
        done = long * over // total
        yield (("█" * done, "green"), ("░" * (long - done), "dim"), (f"  {over:,} of {total:,}", ""))
    pieces: list[tuple[str, str]] = []
    for word in TOLD:
        if counts.get(word):
            told = "to come" if word == "pending" else word
            pieces += [(f"{SIGNS[word]} {counts[word]:,} {told}", STYLES.get(word, "")), ("   ", "")]
    if pieces:
        yield tuple(pieces[:-1])


def _notes(run: Followed, note: str) -> Iterator[Line]:
    from cascade.cli.desk import limit_words

    if note:
        yield _plain(note, "yellow")
    if run.state == "paused":
        yield _plain(f"Paused: nothing starts until cascade resume {run.run_id}", "yellow")
    for known in [] if run.over else run.limits[:5]:
        yield _plain(f"In force: {limit_words(known)}", "yellow")
    used = [f"{name} {amount:g}" for name, amount in run.usage.items() if amount]
    if used and not run.over:
        yield _plain(f"In use: {' · '.join(used[:12])}")
    if not run.is_whole and run.run_id:
        yield _plain("Joined while it ran: of what was over by then only the number is known.", "dim")


def _nodes(run: Followed, room: int, now: float) -> list[Line]:
    """Return the nodes, those first that need a look; what does not fit is counted."""
    if room < 2 or not run.nodes:  # noqa: PLR2004 - an empty line and a node
        return []
    nodes: Iterable[NodeSeen] = run.nodes.values()
    known = _by_name(nodes) if len(run.nodes) > room - 1 else list(nodes)
    ranked = sorted(known, key=lambda node: (ORDER.get(node.shown, 7), -node.since))
    lines = [_plain("")]
    is_folded = len(ranked) > room - 1
    shown = ranked[: max(0, room - 2)] if is_folded else ranked
    widest = min(NAME, max((len(node.name) for node in shown), default=0))
    lines += [_node(node, widest, now, is_over=run.over) for node in shown]
    if is_folded:
        lines.append(_plain(f"… and {_count(ranked[len(shown) :])}", "dim"))
    return lines


def _by_name(nodes: Iterable[NodeSeen]) -> list[NodeSeen]:
    """Return one for all nodes of a name, in the state that most needs a look, with how many are in which."""
    found: dict[str, list[NodeSeen]] = {}
    for node in nodes:
        found.setdefault(node.name, []).append(node)
    return [_folded(name, same) if len(same) > 1 else same[0] for name, same in found.items()]


def _folded(name: str, nodes: Sequence[NodeSeen]) -> NodeSeen:
    first = min(nodes, key=lambda node: ORDER.get(node.shown, 7))
    is_begun = first.state in ENDED and any(node.shown == "pending" for node in nodes)
    state = "running" if is_begun and first.state != "failed" else first.shown
    made = NodeSeen(name, state, max(node.since for node in nodes), error=first.error, is_folded=True)
    for node in nodes:
        made.items[node.shown] = made.items.get(node.shown, 0) + 1
    return made


def _count(nodes: Iterable[NodeSeen]) -> str:
    found: dict[str, int] = {}
    total = 0
    for node in nodes:
        total += 1
        found[node.shown] = found.get(node.shown, 0) + 1
    told = ", ".join(f"{found[w]:,} {'to come' if w == 'pending' else w}" for w in TOLD if found.get(w))
    return f"{total:,} more: {told}"


def _node(node: NodeSeen, widest: int, now: float, *, is_over: bool) -> Line:
    state = node.shown
    style = STYLES.get(state, "")
    word = "to come" if state == "pending" else state
    took = node.seconds if state in ENDED else max(0.0, now - node.since) if node.since and not is_over else 0.0
    time_word = in_seconds(round(took, 1) if took >= 1 else took) if took and state != "pending" else ""
    items = ", ".join(f"{node.items[s]:,} {'to come' if s == 'pending' else s}" for s in TOLD if node.items.get(s))
    items = f"{'nodes' if node.is_folded else 'items'}: {items}" if items else ""
    time_word = "" if node.is_folded else time_word
    why = node.why if node.state == "waiting" else ""  # of a map, some items may run
    why = why or ("for a capacity or a limit" if state == "waiting" else "")
    more = "  ".join(part for part in (time_word, items, why, node.error) if part)
    name = pad(cut(node.name, widest), widest)
    return ((f"  {SIGNS[state]} ", style), (f"{name}  ", ""), (f"{word:<9} ", style), (more, ""))


def _plain(text: str, style: str = "") -> Line:
    return ((text, style),)


def _fit(line: Line, wide: int) -> Line:
    made, room = [], wide
    for text, style in line:
        if room <= 0:
            break
        kept = cut(text, room)
        made.append((kept, style))
        room -= len(pad(kept, 0)) if kept == text else room
    return tuple(made)
