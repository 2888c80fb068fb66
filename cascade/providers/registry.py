"""Names after ``cs.`` → ready-made tasks: found and loaded when they are first used.

In: the catalogue, `register`, and the entry points of installed packages (group ``cascade.providers``). Out: tasks, and
namespaces of several. Invariant: a name means one thing; cascade's own names win, then what was registered by hand,
then packages in the order of their names. A package that is broken is named by whoever asks for it, and harms nobody.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from functools import cached_property, update_wrapper
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, TypeVar

from cascade.providers.catalogue import BUILT_IN
from cascade.providers.errors import ExtraMissingError, ProviderError, ProviderLoadError, clip

__all__ = ["GROUP", "Namespace", "find", "find_task", "names", "problems", "register", "require"]

GROUP: Final = "cascade.providers"
_TAKEN: Final = "cascade brings one of that name"
T = TypeVar("T")


class _Row(NamedTuple):
    """One provider: its place or the object itself, and who brought it."""

    target: object
    needs: tuple[str, ...]
    extra: str
    source: str


_lock = threading.RLock()
_rows: dict[str, _Row] = {}
_loaded: dict[str, Any] = {}
_problems: list[str] = []
_has_scanned = False


# -- registering ------------------------------------------------------------------------------------------------------


def register(
    name: str,
    target: object = None,
    *,
    needs: Iterable[str] = (),
    extra: str = "",
    replace: bool = False,
) -> Any:
    """Make a task known as ``cs.NAME``; without `target`, return a decorator that does.

    Packages say the same without being imported, by entry points in their ``pyproject.toml``::

        [project.entry-points."cascade.providers"]
        "slack.post" = "my_package.slack:post"

    Args:
        name: what stands after ``cs.``; with a dot, as in ``slack.post``, it stands in a namespace.
        target: a task, a function that returns lazy results (its ``map`` calls it in the run, for each item), or
            ``module:attribute`` of one.
        needs: top-level modules that must be installed to call it; ``a|b``: one of them is enough.
        extra: of cascade-notebook, that installs them. replace: take the place of a provider that cascade brings.

    Raises:
        ProviderError: when the name cannot be written after ``cs.``, or means something else already.

    Example:
        >>> import cascade as cs
        >>> from cascade.providers.registry import register
        >>> @register("greetings.hello")
        ... @cs.task
        ... def hello(name): return f"hello {name}"
        >>> cs.run(cs.greetings.hello("Ada"), log_level="ERROR")
        'hello Ada'
    """
    if target is None:
        return lambda made: _decorate(name, made, needs, extra, replace=replace)
    with _lock:
        _check_name(name, replace=replace)
        _rows[name] = _Row(target, tuple(needs), extra, _source_of(target))
        _loaded.clear()
    return target


def _decorate(name: str, made: T, needs: Iterable[str], extra: str, *, replace: bool) -> T:
    register(name, made, needs=needs, extra=extra, replace=replace)
    return made


def _check_name(name: str, *, replace: bool) -> None:
    problem = _problem_of(name, {} if replace else BUILT_IN)
    if problem == _TAKEN:
        problem += "; say replace=True to take its place"
    if problem:
        raise ProviderError(f"A provider cannot be called {clip(repr(name))}: {problem}.")


def _problem_of(name: object, taken: Iterable[str]) -> str:
    """Say why a provider cannot have this name; nothing, if it can."""
    parts = name.split(".") if isinstance(name, str) else []
    if not parts or not all(part.isidentifier() and not part.startswith("_") for part in parts):
        return "write words with dots between them, as in 'slack.post'"
    if parts[0] in _public_names() or find_spec(f"cascade.{parts[0]}") is not None:
        return f"cs.{parts[0]} is a name of cascade itself; choose another"
    whole = ".".join(parts)
    if whole in taken:
        return _TAKEN
    known = {*BUILT_IN, *_rows} - {whole}
    above = {".".join(parts[:n]) for n in range(1, len(parts))} & known
    below = [each for each in known if each.startswith(f"{whole}.")]
    if above or below:
        one, other = (above.pop(), whole) if above else (whole, below[0])
        return f"'{one}' would be a task and the namespace of '{other}' at once"
    return ""


def _public_names() -> Iterable[str]:
    public: list[str] = sys.modules["cascade"].__all__
    return public


def _source_of(target: object) -> str:
    module = target.partition(":")[0] if isinstance(target, str) else str(getattr(target, "__module__", "") or "")
    return f"the module '{module}'"


# -- finding ----------------------------------------------------------------------------------------------------------


def find(name: str) -> Any:
    """Return what ``cs.NAME`` means: a task, a namespace, or what says which library is missing.

    Raises:
        KeyError: nobody knows the name. ProviderLoadError: it is known, but cannot be loaded.

    Example:
        >>> find("format").name, find("io").stdout.name
        ('format', 'io.stdout')
    """
    found = _loaded.get(name)
    if found is not None:
        return found
    with _lock:
        row = _rows.get(name) or _built_in(name)
        if row is None and not _is_namespace(name, BUILT_IN):
            _scan()
            row = _rows.get(name)
            if row is None and not _is_namespace(name, _rows):
                raise KeyError(name)
        missing = _missing(row.needs) if row is not None else ()
        if row is not None and missing:
            return Missing(name, missing, row.extra)  # not kept: it may be installed in a moment
        found = _loaded[name] = Namespace(name) if row is None else _load(name, row)
    return found


def names() -> list[str]:
    """Return the names of all providers, those of installed packages too.

    Example:
        >>> "shell" in names(), "io.stdin" in names()
        (True, True)
    """
    with _lock:
        _scan()
        return sorted({*BUILT_IN, *_rows})


def problems() -> list[str]:
    """Return what is wrong with the providers of installed packages, in whole sentences; loads none of them."""
    with _lock:
        _scan()
        return list(_problems)


def find_task(key: str) -> Any:
    """Return the task of a provider by its ``module:qualname``, None if no provider's module has it.

    Only modules that providers name are imported, whatever the key says.
    """
    module = key.partition(":")[0]
    for name in names():
        row = _rows.get(name) or _built_in(name)
        if row is None or _module_of(row) != module:
            continue
        found = find(name)
        if isinstance(found, Missing):
            found()
        own = (found.task,) if isinstance(found, Composing) else (found,)
        inside = vars(sys.modules[module]).values() if module in sys.modules else ()
        made = next((each for each in (*own, *inside) if _is_task(each) and each.key == key), None)
        if made is not None:
            return made
    return None


def _is_task(found: Any) -> bool:
    return hasattr(type(found), "map") and isinstance(getattr(found, "key", None), str)


def _module_of(row: _Row) -> str:
    if isinstance(row.target, str):
        return row.target.partition(":")[0]
    return str(getattr(row.target, "__module__", ""))


def _built_in(name: str) -> _Row | None:
    place = BUILT_IN.get(name)
    return place and _Row(place.target, place.needs, place.extra, "cascade")


def _is_namespace(name: str, known: Iterable[str]) -> bool:
    return any(each.startswith(f"{name}.") for each in known)


def _load(name: str, row: _Row) -> Any:
    if not isinstance(row.target, str):
        found: object = row.target
    else:
        module, _, attribute = row.target.partition(":")
        try:
            found = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except Exception as error:
            raise ProviderLoadError.for_fault(name, row.source, error) from error
    if not callable(found):
        raise ProviderLoadError.for_kind(name, row.source, found)
    return found if hasattr(found, "map") or isinstance(found, type) else Composing(name, found)


def _scan() -> None:
    """Read the entry points of installed packages, once; nothing of theirs is imported."""
    global _has_scanned  # noqa: PLW0603 - the packages of a process are looked at once
    if _has_scanned:
        return
    _has_scanned = True
    from importlib.metadata import entry_points

    found = [(each.dist.name if each.dist else "", each.name, each.value) for each in entry_points(group=GROUP)]
    for package, name, value in sorted(found):
        source = f"the package '{package}'" if package else "an installed package"
        problem = _problem_of(name, {*BUILT_IN, *_rows})
        if problem and name in _rows:
            problem = f"{_rows[name].source} brings one of that name"
        if problem:
            _problems.append(f"The provider {clip(repr(name))} of {clip(source)} is left out: {problem}.")
        else:
            _rows[name] = _Row(value.partition("[")[0].strip(), (), "", source)


# -- namespaces, and what is missing ----------------------------------------------------------------------------------


class Namespace:
    """Several providers under one name: ``cs.io`` of ``cs.io.stdin``.

    Args:
        prefix: the name of the namespace after ``cs.``.
    """

    __slots__ = ("_prefix",)

    def __init__(self, prefix: str) -> None:
        """Look nothing up yet."""
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        """Return the provider, or the namespace, of that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return find(f"{self._prefix}.{name}")
        except KeyError:
            raise ProviderLoadError.for_name(self._prefix, name, dir(self)) from None

    def __dir__(self) -> list[str]:
        """List what is in it."""
        start = f"{self._prefix}."
        return sorted({each[len(start) :].partition(".")[0] for each in names() if each.startswith(start)})

    def __repr__(self) -> str:
        """Name what is in it."""
        return f"<namespace cs.{self._prefix}: {', '.join(dir(self))}>"

    def __reduce__(self) -> tuple[Callable[[str], Namespace], tuple[str]]:
        """Travel as the name."""
        return Namespace, (self._prefix,)


