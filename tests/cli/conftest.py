"""What holds for tests of the command line: a workflow context of their own, and a command that is run in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

import cascade as cs


@pytest.fixture(autouse=True)
def _own_context(own_context: None) -> None:
    """Every test here has one."""


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    """Load Typer and the engine before the first test is timed."""
    one = cs.task(lambda: 1, name="one")
    assert CliRunner().invoke(cs.cli(one()), ["--log-level", "ERROR"]).stdout == "1\n"


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """Run a target's command with some words; the log says errors only, unless the words ask for more."""

    def run(target: Any, *words: str, env: dict[str, str] | None = None, **settings: Any) -> Any:
        level = () if "--log-level" in words else ("--log-level", "ERROR")
        result = CliRunner().invoke(cs.cli(target, **settings), [*words, *level], env=env)
        unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
        assert not unexpected, result.exception
        return result

    return run
