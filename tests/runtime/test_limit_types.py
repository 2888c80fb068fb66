"""Limits of types that users bring."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

import cascade as cs
from cascade.context import get_current_context
from cascade.interfaces.exceptions import SettingError
from cascade.runtime.limits import Limits
from cascade.spec.constraint import GlobalConstraint

QUIET: dict[str, Any] = {"log_level": None}


class Quota:
    """Lets so many start in all, ever."""

    def __init__(self, left: int = 0) -> None:
        self.left = left

    def check(self, params):
        if not isinstance(params.get("total"), int):
            raise ValueError("A quota needs params={'total': n}.")

    def open(self, params, now):
        return Quota(params["total"])

    def turns(self, running, now):
        return self.left, None

    def started(self, now):
        self.left -= 1


class Broken(Quota):
    """Cannot judge."""

    def open(self, params, now):
        return Broken()

    def turns(self, running, now):
        raise RuntimeError("no idea")


@pytest.fixture
def _handlers():
    handlers = get_current_context().constraint_handlers
    handlers.update(quota=Quota(), broken=Broken())
    yield
    handlers.clear()


@pytest.mark.usefixtures("_handlers")
def test_a_handler_gives_a_type_of_limit_its_meaning():
    """A limit of a registered type lets through what its handler says, and is set and removed like the others."""
    time = [0.0]
    limits = Limits(lambda: time[0], lambda: time[0])
    limits.set(GlobalConstraint("two", "task:f*", "quota", {"total": 2}))
    for node in range(2):
        assert limits.has_room(node, ("fetch",))
        limits.count(("fetch",))
    assert not limits.has_room(2, ("fetch",))
    assert limits.has_room(3, ("other",))
    assert limits.remove("two") == [2]
    assert limits.has_room(2, ("fetch",))


@pytest.mark.usefixtures("_handlers")
def test_a_run_obeys_a_limit_of_a_user_s_type():
    """What the quota holds back runs when the limit is removed."""

    @cs.task
    def one(x):
        return x

    run = cs.start([one(i) for i in range(5)], **QUIET)
    run.pause()
    run.set_limit(GlobalConstraint("some", "global", "quota", {"total": 1}))
    run.resume()
    run.remove_limit("some")
    assert run.result(10) == list(range(5))
    with pytest.raises(ValueError, match="A quota needs params"):
        run.set_limit(GlobalConstraint("some", "global", "quota"))
    with pytest.raises(SettingError, match="Did you mean 'quota'"):
        run.set_limit(GlobalConstraint("some", "global", "quotta"))


@pytest.mark.usefixtures("_handlers")
def test_a_handler_that_fails_holds_nobody(caplog):
    """A plug-in's fault is reported once, and the run goes on."""

    @cs.task
    def one(x):
        return x

    release = threading.Event()

    @cs.task
    def gate():
        release.wait(10)

    first = gate()
    with caplog.at_level(logging.WARNING, "cascade"):
        run = cs.start([one(i).after(first) for i in range(5)], **QUIET)
        run.set_limit(GlobalConstraint("bad", "global", "broken", {"total": 1}))
        release.set()
        assert run.result(10) == list(range(5))
    assert [r.getMessage() for r in caplog.records] == [
        "The limit bad of type broken holds nobody any more: its handler raised RuntimeError: no idea."
    ]
