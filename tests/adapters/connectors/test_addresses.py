from __future__ import annotations

import pytest

from cascade.adapters.connectors.addresses import open_connector
from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.adapters.connectors.outbox import Letter, Outbox
from cascade.adapters.connectors.topics import check_pattern, check_topic, decode, matches
from cascade.interfaces.remote_errors import ConnectorError


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("local", "local"),
        ("local:/tmp/x", "local:/tmp/x"),
        ("inprocess", "inprocess:default"),
        ("inprocess:lab", "inprocess:lab"),
        ("mqtt://broker", "mqtt://broker:1883"),
        ("mqtt://me:pa%2Fss@broker:99", "mqtt://me@broker:99"),
        ("mqtts://broker", "mqtts://broker:8883"),
        ("mqtt://[::1]:7", "mqtt://::1:7"),
    ],
)
def test_addresses(address, shown):
    """Each kind of address gives its connector, which shows everything but the password."""
    assert repr(open_connector(address)) == f"<connector {shown}>"


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("mqqt://host", "Did you mean 'mqtt'"),
        ("", "names no connector"),
        ("mqtt:host", "names no connector"),
        ("mqtt://", "names no connector"),
        ("mqtt://u:geheim@", "names no connector"),
        ("mqtt://u:geheim@h:99999", "not a number from 1 to 65535"),
        ("mqtt://h:zero", "not a number from 1 to 65535"),
        ("mqtt://h:0", "not a number from 1 to 65535"),
        ("mqtt://h/path", "names no connector"),
        ("redis://h", "names no connector"),
    ],
)
def test_wrong_addresses(address, hint):
    """A wrong address is an error that says what is right, without the password."""
    with pytest.raises(ConnectorError, match=hint) as raised:
        open_connector(address)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize("given", [1, object(), InProcessConnector, None, b"local"])
def test_objects_that_are_no_connectors(given):
    """What has not the methods of a connector is refused, as is a class."""
    with pytest.raises(ConnectorError, match="is neither"):
        open_connector(given)


def test_password_from_the_environment(monkeypatch):
    """User and password may come from the environment, so that they stand in no notebook."""
    monkeypatch.setenv("CASCADE_MQTT_USERNAME", "me")
    monkeypatch.setenv("CASCADE_MQTT_PASSWORD", "secret")
    made = open_connector("mqtt://h")
    assert (made._settings["username"], made._settings["password"]) == ("me", "secret")


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+/c", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c/d", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("+", "", True),
        ("a/+", "a/", True),
        ("a", "A", False),
    ],
)
def test_matching(pattern, topic, expected):
    """Patterns match as MQTT has it."""
    assert matches(pattern, topic) is expected


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "x" * 70_000, "\ud800", None, 3])
def test_topics_that_nothing_can_be_published_on(topic):
    """A topic with wildcards, none, or too much of one is an error with words."""
    with pytest.raises(ConnectorError, match="is not a topic"):
        check_topic(topic)


@pytest.mark.parametrize("pattern", ["", "a/#/b", "a+/b", "a/b#", "##"])
def test_patterns_that_nobody_can_subscribe_to(pattern):
    """Wildcards stand alone in their level, and '#' at the end."""
    with pytest.raises(ConnectorError, match="is not a topic"):
        check_pattern(pattern)


@pytest.mark.parametrize("data", [b"[1]", b"1", b"{", b"\xff", b"[" * 5000, b'"' + b"x" * (1 << 21) + b'"'])
def test_payloads_that_are_no_objects(data):
    """What is no JSON object, or too large, is nothing."""
    assert decode(data) is None


def test_the_outbox_keeps_what_is_vital():
    """Of too many letters the oldest plain ones go; those that must not be lost stay, in their order."""
    box = Outbox(most=10)
    for n in range(100):
        box.put(Letter(str(n), b"", qos=1 if n % 20 == 0 else 0))
    left = [letter.topic for letter in box.take_all()]
    assert [topic for topic in left if int(topic) % 20 == 0] == ["0", "20", "40", "60", "80"]
    assert left == sorted(left, key=int)
    assert left[-1] == "99"
    assert len(left) + box.dropped == 100
    assert box.dropped >= 85
