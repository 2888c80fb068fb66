"""The walk from a function to all the code and values that it uses.

In: functions, classes, modules. Out: a token for each (bytes that are equal for equal code), and the parts that were
met. Invariant: everything is visited once; what is met again on the way to itself, as in a recursion, is named by how
far up it stands. Nothing is called, and nothing is imported but the user's own modules that a body imports.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from cascade.identity.buffers import SIZE
from cascade.identity.bytecode import Chain, Import, constants_of, outline_of
from cascade.identity.data import Encoder, Opaque, TooLarge, name_of, sized
from cascade.identity.errors import IdentityError, opaque_warning
from cascade.identity.members import is_plain, members_of, name_of_code
from cascade.identity.objects import CODE, WRITTEN, written_token
from cascade.identity.origin import PYTHON, is_users, library_of, library_of_class
from cascade.identity.parts import ARROW, Part
from cascade.identity.showing import show_constants, show_value
from cascade.identity.source import text_of
from cascade.spec.task import Task

__all__ = ["Walker"]

_MISSING: Final = object()
# Cells of functions of libraries that change while they work.
_WORKING: Final = frozenset({"cache_token", "dispatch_cache"})
_INSIDE: Final = frozenset({"func", "__wrapped__"})  # what a task holds: its code
_LARGE: Final = 1 << 20  # bytes of a value that are looked at twice


class Walker:
    """Walks code once, from one function on.

    Args:
        label: what warnings call the function. is_strict: refuse what has no key, instead of a warning.

    Attributes:
        parts: what was met, in the order in which it was. warnings: whole sentences. written: the tasks, Params,
            resources, lazy results and Routers that were met, themselves.
    """

    def __init__(self, label: str, *, is_strict: bool) -> None:
        """Begin with nothing seen."""
        self.label = label
        self.is_strict = is_strict
        self.parts: list[Part] = []
        self.warnings: list[str] = []
        self.written: list[Any] = []
        self._paths: set[str] = set()
        self._done: dict[int, bytes] = {}
        self._depths: dict[int, int] = {}
        self._kept: list[Any] = []  # an id names an object only while it lives
        self._libraries: dict[str, dict[str, set[str]]] = {}
        self._has_code = False  # whether the value that was encoded last had code in it

    def add(self, part: Part) -> None:
        """Note a part; a path that is taken gets a number."""
        path, number = part.path, 2
        while path in self._paths:
            path, number = f"{part.path} ({number})", number + 1
        self._paths.add(path)
        renamed = part if path == part.path else Part(path, part.kind, part.digest, part.source, part.line, part.file)
        self.parts.append(renamed)

    # -- code ---------------------------------------------------------------------------------------------------------

    def code(self, value: Any, path: str, kind: str) -> bytes:
        """Return the token of a function, class, module or another kind of code."""
        known = self._done.get(id(value))
        if known is not None:
            return known
        depth = self._depths.get(id(value))
        if depth is not None:
            return b"^%x;" % depth
        self._depths[id(value)] = len(self._depths)
        try:
            token = _digest(self._visit(value, path, kind))
        finally:
            del self._depths[id(value)]
        self._note_libraries(path)
        self._done[id(value)] = token
        self._kept.append(value)
        return token

    def _visit(self, value: Any, path: str, kind: str) -> bytes:
        if isinstance(value, FunctionType):
            return self._function(value, path, kind)
        if isinstance(value, type):
            return self._class(value, path, "class" if kind == "helper" else kind)
        if isinstance(value, ModuleType):
            return self._module(value, path, "module" if kind == "helper" else kind)
        if isinstance(value, BuiltinFunctionType):
            return self._builtin(value, path)
        return self._wrapper(value, path, kind)

    def _function(self, function: FunctionType, path: str, kind: str) -> bytes:
        code, module = function.__code__, function.__globals__.get("__name__")
        home = library_of(module)
        if home is not None:
            return self._library_function(function, path, home, f"{module}.{code.co_qualname}")
        outline, text = outline_of(code), text_of(code)
        self.add(Part(path, kind, outline.digest.hex(), text.source, text.line, text.file))
        if not text.source and (constants := constants_of(code)):
            shown = show_constants(constants)
            self.add(Part(f"{path}.constants", "constant", _digest(shown.encode()).hex(), shown))
        tokens = [b"F", outline.digest, *self._defaults(function, path)]
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        tokens += [sized(b"c", self._cell(cell, name, outline.cells, path)) for name, cell in sorted(cells.items())]
        tokens += [sized(b"l", self._chain(function.__globals__, chain, path)) for chain in outline.chains]
        tokens += [sized(b"m", self._import(function.__globals__, each, path)) for each in outline.imports]
        self._warn_of_writes(function, [*outline.writes, *outline.rebinds])
        wrapped = getattr(function, "__wrapped__", None)
        if isinstance(wrapped, CODE):
            tokens.append(self.code(wrapped, f"{path}{ARROW}{name_of_code(wrapped)}", "helper"))
        return b"".join(tokens)

    def _warn_of_writes(self, function: FunctionType, names: Iterable[str]) -> None:
        for name in sorted(set(names)):
            self._warn(
                f"'{self.label}' changes '{name}', which is outside of {function.__code__.co_name}: a stored result "
                "does not do that again. Return the value instead."
            )

    def _defaults(self, function: FunctionType, path: str) -> list[bytes]:
        code, given = function.__code__, function.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
        pairs = [*zip(names, given, strict=True), *sorted((function.__kwdefaults__ or {}).items())]
        return [
            sized(b"d", name.encode()) + sized(b"", self.value(value, f"{path}({name})", "default", name, path))
            for name, value in pairs
        ]

    def _cell(self, cell: Any, name: str, chains: Iterable[Chain], path: str) -> bytes:
        try:
            content = cell.cell_contents
        except ValueError:
            return b"empty"
        if isinstance(content, ModuleType):
            used = [chain for chain in chains if chain[0] == name]
            return b"".join(sized(b"l", self._follow(content, chain, path)) for chain in used)
        token = self.value(content, f"{path}[{name}]", "closure", name, path)
        if isinstance(content, Task) and any(chain[0] == name and _INSIDE.intersection(chain[1:2]) for chain in chains):
            return token + self._follow(content, (name, "func"), path)
        return token

    def _library_function(self, function: FunctionType, path: str, home: str, name: str) -> bytes:
        """A library's function by name; what it was made around, as decorators do, by its code."""
        tokens = [self._library(path, home, name)]
        wrapped = getattr(function, "__wrapped__", None)
        inner = f"{path}{ARROW}{name_of_code(wrapped)}" if isinstance(wrapped, CODE) else path
        for cell_name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            if cell_name in _WORKING or not (isinstance(content, CODE) or is_plain(content)):
                continue
            tokens.append(sized(b"c", self._quietly(content, f"{inner}[{cell_name}]", path)))
        if isinstance(wrapped, CODE):
            tokens.append(self.code(wrapped, inner, "helper"))
        return b"".join(tokens)

    def _quietly(self, value: Any, path: str, holder: str) -> bytes:
        try:
            token = self._encode(value, holder)
        except Opaque:
            return b"opaque"
        if not isinstance(value, CODE):
            self._add_value(value, path, "closure", token)
        return token

    def _builtin(self, value: Any, path: str) -> bytes:
        owner = value.__self__
        if owner is None or isinstance(owner, ModuleType):
            module = value.__module__ or getattr(owner, "__name__", "builtins")
            return self._library(path, library_of(module) or "", f"{module}.{value.__qualname__}")
        token = b"B" + sized(b"", value.__name__.encode())
        if isinstance(owner, CODE):
            return token + self._encode(owner, path)
        return token + self.value(owner, f"{path}(self)", "closure", "self", path)

    def _wrapper(self, value: Any, path: str, kind: str) -> bytes:
        """Everything that holds code: methods, partials, properties, caches."""
        tokens = [sized(b"w", name_of(type(value)).encode())]
        if hasattr(value, "__objclass__"):  # a method of a class written in C
            tokens += [sized(b"", value.__name__.encode()), self._code_of_owner(value.__objclass__, path)]
            if hasattr(value, "__self__"):  # bound to an object, as (1).__add__ is
                tokens.append(self.value(value.__self__, f"{path}(self)", "closure", "self", path))
            return b"".join(tokens)
        for name in ("__func__", "func", "fget", "fset", "fdel", "__wrapped__"):
            held = getattr(value, name, None)
            if held is None or (name == "__wrapped__" and held is getattr(value, "__func__", None)):
                continue
            same = path if name in ("__func__", "func", "fget", "__wrapped__") else f"{path}.{name}"
            tokens.append(sized(name.encode(), self._held(held, same, kind)))
        for name in ("__self__", "args", "keywords", "attrname"):
            held = getattr(value, name, None)
            if held is not None:
                shown = f"{path}({name.strip('_')})"
                tokens.append(sized(name.encode(), self.value(held, shown, "closure", name.strip("_"), path)))
        if hasattr(value, "cache_parameters"):
            tokens.append(self._quietly(value.cache_parameters(), f"{path}(cache)", path))
        return b"".join(tokens)

    def _held(self, held: Any, path: str, kind: str) -> bytes:
        if isinstance(held, CODE):
            return self.code(held, path, kind)
        return self.value(held, path, kind, path, path)

    def _code_of_owner(self, owner: Any, path: str) -> bytes:
        return self.code(owner, f"{path}{ARROW}{owner.__name__}", "helper")

    def _class(self, kind: type, path: str, part_kind: str) -> bytes:
        home = library_of_class(kind)
        if home is not None:
            return self._library(path, home, f"{kind.__module__}.{kind.__qualname__}")
        bases = [self.code(base, f"{path}{ARROW}{base.__name__}", "helper") for base in kind.__bases__]
        own = dict(sorted(members_of(kind).items()))
        names = ",".join([*(name_of(base) for base in kind.__bases__), "", *own])
        above = ", ".join(base.__name__ for base in kind.__bases__)
        self.add(Part(path, part_kind, _digest(names.encode()).hex(), above))
        tokens = [b"K", *(sized(b"b", base) for base in bases)]
        if type(kind) is not type:
            tokens.append(self.code(type(kind), f"{path}{ARROW}{type(kind).__name__}", "helper"))
        for name, member in own.items():
            tokens.append(sized(b"m", name.encode()))
            if isinstance(member, CODE) and not isinstance(member, type):
                tokens.append(self.code(member, f"{path}.{name}", "helper"))
            else:
                tokens.append(sized(b"", self.value(member, f"{path}.{name}", "global", name, path)))
        return b"".join(tokens)

    def _module(self, module: ModuleType, path: str, kind: str) -> bytes:
        """A module that is used as a whole: all that it defines."""
        home = library_of(module.__name__)
        if home is not None:
            return self._library(path, home, module.__name__)
        names = sorted(name for name in vars(module) if not (name.startswith("__") and name.endswith("__")))
        self.add(Part(path, kind, _digest(",".join(names).encode()).hex(), "", 0, str(module.__file__ or "")))
        tokens = [b"M"]
        for name in names:
            token = self.value(vars(module)[name], f"{path}.{name}", "global", name, path)
            tokens.append(sized(b"n", name.encode()) + sized(b"", token))
        return b"".join(tokens)

    # -- names --------------------------------------------------------------------------------------------------------

    def _chain(self, known: Mapping[str, Any], chain: Chain, path: str) -> bytes:
        """Return the token of a global name and the attributes that are read from it at once."""
        value = known.get(chain[0], _MISSING)
        if value is not _MISSING:
            return sized(b"", chain[0].encode()) + self._follow(value, chain, path)
        if hasattr(builtins, chain[0]):
            return b"builtin"
        return self._unresolved(path, chain[0])

    def _unresolved(self, path: str, name: str) -> bytes:
        self.add(Part(f"{path}.{name}", "unresolved", _digest(name.encode()).hex()))
        return b"unresolved"

    def _follow(self, value: Any, chain: Chain, path: str) -> bytes:
        """Go from module to attribute as far as the chain leads; only what is really used counts."""
        used = 1
        while isinstance(value, ModuleType):
            home = library_of(value.__name__)
            if home is not None:
                return self._library(path, home, ".".join([value.__name__, *chain[used:]]))
            if used == len(chain):
                break
            value = _attribute(value, chain[used])
            used += 1
            if value is _MISSING:
                return self._unresolved(path, ".".join(chain[:used]))
        if isinstance(value, Task) and chain[used:] and chain[used] in _INSIDE:
            value, used = value.func, used + 1
        name = ".".join(chain[:used])
        token = self.value(value, f"{path}.{name}", "global", name, path)
        if isinstance(value, FunctionType) and used < len(chain) and chain[used] in vars(value):
            more = ".".join(chain[: used + 1])
            token += self.value(vars(value)[chain[used]], f"{path}.{more}", "global", more, path)
        return token

    def _import(self, known: Mapping[str, Any], each: Import, path: str) -> bytes:
        """Return the token of an import inside the body; the user's own modules are imported, as the body would."""
        from importlib import import_module

        package = known.get("__package__") or str(known.get("__name__", "")).rpartition(".")[0]
        name = f"{'.' * each.level}{each.module}"
        if each.level == 0 and not is_users(each.module):
            chosen = ",".join(each.names)
            return self._library(path, library_of(each.module) or "", f"{each.module}:{chosen}")
        try:
            module = import_module(name, package if each.level else None)
        except Exception:  # noqa: BLE001 - a module of the user's may raise anything; the body will say it
            return self._unresolved(path, name)
        if not each.names or "*" in each.names:
            return self.value(module, f"{path}.{name}", "module", name, path)
        for wanted in each.names:
            _load_below(module, wanted)
        return b"".join(sized(b"f", self._follow(module, (name, wanted), path)) for wanted in each.names)

    # -- values -------------------------------------------------------------------------------------------------------

    def value(self, value: Any, path: str, kind: str, name: str, holder: str) -> bytes:
        """Return the token of a value that code uses.

        Args:
            path: of the part, if it is a value. kind: of that part. name: under which it is known.
            holder: the path of the code that uses it.
        """
        if isinstance(value, CODE):
            is_named = isinstance(value, (FunctionType, type)) and "<" not in name_of_code(value)
            shown = name_of_code(value) if is_named else name
            token = self.code(value, f"{holder}{ARROW}{shown}", kind if kind == "depends_on" else "helper")
            if kind in {"default", "closure"} and isinstance(value, type) and library_of_class(value) is not None:
                self.add(Part(path, kind, _digest(token).hex(), name_of(value)))
            return token
        if isinstance(value, WRITTEN):
            token = written_token(Encoder(self._token_below(holder), met=self.written), value)
            self.add(Part(f"{holder}{ARROW}{name}", "task", _digest(token).hex(), str(getattr(value, "key", name))))
            return token
        if value is os.environ:  # by name: what is read from it changes all the time
            return self._library(holder, PYTHON, "os.environ")
        if library_of_class(type(value)) is None:
            self._code_of_owner(type(value), holder)
        try:
            token = self._encode(value, holder)
        except Opaque as found:
            return self._opaque(found.kind, path, name, holder)
        self._add_value(value, path, kind, token, name)
        return token

    def _add_value(self, value: Any, path: str, kind: str, token: bytes, name: str = "") -> None:
        """Note a value by what it holds: the code of its classes and functions has parts of its own."""
        if self._has_code:
            with suppress(Opaque, TooLarge, RecursionError):
                token = Encoder(lambda code: name_of_code(code).encode(), limit=_LARGE).encode(value)
        self.add(Part(path, kind, _digest(token).hex(), show_value(value, name)))

    def _opaque(self, found: str, path: str, name: str, holder: str) -> bytes:
        where = f"'{name}' in {holder.rpartition(ARROW)[2]}"
        if self.is_strict:
            raise IdentityError.for_opaque(self.label, where, found)
        self._warn(opaque_warning(self.label, where, found))
        token = f"opaque:{found}".encode()
        self.add(Part(path, "opaque", _digest(token).hex(), found))
        return token

    def _encode(self, value: Any, holder: str) -> bytes:
        met: list[Any] = []
        encoder = Encoder(self._token_below(holder, met), met=self.written)
        try:
            encoded = encoder.encode(value)
            if encoder.is_unsure and Encoder(self._token_below(holder)).encode(value) != encoded:
                raise Opaque(name_of(type(value)))
        except RecursionError:
            raise Opaque("value nested too deeply") from None
        self._has_code = bool(met)
        return encoded

    def _token_below(self, holder: str, met: list[Any] | None = None) -> Any:
        def token(value: Any) -> bytes:
            if met is not None:
                met.append(value)
            return self.code(value, f"{holder}{ARROW}{name_of_code(value)}", "helper")

        return token

    # -- libraries and warnings ---------------------------------------------------------------------------------------

    def _library(self, path: str, home: str, name: str) -> bytes:
        """Return the token of something in a library: its name, and the library's version."""
        if name.startswith("builtins."):
            return sized(b"L", name.encode())
        self._libraries.setdefault(path, {}).setdefault(home, set()).add(name)
        return sized(b"L", f"{home}:{name}".encode())

    def _note_libraries(self, path: str) -> None:
        """Note one part for each library that the code at `path` uses."""
        for home, names in sorted(self._libraries.pop(path, {}).items()):
            name, _, version = home.partition("==")
            digest = _digest(",".join([home, *sorted(names)]).encode()).hex()
            self.add(Part(f"{path}{ARROW}{name}", "library", digest, f"{name} {version}"))

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def _attribute(module: ModuleType, name: str) -> Any:
    try:
        return getattr(module, name, _MISSING)
    except Exception:  # noqa: BLE001 - a module that loads its names late may fail to
        return _MISSING


def _load_below(module: ModuleType, name: str) -> None:
    """Import a module of a package that nobody imported yet, as the body would."""
    from importlib import import_module

    if hasattr(module, "__path__") and _attribute(module, name) is _MISSING:
        with suppress(Exception):  # a module of the user's may raise anything; the body will say it
            import_module(f"{module.__name__}.{name}")


def _digest(token: bytes) -> bytes:
    return blake2b(token, digest_size=SIZE).digest()
