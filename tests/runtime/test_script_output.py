"""What tasks say in a script: to the terminal without secrets, and to reports where the run keeps it."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.events import OutputWritten
from cascade.runtime.redaction import Redactor, Veil
from cascade.runtime.run import start

TOKEN = "hunter2-very-secret"
MODES = ["inline", "blocking", pytest.param("compute", marks=pytest.mark.slow)]

pytestmark = pytest.mark.usefixtures("own_context")


def token() -> Any:
    """Return the secret as a Param."""
    return cs.Param("token", secret=True)


def said_by(run: Any) -> list[tuple[str, str]]:
    """Return what the tasks of a run said, by stream."""
    return [(event.stream, event.text) for event in run.events if isinstance(event, OutputWritten)]


@contextlib.contextmanager
def on_screen() -> Iterator[logging.Logger]:
    """A logger whose records a handler writes to the stderr of now."""
    logger = logging.getLogger("tests.script_output")
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


@pytest.mark.parametrize("mode", MODES)
def test_a_secret_that_a_task_prints_is_dots_on_the_terminal(mode: Any, capfd: Any) -> None:
    """On stdout, on stderr, in bytes and in pieces, wherever the task runs; the script's own prints are its own."""

    @cs.task(mode=mode)
    def speak(token: str, n: int) -> int:
        print(n, "has", token)
        print(n, "complains of", token, file=sys.stderr)
        sys.stdout.write("in " + token[:6])
        sys.stdout.write(token[6:] + " pieces\n")
        sys.stdout.buffer.write(f"bytes {token}\n".encode())
        return n

    streams = sys.stdout, sys.stderr
    print("mine:", TOKEN)
    target = [speak(token(), 1), speak.map(token=cs.unmapped(token()), n=[2, 3])]
    assert cs.run(target, {"token": TOKEN}, log_level=None) == [1, [2, 3]]
    assert (sys.stdout, sys.stderr) == streams
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == sorted(
        [f"mine: {TOKEN}", *(f"{n} has •••" for n in (1, 2, 3)), *["in ••• pieces", "bytes •••"] * 3]
    )
    assert sorted(err.splitlines()) == [f"{n} complains of •••" for n in (1, 2, 3)]


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_logs_and_warnings_of_tasks_lose_their_secrets(mode: Any, capsys: Any) -> None:
    """Also in the trace of an exception; handlers and their formats stay the user's."""

    @cs.task(mode=mode)
    def speak(token: str) -> None:
        logger.warning("log of %s", token)
        try:
            raise ValueError(token)
        except ValueError:
            logger.exception("trouble")
        warnings.warn(f"warned of {token}", UserWarning, stacklevel=1)

    with on_screen() as logger, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        cs.run(speak(token()), {"token": TOKEN}, log_level=None)
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert "Logging error" not in err
    assert "log of •••" in err
    assert "ValueError: •••" in err
    assert [str(one.message) for one in warned] in ([], ["warned of •••"])


def test_resources_and_grown_graphs_keep_secrets_too(capsys: Any) -> None:
    """What sets a resource up may know a secret; and a task may return a call with a secret that nobody knew of."""

    @cs.resource
    def login() -> Iterator[int]:
        print("up with", TOKEN)
        yield 1
        print("down with", TOKEN)

    @cs.task
    def speak(token: str, of: Any = None) -> str:
        print("speaks", token)
        return token

    @cs.task
    def grow(n: Any = None) -> Any:
        return speak(cs.Param("late", default="late-secret-99", secret=True))

    cs.run(speak(token(), cs.inject("login")), {"token": TOKEN}, log_level=None)
    assert capsys.readouterr().out.splitlines() == ["up with •••", "speaks •••", "down with •••"]
    cs.run(grow(), log_level=None)
    assert capsys.readouterr().out == "speaks •••\n"


def test_a_run_without_secrets_touches_no_stream(capsys: Any) -> None:
    """Nothing stands between its tasks and the terminal."""
    seen = []

    @cs.task
    def look() -> None:
        seen.append(sys.stdout)

    before = sys.stdout
    cs.run(look(), log_level=None)
    assert seen == [before]
    assert capsys.readouterr().out == ""


def test_captured_output_is_in_the_report_and_on_the_terminal(tmp_path: Any, capsys: Any) -> None:
    """In a script nothing else shows what tasks say, so it still goes where it always went, at once."""

    @cs.task
    def speak(token: str) -> str:
        print("loud", token)
        print("\r50 %\r100 %", end="", flush=True)
        return "x"

    run = start(speak(token()), {"token": TOKEN}, log_level=None, capture_output=True)
    run.result(30)
    assert capsys.readouterr().out == "loud •••\n\r50 %\r100 %"
    assert said_by(run) == [("stdout", "loud •••\n"), ("stdout", "100 %")]
    page = run.report(tmp_path / "run.html").read_text()
    assert "loud •••" in page
    assert TOKEN not in page


def test_a_stopped_thread_is_heard_to_its_end(capsys: Any) -> None:
    """The run is over, its thread is not: what it prints then still has no secrets in it."""
    begun, goes_on, ended = threading.Event(), threading.Event(), threading.Event()
    before = sys.stdout

    @cs.task
    def linger(token: str) -> None:
        begun.set()
        goes_on.wait(30)
        print("late", token)
        ended.set()

    run = start(linger(token()), {"token": TOKEN}, log_level=None)
    assert begun.wait(30)
    run.cancel()
    with contextlib.suppress(Exception):
        run.result(30)
    goes_on.set()
    assert ended.wait(30)
    for _ in range(300):
        if sys.stdout is before:
            break
        threading.Event().wait(0.01)
    assert sys.stdout is before
    assert capsys.readouterr().out == "late •••\n"


def test_threads_that_a_task_starts_keep_its_secrets(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in what is printed of an error that ends one; afterwards threads are what they were."""
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    before = threading.Thread.start

    @cs.task
    def speak(token: str) -> None:
        def work() -> None:
            print("aside:", token)
            raise ValueError(token)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda n: print(n, token), [1]))

    cs.run(speak(token()), {"token": TOKEN}, log_level=None)
    out, err = capsys.readouterr()
    assert out == "aside: •••\n1 •••\n"
    assert "ValueError: •••" in err
    assert TOKEN not in err
    assert threading.Thread.start is before


def test_two_runs_share_the_streams(capsys: Any) -> None:
    """The end of one leaves the other heard, and after both everything is as it was."""
    go = [threading.Event(), threading.Event()]

    @cs.task(mode="blocking")
    def speak(token: str, n: int) -> None:
        go[n].wait(30)
        print(n, token)

    before = sys.stdout
    runs = [start(speak(token(), n), {"token": TOKEN}, log_level=None) for n in (0, 1)]
    for n in (0, 1):
        go[n].set()
        runs[n].result(30)
    assert sys.stdout is before
    assert capsys.readouterr().out == "0 •••\n1 •••\n"


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_a_veil_shows_the_same_however_the_text_is_cut(size: int) -> None:
    """Pieces of any size come out as the whole text would, and nothing that is no beginning is held back."""
    redact = Redactor()
    for secret in ("hunter2", "ter2ter2-and-more", "line one\nline two"):
        redact.add_value(secret)
    text = "a hunter2 b hunt hunterter2ter2-and-more line one\nline two the end hun"
    veil = Veil(redact)
    shown = "".join(veil(text[n : n + size]) for n in range(0, len(text), size))
    assert shown + veil.rest() == redact(text)
    assert Veil(redact)("plain words.") == "plain words."
