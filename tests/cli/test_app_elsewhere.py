"""`cascade status`, `pause`, `resume`, `limit`, `unlimit` and `cancel`, with real engines and a real broker."""

from __future__ import annotations

import json
import signal
import socket
import time
from typing import Any

import pytest

from tests.cli.elsewhere import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def said(place: Any, *words: str, code: int = 0) -> str:
    """What a command says, on both streams."""
    done = place.cascade(*words)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_nobody_is_there(place: Any) -> None:
    """Without a run there is a sentence and code 4, within bounded time, for whatever is asked."""
    begun = time.monotonic()
    for words in (("status",), ("cancel",), ("watch",), ("pause", "1f3a"), ("resume", "1f3a"), ("watch", "1f3a")):
        text = said(place, *words, code=4)
        assert "No run" in text
        assert text.count("\n") == 1
    assert json.loads(place.cascade("status", "--json").stdout) == {"address": "local", "runs": [], "limits": []}
    assert time.monotonic() - begun < 60


def test_wrong_addresses(place: Any) -> None:
    """A wrong address is wrong use; a broker that refuses, or never answers, is code 4 within seconds."""
    assert "Did you mean 'mqtt'?" in said(place, "status", "--at", "mqt://host", code=2)
    assert "was not reached within 3 s" in said(place, "status", "--at", "mqtt://127.0.0.1:1", code=4)
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        begun = time.monotonic()
        text = said(place, "status", "--at", f"mqtt://me:hush@127.0.0.1:{hole.getsockname()[1]}", code=4)
        assert time.monotonic() - begun < 15
    assert "hush" not in text
    assert "Set CASCADE_MQTT_USERNAME and CASCADE_MQTT_PASSWORD" in text


@pytest.mark.parametrize("where", ["local", "mqtt"])
def test_steering_two_engines(place: Any, where: str, request: pytest.FixtureRequest) -> None:
    """Orders to one run leave the other alone; what holds every run is told; resume lifts what it names and no more."""
    at = "local" if where == "local" else request.getfixturevalue("broker").url
    one, two = place.engine("one", at), place.engine("two", at)
    by = () if at == "local" else ("--at", at)
    until(lambda: len(json.loads(place.cascade("status", "--json", *by).stdout)["runs"]) == 2)

    text = said(place, "cancel", *by, code=2)
    assert "2 runs go on" in text
    assert one.run_id in text
    assert "is being cancelled" in said(place, "cancel", "one", *by)
    one.go()
    assert "cancelled" in one.process.stdout.readline()

    text = said(place, "pause", two.run_id, *by)
    assert f"Go on with: cascade resume {two.run_id}" in text
    assert said(place, "status", *by).splitlines()[1].split()[:3] == [two.run_id, "two", "paused"]
    said(place, "pause", "--ttl", "30m", *by)
    said(place, "limit", "--concurrency", "1", "--scope", "task:fit*", *by)
    text = said(place, "status", *by)
    assert "In force: nothing may start, until " in text
    assert "not more than 1 of 'fit*' at once, until it is cleared" in text
    text = said(place, "resume", *by)
    assert "The pause of every run" in text
    assert f"Run {two.run_id} (two) is paused by itself: cascade resume {two.run_id}" in text
    assert "not more than 1 of 'fit*' at once" in text
    assert "nothing was changed" in said(place, "resume", *by)
    text = said(place, "resume", two.run_id, "--scope", "task:none", *by)
    assert "has no pause of its own of 'task:none'; nothing was changed" in text
    assert f"Run {two.run_id} (two) is paused by itself: cascade resume {two.run_id}" in text
    assert "may go on" not in text
    assert "may go on" in said(place, "resume", two.run_id, *by)
    assert "has no pause of its own; nothing was changed" in said(place, "resume", two.run_id, *by)
    assert "1 limit of 'task:fit*' lifted" in said(place, "unlimit", "--scope", "task:fit*", *by)
    assert "nothing was changed" in said(place, "limit", "--clear", *by)
    assert json.loads(said(place, "limits", "--json", *by)) == []
    assert two.end() == "None"
    assert "No run" in said(place, "cancel", two.run_id, *by, code=4) or "is over" in said(
        place, "cancel", two.run_id, *by, code=4
    )