class Composing:
    """A provider that is a function: it composes calls of tasks where it is called, and in the run for items of a map.

    Args:
        name: of the provider. func: the function.
    """

    def __init__(self, name: str, func: Callable[..., Any]) -> None:
        """Be shown as the function is."""
        self.name = name
        self.func = func
        update_wrapper(self, func)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Compose now."""
        return self.func(*args, **kwargs)

    @cached_property
    def task(self) -> Any:
        """The function as a task, which composes in the run."""
        import cascade as cs

        return cs.task(name=self.name)(self.func)

    def map(self, /, *args: Any, **kwargs: Any) -> Any:
        """Compose in the run for each item of the inputs, as one node; takes what `map` of a task takes."""
        return self.task.map(*args, **kwargs)

    def __repr__(self) -> str:
        """Show the name."""
        return f"<cs.{self.name}, which composes tasks>"

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        """Travel as the name."""
        return find, (self.name,)


class Missing:
    """Stands for a provider whose library is not installed: it can be looked at, but not called.

    Args:
        name: of the provider. missing: what is not installed. extra: installs it.
    """

    __slots__ = ("_problem", "name")

    def __init__(self, name: str, missing: Iterable[str], extra: str) -> None:
        """Know what to say."""
        self.name = name
        self._problem = str(ExtraMissingError.for_provider(name, missing, extra))

    def __call__(self, *_: object, **__: object) -> Any:
        """Say which library is missing.

        Raises:
            ExtraMissingError: always.
        """
        raise ExtraMissingError(self._problem)

    map = __call__

    def __repr__(self) -> str:
        """Say it, too."""
        return f"<cs.{self.name}, not installed: {self._problem}>"


def require(module: str, *, provider: str, extra: str = "") -> Any:
    """Import a library that a provider needs while it runs, perhaps on another machine.

    Raises:
        ExtraMissingError: when it is not installed, with the extra of cascade-notebook that brings it.

    Example:
        >>> require("json", provider="shell").dumps([1])
        '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != top:
            raise  # the library is there; something that it needs is not
        raise ExtraMissingError.for_provider(provider, [top], extra) from error


def _missing(needs: Iterable[str]) -> list[str]:
    return [need for need in needs if not any(_is_installed(each) for each in need.split("|"))]


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
