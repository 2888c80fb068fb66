from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

import cascade as cs
from cascade.adapters.connectors import local_file
from cascade.adapters.connectors.local import LocalConnector
from cascade.adapters.connectors.local_folder import Bell, is_answered, open_folder, runtime_folder
from cascade.adapters.connectors.outbox import Letter
from cascade.interfaces.remote_errors import ConnectorError

ENGINE = Path(__file__).with_name("engine_child.py")
OBSERVER = Path(__file__).with_name("observer_child.py")


def until(is_true, seconds=10.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"it was not so within {seconds:g} s"
        time.sleep(0.005)


@cs.task
def one():
    return 1


def test_the_folder_is_the_users_own():
    """The runtime folder and all in it are for this user alone."""
    assert cs.run(one(), connector="local", log_level=None) == 1
    folder = runtime_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list((folder / "bells").iterdir()), "bells are taken down"


def test_a_folder_that_others_may_enter_is_refused(tmp_path):
    """A folder with other rights, a file or a link in its place is not used; a run says so and goes on."""
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o755)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    file = tmp_path / "file"
    file.touch()
    for place, problem in ((wide, "0700"), (link, "not a folder"), (file, "not a folder")):
        with pytest.raises(ConnectorError, match=problem):
            open_folder(place)
    assert cs.run(one(), connector=f"local:{wide}", log_level=None) == 1


def test_a_file_of_another_program_is_left_alone(tmp_path):
    """A database that is not ours is not written to."""
    folder = open_folder(tmp_path / "r2")
    with closing(sqlite3.connect(folder / local_file.NAME)) as other, other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(ConnectorError, match="another program"):
        local_file.MessageFile(folder)


def test_stale_bells_are_taken_away(tmp_path):
    """The socket of a process that is gone is found and removed, that of a living one stays."""
    folder = open_folder(tmp_path / "r3")
    stale = folder / "bells" / "1-abc.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(stale))
    alive = Bell(folder)
    assert not is_answered(stale)
    assert is_answered(alive.path)

    async def visit():
        async with LocalConnector(folder) as connector:
            await connector.publish("a", {"n": 1})
            await connector.settle()

    asyncio.run(visit())
    assert not stale.exists()
    assert alive.path.exists()
    alive.take_down()


def test_a_path_that_is_too_long_for_a_socket(tmp_path):
    """It is an error that says what to do."""
    with pytest.raises(ConnectorError, match="CASCADE_RUNTIME_DIR"):
        Bell(tmp_path / ("x" * 100))


def test_the_file_does_not_grow_for_ever(tmp_path, monkeypatch):
    """What is beyond the bound is forgotten, the oldest first."""
    monkeypatch.setattr(local_file, "MOST_ROWS", 100)
    monkeypatch.setattr(local_file, "TIDY_EVERY", 50)
    file = local_file.MessageFile(open_folder(tmp_path / "r4"))
    for n in range(10):
        file.write([Letter("a", f'{{"n":{n}}}'.encode()) for _ in range(50)])
    assert 100 <= len(file.read(0)) <= 150
    assert file.last() == 500
    file.close()


def test_what_an_observer_missed_is_kept():
    """Who comes later hears all of a run that has ended, in order, and can go on where it stopped."""
    cs.run(one(), connector="local", log_level=None)
    rows = list(LocalConnector().history("cascade/telemetry/#"))
    told = [row[2]["body"].get("state") or row[2]["body"]["event"] for row in rows]
    assert told == ["ENGINE_STARTED", "PENDING", "RUNNING", "COMPLETED", "ENGINE_STOPPED"]
    rest = list(LocalConnector().history("cascade/telemetry/#", after=rows[2][0]))
    assert [row[0] for row in rest] == [row[0] for row in rows[3:]]


