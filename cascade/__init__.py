"""cascade: a workflow kit that lives in Jupyter.

Decorate functions with `task`, call them to compose a graph, and `run` it, or show it while it runs with a
``%%cascade`` cell. This module holds the public names and nothing else; each is loaded when it is first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cascade.context import get_current_context

if TYPE_CHECKING:
    from cascade.cli import cli
    from cascade.context import Display
    from cascade.graph.serialize import from_json, to_json
    from cascade.interfaces.events import Event
    from cascade.interfaces.exceptions import DependencyMissingError
    from cascade.messaging.bus import messaging_bus
    from cascade.notebook.controls import controls
    from cascade.providers import fs as fs
    from cascade.providers import http as http
    from cascade.providers import io as io
    from cascade.providers import read as read
    from cascade.providers import write as write
    from cascade.providers.format import format as format  # noqa: A004 - cs.format
    from cascade.providers.gather import dict as dict  # noqa: A004 - cs.dict
    from cascade.providers.load_yaml import load_yaml as load_yaml
    from cascade.providers.lookup import lookup as lookup
    from cascade.providers.recv import recv as recv
    from cascade.providers.shell import shell as shell
    from cascade.providers.sql import sql as sql
    from cascade.providers.subflow import subflow as subflow
    from cascade.providers.template import template as template
    from cascade.providers.wait import wait as wait
    from cascade.runtime.bus import MessageBus
    from cascade.runtime.engine import Engine
    from cascade.runtime.run import Run, arun, run, start
    from cascade.spec import cache
    from cascade.spec.control import Jump, bind, pipeline, select_jump, sequence, with_constraints
    from cascade.spec.file import File
    from cascade.spec.input import Env, Param
    from cascade.spec.lazy_types import LazyResult, unmapped
    from cascade.spec.resource import inject, override_resource, resource
    from cascade.spec.routing import Router
    from cascade.spec.task import task
    from cascade.tools.diff import diff
    from cascade.tools.history import history
    from cascade.tools.lineage import lineage
    from cascade.tools.plan import plan
    from cascade.tools.preview import dry_run
    from cascade.tools.simulate import simulate
    from cascade.tools.visualize import visualize
    from cascade.tools.why import why

__version__ = "0.1.0"


def _find_display() -> Display:
    """Load what shows lazy results, graphs and runs in a notebook."""
    from cascade.notebook import display

    return display


get_current_context().display = _find_display

_HOMES = {
    "cli": "cascade.cli",
    "get_current_context": "cascade.context",
    "from_json": "cascade.graph.serialize",
    "to_json": "cascade.graph.serialize",
    "Event": "cascade.interfaces.events",
    "DependencyMissingError": "cascade.interfaces.exceptions",
    "messaging_bus": "cascade.messaging.bus",
    "MessageBus": "cascade.runtime.bus",
    "Engine": "cascade.runtime.engine",
    "Run": "cascade.runtime.run",
    "arun": "cascade.runtime.run",
    "run": "cascade.runtime.run",
    "start": "cascade.runtime.run",
    "Jump": "cascade.spec.control",
    "bind": "cascade.spec.control",
    "pipeline": "cascade.spec.control",
    "select_jump": "cascade.spec.control",
    "sequence": "cascade.spec.control",
    "with_constraints": "cascade.spec.control",
    "Env": "cascade.spec.input",
    "Param": "cascade.spec.input",
    "LazyResult": "cascade.spec.lazy_types",
    "unmapped": "cascade.spec.lazy_types",
    "inject": "cascade.spec.resource",
    "override_resource": "cascade.spec.resource",
    "resource": "cascade.spec.resource",
    "Router": "cascade.spec.routing",
    "task": "cascade.spec.task",
    "cache": "cascade.spec",
    "File": "cascade.spec.file",
    "controls": "cascade.notebook.controls",
    "diff": "cascade.tools.diff",
    "history": "cascade.tools.history",
    "lineage": "cascade.tools.lineage",
    "plan": "cascade.tools.plan",
    "simulate": "cascade.tools.simulate",
    "why": "cascade.tools.why",
    "dry_run": "cascade.tools.preview",
    "visualize": "cascade.tools.visualize",
}

__all__ = [
    "DependencyMissingError",
    "Engine",
    "Env",
    "Event",
    "File",
    "Jump",
    "LazyResult",
    "MessageBus",
    "Param",
    "Router",
    "Run",
    "arun",
    "bind",
    "cache",
    "cli",
    "controls",
    "diff",
    "dry_run",
    "from_json",
    "get_current_context",
    "history",
    "inject",
    "lineage",
    "load_ipython_extension",
    "messaging_bus",
    "override_resource",
    "pipeline",
    "plan",
    "resource",
    "run",
    "select_jump",
    "sequence",
    "simulate",
    "start",
    "task",
    "to_json",
    "unload_ipython_extension",
    "unmapped",
    "visualize",
    "why",
    "with_constraints",
]


class _Package(ModuleType):
    """What `cascade` itself is an instance of: its public names stay what they are.

    Importing the submodule ``cascade.cli`` would put it in the place of the function ``cascade.cli``.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by name, as modules do: functions of a notebook that say ``cs.Jump`` are pickled with it."""
        from importlib import import_module

        return import_module, (__name__,)

    def __setattr__(self, name: str, value: object) -> None:
        """Take everything but a submodule with a public name."""
        if not (isinstance(value, ModuleType) and name in _HOMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    home = _HOMES.get(name)
    if home is None:
        return _find_provider(name)
    from importlib import import_module

    is_module = name == "cache"  # cs.cache.ttl(…)
    value = globals()[name] = import_module(f"{home}.{name}") if is_module else getattr(import_module(home), name)
    return value


def _find_provider(name: str) -> Any:
    """Return the ready-made task, or the namespace of several, that is called so."""
    from cascade.interfaces.exceptions import nearest

    known = set(_HOMES)
    if not name.startswith("_"):
        from cascade.providers import registry

        try:
            return registry.find(name)
        except KeyError:
            known |= {each.partition(".")[0] for each in registry.names()}
    raise AttributeError(f"module 'cascade' has no attribute '{name}'.{nearest(name, known)}")


def _find_ready_made(key: str) -> Any:
    """Return the task of a provider for a graph file that names it."""
    from cascade.providers.registry import find_task

    get_current_context().ready_made = find_task  # from now on without a detour
    return find_task(key)


get_current_context().ready_made = _find_ready_made


def __dir__() -> list[str]:
    """List the public names, and those of ready-made tasks."""
    from cascade.providers.registry import names

    return sorted({*globals(), *_HOMES, *(name.partition(".")[0] for name in names())})


def load_ipython_extension(shell: Any) -> None:
    """Hook for ``%load_ext cascade``."""
    from cascade.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Hook for ``%unload_ext cascade``."""
    from cascade.notebook.extension import unload

    unload(shell)
