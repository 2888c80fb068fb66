"""What a type checker knows of tasks that are methods. Checked by mypy (test_typing.py), never run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar, assert_type

import cascade as cs
from cascade.spec.lazy_types import LazyMap
from cascade.spec.task import BoundTask, Task

T = TypeVar("T")


class Model:
    """Every kind of method."""

    @cs.task
    def fit(self, x: int, name: str = "") -> float:
        """A plain method."""
        return float(x)

    @cs.task(pure=True, retry=3)
    def tuned(self, *, rate: float) -> list[int]:
        """A method with options, and an argument by name only."""
        return []

    @cs.task
    async def fetch(self, url: str) -> bytes:
        """A coroutine method."""
        return url.encode()

    @cs.task(timeout=3)
    async def fetch_soon(self, url: str) -> bytes:
        """A coroutine method with options."""
        return url.encode()

    @cs.task
    @staticmethod
    def above(x: int) -> str:
        """A static method."""
        return str(x)

    @staticmethod
    @cs.task
    def below(x: int) -> str:
        """A static method in the other order."""
        return str(x)

    @cs.task
    @staticmethod
    def nothing() -> str:
        """A static method without arguments."""
        return ""

    @cs.task
    @classmethod
    def make(cls, x: int) -> Model:
        """A class method."""
        return cls()

    @classmethod
    @cs.task
    def build(cls, x: int) -> Model:
        """A class method in the other order."""
        return cls()


class Child(Model):
    """Inherits, overrides, asks its parent."""

    @cs.task
    def fit(self, x: int, name: str = "") -> float:
        """Override."""
        assert_type(super().fit(x, name), cs.LazyResult[float])
        return 1.0


class Box(Generic[T]):
    """A generic class."""

    @cs.task
    def put(self, x: T) -> list[T]:
        """Its methods know its type."""
        return [x]


class Base(ABC):
    """An abstract class."""

    @cs.task
    @abstractmethod
    def run(self, x: int) -> int:
        """Some task."""


model = Model()

# A call through an object has no self; through the class it has.
assert_type(model.fit(1), cs.LazyResult[float])
assert_type(model.fit(x=1, name="a"), cs.LazyResult[float])
assert_type(Model.fit(model, 1), cs.LazyResult[float])
assert_type(model.tuned(rate=0.5), cs.LazyResult[list[int]])
model.fit()  # type: ignore[call-arg]
model.fit("1")  # type: ignore[arg-type]
model.fit(model, 1)  # type: ignore[arg-type]
model.fit(1, nam="a")  # type: ignore[call-arg]
model.tuned(0.5)  # type: ignore[call-arg]
Model.fit(1)  # type: ignore[call-arg, arg-type]

# Coroutine methods give what they return in the end.
assert_type(model.fetch("u"), cs.LazyResult[bytes])
assert_type(model.fetch_soon("u"), cs.LazyResult[bytes])
model.fetch(1)  # type: ignore[arg-type]

# Static methods bind nothing, in both orders.
assert_type(model.above(1), cs.LazyResult[str])
assert_type(Model.above(1), cs.LazyResult[str])
assert_type(model.below(1), cs.LazyResult[str])
assert_type(Model.below(1), cs.LazyResult[str])
assert_type(model.nothing(), cs.LazyResult[str])
Model.above("1")  # type: ignore[arg-type]
model.nothing(1)  # type: ignore[call-arg]

# Class methods bind the class, in both orders, through class and object.
assert_type(Model.make(1), cs.LazyResult[Model])
assert_type(model.make(1), cs.LazyResult[Model])
assert_type(Model.build(1), cs.LazyResult[Model])
assert_type(Child.build(1), cs.LazyResult[Model])
Model.make(Model, 1)  # type: ignore[call-arg, arg-type]
Model.build("1")  # type: ignore[arg-type]

# What a bound method can do.
assert_type(model.fit, BoundTask[[int, str], float])  # type: ignore[assert-type] # names are kept, which no type says
assert_type(model.fit.map([1, 2]), LazyMap[float])
assert_type(model.fit.with_constraints(gpu=1)(1), cs.LazyResult[float])
assert_type(model.make.map([1]), LazyMap[Model])
assert_type(Child().fit(2), cs.LazyResult[float])
assert_type(Box[int]().put(1), cs.LazyResult[list[int]])
Box[int]().put("1")  # type: ignore[arg-type]


def compose(base: Base, step: Task[[int], int]) -> cs.LazyResult[int]:
    """Methods fit where tasks are asked for."""
    assert_type(base.run(1), cs.LazyResult[int])
    return step(1)


def use(base: Base) -> None:
    """A bound method is a task."""
    compose(base, base.run)
    compose(base, Model.above)  # type: ignore[arg-type]
