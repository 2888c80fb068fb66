"""An exported module → the values of its nodes, made in a process that knows nothing else.

In: the file, and the Params of the notebook's run. Out: a `Rerun`. Invariant: the process imports the file as anyone
would; what it computes is neither looked up in a store nor kept in one.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cascade.tools.likeness import Likeness

__all__ = ["Collector", "Rerun", "rerun"]

_PROGRAM = "from cascade.tools.export_check import main; main()"


@dataclass(frozen=True, slots=True)
class Rerun:
    """What came of a run somewhere else.

    Args:
        state: ``completed``, ``failed``, or ``broken``: it did not even begin. nodes: by id. failed: errors by id.
        error: what ended it, empty if nothing did.
    """

    state: str
    nodes: Mapping[str, Likeness] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


class Collector:
    """A state backend that keeps the likeness of each value instead of the value."""

    def __init__(self) -> None:
        """Begin empty."""
        self.nodes: dict[str, Likeness] = {}

    def begin_run(self, run_id: str) -> None:
        """Nothing to do: there is one for each run."""

    def put_result(self, node: str, value: object) -> None:
        """Look at a value while it is still what the task returned."""
        self.nodes[node] = Likeness.of(value)

    def mark_skipped(self, node: str, reason: str) -> None:
        """Skips have no value."""

    def put_metadata(self, key: str, value: object) -> None:
        """Facts are told by the run."""

    def get_result(self, node: str) -> Any:
        """Values are not kept."""
        raise KeyError(node)

    def flush(self) -> None:
        """Everything is written."""

    def close(self) -> None:
        """Nothing is open."""


def rerun(
    file: str | os.PathLike[str],
    variable: str,
    params: Mapping[str, Any] | None = None,
    capacities: Mapping[str, float] | None = None,
    *,
    timeout: float | None = None,
) -> Rerun:
    """Run the target `variable` of `file` in a fresh process.

    Args:
        params, capacities: of the run. timeout: seconds for all of it.

    Raises:
        KeyboardInterrupt: the process has been stopped then.
    """
    import cloudpickle

    with tempfile.TemporaryDirectory(prefix="cascade-check-") as folder:
        answer = Path(folder) / "answer.json"
        order = (str(Path(file).resolve()), variable, dict(params or {}), dict(capacities or {}), str(answer))
        environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": _search_path()}
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        try:
            _, told = process.communicate(cloudpickle.dumps(order), timeout=timeout)
        except subprocess.TimeoutExpired:
            return Rerun("broken", error=f"it took longer than {timeout:g} s")
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        with suppress(OSError, ValueError):
            return _read(json.loads(answer.read_text(encoding="utf-8")))
        last = told.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        return Rerun("broken", error=last[0])


def _search_path() -> str:
    """Where cascade itself lies, for the process to find it, before what the environment says."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]))


def _read(told: Mapping[str, Any]) -> Rerun:
    nodes = {name: Likeness.from_dict(each) for name, each in told["nodes"].items()}
    return Rerun(str(told["state"]), nodes, dict(told["failed"]), str(told["error"]))


# -- in the other process ---------------------------------------------------------------------------------------------


def main() -> None:
    """Do what the order on stdin says; it comes from `rerun`, over a pipe that nobody else can write to."""
    file, variable, params, capacities, answer = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - see above
    told = _run(Path(file), variable, params, capacities)
    Path(answer).write_text(json.dumps(told), encoding="utf-8")


def _run(file: Path, variable: str, params: Mapping[str, Any], capacities: Mapping[str, float]) -> dict[str, Any]:
    """Import the file under its own name, as another program would, and run its target."""
    from importlib import import_module

    from cascade.interfaces import events as ev
    from cascade.runtime.run import start

    collector = Collector()
    sys.path.insert(0, str(file.parent))
    try:
        target = getattr(import_module(file.stem), variable)
        run = start(
            target,
            params,
            capacities or None,
            log_level=None,
            state_backend=collector,
            capture_output=True,
            on_failure="continue",
        )
    except BaseException as error:  # noqa: BLE001 - whatever the module raises is the answer
        return {"state": "broken", "nodes": {}, "failed": {}, "error": f"{type(error).__name__}: {error}"}
    run.wait()
    fault = run.exception()
    failed = {
        event.node: f"{event.error_type}: {event.error}" for event in run.events if isinstance(event, ev.NodeFailed)
    }
    return {
        "state": run.state,
        "nodes": {name: each.to_dict() for name, each in collector.nodes.items()},
        "failed": failed,
        "error": run.redact(f"{type(fault).__name__}: {fault}"[:500]) if fault is not None else "",
    }
