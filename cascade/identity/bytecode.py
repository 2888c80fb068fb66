"""Code object → what it does, and which names it asks for.

In: a code object. Out: an `Outline`: a digest and the names. Invariant: equal for code that does the same in the same
way, whatever its comments, docstrings, line numbers, and however often it has run.

The bytes are not hashed as they are. A docstring moves all other constants one place on, and a class body stores its
first line; so each instruction is written with its constant, its name or its target in the place of a number, and what
only describes the code is left out. Names of local variables count: Python compiles them, and `locals()`, `eval` and
debuggers see them. The form differs between minor versions of Python, as bytecode does.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE, CO_VARARGS, CO_VARKEYWORDS
from types import CodeType
from typing import Final
from weakref import ref

from cascade.identity.buffers import SIZE
from cascade.identity.data import encode_value, sized

__all__ = ["Chain", "Import", "Outline", "constants_of", "outline_of"]

Chain = tuple[str, ...]  # a name and the attributes that are read from it at once: ("np", "linalg", "norm")

_FLAGS: Final = CO_VARARGS | CO_VARKEYWORDS | CO_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR
_OPTIMIZED: Final = 0x1  # functions have it, class bodies have not
_FUTURE_ANNOTATIONS: Final = 0x1000000
_ANNOTATED: Final = 4  # a function is made with annotations
_ENCLOSING: Final = 8  # and with a closure
# What a class body stores about itself: none of it does anything.
_DESCRIPTIONS: Final = frozenset({"__doc__", "__qualname__", "__firstlineno__", "__static_attributes__"})

_NAMES: Final = opcode.opname
_CONSTANT: Final = frozenset(opcode.hasconst)
_NAMED: Final = frozenset(opcode.hasname)
_JUMPS: Final = frozenset([*opcode.hasjrel, *opcode.hasjabs])
_BACKWARD: Final = frozenset(op for op in _JUMPS if "BACKWARD" in _NAMES[op])
# Low bits of an argument that are a flag, not a part of the name's number.
_SHIFTS: Final = {"LOAD_GLOBAL": 1, "LOAD_SUPER_ATTR": 2, "LOAD_ATTR": 1 if sys.version_info >= (3, 12) else 0}
_SHIFT: Final = {opcode.opmap[name]: bits for name, bits in _SHIFTS.items() if name in opcode.opmap}


def _codes(*names: str) -> frozenset[int]:
    return frozenset(opcode.opmap[name] for name in names if name in opcode.opmap)


_SKIPPED: Final = _codes("CACHE", "EXTENDED_ARG", "NOP")
_EXTENDED: Final = opcode.opmap["EXTENDED_ARG"]
_CACHE: Final = opcode.opmap["CACHE"]
_ASKS: Final = _codes("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_CELLS: Final = _codes("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_READS: Final = _codes("LOAD_ATTR", "LOAD_METHOD")
_STORES: Final = _codes("STORE_NAME")
_WRITES: Final = _codes("STORE_GLOBAL", "DELETE_GLOBAL")
_REBINDS: Final = _codes("STORE_DEREF", "DELETE_DEREF")
_LITERALS: Final = _codes("LOAD_CONST", "LOAD_SMALL_INT", "LOAD_CONST_IMMORTAL")
_IMPORTS: Final = _codes("IMPORT_NAME")
_FROMS: Final = _codes("IMPORT_FROM")
_MAKES: Final = _codes("MAKE_FUNCTION")
_SETS: Final = _codes("SET_FUNCTION_ATTRIBUTE")
_TUPLES: Final = _codes("BUILD_TUPLE")


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement inside a function: ``from module import names``, or the whole module without names."""

    module: str
    level: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """What a code object does, and what it asks for.

    Args:
        digest: of the instructions, their constants and the code inside, without anything that only describes them.
        chains: global names that are loaded. cells: the same for variables of enclosing functions.
        imports: import statements. writes: globals that are stored or deleted. rebinds: the same for cells.
    """

    digest: bytes
    chains: tuple[Chain, ...]
    cells: tuple[Chain, ...]
    imports: tuple[Import, ...]
    writes: tuple[str, ...]
    rebinds: tuple[str, ...]


_OUTLINES: Final[dict[int, tuple[ref[CodeType], Outline]]] = {}  # code objects never change


