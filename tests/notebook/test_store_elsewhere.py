"""`%cascade store use`: a notebook that remembers on a Redis server, in a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.redis_servers import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with a password."""
    made = RedisServer(tmp_path, "--requirepass", "hush").start()
    yield made
    made.stop()


def test_a_notebook_remembers_on_a_server(kernel: Kernel, server: RedisServer) -> None:
    """Cells, runs, why and doctor follow the store that is used; its password is shown nowhere; `here` goes back."""
    address = server.url.replace("//", "//:hush@")
    kernel.run(f"import os; os.environ['ELSEWHERE'] = '{address}'\n@cs.task(pure=True)\ndef far(n):\n    return n + 1")
    shown = [kernel.run("%cascade store use $ELSEWHERE")]
    assert f"remembers in the redis cache 'cascade:' at redis://:***@127.0.0.1:{server.port}/0." in str(shown[0].value)
    for state in ("done", "stored"):
        cell = kernel.run("%%cascade\nfar(1)")
        assert cell.value == "2"
        assert [entry["s"] for entry in cell.document["nodes"].values()] == [state]
        shown.append(cell)
    shown += [kernel.run(f"%cascade {line}") for line in ("store size", "runs", "why far", "doctor")]
    assert "1 result" in str(shown[3].value)
    assert "stored: same code and inputs" in str(shown[5].value)
    server.stop()
    away = kernel.run("%%cascade\nfar(2)")
    shown += [away, kernel.run("%cascade doctor")]
    assert away.value == "3"
    assert "Nothing is stored at the moment" in str(shown[-1].value)
    for cell in shown:
        assert "hush" not in str(vars(cell))
    assert ".cascade" in str(kernel.run("%cascade store use here").value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("redis://:hush@[", "no address of a Redis server"), ("$NO_SUCH_NAME", "no variable NO"), ("a b", "one place"),
        ("redis://host/first", "no address of a Redis server"), ("redis:/:hush@host/0", "redis://:***@host/0"),
        ("localhost:6379", "Write redis://localhost:6379"), ("hre", "store use here, or ./hre"), ('""', "is empty"),
        ("Defualt", "store use default, or ./Defualt"), ("redis", "store use redis://localhost:6379/0, or ./redis"),
    ],
)  # fmt: skip
def test_places_that_are_none(kernel: Kernel, words: str, told: str) -> None:
    """A place that is none is one line, and the store stays."""
    before = kernel.run("%cascade store use").value
    cell = kernel.run(f"%cascade store use {words}")
    assert not cell.ok
    assert told in str(cell.error)
    assert "hush" not in str(cell.error)
    assert kernel.run("%cascade store use").value == before


def test_a_server_that_is_away_costs_nothing(kernel: Kernel) -> None:
    """With a server that nobody has started, cells run as ever, and their text says once that nothing is remembered."""
    port = free_port()
    kernel.run(f"%cascade store use redis://127.0.0.1:{port}/0")
    for _ in range(2):
        cell = kernel.run("%%cascade\nnap(1)")
        assert cell.value == "1"
        text = cell.bundle["text/plain"]
        assert text.count("cannot be reached") == 1
        assert f"store: Redis at redis://127.0.0.1:{port}/0 cannot be reached" in text
        assert "Until then, results are not remembered" in text
    assert ".cascade" in str(kernel.run("%cascade store use default").value)
