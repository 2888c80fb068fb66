"""Functions that have a fault in some of their calls: what stands in for a task's function.

In: a function, and whoever decides which calls are struck. Out: a callable that looks like the function. Invariant: a
call that is not struck is the function's own, argument for argument; for another process the decision is made here,
when the call is pickled, since a worker cannot count what its neighbours do.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, NoReturn, cast

from cascade.context import get_current_context
from cascade.testing.errors import InjectedError

if TYPE_CHECKING:
    from cascade.testing.faults import Fault, Faults

__all__ = ["FaultyCall", "FaultyCoroutine", "Released"]


class Released:
    """What hangs waits for this: it ends when the block of the injection does."""

    def __init__(self) -> None:
        """Hold everybody."""
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._futures: list[Any] = []

    def wait(self, seconds: float | None) -> bool:
        """Wait on this thread; say whether it has been released."""
        return self._event.wait(seconds)

    async def wait_async(self) -> None:
        """Wait on an event loop."""
        import asyncio

        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._event.is_set():
                return
            self._futures.append(future)
        await future

    def release(self) -> None:
        """Let everybody go, now and later."""
        with self._lock:
            self._event.set()
            futures, self._futures = self._futures, []
        for future in futures:
            loop = future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_end, future)


def _end(future: Any) -> None:
    if not future.done():
        future.set_result(None)


class _Faulty:
    """A function with faults.

    Attributes:
        function: the real one. name: the task's. faults: decides and records.
    """

    def __init__(self, function: Callable[..., Any], name: str, faults: Faults) -> None:
        """Look like `function`."""
        update_wrapper(cast("Any", self), function, updated=())
        self.function = function
        self.name = name
        self.faults = faults

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as one call, struck or not."""
        fault, number = self.faults.strike(self.name, self)
        return _Decided, (self.function, self.name, fault, number, os.getpid())

    def __repr__(self) -> str:
        """Show whose faults they are."""
        return f"<{self.name} with faults>"


class FaultyCall(_Faulty):
    """A plain function with faults."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, unless this call is struck."""
        fault, number = self.faults.strike(self.name, self, (args, kwargs))
        if fault is not None:
            if fault.kind == "slow":
                _delay(fault.seconds, self.faults.released)
            elif fault.kind == "hang":
                with _sleep_of_clock():
                    self.faults.released.wait(None)
                raise InjectedError.for_end_of_hang(self.name)
            else:
                _raise(fault, self.name, number)
        return self.function(*args, **kwargs)


class FaultyCoroutine(_Faulty):
    """An ``async`` function with faults."""

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, unless this call is struck."""
        fault, number = self.faults.strike(self.name, self, (args, kwargs))
        if fault is not None:
            if fault.kind == "slow":
                await _delay_async(fault.seconds)
            elif fault.kind == "hang":
                with _sleep_of_clock():
                    await self.faults.released.wait_async()
                raise InjectedError.for_end_of_hang(self.name)
            elif fault.kind == "cancel":
                await _cancel_this()
            else:
                _raise(fault, self.name, number)
        return await self.function(*args, **kwargs)


class _Decided:
    """One call in another process: its fault has been chosen where it was sent from."""

    def __init__(self, function: Callable[..., Any], name: str, fault: Fault | None, number: int, sender: int) -> None:
        self.function = function
        self.name = name
        self.fault = fault
        self.number = number
        self.sender = sender

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        fault = self.fault
        if fault is not None:
            if fault.kind == "slow":
                time.sleep(fault.seconds)
            elif fault.kind == "hang":
                threading.Event().wait()
            elif fault.kind == "exit" and os.getpid() != self.sender:
                os._exit(fault.code)
            else:
                _raise(fault, self.name, self.number)
        return self.function(*args, **kwargs)


# -- what a fault does ------------------------------------------------------------------------------------------------


def _raise(fault: Fault, name: str, number: int) -> NoReturn:
    if fault.kind == "exit":
        raise SystemExit(fault.code)
    if fault.kind == "cancel":
        from concurrent.futures import CancelledError

        raise CancelledError
    injected = InjectedError.into(name, number)
    if fault.error is None:
        raise injected
    if isinstance(fault.error, type):
        raise fault.error(str(injected))
    raise fault.error.with_traceback(None)


async def _cancel_this() -> None:
    """Cancel the asyncio task that runs the call, as its loop would."""
    import asyncio

    task = asyncio.current_task()
    if task is not None:
        task.cancel()
    await asyncio.sleep(0)


def _sleep_of_clock() -> AbstractContextManager[None]:
    """Tell a virtual clock, if there is one, that the block only waits."""
    asleep: Callable[[], AbstractContextManager[None]]
    asleep = getattr(get_current_context().clock, "asleep", nullcontext)
    return asleep()


def _delay(seconds: float, released: Released) -> None:
    sleep = getattr(get_current_context().clock, "sleep", released.wait)
    sleep(seconds)


async def _delay_async(seconds: float) -> None:
    import asyncio

    await getattr(get_current_context().clock, "sleep_async", asyncio.sleep)(seconds)
