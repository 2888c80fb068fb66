from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cascade.interfaces.remote_errors import RefusedError
from cascade.runtime.remote_orders import (
    MOST_BYTES,
    ClearLimit,
    Command,
    SetLimit,
    limit_to_wire,
    read_command,
    read_limit,
)
from cascade.spec.constraint import GlobalConstraint
from cascade.spec.telemetry import constraint_scope, constraint_topic, level_of
from tests.runtime.malformed import COMMANDS, LIMITS, TOPIC

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    "limit",
    [
        GlobalConstraint("a"),
        GlobalConstraint("a", "task:fetch*", "concurrency", {"limit": 3}, NOW + 60),
        GlobalConstraint("ü 1", "task:a/b[0-9]", "rate_limit", {"rate": "10/m", "capacity": 2}),
        GlobalConstraint("n", "global", "rate_limit", {"rate": 0.5}),
    ],
)
def test_limits_arrive_as_they_were_sent(limit):
    """What one side writes the other reads, by way of its topic."""
    topic = constraint_topic(limit.scope, limit.type)
    order = read_limit(topic, json.dumps(limit_to_wire(limit, "me")).encode(), NOW)
    assert isinstance(order, SetLimit)
    assert order.limit == limit
    assert order.set_by == "me"
    assert constraint_scope(topic) == (limit.scope, limit.type)


def test_a_plain_global_constraint_will_do():
    """The JSON of a GlobalConstraint and nothing else is a limit; scope and type may be left to the topic."""
    whole = {"id": "x", "scope": "global", "type": "pause", "params": {}, "expires_at": None}
    expected = SetLimit(GlobalConstraint("x"))
    assert read_limit(TOPIC, json.dumps(whole).encode(), NOW) == expected
    assert read_limit(TOPIC, whole, NOW) == expected
    assert read_limit(TOPIC, b'{"id": "x"}', NOW) == expected


@pytest.mark.parametrize("data", [b"", {}, b"{}"])
def test_nothing_clears(data):
    """An empty payload clears what its topic names."""
    assert read_limit("cascade/constraints/task/a/pause", data, NOW) == ClearLimit("task:a", "pause")


def test_what_has_expired_is_none():
    """A limit whose time is over is as good as cleared."""
    assert read_limit(TOPIC, json.dumps({"id": "x", "expires_at": NOW - 1}).encode(), NOW) == ClearLimit(
        "global", "pause"
    )


@pytest.mark.parametrize("data", LIMITS, ids=lambda data: repr(data)[:40])
def test_limits_that_are_refused(data):
    """What is no limit is refused with a reason on one line."""
    with pytest.raises(RefusedError) as refused:
        read_limit(TOPIC, data, NOW)
    assert 10 < len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("data", COMMANDS, ids=lambda data: repr(data)[:40])
def test_commands_that_are_refused(data):
    """What is no order is refused with a reason on one line."""
    with pytest.raises(RefusedError) as refused:
        read_command(data)
    assert 10 < len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"command": "cancel", "reason": "lunch"}, Command("cancel", reason="lunch")),
        ({"command": "pause", "id": "7"}, Command("pause", "7")),
        ({"command": "resume"}, Command("resume")),
        ({"command": "status"}, Command("status")),
        ({"command": "unlimit", "limit_id": "x"}, Command("unlimit", limit_id="x")),
        (
            {"command": "limit", "limit": {"id": "x", "type": "concurrency", "params": {"limit": 1}}},
            Command("limit", limit=SetLimit(GlobalConstraint("x", "global", "concurrency", {"limit": 1}))),
        ),
    ],
)
def test_commands(data, expected):
    """Each command is read, from JSON and from a mapping."""
    assert read_command(data) == expected
    assert read_command(json.dumps(data).encode()) == expected


@pytest.mark.parametrize(
    "topic",
    [
        "cascade/constraints",
        "cascade/constraints/global",
        "cascade/constraints/run/x/pause",
        "cascade/constraints/global/a/pause",
        "cascade/constraints/task/pause",
        "other",
    ],
)
def test_topics_that_name_no_limit(topic):
    """A topic that names no scope and type is refused."""
    with pytest.raises(RefusedError, match="topic names no scope"):
        read_limit(topic, b'{"id": "x"}', NOW)


@pytest.mark.parametrize("scope", ["task:a+b", "task:a#", "task:a//b", "task:a\0"])
def test_scopes_that_cannot_be_sent(scope):
    """A scope that would be a wildcard is an error where it is sent."""
    with pytest.raises(ValueError, match="cannot be sent"):
        constraint_topic(scope, "pause")


def test_levels_of_topics():
    """Names become one level each, whatever is in them."""
    assert level_of("a/b") == "a_b"
    assert "/" not in level_of("x/" * 500)
    assert len(level_of("x" * 500)) == 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from(
    ["id", "scope", "type", "params", "expires_at", "set_at", "set_by", "command", "reason", "limit"]
)
PAYLOADS = st.binary(max_size=200) | st.dictionaries(KEYS, VALUES, max_size=6).map(lambda v: json.dumps(v).encode())


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@example(b"[" * MOST_BYTES)
@example(b'{"id": "x", "params": ' + b'{"a":' * 500 + b"1" + b"}" * 501)
@given(PAYLOADS)
def test_whatever_comes_is_an_order_or_a_refusal(data):
    """Any bytes at all are read or refused, and nothing else happens."""
    for read in (lambda: read_limit(TOPIC, data, NOW), lambda: read_command(data)):
        order = None
        with suppress(RefusedError):
            order = read()
        assert order is None or isinstance(order, (SetLimit, ClearLimit, Command))
