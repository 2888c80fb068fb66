"""Tasks that are methods: what is bound, what is kept, and what a graph knows of the object."""

from __future__ import annotations

import abc
import asyncio
import copy
import functools
import inspect
import pickle
import sys
from dataclasses import dataclass
from typing import Any

import cloudpickle
import pytest

import cascade as cs
from cascade.graph.build import build
from cascade.spec.task import BoundTask, Task

QUIET: dict[str, Any] = {"log_level": None}


class Model:
    """A class as people write it: state, and steps that use it."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @cs.task(pure=True, name="fitting", retry=2, constraints={"gpu": 1})
    def fit(self, x: int, shift: int = 1) -> int:
        """Scale and shift."""
        return self.factor * x + shift

    @cs.task
    async def fetch(self, x: int) -> int:
        await asyncio.sleep(0)
        return self.factor * x

    @cs.task(mode="compute")
    def far(self, x: int) -> int:
        return self.factor * x

    @cs.task(mode="inline")
    def near(self, x: int) -> int:
        return self.factor * x

    @cs.task
    @staticmethod
    def above(x: int) -> int:
        return x + 1

    @staticmethod
    @cs.task
    def below(x: int) -> int:
        return x + 2

    @cs.task
    @classmethod
    def make(cls, x: int) -> tuple[str, int]:
        return cls.__name__, x

    @classmethod
    @cs.task
    def build(cls, x: int) -> tuple[str, int]:
        return cls.__name__, x


class Child(Model):
    @cs.task
    def fetch(self, x: int) -> Any:
        return "child", super().fetch

    @cs.task
    @classmethod
    def make(cls, x: int) -> Any:
        return "child", super().make.func(x)


@pytest.fixture
def model() -> Model:
    """An object of that class."""
    return Model(3)


def test_methods_know_their_object(model: Model) -> None:
    """Blocking, async, inline and compute methods run with the object that they were read from."""
    calls = [model.near(2), model.fetch(2), Model(5).near(2), model.above(1), model.below(1)]
    assert cs.run([*calls, model.fit(2).with_constraints(gpu=0)], system_resources={"gpu": 1}, **QUIET) == [
        6, 6, 10, 2, 3, 7,
    ]  # fmt: skip


@pytest.mark.slow
def test_methods_run_in_other_processes(model: Model) -> None:
    """The object travels with the call."""
    assert cs.run([model.far(2), model.far.map([1, 2])], **QUIET) == [6, [3, 6]]


def test_access_through_the_class_gives_the_task(model: Model) -> None:
    """The class has the plain task, whose first argument is the object; static methods bind nothing anywhere."""
    assert type(Model.near) is Task
    assert cs.run(Model.near(model, 2), **QUIET) == 6
    assert Model.above is model.above
    assert Model.below is model.below
    assert cs.run([Model.above(1), Model.below(1)], **QUIET) == [2, 3]


def test_class_methods_in_both_orders(model: Model) -> None:
    """The class is bound, that of the object or the one that was named; subclasses bind themselves."""
    calls = [Model.make(1), model.make(2), Child.build(3), Child(1).build(4), Model.build(5), model.build(6)]
    wanted = [("Model", 1), ("Model", 2), ("Child", 3), ("Child", 4), ("Model", 5), ("Model", 6)]
    assert cs.run(calls, **QUIET) == wanted
    assert cs.run(Child.make(7), **QUIET) == ("child", ("Child", 7))


def test_subclasses_and_super(model: Model) -> None:
    """A method that is not overridden is the parent's; `super()` finds the parent's with the same object."""
    child = Child(4)
    assert child.near == BoundTask(Model.near, child)
    assert cs.run(child.near(1), **QUIET) == 4
    word, parents = Child.fetch.func(child, 1)
    assert (word, parents) == ("child", BoundTask(Model.fetch, child))
    assert cs.run(parents(1), **QUIET) == 4


def test_settings_of_the_task_are_kept(model: Model) -> None:
    """Name, mode, purity, retries and amounts are those of the decorator."""
    call = model.fit(1)
    assert (call._task, call._args, call._label) == (Model.fit, (model, 1), "fitting")
    assert call._options is Model.fit.options
    bound = model.fit
    assert (bound.name, bound.mode, bound.pure, bound.key) == ("fitting", "blocking", True, Model.fit.key)
    assert repr(bound) == "<task fitting (blocking) of a Model>"
    assert repr(Model.make) == "<task make (blocking) of Model>"
    assert repr(call) == "<lazy fitting(<Model>, 1)>"


def test_help_is_that_of_a_method(model: Model) -> None:
    """Signature without the object, docstring and name as Python's own methods have them."""
    assert inspect.signature(model.fit) == inspect.signature(model.fit.func) == model.fit.signature
    assert list(inspect.signature(Model.fit).parameters) == ["self", "x", "shift"]
    assert (model.fit.__doc__, model.fit.__name__, model.fit.__qualname__) == ("Scale and shift.", "fit", "Model.fit")
    assert (model.fit.__module__, model.fit.positional) == (__name__, ("x", "shift"))
    assert inspect.unwrap(model.fit) == model.fit.func
    assert not hasattr(model.fit, "nothing_of_the_kind")


