"""The lazy result: one recorded call, immutable.

In: a task and the arguments it was called with. Out: an object that can be passed on, refined and run. Invariant:
nothing ever changes it; each ``.with_…`` gives a new one, and an option that is not used costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from cascade.context import get_current_context
from cascade.interfaces.exceptions import LazyUseError
from cascade.spec.logins import hide_logins
from cascade.spec.policy import PLAIN, Options, RetryFilter, RetryPolicy, check_timeout
from cascade.spec.standin import StandIn

if TYPE_CHECKING:
    from cascade.spec.task import Task

__all__ = ["LazyItem", "LazyMap", "LazyResult", "Unmapped", "unmapped"]

R = TypeVar("R")


class LazyResult(StandIn, Generic[R]):
    """What calling a task gives: a recorded call that runs when it is asked for.

    It is one slotted object without an id or a hash of its arguments, since a graph may have a hundred thousand.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def double(x): return 2 * x
        >>> double(double(1))
        <lazy double(<lazy double>)>
    """

    __slots__ = ("_args", "_kwargs", "_options", "_task")
    __hash__ = object.__hash__

    def __init__(
        self,
        task: Task[..., R],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None,
        options: Options | None,
    ) -> None:
        """Record a call; users call the task instead."""
        self._task = task
        self._args = args
        self._kwargs = kwargs
        self._options = options

    def _with(self, options: Options) -> LazyResult[R]:
        return LazyResult(self._task, self._args, self._kwargs, options)

    @property
    def _now(self) -> Options:
        return self._options or PLAIN

    # -- refining -------------------------------------------------------------------------------------------------

    def named(self, name: str) -> LazyResult[R]:
        """Return the same call under another name in views and logs."""
        return self._with(self._now.but(name=str(name)))

    def run_if(self, condition: object) -> LazyResult[R]:
        """Return a call that runs only if `condition` (a value, lazy or not) is true.

        If it is not, the call and what only it needs are skipped, and so is what needs it.
        """
        return self._with(self._now.but(condition=condition))

    def with_retry(
        self,
        max_attempts: int = 3,
        delay: float = 0.0,
        backoff: float = 1.0,
        jitter: float = 0.0,
        max_delay: float | None = None,
        retry_on: RetryFilter = Exception,
    ) -> LazyResult[R]:
        """Return a call that is tried up to `max_attempts` times in all; delays are in seconds (see `RetryPolicy`).

        A try of a call that returns calls is all of them: each try calls the function again and computes what it
        returns, but for equal calls of ``pure=True`` tasks that are done.
        """
        policy = RetryPolicy(max_attempts, delay, backoff, jitter, max_delay, retry_on)
        return self._with(self._now.but(retry=policy))

    def with_timeout(self, seconds: float) -> LazyResult[R]:
        """Return a call of which each attempt, with the calls that it returns, may take `seconds`.

        More is a `NodeTimeoutError`.
        """
        return self._with(self._now.but(timeout=check_timeout(seconds)))

    def with_cache(self, policy: object) -> LazyResult[R]:
        """Return a call whose result is stored as `policy` says.

        Of a call that returns calls, which ones they are is stored, and their values are not: give them the policy.
        """
        return self._with(self._now.but(cache=policy))

    def with_constraints(self, **amounts: object) -> LazyResult[R]:
        """Return a call that takes these `amounts` of the run's capacities while it runs (numbers or lazy results)."""
        return self._with(self._now.but(constraints={**(self._now.constraints or {}), **amounts}))

    def after(self, *others: object) -> LazyResult[R]:
        """Return a call that starts only when the `others` have ended, without taking their values."""
        return self._with(self._now.but(after=(*self._now.after, *others)))

    def with_fallback(self, value: object) -> LazyResult[R]:
        """Return a call that has `value` if it, or a call that it returned, fails for good or is skipped."""
        return self._with(self._now.but(fallback=value))

    def __getitem__(self, key: object) -> LazyItem:
        """Return the item `key` of the value that the call will have."""
        return LazyItem(self, (key,))

    # -- misuse ---------------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_truth(self._label)

    def __iter__(self) -> Iterator[Any]:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_iteration(self._label)

    def __len__(self) -> int:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_iteration(self._label)

    def __contains__(self, item: object) -> bool:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_iteration(self._label)

    def __str__(self) -> str:
        """Refuse to stand in a text; ``repr`` works."""
        raise LazyUseError.for_text(self._label)

    def __format__(self, spec: str) -> str:
        """Refuse to stand in a text."""
        raise LazyUseError.for_text(self._label)

    def __getattr__(self, name: str) -> NoReturn:
        """Say what can be done instead of reading an attribute of a value that is not there."""
        if name.startswith("_"):
            raise AttributeError(name)
        known = [n for n in dir(LazyResult) if not n.startswith("_")]
        raise LazyUseError.for_attribute(self._label, name, known)

    # -- showing --------------------------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return self._now.name or self._task.name

    def __repr__(self) -> str:
        """Show the call, arguments shortened, lazy ones by name only."""
        shown = [_brief(a) for a in self._args[:6]]
        shown += [f"{k}={_brief(v)}" for k, v in (self._kwargs or {}).items()][:6]
        return f"<lazy {_brief_name(self)}({', '.join(shown)})>"

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Show the graph as a picture in a notebook."""
        return get_current_context().bundle_of(self)


class LazyMap(LazyResult[list[R]]):
    """A call of one task for each item of its inputs: one node, whatever the number of items."""

    __slots__ = ("_max_concurrency", "_on_error")

    def __init__(
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None,
        options: Options | None,
        *,
        max_concurrency: int | None = None,
        on_error: str = "fail",
    ) -> None:
        """Record a map; users call ``task.map``."""
        super().__init__(task, args, kwargs, options)
        self._max_concurrency = max_concurrency
        self._on_error = on_error

    def _with(self, options: Options) -> LazyMap[R]:
        return LazyMap(
            self._task,
            self._args,
            self._kwargs,
            options,
            max_concurrency=self._max_concurrency,
            on_error=self._on_error,
        )


class LazyItem(LazyResult[Any]):
    """One item of the value that a call will have; its policies are those of the call."""

    __slots__ = ("_base", "_path")

    def __init__(self, base: LazyResult[Any], path: tuple[object, ...]) -> None:
        """Record an index; users write ``lazy[key]``."""
        super().__init__(base._task, base._args, base._kwargs, base._options)  # noqa: SLF001 - its own kind
        self._base = base
        self._path = path

    def _with(self, options: Options) -> LazyItem:
        return LazyItem(self._base._with(options), self._path)  # noqa: SLF001

    def __getitem__(self, key: object) -> LazyItem:
        """Go one level deeper."""
        return LazyItem(self._base, (*self._path, key))

    def __repr__(self) -> str:
        """Show the call and the path."""
        return f"{self._base!r}{''.join(f'[{_brief(k)}]' for k in self._path)}"


class Unmapped:
    """A map input that goes whole to every item."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        """Wrap `value`; users call `unmapped`."""
        self.value = value

    def __repr__(self) -> str:
        """Show what is wrapped."""
        return f"unmapped({_brief(self.value)})"


def unmapped(value: object) -> Any:
    """Mark a map input that is passed whole to every item, although it could be iterated.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def scale(x, weights): return x * sum(weights)
        >>> cs.run(scale.map(x=[1, 2], weights=cs.unmapped([1, 1, 1])), log_level="ERROR")
        [3, 6]
    """
    return Unmapped(value)


def _brief_name(lazy: LazyResult[Any]) -> str:
    """Return what a call is called, with whatever steers a terminal made visible."""
    name: str = lazy._label  # noqa: SLF001
    name = name if len(name) <= 200 else f"{name[:199]}…"  # noqa: PLR2004
    return name if name.isprintable() else repr(name)[1:-1]


def _brief(value: object) -> str:
    if isinstance(value, LazyResult):
        return f"<lazy {_brief_name(value)}>"
    if isinstance(value, str):
        value = hide_logins(value)
    if isinstance(value, (str, bytes)) and len(value) > 24:  # noqa: PLR2004
        return f"{value[:20]!r}…"
    if isinstance(value, (int, float, bool, str, bytes, type(None))):
        text = repr(value)
        return text if len(text) <= 40 else f"{text[:36]}…"  # noqa: PLR2004
    return f"<{type(value).__name__}>"
