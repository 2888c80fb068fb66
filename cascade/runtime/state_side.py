"""The state of a run, kept where others can read it while the run goes on.

In: values, skips and facts, as they come. Out: calls of a `StateBackend`, in order. Invariant: a backend that fails
costs the run nothing: what it raises is reported once, and it is asked no more.

A value is handed over before anyone else may change it, so a backend that copies must do so when it is called; one that
is slow by nature writes on a thread of its own, as the one for SQLite does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cascade.interfaces.exceptions import CascadeError

if TYPE_CHECKING:
    from cascade.interfaces.protocols import StateBackend

__all__ = ["StateSide"]


class StateSide:
    """Carries what one run knows to a backend.

    Args:
        backend: where to. run_id: of the run. closes: the backend is the run's own and is closed with it.
        redact: takes secrets out of texts.
    """

    def __init__(
        self, backend: StateBackend, run_id: str, *, closes: bool, redact: Callable[[str], str] = lambda text: text
    ) -> None:
        """Begin."""
        self._backend: StateBackend | None = backend
        self._closes = closes
        self._redact = redact
        self._do(lambda to: to.begin_run(run_id))

    def put_result(self, node: str, value: Any) -> None:
        """Keep the value of `node`."""
        self._do(lambda to: to.put_result(node, value))

    def mark_skipped(self, node: str, reason: str) -> None:
        """Note that `node` will not run."""
        self._do(lambda to: to.mark_skipped(node, reason))

    def put_facts(self, **facts: object) -> None:
        """Keep facts about the run."""
        for key, value in facts.items():
            self._do(lambda to, key=key, value=value: to.put_metadata(key, value))  # type: ignore[misc]

    def finish(self) -> None:
        """Write what is left, so that it can be read from elsewhere."""
        self._do(lambda to: to.close() if self._closes else to.flush())

    def _do(self, call: Callable[[StateBackend], object]) -> None:
        if self._backend is None:
            return
        try:
            call(self._backend)
        except BaseException as error:  # noqa: BLE001 - a backend's fault is not the run's
            backend, self._backend = self._backend, None
            told = f"{error}" if isinstance(error, CascadeError) else _name_fault(backend, error)
            logging.getLogger("cascade").warning("The state of the run is kept no more: %s", self._redact(told))
            if self._closes:
                with suppress(BaseException):  # it has said what is wrong
                    backend.close()


def _name_fault(backend: StateBackend, error: BaseException) -> str:
    return f"{type(backend).__name__} raised {type(error).__name__}: {error}."
