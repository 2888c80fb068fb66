"""Resources: things with a lifetime, and the marks that ask for them.

In: a generator function or a maker of context managers. Out: a `Resource` that the runtime opens on first need and
closes exactly once, and `Inject` marks. Invariant: defining or injecting opens nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any, Literal, overload

from cascade.context import get_current_context
from cascade.interfaces.exceptions import ResourceError
from cascade.spec.input import Input
from cascade.spec.lazy_types import LazyResult

__all__ = ["Inject", "Resource", "inject", "override_resource", "resource"]

Scope = Literal["run", "task", "session"]
_SCOPES = ("run", "task", "session")


class Resource:
    """Something with a lifetime: a connection, a client, a temporary folder.

    Args:
        function: a sync or async generator function that yields once, or a callable that returns a context manager.
        name: by which tasks ask for it.
        scope: ``run``: one for the run; ``task``: one for each attempt; ``session``: one until the process ends.
    """

    __slots__ = ("function", "name", "needs", "scope")

    def __init__(self, function: Callable[..., Any], name: str, scope: Scope) -> None:
        """Check the shape; opens nothing."""
        if scope not in _SCOPES:
            raise ValueError(f"The scope {scope!r} of resource '{name}' is not one of {', '.join(_SCOPES)}.")
        if not callable(function):
            raise ResourceError.for_shape(name)
        self.function = function
        self.name = name
        self.scope: Scope = scope
        self.needs = injected_parameters(function)
        _check_parameters(name, function)

    @property
    def is_async(self) -> bool:
        """Whether it must be opened and closed on an event loop."""
        function = self.function
        if inspect.isclass(function):
            return hasattr(function, "__aenter__") and not hasattr(function, "__enter__")
        return inspect.isasyncgenfunction(inspect.unwrap(function))  # also beneath @asynccontextmanager

    def open(self, **injected: object) -> AbstractContextManager[Any] | AbstractAsyncContextManager[Any]:
        """Return a context manager for one instance.

        Raises:
            ResourceError: when the function gives neither a generator nor a context manager.
        """
        from contextlib import asynccontextmanager

        if inspect.isgeneratorfunction(self.function):
            return contextmanager(self.function)(**injected)
        if inspect.isasyncgenfunction(self.function):
            return asynccontextmanager(self.function)(**injected)
        made = self.function(**injected)
        if hasattr(made, "__enter__") or hasattr(made, "__aenter__"):
            return made  # type: ignore[no-any-return]
        raise ResourceError.for_shape(self.name)

    def __repr__(self) -> str:
        """Show name and scope."""
        return f"<resource {self.name} ({self.scope})>"


class Inject:
    """The mark that stands for a resource instance, as a parameter default or an argument."""

    __slots__ = ("resource",)

    def __init__(self, wanted: str | Resource) -> None:
        """Keep what is wanted, by name or by object."""
        self.resource = wanted

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.resource if isinstance(self.resource, str) else self.resource.name

    def __repr__(self) -> str:
        """Show the name."""
        return f"inject({self.name!r})"


def inject(wanted: str | Resource) -> Any:
    """Ask for a resource by name or object, as a parameter's default or as an argument.

    Example:
        >>> import cascade as cs
        >>> @cs.resource
        ... def numbers():
        ...     yield [1, 2, 3]
        >>> @cs.task
        ... def total(values=cs.inject("numbers")): return sum(values)
        >>> cs.run(total(), log_level="ERROR")
        6
    """
    if not isinstance(wanted, (str, Resource)):
        raise TypeError(f"cs.inject takes a resource or its name, not {type(wanted).__name__}.")
    return Inject(wanted)


@overload
def resource(function: Callable[..., Any], /) -> Resource: ...
@overload
def resource(*, name: str | None = None, scope: Scope = "run") -> Callable[[Callable[..., Any]], Resource]: ...
def resource(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, scope: Scope = "run"
) -> Resource | Callable[[Callable[..., Any]], Resource]:
    """Make a resource of a generator function or context manager, and register it by name.

    What stands before ``yield`` sets it up, what stands after tears it down. If the run fails, the failure is raised
    at the ``yield``, so that ``except`` can roll back; a clean end goes on after it.

    Example:
        >>> import cascade as cs
        >>> @cs.resource(name="folder")
        ... def temporary_folder():
        ...     import tempfile
        ...     with tempfile.TemporaryDirectory() as path:
        ...         yield path
    """

    def make(inner: Callable[..., Any]) -> Resource:
        made = Resource(inner, name or str(getattr(inner, "__name__", type(inner).__name__)), scope)
        get_current_context().resources[made.name] = made
        return made

    return make if function is None else make(function)


@contextmanager
def override_resource(name: str | Resource, replacement: object) -> Iterator[None]:
    """Let `replacement` stand in for the resource `name` in every run that starts inside the ``with`` block.

    Args:
        name: the resource, or its name; it need not be defined.
        replacement: a resource, or a value that tasks get as it is and that nobody closes.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def read(db=cs.inject("db")): return db["answer"]
        >>> with cs.override_resource("db", {"answer": 42}):
        ...     cs.run(read(), log_level="ERROR")
        42
    """
    key = name.name if isinstance(name, Resource) else name
    overrides = get_current_context().overrides
    before = overrides.get(key)
    overrides[key] = replacement if isinstance(replacement, Resource) else _given(key, replacement)
    try:
        yield
    finally:
        if before is None:
            overrides.pop(key, None)
        else:
            overrides[key] = before


def _given(name: str, value: object) -> Resource:
    """Return a resource that is `value`, with nothing to set up or tear down."""

    def give() -> Iterator[object]:
        yield value

    return Resource(give, name, "run")


def _check_parameters(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function with parameters that nobody would fill."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    for parameter in parameters:
        is_open = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not is_open:
            raise ResourceError.for_parameter(name, parameter.name)
        if isinstance(parameter.default, (Input, LazyResult)):
            raise ResourceError.for_default(name, parameter.name, parameter.default)


def injected_parameters(function: Callable[..., Any]) -> dict[str, Inject]:
    """Return the parameters of `function` whose default asks for a resource."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    found: dict[str, Inject] = {}
    for parameter in parameters:
        if isinstance(parameter.default, Inject):
            found[parameter.name] = parameter.default
        elif isinstance(parameter.default, Resource):
            found[parameter.name] = Inject(parameter.default)
    return found
