"""Tasks: the user's functions, decorated.

In: a function. Out: a `Task` whose call records instead of running. Invariant: everything that depends on the function
alone (signature, mode, injections) is worked out once, here; a call pays only for its own arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import update_wrapper
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from cascade.context import get_current_context
from cascade.spec.input import Input
from cascade.spec.lazy_types import LazyMap, LazyResult
from cascade.spec.policy import PLAIN, Options, RetryPolicy, check_timeout
from cascade.spec.resource import Inject, Resource
from cascade.spec.routing import Router

__all__ = ["Task", "task"]

P = ParamSpec("P")
R = TypeVar("R")
Mode = Literal["blocking", "inline", "compute"]
_MODES = ("blocking", "inline", "compute")
_SPECIAL = (LazyResult, Input, Router, Inject, Resource)


class Task(Generic[P, R]):
    """A function that records its calls; calling it gives a `LazyResult`.

    Attributes:
        func: the undecorated function. name: shown in views and logs. key: ``module:qualname``.
        mode: ``blocking``, ``inline``, ``compute`` or ``async``.
        defaults: parameters whose default is a resource, Param or lazy result, to fill in when left out.
    """

    def __init__(
        self,
        func: Callable[P, Any],
        *,
        name: str | None = None,
        pure: bool = False,
        mode: str | None = None,
        version: str | None = None,
        options: Options | None = None,
        depends_on: tuple[object, ...] = (),
        ignore: tuple[str, ...] = (),
    ) -> None:
        """Work out what depends on the function alone, and register the task."""
        if not callable(func):
            raise TypeError(f"@cs.task decorates functions, not {type(func).__name__}.")
        self.func = func
        inner = inspect.unwrap(func) if inspect.isroutine(func) else func
        plain = getattr(func, "__name__", None) or getattr(getattr(func, "func", None), "__name__", None)
        self.name = name or plain or type(func).__name__
        bodies = (func, inner, getattr(type(func), "__call__", None))  # noqa: B004 - its kind is asked, not whether it is
        self.is_async = any(inspect.iscoroutinefunction(body) for body in bodies)
        self.mode = self._check_mode(mode)
        self.pure = pure
        self.version = version
        self.depends_on = depends_on
        self.ignore = ignore
        self.options = options
        self.key = f"{getattr(func, '__module__', '')}:{getattr(func, '__qualname__', self.name)}"
        update_wrapper(self, func, updated=())
        self._read_signature()
        get_current_context().tasks[self.key] = self  # type: ignore[assignment]

    def _check_mode(self, mode: str | None) -> str:
        if mode is not None and mode not in _MODES:
            from cascade.interfaces.exceptions import nearest

            raise ValueError(f"Task '{self.name}' has no mode '{mode}'.{nearest(mode, _MODES)}")
        if self.is_async:
            if mode is not None:
                raise ValueError(f"Task '{self.name}' is async and runs on the event loop; it takes no mode.")
            return "async"
        return mode or "blocking"

    def _read_signature(self) -> None:
        try:
            self.signature = inspect.signature(self.func)
        except (TypeError, ValueError):
            anything = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            self.signature = inspect.Signature(
                [inspect.Parameter("args" if kind.name == "VAR_POSITIONAL" else "kwargs", kind) for kind in anything]
            )
        self.positional: tuple[str, ...] = ()
        self.defaults: dict[str, Any] = {}
        least, most, keyword_required = 0, 0, False
        for parameter in self.signature.parameters.values():
            if isinstance(parameter.default, _SPECIAL):
                self.defaults[parameter.name] = parameter.default
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self.positional += (parameter.name,)
                most += 1
                least += parameter.default is parameter.empty
            elif parameter.kind is parameter.VAR_POSITIONAL:
                most = 1 << 30
            elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                keyword_required = True
        self._least, self._most = least, -1 if keyword_required else most

    # -- calling --------------------------------------------------------------------------------------------------

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> LazyResult[R]:
        """Record a call.

        Raises:
            TypeError: at once, when the arguments do not fit the function.
        """
        if kwargs or not self._least <= len(args) <= self._most:
            self._check_call(args, kwargs)
        return LazyResult(self, args, kwargs or None, self.options)

    def _check_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            from cascade.interfaces.exceptions import nearest

            unknown = [k for k in kwargs if k not in self.signature.parameters]
            hint = nearest(unknown[0], self.signature.parameters) if unknown else ""
            raise TypeError(
                f"Task '{self.name}' cannot be called like this: {error}.{hint} It is {self.name}{self.signature}."
            ) from None

    def map(
        self,
        /,
        *args: Any,
        max_concurrency: int | None = None,
        on_error: Literal["fail", "collect"] = "fail",
        **kwargs: Any,
    ) -> LazyMap[R]:
        """Record one call for each item of the inputs, as one node.

        Iterables, lazy ones too, are zipped; text, mappings, data frames, single values and what `cs.unmapped` wraps
        go to every item. The result is a list in the order of the inputs.

        Args:
            max_concurrency: how many items run at once at most.
            on_error: ``fail``: the first failing item fails the map; ``collect``: its exception stands in the list.

        Example:
            >>> import cascade as cs
            >>> @cs.task
            ... def power(base, exponent): return base ** exponent
            >>> cs.run(power.map(base=[1, 2, 3], exponent=2), log_level="ERROR")
            [1, 4, 9]
        """
        if on_error not in ("fail", "collect"):
            raise ValueError(f"on_error of a map is 'fail' or 'collect', not {on_error!r}.")
        if max_concurrency is not None and (not isinstance(max_concurrency, int) or max_concurrency < 1):
            raise ValueError(f"max_concurrency of a map is a whole number of at least 1, not {max_concurrency!r}.")
        if kwargs or not self._least <= len(args) <= self._most:
            self._check_call(args, kwargs)
        return LazyMap(self, args, kwargs or None, self.options, max_concurrency=max_concurrency, on_error=on_error)

    # -- refining -------------------------------------------------------------------------------------------------

    def with_constraints(self, **amounts: object) -> Task[P, R]:
        """Return the same task, whose every call takes these amounts of the run's capacities."""
        options = self.options or PLAIN
        changed = options.but(constraints={**(options.constraints or {}), **amounts})
        return Task(
            self.func,
            name=self.name,
            pure=self.pure,
            mode=None if self.is_async else self.mode,
            version=self.version,
            options=changed,
            depends_on=self.depends_on,
            ignore=self.ignore,
        )

    def __repr__(self) -> str:
        """Show name and mode."""
        return f"<task {self.name} ({self.mode})>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to other processes as the function and its settings."""
        mode = None if self.is_async else self.mode
        settings = (self.name, self.pure, mode, self.version, self.options, self.depends_on, self.ignore)
        return _restore, (self.func, settings)


