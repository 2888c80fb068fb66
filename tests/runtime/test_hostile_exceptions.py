"""Exceptions that do not want to be changed or read: frozen ones, and those whose own attributes raise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev

SOON = 10.0


class Frozen(Exception):
    """As a frozen dataclass that derives from `Exception`."""

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("frozen")


class NoNotes(Exception):
    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes")


class NoArguments(Exception):
    args = property(lambda _: 1 / 0)  # type: ignore[assignment]


class Interrupting(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


@pytest.mark.parametrize("kind", [Frozen, NoNotes, NoArguments, Interrupting])
@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
@pytest.mark.parametrize("secret", [False, True])
def test_hostile_exception_fails_its_node_like_any_other(kind: type[Exception], mode: str, secret: bool) -> None:
    """It comes out as itself, with its note in its state, secrets hidden; the run ends and the next one works."""

    def leave(token: str) -> None:
        raise kind(f"refused {token}")

    async def later(token: str) -> None:
        await asyncio.sleep(0)
        leave(token)

    task = cs.task(later, name="leave") if mode == "async" else cs.task(leave, mode=mode)  # type: ignore[call-overload]
    token: Any = cs.Param("token", secret=True) if secret else "S3CR3T"
    for target in (task(token).with_retry(2), task.map([token])):
        params = {"token": "S3CR3T"} if secret else None
        run = cs.start([target], params, log_level=None, capture_output=True)
        error = run.exception(SOON)
        assert type(error) is kind
        notes = object.__getattribute__(error, "__dict__")["__notes__"]
        assert notes[0].startswith("In the node 'leave")
        assert sum(isinstance(e, ev.NodeFailed) for e in run.events) >= 1
        if secret:
            assert "S3CR3T" not in repr(BaseException.args.__get__(error))  # type: ignore[attr-defined]
            assert "S3CR3T" not in repr(run.events)
    assert cs.run(cs.task(lambda: 1)(), log_level=None) == 1
