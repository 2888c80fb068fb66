"""``cs.format``: values → a line of text, by the rules of `str.format`.

In: a format and values. Out: text. Invariant: a format can show values and pad, round or date them; it cannot reach
into them, so that ``{0.__class__}`` is an error and not a way to what the values know.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cascade as cs
from cascade.providers.errors import ProviderError, clip, nearest

__all__ = ["FormatError", "format"]

_WIDEST: Final = 10_000  # characters to which a value may be padded, digits that a number may get
_CONVERSIONS: Final = ("r", "s", "a", None)


class FormatError(ProviderError, ValueError):
    """A format cannot be used, or does not fit its values."""


@cs.task(name="format", pure=True, mode="inline")
def format(template: str, /, *values: Any, **named: Any) -> str:  # noqa: A001 - its name after cs. is that of the method it stands for
    """Put values into a line of text, as ``template.format(…)`` does when they have been worked out.

    Fields are ``{}``, ``{0}`` and ``{name}``, with ``:`` and a format (``{rate:.1%}``) or ``!r``. Those that reach into
    a value (``{row.name}``, ``{row[0]}``) are refused: take the part with ``lazy[key]`` or `cs.lookup`.

    Args:
        template: the text with fields. values, named: what stands in them.

    Raises:
        FormatError: when a field has no value, reaches into one, or has a format that its value does not know.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.format("{name}: {share:.0%}", name="Adelie", share=0.4418), log_level="ERROR")
        'Adelie: 44%'
    """
    if not isinstance(template, str):
        raise FormatError(f"The template of cs.format is text, not {type(template).__name__}.")
    try:
        return _Formatter().vformat(template, values, named)
    except FormatError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise FormatError(f"The format {clip(repr(template))} cannot be used: {error}.") from None


class _Formatter(string.Formatter):
    """Fills fields in, each with a whole value."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        """Return the value of a field; what follows a name is refused."""
        if not (field_name.isdecimal() or field_name.isidentifier()):
            raise FormatError(
                f"The field {clip('{' + field_name + '}')} reaches into a value, which cs.format does not do. "
                "Give it the part itself: lazy[key], or cs.lookup."
            )
        key: int | str = (
            int(field_name) if field_name.isdecimal() and len(field_name) < len(str(_WIDEST)) else field_name
        )
        return self.get_value(key, args, kwargs), field_name

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return a value by place or name."""
        if isinstance(key, int) and key < len(args):
            return args[key]
        if isinstance(key, str) and key in kwargs:
            return kwargs[key]
        known = kwargs if isinstance(key, str) else [str(place) for place in range(len(args))]
        name = clip(key) if isinstance(key, str) else "…"
        hint = (
            nearest(key, known) or f" It was given none: cs.format(template, {name if name == '…' else f'{name}=…'})."
        )
        raise FormatError(
            f"The format asks for {clip('{' + str(key) + '}')}, which has no value.{hint} Double braces that are meant."
        )

    def format_field(self, value: Any, format_spec: str) -> str:
        """Format one value; a width that would fill the memory is refused."""
        numbers = "".join(c if c.isdecimal() else " " for c in format_spec).split()
        if isinstance(value, (int, float, str)) and any(
            len(each) > len(str(_WIDEST)) or int(each) > _WIDEST for each in numbers
        ):
            raise FormatError(f"The format {clip(repr(format_spec))} asks for more than {_WIDEST:,} characters.")
        return str(super().format_field(value, format_spec))
