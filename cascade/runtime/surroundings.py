"""A task's code → what it would take from around it if it ran now: tasks, Params and resources by their names.

In: the task whose call returned calls. Out: look-up. Invariant: a name leads to the very object that the code uses at
this moment, wherever it stands; a name that could mean two of them leads nowhere. Nothing is imported, and no function
is ever made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from cascade.context import get_current_context
from cascade.graph.literals import Problem
from cascade.identity.code import code_key, written_in
from cascade.identity.data import data_key
from cascade.identity.origin import is_users
from cascade.spec.input import Input
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policy import PLAIN
from cascade.spec.resource import Resource
from cascade.spec.routing import Router
from cascade.spec.task import BoundTask, Task

__all__ = ["Surroundings", "brings_tasks", "registered", "settings_of"]

_MOST: Final = 1_000_000  # parts of arguments that are looked at
_PLAIN: Final = frozenset({bool, int, float, complex, str, bytes, type(None)})
_FUNCTIONS: Final = (FunctionType, MethodType, partial)
_SETTINGS: Final = ("key", "name", "mode", "pure", "version", "ignore", "binds")
_OPTIONS: Final = ("retry", "timeout", "constraints", "cache")  # what a decorator says about every call


class Surroundings:
    """What the code of one task refers to now.

    Attributes:
        lazy: the name of a lazy result or Router that the code takes from outside of it, empty if there is none. Its
            key knows the name only, so that nobody can say whether it is the same in another run.
    """

    def __init__(self, task: Task[..., Any]) -> None:
        """Look at what the code uses.

        Raises:
            IdentityError: when that has no end.
        """
        self.lazy = ""
        self._tasks: dict[str, Task[..., Any] | None] = {}
        self._inputs: dict[tuple[str, str], Input | None] = {}
        self._resources: dict[str, Resource | None] = {}
        for each in written_in(task):
            if isinstance(each, Task):
                _note(self._tasks, each.key, each)
            elif isinstance(each, Input):
                _note(self._inputs, (each.word, each.name), each)
            elif isinstance(each, Resource):
                _note(self._resources, each.name, each)
            elif isinstance(each, LazyResult):
                self.lazy = each._label  # noqa: SLF001 - a recorded call has no public face for it
            elif isinstance(each, Router):
                self.lazy = each.label

    def task(self, key: str) -> Task[..., Any]:
        """Return the task that the code calls as `key`, or the one of a library, whose version the code's key has.

        Raises:
            Problem: when there is none, or several.
        """
        if key in self._tasks:
            found = self._tasks[key]
            if found is None:
                raise Problem(f"several tasks that it uses are called {key!r}")
            return found
        module, _, name = key.partition(":")
        if not is_users(module) and (found := _of_library(module, name, key)) is not None:
            return found
        raise Problem(f"its code does not show where the task {key!r} comes from")

    def same_task(self, task: Task[..., Any]) -> Task[..., Any]:
        """Return the task that stands for `task`: itself, or what it is a copy of.

        Raises:
            Problem: when another one goes by its name.
        """
        found = self.task(task.key)
        if found is task:
            return found
        has_settings = all(getattr(found, each) == getattr(task, each) for each in _SETTINGS)
        if has_settings and (found.func is task.func or code_key(found).digest == code_key(task).digest):
            return found
        raise Problem(f"another task than the one that its code shows is called {task.key!r}")

    def input(self, word: str, name: str) -> Input | None:
        """Return the Param or Env of that name that the code shows, None if it shows none.

        Raises:
            Problem: when it shows several.
        """
        found = self._inputs.get((word, name))
        if found is None and (word, name) in self._inputs:
            raise Problem(f"several {word}s that it uses are called {name!r}")
        return found

    def resource(self, name: str) -> Resource:
        """Return the resource that the code takes as an object, not by its name.

        Raises:
            Problem: when there is none, or several.
        """
        found = self._resources.get(name)
        if found is None:
            raise Problem(f"its code does not show where the resource {name!r} comes from")
        return found


def brings_tasks(arguments: Iterable[Any]) -> bool:
    """Say whether a task stands in some arguments, or an object with one as its method: a key knows it by name only.

    Whatever is in doubt (functions, which may have tasks in their closures, and more than anybody means) is a yes.
    """
    level, count = list(arguments), 0
    while level:
        count += len(level)
        kinds = set(map(type, level))
        if count > _MOST or not kinds.isdisjoint(_FUNCTIONS) or any(_has_tasks(kind) for kind in kinds - _PLAIN):
            return True
        below: list[Any] = []
        for each in level if kinds - _PLAIN else ():
            if isinstance(each, type) and _has_tasks(each):
                return True
            if isinstance(each, dict):
                below += [*each.keys(), *each.values()]
            elif isinstance(each, (list, tuple, set, frozenset)):
                below += each
            elif type(each) not in _PLAIN:
                below += getattr(each, "__dict__", {}).values()
        level = below
    return False


def _has_tasks(kind: type) -> bool:
    if issubclass(kind, Task):
        return True
    own = [base for base in kind.__mro__ if is_users(base.__module__)]
    return any(isinstance(getattr(each, "__func__", each), Task) for base in own for each in vars(base).values())


def _note(table: dict[Any, Any], name: object, found: object) -> None:
    table[name] = found if table.get(name, found) is found else None


def _of_library(module: str, name: str, key: str) -> Task[..., Any] | None:
    found: Any = sys.modules.get(module)
    for step in name.split("."):
        found = getattr(found, step, None)
    found = found.task if isinstance(found, BoundTask) else found
    if isinstance(found, Task) and found.key == key:
        return found
    context = get_current_context()
    return context.ready_made(key) if context.ready_made is not None else None


def registered(word: str, name: str) -> Input | None:
    """Return the Param or Env that was made last under a name, None if there is none."""
    context = get_current_context()
    return context.params.get(name) if word == "Param" else context.envs.get(name)


def settings_of(written: Task[..., Any] | Input) -> str:
    """Return a key of what was said about every call of a task, or about a Param or Env; never of a secret's value.

    Raises:
        Problem: when that has none.
    """
    if isinstance(written, Task):
        options = written.options or PLAIN
        told: list[Any] = [getattr(options, each) for each in _OPTIONS]
    else:
        has_default = not written.secret and not written.required
        told = [written.word, written.name, written.type, written.description, written.secret, written.required]
        told += [written.default if has_default else None]
        told += [None, None] if written.secret else [written.choices, written.bounds]
    key = data_key(told)
    if key.startswith("o:"):
        raise Problem(f"what was said about '{written.name}' has no key ({key[2:]})")
    return key
