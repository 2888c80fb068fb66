"""Faults on purpose: tasks that fail, hang, are slow, exit or are cancelled, when the test says so.

In: tasks (or names, or what is to run) and faults. Out: the same tasks, struck in chosen calls, for the time of a
block. Invariant: with a probability, which call is struck depends on the seed and the call's arguments, not on which
thread came first; after the block every task has its very own function again.
"""

from __future__ import annotations

import gc
import random
import re
import reprlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from cascade.context import get_current_context
from cascade.spec.lazy_types import LazyResult
from cascade.spec.routing import Router
from cascade.spec.task import BoundTask, Task
from cascade.testing.errors import ToolError
from cascade.testing.fault_calls import FaultyCall, FaultyCoroutine, Released

__all__ = ["Fault", "Faults", "Strike", "inject_faults"]

Kind = Literal["fail", "hang", "slow", "exit", "cancel"]
Numbers = int | Iterable[int] | None
_REPLACED = ("func", "__qualname__")
_NOWHERE = "<with faults>"  # by its own name, another process would find the task as it was written
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")  # in reprs: another one in each process


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong, and in which calls of a task.

    Made by `fail`, `hang`, `slow`, `exit` and `cancel`, which all take

    - ``nth``: the number of a call, from 1, or several; every call by default,
    - ``probability``: strike a call with this probability, 0 to 1, drawn by the seed.

    Example:
        >>> Fault.fail(ValueError, nth=1)
        Fault.fail(ValueError, nth=1)
        >>> Fault.slow(30, probability=0.5)
        Fault.slow(30, probability=0.5)
    """

    kind: Kind
    numbers: tuple[int, ...] | None = None
    probability: float | None = None
    error: BaseException | type[BaseException] | None = None
    seconds: float = 0.0
    code: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.numbers is not None and (not self.numbers or min(self.numbers) < 1):
            raise ToolError.for_timing(f"nth={self.numbers} names no call; calls are counted from 1")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ToolError.for_timing(f"probability={self.probability} is not a number between 0 and 1")
        if not 0 <= self.seconds < float("inf"):
            raise ToolError.for_timing(f"{self.seconds} s is not a time that a call can take")

    @classmethod
    def fail(
        cls,
        error: BaseException | type[BaseException] | None = None,
        *,
        nth: Numbers = None,
        probability: float | None = None,
    ) -> Fault:
        """Raise `error`, by default an `InjectedError`, instead of running."""
        return cls("fail", _numbers(nth), probability, error=error)

    @classmethod
    def hang(cls, *, nth: Numbers = None, probability: float | None = None) -> Fault:
        """Never end (but with the block of the injection, so that no thread stays behind)."""
        return cls("hang", _numbers(nth), probability)

    @classmethod
    def slow(cls, seconds: float, *, nth: Numbers = None, probability: float | None = None) -> Fault:
        """Wait for `seconds`, on a virtual clock if there is one, and then run."""
        return cls("slow", _numbers(nth), probability, seconds=seconds)

    @classmethod
    def exit(cls, code: int = 1, *, nth: Numbers = None, probability: float | None = None) -> Fault:
        """End the process that runs the call; where that is this process, raise `SystemExit` as ``sys.exit`` does."""
        return cls("exit", _numbers(nth), probability, code=code)

    @classmethod
    def cancel(cls, *, nth: Numbers = None, probability: float | None = None) -> Fault:
        """Be cancelled, although the run was not."""
        return cls("cancel", _numbers(nth), probability)

    def strikes(self, number: int, draw: str) -> bool:
        """Say whether call `number` is struck; what is drawn depends on `draw` alone."""
        if self.numbers is not None and number not in self.numbers:
            return False
        return self.probability is None or random.Random(draw).random() < self.probability  # noqa: S311 - no secret

    def __repr__(self) -> str:
        """Show it as it is written."""
        parts = []
        if self.error is not None:
            parts.append(self.error.__name__ if isinstance(self.error, type) else repr(self.error))
        if self.kind == "slow":
            parts.append(f"{self.seconds:g}")
        if self.kind == "exit":
            parts.append(str(self.code))
        if self.numbers is not None:
            parts.append(f"nth={self.numbers[0] if len(self.numbers) == 1 else self.numbers}")
        if self.probability is not None:
            parts.append(f"probability={self.probability:g}")
        return f"Fault.{self.kind}({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class Strike:
    """A call that was struck: of which task, the number of the call, by which kind of fault."""

    task: str
    call: int
    kind: Kind


class Faults:
    """Decides which calls are struck, and remembers it.

    Args:
        faults: the first one that fits a call strikes it. seed: of the draws.

    Attributes:
        strikes: what was done, in order. released: what those that hang wait for.
    """

    def __init__(self, *faults: Fault, seed: int = 0) -> None:
        """Begin with every count at 0."""
        self.faults = faults
        self.seed = seed
        self.strikes: list[Strike] = []
        self.released = Released()
        self._is_active = True
        self._counts: dict[object, int] = {}
        self._repeats: dict[str, int] = {}  # of calls with the same arguments
        self._names: dict[str, int] = {}
        self._lock = threading.Lock()

    def calls(self, name: str) -> int:
        """Return how often the task called `name` was called, struck or not."""
        return self._names.get(name, 0)

    def of(self, name: str) -> list[Strike]:
        """Return what was done to the task called `name`."""
        return [strike for strike in list(self.strikes) if strike.task == name]

    def wrap(self, function: Callable[..., Any], name: str = "") -> FaultyCall | FaultyCoroutine:
        """Return a function that is struck as these faults say; outside of any block, until `end`.

        Example:
            >>> faults = Faults(Fault.fail(KeyError, nth=2))
            >>> double = faults.wrap(lambda x: 2 * x, "double")
            >>> double(4), faults.calls("double")
            (8, 1)
        """
        import inspect

        name = name or getattr(function, "__name__", type(function).__name__)
        bodies = (inspect.unwrap(function), getattr(type(function), "__call__", None))  # noqa: B004 - its kind is asked
        is_async = any(inspect.iscoroutinefunction(body) for body in bodies)
        return (FaultyCoroutine if is_async else FaultyCall)(function, name, self)

    def strike(self, name: str, key: object, arguments: object = None) -> tuple[Fault | None, int]:
        """Count a call of the task `name`; return the fault that strikes it, if any, and the call's number.

        Args:
            key: calls are counted for each. arguments: of the call, where they are known.
        """
        like = _ADDRESS.sub("", f"{name}{reprlib.repr(arguments)}")
        with self._lock:
            if not self._is_active:
                return None, 0
            number = self._counts[key] = self._counts.get(key, 0) + 1
            self._names[name] = self._names.get(name, 0) + 1
            repeat = self._repeats[like] = self._repeats.get(like, 0) + 1
            for place, fault in enumerate(self.faults):
                if fault.strikes(number, f"{self.seed}:{place}:{like}:{repeat}"):
                    self.strikes.append(Strike(name, number, fault.kind))
                    return fault, number
        return None, number

    def end(self) -> None:
        """Strike no more, and let go of what hangs."""
        with self._lock:
            self._is_active = False
        self.released.release()

    def __repr__(self) -> str:
        """Show the faults and how often they struck."""
        return f"<faults {', '.join(map(repr, self.faults))}: {len(self.strikes)} strikes>"


@contextmanager
def inject_faults(who: object, *faults: Fault, seed: int = 0, within: object = None) -> Iterator[Faults]:
    """Strike the calls of some tasks for the time of the ``with`` block.

    ``nth`` counts calls as they begin: where several calls of one task begin at the same time, it is not sure which of
    them is the n-th. A probability is drawn by the seed and the call's arguments (in another process: its number), so
    that the same calls are struck in every run.

    Args:
        who: a task, a name of tasks or a pattern (``load*``), what is to run (all its tasks), or a list of these.
        faults: made by `Fault.fail` and its like; the first one that fits a call strikes it.
        seed: of faults with a probability.
        within: names are those of the tasks of this target; by default, of all tasks that were defined.

    Raises:
        ToolError: when there is no such task, or a fault does not fit one.

    Example:
        >>> import cascade as cs
        >>> @cs.task(retry=3)
        ... def load(): return "data"
        >>> with inject_faults(load, Fault.fail(OSError, nth=(1, 2))) as made:
        ...     cs.run(load(), log_level=None), made.calls("load")
        ('data', 3)
    """
    made = Faults(*faults, seed=seed)
    tasks = _with_copies(_tasks_of(who, within))
    hangs = any(fault.kind == "hang" for fault in faults)
    for task in tasks:
        if hangs and task.mode == "inline":
            raise ToolError.for_inline_hang(task.name)
    before = [(task, {name: vars(task)[name] for name in _REPLACED if name in vars(task)}) for task in tasks]
    stands: dict[tuple[int, str], Any] = {}
    for task, own in before:  # copies of a task share its function, and its count
        key = (id(own["func"]), task.name)
        stand = stands[key] = stands.get(key) or made.wrap(own["func"], task.name)
        vars(task).update(func=stand, __qualname__=_NOWHERE)
    try:
        yield made
    finally:
        for task, own in before:
            vars(task).pop("__qualname__")
            vars(task).update(own)
        made.end()


def _tasks_of(who: object, within: object) -> list[Task[..., Any]]:
    if isinstance(who, str):
        return _named(who, within)
    if isinstance(who, BoundTask):
        return [who.task]
    if isinstance(who, Task):
        return [who]
    if isinstance(who, (LazyResult, Router)):
        return _inside(who)
    if isinstance(who, (list, tuple, set, frozenset)):
        return [task for each in who for task in _tasks_of(each, within)]
    raise ToolError.for_tasks(who)


def _named(pattern: str, within: object) -> list[Task[..., Any]]:
    known = list(get_current_context().tasks.values()) if within is None else _inside(within)
    found: list[Task[..., Any]] = [t for t in known if fnmatchcase(t.name, pattern) or t.key == pattern]
    if not found:
        raise ToolError.for_task(pattern, [task.name for task in known])
    return found


def _with_copies(tasks: list[Task[..., Any]]) -> list[Task[..., Any]]:
    """Return `tasks`, each once, and those that ``with_constraints`` has made of them.

    Nobody keeps a list of these; the garbage collector knows all that is alive.
    """
    wanted = {(id(task.func), task.name) for task in tasks}
    found = {id(task): task for task in tasks}
    for thing in gc.get_objects():
        if issubclass(type(thing), Task) and (id(vars(thing).get("func")), vars(thing).get("name")) in wanted:
            found[id(thing)] = thing
    return list(found.values())


def _inside(target: object) -> list[Task[..., Any]]:
    """Return the tasks of everything that `target` may need."""
    from cascade.graph.build import build

    return [call._task for call in build(target).calls if isinstance(call, LazyResult)]  # noqa: SLF001 - plain data


def _numbers(nth: Numbers) -> tuple[int, ...] | None:
    if nth is None:
        return None
    return (nth,) if isinstance(nth, int) else tuple(nth)
