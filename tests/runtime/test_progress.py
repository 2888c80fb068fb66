"""What a run shows at the foot of a terminal while it goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import pyte
import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.messaging.progress import Busy, Progress, ProgressDisplay
from cascade.runtime.progress import ProgressSubscriber

WIDE, HIGH = 100, 40


class Terminal:
    """A pseudo terminal with a real emulator behind it; keeps every screen that was shown."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(WIDE, HIGH)
        self.stream = pyte.ByteStream(self.screen)
        self.screens: list[str] = []

    def run(self, *command: str, typed: str = "", cwd: Path) -> str:
        """Run a program to its end; return the last screen."""
        environment = {**os.environ, "TERM": "xterm-256color", "IPYTHONDIR": str(cwd / "ipython")}
        environment.pop("NO_COLOR", None)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HIGH, WIDE, 0, 0))
        if typed:
            os.write(terminal, typed.encode())
        while True:
            try:
                piece = os.read(terminal, 65_536)
            except OSError:
                break
            if not piece:
                break
            self.stream.feed(piece)
            self.screens.append(self.text())
        os.close(terminal)
        os.waitpid(pid, 0)
        return self.text()

    def text(self) -> str:
        """What is on the screen, without the empty lines."""
        return "\n".join(line.rstrip() for line in self.screen.display if line.strip())


SCRIPT = """
import time
import cascade as cs

@cs.task
def load(n):
    time.sleep(0.4)
    print("loaded", n)
    return n

@cs.task
def fit(x):
    time.sleep(0.9)
    return x

@cs.task
def total(values):
    return sum(values)

print("sum", cs.run(total([fit(load(1)), fit(2)])LEVEL))
"""


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Writes the script, with more arguments for the run."""

    def write(level: str = "") -> str:
        path = tmp_path / "flow.py"
        path.write_text(SCRIPT.replace("LEVEL", level), encoding="utf-8")
        return str(path)

    return write


@pytest.mark.slow
def test_a_script_on_a_terminal_shows_how_far_it_is(script: Any, tmp_path: Path) -> None:
    """The foot tells what is done and what is at work; at the end it is gone, and every printed line is there."""
    terminal = Terminal()
    last = terminal.run(sys.executable, script(), cwd=tmp_path)
    shown = [screen for screen in terminal.screens if "of 4" in screen]
    assert any("◐  fit" in screen for screen in shown), terminal.screens[-3:]
    assert any("1 of 4" in screen or "2 of 4" in screen for screen in shown)
    assert "of 4" not in last
    assert "loaded 1" in last
    assert last.index("run total completed") < last.index("sum 3")
    assert not terminal.screen.cursor.hidden


@pytest.mark.slow
def test_a_quiet_run_draws_nothing(script: Any, tmp_path: Path) -> None:
    """Who asks for warnings only has a terminal without a foot."""
    terminal = Terminal()
    last = terminal.run(sys.executable, script(', log_level="WARNING"'), cwd=tmp_path)
    assert last == "loaded 1\nsum 3"
    assert not any("of 4" in screen for screen in terminal.screens)


@pytest.mark.slow
def test_ipythons_terminal_shows_a_cell_while_it_runs(tmp_path: Path) -> None:
    """In IPython without a kernel a `%%cascade` cell has the same foot, and its text view at the end."""
    tasks = SCRIPT[: SCRIPT.index('print("sum"')]
    cell = 'get_ipython().run_cell_magic("cascade", "", "total([fit(load(1)), fit(2)])\\n")\n'
    (tmp_path / "flow.ipy").write_text(f"{tasks}%load_ext cascade\n{cell}", encoding="utf-8")
    terminal = Terminal()
    last = terminal.run(sys.executable, "-m", "IPython", "--no-banner", "flow.ipy", cwd=tmp_path)
    assert any("◐  fit" in screen and "of 4" in screen for screen in terminal.screens), last
    assert "total: done in" in last
    assert "loaded 1" in last
    assert "of 4" not in last
    assert not terminal.screen.cursor.hidden


def test_counts_follow_the_events() -> None:
    """The subscriber counts what a real run tells, and nothing is at work when it is over."""

    @cs.task
    def one(x: int) -> int:
        return x + 1

    @cs.task(retry={"max_attempts": 2})
    def shaky(x: int, tries: list[int]) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("busy")
        return x

    @cs.task
    def all_of(*values: Any) -> int:
        return len(values)

    follow = ProgressSubscriber()
    target = all_of(one.map(x=[1, 2, 3]), shaky(1, []), one(1).run_if(condition=False).with_fallback(0))
    assert cs.run(target, log_level=None, subscribers=[follow]) == 3
    now = follow.progress()
    assert (now.done, now.total) == (4, 4)
    assert now.counts == {"done": 4, "stored": 0, "failed": 0, "skipped": 0, "cancelled": 0, "retrying": 0}
    assert now.busy == ()


def test_what_waits_says_for_what() -> None:
    """A node that waits for a capacity is told with its holder; a map with its items."""
    follow = ProgressSubscriber(now=lambda: 5.0)
    told = {"run_id": "r", "at": 0.0, "elapsed": 0.0}
    follow(
        [
            ev.NodeStarted(seq=0, node="fit", name="fit", **told),
            ev.NodeWaiting(seq=1, node="save", name="save", resource="db", reason="", holders=("fit",), **told),
            ev.MapExpanded(seq=2, node="many", name="many", total=9, **told),
            ev.ItemsCompleted(seq=3, node="many", name="many", first=0, count=4, duration=0.1, **told),
        ]
    )
    assert {one.label: one.note for one in follow.progress().busy} == {
        "fit": "",
        "save": "waits for db, held by fit",
        "many": "4 of 9 items",
    }


def test_hostile_names_stay_text() -> None:
    """Markup and escape sequences in names are shown, not obeyed."""
    import io

    from rich.console import Console

    paper = io.StringIO()
    display = ProgressDisplay(Console(file=paper, force_terminal=True, width=WIDE))
    name = "\x1b[2Jgone [bold red]x[/]"
    display.show(Progress(name, "running", 1.0, 0, 2, {"done": 0}, (Busy(name, 1.0, name),)))
    display.stop()
    assert "\x1b[2Jgone" not in paper.getvalue()
    assert "\\x1b[2Jgone [bold red]x[/]" in paper.getvalue()