def _restore(func: Callable[..., Any], settings: tuple[Any, ...]) -> Task[..., Any]:
    name, pure, mode, version, options, depends_on, ignore = settings
    return Task(
        func, name=name, pure=pure, mode=mode, version=version, options=options, depends_on=depends_on, ignore=ignore
    )


@overload
def task(func: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(func: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    pure: bool = False,
    mode: Mode | None = None,
    version: str | None = None,
    retry: int | Mapping[str, Any] | RetryPolicy | None = None,
    timeout: float | None = None,
    cache: object | None = None,
    constraints: Mapping[str, Any] | None = None,
    depends_on: tuple[object, ...] = (),
    ignore: tuple[str, ...] = (),
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    pure: bool = False,
    mode: Mode | None = None,
    version: str | None = None,
    retry: int | Mapping[str, Any] | RetryPolicy | None = None,
    timeout: float | None = None,
    cache: object | None = None,
    constraints: Mapping[str, Any] | None = None,
    depends_on: tuple[object, ...] = (),
    ignore: tuple[str, ...] = (),
) -> Any:
    """Turn a function into a task: calling it records the call instead of running it.

    Args:
        func: ``def`` or ``async def``.
        name: shown in views and logs; the function's name by default.
        pure: equal calls are one node, and results may be stored.
        mode: ``blocking`` (a thread, the default), ``inline`` (on the scheduler itself, for tiny functions) or
            ``compute`` (another process); ``async def`` runs on the event loop and takes none.
        version: replaces the function's own code when deciding whether a stored result still holds.
        retry: number of attempts in all, or the arguments of `RetryPolicy`.
        timeout: seconds for each attempt.
        cache: a cache policy.
        constraints: amounts of the run's capacities, by name.
        depends_on, ignore: what else does, and what does not, count for stored results.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def add(x: int, y: int) -> int:
        ...     return x + y
        >>> cs.run(add(add(1, 2), 3), log_level="ERROR")
        6
    """
    changes: dict[str, Any] = {}
    if retry is not None:
        changes["retry"] = RetryPolicy.of(retry)
    if timeout is not None:
        changes["timeout"] = check_timeout(timeout)
    if cache is not None:
        changes["cache"] = cache
    if constraints:
        changes["constraints"] = dict(constraints)
    options = PLAIN.but(**changes) if changes else None

    def decorate(inner: Callable[..., Any]) -> Task[..., Any]:
        if isinstance(inner, Task):
            inner = inner.func
        return Task(
            inner,
            name=name,
            pure=pure,
            mode=mode,
            version=version,
            options=options,
            depends_on=tuple(depends_on),
            ignore=tuple(ignore),
        )

    return decorate if func is None else decorate(func)
