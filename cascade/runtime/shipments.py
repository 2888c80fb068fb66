"""Calls for the executors of others: they go as they are, or pickled, whichever the executor does.

In: a call. Out: something that any executor can submit, and what comes back. Invariant: an executor that knows only
pickle carries functions of a notebook too, and an exception that pickle cannot rebuild harms neither it nor its pool;
one whose workers are threads gets the very objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from pickle import loads
from typing import Any

from cascade.interfaces.sending_errors import UnsendableError
from cascade.runtime.parcels import call_and_pack

__all__ = ["Portable", "Shipment", "find_unsendable", "run_shipment"]


class Portable:
    """A task's function for another process: pickled as the task, which goes by name, it arrives as the function."""

    __slots__ = ("task",)

    def __init__(self, task: Any) -> None:
        self.task = task

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, where nothing is pickled."""
        return self.task.func(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the task."""
        return attrgetter("func"), (self.task,)


class Shipment:
    """A call that pickles itself by value.

    Attributes:
        is_abroad: it has been pickled: this is another process. label: of the call, in errors.
    """

    __slots__ = ("args", "function", "is_abroad", "kwargs", "label")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        is_abroad: bool = False,
        label: str = "call",
    ) -> None:
        """Keep the call."""
        self.label = label
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.is_abroad = is_abroad

    @property
    def task(self) -> Any:
        """The task whose function it is, if it is one."""
        return getattr(self.function, "task", None)

    @property
    def __name__(self) -> str:
        return str(getattr(self.function, "__name__", "call"))

    def __call__(self) -> Any:
        """Make the call."""
        return self.function(*self.args, **self.kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by cloudpickle."""
        from cloudpickle import dumps

        try:
            return _unpack, (dumps((self.function, self.args, self.kwargs)),)
        except Exception:
            error = find_unsendable(self.label, self.function, (self.args, self.kwargs))
            if error is None:
                raise
        raise error


class _Answer(tuple[Any, ...]):
    """What came of a call; it travels by cloudpickle, too."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        from cloudpickle import dumps

        return loads, (dumps(tuple(self)),)


def find_unsendable(label: str, function: object, arguments: object) -> UnsendableError | None:
    """Return an error that says which part of a call cannot be pickled, None when each can."""
    from cloudpickle import dumps

    for what, part in (("function", function), ("arguments", arguments)):
        try:
            dumps(part)
        except Exception as error:  # noqa: BLE001 - whatever pickling says, which runs the user's code
            return UnsendableError.for_part(what, label, error)
    return None


def _unpack(pickled: bytes) -> Shipment:
    return Shipment(*loads(pickled), is_abroad=True)  # noqa: S301 - made by the process that runs the flow


def run_shipment(shipment: Shipment, heard: bool = False) -> tuple[Any, ...]:  # noqa: FBT001, FBT002 - executors of others pass on positions best
    """Make a call; say whether it ended well, with its value or what it raised and, if it is `heard`, its output.

    Args:
        heard: whether its output comes back too, as a third part.
    """
    if heard:
        from cascade.runtime.worker_output import listen

        return _Answer(listen(lambda: run_shipment(shipment)))
    if shipment.is_abroad:
        return _Answer(call_and_pack(shipment.function, shipment.args, dict(shipment.kwargs)))
    try:
        return True, shipment()
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit would end the worker
        return False, (type(error).__name__, [repr(a) for a in error.args])
