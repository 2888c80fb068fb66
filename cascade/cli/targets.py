"""``FILE:TARGET`` on a command line → what is to be run.

In: the path of a Python file or a notebook, or the name of a module, with the name of a target. Out: a `Found`.
Invariant: nothing but that file is executed, once, as a module that can be found again by the processes of a cluster;
errors name the targets that there are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from cascade.cli.codes import CommandError
from cascade.interfaces.exceptions import nearest
from cascade.interfaces.naming import clip

__all__ = ["Found", "find_target", "targets_in"]

Loaded = TypeVar("Loaded")
ABOUT: Final = "FILE:TARGET, as in flow.py:report, notebook.ipynb:report or package.module:report"
_DRIVE: Final = 2  # characters of "C:", which is no file of its own


@dataclass(frozen=True, slots=True)
class Found:
    """What a command is about: the target, and the name that it goes by in its file."""

    target: Any
    name: str


def find_target(word: str) -> Found:
    """Load the file or module that `word` names, and return the target in it.

    Args:
        word: ``FILE:TARGET``; without ``:TARGET`` it is the last lazy result that the file gives a name. A task or a
            function that can be called without arguments is called.

    Raises:
        CommandError: when there is no such file or target, or the file itself fails.
    """
    place, name = _split(word)
    namespace = _load(place)
    if name:
        return Found(_as_target(place, name, _look_up(namespace, place, name)), name)
    known = targets_in(namespace)
    if not known:
        raise CommandError(
            f"{_short(place)} gives no lazy result a name. Write target = train(…) in it, or name what to call after "
            f"a colon: {ABOUT}."
        )
    return Found(namespace[known[-1]], known[-1])


def targets_in(namespace: Mapping[str, Any]) -> list[str]:
    """Return the public names of lazy results and Routers, in the order in which the file gave them."""
    from cascade.spec.lazy_types import LazyResult
    from cascade.spec.routing import Router

    return [n for n, value in namespace.items() if not n.startswith("_") and isinstance(value, (LazyResult, Router))]


def _split(word: str) -> tuple[str, str]:
    place, colon, name = word.rpartition(":")
    if not colon or len(place) < _DRIVE or "/" in name or "\\" in name:
        return word, ""
    return place, name.strip()


# -- the file -------------------------------------------------------------------------------------------------------


def _load(place: str) -> Mapping[str, Any]:
    path = Path(place).expanduser()
    if path.suffix == ".ipynb":
        from cascade.cli.notebooks import load_notebook

        return _guarded(place, lambda: load_notebook(path))
    if path.suffix == ".py" or path.is_file() or "/" in place or "\\" in place:
        if not path.is_file():
            raise CommandError(f"There is no file {_short(place)}.{_neighbours(path)}")
        return _guarded(place, lambda: vars(_import_file(path)))
    if not all(part.isidentifier() for part in place.split(".")):
        raise CommandError(f"{_short(place)} is neither a file nor the name of a module. Write {ABOUT}.")
    return _guarded(place, lambda: vars(_import_module(place)))


def _guarded(place: str, load: Callable[[], Loaded]) -> Loaded:
    """Load a file of the user's; what fails in it is told with their frames and nothing of ours."""
    from cascade.cli.conduct import describe_error

    try:
        return load()
    except CommandError:
        raise
    except KeyboardInterrupt:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a file may raise anything
        trace = error.__traceback__
        while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next
        error.__traceback__ = trace
        raise CommandError(f"{describe_error(error)}\n{_short(place)} could not be loaded, so nothing ran.") from None


def _is_machinery(file: str) -> bool:
    """Whether a frame is of what loads modules, which nobody needs to see."""
    return file.startswith("<frozen importlib") or Path(file).parent == Path(__file__).parent


def _import_file(path: Path) -> ModuleType:
    """Execute a file as a module with its own name, with its folder on the path, as Python does for a script."""
    from importlib.util import module_from_spec, spec_from_file_location

    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem if path.stem.isidentifier() else "workflow"
    if name in sys.modules:  # a file that is called as a library is, such as numbers.py
        name = f"{name}_workflow"
    spec = spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise CommandError(f"{_short(path)} is not a Python file. Write {ABOUT}.")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    from importlib import import_module
    from importlib.util import find_spec

    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        is_there = find_spec(name) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise CommandError(f"There is no file and no module called {_short(name)}. Write {ABOUT}.")
    return import_module(name)


def _neighbours(path: Path) -> str:
    """Return the nearest name of a file beside it."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix in {".py", ".ipynb"}]
    except OSError:
        return " Its folder cannot be read."
    return nearest(path.name, names)


# -- the target in it -----------------------------------------------------------------------------------------------


def _look_up(namespace: Mapping[str, Any], place: str, name: str) -> Any:
    first, *rest = name.split(".")
    if first not in namespace:
        known = targets_in(namespace) or [n for n, value in namespace.items() if _is_callable(n, value)]
        more = nearest(first, known) or " It gives no lazy result a name."
        raise CommandError(f"{_short(place)} has nothing called '{clip(first)}'.{more}")
    found = namespace[first]
    for part in rest:
        if not hasattr(found, part):
            raise CommandError(f"'{clip(name)}' in {_short(place)}: a {type(found).__name__} has no '{clip(part)}'.")
        found = getattr(found, part)
    return found


def _is_callable(name: str, value: object) -> bool:
    from cascade.spec.task import Task

    return not name.startswith("_") and isinstance(value, Task)


def _as_target(place: str, name: str, found: Any) -> Any:
    """Call what is a task or a function and needs nothing; the rest is for the run to judge."""
    from inspect import isfunction, signature

    from cascade.spec.task import Task

    if not isinstance(found, Task) and not isfunction(found):
        return found
    try:
        signature(found).bind()
    except TypeError:
        raise CommandError(
            f"'{clip(name)}' in {_short(place)} is a {'task' if isinstance(found, Task) else 'function'} that needs "
            f"arguments. Write target = {clip(name)}(…) in the file, and name that."
        ) from None
    return _guarded(place, found)


def _short(place: object) -> str:
    return f"'{clip(place)}'"
