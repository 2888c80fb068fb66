"""Function → key: equal for code that does the same, in every process.

In: a task or a function. Out: its `CodeKey`: a digest, and the parts that tell later what changed. Invariant: all that
the code really uses counts, as it is now, when the key is asked for; comments, blank lines, docstrings, annotations
that nobody evaluates, and the place of the code do not.

What counts: bytecode and constants, the names of local variables, defaults, values of enclosing functions, and every
global that is loaded: the user's own functions and classes by their code, libraries by their version, other tasks by
their name, Params, Envs and resources by theirs, everything else by value. What does not show in the code is not seen:
``getattr(module, name)`` with a computed name, files and environment variables read inside the body (say those with
`File` and `Env`), what C extensions do, and patches made later.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from cascade.identity.buffers import SIZE
from cascade.identity.data import Opaque, sized
from cascade.identity.errors import IdentityError
from cascade.identity.members import name_of_code
from cascade.identity.objects import CODE
from cascade.identity.origin import PYTHON
from cascade.identity.parts import CodeKey, Part
from cascade.identity.walk import Walker
from cascade.spec.task import BoundTask, Task

__all__ = ["CodeKey", "Part", "code_key", "token_maker", "written_in"]

_PERSON: Final = b"cascade/code/1"


def code_key(task_or_function: Any, *, strict: bool = False) -> CodeKey:
    """Return the key of the code of a task or a function.

    ``version=`` of a task stands for its own code; ``depends_on=`` adds to it. ``ignore=`` names arguments, and so has
    no part in this key. The name of the task has none either.

    Args:
        task_or_function: a task, or anything that can be called.
        strict: refuse what cannot be keyed; otherwise it counts by its type, with a warning in the key.

    Raises:
        IdentityError: for what cannot be called, and in strict mode for what cannot be keyed.
        OSError: when a `File` that exists cannot be read.

    Example:
        >>> def half(x): return x / 2
        >>> def third(x): return x / 3
        >>> code_key(half).digest == code_key(third).digest
        False
    """
    task = task_or_function.task if isinstance(task_or_function, BoundTask) else task_or_function
    function = task.func if isinstance(task, Task) else task
    if not callable(function):
        raise IdentityError.for_callable(function)
    label = task.name if isinstance(task, Task) else name_of_code(function)
    walker = Walker(label, is_strict=strict)
    try:
        tokens = [PYTHON.encode(), *_own_tokens(walker, task, label)]
        if isinstance(task, Task):
            tokens.extend(_depend(walker, each, label) for each in task.depends_on)
    except (RecursionError, Opaque):  # Opaque: a constant of a function that is met too deep
        raise IdentityError.for_depth(label) from None
    digest = blake2b(b"".join(sized(b"", token) for token in tokens), digest_size=SIZE, person=_PERSON).hexdigest()
    return CodeKey(digest, tuple(walker.parts), tuple(walker.warnings))


def written_in(task: Task[..., Any]) -> list[Any]:
    """Return the tasks, Params, resources, lazy results and Routers that the code of a task uses now, themselves.

    Those that the key knows by name: what the code would take, if it ran. ``version=`` hides none of them.

    Raises:
        IdentityError: when the code refers to itself too deeply.
    """
    walker = Walker(task.name, is_strict=False)
    try:
        if isinstance(task.func, CODE):
            walker.code(task.func, task.name, "function")
        else:
            walker.value(task.func, task.name, "function", task.name, task.name)
        for each in task.depends_on:
            _depend(walker, each, task.name)
    except (RecursionError, Opaque):
        raise IdentityError.for_depth(task.name) from None
    return [each.task if isinstance(each, BoundTask) else each for each in walker.written]


def _own_tokens(walker: Walker, task: Any, label: str) -> list[bytes]:
    """Return the token of the function itself, or of the version that stands for it."""
    walker.add(Part("python", "library", _digest(PYTHON.encode()), PYTHON.replace("==", " ")))
    version = task.version if isinstance(task, Task) else None
    if version is not None:
        token = sized(b"V", str(version).encode("utf-8", "surrogatepass"))
        walker.add(Part(label, "version", _digest(token), str(version)))
        return [token]
    function = task.func if isinstance(task, Task) else task
    if isinstance(function, CODE):
        return [walker.code(function, label, "function")]
    return [walker.value(function, label, "function", label, label)]


def token_maker() -> Callable[[Any], bytes]:
    """Return what gives the token of functions, classes and modules that are parts of one value."""
    walker = Walker("value", is_strict=False)
    return lambda value: walker.code(value, name_of_code(value), "helper")


def _depend(walker: Walker, each: Any, label: str) -> bytes:
    """Return the token of something named in ``depends_on``; a task named there counts by its code."""
    code = each.task.func if isinstance(each, BoundTask) else each.func if isinstance(each, Task) else each
    name = name_of_code(code) if isinstance(code, CODE) else str(getattr(code, "path", type(code).__name__))
    if isinstance(code, CODE):
        return walker.code(code, f"{label} + {name}", "depends_on")
    return walker.value(code, f"{label} + {name}", "depends_on", name, label)


def _digest(token: bytes) -> str:
    return blake2b(token, digest_size=SIZE).hexdigest()
