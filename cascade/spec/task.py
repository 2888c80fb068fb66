"""Tasks: the user's functions, decorated.

In: a function. Out: a `Task` whose call records instead of running. Invariant: everything that depends on the function
alone (signature, mode, injections) is worked out once, here; a call pays only for its own arguments. A method is one
task for all objects: what is recorded of ``obj.method(x)`` is a call of that task with ``obj`` as its first argument,
so that whoever reads a graph (merging, pickling, keys) sees the object where the other arguments are.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial, update_wrapper
from operator import attrgetter
from pathlib import Path
from types import MethodType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, overload

from cascade.context import get_current_context
from cascade.spec.input import Input
from cascade.spec.lazy_types import LazyMap, LazyResult, Unmapped
from cascade.spec.policy import PLAIN, Options, RetryPolicy, check_timeout
from cascade.spec.resource import Inject, Resource
from cascade.spec.routing import Router

__all__ = ["BoundTask", "Task", "task"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
First = TypeVar("First")
Mode = Literal["blocking", "inline", "compute"]
_MODES = ("blocking", "inline", "compute")
_SPECIAL = (LazyResult, Input, Router, Inject, Resource)
_MOST_LAYERS = 50


class Task(Generic[P, R]):
    """A function that records its calls; calling it gives a `LazyResult`.

    Attributes:
        func: the undecorated function. name: shown in views and logs. key: ``module:qualname``, see `_home_of`.
        mode: ``blocking``, ``inline``, ``compute`` or ``async``.
        binds: what stands before the arguments of a call when the task is read from a class: the ``instance``, the
            ``class`` or ``nothing``. is_method: it was written in a class, and binds something.
        defaults: parameters whose default holds a resource, Param or lazy result, to fill in when left out.
    """

    def __init__(
        self,
        func: Callable[P, Any] | staticmethod[P, Any] | classmethod[Any, P, Any],
        *,
        name: str | None = None,
        pure: bool = False,
        mode: str | None = None,
        version: str | None = None,
        options: Options | None = None,
        depends_on: tuple[object, ...] = (),
        ignore: tuple[str, ...] = (),
        binds: str = "",
    ) -> None:
        """Work out what depends on the function alone."""
        inner, self.binds = _without_descriptor(func)
        self.binds = binds or self.binds
        if not callable(inner):
            raise TypeError(f"@cs.task decorates functions, not {type(inner).__name__}.")
        self.func: Callable[P, Any] = inner
        self.name = (name or _name_of(inner)).encode("utf-8", "replace").decode("utf-8")  # stores and pages are UTF-8
        self.is_async = any(_is_async(layer) for layer in _layers(inner))
        self.mode = self._check_mode(mode)
        self.pure = pure
        self.version = version
        self.depends_on = depends_on
        self.ignore = ignore
        self.options = options
        self.key = f"{_home_of(inner)}:{getattr(inner, '__qualname__', self.name)}"
        around = str(getattr(inner, "__qualname__", "")).rpartition(".")[0]
        self.is_method = self.binds != "nothing" and bool(around) and not around.endswith("<locals>")
        update_wrapper(self, inner, updated=())
        if getattr(inner, "__isabstractmethod__", False):
            self.__isabstractmethod__ = True
        self._read_signature()

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
            if _holds_special(parameter.default):
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
            if hint and f"'{unknown[0]}'" not in str(error):
                hint = f" '{unknown[0]}' is none of its own arguments.{hint}"
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

    # -- as a method ----------------------------------------------------------------------------------------------

    # The first parameter tells what is bound. A type checker does not see `binds`, but it infers `First` when the task
    # is taken for what it is, a callable; the order matters, since `First` of a class method is a class.
    @overload
    def __get__(
        self: Callable[Concatenate[First, Q], LazyResult[S]], instance: Any, owner: First, /
    ) -> BoundTask[Q, S]: ...
    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Self: ...
    @overload
    def __get__(
        self: Callable[Concatenate[First, Q], LazyResult[S]], instance: First, owner: Any = None, /
    ) -> BoundTask[Q, S]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None, /) -> Self: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        """Return the task of ``obj.method`` with `instance` bound, of a class method with its class bound.

        Example:
            >>> import cascade as cs
            >>> class Scale:
            ...     def __init__(self, factor): self.factor = factor
            ...     @cs.task
            ...     def apply(self, x): return self.factor * x
            >>> cs.run(Scale(3).apply(2), log_level="ERROR")
            6
        """
        if self.binds == "instance":
            return self if instance is None else BoundTask(self, instance)
        if self.binds == "class":
            return BoundTask(self, type(instance) if owner is None else owner)
        return self

    # -- refining -------------------------------------------------------------------------------------------------

    def with_constraints(self, **amounts: object) -> Self:
        """Return the same task, whose every call takes these amounts of the run's capacities."""
        options = self.options or PLAIN
        made: Self = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.options = options.but(constraints={**(options.constraints or {}), **amounts})
        return made

    def __repr__(self) -> str:
        """Show name and mode."""
        return f"<task {self.name} ({self.mode})>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Travel to other processes by name, where the name leads back here; else as the function and its settings."""
        name = str(getattr(self, "__qualname__", ""))
        module = str(getattr(self, "__module__", ""))
        found = None if module == "__main__" else _find(module, name)
        if found is self:
            return name
        if isinstance(found, BoundTask) and found.task is self:
            return attrgetter("task"), (found,)
        mode = None if self.is_async else self.mode
        settings = (self.name, self.pure, mode, self.version, self.options, self.depends_on, self.ignore, self.binds)
        return _restore, (self.func, settings)


