"""Values that stay where they were made, and calls that take them.

In: calls whose arguments hold remote values at any depth. Out: bytes, and the tokens of the values they need; on a
worker, the arguments themselves. Invariant: a remote value never reaches a function of the user, neither here nor
there; pickling it by accident is an error that says so.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces.cluster import ClusterError

if TYPE_CHECKING:
    from cascade.interfaces.cluster import Cluster

__all__ = [
    "Box", "Own", "Packer", "Prior", "RemoteValue", "bring", "explain_loss", "glance", "is_remote", "read", "take",
    "unreadable",
]  # fmt: skip

CURIOUS: Final = 8_000_000  # bytes of a value that is brought here only to be looked at …
PATIENCE: Final = 2.0  # … within so many seconds


class RemoteValue:
    """A value on a cluster.

    Attributes:
        token: of the bundle that made it, held as long as this lives. step: which of its values. path: keys into it.
        summary: a short text about it. size: bytes, as far as known. label: of its node. place: its worker, at first.
    """

    __slots__ = ("label", "path", "place", "size", "step", "summary", "token")

    def __init__(
        self, token: Any, step: int, label: str, summary: str, size: int, path: tuple[Any, ...] = (), place: str = ""
    ) -> None:
        """Note where it is."""
        self.token = token
        self.place = place
        self.step = step
        self.label = label
        self.summary = summary
        self.size = size
        self.path = path

    def __getitem__(self, key: Any) -> RemoteValue:
        """Return an item of it, which stays there too."""
        return RemoteValue(self.token, self.step, self.label, "", 0, (*self.path, key), self.place)

    __iter__ = None  # an item of it can be named, but it cannot be gone through from here

    def __reduce__(self) -> Any:
        """Refuse to travel."""
        raise pickle.PicklingError(f"The value of '{self.label}' is on a cluster and does not travel by itself.")

    def __repr__(self) -> str:
        """Say what it is."""
        return f"<on the cluster: {self.summary or self.label}>"


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """The value of an earlier call of the same bundle."""

    step: int
    path: tuple[Any, ...] = ()

    def __getitem__(self, key: Any) -> Prior:
        return Prior(self.step, (*self.path, key))


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """A resource that is made on the worker, for one call."""

    name: str


@dataclass(slots=True)
class Box:
    """What a bundle leaves on its worker: values by step, and what it told, in case that was not heard.

    Attributes:
        size: bytes of its values, as far as known. A cluster asks for it before it moves the box from one worker to
            another, and when it is short of memory.
    """

    values: dict[int, Any] = field(default_factory=dict)
    told: list[bytes] = field(default_factory=list)
    size: int = 0

    def __sizeof__(self) -> int:
        """Return the bytes that it takes with its values."""
        return object.__sizeof__(self) + self.size + sum(map(len, self.told))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel with bytes beside the pickle, without a copy, as arrays do of themselves."""
        if protocol < 5:  # noqa: PLR2004 - the first that knows of parts beside the pickle
            return _unbox, (self.values, [], self.told, self.size)
        raw = {step: value for step, value in self.values.items() if type(value) in (bytes, bytearray)}
        rest = {step: value for step, value in self.values.items() if step not in raw}
        return _unbox, (rest, [(n, type(v), pickle.PickleBuffer(v)) for n, v in raw.items()], self.told, self.size)


def _unbox(
    values: dict[int, Any], raw: list[tuple[int, type[bytes | bytearray], Any]], told: list[bytes], size: int
) -> Box:
    for step, kind, buffer in raw:
        values[step] = kind(buffer)
    return Box(values, told, size)


class Packer:
    """Packs the calls of one bundle.

    Attributes:
        tokens: of the values that the calls need, in the order of their numbers.
    """

    __slots__ = ("_numbers", "tokens")

    def __init__(self) -> None:
        """Need nothing yet."""
        self.tokens: list[Any] = []
        self._numbers: dict[int, int] = {}

    def pack(self, value: object) -> bytes:
        """Return `value` pickled, with its remote parts as references."""
        file = BytesIO()
        _pickler()(file, self._name_of).dump(value)
        return file.getvalue()

    def _name_of(self, value: Any) -> Any:
        kind = type(value)
        if kind is RemoteValue:
            number = self._numbers.setdefault(id(value.token), len(self.tokens))
            if number == len(self.tokens):
                self.tokens.append(value.token)
            return number, value.step, value.path
        if kind is Prior:
            return -1, value.step, value.path
        return ("own", value.name, ()) if kind is Own else None


