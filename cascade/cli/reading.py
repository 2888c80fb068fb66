"""What was typed → what a run takes, or one report of everything that is wrong.

In: texts by option, the environment. Out: `Orders`. Invariant: values are converted and checked by their Params, as
`cs.run` does it; the value of a secret is in no text made here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade.cli.output import say
from cascade.graph.check import check_capacities
from cascade.interfaces.exceptions import CapacityError, ParamError, SettingError, nearest
from cascade.messaging.bus import LEVELS
from cascade.messaging.renderer import one_line
from cascade.runtime.subscribers import FORMATS
from cascade.spec.input import resolve_inputs

if TYPE_CHECKING:
    from cascade.cli.options import ParamOption
    from cascade.spec.input import Env, Param

__all__ = ["Orders", "Typed", "ask_for_secrets", "read"]


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands on the command line.

    Args:
        params: text, or truth value, by Param name; only of options that were given. capacity: ``NAME=AMOUNT`` texts.
        timeout, log_level, log_format: texts. plan, graph, as_json: as asked; `graph` is a file name.
    """

    params: Mapping[str, str | bool]
    capacity: Sequence[str] | None = None
    timeout: str | None = None
    log_level: str = "INFO"
    log_format: str = "human"
    plan: bool = False
    graph: str | None = None
    as_json: bool = False

    @property
    def only_shows(self) -> bool:
        """Whether nothing shall run."""
        return self.plan or self.graph is not None


@dataclass(frozen=True, slots=True)
class Orders:
    """What the run takes.

    Args:
        params: by name; the values are as typed, since the run converts them, too. capacities: by name.
        timeout: seconds. log_level, log_format: known ones.
        unasked: options of required secrets that are still to be asked for.
    """

    params: Mapping[str, Any]
    capacities: Mapping[str, float]
    timeout: float | None
    log_level: str
    log_format: str
    unasked: tuple[ParamOption, ...] = ()


def read(
    typed: Typed,
    options: Iterable[ParamOption],
    envs: Iterable[Env],
    capacities: Mapping[str, float],
    environment: Mapping[str, str],
) -> Orders:
    """Return what was typed as orders; where nothing runs, what was left out is not asked for.

    Args:
        capacities: what ``--capacity`` adds to. environment: ``os.environ``.

    Raises:
        ParamError: with everything that is wrong.
    """
    problems: list[str] = []
    params: dict[str, str | bool] = {}
    unasked: list[ParamOption] = []
    for option in options:
        param = option.param
        source = environment if param.secret else typed.params
        if param.secret and param.name in typed.params:
            problems.append(_open_secret(option))
        elif param.name in source:
            params[param.name] = source[param.name]
            problems += _check(option, source[param.name])
        elif not param.required:
            problems += _check_default(option)
        elif not typed.only_shows:
            if param.secret and _has_terminal():
                unasked.append(option)
            else:
                problems.append(_missing(option))
    problems += [] if typed.only_shows else _check_environment(envs, environment)
    amounts = _read_capacities(typed.capacity or (), problems)
    timeout = _read_timeout(typed.timeout, problems)
    problems += _check_choice("--log-level", typed.log_level, typed.log_level.upper(), LEVELS)
    problems += _check_choice("--log-format", typed.log_format, typed.log_format, FORMATS)
    if problems:
        raise ParamError([one_line(problem) for problem in problems])
    merged = {**capacities, **amounts}
    return Orders(params, merged, timeout, typed.log_level.upper(), typed.log_format, tuple(unasked))


# -- Params ---------------------------------------------------------------------------------------------------------


def _check(option: ParamOption, given: str | bool) -> list[str]:  # noqa: FBT001 - a value, not a switch
    """Return what is wrong with a value, if anything."""
    try:
        option.param.read(given)
    except ValueError as error:
        if option.param.secret:
            return [f"The environment variable {option.param.name}: {error}."]
        if option.choices:
            return [str(SettingError.for_choice(option.spelling, given, option.choices))]
        return [f"{option.spelling}: {error}."]
    return []


def _check_default(option: ParamOption) -> list[str]:
    try:
        option.param.read(option.param.default)
    except ValueError as error:
        return [f"The default of {option.spelling}: {error}. Correct it in the program, or give another value."]
    return []


def _missing(option: ParamOption) -> str:
    param = option.param
    about = f" ({param.description})" if param.description else ""
    if param.secret:
        return (
            f"{param.name}{about} is missing. It is a secret: set the environment variable {param.name}, "
            "or start the command in a terminal, where it is asked for."
        )
    return f"{option.spelling}{about} is missing. Give {option.usage}."


def _open_secret(option: ParamOption) -> str:
    return (
        f"{option.spelling} is a secret, and other programs can read a command line. "
        f"Set the environment variable {option.param.name} instead, or leave it out to be asked for it."
    )


def _check_environment(envs: Iterable[Env], environment: Mapping[str, str]) -> Sequence[str]:
    try:
        resolve_inputs((), envs, None, environment)
    except ParamError as error:
        return error.problems
    return ()


# -- secrets --------------------------------------------------------------------------------------------------------


def _has_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False


def ask_for_secrets(options: Iterable[ParamOption]) -> dict[str, str]:
    """Ask for the values of secrets, without echo, beside stdout.

    Raises:
        ParamError: when an answer is empty or wrong.
        KeyboardInterrupt: when the person stops instead.
    """
    answers: dict[str, str] = {}
    for option in options:
        param = option.param
        answer = _ask(param)
        if not answer:
            raise ParamError([one_line(f"{param.name} was not entered. Enter it, or set the environment variable.")])
        try:
            param.read(answer)
        except ValueError as error:
            raise ParamError([one_line(f"{param.name}: {error}.")]) from None
        answers[param.name] = answer
    return answers


def _ask(param: Param) -> str:
    from getpass import getpass

    about = f" ({param.description})" if param.description else ""
    answer = None
    try:
        answer = getpass(one_line(f"{param.name}{about}: "))
    except EOFError:
        return ""
    finally:
        if answer is None:
            say("")  # the line of the question has no end yet
    return answer


# -- the run's own options --------------------------------------------------------------------------------------------


def _read_capacities(texts: Iterable[str], problems: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, equals, amount = text.partition("=")
        if not equals or not name.strip():
            problems.append(f"--capacity takes NAME=AMOUNT, as in --capacity gpu=1, not {text!r}.")
            continue
        try:
            found |= check_capacities({name.strip(): float(amount)})
        except CapacityError as error:
            problems.append(f"--capacity: {error}")
        except ValueError:
            problems.append(f"--capacity takes NAME=AMOUNT with a number; {amount!r} for '{name.strip()}' is none.")
    return found


def _read_timeout(text: str | None, problems: list[str]) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        problems.append(f"--timeout takes a number of seconds above 0, not {text!r}.")
    return seconds


def _check_choice(spelling: str, given: str, meant: str, known: Iterable[str]) -> list[str]:
    if meant in known:
        return []
    hint = nearest(meant, known)
    return [f"{spelling} cannot be {given!r}.{hint}"]
