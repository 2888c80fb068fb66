"""Faults of a store, told to whoever wants to know, and what follows from them.

In: faults. Out: calls of ``on_report``. Invariant: a callback that fails harms nobody; a fault that will meet every
value (no space, no rights) is told once, and then nothing is written until a run begins anew.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from cascade.interfaces.records import ReportKind

__all__ = ["Heard", "Reports", "Told", "is_lasting"]

Told = Callable[[ReportKind, str, str], object]
Heard = Callable[[ReportKind, str, str, str], object]  # with the task, where it is known
_LASTING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


def is_lasting(error: OSError) -> bool:
    """Say whether the next value would meet the same fault."""
    return error.errno in _LASTING


class Reports:
    """Tells faults; remembers what was told once and whether writing is off.

    Args:
        told: called with (kind, key, problem).
    """

    __slots__ = ("_heard", "_lock", "_once", "_told", "off")

    def __init__(self, told: Told | None) -> None:
        """Begin with writing on."""
        self._told = told
        self._heard: list[Heard] = []
        self._once: set[str] = set()
        self._lock = threading.Lock()
        self.off: str | None = None

    @property
    def can_write(self) -> bool:
        """Whether writing is on."""
        return self.off is None

    def listen(self, told: Heard) -> Callable[[], None]:
        """Have `told` hear each fault, until the returned function is called: a run wants to know its own."""
        self._heard.append(told)

        def stop() -> None:
            with suppress(ValueError):
                self._heard.remove(told)

        return stop

    def tell(self, kind: ReportKind, key: str, problem: str, task: str = "") -> None:
        """Tell one fault."""
        if self._told is not None:
            with suppress(Exception):
                self._told(kind, key, problem)
        for each in [*self._heard]:
            with suppress(Exception):
                each(kind, key, problem, task)

    def tell_once(self, kind: ReportKind, problem: str) -> None:
        """Tell a fault of the store as a whole, the first time only."""
        with self._lock:
            is_new = kind not in self._once
            self._once.add(kind)
        if is_new:
            if kind == "key":
                self.off = problem
            self.tell(kind, "", problem)

    def switch_off(self, problem: str) -> None:
        """Write nothing from now on, and say why, once."""
        with self._lock:
            is_new, self.off = self.off is None, self.off or problem
        if is_new:
            self.tell("off", "", problem)

    def switch_on(self) -> None:
        """Try again, unless there is no key to trust."""
        with self._lock:
            if "key" not in self._once:
                self.off = None