@cache
def _pickler() -> Callable[..., Any]:
    from cloudpickle import Pickler

    class Referring(Pickler):  # type: ignore[misc]
        """Pickles functions by value where need be, and leaves out what is elsewhere."""

        def __init__(self, file: Any, name_of: Callable[[object], Any]) -> None:
            super().__init__(file)
            self._name_of = name_of

        def persistent_id(self, value: object) -> Any:
            return self._name_of(value)

    return Referring


class _Reader(pickle.Unpickler):
    """Reads what a `Packer` packed, and puts what it refers to in its place."""

    def __init__(self, data: bytes, find: Callable[[Any], Any]) -> None:
        super().__init__(BytesIO(data))
        self._find = find

    def persistent_load(self, name: Any) -> Any:
        return self._find(name)


def read(data: bytes, boxes: Sequence[Box], values: Mapping[int, Any], own: Mapping[str, Any]) -> Any:
    """Return what was packed, on a worker.

    Args:
        boxes: of the tokens. values: of earlier calls of the bundle. own: resources made for the call.

    Raises:
        UnpicklingError: when it cannot be read here.
    """
    odd: list[BaseException] = []

    def find(name: Any) -> Any:
        place, step, path = name
        if place == "own":
            return own[step]
        try:
            return take(boxes[place].values if place >= 0 else values, step, path)
        except BaseException as error:
            odd.append(error)
            raise

    try:
        return _Reader(data, find).load()
    except BaseException as error:
        if odd:
            raise odd[0] from None  # what the user's own value says to a key, as it would where the run goes on
        raise UnpicklingError(
            f"The arguments of the task could not be read where it runs ({type(error).__name__}: {error}). "
            "Only what survives pickle.loads(pickle.dumps(…)) can travel between processes."
        ) from error


def take(values: Mapping[int, Any], step: int, path: Sequence[Any]) -> Any:
    """Return the value of `step`, or an item of it."""
    value = values[step]
    for key in path:
        value = value[key]
    return value


def is_remote(value: object) -> bool:
    """Whether a value is on a cluster, or a list (of a map) with some that are."""
    return type(value) is RemoteValue or (type(value) is list and any(type(item) is RemoteValue for item in value))


def bring(value: Any, cluster: Cluster | None, seconds: float | None = None) -> Any:
    """Return a value with its remote parts, within plain containers too, brought here; blocks meanwhile.

    Raises:
        ClusterError: when one does not come within `seconds` (None: the patience of the cluster).
    """
    kind = type(value)
    if kind in (list, tuple):
        return kind(bring(item, cluster, seconds) for item in value)
    if kind is dict:
        return {key: bring(item, cluster, seconds) for key, item in value.items()}
    if kind is not RemoteValue or cluster is None:
        return value
    seconds = cluster.patience if seconds is None else seconds
    done = threading.Event()
    found: list[Any] = [None, None]

    def got(box: Any, error: BaseException | None) -> None:
        found[:] = box, error
        done.set()

    cluster.fetch(value.token, got)
    if not done.wait(seconds):
        raise ClusterError.for_lost_value(value.label, f"it did not come within {seconds:g} s")
    if found[1] is not None:
        raise ClusterError.for_lost_value(value.label, f"{type(found[1]).__name__}: {found[1]}")
    return take(found[0].values, value.step, value.path)


def glance(value: Any, cluster: Cluster | None, instead: Any) -> Any:
    """Return a value, brought here if it is small and comes soon, or what stands `instead` of it."""
    if type(value) is not RemoteValue:
        return value
    if value.size > CURIOUS or cluster is None:
        return instead
    try:
        return bring(value, cluster, PATIENCE)
    except ClusterError:
        return instead


def explain_loss(label: str, error: BaseException, lost: ClusterError | None) -> BaseException:
    """Return the error of a value that did not come; `lost`: why the whole cluster is there no more, if it is so."""
    if lost is not None:
        return lost
    name = type(error).__name__
    if name in ("KilledWorker", "CancelledError", "FutureCancelledError"):
        return ClusterError.for_lost_value(label, f"{name}: {error}")
    return unreadable(label, error)


def unreadable(label: str, error: BaseException) -> BaseException:
    """Return the error of a value that came and could not be read."""
    made = UnpicklingError(
        f"The value of task '{label}' could not be read where the run goes on ({error}). "
        "Only what survives pickle.loads(pickle.dumps(…)) can travel between processes."
    )
    made.__cause__ = error
    return made
