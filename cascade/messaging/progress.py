"""Where a run stands → a few lines at the foot of a terminal, drawn anew while it goes on.

In: `Progress`, again and again. Out: lines below whatever else is printed, gone when it ends. Invariant: text stays
text, a terminal is left as it was found, and one that cannot be drawn on is left alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cascade.messaging.catalogue import in_seconds
from cascade.messaging.renderer import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["Busy", "Progress", "ProgressDisplay"]

MOST_BUSY: Final = 6  # nodes with a line of their own
_WIDEST_BAR: Final = 40
_STYLES: Final = {"done": "green", "stored": "magenta", "failed": "bold red", "retrying": "yellow"}


@dataclass(frozen=True, slots=True)
class Busy:
    """A node at work.

    Args:
        label: its id. seconds: since it began. note: what it waits for or how far it is, empty if there is nothing.
    """

    label: str
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Args:
        name: of the run. state: ``running``, ``paused`` or ``cancelling``. elapsed: seconds since its start.
        done: nodes that are over. total: all nodes. counts: how many of them by word, in the order to show.
        busy: nodes at work, the longest first. left: seconds to go, None if nobody knows.
    """

    name: str
    state: str
    elapsed: float
    done: int
    total: int
    counts: Mapping[str, int]
    busy: tuple[Busy, ...] = ()
    left: float | None = None


class ProgressDisplay:
    """Lines at the foot of the terminal that stderr is.

    What is printed meanwhile, to stdout and stderr, appears above them. Of several displays at a time only the first
    is drawn. Not for several threads at once: whoever draws also says when others may write.

    Args:
        console: where to draw; by default the terminal of stderr.
    """

    _drawn: ProgressDisplay | None = None
    _choosing = threading.Lock()

    def __init__(self, console: Console | None = None) -> None:
        """Draw nothing yet."""
        self._console = console
        self._live: Any = None
        self._undo: list[Callable[[], None]] = []

    @staticmethod
    def can_draw() -> bool:
        """Whether stdout and stderr are a terminal on which lines can be drawn anew."""
        try:
            if not (sys.stdout.isatty() and sys.stderr.isatty()):
                return False
        except (AttributeError, ValueError):
            return False
        from rich.console import Console

        console = Console(stderr=True)
        return console.is_terminal and not console.is_dumb_terminal and not console.is_jupyter

    def show(self, progress: Progress) -> None:
        """Draw `progress`, in the place of what was drawn before."""
        if self._live is None and not self._begin():
            return
        self._live.update(self._lines(progress), refresh=True)

    def stop(self) -> None:
        """Take the lines away and give the terminal back."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError, ValueError):  # its reader is gone
                live.stop()
            while self._undo:
                self._undo.pop()()
            with self._choosing:
                ProgressDisplay._drawn = None

    def _begin(self) -> bool:
        import atexit

        from rich.console import Console
        from rich.live import Live

        with self._choosing:
            if ProgressDisplay._drawn is not None:
                return False
            ProgressDisplay._drawn = self
        console = self._console or Console(file=_innermost(sys.stderr))
        self._live = Live(
            console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        if console.is_terminal:
            self._undo = [_print_above(console, "stdout"), _print_above(console, "stderr")]
        atexit.register(self.stop)  # a script that ends in the middle must not keep the cursor
        return True

    def _lines(self, progress: Progress) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(one_line(progress.name, 40), "bold")
        state = "" if progress.state == "running" else f" · {progress.state}"
        left = "" if progress.left is None else f" · about {in_seconds(progress.left)} left"
        head.append(f"{state} · {in_seconds(progress.elapsed)}{left}", "dim")
        for word, count in progress.counts.items():
            if count:
                head.append(" · ", "dim").append(f"{count:,} {word}", _STYLES.get(word, ""))
        bar = ProgressBar(
            total=max(1, progress.total), completed=progress.done, width=_WIDEST_BAR, complete_style="blue"
        )
        scale = Table.grid(padding=(0, 1))
        scale.add_row(bar, Text(f"{progress.done:,} of {progress.total:,}", "dim"))
        table = Table.grid(padding=(0, 2), expand=False)
        for one in progress.busy[:MOST_BUSY]:
            table.add_row(
                Text("  ◐", "blue"),
                Text(one_line(one.label, 60), no_wrap=True, overflow="ellipsis"),
                Text(in_seconds(one.seconds), "dim"),
                Text(one_line(one.note, 80), "yellow", no_wrap=True, overflow="ellipsis"),
            )
        rest = len(progress.busy) - MOST_BUSY
        more = [Text(f"  … and {rest:,} more", "dim")] if rest > 0 else []
        return Group(head, scale, table, *more)


def _innermost(stream: Any) -> Any:
    """Return the stream below those that hear what passes."""
    while hasattr(stream, "put_under"):
        stream = stream.under
    return stream


def _print_above(console: Console, name: str) -> Callable[[], None]:
    """Have what is printed to a stream appear above what is drawn, below those that hear it; return what undoes it."""
    from rich.file_proxy import FileProxy

    hearing = None
    stream = getattr(sys, name)
    while hasattr(stream, "put_under"):
        hearing, stream = stream, stream.under
    above: Any = FileProxy(console, stream)
    if hearing is not None:
        hearing.put_under(above)
    else:
        setattr(sys, name, above)

    def undo() -> None:
        above.flush()
        around, now = None, getattr(sys, name)
        while now is not above and hasattr(now, "put_under"):
            around, now = now, now.under
        if now is above and around is not None:
            around.put_under(stream)
        elif now is above:
            setattr(sys, name, stream)

    return undo
