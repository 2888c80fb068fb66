"""Values as the bytes that a state backend keeps.

In: a value. Out: its bytes, or why there are none. Invariant: what one backend takes, every backend takes.
"""

from __future__ import annotations

import pickle

__all__ = ["pickle_value"]

_PLAIN = frozenset({bool, bytes, float, int, str, type(None)})  # what pickle alone writes, ten times as fast


def pickle_value(value: object) -> tuple[bytes | None, str | None]:
    """Return a value as bytes, or None and why it cannot be.

    Example:
        >>> pickle_value(lock := __import__("threading").Lock())
        (None, "TypeError: cannot pickle '_thread.lock' object")
    """
    try:
        if type(value) in _PLAIN:
            return pickle.dumps(value, protocol=5), None
        import cloudpickle

        return cloudpickle.dumps(value, protocol=5), None
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything when it is pickled
        return None, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