class BoundTask(Task[P, R]):
    """A task that is a method, together with the object that it was read from.

    It exists for the moment between ``obj.method`` and the call: it is made as fast as a bound method of Python, has no
    state of its own, and equals every other one of the same task and the same object. All that is not said here is as
    the task says.

    Attributes:
        task: as the class has it. owner: what stands before the arguments.
    """

    def __init__(self, task: Task[..., R], owner: object) -> None:
        """Keep both; nothing is worked out before somebody asks."""
        self.task = task
        self.owner = owner
        self.__doc__ = task.__doc__
        self.__module__ = task.__module__

    def __getattr__(self, name: str) -> Any:
        """Return what the task has under this name, without the parameter that is bound."""
        if name == "task":
            raise AttributeError(name)  # half unpickled
        if name in ("func", "__wrapped__"):
            return MethodType(self.task.func, self.owner)
        if name == "signature":
            parameters = list(self.task.signature.parameters.values())
            bound = parameters[:1] if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL else []
            return self.task.signature.replace(parameters=parameters[len(bound) :])
        if name == "positional":
            return self.task.positional[1:]
        if name == "is_method":
            return False  # nobody has to give the object any more
        return getattr(self.task, name)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> LazyResult[R]:
        """Record a call of the task with the object as its first argument.

        Raises:
            TypeError: at once, when the arguments do not fit the method.
        """
        return self.task(self.owner, *args, **kwargs)

    def map(self, /, *args: Any, **kwargs: Any) -> LazyMap[R]:
        """Record one call of the method for each item of the inputs; the object goes to every one. See `Task.map`."""
        return self.task.map(Unmapped(self.owner), *args, **kwargs)

    def __get__(self, instance: object, owner: object = None, /) -> Self:  # type: ignore[override]
        """Stay bound to the first object, as Python's methods do."""
        return self

    def with_constraints(self, **amounts: object) -> Self:
        """Return the same method, whose every call takes these amounts of the run's capacities."""
        return type(self)(self.task.with_constraints(**amounts), self.owner)

    def __eq__(self, other: object) -> bool:
        """Compare task and object, both by identity."""
        return isinstance(other, BoundTask) and other.task is self.task and other.owner is self.owner

    def __hash__(self) -> int:
        """Fit the equality; the object need not have a hash."""
        return hash((id(self.task), id(self.owner)))

    def __repr__(self) -> str:
        """Show name, mode and the kind of object."""
        owner = self.owner.__name__ if isinstance(self.owner, type) else f"a {type(self.owner).__name__}"
        return f"<task {self.task.name} ({self.task.mode}) of {owner}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to other processes as Python's methods do: as the object, of which the method is read again."""
        name = str(getattr(self, "__name__", ""))
        if getattr(self.owner, name, None) == self:
            return getattr, (self.owner, name)
        return BoundTask, (self.task, self.owner)


