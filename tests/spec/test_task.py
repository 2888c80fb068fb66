from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import operator
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

import cascade as cs
from cascade.context import get_current_context
from cascade.spec.policy import RetryPolicy
from cascade.spec.task import Task


@cs.task
def scale(values: list[float], factor: float = 2.0, *, offset: float = 0.0) -> list[float]:
    """Scale and shift."""
    return [v * factor + offset for v in values]


def test_calling_records_and_runs_nothing() -> None:
    """A call gives a lazy result; the function itself stays reachable and unchanged."""
    ran: list[int] = []

    @cs.task
    def work() -> None:
        ran.append(1)

    assert repr(work()) == "<lazy work()>"
    assert not ran
    assert scale.func([1.0]) == [2.0]


def test_signature_and_docstring_are_kept() -> None:
    """Help, completion and annotations are those of the function."""
    assert inspect.signature(scale) == inspect.signature(scale.func)
    assert (scale.__name__, scale.__doc__, scale.__module__) == ("scale", "Scale and shift.", __name__)
    assert repr(scale) == "<task scale (blocking)>"


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        ((), {}, "missing a required argument: 'values'"),
        (([], 1, 2), {}, "too many positional arguments"),
        (([],), {"factr": 2}, "got an unexpected keyword argument 'factr'. Did you mean 'factor'?"),
        (([],), {"values": []}, "multiple values for argument 'values'"),
    ],
)
def test_wrong_arguments_fail_at_the_call(args: Any, kwargs: Any, told: str) -> None:
    """The error names the task and its signature, and comes from the line that is wrong; maps alike."""
    for call in (scale, scale.map):
        with pytest.raises(TypeError) as caught:
            call(*args, **kwargs)
        assert str(caught.value).startswith("Task 'scale' cannot be called like this: ")
        assert told in str(caught.value)
        assert "scale(values" in str(caught.value)


def test_any_parameter_kind() -> None:
    """Positional-only, keyword-only, *args, **kwargs, and parameters called ``self`` bind as in Python."""

    @cs.task
    def many(a: int, /, b: int, *rest: int, c: int, **more: int) -> None: ...

    many(1, 2, 3, c=4, d=5)
    many(1, b=2, c=3)
    with pytest.raises(TypeError, match="'c'"):
        many(1, 2)

    @cs.task
    def method(self: Any, other: Any) -> None: ...

    assert method(other=1, self=2)._kwargs == {"other": 1, "self": 2}


def test_functions_without_a_signature_take_anything() -> None:
    """Some built-in functions do not tell what they take."""
    biggest = cs.task(max)
    assert cs.run(biggest([1, 3, 2], key=None), log_level=None) == 3


def test_modes() -> None:
    """Plain functions are blocking unless they say otherwise; coroutine functions take no mode."""

    async def later() -> None: ...

    assert [scale.mode, cs.task(mode="inline")(scale.func).mode, cs.task(later).mode] == ["blocking", "inline", "async"]
    with pytest.raises(ValueError, match="Task 'later' is async and runs on the event loop; it takes no mode"):
        cs.task(mode="compute")(later)
    with pytest.raises(ValueError, match=r"Task 'scale' has no mode 'inlin'. Did you mean 'inline'\?"):
        cs.task(mode="inlin")(scale.func)  # type: ignore[call-overload]


def test_async_is_seen_through_wrappers() -> None:
    """Partials, decorated coroutine functions, async wrappers and objects with an async call are async tasks."""

    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @functools.wraps(later)
    def logged(*args: Any) -> Any:
        return later(*args)

    @functools.wraps(scale.func)
    async def moved(*args: Any) -> Any:
        return scale.func(*args)

    class Caller:
        async def __call__(self) -> int:
            return 1

    for function in (functools.partial(later, 1), logged, moved, Caller()):
        assert cs.task(function).mode == "async"


def test_names() -> None:
    """Functions, partials, callable objects and lambdas have names; a given one wins."""

    class Model:
        def __call__(self) -> int:
            return 1

    made = [
        cs.task(functools.partial(scale.func, [])),
        cs.task(Model()),
        cs.task(lambda: 1),
        cs.task(name="x")(scale.func),
    ]
    assert [task.name for task in made] == ["scale", "Model", "<lambda>", "x"]


