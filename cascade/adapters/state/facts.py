"""Facts about a run as text: one form for every backend.

In: a fact. Out: JSON text, and back. Invariant: what one backend takes, every backend takes, and gives back alike.
"""

from __future__ import annotations

import json

from cascade.adapters.state.errors import StateError

__all__ = ["read_fact", "write_fact"]


def write_fact(key: str, value: object) -> str:
    """Return the text of a fact.

    Raises:
        StateError: when it is not made of text, numbers, booleans, None, lists and dicts.
    """
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise StateError.for_metadata(key, str(error)) from None


def read_fact(text: str) -> object:
    """Return the fact that `write_fact` wrote.

    Example:
        >>> read_fact(write_fact("nodes", [1, None]))
        [1, None]
    """
    fact: object = json.loads(text)
    return fact
