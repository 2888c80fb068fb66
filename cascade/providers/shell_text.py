"""A command with places for values → what a shell reads, and the values beside it.

In: text such as ``wc -l {file} | sort``, and values. Out: the same text with variables of the environment in those
places, and what these hold. Invariant: no value becomes part of the text. The shell puts a variable in after it has
understood the text, and what comes of ``"${x}"`` is never read as commands, whatever is in it; so a mistake here could
make a command wrong, but not another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from os import PathLike, fsdecode
from typing import Final

from cascade.providers.errors import ProviderError, clip, nearest, short

__all__ = ["ShellCommandError", "as_argument", "check_places", "place_values"]

_FIELD: Final = re.compile(r"(?<!\$)\{\{(\w+)\}\}|(?<!\$)\{([^\W\d]\w*)\}")
_PREFIX: Final = "CASCADE_VALUE_"
_WORD_ENDS: Final = " \t\n;|&()<>"
_OPTIONS: Final = frozenset({"env", "cwd", "stdin", "timeout", "check", "binary", "show", "max_bytes"})
_COMMAND_ENDS: Final = "\n;|&()"
_KEYWORDS: Final = frozenset({"", "!", "{", "if", "then", "elif", "else", "while", "until", "do", "time"})
# Words of shells that run, or work out, what they are given.
_RUNS_TEXT: Final = frozenset(
    {".", "[[", "alias", "declare", "eval", "export", "let", "local", "readonly", "source", "trap", "typeset", "unset"}
)
_SHELLS: Final = frozenset({"sh", "ash", "bash", "dash", "fish", "ksh", "su", "zsh"})
# Where the shell would compute with a value, take it as it is, or read it another way than in plain text.
_CLOSED: Final = {
    "'": "single quotes, where the shell puts nothing in; write it outside of them: values need no quotes",
    "`": "backticks; write $(…) instead",
    "((": "arithmetic, where a shell may run what it finds; work the number out in a task",
    "${": "${…}; give the whole value by a name of its own",
    "#": "a comment",
    "<<": "a here-document; pass that text by stdin= instead",
}


class ShellCommandError(ProviderError, ValueError):
    """A command, or a value in it, cannot be meant."""

    @classmethod
    def for_argument(cls, where: str, value: object) -> ShellCommandError:
        """Something that is no argument of a program."""
        return cls(
            f"{where} is {short(value)}, of type {type(value).__name__}: an argument of a program is text, a path or a "
            "number."
        )

    @classmethod
    def for_nul(cls, where: str) -> ShellCommandError:
        """A NUL character."""
        return cls(f"{where} holds a NUL character, which no program can be given. Pass such data by stdin=.")

    @classmethod
    def for_option(cls, name: str, value: str) -> ShellCommandError:
        """A value that the program would take for an option."""
        return cls(
            f"The value of {{{clip(name)}}} begins with '-' ({short(value)}), so that the program could take it for "
            f"an option. Write -- {{{clip(name)}}} in the command, or a folder before a path, as in ./{{{clip(name)}}}."
        )

    @classmethod
    def for_place(cls, name: str, place: str) -> ShellCommandError:
        """A place for a value where none can stand."""
        return cls(f"{{{clip(name)}}} stands in {_CLOSED[place]}.")

    @classmethod
    def for_evaluation(cls, name: str, command: str) -> ShellCommandError:
        """A value for a word of the shell that runs what it is given."""
        return cls(
            f"{{{clip(name)}}} is given to '{command}', which could run what the value says. Pass it by env= instead, "
            "or have a task decide."
        )

    @classmethod
    def for_list(cls, name: str) -> ShellCommandError:
        """A list within a word."""
        return cls(
            f"The value of {{{clip(name)}}} is a list, which stands for several arguments: write it as a word alone."
        )

    @classmethod
    def for_list_with(cls, name: str) -> ShellCommandError:
        """A value beside a list of arguments."""
        hint = nearest(name, _OPTIONS)
        hint = hint if "mean" in hint else f" Put the value of {clip(name)} into the list itself."
        return cls(f"A list of arguments has no places, and cs.shell no option '{clip(name)}'.{hint}")

    @classmethod
    def for_missing(cls, name: str, known: Mapping[str, object]) -> ShellCommandError:
        """A place without a value."""
        if name in _OPTIONS:
            return cls(
                f"{{{clip(name)}}} cannot be the name of a place: {name}= is an option of cs.shell. Choose another."
            )
        return cls(
            f"The command has a place {{{clip(name)}}} but no value for it.{nearest(name, known)} Pass {clip(name)}=…, "
            f"or write {{{{{clip(name)}}}}} if the braces are meant."
        )

    @classmethod
    def for_unused(cls, name: str, known: list[str]) -> ShellCommandError:
        """A value without a place."""
        hint = nearest(name, [*known, *_OPTIONS])
        hint = hint if "mean" in hint else f" Write {{{clip(name)}}} in the command where it belongs."
        return cls(f"The command has no place {{{clip(name)}}} for the value of that name.{hint}")


def as_argument(value: object, where: str) -> str:
    """Return one argument of a program as text.

    Raises:
        ShellCommandError: when it is neither text, path nor number, or no program could be given it.
    """
    if isinstance(value, bool) or not isinstance(value, (str, bytes, int, float, PathLike)):
        raise ShellCommandError.for_argument(where, value)
    text = str(value) if isinstance(value, (int, float)) else fsdecode(value)
    if "\0" in text:
        raise ShellCommandError.for_nul(where)
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ShellCommandError(f"{where} holds half a character ({short(value)}), which cannot be written.") from None
    return text


def place_values(text: str, values: Mapping[str, object]) -> tuple[str, dict[str, str]]:
    """Return what the shell reads, and the variables that it needs.

    Args:
        text: the command, with ``{name}`` where a value stands. values: text, paths, numbers, or lists of these.

    Raises:
        ShellCommandError: when a place has no value, a value no place, or a value cannot stand where it should.

    Example:
        >>> place_values("wc -l {file} | sort", {"file": "my $(data).csv"})
        ('wc -l "${CASCADE_VALUE_0}" | sort', {'CASCADE_VALUE_0': 'my $(data).csv'})
    """
    if "\0" in text:
        raise ShellCommandError.for_nul("The command")
    scan = _Scan(text)
    variables: dict[str, str] = {}
    pieces: list[str] = []
    fields: list[str] = []
    at = 0
    for found in _FIELD.finditer(text):
        is_read = scan.go_to(found.start())
        pieces.append(text[at : found.start()])
        at = found.end()
        name = found[2]
        if name is None:
            pieces.append(f"{{{found[1]}}}")
        elif scan.place == "'" and name not in values:
            pieces.append(found[0])  # as in awk '{print}'
        else:
            if not is_read:
                raise ShellCommandError(f"A backslash stands before {{{clip(name)}}}; values need none.")
            fields.append(name)
            pieces.append(_place(name, values, scan, text[at : at + 1], variables))
        scan.skip_to(at, holds_text=name is None or values.get(name) not in ("", b"", [], ()))
    unused = next((name for name in values if name not in fields), None)
    if unused is not None:
        raise ShellCommandError.for_unused(unused, fields)
    return "".join([*pieces, text[at:]]), variables


def check_places(command: object, names: Iterable[str]) -> None:
    """Refuse a command whose places and values do not fit, before anything runs; what the values are is for the run.

    Args:
        command: as far as it is known. names: of the arguments of the call, options too.

    Raises:
        ShellCommandError: see `place_values`.

    Example:
        >>> check_places("wc -l {fil}", ["file", "timeout"])
        Traceback (most recent call last):
        cascade.providers.shell_text.ShellCommandError: The command has a place {fil} but no value for it. ...
    """
    values = {name: "x" for name in names if name not in _OPTIONS}
    if isinstance(command, str):
        place_values(command, values)
    elif isinstance(command, (list, tuple)) and values:
        raise ShellCommandError.for_list_with(next(iter(values)))


def _place(name: str, values: Mapping[str, object], scan: _Scan, after: str, variables: dict[str, str]) -> str:
    """Return what stands for one value in the text."""
    if name not in values:
        raise ShellCommandError.for_missing(name, values)
    if scan.place in _CLOSED:
        raise ShellCommandError.for_place(name, scan.place)
    if scan.command in _RUNS_TEXT or scan.is_script:
        raise ShellCommandError.for_evaluation(name, "-c" if scan.is_script else scan.command)
    value = values[name]
    several = list(value) if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, (list, tuple)) and not (scan.begins_word and (not after or after in _WORD_ENDS)):
        raise ShellCommandError.for_list(name)
    references = []
    for one in several:
        argument = as_argument(one, f"The value of {{{clip(name)}}}")
        is_number = isinstance(one, (int, float))
        if argument.startswith("-") and not is_number and scan.begins_word and not scan.has_ended_options:
            raise ShellCommandError.for_option(name, argument)
        variable = f"{_PREFIX}{len(variables)}"
        variables[variable] = argument
        references.append(f"${{{variable}}}" if scan.place == '"' else f'"${{{variable}}}"')
    return " ".join(references)


class _Scan:
    """Reads a command as far as to know what kind of place comes next.

    Attributes:
        place: what the shell is in: nothing, a quote, or one of those where no value can stand. begins_word: nothing
            of the word has come yet. has_ended_options: ``--`` stands before, in the same command.
        command: its first word.
        is_script: a shell will run the next word, since ``-c`` stands before it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.begins_word = True
        self.has_ended_options = False
        self.command = ""
        self.is_script = False
        self._stack: list[str] = []
        self._outer: list[tuple[bool, str, str]] = []
        self._word = ""
        self._shell = ""
        self._has_here = False

    @property
    def place(self) -> str:
        """The innermost place where no value can stand, however deep this one is in it; else the innermost of all."""
        closed = next((each for each in reversed(self._stack) if each in _CLOSED), "")
        return "<<" if self._has_here else closed or (self._stack[-1] if self._stack else "")

    def skip_to(self, end: int, *, holds_text: bool) -> None:
        """Pass over a place for a value, which is part of a word if there is something in it."""
        self.at = end
        if holds_text:
            self._extend("?")

    def go_to(self, end: int) -> bool:
        """Read on up to `end`; say whether what stands there is read at all: not after a backslash."""
        while self.at < end:
            self._read()
        return self.at == end

    def _read(self) -> None:
        text, at, place = self.text, self.at, self._stack[-1] if self._stack else ""
        char, two = text[at], text[at : at + 2]
        self.at += 1
        if place in ("'", "#"):
            self._close_at(char, "'" if place == "'" else "\n")
        elif char == "\\":
            self.at += 1
            self._extend(two)
        elif place == "`":
            self._close_at(char, "`")
        elif text.startswith("$((", at):
            self._open("((", 3)
        elif two in ("${", "$("):
            self._open("${" if two == "${" else "(", 2)
        elif place == '"' and char != "`":
            self._close_at(char, '"')
        elif place in ("((", "${"):
            self._read_inside(place, char, two)
        else:
            self._read_plain(place, char, two)

    def _read_inside(self, place: str, char: str, two: str) -> None:
        """Within arithmetic or ``${…}``, where nothing but their ends matters."""
        if char in "'\"`":
            self._open(char, 1)
        elif place == "((" and two == "))":
            self._stack.pop()
            self.at += 1
        elif place == "${" and char == "}":
            self._stack.pop()

    def _read_plain(self, place: str, char: str, two: str) -> None:
        """Where words and commands are read."""
        self._has_here = self._has_here or two == "<<"
        if char in "'\"`":
            self._open(char, 1)
        elif two == "((" and self.begins_word:
            self._open("((", 2)
        elif char == "(":
            self._open("(", 1)
        elif char == ")" and place == "(":
            self._stack.pop()
            self.has_ended_options, self.command, self._shell = self._outer.pop()
            self._word, self.begins_word = "", True
        elif char == "#" and self.begins_word:
            self._open("#", 1)
        elif char in _WORD_ENDS:
            self._end_word(char)
        else:
            self._extend(char)

    def _extend(self, text: str) -> None:
        self._word += text
        self.begins_word = False

    def _end_word(self, char: str) -> None:
        self.has_ended_options = self.has_ended_options or self._word == "--"
        if not self.command and self._word not in _KEYWORDS:
            self.command = self._word
        if self._word.rpartition("/")[2] in _SHELLS:
            self._shell = self._word
        if self._word:
            self.is_script = bool(self._shell) and self._word.startswith("-") and self._word.endswith("c")
        if char in _COMMAND_ENDS:
            self._begin_command()
        self._word, self.begins_word = "", True

    def _begin_command(self) -> None:
        self.has_ended_options, self.command, self._shell, self.is_script = False, "", "", False

    def _open(self, place: str, length: int) -> None:
        self.at += length - 1
        self._stack.append(place)
        if place == "(":
            self._outer.append((self.has_ended_options, self.command, self._shell))
            self._begin_command()
            self._word, self.begins_word = "", True
        elif place not in ("'", '"', "#"):
            self._extend("?")

    def _close_at(self, char: str, end: str) -> None:
        if char == end:
            self._stack.pop()
            if end == "\n":
                self._end_word(end)
        elif end in ("'", '"'):
            self._extend(char)
