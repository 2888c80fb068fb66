"""A script with `cs.cli(target)()` at its end, as people run it: with pipes, signals and terminals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOON = 30.0
pytestmark = pytest.mark.slow
ON_POSIX = pytest.mark.skipif(os.name == "nt", reason="only on systems with POSIX signals and terminals")

HEAD = """
import os, sys, time, asyncio
import cascade as cs

def tell(text):
    print(text, file=sys.stderr, flush=True)

@cs.resource
def db():
    tell("opened")
    try:
        yield "db"
    finally:
        tell("closed")
"""

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONUNBUFFERED", "PYTHONIOENCODING", "NO_COLOR"}}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "xterm-256color", **changes}


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Write a script: what it defines, and its target; return how to call it."""

    def write(body: str, target: str) -> list[str]:
        path = tmp_path / "wörk flow.py"
        path.write_text(f'{HEAD}\n{body}\nif __name__ == "__main__":\n    cs.cli({target})()\n', encoding="utf-8")
        return [sys.executable, str(path)]

    return write


def call(command: list[str], *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a script without a terminal."""
    return subprocess.run(
        [*command, *words],
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=SOON,
        check=False,
    )


ADD = """
@cs.task
def add(x, y):
    return {"sum": x + y, "größe": "ü"}
"""
ADDED = 'add(cs.Param("x", type=int, description="größe"), cs.Param("y", 2))'


def test_a_script(command: Any) -> None:
    """The result is on stdout, the log on stderr, without colour codes where there is no terminal."""
    done = call(command(ADD, ADDED), "--x", "40")
    assert (done.returncode, done.stdout) == (0, "{'sum': 42, 'größe': 'ü'}\n")
    assert "run add completed" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    done = call(command(ADD, ADDED), "--x", "40", "--log-level", "error", "--json")
    assert (json.loads(done.stdout), done.stderr) == ({"sum": 42, "größe": "ü"}, "")


def test_wrong_use_of_a_script(command: Any) -> None:
    """Several things that are wrong are one short message on stderr, exit code 2."""
    done = call(command(ADD, ADDED), "--y", "zwei", "--log-level", "wrning")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "Usage: wörk flow.py [OPTIONS]",
        "Try 'wörk flow.py --help' for help.",
        "",
        "Error: 3 inputs are not right:",
        "  - --x (größe) is missing. Give --x INT.",
        "  - --y: 'zwei' is not a valid int.",
        "  - --log-level cannot be 'wrning'. Did you mean 'WARNING'?",
    ]


def test_narrow_streams(command: Any) -> None:
    """Help, results and errors come out on a stream that lacks the signs, too."""
    program = command(ADD, ADDED)
    for words, code in ((["--help"], 0), (["--x", "1"], 0), (["--x", "1", "--json"], 0), (["--y", "日"], 2)):
        done = call(program, *words, PYTHONIOENCODING="ascii")
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout.isascii()


def test_nothing_else_on_stdout(command: Any) -> None:
    """With --json, what tasks, C code and other programs write to stdout goes to stderr."""
    body = """
@cs.task
def loud():
    print("python")
    os.write(1, b"raw\\n")
    os.system("echo program")
    return [1]
"""
    done = call(command(body, "loud()"), "--json", "--log-level", "error")
    assert (done.returncode, done.stdout) == (0, "[1]\n")
    assert sorted(done.stderr.split()) == ["program", "python", "raw"]


def test_a_failing_script(command: Any) -> None:
    """Exit code 1; the traceback has the frames of the script and no others."""
    body = """
def inner(x):
    raise ValueError(f"no {x}")

@cs.task
def outer(x):
    return inner(x)
"""
    done = call(command(body, 'outer(cs.Param("x", 1))'), "--log-level", "critical")
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines if line.startswith("  File")] == ["outer", "inner"]
    assert lines[-2:] == ["ValueError: no 1", "In the node 'outer', called with x = 1."]


# -- pipes ----------------------------------------------------------------------------------------------------------

MANY = """
@cs.task
def many(n):
    return [f"line {i}" for i in range(n)]

@cs.task
def talk(n):
    for i in range(n):
        print("line", i)
"""


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    ("target", "words", "code"),
    [
        ("many(100_000)", [], 0),
        ("many(100_000)", ["--json"], 0),
        ("talk(100_000)", [], 1),
        ("many(1)", ["--help"], None),
    ],
)
@ON_POSIX
def test_a_reader_that_goes(command: Any, target: str, words: list[str], code: int | None, buffered: str) -> None:
    """`| head` ends quietly: no traceback, no complaint when Python ends."""
    program = [*command(MANY, target), *words, "--log-level", "critical"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(PYTHONUNBUFFERED=buffered)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(20)
        process.stdout.close()
        said = process.stderr.read()
        process.wait(SOON)
    assert said == b""
    assert code is None or process.returncode == code


@ON_POSIX
def test_streams_that_are_closed(command: Any) -> None:
    """`>&-`, `2>&-` and `2>&1 | true` do not fail a run; a full disk does, in a sentence."""
    program = f"'{sys.executable}' '{command(MANY, 'many(2)')[1]}' --log-level info"
    for redirection, code in ((">&-", 0), ("2>&-", 0), ("2>&1 | true", 0), (">/dev/full", 1)):
        if code and not Path("/dev/full").exists():
            continue
        done = call(["bash", "-o", "pipefail", "-c", f"{program} {redirection}"])
        assert done.returncode == code, (redirection, done.stderr)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
    if Path("/dev/full").exists():
        assert done.stderr.splitlines()[-1] == "The result could not be written to stdout: No space left on device."


# -- interrupts -----------------------------------------------------------------------------------------------------

NAPS = """
@cs.task
async def nap(db):
    tell("napping")
    await asyncio.sleep(60)

@cs.task
def block(seconds, db=None):
    tell("napping")
    time.sleep(seconds)
    tell("woke up")
"""


def interrupt(program: list[str], *words: str) -> tuple[int, list[str], str]:
    """Interrupt a script when its task naps; return exit code, lines on stderr from then on, and stdout."""
    with subprocess.Popen(
        [*program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment()
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line == "napping\n":
                break
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=SOON)
    return process.returncode, said.splitlines(), out


@ON_POSIX
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_interrupting_a_coroutine(command: Any, words: list[str]) -> None:
    """Ctrl-C cancels the run, closes its resources, says one line and ends with 130."""
    code, lines, out = interrupt(command(NAPS, 'nap(cs.inject("db"))'), "--log-level", "critical", *words)
    assert (code, out) == (130, "")
    assert lines == ["closed", "The run 'nap' was interrupted and is cancelled."]


@ON_POSIX
def test_interrupting_a_thread_that_sleeps(command: Any) -> None:
    """A task that cannot be stopped does not keep the prompt; it is named."""
    code, lines, _ = interrupt(command(NAPS, "block(60)"), "--log-level", "critical")
    assert code == 130
    assert lines == ["The run 'block' was interrupted and is cancelled. Not stopped in time: block."]


@ON_POSIX
def test_interrupting_a_thread_that_holds_a_resource(command: Any) -> None:
    """What the thread uses is closed when the thread has ended, and not before."""
    code, lines, _ = interrupt(command(NAPS, 'block(2, cs.inject("db"))'), "--log-level", "critical")
    assert code == 130
    assert lines[:2] == ["woke up", "closed"]
    assert lines[2].startswith("The run 'block' was interrupted and is cancelled.")


@ON_POSIX
def test_interrupts_in_a_json_log(command: Any) -> None:
    """The last line is JSON, as all the others."""
    code, lines, _ = interrupt(command(NAPS, "block(60)"), "--log-format", "json")
    assert code == 130
    assert "was interrupted" in [json.loads(line)["message"] for line in lines][-1]


# -- terminals ------------------------------------------------------------------------------------------------------

OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
ASK = """
@cs.task
def call(token, n):
    return f"{len(token)} {n}"
"""
ASKED = 'call(cs.Param("token", secret=True, description="API key"), cs.Param("n", 1))'


class Session:
    """A script with a pseudo-terminal of its own; its stdout may be a pipe."""

    def __init__(self, program: list[str], *words: str, stdout_is_terminal: bool = False) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *program[1:], *words],
            stdin=slave,
            stderr=slave,
            stdout=slave if stdout_is_terminal else subprocess.PIPE,
            start_new_session=True,
            env=environment(),
        )
        os.close(slave)
        self.seen = ""

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            self.seen += os.read(self.master, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout, and what stood on the terminal."""
        out = self.process.stdout.read().decode() if self.process.stdout else ""
        try:
            while data := os.read(self.master, 4096):
                self.seen += data.decode()
        except OSError:  # the other side is closed
            pass
        code = self.process.wait(SOON)
        if self.process.stdout:
            self.process.stdout.close()
        os.close(self.master)
        return code, out, self.seen


@ON_POSIX
def test_a_secret_is_asked_for(command: Any) -> None:
    """On a terminal a missing secret is asked for, without echo, and stdout stays clean."""
    session = Session(command(ASK, ASKED), "--log-level", "error")
    session.read_until("token (API key): ")
    session.type("hunter2\n")
    code, out, seen = session.end()
    assert (code, out) == (0, "7 1\n")
    assert "hunter2" not in seen


@ON_POSIX
@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [("\n", 2, "token was not entered"), ("\x04", 2, "token was not entered"), ("\x03", 130, "Interrupted.")],
)
def test_a_secret_that_is_not_given(command: Any, typed: str, code: int, said: str) -> None:
    """An empty line and the end of input are wrong use, Ctrl-C is an interrupt; no traceback."""
    session = Session(command(ASK, ASKED))
    session.read_until("token (API key): ")
    session.type(typed)
    found, out, seen = session.end()
    assert (found, out) == (code, "")
    assert said in seen.splitlines()[-1]
    assert "Traceback" not in seen


@ON_POSIX
def test_a_secret_is_asked_for_last(command: Any) -> None:
    """When something else is wrong, nobody has to type a secret first; a set variable is not asked for."""
    code, _, seen = Session(command(ASK, ASKED), "--n", "x").end()
    assert code == 2
    assert "--n: 'x' is not a valid int." in seen
    assert "token" not in seen


@ON_POSIX
def test_colours_on_a_terminal(command: Any) -> None:
    """The log and the result have colours where a person looks at them; help does not need any."""
    code, _, seen = Session(command(MANY, "many(2)"), stdout_is_terminal=True).end()
    assert code == 0
    assert "\x1b[32m'line 0'\x1b[0m" in seen
    assert "\x1b[2m" in seen
