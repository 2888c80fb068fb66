from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import NodeTimeoutError, RunCancelledError
from cascade.providers.shell import ShellCommandError, ShellError, ShellResult, ShellTimeoutError
from cascade.runtime.capture import OutputCapture
from tests.providers.hostile import HOSTILE, Canary


def run(*args: Any, show: bool = False, **options: Any) -> ShellResult:
    """What one command gives."""
    return cs.run(cs.shell(*args, show=show, **options), log_level=None)


def is_alive(pid: int) -> bool:
    """Whether a process does anything still."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def captured() -> Iterator[list[Any]]:
    """Output of tasks is captured, as while a cell with a view runs; gives the events of runs that start within."""
    capture = OutputCapture()
    capture.acquire()
    try:
        yield []
    finally:
        capture.release()


def until(condition: Any, seconds: float = 5.0) -> bool:
    """Look often whether something has come true."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        os.sched_yield()
    return bool(condition())


PIDS = "echo $$ > one; sh -c 'echo $$ > two.new; mv two.new two; {trap} sleep 60; sleep 60' & wait; wait"


@pytest.mark.slow
def test_a_list_is_run_without_a_shell() -> None:
    """Arguments reach the program as they are; numbers and paths as text."""
    result = run([sys.executable, "-c", "import sys; print(sys.argv[1:])", "a b", "$(c)", 1, 2.5, Path("/x")])
    assert result.stdout == "['a b', '$(c)', '1', '2.5', '/x']\n"
    assert (result.code, result.stderr, result.left_out, result.ok) == (0, "", 0, True)


def test_text_is_read_by_a_shell() -> None:
    """Pipes work, values are arguments, and parts of the result can be taken before the run."""
    call = cs.shell("printf '%s\\n' {xs} | sort -r", xs=cs.dict(a=["b", "$(a)"])["a"], show=False)
    assert cs.run([call["stdout"], call["code"]], log_level=None) == ["b\n$(a)\n", 0]


def test_a_code_is_an_error() -> None:
    """Another code than 0 raises with the end of stderr, and the error holds the result and travels."""
    with pytest.raises(ShellError, match=r"'echo one; .* ended with code 3\. The end of its stderr:\nbad") as caught:
        run("echo one; echo bad >&2; exit 3")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.result == caught.value.result == ShellResult(3, "one\n", "bad\n")
    with pytest.raises(ShellError, match=r"'false' ended with code 1\. It wrote nothing on stderr"):
        run(["false"])


def test_a_long_complaint_is_shown_from_its_end() -> None:
    """Of a long stderr the error shows the end, where the reason is."""
    with pytest.raises(ShellError) as caught:
        run("seq 1 100000 >&2; echo why >&2; exit 1")
    assert str(caught.value).endswith("100000\nwhy")
    assert len(str(caught.value)) < 2200


def test_unchecked_codes_and_signals() -> None:
    """With ``check=False`` the code is part of the result; a signal is a code below 0."""
    assert run("exit 7", check=False).code == 7
    assert run("kill -9 $$", check=False).code == -9
    with pytest.raises(ShellError, match="was ended by signal 15"):
        run("kill -15 $$")


def test_env_and_cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables join those of this process, None takes one away, and the folder is the one that is asked for."""
    monkeypatch.setenv("CASCADE_TEST_GONE", "here")
    command = 'printf "%s|%s|%s" "$A" "${CASCADE_TEST_GONE-none}" "$PWD"'
    assert run(command, env={"A": "$(b)", "CASCADE_TEST_GONE": None}, cwd=tmp_path).stdout == f"$(b)|none|{tmp_path}"
    with pytest.raises(NotADirectoryError, match="which is no folder"):
        run(["true"], cwd=tmp_path / "none")


def test_stdin() -> None:
    """It reads text or bytes, nothing by default, and need not read all of it."""
    assert run(["cat"], stdin="hé").stdout == "hé"
    assert run(["cat"], stdin=b"\xff\0", binary=True).stdout == b"\xff\0"
    assert run(["cat"]).stdout == ""
    assert run(["true"], stdin="x" * 10_000_000).ok


def test_binary_output() -> None:
    """Bytes come as they are; as text, what is no UTF-8 is marked."""
    command = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)))"]
    assert run(command, binary=True).stdout == bytes(range(256))
    assert "\ufffd" in str(run(command).stdout)


def test_huge_output_is_bounded() -> None:
    """Of too much output the beginning and the end are kept, a line stands for the rest, and the log says so."""
    call = cs.shell("seq 1 200000; echo end", show=False, max_bytes=2000)
    with captured() as heard:
        handle = cs.start(call, log_level=None, capture_output=True, subscribers=[heard.append])
        result = handle.result(timeout=30)
    total = sum(len(str(n)) + 1 for n in range(1, 200_001)) + 4
    assert result.left_out == total - 2000
    assert result.stdout.startswith("1\n2\n")
    assert f"\n… {result.left_out:,} bytes were left out …\n" in result.stdout
    assert result.stdout.endswith("200000\nend\n")
    assert len(result.stdout) < 2100
    assert until(lambda: any("wrote more than max_bytes=2,000" in getattr(event, "text", "") for event in heard))


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    """Three hundred million bytes of output take no more memory than is allowed to be kept."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run("head -c 300000000 /dev/zero", binary=True, max_bytes=1_000_000).left_out == 299_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_output_shows_while_it_runs(tmp_path: Path) -> None:
    """What the program writes is in the run's log before it ends, line by line, characters whole."""
    os.mkfifo(tmp_path / "go")
    call = cs.shell("printf 'h\\303'; printf '\\251\\n'; echo oops >&2; read line < go; echo $line", cwd=tmp_path)
    with captured() as heard:
        handle = cs.start(call, log_level=None, capture_output=True, subscribers=[heard.append])
        texts = lambda: {(getattr(e, "stream", ""), getattr(e, "text", "").strip()) for e in heard}  # noqa: E731 - read again and again
        assert until(lambda: {("stdout", "hé"), ("stderr", "oops")} <= texts())
        assert handle.state == "running"
        (tmp_path / "go").write_text("bye\n")
        assert handle.result(timeout=10).stdout == "hé\nbye\n"
        assert until(lambda: ("stdout", "bye") in texts())


