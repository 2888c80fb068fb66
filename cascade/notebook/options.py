"""The line after `%%cascade` → options.

In: one line of text, not expanded by IPython. Out: `Options`. Invariant: quotes, `=`, spaces, braces, backslashes and
unicode in values come out as they went in; a wrong flag is a `UsageError` that names the right one.
"""

from __future__ import annotations

import argparse
import io
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Self

from IPython.core.error import UsageError

from cascade.interfaces.exceptions import nearest

__all__ = ["Options", "TargetToken", "parse_line", "read_options", "split_line", "take_settings", "usage_error"]

_OPENING, _CLOSING = "([{", ")]}"


class TargetToken(str):
    """A word of the line that remembers how it was written, quotes included."""

    __slots__ = ("raw",)
    raw: str

    def __new__(cls, text: str, raw: str) -> Self:
        """Take the word and its source."""
        made = super().__new__(cls, text)
        made.raw = raw
        return made


@dataclass(frozen=True, slots=True)
class Options:
    """What a `%%cascade` line asks for.

    Args:
        target: an expression, empty for the last one of the cell. params: texts by name. capacities: by name.
        output: a name to bind the value to. timeout: seconds. step: hold each start. fresh: look no result up.
        store: keep results at all. executor: where blocking and compute tasks run; a name, an address or a variable.
        connector: where others can watch and steer the run; an address or a variable.
    """

    target: str = ""
    params: dict[str, str] = field(default_factory=dict)
    capacities: dict[str, float] = field(default_factory=dict)
    output: str = ""
    plan: bool = False
    background: bool = False
    timeout: float | None = None
    keep_going: bool = False
    step: bool = False
    fresh: bool = False
    store: bool = True
    executor: str = ""
    connector: str = ""
    view: str = "auto"
    help: bool = False


def usage_error(text: str) -> NoReturn:
    """Raise what IPython shows as one line."""
    raise UsageError(text)


def split_line(line: str) -> list[TargetToken]:
    """Split like a shell, but keep backslashes (paths of Windows) and each word's source."""
    stream = io.StringIO(line)
    lexer = shlex.shlex(stream, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    words: list[TargetToken] = []
    start = 0
    while True:
        try:
            word = lexer.get_token()
        except ValueError:
            usage_error(f"A quote is not closed in: {line.strip()}")
        if word is None:
            return words
        end = stream.tell()
        words.append(TargetToken(word, line[start:end].strip()))
        start = end


def parse_line(parser: argparse.ArgumentParser, line: str) -> argparse.Namespace:
    """Parse a line; unknown flags are errors that name the nearest known one."""
    flags = {flag: action for action in parser._actions for flag in action.option_strings}  # noqa: SLF001 - no public list
    words = _join_brackets(split_line(line), {flag for flag, action in flags.items() if action.nargs != 0})
    for word in words:
        flag = word.split("=", 1)[0]
        if flag.startswith("--") and flag != "--" and flag not in flags and not _is_short_for(flag, flags):
            usage_error(f"There is no option {flag}.{nearest(flag, (f for f in flags if f.startswith('--')))}")
        if (
            flag.startswith("-")
            and not flag.startswith("--")
            and len(flag) > 1
            and flag[:2] not in flags
            and not _is_number(flag)
        ):
            usage_error(f"There is no option {flag}. The options are {', '.join(sorted(flags))}.")
    found, extra = parser.parse_known_args(list(words))
    if extra:
        usage_error(f"This does not belong here: {' '.join(extra)}. %%cascade -h explains the options.")
    return found


def _is_short_for(flag: str, flags: Iterable[str]) -> bool:
    return any(known.startswith(flag) for known in flags)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _join_brackets(words: Sequence[TargetToken], valued: set[str]) -> list[TargetToken]:
    """Join the words of an expression with spaces in brackets, as in ``join(a, b)``, but not the values of options."""
    joined: list[TargetToken] = []
    place = 0
    while place < len(words):
        word = words[place]
        is_value = bool(joined) and str(joined[-1]) in valued
        end = place + 1
        if not is_value and not word.startswith("-"):
            while end < len(words) and _open_brackets(" ".join(w.raw for w in words[place:end])):
                end += 1
            raw = " ".join(w.raw for w in words[place:end])
            if _open_brackets(raw):
                end, raw = place + 1, word.raw
            word = TargetToken(raw if end > place + 1 else str(word), raw)
        joined.append(word)
        place = end
    return joined


def _open_brackets(text: str) -> int:
    return sum((char in _OPENING) - (char in _CLOSING) for char in text)


def read_options(found: argparse.Namespace, views: Sequence[str]) -> Options:
    """Check the values of the options and return them as what they mean."""
    target = " ".join(getattr(word, "raw", str(word)) for word in found.target or ())
    if found.view not in views:
        usage_error(f"There is no view '{found.view}'.{nearest(found.view, views)}")
    if found.output and not str(found.output).isidentifier():
        usage_error(f"-o takes a Python name, not '{found.output}'.")
    return Options(
        target=target,
        params=dict(_pair(text, "-p") for text in found.param or ()),
        capacities={name: _amount(name, text) for name, text in (_pair(text, "-r") for text in found.resource or ())},
        output=str(found.output or ""),
        plan=bool(found.plan),
        background=bool(found.bg),
        timeout=None if found.timeout is None else _seconds(str(found.timeout)),
        keep_going=bool(found.keep_going),
        step=bool(found.step),
        fresh=bool(found.fresh),
        store=not found.no_store,
        executor=str(getattr(found, "executor", None) or ""),
        connector=str(getattr(found, "connector", None) or ""),
        view=str(found.view),
        help=bool(found.help),
    )


def take_settings(words: Sequence[str]) -> tuple[list[str], dict[str, str], dict[str, float]]:
    """Take ``-p NAME=VALUE`` and ``-r NAME=AMOUNT`` out of the words of a line command.

    Returns:
        The other words, the Params and the capacities.
    """
    rest: list[str] = []
    params: dict[str, str] = {}
    capacities: dict[str, float] = {}
    given = iter(words)
    for word in given:
        if word in {"-p", "--param"}:
            params.update([_pair(_unquote(next(given, "")), "-p")])
        elif word in {"-r", "--resource"}:
            name, text = _pair(_unquote(next(given, "")), "-r")
            capacities[name] = _amount(name, text)
        else:
            rest.append(word)
    return rest, params, capacities


def refuse_options(words: Sequence[str], known: Sequence[str], command: str) -> None:
    """Refuse an option that is left over before the rest is taken for an expression.

    Raises:
        UsageError: with the nearest of `known`.
    """
    for word in words:
        name = word.partition("=")[0]
        if re.fullmatch(r"--[A-Za-z][\w-]*", name):
            usage_error(f"There is no option {name} of %cascade {command}.{nearest(name, known)}")


def _unquote(word: str) -> str:
    return str(split_line(word)[0]) if word else ""


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        usage_error(f"{flag} takes NAME=VALUE, not '{text}'.")
    return name.strip(), value


def _amount(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        usage_error(f"-r takes NAME=AMOUNT with a number; '{text}' for '{name}' is none.")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        usage_error(f"--timeout takes a number of seconds above 0, not '{text}'.")
    return seconds
