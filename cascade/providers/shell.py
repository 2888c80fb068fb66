"""``cs.shell``: run a program, and have what it says.

In: a list of arguments, or a command with places for values. Out: a `ShellResult`. Invariant: no value becomes part of
a command; what the program says shows while it runs; however the attempt ends, the program and all that it started
have ended with it; what is kept of its output is bounded.
"""

from __future__ import annotations

import codecs
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import update_wrapper
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

import cascade as cs
from cascade.providers.errors import PartError, ProviderError, clip, hide_logins, short
from cascade.providers.shell_text import ShellCommandError, as_argument, check_places, place_values

if TYPE_CHECKING:
    from asyncio import StreamReader
    from asyncio.subprocess import Process

__all__ = ["ShellCommandError", "ShellError", "ShellResult", "ShellTimeoutError", "shell"]

MOST: Final = 16 * 1024 * 1024  # bytes kept of each stream, if nothing else is said
_BLOCK: Final = 64 * 1024
_GRACE: Final = 0.5  # seconds between asking a program to end and ending it; Interrupt promises the prompt within 1 s
_REST: Final = 0.1  # … and seconds that what it started has beyond it
_LOOK: Final = 0.005  # seconds between two looks
_TAIL: Final = 2000  # characters of stderr in an error
_SHELL: Final = "/bin/sh"
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, repr=False)
class ShellResult:
    r"""What a program said.

    Its repr tells how much that is, and not what: a program may say the secrets that it was given.

    Attributes:
        code: with which it ended; below 0: the signal that ended it. stdout, stderr: what it wrote; text, or bytes of a
            binary call. left_out: bytes of both that were too many to keep; a line stands in their place.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.shell(["echo", "hello"], show=False)["stdout"], log_level="ERROR")
        'hello\n'
    """

    code: int
    stdout: str | bytes
    stderr: str
    left_out: int = 0

    def __getitem__(self, name: str) -> Any:
        """Return a part by its name, so that a lazy result has it too."""
        known = [field.name for field in fields(self)]
        if name not in known:
            raise PartError.for_name("What a program said", name, known)
        return getattr(self, name)

    def __repr__(self) -> str:
        """Show the code and the sizes."""
        said = f"{len(self.stdout):,} {'characters' if isinstance(self.stdout, str) else 'bytes'} on stdout"
        return f"<shell ended with code {self.code}: {said}, {len(self.stderr):,} on stderr>"

    @property
    def ok(self) -> bool:
        """Whether it ended as it should."""
        return self.code == 0


class ShellError(ProviderError, RuntimeError):
    """A program ended with another code than 0.

    Attributes:
        result: what it said until then.
    """

    result: ShellResult | None = None

    @classmethod
    def for_result(cls, program: str, result: ShellResult) -> ShellError:
        """A code that is not 0."""
        how = f"ended with code {result.code}" if result.code >= 0 else f"was ended by signal {-result.code}"
        error = cls(f"'{clip(program)}' {how}. {_said(result)}")
        error.result = result
        return error


class ShellTimeoutError(ShellError, TimeoutError):
    """A program took longer than it may."""

    @classmethod
    def for_time(cls, program: str, seconds: float, result: ShellResult) -> ShellTimeoutError:
        """Its time is over; it has been ended."""
        error = cls(f"'{clip(program)}' was ended after {seconds:g} s (timeout=). {_said(result)}")
        error.result = result
        return error


def _said(result: ShellResult) -> str:
    """Return the end of what a program wrote on stderr, for an error."""
    text = hide_logins(result.stderr.strip())
    if not text:
        return "It wrote nothing on stderr. With check=False the code is part of the result."
    return f"The end of its stderr:\n{text if len(text) <= _TAIL else '…' + text[-_TAIL:]}"


