"""``cs.template``: values → text, by a Jinja template.

In: a template and values. Out: text. Invariant: a template sees the values that it is given and nothing behind them (it
runs in Jinja's sandbox, without files and without chance); a name that has no value is an error, never an empty text.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import cascade as cs
from cascade.providers.errors import ProviderError, clip, nearest
from cascade.providers.registry import require

__all__ = ["TemplateError", "template"]

_UNDEFINED: Final = re.compile(r"^'(\w+)' is undefined$")
_BY_CHANCE: Final = ("random", "shuffle")  # equal values would give other texts
_LONGEST: Final = 100_000_000  # characters that one repetition may make


class TemplateError(ProviderError, ValueError):
    """A template cannot be read, or does not fit its values.

    Attributes:
        line: of the template, from 1; None where it is not known.
    """

    line: int | None = None

    @classmethod
    def at(cls, line: int | None, problem: str) -> TemplateError:
        """Something is wrong in a line."""
        where = f"line {line} of the template" if line else "the template"
        error = cls(f"In {where}: {problem}")
        error.line = line
        return error


@cs.task(name="template", pure=True)
def template(source: str, /, *, autoescape: bool = False, **values: Any) -> str:
    r"""Fill a Jinja template.

    Args:
        source: the text, with ``{{ name }}``, ``{% for … %}`` and all that Jinja knows, but for other files.
        autoescape: write values so that they are safe within HTML. values: what the template can name.

    Raises:
        TemplateError: with the line, for a name without a value, what cannot be read, and what the sandbox refuses.

    Example:
        >>> import cascade as cs
        >>> report = cs.template("{% for n in names %}{{ loop.index }}. {{ n }}\n{% endfor %}", names=["Ada", "Mary"])
        >>> cs.run(report, log_level="ERROR")
        '1. Ada\n2. Mary\n'
    """
    jinja2 = require("jinja2", provider="template", extra="text")
    if not isinstance(source, str):
        raise TemplateError(
            f"The template is text, not {type(source).__name__}. Have a file read: cs.template(cs.read.text(path), …)."
        )
    try:
        return str(_environment(autoescape=bool(autoescape)).from_string(source).render(values))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError.at(error.lineno, f"{(error.message or 'it cannot be read').rstrip('.')}.") from None
    except jinja2.UndefinedError as error:
        found = _UNDEFINED.match(str(error))
        hint = nearest(found[1], values) or f" Pass it: cs.template(source, {found[1]}=…)." if found else ""
        raise TemplateError.at(_line_of(error), f"{clip(error)}.{hint}") from None
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"The template asks for another one, {clip(error)}; it has to be one text.") from None
    except jinja2.sandbox.SecurityError as error:
        raise TemplateError.at(
            _line_of(error), f"{error}. A template may use its values, not what is behind them."
        ) from None
    except jinja2.TemplateError as error:
        raise TemplateError.at(_line_of(error), f"{clip(error)}.") from None
    except (RecursionError, OverflowError, MemoryError) as error:
        raise TemplateError(f"The template is too much to be worked out ({type(error).__name__}).") from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise TemplateError.at(_line_of(error), f"{clip(f'{type(error).__name__}: {error}')}.") from error


@cache
def _environment(*, autoescape: bool) -> Any:
    """Return what reads templates; it keeps those that it has read."""
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Bounded(ImmutableSandboxedEnvironment):
        """Refuses arithmetic that would fill the memory."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            """Work out one ``*`` or ``**``."""
            sized, times = (left, right) if hasattr(left, "__len__") else (right, left)
            if operator == "*" and hasattr(sized, "__len__") and isinstance(times, int):
                if len(sized) * times > _LONGEST:
                    raise SecurityError(f"{times:,} repetitions would be more than {_LONGEST:,} characters")
            elif operator == "**" and _is_too_large(left, right):
                raise SecurityError("the power is too large")
            return super().call_binop(context, operator, left, right)

    made = Bounded(undefined=StrictUndefined, autoescape=autoescape, keep_trailing_newline=True)
    for name in _BY_CHANCE:
        made.filters.pop(name, None)
    made.globals.pop("lipsum", None)
    return made


def _is_too_large(base: object, power: object) -> bool:
    return isinstance(base, int) and isinstance(power, int) and base.bit_length() * max(power, 0) > _LONGEST


def _line_of(error: BaseException) -> int | None:
    """Return the line of the template that was worked out last: Jinja puts its lines in the place of its code's."""
    line, at = None, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == "<template>":
            line = at.tb_lineno
        at = at.tb_next
    return line
