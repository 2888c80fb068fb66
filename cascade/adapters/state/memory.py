"""The state of a run in memory: the default.

In: values, reasons and facts of one run. Out: the same, by reference, to any thread. Invariant: putting a value is one
store into a dict; nothing is copied, encoded or locked.
"""

from __future__ import annotations

from typing import Any

from cascade.adapters.state.facts import read_fact, write_fact

__all__ = ["MemoryStateBackend"]


class MemoryStateBackend:
    """Keeps what one run knows in dicts.

    Dicts need no lock: each of these operations is one step for the interpreter.

    Args:
        run_id: the run; empty: the one that begins first.

    Example:
        >>> state = MemoryStateBackend("r1")
        >>> state.put_result("load", [1, 2])
        >>> state.get_result("load"), state.has_result("fit")
        ([1, 2], False)
    """

    __slots__ = ("_facts", "_results", "_skips", "run_id")

    def __init__(self, run_id: str = "") -> None:
        """Begin empty."""
        self.run_id = run_id
        self._results: dict[str, Any] = {}
        self._skips: dict[str, str] = {}
        self._facts: dict[str, str] = {}

    def begin_run(self, run_id: str) -> None:
        """Belong to the run `run_id`; what was kept of another run is forgotten."""
        if self.run_id not in ("", run_id):
            self._results, self._skips, self._facts = {}, {}, {}
        self.run_id = run_id

    # -- values ---------------------------------------------------------------------------------------------------

    def put_result(self, node: str, value: object) -> None:
        """Keep the value of `node`, by reference."""
        self._results[node] = value

    def get_result(self, node: str) -> Any:
        """Return the value of `node`.

        Raises:
            KeyError: when it has none.
        """
        return self._results[node]

    def has_result(self, node: str) -> bool:
        """Say whether `node` has a value."""
        return node in self._results

    def results(self) -> list[str]:
        """Return the nodes that have a value, in the order in which they got it."""
        return list(self._results)

    # -- skips and facts --------------------------------------------------------------------------------------------

    def mark_skipped(self, node: str, reason: str) -> None:
        """Note that `node` will not run, and why."""
        self._skips[node] = reason

    def get_skip_reason(self, node: str) -> str | None:
        """Return why `node` was skipped, None if it was not."""
        return self._skips.get(node)

    def skips(self) -> dict[str, str]:
        """Return the reasons of all skipped nodes."""
        return dict(self._skips)

    def put_metadata(self, key: str, value: object) -> None:
        """Keep a fact about the run.

        Raises:
            StateError: when it is not made of text, numbers, booleans, None, lists and dicts.
        """
        self._facts[key] = write_fact(key, value)

    def get_metadata(self, key: str) -> Any:
        """Return the fact `key`, None if it is not known."""
        text = self._facts.get(key)
        return None if text is None else read_fact(text)

    def metadata(self) -> dict[str, Any]:
        """Return all facts about the run."""
        return {key: read_fact(text) for key, text in dict(self._facts).items()}

    # -- ends -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Return at once: everything can be read already."""

    def close(self) -> None:
        """Return at once: there is nothing to let go of, and what is kept can still be read."""

    def __repr__(self) -> str:
        """Show the run and how much is known of it."""
        return f"<state of run {self.run_id!r} in memory: {len(self._results)} values, {len(self._skips)} skipped>"