def test_whatever_can_be_called_is_a_task() -> None:
    """Built-in functions and methods, classes, lambdas, partials and objects: called, mapped, and by `.func`."""

    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            return x + self.n

    tasks: list[tuple[Any, tuple[Any, ...], Any]] = [
        (cs.task(len), ("ab",), 2),
        (cs.task(str.upper), ("ab",), "AB"),
        (cs.task("ab".join), (["1", "2"],), "1ab2"),
        (cs.task(dict), ([("a", 1)],), {"a": 1}),
        (cs.task(complex), (1, 2), 1 + 2j),
        (cs.task(operator.itemgetter("a")), ({"a": 3},), 3),
        (cs.task(lambda x: -x), (4,), -4),
        (cs.task(Adder(2)), (3,), 5),
        (cs.task(Adder(2).__call__), (3,), 5),
        (cs.task(functools.partial(Adder(2), 3)), (), 5),
        (cs.task(functools.partial(functools.partial(scale.func, [1.0]), factor=3.0)), (), [3.0]),
        (cs.task(functools.lru_cache(lambda x: x)), (6,), 6),
        (cs.task(np.add), (1, 2), 3),
    ]
    assert cs.run([task(*args) for task, args, _ in tasks], log_level=None) == [value for *_, value in tasks]
    assert [task.func(*args) for task, args, _ in tasks] == [value for *_, value in tasks]
    assert cs.run(cs.task(Adder(2)).map([1, 2]), log_level=None) == [3, 4]


def test_async_objects_run() -> None:
    """Partials of coroutine functions, objects with an async call, partials and bound methods of those."""

    class Caller:
        async def __call__(self, x: int) -> int:
            await asyncio.sleep(0)
            return x

    async def later(x: int, *, y: int) -> int:
        await asyncio.sleep(0)
        return x + y

    made = [
        cs.task(functools.partial(later, 1, y=2)),
        cs.task(Caller())(x=3),
        cs.task(functools.partial(Caller(), 3)),
        cs.task(Caller().__call__)(3),
    ]
    calls = [each() if isinstance(each, Task) else each for each in made]
    assert cs.run(calls, log_level=None) == [3, 3, 3, 3]
    assert cs.task(Caller).mode == "blocking"  # the class itself is called to make one


def test_names_of_objects() -> None:
    """A partial of an object is called after the object's class."""

    class Model:
        def __call__(self) -> int:
            return 1

    assert [cs.task(functools.partial(Model())).name, cs.task(dict).name] == ["Model", "dict"]


def test_defaults_that_a_run_fills_in() -> None:
    """Params and resources as defaults, also in lists and dicts; what is given wins."""
    n = cs.Param("n", default=1)

    @cs.task
    def many(
        a: Any = n,
        *rest: Any,
        b: Any = (cs.Param("m", 2), [cs.Param("k", 3)]),
        c: Any = {"x": n},  # noqa: B006 - nobody changes it
    ) -> Any:
        return a, rest, b, c

    assert sorted(many.defaults) == ["a", "b", "c"]
    assert cs.run(many(), log_level=None, params={"n": 5}) == (5, (), (2, [3]), {"x": 5})
    assert cs.run(many(0, 1, b=2, c=3), log_level=None) == (0, (1,), 2, 3)


def test_only_functions_are_decorated() -> None:
    """Anything else is told by its type; a task is taken apart first."""
    with pytest.raises(TypeError, match=r"@cs\.task decorates functions, not int"):
        cs.task(3)  # type: ignore[call-overload]
    assert cs.task(scale).func is scale.func
    assert cs.task(cs.task(name="x")(scale)).name == "scale"
    for unfit in (property(lambda self: 1), functools.partialmethod(scale.func)):
        with pytest.raises(TypeError, match=r"@cs\.task decorates functions, not (property|partialmethod)"):
            cs.task(unfit)  # type: ignore[call-overload]


def test_settings_of_the_decorator_become_options() -> None:
    """retry, timeout and constraints are what every call starts with; each call may change its own."""

    @cs.task(retry=5, timeout=2, constraints={"gpu": 1})
    def work() -> None: ...

    call = work()
    assert call._options.retry == RetryPolicy(max_attempts=5)
    assert call._options.timeout == 2.0
    assert call.with_constraints(cpu=2)._options.constraints == {"gpu": 1, "cpu": 2}
    assert work()._options is work()._options


@pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan"), float("inf")])
def test_wrong_timeouts(timeout: Any) -> None:
    """A timeout is a finite number of seconds above 0, in the decorator and at the call."""
    with pytest.raises(ValueError, match="A timeout is a number of seconds above 0"):
        cs.task(timeout=timeout)
    with pytest.raises(ValueError, match="A timeout is a number of seconds above 0"):
        scale([]).with_timeout(timeout)


def test_with_constraints_as_method_function_and_decorator() -> None:
    """All three give a task whose calls take the amounts, and leave the first one alone."""
    for made in (scale.with_constraints(gpu=1), cs.with_constraints(scale, gpu=1), cs.with_constraints(gpu=1)(scale)):
        assert made([])._options.constraints == {"gpu": 1}
        assert isinstance(made, Task)
    assert scale([])._options is None
    assert get_current_context().tasks.get(scale.key, scale) is scale  # they are no definitions of their own


@pytest.mark.parametrize("width", [0, -1, 1.5, "2"])
def test_wrong_widths_of_maps(width: Any) -> None:
    """max_concurrency is a whole number of at least 1."""
    with pytest.raises(ValueError, match="max_concurrency of a map is a whole number of at least 1"):
        scale.map([1], max_concurrency=width)


def test_wrong_on_error_of_maps() -> None:
    """on_error is one of two words."""
    with pytest.raises(ValueError, match="on_error of a map is 'fail' or 'collect', not 'skip'"):
        scale.map([1], on_error="skip")  # type: ignore[arg-type]


def test_defining_again_replaces() -> None:
    """The workflow context knows the newest task of a key (a notebook cell that was run again)."""

    def define() -> Any:
        @cs.task
        def again() -> int:
            return 1

        return again

    define()
    newest = define()
    assert get_current_context().tasks[newest.key] is newest


def test_tasks_travel_to_other_processes() -> None:
    """A pickled task is the same function with the same settings; tasks of notebooks go by cloudpickle."""
    made = cs.task(name="n", pure=True, mode="compute", retry=3)(len)
    back = pickle.loads(pickle.dumps(made))
    assert (back.name, back.pure, back.mode, back.options, back.func) == ("n", True, "compute", made.options, len)
    assert cloudpickle.loads(cloudpickle.dumps(cs.task(lambda: 5))).func() == 5


def test_tasks_of_modules_travel_by_name() -> None:
    """What another process can import is not sent: a copy of a task is the task itself, as with functions."""
    for task in (scale, copy.copy(scale), copy.deepcopy([scale])[0]):
        assert pickle.loads(pickle.dumps(task)) is scale
    assert len(pickle.dumps(scale)) < 100
    variant = scale.with_constraints(gpu=1)
    assert cloudpickle.loads(cloudpickle.dumps(variant)).options == variant.options


def test_travelling_registers_nothing() -> None:
    """A copy that comes back does not take the place of the task that a graph file would find."""
    made = cs.task(name="n")(len)
    pickle.loads(pickle.dumps(made))
    made.with_constraints(gpu=1)
    assert get_current_context().tasks[made.key] is made


GROWING = """
import cascade as cs

@cs.task(pure=True)
def clean(n):
    return n + 1

@cs.task(pure=True)
def listing():
    print("listing", end=" ")
    return [clean(n) for n in range(3)]

if __name__ == "__main__":
    print(clean.key, cs.run(listing(), cache=".cascade", log_level=None))
"""


@pytest.mark.slow
def test_a_script_is_the_module_of_its_name(tmp_path: Path) -> None:
    """What a script remembers serves, whether it is run by its path, as a module, or imported."""
    (tmp_path / "flow.py").write_text(GROWING)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "other.py").write_text(GROWING)
    imported = (
        "import cascade as cs, flow; print(flow.clean.key, cs.run(flow.listing(), cache='.cascade', log_level=None))"
    )

    def say(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout

    assert say("flow.py") == "listing flow:clean [1, 2, 3]\n"
    assert say("flow.py") == say("-m", "flow") == say("-c", imported) == "flow:clean [1, 2, 3]\n"
    assert say("-m", "pack.other").split()[1] == "pack.other:clean"
