"""What a test is told: which expectation did not hold, what happened instead, and where to look.

In: names and facts from the place of the check. Out: assertion errors whose text can be read alone. Invariant: the
words are made here, by named constructors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cascade.interfaces.exceptions import nearest

__all__ = ["ConformanceError", "InjectedError", "SpyError", "ToolError"]


class SpyError(AssertionError):
    """The events of a run are not what the test expects."""

    @classmethod
    def for_absence(cls, wanted: str, seconds: float, story: str) -> SpyError:
        """Nothing of the kind came in time."""
        return cls(f"No {wanted} came within {seconds:g} s. What came: {story}.")

    @classmethod
    def for_order(cls, first: str, second: str, story: str) -> SpyError:
        """Something started too early."""
        return cls(f"'{second}' started before '{first}' had ended. What happened: {story}.")

    @classmethod
    def for_never(cls, name: str, known: Iterable[str], story: str) -> SpyError:
        """A node that did not start."""
        return cls(f"'{name}' never started.{nearest(name, known)} What happened: {story}.")

    @classmethod
    def for_start(cls, name: str, story: str) -> SpyError:
        """A node that must not start did."""
        return cls(f"'{name}' started, and should not have. What happened: {story}.")

    @classmethod
    def for_attempts(cls, name: str, expected: int, found: int, story: str) -> SpyError:
        """Tried more or less often."""
        return cls(f"'{name}' had {found} attempts, not {expected}. What happened: {story}.")

    @classmethod
    def for_states(cls, wrong: Sequence[str]) -> SpyError:
        """Nodes ended in another state."""
        return cls(f"These nodes are not in the expected state: {'; '.join(wrong)}.")


class ConformanceError(AssertionError):
    """A plug-in breaks promises of its protocol.

    Attributes:
        broken: the promise and what happened instead, for each.
    """

    def __init__(self, what: str, subject: str, broken: Sequence[tuple[str, str]]) -> None:
        """Join everything into one report.

        Args:
            what: the kind of plug-in. subject: its name. broken: pairs of promise and what happened.
        """
        self.broken = tuple(broken)
        count = "1 promise" if len(broken) == 1 else f"{len(broken)} promises"
        lines = "\n".join(f"  - {promise}\n    {problem}" for promise, problem in broken)
        super().__init__(f"{subject} breaks {count} of {what}:\n{lines}")


class InjectedError(RuntimeError):
    """What a task raises when a fault was injected into it and no other error was asked for."""

    @classmethod
    def into(cls, name: str, call: int) -> InjectedError:
        """Call number `call` of a task."""
        return cls(f"This failure was injected into call {call} of '{name}'.")

    @classmethod
    def for_end_of_hang(cls, name: str) -> InjectedError:
        """The block of `inject_faults` ended while a call hung."""
        return cls(f"The hang that was injected into '{name}' is over: its inject_faults block has ended.")


class ToolError(ValueError):
    """A tool of the testing kit is used in a way that cannot work."""

    @classmethod
    def for_task(cls, name: str, known: Iterable[str]) -> ToolError:
        """No task of this name."""
        return cls(f"No task is named '{name}'.{nearest(name, known)} Pass the task itself, or a pattern of its name.")

    @classmethod
    def for_node(cls, name: str, known: Iterable[str]) -> ToolError:
        """A rank for a node that the graph does not have."""
        return cls(f"FakeSolver ranks '{name}', which the graph does not have.{nearest(name, known)}")

    @classmethod
    def for_tasks(cls, given: object) -> ToolError:
        """Neither a task nor something that leads to tasks."""
        kind = type(given).__name__
        return cls(f"Faults go into tasks, names of tasks and lazy results, not into {kind}. Pass one of these.")

    @classmethod
    def for_inline_hang(cls, name: str) -> ToolError:
        """A hang on the scheduler itself."""
        return cls(
            f"Task '{name}' is inline: it runs on the scheduler itself, and a hang would never end. "
            "Give it another mode, or inject another fault."
        )

    @classmethod
    def for_field(cls, kind: str, name: str, known: Iterable[str]) -> ToolError:
        """An event has no such field."""
        return cls(f"{kind} has no field '{name}'.{nearest(name, known)}")

    @classmethod
    def for_order(cls, given: object, known: Iterable[str]) -> ToolError:
        """No such order of held calls."""
        return cls(f"The order of held calls cannot be {given!r}. It is one of {', '.join(known)}.")

    @classmethod
    def for_delay_at_once(cls) -> ToolError:
        """A delay without a queue."""
        return cls("FakeExecutor.delay needs held calls: make it FakeExecutor(held=True).")

    @classmethod
    def for_no_call(cls, name: str | None, waiting: Sequence[str]) -> ToolError:
        """Nothing to step."""
        wanted = "No call" if name is None else f"No call of '{name}'"
        listed = f" These wait: {', '.join(waiting)}." if waiting else " None waits; use wait_for to let some come."
        return cls(f"{wanted} waits in the FakeExecutor.{listed}")

    @classmethod
    def for_timing(cls, problem: str) -> ToolError:
        """A fault that says its calls in an impossible way."""
        return cls(f"A fault cannot be injected like this: {problem}.")
