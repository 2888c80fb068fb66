"""Nested event loops for the user's own code, on request.

In: nothing. Out: `asyncio.run` that works in a cell. Invariant: cascade never needs this and never does it by itself;
its own loop lives on a thread of its own.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["allow_nested_loops"]


def allow_nested_loops() -> str:
    """Apply nest_asyncio2, or nest_asyncio where that is what the kernel brings; return what was done."""
    for name in ("nest_asyncio2", "nest_asyncio"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        module.apply()
        return f"asyncio.run(...) works in cells now, by {name}. cascade itself needs no nesting."
    return "Neither nest_asyncio2 nor nest_asyncio is installed: pip install nest-asyncio2."
