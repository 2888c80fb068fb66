"""One computation per key, across processes: the first one computes, the others wait and take its result.

In: a store that gives claims, keys that a run wants to compute. Out: the right to compute, at once or later.
Invariant: who waits holds nothing under that node, so that no two runs wait for each other; a claim is given back when
its node has ended; from a process that is killed the operating system takes it, or the end of its lease.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Store, StoreClaim

__all__ = ["Flights"]

FIRST_PAUSE: Final = 0.002  # seconds between two tries, twice as long each time …
LONGEST_PAUSE: Final = 0.05  # … up to this
SHARE: Final = 2.0  # times as long as the tries themselves took: claims of a server far away cost it little


class Flights:
    """The keys that one run computes for everyone, and those that it waits for.

    Args:
        store: gives the claims. is_wanted: says whether a node still waits to be computed. failed: hears of faults.
    """

    __slots__ = ("_claims", "_closing", "_failed", "_is_wanted", "_is_watching", "_lock", "_store", "_waiting")

    def __init__(self, store: Store, is_wanted: Callable[[int], bool], failed: Callable[[BaseException], None]) -> None:
        """Hold nothing."""
        self._store = store
        self._is_wanted = is_wanted
        self._failed = failed
        self._claims: dict[int, StoreClaim] = {}
        self._waiting: dict[int, tuple[str, Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._is_watching = False
        self._closing = threading.Event()

    def holds(self, node: int) -> bool:
        """Whether `node` has its claim."""
        return node in self._claims

    def begin(self, node: int, key: str) -> bool:
        """Claim `key` for `node` if nobody else has it; say whether it is held now."""
        claim = self._store.claim(key, 0.0)
        if claim is None:
            return False
        with self._lock:
            if not self._closing.is_set():
                self._claims[node] = claim
                return True
        claim.release()
        return False

    def wait(self, node: int, key: str, go_on: Callable[[], None]) -> None:
        """Call `go_on`, on some thread, when `node` has the claim of `key`; never if nobody wants it any more."""
        with self._lock:
            self._waiting[node] = key, go_on
            if self._is_watching:
                return
            self._is_watching = True
        run_in_thread(self._watch)

    def land(self, node: int) -> None:
        """Give the claim of `node` back, if it has one."""
        if node in self._claims:
            with self._lock:
                claim = self._claims.pop(node, None)
            if claim is not None:
                claim.release()

    def sweep(self) -> None:
        """Give back the claims of nodes that have ended without a value."""
        for node in [node for node in self._claims if not self._is_wanted(node)]:
            self.land(node)

    def close(self) -> None:
        """Give back every claim and wait for none."""
        self._closing.set()
        for node in list(self._claims):
            self.land(node)

    def _watch(self) -> None:
        """Try the keys that others have, until none is waited for: one thread, however many there are."""
        pause = FIRST_PAUSE
        try:
            while waiting := self._list_waiting():
                asked_at = time.perf_counter()
                begun = [node for node, (key, _) in waiting if self._is_wanted(node) and self.begin(node, key)]
                with self._lock:
                    calls = [self._waiting.pop(node)[1] for node in begun]
                for call in calls:
                    call()
                pause = FIRST_PAUSE if begun else min(2 * pause, LONGEST_PAUSE)
                self._closing.wait(max(pause, SHARE * (time.perf_counter() - asked_at)))
        except BaseException as fault:  # noqa: BLE001 - a node that waits for ever would hang the run
            self._failed(fault)

    def _list_waiting(self) -> list[tuple[int, tuple[str, Callable[[], None]]]]:
        """Return the nodes that wait and are still wanted; the last one out ends the watch."""
        with self._lock:
            if self._closing.is_set():
                self._waiting.clear()
            for node in [node for node in self._waiting if not self._is_wanted(node)]:
                del self._waiting[node]
            self._is_watching = bool(self._waiting)
            return list(self._waiting.items())
