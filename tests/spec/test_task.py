from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
from typing import Any

import cloudpickle
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


def test_only_functions_are_decorated() -> None:
    """Anything else is told by its type; a task is taken apart first."""
    with pytest.raises(TypeError, match=r"@cs\.task decorates functions, not int"):
        cs.task(3)  # type: ignore[call-overload]
    assert cs.task(scale).func is scale.func


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
