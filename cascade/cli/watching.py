"""`cascade watch`: a run elsewhere on this terminal, or as lines in a pipe.

In: the name of a run and an address. Out: a screen that is kept up to date, lines, or JSON lines; the exit code of the
run. Invariant: the run is only looked at; a run that does not answer any more is said within seconds; the terminal is
left as it was found.
"""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cascade.cli.codes import DONE, FAILED, INTERRUPTED, CommandError
from cascade.cli.desk import going_runs, is_address, nobody, open_desk, without_password
from cascade.cli.observing import Observer
from cascade.cli.output import say, to_json_text
from cascade.cli.screen import draw, sayable, tell
from cascade.interfaces.naming import clip

if TYPE_CHECKING:
    from cascade.runtime.remote_desk import RemoteDesk, RunStatus

__all__ = ["watch_run"]

LOOK: Final = 0.15  # seconds between two looks at keyboard and messages


def watch_run(words: Sequence[str], at: str, *, waits: bool, as_json: bool) -> int:
    """Watch a run to its end, or until somebody leaves; return the exit code.

    Args:
        words: a run, an address, both or none, in any order.
    """
    addresses = [word for word in words if is_address(word)]
    names = [word for word in words if not is_address(word)]
    if len(addresses) > 1 or len(names) > 1:
        raise CommandError("cascade watch takes one run and one address, as in cascade watch 1f3a mqtt://host:1883.")
    address = addresses[0] if addresses else at
    with open_desk(address) as desk:
        observer = _observe(desk, names[0] if names else None, waits=waits)
        try:
            if as_json:
                _tell_as_json(observer)
            elif _is_terminal():
                return _show(observer, without_password(address))
            else:
                _say_which(observer.status)
                _tell_as_lines(observer)
        finally:
            observer.leave()
        return _code(observer)


def _observe(desk: RemoteDesk, name: str | None, *, waits: bool) -> Observer:
    """Listen to the run that is meant, from before it is known whether there is one: no word of it is missed."""
    if name is not None or not waits:
        return Observer(desk, _choose(desk, name))
    observer = Observer(desk, None)
    try:
        going = going_runs(desk)
    except BaseException:
        observer.leave()
        raise
    if not going or any(status.run_id == observer.run.run_id for status in going):
        if not observer.run.run_id:
            say("Waiting for a run to begin; Ctrl-C ends this.")
        return observer
    observer.leave()
    return Observer(desk, going[0])


def _say_which(status: RunStatus) -> None:
    if status.run_id:
        say(f"Watching run {status.run_id}{f' ({clip(status.name)})' if status.name else ''}.")


def _choose(desk: RemoteDesk, name: str | None) -> RunStatus:
    if name is not None:
        return desk.status(name)
    going = going_runs(desk)
    if not going:
        last = desk.recent(1)
        more = f" The last one was {last[0].run_id}, {last[0].state}: cascade watch {last[0].run_id}." if last else ""
        raise CommandError.unreached(f"{nobody(desk)}{more}")
    if len(going) > 1:
        others = ", ".join(status.run_id for status in going[1:10])
        say(f"{len(going)} runs go on; this is the latest. The others: {others}.")
    return going[0]


def _code(observer: Observer) -> int:
    run = observer.run
    if not run.over:
        raise CommandError.unreached(
            f"The run '{run.run_id}' does not answer any more: it has ended, or its process was killed."
        )
    return DONE if run.state == "completed" else FAILED


# -- in a pipe ------------------------------------------------------------------------------------------------------


def _tell_as_json(observer: Observer) -> None:
    for message in observer.take(LOOK):
        if message is not None:
            _write(to_json_text(message))


def _tell_as_lines(observer: Observer) -> None:
    run, said = observer.run, ""
    for message in observer.take(LOOK):
        if observer.note != said:
            said = observer.note
            say(said or "Connected again.")
        told = observer.told if message is not None else None
        if told is not None and told.state != "pending":
            since = run.since_start(told.at)
            stamp = f"{since:9.3f} s" if since is not None else time.strftime("%H:%M:%S", time.localtime(told.at))
            _write(f"{stamp}  {tell(told)}")


def _write(line: str) -> None:
    """Write a line at once: who reads a pipe follows it, too."""
    sys.stdout.write(sayable(f"{line}\n", sys.stdout))
    sys.stdout.flush()


# -- on a terminal --------------------------------------------------------------------------------------------------


def _is_terminal() -> bool:
    import os

    try:
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def _show(observer: Observer, place: str) -> int:
    """Keep a screen up to date until the run ends or somebody leaves."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    stream = sys.stdout  # rich puts another in its place, which takes any sign

    def picture() -> Text:
        wide, high = console.size
        lines = draw(observer.run, wide - 1, high - 1, note=observer.note, place=place)
        made = Text(no_wrap=True, end="")
        for number, line in enumerate(lines):
            made.append("\n" if number else "")
            for text, style in line:
                made.append(sayable(text, stream), style)
        return made

    with _keys() as key, Live(picture(), console=console, auto_refresh=False, vertical_overflow="crop") as live:
        drawn = 0.0
        for _ in observer.take(LOOK):
            pressed = key()
            if pressed in {"q", "Q"}:
                live.update(picture(), refresh=True)
                return DONE
            if pressed == "\x03":
                return INTERRUPTED
            if time.monotonic() - drawn >= LOOK:
                drawn = time.monotonic()
                live.update(picture(), refresh=True)
        live.update(picture(), refresh=True)
    return _code(observer)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Give a function that returns the key that was pressed, empty for none; the terminal is set back at the end."""
    try:
        import termios
        import tty

        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
    except (ImportError, OSError, ValueError, AttributeError):  # no terminal to type at, or none of this kind
        yield lambda: ""
        return
    import os

    def key() -> str:
        ready, _, _ = select.select([handle], [], [], 0)
        return os.read(handle, 1).decode("latin-1") if ready else ""

    try:
        tty.setcbreak(handle)
        yield key
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
