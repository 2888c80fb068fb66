"""Inputs of a run: Params given by the caller, Envs read from the environment.

In: a name, a type, a default. Out: frozen records, and one table of converted values or one report of everything that
is wrong. Invariant: the value of a secret is never in a text made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from cascade.context import get_current_context
from cascade.interfaces.exceptions import LazyUseError, ParamError
from cascade.interfaces.naming import clip, nearest, short
from cascade.spec.conversion import convert, describe_type
from cascade.spec.policy import UNSET
from cascade.spec.standin import StandIn

__all__ = ["Env", "Param", "describe_bounds", "resolve_inputs"]

MOST_CHOICES = 20  # that an error lists


class Input(StandIn):
    """What Params and Envs share: a name, a default, a type and perhaps a secret."""

    __slots__ = ("bounds", "choices", "default", "description", "name", "secret", "type")
    word = "Input"

    def __init__(
        self,
        name: str,
        default: object,
        kind: object,
        description: str,
        choices: Sequence[object] | None,
        *,
        secret: bool,
        bounds: Sequence[Any] | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ParamError([f"A {self.word} needs a name, not {name!r}."])
        self.name = name
        self.default = default
        self.description = description
        self.choices = tuple(choices) if choices is not None else None
        self.secret = secret
        self.type: Any = kind if kind is not None else _type_of(default)
        self.bounds = _checked_bounds(name, bounds) if bounds is not None else None

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is UNSET

    def read(self, given: object) -> Any:
        """Return `given` converted to the type and checked against the choices and bounds.

        Raises:
            ValueError: with one sentence that says what is wrong.
        """
        if given is None and self.default is None:
            return None
        value = convert(given, self.type, shown="the value given" if self.secret else None)
        if self.choices is not None and value not in self.choices:
            if self.secret:
                raise ValueError("the value given is not one of the choices")
            more = ", …" if len(self.choices) > MOST_CHOICES else ""
            raise ValueError(f"{short(value)} is not one of {', '.join(map(short, self.choices[:MOST_CHOICES]))}{more}")
        if self.bounds is not None:
            self._check_bounds(value)
        return value

    def _check_bounds(self, value: Any) -> None:
        low, high = self.bounds or (None, None)
        try:
            is_inside = (low is None or value >= low) and (high is None or value <= high)
        except TypeError:
            raise ValueError(f"a {type(value).__name__} cannot be compared with its bounds") from None
        if not is_inside:
            raise ValueError(f"{'the value given' if self.secret else repr(value)} is not {describe_bounds(low, high)}")

    def preview(self, value: object) -> str:
        """Return a short text of `value` that can be shown to anyone."""
        if self.secret:
            return "•••"
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:56]}…"  # noqa: PLR2004

    def __bool__(self) -> bool:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_truth(self.name)

    def __iter__(self) -> NoReturn:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_iteration(self.name)

    def __str__(self) -> str:
        """Refuse to stand in a text; ``repr`` works."""
        raise LazyUseError.for_text(self.name)

    def __format__(self, spec: str) -> str:
        """Refuse to stand in a text."""
        raise LazyUseError.for_text(self.name)

    def __repr__(self) -> str:
        """Show name and default, never a secret."""
        default = "" if self.required else f", default={self.preview(self.default)}"
        return f"{self.word}({self.name!r}{default})"


class Param(Input):
    """A value that the caller of a run gives by name.

    Args:
        name: unique in a graph.
        default: used when the run gives none; without it the Param is required.
        type: what the value is converted to; by default the type of `default`, else ``str``.
        description: one line for help texts.
        choices: allowed values.
        secret: never shown in events, logs, errors or views.
        bounds: the least and the greatest allowed value, either of them None for none.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def half(x): return x / 2
        >>> cs.run(half(cs.Param("n", type=int)), params={"n": "8"}, log_level="ERROR")
        4.0
    """

    __slots__ = ()
    word = "Param"

    def __init__(
        self,
        name: str,
        default: Any = UNSET,
        type: Any = None,  # noqa: A002 - the word of the field
        description: str = "",
        choices: Sequence[object] | None = None,
        secret: bool = False,  # noqa: FBT001, FBT002 - part of the public contract
        *,
        bounds: Sequence[Any] | None = None,
    ) -> None:
        """Register the Param in the workflow context."""
        super().__init__(name, default, type, description, choices, secret=secret, bounds=bounds)
        get_current_context().params[name] = self


class Env(Input):
    """A value read from the environment variable `name` when the run starts; always text unless `default` says more.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def greet(who): return f"hello {who}"
        >>> cs.run(greet(cs.Env("CASCADE_DOC_USER", default="Ada")), log_level="ERROR")
        'hello Ada'
    """

    __slots__ = ()
    word = "Env"

    def __init__(
        self,
        name: str,
        default: Any = UNSET,
        description: str = "",
        secret: bool = False,  # noqa: FBT001, FBT002 - part of the public contract
    ) -> None:
        """Register the Env in the workflow context."""
        super().__init__(name, default, None, description, None, secret=secret)
        get_current_context().envs[name] = self


def _checked_bounds(name: str, bounds: Sequence[Any]) -> tuple[Any, Any]:
    """Return the bounds as a pair, or raise what is wrong with them."""
    try:
        low, high = bounds
        in_order = low is None or high is None or bool(low <= high)
    except (TypeError, ValueError):
        raise ParamError(
            [f"The bounds of Param '{clip(name)}' are a pair such as (0, 10) or (0, None), not {bounds!r}."]
        ) from None
    if not in_order:
        raise ParamError([f"The bounds of Param '{clip(name)}' are the wrong way round: {low!r} is above {high!r}."])
    return low, high


def describe_bounds(low: object, high: object) -> str:
    """Return ``from 0 to 10``, or what there is of it.

    Example:
        >>> describe_bounds(0, 10), describe_bounds(0, None), describe_bounds(None, 1)
        ('from 0 to 10', 'at least 0', 'at most 1')
    """
    if low is None:
        return f"at most {high!r}"
    return f"at least {low!r}" if high is None else f"from {low!r} to {high!r}"


def _type_of(default: object) -> object:
    return str if default is UNSET or default is None else type(default)


def resolve_inputs(
    params: Iterable[Param], envs: Iterable[Env], given: Mapping[str, object] | None, environment: Mapping[str, str]
) -> dict[Input, object]:
    """Return the converted value of every input, or raise one `ParamError` with everything that is wrong.

    Args:
        params, envs: those that the graph uses. given: the run's ``params=``. environment: ``os.environ``.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ParamError([f"params is a {type(given).__name__}; it must map names to values, as in {{'alpha': 0.5}}."])
    given = given or {}
    names = {p.name for p in params}
    problems = [
        f"No Param is named '{clip(name)}'.{nearest(str(name), names) or ' This graph has no Params.'}"
        for name in given
        if name not in names
    ]
    values: dict[Input, object] = {}
    first: dict[tuple[str, str], Input] = {}
    for item in [*params, *envs]:
        earlier = first.setdefault((item.word, item.name), item)
        if earlier is not item and (difference := _difference(earlier, item)):
            problems.append(
                f"This graph has two {item.word}s named '{clip(item.name)}' that differ in {difference}. "
                "Use one of them everywhere; in a notebook, run the cells again that used the older one."
            )
        source = given if isinstance(item, Param) else environment
        try:
            if item.name in source:
                values[item] = item.read(source[item.name])
            elif item.required:
                problems.append(_missing(item))
            else:
                values[item] = item.read(item.default)
        except ValueError as error:
            problems.append(f"{item.word} '{clip(item.name)}': {error}.")
    if problems:
        raise ParamError(list(dict.fromkeys(problems)))
    return values


def _difference(one: Input, other: Input) -> str:
    """Name the first thing in which two inputs of one name differ, if any."""
    for attribute in ("type", "default", "choices", "bounds", "secret"):
        a, b = getattr(one, attribute), getattr(other, attribute)
        try:
            equal = a is b or (type(a) is type(b) and bool(a == b))
        except Exception:  # noqa: BLE001 - the equality of a user's class, or of an array, may raise anything
            equal = False
        if not equal:
            return f"their {attribute}"
    return ""


def _missing(item: Input) -> str:
    about, name = f" ({item.description})" if item.description else "", clip(item.name)
    if isinstance(item, Env):
        return f"Env '{name}'{about} is not set. Set the environment variable {name}."
    return (
        f"Param '{name}'{about} is missing. Pass params={{'{name}': …}} "
        f"({describe_type(item.type)}), or give it a default."
    )
