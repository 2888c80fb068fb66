"""What holds for tests of the command line: a workflow context of their own, and a command that is run in here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cascade as cs
from tests.cli.elsewhere import Place


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


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder in which the `cascade` command works; its runtime folder has a short path, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="cs") as folder:
        made = Place(tmp_path, Path(folder) / "r")
        yield made
        made.close()


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that makes a mosquitto, running; a test may stop it and start it again."""
    import shutil

    from tests.adapters.connectors.conftest import Broker

    pytest.importorskip("aiomqtt", reason="aiomqtt is not installed")
    if shutil.which("mosquitto") is None and not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("no mosquitto is installed (on Debian: apt-get install mosquitto)")
    made: list[Any] = []

    def make() -> Any:
        made.append(Broker(tmp_path).start())
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def broker(make_broker: Callable[..., Any]) -> Any:
    """A broker that anybody on this machine may use."""
    return make_broker()
