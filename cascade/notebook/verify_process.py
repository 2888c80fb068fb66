"""The process of `%cascade verify`: a notebook file → what each of its cells did in a fresh kernel.

In: an order on stdin. Out: a line of JSON on stdout for each cell. Invariant: the file is read, never written; the
kernel ends with this process, however that ends.

It is a process of its own since nbclient wants an event loop, and the kernel that asks has one that runs.
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn

__all__ = ["main"]

_ASIDE: Final = re.compile(r"^(?P<indent>[ \t]*)%cascade[ \t]+(?:verify|export|report|doctor)\b.*$", re.MULTILINE)
_KERNEL = "cascade.notebook.verify_kernel"
_ANSWER: Final = 90.0  # seconds in which a kernel that has nothing to do answers
_LATE: Final = 30.0  # seconds for which runs in the background are waited for when there is no other limit


def main() -> None:
    """Do what the order says."""
    signal.signal(signal.SIGTERM, _end)
    order = json.loads(sys.stdin.readline())
    limit = order["timeout"]
    _Verifier(Path(order["path"]), order["store"], limit).run()


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)  # runs the `finally` that ends the kernel


def _tell(**fact: Any) -> None:
    sys.__stdout__.write(json.dumps(fact) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


class _Verifier:
    """Runs the cells one after the other; a cell that fails does not stop the others."""

    def __init__(self, path: Path, store: str, limit: float | None) -> None:
        import nbformat
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient

        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.source = _ASIDE.sub(r"\g<indent>pass", cell.source)
        manager = AsyncKernelManager()
        spec: Any = manager.kernel_spec
        spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        resources = {"metadata": {"path": str(path.parent)}}
        self._client = NotebookClient(
            notebook, km=manager, resources=resources, allow_errors=True, store_widget_state=False, timeout=None
        )
        self._notebook = notebook
        self._store = store
        self._limit = limit
        self._until: float | None = None

    def run(self) -> None:
        """Run all cells, telling about each."""
        env = {**os.environ, "CASCADE_VERIFYING": "1"}
        with self._client.setup_kernel(env=env):
            self._ask(f"__import__('{_KERNEL}', fromlist=['begin']).begin({self._store!r})")
            self._until = None if self._limit is None else time.monotonic() + self._limit  # the kernel is up now
            for place, cell in enumerate(self._notebook.cells):
                if cell.cell_type != "code" or not cell.source.strip():
                    continue
                if self._left() == 0:
                    _tell(stopped=place)
                    return
                self._run_cell(place, cell)
            wait = self._left()
            self._tell_runs(min(_LATE, wait) if wait is not None else _LATE)
            _tell(names=self._ask(f"__import__('{_KERNEL}', fromlist=['names']).names()"))

    def _left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def _run_cell(self, place: int, cell: Any) -> None:
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

        _tell(begins=place)
        self._ask(f"__import__('{_KERNEL}', fromlist=['enter']).enter({place})")
        left = self._left()
        self._client.timeout = None if left is None else max(1, round(left))
        expected = "raises-exception" in cell.metadata.get("tags", ())
        try:
            self._client.execute_cell(cell, place)
        except CellTimeoutError:
            _tell(cell=place, error="it did not end in time")
            _tell(stopped=place + 1)
            raise SystemExit(0) from None  # the kernel is busy and answers nobody
        except DeadKernelError:
            _tell(cell=place, error="the kernel died")
            raise SystemExit(0) from None
        errors = [output for output in cell.outputs if output.output_type == "error"]
        error = f"{errors[-1].ename}: {errors[-1].evalue}"[:300] if errors and not expected else ""
        _tell(cell=place, error=error)
        self._tell_runs(0.0)

    def _tell_runs(self, wait: float) -> None:
        for run in self._ask(f"__import__('{_KERNEL}', fromlist=['take']).take({wait!r})"):
            _tell(run=run)

    def _ask(self, expression: str) -> Any:
        """Return the JSON that an expression gives in the kernel; no cell is counted for it."""
        from jupyter_core.utils import run_sync

        client: Any = self._client.kc

        asked = client.execute(
            "", silent=True, store_history=False, user_expressions={"told": expression}, allow_stdin=False
        )
        while True:
            reply = run_sync(client.get_shell_msg)(timeout=_ANSWER)
            if reply["parent_header"].get("msg_id") == asked:
                break
        told = reply["content"].get("user_expressions", {}).get("told", {})
        text = told.get("data", {}).get("text/plain", "None")
        if told.get("status") == "error":
            _tell(broken=f"{told.get('ename')}: {told.get('evalue')}")
            raise SystemExit(0)
        value = ast.literal_eval(text)
        return json.loads(value) if isinstance(value, str) else value


if __name__ == "__main__":
    main()
