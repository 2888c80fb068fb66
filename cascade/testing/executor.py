"""An executor for tests: it runs calls at once, or when it is told to, in the order that the test wants.

In: calls. Out: futures; a record of every call. Invariant: a call runs once, on the thread that lets it run, and
nothing that it raises gets past its future.
"""

from __future__ import annotations

import inspect
import random
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

from cascade.testing.errors import ToolError

__all__ = ["FakeExecutor", "Submission"]

Order = Literal["submitted", "reversed", "random"]
_ORDERS = ("submitted", "reversed", "random")


class Ending(Protocol):
    """What ends some time: a future, or the handle of a run."""

    def done(self) -> bool:
        """Whether it has ended."""

    def add_done_callback(self, call: Callable[..., object], /) -> object:
        """Have `call` called at the end."""


@dataclass(slots=True, eq=False)
class Submission:
    """One call that was submitted.

    Attributes:
        number: from 0, in order of submission. name: of the function; of the task's, when a run submitted it.
        function, args, kwargs: the call. state: ``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``.
    """

    number: int
    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any]
    state: str = "waiting"
    delay: int = field(default=0)


@dataclass(slots=True)
class _Failure:
    pattern: str
    error: BaseException
    times: int


class FakeExecutor(Executor):
    """Runs calls on the thread that submits them, or on the one that calls `step` or `run_all`.

    Args:
        held: calls wait until they are told to run.

    Attributes:
        submitted: every call so far, in order. ran: names of those that ran, in the order in which they did.

    Example:
        >>> executor = FakeExecutor(held=True)
        >>> futures = [executor.submit(pow, 2, n) for n in range(3)]
        >>> executor.run_all(order="reversed")
        3
        >>> [future.result() for future in futures]
        [1, 2, 4]
    """

    def __init__(self, *, held: bool = False) -> None:
        """Begin without calls."""
        self.held = held
        self.submitted: list[Submission] = []
        self.ran: list[str] = []
        self._waiting: deque[Submission] = deque()
        self._failures: list[_Failure] = []
        self._delays: list[tuple[str, int]] = []
        self._news = threading.Condition()
        self._is_shut = False

    # -- the protocol -----------------------------------------------------------------------------------------------

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take a call; run it now unless calls are held.

        Raises:
            RuntimeError: after `shutdown`.
        """
        with self._news:
            if self._is_shut:
                raise RuntimeError("This FakeExecutor has been shut down and takes no more calls. Make a new one.")
            name = _name_of(function, args)
            made = Submission(len(self.submitted), name, function, args, kwargs, Future())
            made.delay = next((calls for pattern, calls in self._delays if fnmatchcase(name, pattern)), 0)
            self.submitted.append(made)
            if self.held:
                self._waiting.append(made)
            self._news.notify_all()
        if not self.held:
            self._run(made)
        return made.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Take no more calls; those that wait are run, or cancelled."""
        with self._news:
            self._is_shut = True
            left = list(self._waiting) if cancel_futures else []
        for each in left:
            each.future.cancel()
        if wait or cancel_futures:
            self.run_all()

    # -- telling ----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> list[str]:
        """Names of the calls that wait, in order of submission."""
        with self._news:
            return [each.name for each in self._waiting]

    def fail(self, name: str, error: BaseException | None = None, *, times: int = 1) -> None:
        """Let the next `times` calls of `name` (or a pattern, ``load*``) raise `error` instead of running."""
        self._failures.append(_Failure(name, error or RuntimeError(f"The FakeExecutor failed '{name}'."), times))

    def delay(self, name: str, calls: int) -> None:
        """Let calls of `name` (or a pattern), submitted from now on, run only after `calls` others that wait or come.

        A call is no longer delayed when only delayed ones are left.

        Raises:
            ToolError: when calls are not held.
        """
        if not self.held:
            raise ToolError.for_delay_at_once()
        self._delays.append((name, calls))

    def wait_for(self, count: int = 1, timeout: float = 5.0) -> list[str]:
        """Wait until at least `count` calls wait; return their names.

        Args:
            timeout: seconds to wait at most.

        Raises:
            ToolError: when they have not come in time.
        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._waiting) >= count, timeout):
                raise ToolError.for_no_call(None, [each.name for each in self._waiting])
            return [each.name for each in self._waiting]

    def step(self, name: str | None = None) -> Submission:
        """Run the oldest call that waits, or the oldest of `name`; return it.

        Raises:
            ToolError: when there is none.
        """
        with self._news:
            chosen = self._oldest(name)
            if chosen is None:
                raise ToolError.for_no_call(name, [each.name for each in self._waiting])
            self._take(chosen)
        self._run(chosen)
        return chosen

    def run_all(
        self, order: Order = "submitted", *, seed: int = 0, until: Ending | None = None, timeout: float = 30.0
    ) -> int:
        """Run what waits, and what comes while it runs; return how many calls that were.

        Args:
            order: ``submitted``, ``reversed``, or ``random`` by `seed`: each time, one of those that wait is drawn.
            until: also wait for what comes later, until this future or run has ended.
            timeout: seconds to wait for it at most.

        Raises:
            TimeoutError: when `until` has not ended in time.
        """
        if order not in _ORDERS:
            raise ToolError.for_order(order, _ORDERS)
        draw = random.Random(seed)  # noqa: S311 - an order for a test, not a secret
        count = 0
        if until is not None:
            until.add_done_callback(self._wake)
        while (chosen := self._choose(order, draw, until, timeout)) is not None:
            self._run(chosen)
            count += 1
        return count

    # -- inside -----------------------------------------------------------------------------------------------------

    def _wake(self, *_: object) -> None:
        with self._news:
            self._news.notify_all()

    def _oldest(self, name: str | None) -> Submission | None:
        if name is not None:
            return next((each for each in self._waiting if fnmatchcase(each.name, name)), None)
        return next((each for each in self._waiting if each.delay <= 0), self._waiting[0] if self._waiting else None)

    def _choose(self, order: Order, draw: random.Random, until: Ending | None, timeout: float) -> Submission | None:
        with self._news:
            if until is not None and not self._news.wait_for(lambda: self._waiting or until.done(), timeout):
                raise TimeoutError(f"{until!r} has not ended within {timeout:g} s, and no call waits.")
            free = [each for each in self._waiting if each.delay <= 0] or list(self._waiting)
            if not free:
                return None
            chosen = free[0] if order == "submitted" else free[-1] if order == "reversed" else draw.choice(free)
            self._take(chosen)
            return chosen

    def _take(self, chosen: Submission) -> None:
        self._waiting.remove(chosen)
        for each in self._waiting:
            each.delay -= 1

    def _failure_of(self, name: str) -> BaseException | None:
        with self._news:
            for failure in self._failures:
                if failure.times > 0 and fnmatchcase(name, failure.pattern):
                    failure.times -= 1
                    return failure.error
        return None

    def _run(self, chosen: Submission) -> None:
        future = chosen.future
        if not future.set_running_or_notify_cancel():
            chosen.state = "cancelled"
            return
        chosen.state = "running"
        self.ran.append(chosen.name)
        failure = self._failure_of(chosen.name)
        try:
            value = None if failure is not None else chosen.function(*chosen.args, **chosen.kwargs)
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks the future
            failure = error
        chosen.state = "done" if failure is None else "failed"
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(value)


def _name_of(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return the name of what is called; a run submits a function of its own, whose first argument is the task's."""
    if args and callable(args[0]) and getattr(function, "__module__", "").startswith("cascade.runtime"):
        function = args[0]
        task = getattr(function, "task", None)
        if task is not None:
            return str(task.name)
    plain = inspect.unwrap(function) if inspect.isroutine(function) else function
    return str(getattr(plain, "__name__", None) or type(plain).__name__)
