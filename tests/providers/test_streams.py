from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest

import cascade as cs
from cascade.providers.streams import StreamError
from tests.providers.hostile import HOSTILE

HEAD = "import cascade as cs; "


def script(code: str, fed: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a script that is fed by a pipe."""
    return subprocess.run([sys.executable, "-c", HEAD + code], input=fed, capture_output=True, check=False, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fed", "expected"),
    [("text", "é\nb\n".encode(),
     "'é\\nb\\n'"), ("bytes", b"\xff\0", "b'\\xff\\x00'"), ("lines", b"a\r\nb", "['a', 'b']"),
     ("text", b"", "''")],
)  # fmt: skip
def test_a_script_reads_its_input(kind: str, fed: bytes, expected: str) -> None:
    """Text, bytes and lines of the standard input arrive whole, to its end."""
    done = script(f"print(ascii(cs.run(cs.io.stdin({kind!r}), log_level=None)))", fed)
    assert done.stdout.decode().strip() == ascii(eval(expected)), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_an_input_that_is_no_text(locale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no text are an error that says how to read them, also where Python would let them pass."""
    monkeypatch.setenv("LC_ALL", locale)
    done = script("cs.run(cs.io.stdin(), log_level=None)", b"a\xff\xfeb")
    assert b"The standard input is not text. Read it as bytes: cs.io.stdin('bytes')." in done.stderr
    assert done.returncode == 1


@pytest.mark.slow
def test_a_script_writes_its_output() -> None:
    """What comes in goes out, byte for byte, and the log does not mix with it."""
    data = bytes(range(256)) * 1000
    done = script("cs.run(cs.io.stdout(cs.io.stdin('bytes')))", data)
    assert done.stdout == data
    assert b"completed" in done.stderr


def test_text_goes_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Text and other values are shown with a line end, or another one, and passed on."""
    assert cs.run(cs.io.stdout(cs.dict(a=1)), log_level=None) == {"a": 1}
    cs.run(cs.io.stdout("x", end=""), log_level=None)
    assert capsys.readouterr().out == "{'a': 1}\nx"


def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is not there, or takes no bytes, is said in a sentence; and so is a kind that there is not."""
    with pytest.raises(StreamError, match="reads 'text', 'bytes' or 'lines', not 'word'"):
        cs.run(cs.io.stdin("word"), log_level=None)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(StreamError, match=r"In a notebook, use a cs\.Param"):
        cs.run(cs.io.stdin(), log_level=None)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(StreamError, match="takes text only here"):
        cs.run(cs.io.stdout(b"x"), log_level=None)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(StreamError, match="no standard output"):
        cs.io.stdout.func("x")


def test_a_kernel_has_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook's kernel there is nobody who writes to the standard input: that is said, and nothing waits."""

    class Kernel:
        class IPKernelApp:
            @staticmethod
            def initialized() -> bool:
                return True

    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", Kernel)  # type: ignore[arg-type]
    with pytest.raises(StreamError, match="In a notebook"):
        cs.io.stdin.func()


def test_hostile_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty texts that mean harm are written as they are, and are no kinds of input."""
    for text in HOSTILE:
        out: Any = io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        cs.io.stdout.func(text, end=text)
        assert out.getvalue() == text * 2
        with pytest.raises(StreamError):
            cs.io.stdin.func(text)
