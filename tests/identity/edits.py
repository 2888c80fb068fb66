"""Generated pairs of programs: the same one before and after an edit, over every kind of function.

Run as a program it prints the key of each as JSON, so that fresh processes with other hash seeds can be compared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Pieces:
    """What a program is put together from; each kind of function has a place for each piece."""

    top: str = ""
    limit: str = "LIMIT = 10"
    table: str = 'TABLE = {"a": 1, "b": [1, 2]}'
    step: str = "STEP = 5"
    helper: str = "return deeper(v) + STEP + factor"
    deeper: str = "return math.floor(v) - 1"
    factor: str = "2"
    default: str = "3"
    expression: str = 'helper(x * 3) + LIMIT - n + len("ab" + str(x) + "c") + TABLE["a"] + Scale.by(x)'
    scale: str = "return x * 0.3"
    doc: str = ""
    hint: str = ""
    local: str = ""
    comment: str = ""
    gap: str = ""
    future: str = ""


def _head(p: Pieces) -> str:
    return (
        f"{p.future}\n{p.top}\nimport functools, math\n{p.limit}\n{p.table}\n{p.step}\n{p.comment}\n"
        f"def deeper(v{p.hint}):\n    {p.doc}\n    {p.comment}\n    {p.deeper}\n{p.gap}\n"
        f"def helper(v, factor={p.factor}):\n    {p.doc}\n    {p.helper}\n"
        f"class Scale:\n    {p.doc}\n    @staticmethod\n    def by(x):\n        {p.comment}\n        {p.scale}\n"
    )


def _body(p: Pieces, word: str = "return", indent: str = "    ") -> str:
    lines = [p.doc, p.comment, f"y{p.local} = {p.expression}", p.gap, f"{word} y"]
    return "".join(f"{indent}{line}\n" for line in lines)


def _def(p: Pieces) -> str:
    return f"def f(x{p.hint}, n={p.default}):\n{_body(p)}"


def _async(p: Pieces) -> str:
    return f"async def f(x{p.hint}, n={p.default}):\n{_body(p)}"


def _lambda(p: Pieces) -> str:
    return f"f = lambda x, n={p.default}: (  {p.comment}\n{p.gap}\n    {p.expression}\n)\n"


def _method(p: Pieces) -> str:
    body = _body(p, indent="        ")
    return f"class Box:\n    {p.doc}\n    def m(self, x{p.hint}, n={p.default}):\n{body}f = Box().m\n"


def _partial(p: Pieces) -> str:
    return f"def base(x{p.hint}, n):\n{_body(p)}f = functools.partial(base, n={p.default})\n"


def _decorated(p: Pieces) -> str:
    return (
        "def twice(g):\n    @functools.wraps(g)\n    def wrapper(*a, **k):\n        return g(*a, **k) * 2\n"
        f"    return wrapper\n@twice\ndef f(x{p.hint}, n={p.default}):\n{_body(p)}"
    )


def _nested(p: Pieces) -> str:
    inner = f"    def inner(x{p.hint}, n={p.default}):\n{_body(p, indent='        ')}"
    return f"def outer():\n    {p.doc}\n{inner}    return inner\nf = outer()\n"


def _execed(p: Pieces) -> str:
    return f"exec({_def(p)!r}, globals())\n"


def _class(p: Pieces) -> str:
    body = _body(p, indent="        ")
    return f"class f:\n    {p.doc}\n    size = {p.default}\n    def __call__(self, x{p.hint}, n=1):\n{body}"


def _generator(p: Pieces) -> str:
    return f"def f(x{p.hint}, n={p.default}):\n{_body(p, word='yield')}"


KINDS: dict[str, Callable[[Pieces], str]] = {
    "def": _def,
    "async def": _async,
    "lambda": _lambda,
    "method": _method,
    "partial": _partial,
    "decorated": _decorated,
    "nested": _nested,
    "exec'd": _execed,
    "class": _class,
    "generator": _generator,
}

PLAIN = Pieces()


def _said(old: str, new: str) -> Pieces:
    assert old in PLAIN.expression, old
    return replace(PLAIN, expression=PLAIN.expression.replace(old, new))


MATTERS: dict[str, Pieces] = {
    "a constant": _said("* 3", "* 4"),
    "the type of a constant": _said("* 3)", "* 3.0)"),
    "an operator": _said("* 3", "+ 3"),
    "another call": _said("len(", "hash("),
    "operands": _said("LIMIT - n", "n - LIMIT"),
    "where texts are cut": _said('"ab" + str(x) + "c"', '"a" + str(x) + "bc"'),
    "a helper's body": replace(PLAIN, helper="return deeper(v) - STEP + factor"),
    "a helper's helper": replace(PLAIN, deeper="return math.floor(v) - 2"),
    "a library's function": replace(PLAIN, deeper="return math.ceil(v) - 1"),
    "a helper's default": replace(PLAIN, factor="4"),
    "a global": replace(PLAIN, limit="LIMIT = 11"),
    "a global's type": replace(PLAIN, limit="LIMIT = 10.0"),
    "a helper's global": replace(PLAIN, step="STEP = 6"),
    "deep in a global": replace(PLAIN, table='TABLE = {"a": 1, "b": [1, 3]}'),
    "a default": replace(PLAIN, default="True"),
    "a method of a class": replace(PLAIN, scale="return x * 0.4"),
}
IGNORED: dict[str, Pieces] = {
    "a comment": replace(PLAIN, comment="# why"),
    "a blank line": replace(PLAIN, gap="\n\n"),
    "a docstring": replace(PLAIN, doc='"""What it does."""'),
    "a long docstring": replace(PLAIN, doc='"""What it does.\n\n    And more.\n    """'),
    "moved down": replace(PLAIN, top="#\n" * 300),
    "a local's annotation": replace(PLAIN, local=": int"),
    "annotations as text": replace(PLAIN, hint=': "int"', future="from __future__ import annotations"),
    "annotations": replace(PLAIN, hint=": int"),
    "an unused global": replace(PLAIN, top="UNUSED = 1"),
    "an unused import": replace(PLAIN, top="import json"),
    "an unused function": replace(PLAIN, top="def unused(): return 1"),
    "the form of a number": _said("* 3", "* 0x3"),
    "the quotes": _said('TABLE["a"]', "TABLE['a']"),
    "brackets": _said("helper(x * 3)", "(helper((x * 3)))"),
    "a dict's order": replace(PLAIN, table='TABLE = {"b": [1, 2], "a": 1}'),
}


def pairs() -> Iterator[tuple[str, str, bool, str, str]]:
    """Kind, edit, whether it matters, and both programs."""
    for kind, render in KINDS.items():
        for matters, edits in ((True, MATTERS), (False, IGNORED)):
            for name, pieces in edits.items():
                if kind == "nested" and name == "annotations":
                    continue  # the outer function evaluates them
                yield kind, name, matters, _head(PLAIN) + render(PLAIN), _head(pieces) + render(pieces)


def key(source: str) -> str:
    """The key of `f` in a program."""
    from cascade.identity.code import code_key

    space: dict[str, object] = {"__name__": "__main__"}
    exec(compile(source, "<program>", "exec"), space)
    made = code_key(space["f"])
    assert not made.warnings, made.warnings
    return made.digest


if __name__ == "__main__":
    json.dump([[kind, name, matters, key(old), key(new)] for kind, name, matters, old, new in pairs()], sys.stdout)