@cs.task(name="shell")
async def run_program(
    command: str | Sequence[object],
    /,
    *,
    env: Mapping[str, object] | None = None,
    cwd: str | PathLike[str] | None = None,
    stdin: str | bytes | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the error has what was said until then
    check: bool = True,
    binary: bool = False,
    show: bool = True,
    max_bytes: int = MOST,
    **values: Any,
) -> ShellResult:
    r"""Run a program and return what it wrote; its output shows in the run's log while it runs.

    A list is a program and its arguments, and no shell reads them. Text is read by ``/bin/sh``, with pipes and all, and
    has places for values: ``{name}`` stands for one argument, whatever the value holds, or for several if it is a list.
    A value that begins with ``-`` is refused there unless ``--`` stands before it. In a map, ``cs.unmapped([…])`` keeps
    a list together. The program runs beside the run itself, also where an executor takes other tasks elsewhere. What it
    leaves in the background ends with it.

    Args:
        command: the list, or the text with places. values: what stands in them: text, paths, numbers, lists of these.
        env: variables beside those of this process; None takes one away. Secrets are best passed this way.
        cwd: the folder in which it runs. stdin: what it reads; nothing by default. timeout: seconds it may take.
        check: whether another code than 0 is an error. binary: whether stdout is bytes, and not shown.
        show: whether its output goes to the log. max_bytes: kept of each stream: the beginning and the end.

    Raises:
        ShellError: it ended with another code than 0. ShellTimeoutError: it took too long.
        ShellCommandError: the command, or a value in it, cannot be meant; a place or a value too many is told at once.
        OSError: the program cannot be started.

    Example:
        >>> import cascade as cs
        >>> words = cs.shell("printf '%s\n' {words} | sort -r | head -n 1", words=["a b", "$(c)"], show=False)
        >>> cs.run(words["stdout"], log_level="ERROR")
        'a b\n'
    """
    import asyncio

    _check(stdin, timeout, max_bytes)
    argv, variables = _arguments(command, values)
    name = command if isinstance(command, str) else argv[0]
    process = await _start(argv, _environment(env, variables), cwd, has_stdin=stdin is not None)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    out = _Stream(None if binary or not show else sys.stdout, max_bytes)
    err = _Stream(sys.stderr if show else None, max_bytes)
    try:
        async with asyncio.timeout(timeout):
            work = (out.read(process.stdout), err.read(process.stderr), _feed(process, data), process.wait())
            await asyncio.gather(*work)
        await _end_rest(process, name)
    except TimeoutError:
        await _end(process)
        result = _result(-1 if process.returncode is None else process.returncode, out, err, binary=binary)
        raise ShellTimeoutError.for_time(name, timeout or 0.0, result) from None
    except BaseException:
        await _end(process)
        raise
    result = _result(process.returncode or 0, out, err, binary=binary)
    if result.left_out:
        logging.getLogger("cascade.shell").warning(
            "'%s' wrote more than max_bytes=%s: %s bytes in the middle were left out.",
            clip(name), f"{max_bytes:,}", f"{result.left_out:,}",
        )  # fmt: skip
    if check and not result.ok:
        raise ShellError.for_result(name, result)
    return result


# -- what is started --------------------------------------------------------------------------------------------------


def _check(stdin: object, timeout: object, max_bytes: object) -> None:
    if stdin is not None and not isinstance(stdin, (str, bytes)):
        raise ShellCommandError(f"stdin is text or bytes, not {type(stdin).__name__}.")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        raise ShellCommandError(f"timeout is a number of seconds above 0, not {short(timeout)}.")
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
        raise ShellCommandError(f"max_bytes is a whole number of at least 1, not {short(max_bytes)}.")