# -- what functions are made of -------------------------------------------------------------------------------------


def _without_descriptor(func: Any) -> tuple[Any, str]:
    """Return the function beneath ``@staticmethod``, ``@classmethod`` and other tasks, and what it binds in a class."""
    binds = ""
    while isinstance(func, (staticmethod, classmethod, Task)):
        if isinstance(func, Task):
            binds, func = binds or ("nothing" if isinstance(func, BoundTask) else func.binds), func.func
        else:
            binds, func = binds or ("class" if isinstance(func, classmethod) else "nothing"), func.__func__
    is_method = hasattr(type(func), "__get__") and not isinstance(func, MethodType)
    return func, binds or ("instance" if is_method else "nothing")


def _layers(func: Any) -> Iterator[Any]:
    """Yield `func` and what it wraps: partials, methods and decorators, outermost first."""
    for _ in range(_MOST_LAYERS):
        yield func
        if isinstance(func, partial):
            func = func.func
        elif isinstance(func, MethodType):
            func = func.__func__
        elif inspect.isroutine(func) and hasattr(func, "__wrapped__"):
            func = func.__wrapped__
        else:
            return


def _is_async(func: object) -> bool:
    call = None if inspect.isclass(func) else getattr(type(func), "__call__", None)  # noqa: B004 - its kind is asked, not whether it is
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(call)


def _name_of(func: Any) -> str:
    """Return a name for people: that of the function, or of the class of an object that can be called."""
    *_, innermost = (layer for layer in _layers(func) if layer is func or isinstance(func, partial))
    return str(getattr(func, "__name__", None) or getattr(innermost, "__name__", None) or type(innermost).__name__)


def _home_of(func: Any) -> str:
    """Return the module of a function; that of a script is the one that it is where something imports it."""
    module = str(getattr(func, "__module__", ""))
    main = sys.modules.get("__main__")
    if module != "__main__" or main is None:
        return module
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec is not None else Path(file).stem if file else module


def _holds_special(value: object, depth: int = 0) -> bool:
    """Say whether a default is, or holds in its lists, tuples, sets and dicts, something that a run fills in."""
    if isinstance(value, _SPECIAL):
        return True
    if not isinstance(value, (list, tuple, set, frozenset, dict)) or depth > _MOST_LAYERS:
        return False
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return any(_holds_special(part, depth + 1) for part in parts)


def _find(module: str, qualname: str) -> object:
    """Return what a loaded module has under a dotted name, None if nothing."""
    found: object = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def _restore(func: Callable[..., Any], settings: tuple[Any, ...]) -> Task[..., Any]:
    name, pure, mode, version, options, depends_on, ignore, binds = settings
    return Task(
        func,
        name=name,
        pure=pure,
        mode=mode,
        version=version,
        options=options,
        depends_on=depends_on,
        ignore=ignore,
        binds=binds,
    )


# -- the decorator --------------------------------------------------------------------------------------------------


class _Decorator(Protocol):
    """What ``@cs.task(…)`` gives, for a type checker."""

    @overload
    def __call__(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, R], /) -> Task[P, R]: ...


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
) -> _Decorator: ...
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

    A method of a class may be one, too: ``obj.method(x)`` records a call with ``obj`` as its first argument. With
    ``@staticmethod`` and ``@classmethod``, write ``@cs.task`` above them.

    Args:
        func: ``def`` or ``async def``, or anything else that can be called.
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

    Raises:
        TypeError: when `func` cannot be called. ValueError: when a setting cannot be meant.

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
        made: Task[..., Any] = Task(
            inner,
            name=name,
            pure=pure,
            mode=mode,
            version=version,
            options=options,
            depends_on=tuple(depends_on),
            ignore=tuple(ignore),
        )
        get_current_context().tasks[made.key] = made
        return made

    return decorate if func is None else decorate(func)
