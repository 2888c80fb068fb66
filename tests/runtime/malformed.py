"""Messages that no run may obey, made by hand: for limits on `TOPIC`, and for commands."""

from __future__ import annotations

import json

TOPIC = "cascade/constraints/global/pause"

_ANY: list[bytes] = [
    b"x",
    b"{",
    b"[]",
    b"1",
    b'"pause"',
    b"null",
    b"true",
    b"\xff\xfe",
    b"\x00",
    b"[" * 9000,
    b'{"a":' * 900,
    b'{"id": "x", "id": "y"}',
    b'{"id": NaN}',
    b'{"id": Infinity}',
    b'{"id": 1e999}',
    b'{"id": ' + b"9" * 5000 + b"}",
    b'{"id": "' + b"x" * 20_000 + b'"}',
    b"{'id': 'x'}",
    b'{"id": "x"} {"id": "y"}',
    b'{"__class__": "os.system", "id": "x"}',
    b'{"py/object": "subprocess.Popen", "id": "x"}',
    b"cos\nsystem\n(S'touch canary'\ntR.",
    b"\x80\x04\x95",
    '{"id": "\u202e"}'.encode(),
    b'{"id": "\\ud800"}',
    b'{"id": "a\\nb"}',
    b'{"id": "a\\u0000b"}',
]

LIMITS: list[bytes] = _ANY + [
    json.dumps(each).encode()
    for each in (
        {"id": ""},
        {"id": None},
        {"id": 3},
        {"id": ["x"]},
        {"id": "x" * 300},
        {"id": "x", "scope": "task:a"},
        {"id": "x", "scope": 3},
        {"id": "x", "type": "concurrency"},
        {"id": "x", "params": []},
        {"id": "x", "params": "limit"},
        {"id": "x", "params": {"limit": 3}},
        {"id": "x", "expires_at": "tomorrow"},
        {"id": "x", "expires_at": True},
        {"id": "x", "expires_at": -1},
        {"id": "x", "expires_at": 1e300},
        {"id": "x", "set_at": {}},
        {"id": "x", "set_by": 4},
        {"id": "x", "command": "cancel"},
        {"id": "x", "extra": 1},
        {"id": "x", "params": {"a": {"b": {"c": {"d": {"e": {}}}}}}},
    )
]

COMMANDS: list[bytes] = _ANY + [
    json.dumps(each).encode()
    for each in (
        {"command": ""},
        {"command": None},
        {"command": 1},
        {"command": ["cancel"]},
        {"command": "cancle"},
        {"command": "CANCEL"},
        {"command": "exec"},
        {"command": "__init__"},
        {"command": "cancel", "id": 3},
        {"command": "cancel", "reason": {}},
        {"command": "cancel", "reason": "x" * 1000},
        {"command": "cancel", "limit": {}},
        {"command": "cancel", "code": "import os"},
        {"command": "limit"},
        {"command": "limit", "limit": 3},
        {"command": "limit", "limit": {"id": "x", "type": "pausee"}},
        {"command": "limit", "limit": {"id": "x", "type": "concurrency", "params": {"limit": 0}}},
        {"command": "limit", "limit": {"id": "x", "type": "concurrency", "params": {"limit": 10**9}}},
        {"command": "limit", "limit": {"id": "x", "type": "concurrency", "params": {"limit": 1.5}}},
        {"command": "limit", "limit": {"id": "x", "type": "rate_limit", "params": {"rate": "fast"}}},
        {"command": "limit", "limit": {"id": "x", "type": "rate_limit", "params": {"rate": 1, "capacity": 1e12}}},
        {"command": "limit", "limit": {"id": "x", "type": "rate_limit", "params": {"rate": 1e12}}},
        {"command": "limit", "limit": {"id": "x", "scope": "run:1", "type": "pause"}},
        {"command": "unlimit"},
        {"command": "unlimit", "limit_id": 3},
    )
]
