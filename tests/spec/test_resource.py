from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import cascade as cs
from cascade.context import get_current_context
from cascade.interfaces.exceptions import ResourceError
from cascade.spec.resource import Resource


def test_decorating_registers_and_opens_nothing() -> None:
    """The context finds it by name; the function has not run."""
    ran: list[int] = []

    @cs.resource
    def db() -> Any:
        ran.append(1)
        yield 1

    assert get_current_context().resources == {"db": db}
    assert not ran
    assert repr(db) == "<resource db (run)>"


def test_names_and_scopes() -> None:
    """A given name wins; the scope is one of three words."""

    @cs.resource(name="other", scope="session")
    def db() -> Any:
        yield 1

    assert (db.name, db.scope) == ("other", "session")
    with pytest.raises(ValueError, match="The scope 'forever' of resource 'f' is not one of run, task, session"):
        cs.resource(name="f", scope="forever")(db.function)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", ["generator", "contextmanager", "class", "nullary"])
def test_everything_with_a_lifetime(kind: str) -> None:
    """Generator functions, context manager functions and classes are opened alike."""

    def generator() -> Any:
        yield "value"

    class Manager:
        def __enter__(self) -> str:
            return "value"

        def __exit__(self, *_: object) -> None: ...

    function = {
        "generator": generator,
        "contextmanager": contextmanager(generator),
        "class": Manager,
        "nullary": lambda: Manager(),  # noqa: PLW0108 - a function that makes one is another kind
    }[kind]
    made = cs.resource(name="x")(function)
    assert not made.is_async
    with made.open() as value:  # type: ignore[union-attr]
        assert value == "value"


def test_async_ones_are_known_before_they_are_opened() -> None:
    """Async generators, async context manager functions and classes; both kinds of methods count as sync."""

    async def generator() -> Any:
        yield 1

    class Manager:
        async def __aenter__(self) -> int:
            return 1

        async def __aexit__(self, *_: object) -> None: ...

    class Both(Manager):
        def __enter__(self) -> int:
            return 1

        def __exit__(self, *_: object) -> None: ...

    made = [Resource(f, "x", "run") for f in (generator, asynccontextmanager(generator), Manager, Both)]
    assert [resource.is_async for resource in made] == [True, True, True, False]


def test_what_has_no_lifetime() -> None:
    """Not callable is refused at once; a function that gives no context manager, when it is opened."""
    with pytest.raises(ResourceError, match="'x' cannot be a resource: it must be a generator function"):
        Resource(3, "x", "run")  # type: ignore[arg-type]
    with pytest.raises(ResourceError, match="'x' cannot be a resource"):
        Resource(lambda: 3, "x", "run").open()


def test_parameters_are_injected_or_have_defaults() -> None:
    """A parameter that nobody fills is an error at the definition; so is one that only a task could fill."""

    @cs.resource
    def pool(size: int = 3, *, net: Any = cs.inject("net"), **options: Any) -> Any:
        yield size

    assert {name: mark.name for name, mark in pool.needs.items()} == {"net": "net"}
    with pytest.raises(ResourceError, match="Nobody gives the resource 'db' its parameter 'url'"):

        @cs.resource
        def db(url: str) -> Any:
            yield url

    param, lazy = cs.Param("url"), cs.task(len)("abc")
    for default in (param, lazy):
        with pytest.raises(ResourceError, match=r"has (Param|<lazy).* as the default of 'url'"):

            @cs.resource
            def other(url: Any = default) -> Any:
                yield url


def test_a_class_of_the_library_is_a_resource() -> None:
    """`TemporaryDirectory` and its like need no wrapper."""
    folder = cs.resource(name="folder")(TemporaryDirectory)
    with folder.open() as path:  # type: ignore[union-attr]
        assert isinstance(path, str)


def test_a_resource_as_default_of_another() -> None:
    """A resource object may stand for its own injection."""

    @cs.resource
    def net() -> Any:
        yield 1

    @cs.resource
    def db(net: Any = net) -> Any:
        yield net

    assert db.needs["net"].resource is net


@pytest.mark.parametrize("wanted", [3, None, lambda: 1])
def test_inject_takes_names_and_resources(wanted: Any) -> None:
    """Anything else is an error at once."""
    with pytest.raises(TypeError, match=r"cs\.inject takes a resource or its name"):
        cs.inject(wanted)


def test_override_is_undone() -> None:
    """The stand-in holds inside the block only, after an error too, and blocks nest."""

    @cs.resource
    def db() -> Any:
        yield "real"

    overrides = get_current_context().overrides
    with pytest.raises(ZeroDivisionError), cs.override_resource(db, "fake"):
        with cs.override_resource("db", db):
            assert overrides["db"] is db
        with overrides["db"].open() as value:  # type: ignore[union-attr]
            assert value == "fake"
        _ = 1 / 0
    assert not overrides


def test_an_override_may_be_anything() -> None:
    """None, a list and a function are given as they are, not called."""
    for fake in (None, [], lambda: 1):
        with (
            cs.override_resource("db", fake),
            get_current_context().overrides["db"].open() as value,  # type: ignore[union-attr]
        ):
            assert value is fake


def test_an_override_stands_in_during_a_run() -> None:
    """A run inside the block uses the stand-in, one after it the real thing."""

    @cs.resource
    def db() -> Any:
        yield "real"

    @cs.task
    def read(source: Any = cs.inject("db")) -> Any:
        return source

    with cs.override_resource("db", "fake"):
        assert cs.run(read(), log_level=None) == "fake"
    assert cs.run(read(), log_level=None) == "real"
