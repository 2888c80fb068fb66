from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import logging
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
from aiomqtt import MqttError

import cascade as cs
from cascade.adapters.connectors.mqtt import MqttConnector
from cascade.adapters.connectors.mqtt_wire import Subscription, Wire
from cascade.cli.desk import nobody
from cascade.interfaces.remote_errors import ConnectorError
from cascade.runtime.remote_desk import RemoteDesk

CHILD = Path(__file__).with_name("engine_child.py")
DYNAMIC = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")
BOUND = 2.5  # seconds that a broker may cost a run at most, in all


@cs.task
def add(x, y=1):
    return x + y


@cs.task
def hold(gate, x):
    assert gate.wait(20)
    return x


def until(is_true, seconds=10.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"it was not so within {seconds:g} s"
        time.sleep(0.005)


@pytest.fixture
def black_hole():
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield server.getsockname()[1]


@pytest.fixture
def refused():
    """A port where nobody is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sentences(caplog):
    said = [record.getMessage() for record in caplog.records if record.name == "cascade"]
    return [line for line in said if "mqtt" in line]  # a thread of an earlier test may speak, too


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["refused", "black_hole"])
def test_a_run_without_its_broker(fault, request, caplog):
    """A broker that refuses, or never answers, costs a run bounded time, and is said; the value is right."""
    port = request.getfixturevalue(fault)
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING):
        run = cs.start([add(n) for n in range(200)], connector=f"mqtt://127.0.0.1:{port}", log_level=None)
        assert run.result(20) == [n + 1 for n in range(200)]
    assert time.monotonic() - begun < BOUND
    assert run.connections[0].is_connected is False
    said = sentences(caplog)
    assert 1 <= len(said) <= 2, said
    assert all(f"127.0.0.1:{port}" in line for line in said)
    assert any("were left out" in line for line in said)


@pytest.mark.slow
def test_a_broker_that_dies_in_mid_run_and_is_back(broker, listen, caplog):
    """The run goes on; what was said meanwhile waits, and arrives when the broker is there again."""
    gate = threading.Event()
    with caplog.at_level(logging.WARNING):
        run = cs.start([hold(gate, n) for n in range(3)], connector=broker.url, log_level=None)
        until(lambda: run.connections[0].sent >= 4)
        broker.stop()
        until(lambda: not run.connections[0].is_connected)
        broker.start()
        ear = listen("cascade/telemetry/#")
        until(lambda: run.connections[0].is_connected)
        gate.set()
        assert run.result(20) == [0, 1, 2]
    heard = [message["body"] for message in ear.wait_for("ENGINE_STOPPED")]
    assert [body["status"] for body in heard if body["type"] == "LifecycleEvent"][-1] == "completed"
    assert sum(body.get("state") == "COMPLETED" for body in heard) == 3
    assert len(sentences(caplog)) == 1


@pytest.mark.slow
def test_a_run_that_ends_just_when_its_broker_is_back(broker, listen):
    """Between two attempts to reach the broker the run ends: the end is told all the same."""
    gate = threading.Event()
    run = cs.start(hold(gate, 7), connector=broker.url, log_level=None)
    until(lambda: run.connections[0].sent >= 2)
    broker.stop()
    until(lambda: not run.connections[0].is_connected)
    time.sleep(2.0)  # the pauses between attempts have grown beyond a second
    broker.start()
    ear = listen("cascade/telemetry/#")
    gate.set()
    assert run.result(20) == 7
    stopped = [message["body"] for message in ear.wait_for("ENGINE_STOPPED")]
    assert stopped[-1] == {"type": "LifecycleEvent", "event": "ENGINE_STOPPED", "status": "completed"}


@pytest.mark.slow
def test_a_broker_that_dies_for_good(broker, caplog):
    """When the broker never comes back, the run still ends in bounded time, and says what nobody got."""
    gate = threading.Event()
    with caplog.at_level(logging.WARNING):
        run = cs.start(hold(gate, 7), connector=broker.url, log_level=None)
        until(lambda: run.connections[0].sent >= 2)
        broker.stop()
        until(lambda: not run.connections[0].is_connected)
        gate.set()
        begun = time.monotonic()
        assert run.result(20) == 7
    assert time.monotonic() - begun < BOUND
    assert len(sentences(caplog)) == 2


@pytest.mark.slow
def test_a_broker_that_flaps_twenty_times(broker, caplog):
    """Twenty deaths of the broker within one run: the run is right, it is said once, and the end arrives."""
    gate = threading.Event()
    heard = []

    async def watch():
        async with MqttConnector("127.0.0.1", broker.port) as connector:
            await connector.wait_connected(10)
            await connector.subscribe("cascade/telemetry/#", lambda _, told: heard.append(told["body"]))
            gate.set()
            await asyncio.to_thread(until, lambda: any(body.get("event") == "ENGINE_STOPPED" for body in heard))

    with caplog.at_level(logging.WARNING):
        run = cs.start(add(hold(gate, 1)), connector=broker.url, log_level=None)
        for _ in range(20):
            until(lambda: run.connections[0].is_connected)
            broker.stop()
            until(lambda: not run.connections[0].is_connected)
            broker.start()
        until(lambda: run.connections[0].is_connected)
        asyncio.run(watch())
        assert run.result(20) == 2
    assert heard[-1]["status"] == "completed"
    assert sum("is not there" in line for line in sentences(caplog)) == 1


@pytest.mark.slow
def test_the_last_will(broker, listen):
    """An engine that is killed is told as gone by the broker, on the topic of its run and as a LifecycleEvent."""
    ear = listen("cascade/telemetry/#")
    child = subprocess.Popen([sys.executable, CHILD, broker.url, "30"], stdout=subprocess.PIPE, text=True)
    run_id = child.stdout.readline().strip()
    ear.wait_for("RUNNING")
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    messages = ear.wait_for('"lost"')
    assert messages[-1]["run_id"] == run_id
    assert messages[-1]["body"] == {"event": "ENGINE_STOPPED", "status": "lost", "type": "LifecycleEvent"}
    assert ear.messages[-1][0] == f"cascade/telemetry/local/default/{run_id}/events"


@pytest.mark.slow
def test_a_pause_that_was_cleared_while_the_broker_was_away(broker):
    """A limit that is no longer retained when the broker is back is taken away: a run does not hang on what is gone."""
    gate = threading.Event()

    async def set_pause():
        async with MqttConnector("127.0.0.1", broker.port) as connector:
            await connector.publish("cascade/constraints/task/add/pause", {"id": "p"}, qos=1, retain=True)

    run = cs.start(add(hold(gate, 1)), connector=broker.url, log_level=None)
    asyncio.run(set_pause())
    until(lambda: any(type(event).__name__ == "LimitSet" for event in run.events))
    gate.set()
    broker.stop()  # this broker keeps nothing on the disk: what was retained is gone
    broker.start()
    assert run.result(20) == 2


@pytest.mark.slow
def test_user_and_password(make_broker, tmp_path, caplog):
    """A broker that asks for a password gets it; a wrong one is said once, and never shown."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "geheim-7"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker = make_broker(f"allow_anonymous false\npassword_file {passwords}")
    assert cs.run(add(1), connector=f"mqtt://me:geheim-7@127.0.0.1:{broker.port}", log_level=None) == 2
    assert not sentences(caplog)
    with caplog.at_level(logging.WARNING):
        assert cs.run(add(1), connector=f"mqtt://me:wrong-word@127.0.0.1:{broker.port}", log_level=None) == 2
    said = " ".join(sentences(caplog))
    assert "me@127.0.0.1" in said
    assert "uthori" in said  # Not authorized
    assert "wrong-word" not in said


@pytest.mark.slow
def test_tls(make_broker, tmp_path, caplog):
    """An encrypted connection checks the broker's certificate: a trusted one serves, any other does not."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl is installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    broker = make_broker(f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}", "mqtts")

    async def reach(connector):
        async with connector:
            await connector.wait_connected(2)

    asyncio.run(reach(MqttConnector("127.0.0.1", broker.port, ca_file=str(certificate))))
    asyncio.run(reach(MqttConnector("127.0.0.1", broker.port, tls=ssl.create_default_context(cafile=str(certificate)))))
    with pytest.raises(ConnectorError, match="certificate"):
        asyncio.run(reach(MqttConnector("127.0.0.1", broker.port, tls=True)))
    with pytest.raises(ConnectorError, match=r"the certificates in '.*none\.pem' \(ca_file=.*No such file"):
        asyncio.run(reach(MqttConnector("127.0.0.1", broker.port, ca_file=str(tmp_path / "none.pem"))))
    gc.collect()


@pytest.mark.slow
@pytest.mark.skipif(not DYNAMIC.exists(), reason="mosquitto has no plugin for dynamic security here")
async def test_a_broker_that_forbids_to_hear(make_broker, tmp_path, caplog):
    """A subscription that the broker does not grant is said once, with its topic: nothing will come of it."""
    rules = {"defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True, "subscribe": False},
             "clients": [{"username": "me", **_password("secret"), "roles": [{"rolename": "watch"}]}],
             "roles": [{"rolename": "watch",
                        "acls": [{"acltype": "subscribePattern", "topic": "a/#", "allow": True}]}]}  # fmt: skip
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rules), encoding="utf-8")
    broker = make_broker(f"allow_anonymous false\nplugin {DYNAMIC}\nplugin_opt_config_file {path}")
    with caplog.at_level(logging.WARNING):
        async with MqttConnector("127.0.0.1", broker.port, username="me", password="secret") as connector:
            await connector.wait_connected(5)
            for topic in ("a/b", "forbidden/#", "forbidden/#"):
                await connector.subscribe(topic, lambda *_: None)
    told = [line for line in sentences(caplog) if "does not let this user hear" in line]
    assert len(told) == 1
    assert "'forbidden/#'" in told[0]
    assert connector.forbidden == {"forbidden/#"}
    observer = MqttConnector("127.0.0.1", broker.port, username="me", password="secret")
    words = await asyncio.to_thread(_ask_for_runs, observer)
    assert "does not let this user hear 'cascade/control/local/default/" in words


def _ask_for_runs(connector):
    """What `cascade status` says where nobody answers."""
    with RemoteDesk(connector) as desk:
        assert desk.runs(0.1) == []
        return nobody(desk)


def _password(text):
    """A password as the plugin for dynamic security keeps it."""
    salt, rounds = b"0123456789ab", 101
    made = hashlib.pbkdf2_hmac("sha512", text.encode(), salt, rounds)
    return {"password": b64encode(made).decode(), "salt": b64encode(salt).decode(), "iterations": rounds}


@pytest.mark.slow
async def test_the_outbox_is_bounded(refused, caplog):
    """Without a broker the oldest messages go; starts and ends never do; how many is said."""
    connector = MqttConnector("127.0.0.1", refused, most_waiting=100)
    await connector.connect()
    for n in range(1000):
        await connector.publish("a/b", {"n": n}, qos=1 if n % 100 == 0 else 0)
    assert connector.dropped >= 890
    left = [json.loads(letter.data)["n"] for letter in connector._outbox._letters]
    assert [n for n in left if n % 100 == 0] == list(range(0, 1000, 100))
    with caplog.at_level(logging.WARNING):
        await connector.disconnect()
    assert any("1,000 messages" in line for line in sentences(caplog))


async def test_who_needs_the_broker_can_wait_for_it(refused):
    """`wait_connected` is an error with the reason when the broker is not there in time."""
    connector = MqttConnector("127.0.0.1", refused)
    await connector.connect()
    with pytest.raises(ConnectorError, match="refused"):
        await connector.wait_connected(0.05)
    await connector.disconnect()


async def test_a_broker_that_hangs_up_leaves_no_complaint_of_asyncio():
    """A broker that greets and closes the connection at the next word is an error, and nothing else on stderr."""

    async def hang_up(reader, writer):
        await reader.read(1000)
        writer.write(b"\x20\x02\x00\x00")  # CONNACK
        await reader.read(1000)
        writer.close()

    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    settings = MqttConnector("127.0.0.1", patience=0.2)._settings
    wire = Wire("127.0.0.1", server.sockets[0].getsockname()[1], "me", None, settings, complaints.append)
    with pytest.raises(MqttError):
        async with wire:
            await wire.begin([Subscription("a/b", print, is_raw=False)], None)
    del wire
    gc.collect()
    server.close()
    assert complaints == []