def test_nothing_shows_where_nothing_should(capfd: pytest.CaptureFixture[str]) -> None:
    """With ``show=False`` the program's output is in the result only; otherwise it goes where a task's output goes."""
    run("echo hidden; echo hidden >&2")
    run("echo seen; echo said >&2", show=True)
    assert capfd.readouterr() == ("seen\n", "said\n")


@pytest.mark.slow
def test_a_timeout_ends_all_that_was_started(tmp_path: Path) -> None:
    """When its time is over, the program and its children have ended, and the error has what was said until then."""
    with pytest.raises(ShellTimeoutError, match=r"ended after 0\.5 s \(timeout=\)") as caught:
        run(PIDS.replace("{trap}", ""), timeout=0.5, cwd=tmp_path)
    assert isinstance(caught.value, TimeoutError)
    assert until(lambda: not any(is_alive(int((tmp_path / name).read_text())) for name in ("one", "two")), 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_what_a_program_leaves_in_the_background_ends_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """A program that ends well while another one of its own goes on leaves nothing behind; that is said."""
    result = run("sleep 60 >/dev/null 2>&1 </dev/null & echo $!")
    assert result.ok
    assert until(lambda: not is_alive(int(result.stdout)))
    assert "left programs in the background" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cancel", "timeout", "stubborn"])
def test_a_cancel_ends_all_that_was_started(tmp_path: Path, how: str) -> None:
    """A cancel, and the node's own timeout, end the whole process group within a second, one that resists too."""
    command = PIDS.replace("{trap}", 'trap "" TERM;' if how == "stubborn" else "")
    call = cs.shell(command, cwd=tmp_path, show=False)
    handle = cs.start(call.with_timeout(1) if how == "timeout" else call, log_level=None)
    assert until((tmp_path / "two").exists)
    pids = [int((tmp_path / name).read_text()) for name in ("one", "two")]
    began = time.monotonic()
    if how != "timeout":
        handle.cancel()
    with pytest.raises(NodeTimeoutError if how == "timeout" else RunCancelledError):
        handle.result(timeout=10)
    assert time.monotonic() - began < (2.2 if how == "timeout" else 1.2)
    assert until(lambda: not any(map(is_alive, pids)), 1)


@pytest.mark.slow
def test_a_cancel_while_it_starts(tmp_path: Path) -> None:
    """A cancel in the moment in which the program is started, but not yet known to run, ends its children, too."""
    for number in range(25):
        folder = tmp_path / str(number)
        folder.mkdir()
        handle = cs.start(cs.shell(PIDS.replace("{trap}", ""), cwd=folder, show=False), log_level=None)
        assert until((folder / "one").exists)
        handle.cancel()
        with pytest.raises(RunCancelledError):
            handle.result(timeout=10)
        if (folder / "two").exists():
            pid = int((folder / "two").read_text())
            assert until(lambda pid=pid: not is_alive(pid), 1)


@pytest.mark.slow
def test_interrupt_ends_all_that_was_started(tmp_path: Path) -> None:
    """Ctrl-C in a script ends the program and its children."""
    import subprocess

    script = f"import cascade as cs; cs.run(cs.shell({PIDS.replace('{trap}', '')!r}, cwd={str(tmp_path)!r}))"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) as child:
        assert until((tmp_path / "two").exists, 20)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=10)
    assert b"KeyboardInterrupt" in said
    assert until(lambda: not any(is_alive(int((tmp_path / name).read_text())) for name in ("one", "two")), 1)