def test_a_pause_that_was_forgotten(place: Any) -> None:
    """A run that starts while a pause is in force says so and how to lift it; it goes on when the pause expires."""
    place.write("flow.py", "import cascade as cs\n@cs.task\ndef one(): return 1\nreport = one()\n")
    said(place, "pause", "--ttl", "4s")
    done = place.cascade("run", "flow.py", "--connector", "local")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "cascade resume" in done.stderr


def test_limits_of_one_run(place: Any) -> None:
    """A limit of one run is in no other and never replaces one that all obey; words that are wrong change nothing."""
    engine = place.engine("one")
    said(place, "limit", "--rate", "100/s")
    said(place, "limit", engine.run_id, "--rate", "5/m")
    assert [one["limit"]["params"]["rate"] for one in json.loads(said(place, "limits", "--json"))] == ["100/s"]
    said(place, "unlimit", engine.run_id)
    said(place, "unlimit")
    for words in (
        ("limit",),
        ("limit", "--concurrency", "1", "--rate", "1/s"),
        ("limit", "--concurrency", "0"),
        ("limit", "--rate", "often"),
        ("limit", "--concurrency", "1", "--scope", "fit"),
        ("limit", "--concurrency", "1", "--scope", "task:"),
        ("pause", "--scope", "task:a+b"),
        ("resume", "--scope", "task:a//b"),
        ("unlimit", "--scope", "task:#"),
        ("limit", "--clear", "--concurrency", "1"),
        ("pause", "--ttl", "soon"),
        ("pause", "--ttl", "-5m"),
    ):
        said(place, *words, code=2)
    assert json.loads(said(place, "limits", "--json")) == []
    assert engine.end() == "None"


def test_the_environment_names_the_address(place: Any, broker: Any) -> None:
    """CASCADE_CONNECTOR serves `run` and all that looks at it."""
    place.write("flow.py", "import cascade as cs\n@cs.task\ndef one(): return 1\nreport = one()\n")
    done = place.cascade("run", "flow.py", CASCADE_CONNECTOR=broker.url)
    assert done.returncode == 0
    assert f"--at {broker.url}" in done.stderr
    done = place.cascade("status", CASCADE_CONNECTOR=broker.url)
    assert done.returncode == 4
    assert broker.url in done.stderr


def test_which_code_says_what(place: Any) -> None:
    """A name that fits several is wrong use, one that fits none reaches nobody, a run that is stopped is silent."""
    one, two = place.engine("same"), place.engine("same")
    assert "may be any of these runs" in said(place, "cancel", "same", code=2)
    assert "No run 'nobody' is known" in said(place, "cancel", "nobody", code=4)
    said(place, "limit", one.run_id, "--concurrency", "2", "--scope", "task:fit")
    text = said(place, "status")
    assert f"In force in run {one.run_id}: not more than 2 of 'fit' at once" in text
    assert f"cascade unlimit {one.run_id} --scope 'task:fit'" in text
    assert "its own limits of 'task:fit' are lifted" in said(place, "unlimit", one.run_id, "--scope", "task:fit")
    assert "nothing was changed" in said(place, "unlimit", one.run_id, "--scope", "task:fit")
    two.process.send_signal(signal.SIGSTOP)
    assert "did not answer 'pause' within 3 s" in said(place, "pause", two.run_id, code=5)
    two.process.send_signal(signal.SIGCONT)
    assert one.end() == "None"
    two.process.kill()


def test_an_environment_that_names_no_address(place: Any) -> None:
    """`run` says once that nobody can watch it, and runs; what looks at runs cannot go on."""
    place.write("flow.py", "import cascade as cs\n@cs.task\ndef one(): return 1\nreport = one()\n")
    done = place.cascade("run", "flow.py", CASCADE_CONNECTOR="mqqt://nonsense")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr.count("names no connector") == 1
    assert "The run goes on." in done.stderr
    assert place.cascade("run", "flow.py", "--connector", "mqqt://nonsense").returncode == 2
    assert place.cascade("status", CASCADE_CONNECTOR="mqqt://nonsense").returncode == 2