def outline_of(code: CodeType) -> Outline:
    """Return the outline of a code object; it is made once.

    Example:
        >>> def area(r):
        ...     "A docstring."
        ...     return math.pi * r ** 2
        >>> outline_of(area.__code__).chains
        (('math', 'pi'),)
    """
    known = _OUTLINES.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    outline = _Reader(code).outline()
    place = id(code)
    _OUTLINES[place] = (ref(code, lambda _: _OUTLINES.pop(place, None)), outline)
    return outline


def constants_of(code: CodeType) -> tuple[object, ...]:
    """Return the constants that the code and the code inside it really load, in their order; no docstrings."""
    found: list[object] = []
    for each in _Reader(code).steps:
        if each.op in _CONSTANT:
            constant = code.co_consts[each.arg]
            found.extend(constants_of(constant) if isinstance(constant, CodeType) else [constant])
    return tuple(found)


@dataclass(slots=True)
class _Step:
    """One instruction, without its caches."""

    op: int
    arg: int
    start: int  # in units of two bytes; the first EXTENDED_ARG if there is one
    end: int  # after the caches
    is_dropped: bool = field(default=False)


class _Reader:
    """Reads one code object; the steps that only describe are marked as dropped."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.size = len(code.co_code) // 2
        self.steps = list(_decode(code.co_code))
        self._drop_descriptions()
        if code.co_flags & _FUTURE_ANNOTATIONS:
            self._drop_annotations()
        self.steps = [step for step in self.steps if not step.is_dropped]

    def _drop_descriptions(self) -> None:
        if self.code.co_flags & _OPTIMIZED:
            return
        for before, step in zip(self.steps, self.steps[1:], strict=False):
            if step.op in _STORES and self.code.co_names[step.arg] in _DESCRIPTIONS and before.op in _LITERALS:
                before.is_dropped = step.is_dropped = True

    def _drop_annotations(self) -> None:
        """Drop annotations of functions inside: they are texts here, which nobody evaluates."""
        for place, step in enumerate(self.steps):
            if step.op not in _MAKES:
                continue
            has_closure = bool(step.arg & _ENCLOSING)
            has_annotations = bool(step.arg & _ANNOTATED)
            for later in self.steps[place + 1 : place + 5]:
                if later.op not in _SETS:
                    break
                has_closure = has_closure or later.arg == _ENCLOSING
                if later.arg == _ANNOTATED:
                    has_annotations = later.is_dropped = True
            at = place - 2
            if has_closure and self.steps[at].op in _TUPLES:
                at -= self.steps[at].arg + 1
            if has_annotations and at >= 0 and self.steps[at].op in _LITERALS:
                self.steps[at].is_dropped = True
                step.arg &= ~_ANNOTATED

    def outline(self) -> Outline:
        code, asked = self.code, _Asked()
        asked.read(code, self.steps)
        ordinals = self._ordinals()
        body = b"".join([self._write(step, ordinals, asked) for step in self.steps])
        shape = (
            code.co_argcount,
            code.co_posonlyargcount,
            code.co_kwonlyargcount,
            code.co_flags & _FLAGS,
            code.co_varnames,
            code.co_cellvars,
            code.co_freevars,
            tuple(self._handlers(ordinals)),
        )
        digest = blake2b(encode_value(shape) + sized(b"x", body), digest_size=SIZE, person=b"cascade/code/1").digest()
        return asked.outline(digest)

    def _ordinals(self) -> list[int]:
        """Return, for each unit of the bytes and their end, how many instructions begin before it."""
        ordinals = [0] * (self.size + 2)
        for step in self.steps:
            ordinals[step.start + 1] += 1
        for unit in range(1, self.size + 2):
            ordinals[unit] += ordinals[unit - 1]
        return ordinals

    def _handlers(self, ordinals: list[int]) -> Iterator[tuple[int, int, int, int]]:
        numbers = iter(_varints(self.code.co_exceptiontable))
        for start, length, target, depth in zip(numbers, numbers, numbers, numbers, strict=True):
            yield ordinals[start], ordinals[min(start + length, self.size)], ordinals[target], depth

    def _write(self, step: _Step, ordinals: list[int], asked: _Asked) -> bytes:
        op, arg = step.op, step.arg
        head = b"%x" % op
        if op in _CONSTANT:
            constant = self.code.co_consts[arg]
            if isinstance(constant, CodeType):
                inside = outline_of(constant)
                asked.include(inside, self.code)
                return head + sized(b"k", inside.digest)
            return head + sized(b"c", encode_value(constant))
        if op in _NAMED:
            bits = _SHIFT.get(op, 0)
            return head + sized(b"n%x;" % (arg & ((1 << bits) - 1)), self.code.co_names[arg >> bits].encode())
        if op in _JUMPS:
            target = step.end - arg if op in _BACKWARD else step.end + arg
            return head + b"j%x;" % ordinals[min(target, self.size)]
        return head + b"a%x;" % arg


class _Asked:
    """Collects the names that code asks for."""

    def __init__(self) -> None:
        self.chains: set[Chain] = set()
        self.cells: set[Chain] = set()
        self.imports: set[tuple[str, int, tuple[str, ...]]] = set()
        self.writes: set[str] = set()
        self.rebinds: set[str] = set()

    def read(self, code: CodeType, steps: list[_Step]) -> None:
        own = {code.co_names[step.arg] for step in steps if step.op in _STORES} | {"__name__"}
        is_class = not code.co_flags & _OPTIMIZED
        for place, step in enumerate(steps):
            op = step.op
            if op in _ASKS:
                name = code.co_names[step.arg >> _SHIFT.get(op, 0)]
                if not (is_class and name in own):
                    self.chains.add((name, *_attributes(code, steps, place + 1)))
            elif op in _CELLS:
                name = code._varname_from_oparg(step.arg)  # type: ignore[attr-defined]  # noqa: SLF001 - as dis does
                self.cells.add((name, *_attributes(code, steps, place + 1)))
            elif op in _IMPORTS:
                self.imports.add(_import(code, steps, place))
            elif op in _WRITES:
                self.writes.add(code.co_names[step.arg])
            elif op in _REBINDS:
                self.rebinds.add(code._varname_from_oparg(step.arg))  # type: ignore[attr-defined]  # noqa: SLF001 - see above
        self.rebinds.intersection_update(code.co_freevars)  # a variable of this function's own is nobody else's

    def include(self, inside: Outline, code: CodeType) -> None:
        """Add what code inside asks for; its cells that are this code's own variables are nobody else's."""
        self.chains.update(inside.chains)
        self.cells.update(chain for chain in inside.cells if chain[0] in code.co_freevars)
        self.imports.update((each.module, each.level, each.names) for each in inside.imports)
        self.writes.update(inside.writes)
        self.rebinds.update(name for name in inside.rebinds if name in code.co_freevars)

    def outline(self, digest: bytes) -> Outline:
        imports = tuple(Import(*each) for each in sorted(self.imports))
        chains, cells = tuple(sorted(self.chains)), tuple(sorted(self.cells))
        return Outline(digest, chains, cells, imports, tuple(sorted(self.writes)), tuple(sorted(self.rebinds)))


def _decode(raw: bytes) -> Iterator[_Step]:
    high, first = 0, -1
    unit, size = 0, len(raw) // 2
    while unit < size:
        op, arg = raw[2 * unit], raw[2 * unit + 1] | high
        start = unit if first < 0 else first
        unit += 1
        if op == _EXTENDED:
            high, first = arg << 8, start
            continue
        while unit < size and raw[2 * unit] == _CACHE:
            unit += 1
        high, first = 0, -1
        if op not in _SKIPPED:
            yield _Step(op, arg, start, unit)


def _attributes(code: CodeType, steps: list[_Step], place: int) -> Iterator[str]:
    while place < len(steps) and steps[place].op in _READS:
        step = steps[place]
        yield code.co_names[step.arg >> _SHIFT.get(step.op, 0)]
        place += 1


def _import(code: CodeType, steps: list[_Step], place: int) -> tuple[str, int, tuple[str, ...]]:
    """Read an import: before it stand the level and the names, each a literal."""
    level, names = (_literal(code, step) for step in steps[max(0, place - 2) : place])
    taken = tuple(sorted(names)) if isinstance(names, tuple) else ()
    return code.co_names[steps[place].arg], level if isinstance(level, int) else 0, taken


def _literal(code: CodeType, step: _Step) -> object:
    return code.co_consts[step.arg] if step.op in _CONSTANT else step.arg


def _varints(table: bytes) -> Iterator[int]:
    """Read the numbers of an exception table: six bits a byte, the highest first."""
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            yield value
            value = 0
