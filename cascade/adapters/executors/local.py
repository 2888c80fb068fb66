"""The local executor: threads and processes of this machine.

In: bounds. Out: what the engine's own workers may use. Invariant: a description; the engine's crew does the work, since
a thread that settles its node and takes the next one needs no hand-over.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """Runs blocking tasks in threads and compute tasks in processes.

    Args:
        max_threads: at most; they are made only while tasks wait. max_processes: 0: one for each core.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def one(): return 1
        >>> cs.run(one(), executor=LocalExecutor(max_threads=4), log_level="ERROR")
        1
    """

    def __init__(self, max_threads: int = 256, max_processes: int = 0) -> None:
        """Check the bounds."""
        if max_threads < 1 or max_processes < 0:
            raise ValueError("max_threads is at least 1, and max_processes at least 0.")
        self.max_threads = max_threads
        self.max_processes = max_processes

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run one call in a thread, for those who use the executor without an engine."""
        import threading

        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - handed to whoever asks the future
                future.set_exception(error)
            else:
                future.set_result(value)

        threading.Thread(target=work, daemon=True).start()
        return future
