"""What tasks say in worker processes, while they say it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.runtime.hearing import ADDRESS, Announcer, Ear, line

LONG = 60.0


def test_pieces_reach_who_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said under a token arrives at its listener, in order, and at nobody else's."""
    ear = Ear()
    heard: list[Any] = []
    done = threading.Event()

    def hear(pieces: list[Any]) -> None:
        heard.extend(pieces)
        if "last" in pieces:
            done.set()

    try:
        ear.listen("mine", hear)
        monkeypatch.setenv(ADDRESS, ear.address)
        mine, other = line("mine"), line("other")
        assert mine is not None
        assert other is not None
        mine(["first", "second"])
        other(["not for me"])
        mine(["last"])
        assert done.wait(10)
        assert heard == ["first", "second", "last"]
    finally:
        ear.close()


def test_who_has_no_key_is_not_heard() -> None:
    """A connection without the key is refused, and the ear goes on."""
    from multiprocessing import AuthenticationError
    from multiprocessing.connection import Client

    ear = Ear()
    try:
        address = ear.address.partition(" ")[2]
        with pytest.raises((AuthenticationError, EOFError, ConnectionError)):
            Client(address, authkey=b"guess").recv()
        key = bytes.fromhex(ear.address.partition(" ")[0])
        Client(address, authkey=key).close()
    finally:
        ear.close()


def test_what_cannot_be_sent_is_kept() -> None:
    """When the line breaks, everything from then on is left for the end, in order."""
    sent: list[Any] = []

    def send(pieces: list[Any]) -> None:
        if sent:
            raise BrokenPipeError
        sent.extend(pieces)

    announcer = Announcer(send)
    announcer.say(["a"])
    announcer.say(["b"])
    announcer.flush()
    announcer.say(["c"])
    announcer.flush()
    assert (sent, announcer.count, announcer.left) == (["a"], 1, ["b", "c"])


def test_a_line_goes_as_a_whole() -> None:
    """What ``print`` writes in parts is sent when its line ends, so that nobody's words come in between."""
    sent: list[Any] = []
    announcer = Announcer(sent.append)
    announcer.say([("stdout", "hello from", "")])
    assert sent == []
    announcer.say([("stdout", " 1\n", "")])
    assert sent == [[("stdout", "hello from", ""), ("stdout", " 1\n", "")]]
    announcer.say([("stderr", "no end", "")])
    announcer.flush()
    assert sent[1:] == [[("stderr", "no end", "")]]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address there is no line."""
    monkeypatch.delenv(ADDRESS, raising=False)
    assert line("token") is None


@pytest.mark.slow
def test_output_is_told_while_the_task_runs(tmp_path: Path) -> None:
    """What a task prints in its process is an event before the task ends, and all of it comes before its end."""
    go = tmp_path / "go"

    @cs.task(mode="compute")
    def speak() -> int:
        print("first words")
        while not go.exists():
            time.sleep(0.01)
        for n in range(50):
            print(f"line {n}")
        return os.getpid()

    run = cs.start(speak(), log_level=None, capture_output=True)
    until = time.monotonic() + LONG
    while not any(isinstance(e, ev.OutputWritten) for e in run.events):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert not run.done()
    go.touch()
    assert run.result(LONG) != os.getpid()
    events = run.events
    text = "".join(e.text for e in events if isinstance(e, ev.OutputWritten))
    assert text.split("\n") == ["first words", *[f"line {n}" for n in range(50)], ""]
    last = max(e.seq for e in events if isinstance(e, ev.OutputWritten))
    assert last < next(e.seq for e in events if isinstance(e, ev.NodeCompleted))


@pytest.mark.slow
def test_words_of_a_worker_that_dies_are_kept() -> None:
    """What a task said before it killed its worker has been told."""

    @cs.task(mode="compute")
    def last_words() -> None:
        print("farewell", flush=True)
        time.sleep(0.3)
        os._exit(7)

    run = cs.start(last_words(), log_level=None, capture_output=True)
    assert type(run.exception(LONG)).__name__ == "WorkerDiedError"
    assert any("farewell" in e.text for e in run.events if isinstance(e, ev.OutputWritten))
