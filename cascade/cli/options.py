"""Params and Envs of a graph → what a command's options are called, take and say.

In: a graph. Out: a `ParamOption` for each Param, rows of help for what comes from the environment. Invariant: no
spelling means two things; of a secret, only name and description are in the texts made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from cascade.messaging.renderer import one_line
from cascade.spec.conversion import describe_type
from cascade.spec.input import describe_bounds

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.spec.input import Env, Param

__all__ = ["RESERVED", "ParamOption", "describe_environment", "name_options", "slug"]

RESERVED: Final = (
    "--plan", "--graph", "--json", "--log-level", "--log-format", "--capacity", "--timeout", "--help",
)  # fmt: skip
_WIDEST: Final = 40  # characters of choices in a type word; longer lists stand in the help text
_LONGEST: Final = 60  # characters of a default
_WORDS: Final[dict[Any, str]] = {int: "INT", float: "FLOAT", str: "TEXT", dict: "JSON", Any: "VALUE", object: "VALUE"}
_LISTS: Final = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class ParamOption:
    """How one Param is given on the command line.

    Args:
        param: what is given. spelling: ``--learning-rate``. negative: ``--no-fast`` for truth values, else empty.
        word: what stands for the value in help, empty for truth values. choices: the values that there are, as typed.
        help: one line. joint: what stands between spelling and value.
    """

    param: Param
    spelling: str
    negative: str
    word: str
    choices: tuple[str, ...]
    help: str
    joint: str = " "

    @property
    def usage(self) -> str:
        """How to write it."""
        return f"{self.spelling} or {self.negative}" if self.negative else f"{self.spelling}{self.joint}{self.word}"


def name_options(graph: Graph) -> tuple[ParamOption, ...]:
    """Return an option for each Param that `graph` uses; of several Params with one name, the first.

    Example:
        >>> import cascade as cs
        >>> from cascade.graph.build import build
        >>> @cs.task
        ... def fit(rate, verbose): ...
        >>> graph = build(fit(cs.Param("learning_rate", 0.5), cs.Param("json", default=False)))
        >>> [(option.usage, option.help) for option in name_options(graph)]
        [('--learning-rate FLOAT', '[default: 0.5]'), ('--param-json or --no-param-json', '[default: no-param-json]')]
    """
    taken = set(RESERVED)
    unique: dict[str, Param] = {}
    for param in graph.params:
        unique.setdefault(param.name, param)
    return tuple([_name_option(param, taken) for param in unique.values()])


def _name_option(param: Param, taken: set[str]) -> ParamOption:
    is_flag = not param.secret and _is_truth(param.type)
    for stem in _stems(param.name):
        spellings = {f"--{stem}", f"--no-{stem}"} if is_flag else {f"--{stem}"}
        if not spellings & taken:
            break
    taken |= spellings
    choices = () if is_flag or param.secret else _choices(param)
    word = "" if is_flag else _word_for(param, choices)
    listed = f" One of {', '.join(choices)}." if choices and word == _WORD_FOR_MANY else ""
    if param.bounds is not None and not param.secret:
        span = one_line(describe_bounds(*param.bounds))
        listed += f" {span[0].upper()}{span[1:]}."
    description = one_line(param.description)
    if listed and description and description[-1].isalnum():
        description += "."
    said = _sentence(description, f"{listed}  {_default(param, stem, is_flag=is_flag)}")
    return ParamOption(param, f"--{stem}", f"--no-{stem}" if is_flag else "", word, choices, said)


def slug(name: str) -> str:
    """Return `name` as it may stand in an option: letters, digits, points and single dashes.

    Example:
        >>> slug("learning_rate"), slug(" Größe / cm "), slug("--")
        ('learning-rate', 'Größe-cm', '')
    """
    return re.sub(r"([^\w.]|_)+", "-", name).strip("-.")


def _stems(name: str) -> Iterable[str]:
    """Yield spellings without dashes in front, the best first; there is always another."""
    plain = slug(name)
    if plain:
        yield plain
    yield f"param-{plain}" if plain else "param"
    number = 2
    while True:
        yield f"param-{plain}-{number}" if plain else f"param-{number}"
        number += 1


# -- types ----------------------------------------------------------------------------------------------------------

_WORD_FOR_MANY: Final = "CHOICE"


def _parts(kind: Any) -> tuple[Any, ...]:
    """Return the parts of a union without None, or the type alone."""
    if get_origin(kind) in (Union, UnionType):
        return tuple([part for part in get_args(kind) if part is not NoneType])
    return (kind,)


def _is_truth(kind: Any) -> bool:
    return _parts(kind) == (bool,)


def _choices(param: Param) -> tuple[str, ...]:
    """Return the values that a Param may have, as a person types them; empty: any."""
    if param.choices is not None:
        return tuple([_as_typed(choice) for choice in param.choices])
    parts = _parts(param.type)
    if len(parts) != 1:
        return ()
    if get_origin(parts[0]) is Literal:
        return tuple([_as_typed(choice) for choice in get_args(parts[0])])
    if isinstance(parts[0], type) and issubclass(parts[0], Enum):
        return tuple(parts[0].__members__)
    return ()


def _as_typed(value: object) -> str:
    return one_line(value.name if isinstance(value, Enum) else str(value))


def _word_for(param: Param, choices: Sequence[str]) -> str:
    if choices:
        word = f"[{'|'.join(choices)}]"
        return word if len(word) <= _WIDEST else _WORD_FOR_MANY
    return _word(param.type)


def _word(kind: Any) -> str:
    """Return what stands for a value of `kind`: ``INT``, ``INT,…`` for lists, ``INT|none``."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in _WORDS or origin is dict:
        return _WORDS[origin or kind]
    if origin in (Union, UnionType):
        return "|".join("none" if part is NoneType else _word(part) for part in args)
    if origin is Literal:
        return "|".join(map(_as_typed, args))
    if (origin or kind) in _LISTS:
        if origin is tuple and args[-1:] != (Ellipsis,):
            return ",".join(map(_word, args))
        return f"{_word(args[0]) if args else 'ITEM'},…"
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return "PATH"
    return one_line(describe_type(kind).rsplit(".", 1)[-1]).upper()


def _default(param: Param, stem: str, *, is_flag: bool) -> str:
    """Return what happens when the option is left out, in brackets; empty for a default of None."""
    if param.required:
        return "[required]"
    default = param.default
    if default is None:
        return ""
    if is_flag and isinstance(default, bool):
        return f"[default: {stem if default else f'no-{stem}'}]"
    is_plain = isinstance(default, (str, PurePath, Enum)) and str(default)
    return f"[default: {one_line(_as_typed(default) if is_plain else param.preview(default), _LONGEST)}]"


# -- what comes from the environment -----------------------------------------------------------------------------------


def describe_environment(options: Iterable[ParamOption], envs: Iterable[Env]) -> list[tuple[str, str]]:
    """Return name and help of each environment variable that the command reads: secret Params, then Envs."""
    rows: dict[str, str] = {}
    for option in options:
        if option.param.secret:
            state = "required; where there is a terminal, it is asked for" if option.param.required else "has a default"
            rows.setdefault(option.param.name, _sentence(option.param.description, f"  [secret; {state}]"))
    for env in envs:
        state = "required" if env.required else f"default: {one_line(env.preview(env.default))}"
        if env.secret:
            state = "secret; required" if env.required else "secret; has a default"
        rows.setdefault(env.name, _sentence(env.description, f"  [{state}]"))
    return [(one_line(name), text) for name, text in rows.items()]


def _sentence(description: str, rest: str) -> str:
    return f"{one_line(description)}{rest.rstrip()}".strip()