def test_func_is_the_bound_function(model: Model) -> None:
    """A direct call needs no run."""
    assert model.fit.func(2) == 7
    assert Model.fit.func(model, 2) == 7
    assert Child.make.func(1) == ("child", ("Child", 1))
    assert asyncio.run(model.fetch.func(2)) == 6


def test_wrong_arguments_fail_at_the_call(model: Model) -> None:
    """As for functions, with the signature; the object cannot be given twice."""
    for call in (model.fit, model.fit.map):
        with pytest.raises(TypeError, match=r"'fitting' cannot be called like this: missing a required argument: 'x'"):
            call()
        with pytest.raises(TypeError, match="multiple values for argument 'self'"):
            call(1, self=2)


def test_maps_of_methods(model: Model) -> None:
    """Every item has the object, also when it could be iterated itself."""

    class Rows(list):  # type: ignore[type-arg]
        @cs.task
        def pick(self, i: int) -> Any:
            return self[i]

    assert cs.run(model.near.map([1, 2, 3]), **QUIET) == [3, 6, 9]
    assert cs.run(model.fetch.map(x=[1, 2], max_concurrency=1), **QUIET) == [3, 6]
    assert cs.run(Rows("abc").pick.map([2, 0]), **QUIET) == ["c", "a"]
    assert cs.run(Model.make.map([1]), **QUIET) == [("Model", 1)]
    with pytest.raises(ValueError, match="max_concurrency of a map"):
        model.near.map([1], max_concurrency=0)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="only on Python below 3.13: classmethod wraps no descriptors")
def test_maps_of_class_methods_beneath_classmethod() -> None:
    """With `@classmethod` outermost, a map binds the class as well, as far as Python lets it know."""
    assert cs.run(Child.build.map([1]), **QUIET) == [("Child", 1)]


def test_constraints_of_methods(model: Model) -> None:
    """`.with_constraints` and `cs.with_constraints` give a method of the same object."""
    for made in (model.near.with_constraints(cpu=2), cs.with_constraints(model.near, cpu=2)):
        assert made(1)._options.constraints == {"cpu": 2}
        assert made(1)._args == (model, 1)
        assert isinstance(made, BoundTask)
    assert model.near(1)._options is None


def test_equality_is_by_task_and_object(model: Model) -> None:
    """The same method of the same object is equal, with one hash, whether the object has one or not."""
    assert model.near == model.near
    assert hash(model.near) == hash(model.near)
    assert len({model.near, model.near, model.fetch, Model(3).near}) == 3
    assert model.near != Model.near

    @dataclass
    class NoHash:
        x: int

        @cs.task
        def go(self) -> int:
            return self.x

    assert hash(NoHash(1).go) != hash(NoHash(1).go) or NoHash(1).go != NoHash(1).go


