"""`cascade watch`: in a pipe, on a terminal, several at once, of runs that end in any way."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.elsewhere import Lines, Terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.name == "nt", reason="only on systems with POSIX signals and terminals"),
]


@pytest.fixture
def terminal(place: Any) -> Iterator[Callable[..., Terminal]]:
    """Start commands on terminals."""
    made: list[Terminal] = []

    def start(*words: str, **settings: Any) -> Terminal:
        made.append(Terminal(place, *words, **settings))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_three_observers_of_two_engines(place: Any) -> None:
    """Each observer tells its own run and no other; one that is killed comes back with the whole story."""
    one, two = place.engine("one"), place.engine("two")
    first = Lines(place.begin("watch", one.run_id, "--json"))
    second = Lines(place.begin("watch", "two"))
    third = Lines(place.begin("watch", one.run_id[:6]))
    for observer in (first, second, third):
        observer.wait_for("fit")
    third.process.send_signal(signal.SIGKILL)
    assert third.process.wait(30) == -signal.SIGKILL
    one.go()
    first.wait_for("fit[0]")
    again = Lines(place.begin("watch", one.run_id))
    again.wait_for("fit[1] running")
    assert one.end() == "None"
    two.go("fail")
    assert "no luck" in two.process.stdout.readline()
    assert (first.end(), second.end(), again.end()) == (0, 1, 0)
    assert {message["run_id"] for message in first.messages()} == {one.run_id}
    assert first.messages()[-1]["body"] == {"event": "ENGINE_STOPPED", "status": "completed", "type": "LifecycleEvent"}
    assert again.lines[0].endswith("the run started: running")
    assert again.lines[-1].endswith("the run ended: completed")
    assert any("fit[0] failed" in line and "ValueError: no luck" in line for line in second.lines)
    assert not [line for line in second.lines + again.lines if "\x1b" in line]
    story = place.cascade("watch", two.run_id)
    assert story.returncode == 1
    assert story.stdout.splitlines()[-1] == second.lines[-1]


def test_a_run_that_is_killed(place: Any) -> None:
    """A process that dies without a word is noticed, and its end is not called a success."""
    engine = place.engine("one")
    observer = Lines(place.begin("watch", engine.run_id))
    observer.wait_for("fit[0] running")
    engine.process.kill()
    engine.process.wait(30)
    assert observer.end() in (1, 4)


def test_over_mqtt(place: Any, make_broker: Any) -> None:
    """An observer that joins late tells what it hears, says when the broker is away, and hears on afterwards."""
    broker = make_broker()
    engine = place.engine("one", broker.url)
    observer = place.begin("watch", "one", broker.url)
    lines = Lines(observer)
    assert observer.stderr.readline() == f"Watching run {engine.run_id} (one).\n"
    engine.go()
    lines.wait_for("fit[0] done")
    broker.stop()
    assert "Not connected" in observer.stderr.readline()
    broker.start()
    assert "Connected again." in observer.stderr.readline()
    assert engine.end() == "None"
    assert lines.end() == 0
    assert lines.lines[-1].endswith("the run ended: completed")


def test_a_screen(place: Any, terminal: Any) -> None:
    """The terminal shows state, counts, nodes and log while the run goes on, and keeps the last picture."""
    engine = place.engine("night run")
    screen = terminal("watch")
    text = screen.wait_for("fit[0] running")
    assert "night run  running" in text
    assert f"run {engine.run_id} at local" in text
    assert "1 of 3" in text
    assert "In use: gpu 1" in text
    assert "items: 1 running" in text
    assert "q leaves; the run goes on" in text
    assert engine.end() == "None"
    assert screen.end() == 0
    text = screen.read()
    assert "night run  completed" in text
    assert "3 of 3" in text
    assert "the run ended: completed" in text
    assert b"\x1b[32m" in screen.raw


def test_leaving(place: Any, terminal: Any) -> None:
    """Key q leaves with code 0 and Ctrl-C with 130; the run goes on, and the terminal is as it was."""
    import termios

    engine = place.engine("one")
    screen = terminal("watch")
    screen.wait_for("fit[0] running")
    screen.type("q")
    assert screen.end() == 0
    assert termios.tcgetattr(screen.slave)[3] == screen.settings[3]
    other = terminal("watch")
    other.wait_for("fit[0] running")
    other.process.send_signal(signal.SIGINT)
    assert other.end() == 130
    assert termios.tcgetattr(other.slave)[3] == other.settings[3]
    assert engine.end() == "None"


def test_small_and_plain_terminals(place: Any, terminal: Any) -> None:
    """A narrow, low terminal shows what fits and nothing breaks; NO_COLOR has none; ASCII has no other signs."""
    engine = place.engine("one")
    small = terminal("watch", wide=30, high=7)
    text = small.wait_for("1 of 3")
    assert len(text.splitlines()) <= 7
    plain = terminal("watch", NO_COLOR="1")
    plain.wait_for("fit[0] running")
    bare = terminal("watch", PYTHONIOENCODING="ascii")
    bare.wait_for("fit[0] running")
    assert engine.end() == "None"
    assert [small.end(), plain.end(), bare.end()] == [0, 0, 0]
    assert b"\x1b[32m" not in plain.raw
    assert bare.raw.isascii()


def test_waiting_for_the_next_run(place: Any) -> None:
    """With --wait it waits for a run to begin, and tells it from its beginning."""
    observer = place.begin("watch", "--wait")
    assert observer.stderr.readline() == "Waiting for a run to begin; Ctrl-C ends this.\n"
    engine = place.engine("one")
    lines = Lines(observer)
    assert engine.end() == "None"
    assert lines.end() == 0
    assert lines.lines[0].endswith("the run started: running")


def test_json_lines(place: Any) -> None:
    """Each line of --json is one message, as it came."""
    engine = place.engine("one")
    assert engine.end() == "None"
    done = place.cascade("watch", engine.run_id, "--json")
    assert done.returncode == 0
    kinds = {json.loads(line)["body"]["type"] for line in done.stdout.splitlines()}
    assert kinds == {"LifecycleEvent", "TaskStateEvent", "ResourceEvent"}


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_waiting_for_the_next_run_over_mqtt(place: Any, make_broker: Any, form: tuple[str, ...]) -> None:
    """Where nothing is kept, it listens before the run begins, and misses no message of it."""
    broker = make_broker()
    observer = place.begin("watch", "--wait", "--at", broker.url, *form)
    assert observer.stderr.readline() == "Waiting for a run to begin; Ctrl-C ends this.\n"
    engine = place.engine("one", broker.url)
    lines = Lines(observer)
    assert engine.end() == "None"
    assert lines.end() == 0
    if not form:
        assert lines.lines[0].endswith("the run started: running")
        assert any("load running" in line for line in lines.lines)
        return
    bodies = [message["body"] for message in lines.messages()]
    assert bodies[0]["event"] == "ENGINE_STARTED"
    assert {body["task_id"] for body in bodies if body.get("state") == "PENDING"} == {"load", "fit", "total"}
    assert bodies[-1]["status"] == "completed"


def test_for_what_a_node_waits(place: Any, terminal: Any) -> None:
    """The screen says for what a node waits, and who holds it."""
    engine = place.engine("one")
    screen = terminal("watch", engine.run_id, wide=110)
    screen.wait_for("for gpu, held by fit[0]")
    assert engine.end() == "None"
    assert screen.end() == 0


def test_when_a_run_was_killed(place: Any) -> None:
    """The line that says that a run was lost does not have the time of its beginning."""
    engine = place.engine("one")
    observer = place.begin("watch", engine.run_id)
    lines = Lines(observer)
    lines.wait_for("fit[0] running")
    engine.go()
    lines.wait_for("fit[1] running")
    engine.process.kill()
    assert float(lines.wait_for("lost").split()[0]) >= float(lines.wait_for("fit[1] running").split()[0]) > 0
    observer.kill()
    observer.wait()
    begun = time.monotonic()
    assert place.cascade("watch", engine.run_id).returncode == 1  # who comes later does not wait for it to come back
    assert time.monotonic() - begun < 9