@pytest.mark.slow
def test_two_engines_and_three_observers():
    """Each observer hears all of both engines; one that is killed and started again hears what it missed."""

    def observe(after=0):
        made = subprocess.Popen(
            [sys.executable, OBSERVER, str(after)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        lines: list[str] = []

        def read():
            lines.extend(line.strip() for line in made.stdout)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        until(lambda: "ready" in lines)
        return made, lines, reader

    observers = [observe() for _ in range(3)]
    engines = [
        subprocess.Popen([sys.executable, ENGINE, "local", "0.4", "6"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ids = [engine.stdout.readline().strip() for engine in engines]
    until(lambda: any("RUNNING" in line for line in observers[2][1]))
    observers[2][0].send_signal(signal.SIGKILL)
    observers[2][0].wait()
    observers[2][2].join(10)
    for pipe in (observers[2][0].stdin, observers[2][0].stdout):
        pipe.close()
    assert [engine.wait(30) for engine in engines] == [0, 0]
    observers[2] = observe()
    whole = {
        run_id: {f"{run_id} ENGINE_STARTED", f"{run_id} ENGINE_STOPPED"}
        | {f"{run_id} {node} {state}" for node in ["nap", *(f"nap#{n}" for n in range(2, 7))] for state in
           ("PENDING", "RUNNING", "COMPLETED")}
        for run_id in ids
    }  # fmt: skip
    expected = set().union(*whole.values())
    for _, lines, _ in observers:
        until(lambda lines=lines: expected <= set(lines))
        heard = [line for line in lines if line != "ready"]
        assert len(heard) == len(set(heard)), "each message once"
    for made, _, reader in observers:
        made.stdin.close()
        made.wait(10)
        reader.join(10)
        made.stdout.close()
    for engine in engines:
        engine.stdout.close()
    assert not list((runtime_folder() / "bells").iterdir())


@pytest.mark.slow
def test_an_engine_that_is_killed_is_told_as_gone():
    """Its socket is found silent, and what it left to be said is said once, though two observers see it."""
    child = subprocess.Popen([sys.executable, ENGINE, "local", "30"], stdout=subprocess.PIPE, text=True)
    run_id = child.stdout.readline().strip()
    heard = []

    async def watch():
        async with LocalConnector() as first, LocalConnector() as second:
            await first.subscribe(f"cascade/telemetry/+/+/{run_id}/events", lambda _, told: heard.append(told["body"]))
            await second.subscribe("cascade/#", lambda *_: None)
            child.send_signal(signal.SIGKILL)
            child.wait()
            await asyncio.to_thread(until, lambda: any(body.get("status") == "lost" for body in heard))
            await asyncio.gather(first.settle(), second.settle())

    asyncio.run(watch())
    child.stdout.close()
    lost = [row for row in LocalConnector().history(vital=True) if row[2]["body"].get("status") == "lost"]
    assert len(lost) == 1
    assert lost[0][2]["run_id"] == run_id


def test_a_disk_that_says_no(monkeypatch, caplog):
    """When nothing can be written the run goes on, and it is said once."""

    def fail(*_):
        raise ConnectorError("The runtime folder x cannot be used: full.")

    monkeypatch.setattr(local_file.MessageFile, "write", fail)
    assert cs.run([one() for _ in range(50)], connector="local", log_level=None) == [1] * 50
    assert sum("full" in record.getMessage() for record in caplog.records) == 1


def test_os_without_unix_sockets(monkeypatch, tmp_path):
    """Without Unix sockets the file alone carries the messages."""
    monkeypatch.setattr("cascade.adapters.connectors.local.HAS_SOCKETS", False)
    heard = []

    async def talk():
        async with LocalConnector(tmp_path / "r5") as one_end, LocalConnector(tmp_path / "r5") as other:
            await one_end.subscribe("a", lambda _, told: heard.append(told["n"]))
            await other.publish("a", {"n": 1})
            await asyncio.to_thread(until, lambda: heard == [1])

    asyncio.run(talk())
    assert not list((tmp_path / "r5" / "bells").iterdir())
