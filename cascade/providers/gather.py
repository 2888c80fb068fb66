"""``cs.dict``: several values → one dict, when they have been worked out.

In: names and values. Out: a dict in their order. Invariant: nothing is copied or changed but the dict itself.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import Any

import cascade as cs
from cascade.providers.errors import ProviderError, short

__all__ = ["dict"]


@cs.task(name="dict", pure=True, mode="inline")
def dict(items: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /, **values: Any) -> builtins.dict[Any, Any]:  # noqa: A001 - its name after cs. is that of what it makes
    """Gather values under names, as Python's ``dict(…)`` does.

    Args:
        items: a mapping, or pairs of a key and a value. values: more of them; they win.

    Raises:
        ProviderError: when `items` is neither.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.dict([("a b", 1)], total=cs.format("{:.1f}", 2.25)), log_level="ERROR")
        {'a b': 1, 'total': '2.2'}
    """
    try:
        return {**builtins.dict(items), **values}
    except (TypeError, ValueError) as error:
        raise ProviderError(
            f"cs.dict takes a mapping, or pairs of a key and a value, not {short(items)} ({error})."
        ) from None