def _arguments(command: object, values: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the program with its arguments, and the variables that hold the values of a text."""
    if isinstance(command, str):
        if not command.strip():
            raise ShellCommandError("The command of cs.shell is empty.")
        text, variables = place_values(command, values)
        return [_SHELL, "-c", text], variables
    if isinstance(command, (bytes, Mapping)) or not isinstance(command, Sequence) or not command:
        raise ShellCommandError(
            f"The command of cs.shell is text, or a list of a program and its arguments, not {short(command)}."
        )
    if values:
        raise ShellCommandError.for_list_with(next(iter(values)))
    argv = [as_argument(each, f"Argument {number} of cs.shell") for number, each in enumerate(command)]
    if not argv[0]:
        raise ShellCommandError("The program of cs.shell is empty text.")
    return argv, {}


def _environment(env: object, variables: Mapping[str, str]) -> dict[str, str]:
    merged = dict(os.environ)
    if env is not None and not isinstance(env, Mapping):
        raise ShellCommandError(f"env is a mapping of names to values, not {type(env).__name__}.")
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ShellCommandError(f"env has a name that no variable can have: {short(name)}.")
        key = as_argument(name, "A name in env")
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = as_argument(value, f"The value of {clip(name)} in env")
    return {**merged, **variables}


def _folder(cwd: object) -> str:
    folder = as_argument(cwd, "cwd")
    if not os.path.isdir(folder):  # noqa: PTH112 - a Path would have to be made for it
        raise NotADirectoryError(f"cwd is {short(folder)}, which is no folder.")
    return folder


async def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | PathLike[str] | None, *, has_stdin: bool
) -> Process:
    from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec

    folder = None if cwd is None else _folder(cwd)
    own_group: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
    starting = create_subprocess_exec(
        *argv, stdin=PIPE if has_stdin else DEVNULL, stdout=PIPE, stderr=PIPE, env=env, cwd=folder, **own_group
    )
    try:
        return await _finish_start(starting)
    except FileNotFoundError:
        hint = "Is it installed, and in PATH?"
        if len(argv) == 1 and " " in argv[0]:
            hint = f"In a list, each argument is an item of its own: {clip(argv[0].split())}; text without [] is split."
        raise FileNotFoundError(f"There is no program '{clip(argv[0])}'. {hint}") from None
    except PermissionError:
        raise PermissionError(f"'{clip(argv[0])}' is no program that may be run.") from None
    except OSError as error:  # such as: the arguments are longer than the system allows
        raise OSError(error.errno, f"'{clip(argv[0])}' could not be started: {error.strerror}") from None


async def _finish_start(starting: Coroutine[Any, Any, Process]) -> Process:
    """Return the program that is being started; when cancelled meanwhile, end it with all that it has started itself.

    A start takes a moment, in which the program runs already. Cancelled there, asyncio would end the program alone.
    """
    import asyncio

    started = asyncio.gather(starting)
    cancelled: asyncio.CancelledError | None = None
    while not started.done():
        try:
            await asyncio.shield(started)
        except asyncio.CancelledError as error:
            cancelled = error
        except OSError:
            break
    if cancelled is None:
        return started.result()[0]
    if started.exception() is None:
        await _end(started.result()[0])
    raise cancelled


async def _end_rest(process: Process, name: str) -> None:
    """End what a program that has ended left behind in its group; what made itself a group of its own stays."""
    import asyncio

    if os.name != "posix" or not _send(process, 0):
        return
    await asyncio.sleep(_LOOK)  # one that is dead has not always been seen by init yet
    if _send(process, 0):
        logging.getLogger("cascade.shell").warning(
            "'%s' left programs in the background, which were ended with it. Begin those that are to stay with setsid.",
            clip(name),
        )
        await _end(process)


async def _end(process: Process) -> None:
    """End the program and all that it started: ask first, then insist. Another cancel meanwhile makes it insist."""
    import asyncio
    from signal import SIGTERM

    try:
        _send(process, SIGTERM)
        async with asyncio.timeout(_GRACE):
            await process.wait()
        async with asyncio.timeout(_REST):  # for its children; those that are dead but unseen by others count, too
            while os.name == "posix" and _send(process, 0):  # noqa: ASYNC110 - nobody tells when a group has ended
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        pass
    finally:
        _kill(process)
        await process.wait()


def _send(process: Process, signal: int) -> bool:
    """Send a signal to all of the program's group; say whether there was somebody."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal)  # its group lives on as long as one of its members does
        else:
            process.send_signal(signal)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _kill(process: Process) -> None:
    if os.name == "posix":
        from signal import SIGKILL

        _send(process, SIGKILL)
    elif process.returncode is None:
        process.kill()


async def _feed(process: Process, data: bytes | None) -> None:
    """Write what the program reads; one that does not read all of it is no error."""
    if process.stdin is None:
        return
    try:
        process.stdin.write(data or b"")
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        process.stdin.close()


# -- what it says -----------------------------------------------------------------------------------------------------


class _Stream:
    """What comes of one stream: shown as it comes, kept within bounds.

    Args:
        shown: where it is written to, in the context of the attempt; None: nowhere. most: bytes that are kept.
    """

    def __init__(self, shown: Any, most: int) -> None:
        self.left_out = 0
        self._shown = shown
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._first = bytearray()
        self._last = bytearray()
        self._most_first = most - most // 2
        self._most_last = most // 2

    async def read(self, stream: StreamReader | None) -> None:
        """Read up to the end."""
        while stream is not None and (block := await stream.read(_BLOCK)):
            self._keep(block)
            self._show(self._decode(block))
        self._show(self._decode(b"", final=True))

    def _keep(self, block: bytes) -> None:
        room = self._most_first - len(self._first)
        self._first += block[:room]
        self._last += block[room:] if room > 0 else block
        surplus = len(self._last) - self._most_last
        if surplus > self._most_last + _BLOCK:  # not at each block: what is behind would be moved each time
            del self._last[:surplus]
            self.left_out += surplus

    def _show(self, text: str) -> None:
        if text and self._shown is not None:
            self._shown.write(text)

    def content(self) -> bytes:
        """Return what is kept; a line says what is not."""
        surplus = len(self._last) - self._most_last
        if surplus > 0:
            del self._last[:surplus]
            self.left_out += surplus
        mark = f"\n… {self.left_out:,} bytes were left out …\n".encode() if self.left_out else b""
        return bytes(self._first) + mark + bytes(self._last)


def _result(code: int, out: _Stream, err: _Stream, *, binary: bool) -> ShellResult:
    said, complained = out.content(), err.content().decode("utf-8", "replace")
    stdout = said if binary else said.decode("utf-8", "replace")
    return ShellResult(code, stdout, complained, out.left_out + err.left_out)


# -- the name after ``cs.`` -------------------------------------------------------------------------------------------


class Shell(Generic[P, R]):
    """The task that runs a program; its calls tell at their own line when a text and its values do not fit.

    Args:
        task: with the command as its first parameter.
    """

    task: Any

    def __init__(self, task: Callable[P, cs.LazyResult[R]]) -> None:
        self.task = task
        self.name: str = self.task.name
        self.signature = self.task.signature
        update_wrapper(self, self.task.func)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> cs.LazyResult[R]:
        """Record a call; see the task.

        Raises:
            ShellCommandError: when a place of the text has no value, a value no place, or cannot stand in it.
        """
        if args:
            check_places(args[0], kwargs)
        made: cs.LazyResult[R] = self.task(*args, **kwargs)
        return made

    def map(self, /, *args: Any, **kwargs: Any) -> Any:
        """Record one call for each item, as one node; takes what `map` of a task takes."""
        if args and isinstance(args[0], str):
            check_places(args[0], [name for name in kwargs if name not in ("max_concurrency", "on_error")])
        return self.task.map(*args, **kwargs)

    def with_constraints(self, **amounts: object) -> Shell[P, R]:
        """Return the same, whose every call takes these amounts of the run's capacities."""
        return Shell(self.task.with_constraints(**amounts))

    def __repr__(self) -> str:
        """Show the name."""
        return repr(self.task)


shell: Final = Shell(run_program)
