"""The state of a run, kept where others can read it while the run goes on.

In: values, skips and facts, as they come. Out: calls of a `StateBackend`, on a thread of its own, in order. Invariant:
a backend that is slow or fails harms neither the run nor its result: what it raises is reported once, and it is asked
no more.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    from cascade.interfaces.protocols import StateBackend

__all__ = ["StateSide"]

PATIENCE = 10.0  # seconds that the end of a run waits for its state to be written


class StateSide:
    """Carries what one run knows to a backend.

    Args:
        backend: where to. run_id: of the run. closes: the backend is the run's own and is closed with it.
    """

    def __init__(self, backend: StateBackend, run_id: str, *, closes: bool) -> None:
        """Begin to write."""
        self._backend: StateBackend | None = backend
        self._closes = closes
        self._queue: deque[Callable[[StateBackend], object] | None] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._end = threading.Event()
        self._queue.append(lambda to: to.begin_run(run_id))
        run_in_thread(self._work)

    def put_result(self, node: str, value: Any) -> None:
        """Keep the value of `node`."""
        self._post(lambda to: to.put_result(node, value))

    def mark_skipped(self, node: str, reason: str) -> None:
        """Note that `node` will not run."""
        self._post(lambda to: to.mark_skipped(node, reason))

    def put_facts(self, **facts: object) -> None:
        """Keep facts about the run."""
        for key, value in facts.items():
            self._post(lambda to, key=key, value=value: to.put_metadata(key, value))  # type: ignore[misc]

    def finish(self) -> None:
        """Write what is left, and wait until it can be read from elsewhere."""
        self._post(lambda to: to.close() if self._closes else to.flush())
        self._post(None)
        self._end.wait(PATIENCE)

    def _post(self, call: Callable[[StateBackend], object] | None) -> None:
        self._queue.append(call)
        try:  # noqa: SIM105 - a suppress() costs more than all the rest
            self._bell.release()
        except RuntimeError:
            pass  # it has rung already

    def _work(self) -> None:
        while True:
            while self._queue:
                call = self._queue.popleft()
                if call is None:
                    self._end.set()
                    return
                self._do(call)
            self._bell.acquire()

    def _do(self, call: Callable[[StateBackend], object]) -> None:
        if self._backend is None:
            return
        try:
            call(self._backend)
        except BaseException as error:  # noqa: BLE001 - a backend's fault is not the run's
            name = type(self._backend).__name__
            logging.getLogger("cascade").warning(
                "The state of the run is kept no more: %s raised %s: %s.", name, type(error).__name__, error
            )
            self._backend = None
