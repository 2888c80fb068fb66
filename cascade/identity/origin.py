"""Module → whose code it is: the user's, or a library's with its version.

In: the name of a module. Out: ``dist==version``, or None for the user's own. Invariant: code that its user edits is
never taken for a library; libraries change by version only, so they are looked at once in a process.

The user's own code is `__main__`, notebooks, what `exec` made, and files outside of the folders into which packages
are installed; so a project that is installed editable is the user's own, and so is a file that somebody copied there.
"""

from __future__ import annotations

import builtins
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

__all__ = ["PYTHON", "is_users", "library_of", "library_of_class"]

PYTHON: Final = f"python=={sys.version_info.major}.{sys.version_info.minor}"
_HEAP: Final = 1 << 9  # the flag of classes that were made by a class statement
_INSTALLED: Final = ("site-packages", "dist-packages")


def is_users(module: object) -> bool:
    """Say whether code of the module with this name is the user's own."""
    return library_of(module) is None


def library_of(module: object) -> str | None:
    """Return ``dist==version`` of the library that a module belongs to, None if it is the user's own.

    Example:
        >>> library_of("json").startswith("python==3.")
        True
        >>> library_of("__main__") is None
        True
    """
    if not isinstance(module, str) or module in {"", "__main__", "__mp_main__"}:
        return None
    return _library_of(module) if module in sys.modules else _unloaded(module)


def library_of_class(kind: type) -> str | None:
    """Return the same for a class; code that `exec` runs without a module name makes its classes members of builtins.

    Example:
        >>> library_of_class(dict) == PYTHON
        True
    """
    if kind.__module__ == "builtins" and kind.__flags__ & _HEAP and vars(builtins).get(kind.__name__) is not kind:
        return None
    return library_of(kind.__module__)


@cache
def _library_of(name: str) -> str | None:
    top = name.partition(".")[0]
    if top == "cascade":
        return f"cascade=={getattr(sys.modules.get('cascade'), '__version__', '')}"
    path = _file_of(sys.modules.get(name)) or _file_of(sys.modules.get(top))
    return _judge(name, path)


def _unloaded(name: str) -> str | None:
    """The same for a module that is not imported yet; only its folder is looked for."""
    from importlib.util import find_spec

    top = name.partition(".")[0]
    if top in sys.modules:
        return _library_of(top)
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    path = spec.origin if spec.origin and spec.has_location else next(iter(places), "")
    return _judge(top, path)


def _judge(name: str, path: str) -> str | None:
    top = name.partition(".")[0]
    if not path:
        return PYTHON if top in sys.stdlib_module_names or top in sys.builtin_module_names else None
    if any(part in _INSTALLED for part in Path(path).parts) or _is_installed(top, Path(path)):
        version = _version(top)
        return f"{top}=={version}" if version else None  # what nobody installed may be edited by anybody
    return PYTHON if _is_below(path, _standard()) else None


def _is_installed(top: str, path: Path) -> bool:
    """Say whether the record of its installation lies beside a module, as ``pip install --target`` leaves it."""
    packages = [parent for parent in path.parents if parent.name == top]
    folder = packages[-1].parent if packages else path.parent
    for record in folder.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        if any(line.startswith((f"{top}/", f"{top}.py,")) for line in lines):
            return True
    return False


def _file_of(module: Any) -> str:
    found = getattr(module, "__file__", None)
    if isinstance(found, str):
        return found
    try:
        return str(next(iter(getattr(module, "__path__", ())), ""))
    except TypeError:
        return ""


@cache
def _standard() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")} - {None, ""}
    return tuple(sorted({*paths, *(str(Path(path).resolve()) for path in paths)}))


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def _version(top: str) -> str:
    """Return the version of the code that is loaded, else of the distribution that is installed, if there is one."""
    stated = vars(sys.modules[top]).get("__version__") if top in sys.modules else None
    if isinstance(stated, str):
        return stated
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:
        pass
    return "+".join(sorted(metadata.version(name) for name in set(_distributions().get(top, ()))))


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return which distributions have a package; a walk through all that is installed."""
    return metadata.packages_distributions()
