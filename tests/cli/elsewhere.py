"""The `cascade` command in processes of its own, engines that a test lets go on, and terminals to look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOON = 30.0  # seconds
LEFT_OUT = {"NO_COLOR", "CASCADE_CONNECTOR", "CASCADE_ORG_ID", "CASCADE_PROJECT_ID", "CASCADE_MQTT_PASSWORD"}

ENGINE = """
import sys
import cascade as cs

@cs.task
def load(n):
    return list(range(n))

@cs.task
def fit(x):
    line = sys.stdin.readline()
    if line == "fail\\n":
        raise ValueError("no luck")
    return x

@cs.task
def total(xs):
    return sum(xs)

address, name = sys.argv[1:3]
run = cs.start(total(fit.map(x=load(3)).with_constraints(gpu=1)), None, {"gpu": 1}, log_level=None, connector=address,
               name=name)
print(run.run_id, flush=True)
print(run.exception(150), flush=True)
"""


def until(is_true: Callable[[], object], seconds: float = SOON) -> Any:
    """Wait for something that another program does; return it."""
    end = time.monotonic() + seconds
    while not (found := is_true()):
        assert time.monotonic() < end, f"it was not so within {seconds:g} s"
        time.sleep(0.02)
    return found


class Place:
    """A folder to work in, with a runtime folder of its own; what is started in it is ended by `close`."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in LEFT_OUT},
            "PYTHONPATH": str(ROOT),
            "CASCADE_RUNTIME_DIR": str(runtime),
            "COLUMNS": "100",
            "TERM": "xterm-256color",
        }
        self.started: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "cascade", *words]

    def cascade(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env={**self.environment, **changes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=SOON,
            check=False,
        )

    def begin(self, *words: str, **changes: str) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        return self._start(self.command(*words), changes)

    def engine(self, name: str, address: str = "local") -> Engine:
        """Start a run in a process of its own."""
        return Engine(self._start([sys.executable, "-c", ENGINE, address, name], {}))

    def _start(self, program: Sequence[str], changes: dict[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            program,
            cwd=self.folder,
            env={**self.environment, **changes},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


class Engine:
    """A run that waits for a line for each of its three items."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.run_id = process.stdout.readline().strip()
        assert self.run_id, process.stderr.read() if process.stderr else ""

    def go(self, line: str = "go", count: int = 1) -> None:
        assert self.process.stdin is not None
        for _ in range(count):
            self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Let it go on to its end; return what failed it, ``None`` if nothing did."""
        self.go(count=3)
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


class Lines:
    """What a program writes, line by line, while it goes on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, word: str) -> str:
        return until(lambda: next((line for line in list(self.lines) if word in line), None))

    def end(self) -> int:
        """Wait for the end of the program; return its exit code."""
        code = self.process.wait(SOON)
        self.thread.join(SOON)
        return code

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class Terminal:
    """A program on a terminal of its own, with an emulator behind it."""

    def __init__(self, place: Place, *words: str, wide: int = 90, high: int = 24, **changes: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        import pyte

        self.screen = pyte.Screen(wide, high)
        self._stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", high, wide, 0, 0))
        environment = {key: value for key, value in place.environment.items() if key != "COLUMNS"}
        self.process = subprocess.Popen(
            place.command(*words), cwd=place.folder, env={**environment, **changes}, stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True,
        )  # fmt: skip
        self.settings = termios.tcgetattr(slave)
        self.slave = slave
        self.raw = b""

    def read(self) -> str:
        """Take what has come by now; return the screen."""
        import select

        while select.select([self.master], [], [], 0.02)[0]:
            data = os.read(self.master, 65_536)
            self.raw += data
            self._stream.feed(data)
        return "\n".join(line.rstrip() for line in self.screen.display if line.strip())

    def wait_for(self, text: str) -> str:
        until(lambda: text in self.read())
        return self.read()

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Wait for the end of the program; return its exit code."""
        until(lambda: (self.read(), self.process.poll() is not None)[1])
        self.read()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)