def test_equal_pure_calls_on_one_object_are_one_node(model: Model) -> None:
    """The object counts by identity: two objects have two nodes, whatever is in them."""
    other = Model(3)
    assert len(build([model.fit(1), model.fit(1), other.fit(1), model.fit(2)])) == 3
    assert len(build([model.fit.map([1]), model.fit.map([1]), other.fit.map([1])])) == 2
    assert len(build([model.near(1), model.near(1)])) == 2


def test_lazy_fields_of_the_object_are_arguments() -> None:
    """A dataclass that holds a lazy result has its value when the method runs."""

    @dataclass
    class Report:
        data: Any

        @cs.task
        def lines(self) -> int:
            return len(self.data)

    data = cs.task(lambda: [1, 2, 3], name="data")()
    assert cs.run(Report(data).lines(), **QUIET) == 3
    assert len(build(Report(data).lines())) == 2


def test_methods_travel(model: Model) -> None:
    """Copies are equal in effect, in this process and from another one."""
    for back in (pickle.loads(pickle.dumps(model.near)), cloudpickle.loads(cloudpickle.dumps(model.near))):
        assert back.task is Model.near
        assert back.func(2) == 6
    assert copy.copy(model.near) == model.near
    assert pickle.loads(pickle.dumps(Model.make)) == Model.make
    assert pickle.loads(pickle.dumps(Model.near)) is Model.near

    class Local:
        @cs.task
        def me(self) -> Any:
            return type(self).__name__, super().__init__

    assert cloudpickle.loads(cloudpickle.dumps(Local().me)).func()[0] == "Local"


def test_a_bound_task_stays_bound(model: Model) -> None:
    """In the body of another class it keeps its first object, as Python's methods do; so does what is made of it."""

    class Other:
        step = model.near
        again = cs.task(model.near)
        plain = cs.task(len)

    assert Other.step == Other().step == model.near
    assert cs.run([Other().step(1), Other().again(2), Other().plain([1])], **QUIET) == [3, 6, 1]


def test_functions_in_classes_become_methods() -> None:
    """As with undecorated functions, one that is assigned in a class binds, and one in an object does not."""

    @cs.task
    def outside(self: Any, x: int = 1) -> Any:
        return self, x

    class Holder:
        inside = outside

    holder = Holder()
    assert cs.run(holder.inside(2), **QUIET) == (holder, 2)
    holder.inside = outside  # type: ignore[method-assign, assignment]
    assert cs.run(holder.inside("first"), **QUIET) == ("first", 1)


def test_partial_methods(model: Model) -> None:
    """`functools.partialmethod` of a task, and a partial of a bound one, record calls."""

    class Partial(Model):
        double = functools.partialmethod(Model.near, 2)

    assert cs.run([Partial(3).double(), functools.partial(model.near, x=5)()], **QUIET) == [6, 15]


def test_abstract_methods_stay_abstract() -> None:
    """In either order, a class that lacks them cannot be made."""

    class Base(abc.ABC):
        @cs.task
        @abc.abstractmethod
        def one(self) -> int: ...

        @abc.abstractmethod
        @cs.task
        def two(self) -> int: ...

    assert Base.__abstractmethods__ == {"one", "two"}
    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]


def test_resources_and_params_as_defaults_of_methods(model: Model) -> None:
    """What is left out is filled in by the run."""

    @cs.resource
    def numbers() -> Any:
        yield [1, 2]

    class User(Model):
        @cs.task
        def total(self, values: Any = cs.inject("numbers"), extra: int = cs.Param("extra", 1)) -> int:
            return self.factor * sum(values) + extra

    assert cs.run(User(2).total(), **QUIET) == 7
    assert cs.run(User(2).total([5], extra=0), **QUIET) == 10


def test_what_counts_as_a_method() -> None:
    """A task knows whether it was written in a class, since then its first argument is no one's data."""

    @cs.task
    def free(x: int) -> int:
        return x

    made = [getattr(method, "task", None) or method.__func__ for method in (Model.make, Model.build)]  # from 3.13 on
    assert [task.is_method for task in (Model.near, *made)] == [True] * 3
    assert [task.is_method for task in (Model.above, free, cs.task(len), Model(1).near)] == [False] * 4