def test_a_failing_sibling_ends_it(tmp_path: Path) -> None:
    """When something beside it fails, the program is ended, too."""

    @cs.task
    def fail() -> None:
        assert until((tmp_path / "two").exists)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cs.run([fail(), cs.shell(PIDS.replace("{trap}", ""), cwd=tmp_path)], log_level=None)
    assert until(lambda: not any(is_alive(int((tmp_path / name).read_text())) for name in ("one", "two")), 1)


@pytest.mark.slow
def test_it_holds_no_thread() -> None:
    """Forty programs that wait for each other's end run at once."""
    calls = [cs.shell("sleep 0.2", show=False) for _ in range(40)]
    began = time.monotonic()
    assert all(result.ok for result in cs.run(calls, log_level=None))
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ([], {}, "a list of a program and its arguments"),
        ("  ", {}, "is empty"),
        ([""], {}, "is empty text"),
        (b"ls", {}, "is text, or a list"),
        ({"ls": 1}, {}, "is text, or a list"),
        (3, {}, "is text, or a list"),
        (["ls", None], {}, r"Argument 1 of cs\.shell is None"),
        (["ls"], {"x": 1}, "A list of arguments has no places"),
        (["ls"], {"env": {"A=B": "1"}}, "a name that no variable can have"),
        (["ls"], {"env": {"": "1"}}, "a name that no variable can have"),
        (["ls"], {"env": {"A": ["1"]}}, "The value of A in env"),
        (["ls"], {"env": ["A"]}, "env is a mapping"),
        (["ls"], {"stdin": 3}, "stdin is text or bytes"),
        (["ls"], {"timeout": 0}, "seconds above 0"),
        (["ls"], {"timeout": float("nan")}, "seconds above 0"),
        (["ls"], {"max_bytes": 0}, "at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(command: Any, options: dict[str, Any], said: str) -> None:
    """Wrong arguments are told in a sentence, and nothing starts."""
    with pytest.raises(ShellCommandError, match=said):
        run(command, **options)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """The error names the program that is not there, or may not be run, or cannot be given so much."""
    with pytest.raises(FileNotFoundError, match="There is no program 'no-such-program'"):
        run(["no-such-program"])
    (tmp_path / "plain").write_text("x")
    with pytest.raises(PermissionError, match="no program that may be run"):
        run([tmp_path / "plain"])
    with pytest.raises(OSError, match="'echo' could not be started: Argument list too long"):
        run(["echo", "x" * 300_000])


def test_secrets_do_not_show() -> None:
    """A secret that a program writes shows neither in the log nor in the error."""
    secret = cs.Param("shell_token", secret=True)
    call = cs.shell("echo $TOKEN; echo $TOKEN >&2; exit 1", env={"TOKEN": secret})
    options: dict[str, Any] = {"params": {"shell_token": "hunter2-xyzzy"}, "log_level": None, "capture_output": True}
    with captured() as heard, pytest.raises(ShellError) as caught:
        cs.start(call, subscribers=[heard.append], **options).result(timeout=10)
    assert "•••" in str(caught.value)
    assert until(lambda: sum(getattr(event, "text", "") == "•••\n" for event in heard) == 2)
    assert "hunter2" not in f"{caught.value} {caught.value.__notes__} {heard}"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["argument", "value", "list", "env", "stdin", "name", "cwd", "command"])
def test_nothing_hostile_runs(canary: Canary, place: str) -> None:
    """Sixty texts that mean harm do none as argument, value, variable, input, folder or name of a variable."""
    calls = {
        "argument": lambda text: cs.shell(["echo", "--", text], show=False),
        "value": lambda text: cs.shell("echo -- {x}", x=text, show=False),
        "list": lambda text: cs.shell("echo -- {x}", x=[text, text], show=False),
        "env": lambda text: cs.shell('echo "$X"', env={"X": text}, show=False),
        "stdin": lambda text: cs.shell(["cat"], stdin=text, show=False),
        "name": lambda text: cs.shell("true", env={text: "x"}, show=False),
        "cwd": lambda text: cs.shell(["true"], cwd=f"./none/{text}", show=False),
        "command": lambda text: cs.shell([text, "x"], show=False, timeout=5),
    }
    texts = [text for text in HOSTILE if not (place == "cwd" and text == "../../canary")]
    made = [calls[place](text).with_fallback(None) for text in texts]
    results = cs.run(made, log_level=None)
    canary.check()
    if place in ("argument", "value", "env", "stdin"):
        for text, result in zip(texts, results, strict=True):
            assert result is None or text.strip("\n") in result.stdout
        assert sum(result is not None for result in results) >= 55
    else:
        assert place == "list" or not any(results) or place == "name"
