"""``cs.wait``: let time pass, without holding a thread.

In: seconds. Out: the value that it was given. Invariant: it can be cancelled at any moment, and goes by the clock
of the workflow context, so that a test with a virtual clock does not wait.
"""

from __future__ import annotations

import math
from typing import Any

import cascade as cs
from cascade.providers.errors import ProviderError, short

__all__ = ["wait"]


@cs.task(name="wait")
async def wait(seconds: float, value: Any = None, /) -> Any:
    """Wait, and pass a value on.

    To let other calls wait for it, hand their input through it, or order them: ``other.after(cs.wait(5))``.

    Args:
        seconds: how long, from 0 on. value: what it gives when they are over.

    Raises:
        ProviderError: when that is no number of seconds.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.wait(0.01, "later"), log_level="ERROR")
        'later'
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ProviderError(f"cs.wait takes a number of seconds of at least 0, not {short(seconds)}.")
    sleep = getattr(cs.get_current_context().clock, "sleep_async", None)
    await (sleep or _sleep)(seconds)
    return value


async def _sleep(seconds: float) -> None:
    from asyncio import sleep

    await sleep(seconds)
