from __future__ import annotations

import functools
import importlib
import itertools
import json
import math
import sys
import threading
from enum import Enum
from typing import Any

import numpy as np
import pytest

import cascade as cs
from cascade.identity import bytecode
from cascade.identity.code import CodeKey, code_key
from cascade.identity.errors import IdentityError
from cascade.spec.file import File

pytestmark = pytest.mark.usefixtures("own_context")


def key(function: Any) -> str:
    return code_key(function).digest


def keys(program: Any, *sources: str, name: str = "f") -> list[str]:
    return [key(program(source)[name]) for source in sources]


# What other tools take for the same, or for another; each pair is (before, after).
COLLISIONS = {
    "1 or '1'": ("def f(): return 1", "def f(): return '1'"),
    "where texts are cut": ("def f(x): return 'ab' + x + 'c'", "def f(x): return 'a' + x + 'bc'"),
    "1 or 2": ("def f(): return 1", "def f(): return 2"),
    "0.0 or -0.0": ("def f(): return 0.0", "def f(): return -0.0"),
    "1 or True": ("def f(): return 1", "def f(): return True"),
    "(1, 2) or (12,)": ("def f(): return (1, 2)", "def f(): return (12,)"),
    "a closure": ("def g(n):\n return lambda: n\nf = g(1)", "def g(n):\n return lambda: n\nf = g(2)"),
    "a helper": ("def h(): return 1\ndef f(): return h()", "def h(): return 2\ndef f(): return h()"),
    "a global": ("G = 1\ndef f(): return G", "G = 2\ndef f(): return G"),
    "what stands before an inner def of an async def": (
        "async def f():\n a = 1\n def g(): return 3\n return a",
        "async def f():\n a = 2\n def g(): return 3\n return a",
    ),
    "same name, other function": ("def f(x): return x", "def f(x): return not x"),
    "a handler moved": (
        "def f():\n try:\n  a()\n  b()\n except E: pass",
        "def f():\n try:\n  a()\n except E: pass\n b()",
    ),
    "what a handler covers": (
        "def f():\n try:\n  a()\n  b()\n except E: pass",
        "def f():\n try:\n  a()\n except E: pass\n else:\n  b()",
    ),
    "a name from elsewhere": (
        "from math import floor as g\ndef f(): return g(1)",
        "from math import ceil as g\ndef f(): return g(1)",
    ),
    "an import inside": ("def f():\n from math import pi\n return pi", "def f():\n from math import e\n return e"),
    "a keyword's name": ("def f(): return dict(a=1)", "def f(): return dict(b=1)"),
    "a base class": ("class B(int): pass\nclass f(B): pass", "class B(float): pass\nclass f(B): pass"),
    "a property": (
        "class f:\n @property\n def p(self): return 1",
        "class f:\n @property\n def p(self): return 2",
    ),
    "a dataclass's default": (
        "from dataclasses import dataclass\n@dataclass\nclass f:\n a: int = 1",
        "from dataclasses import dataclass\n@dataclass\nclass f:\n a: int = 2",
    ),
    "an enum's value": ("from enum import Enum\nclass f(Enum): A = 1", "from enum import Enum\nclass f(Enum): A = 2"),
    "beneath a cache": (
        "import functools\n@functools.lru_cache\ndef f(): return 1",
        "import functools\n@functools.lru_cache\ndef f(): return 2",
    ),
    "beneath a context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef f(): yield 1",
        "import contextlib\n@contextlib.contextmanager\ndef f(): yield 2",
    ),
    "an overload of singledispatch": (
        "import functools\n@functools.singledispatch\ndef f(x): pass\n@f.register(int)\ndef _(x): return 1",
        "import functools\n@functools.singledispatch\ndef f(x): pass\n@f.register(int)\ndef _(x): return 2",
    ),
    "in a table of functions": (
        "def a(): return 1\nT = {'a': a}\ndef f(n): return T[n]()",
        "def a(): return 2\nT = {'a': a}\ndef f(n): return T[n]()",
    ),
    "an attribute of a function": (
        "def g(): pass\ng.n = 1\ndef f(): return g.n",
        "def g(): pass\ng.n = 2\ndef f(): return g.n",
    ),
    "the class of an object": (
        "class C:\n def m(self): return 1\nc = C()\ndef f(): return c.m()",
        "class C:\n def m(self): return 2\nc = C()\ndef f(): return c.m()",
    ),
    "the state of a callable": (
        "class C:\n def __init__(s, n): s.n = n\n def __call__(s): return s.n\nf = C(1)",
        "class C:\n def __init__(s, n): s.n = n\n def __call__(s): return s.n\nf = C(2)",
    ),
    "an argument of a partial": (
        "import functools\ndef g(a, b): pass\nf = functools.partial(g, 1)",
        "import functools\ndef g(a, b): pass\nf = functools.partial(g, b=1)",
    ),
    "a keyword-only default": ("def f(*, a=1): pass", "def f(*, a=2): pass"),
    "positional only": ("def f(a, /): pass", "def f(a): pass"),
    "async or not": ("def f(): return 1", "async def f(): return 1"),
    "a name that hides a builtin": ("def f(x): return len(x)", "def len(x): return 0\ndef f(x): return len(x)"),
    "a function in a recursion": (
        "def f(n): return n and g(n - 1)\ndef g(n): return n and f(n - 1)",
        "def f(n): return n and g(n - 1)\ndef g(n): return n and f(n - 2)",
    ),
    "a function that was not there": ("def f(): return g()", "def g(): pass\ndef f(): return g()"),
    "the set of a class without a module": ("class f: n = {1, 2}", "class f: n = {1, 3}"),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_what_is_not_the_same(program: Any, case: str) -> None:
    """Pairs that one tool or another takes for the same have different keys."""
    before, after = keys(program, *COLLISIONS[case])
    assert before != after


SAME = {
    "a partial of an equal object": (
        "import functools\nclass C: n = 1\ndef g(c, x): pass\nf = functools.partial(g, C())",
        "import functools\nclass C: n = 1\ndef g(c, x): pass\nf = functools.partial(g, C())",
    ),
    "the function's name": ("def f(x): return x", "def g(x): return x\nf = g"),
    "order of a set": ("S = {'a', 'b', 'c'}\ndef f(): return S", "S = {'c', 'b', 'a'}\ndef f(): return S"),
    "order of definitions": ("A = 1\nB = 2\ndef f(): return A, B", "B = 2\nA = 1\ndef f(): return A, B"),
    "docstring of a class inside": (
        "def f():\n class C:\n  x = 1\n return C",
        "def f():\n\n class C:\n  'Doc.'\n  x = 1\n return C",
    ),
    "annotations of a function inside": (
        "from __future__ import annotations\ndef f():\n y = 1\n def g(a): return a + y\n return g",
        "from __future__ import annotations\ndef f():\n y = 1\n def g(a: int) -> str: return a + y\n return g",
    ),
    "a pass": ("def f(x):\n if x: return 1", "def f(x):\n pass\n if x: return 1"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_the_same(program: Any, case: str) -> None:
    """Edits that change nothing keep the key."""
    before, after = keys(program, *SAME[case])
    assert before == after


def test_running_does_not_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python rewrites bytecode that runs often; the key is that of the code as it was written."""

    def work(n: int) -> float:
        total = 0.0
        for i in range(n):
            total += math.sqrt(i) if i % 2 else len(str(i))
        return total

    before = key(work)
    for _ in range(1000):
        work(20)
    monkeypatch.setattr(bytecode, "_OUTLINES", {})  # read it again
    assert key(work) == before


def test_a_traced_function_keeps_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debuggers and coverage put their own instructions into code, and they do not count."""

    def work(n: int) -> int:
        return sum(i for i in range(n))

    before, traced = key(work), sys.gettrace()
    sys.settrace(lambda *_: lambda *_: None)
    try:
        work(3)
        monkeypatch.setattr(bytecode, "_OUTLINES", {})
        assert key(work) == before
    finally:
        sys.settrace(traced)


def test_only_what_is_used_of_a_module_counts(program: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the user's own module, only the functions that are reached count; as a whole, all do."""
    monkeypatch.syspath_prepend(tmp_path)
    used = "import own_pieces\ndef f(): return own_pieces.used()"
    whole = "import own_pieces\ndef f(): return own_pieces"
    inside = "def f():\n from own_pieces import used\n return used()"
    found = []
    for first, second in ((1, 1), (1, 2), (2, 2)):
        monkeypatch.delitem(sys.modules, "own_pieces", raising=False)
        (tmp_path / "own_pieces.py").write_text(
            f"def used(): return {first}\ndef other(): return {second}{' ' * first}\n"
        )
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        import importlib

        importlib.invalidate_caches()
        found.append(keys(program, used, whole, inside))
    assert found[0][0] == found[1][0] != found[2][0]
    assert found[0][1] != found[1][1]
    assert found[0][2] == found[1][2] != found[2][2]


def test_libraries_count_by_version() -> None:
    """A function of a library is a part that names the library and its version."""

    def work(x: Any) -> Any:
        return np.linalg.norm(x) + math.pi

    libraries = {part.source for part in code_key(work).parts if part.kind == "library"}
    assert f"numpy {np.__version__}" in libraries
    assert any(source.startswith("python 3.") for source in libraries)


def test_other_tasks_count_by_name() -> None:
    """What another task computes comes as data, so its code is no part of this one's."""
    made = []
    for factor in (1, 2):

        @cs.task(name=f"other{factor}")
        def other(x: int, by: int = factor) -> int:
            return x * by

        @cs.task
        def work(x: int) -> Any:
            return other(x)

        made.append(code_key(work))
    assert made[0].digest == made[1].digest
    assert any(part.kind == "task" for part in made[0].parts)


def test_inputs_and_resources_count_by_name() -> None:
    """A Param's default is not code."""

    def make(default: int, name: str = "alpha") -> str:
        alpha = cs.Param(name, default=default)

        @cs.task
        def work(x: int, a: Any = alpha, db: Any = cs.inject("db")) -> int:
            return x

        return key(work)

    assert make(1) == make(2) != make(1, "beta")


def test_version_stands_for_the_code() -> None:
    """With ``version=`` the body does not count, and the version does."""
    one = cs.task(version="1")(lambda x: x + 1)
    same = cs.task(version="1")(lambda x: x + 2)
    other = cs.task(version="2")(lambda x: x + 1)
    assert key(one) == key(same) != key(other)
    assert [part.kind for part in code_key(one).parts] == ["library", "version"]


def test_depends_on_adds(tmp_path: Any) -> None:
    """Functions, modules, classes, files and values named in ``depends_on`` count."""
    file = tmp_path / "x.csv"
    file.write_text("1")

    def make(*depends: Any) -> str:
        return key(cs.task(depends_on=depends)(lambda x: x))

    base = make()
    assert (
        len({base, make(math), make(Enum), make(3), make(4), make(lambda: 1), make(lambda: 2), make(File(file))}) == 8
    )
    before = make(File(file))
    file.write_text("2")
    assert make(File(file)) != before


def test_depends_on_a_task_means_its_code() -> None:
    """Naming a task there says that its code counts after all."""

    def make(factor: int) -> str:
        other = cs.task(lambda x: x * factor)
        return key(cs.task(depends_on=(other,))(lambda x: x))

    assert make(1) == make(1) != make(2)


def test_ignored_arguments_have_no_part() -> None:
    """``ignore=`` is about inputs; the code is what it was."""
    assert key(cs.task(ignore=("x",))(lambda x: x)) == key(cs.task(lambda x: x))


def test_methods_count_with_their_object() -> None:
    """A bound method has the state of its object in its key; a task of a class has not, since that is an argument."""

    class Scale:
        def __init__(self, by: int) -> None:
            self.by = by

        def plain(self, x: int) -> int:
            return x * self.by

        @cs.task
        def apply(self, x: int) -> int:
            return x * self.by

    assert key(Scale(1).plain) == key(Scale(1).plain) != key(Scale(2).plain)
    assert key(Scale(1).apply) == key(Scale(2).apply) == key(Scale.apply)


def test_arrays_count_by_content() -> None:
    """A global array is keyed by its elements, so an edit in place is seen."""
    data = np.arange(5)

    def work() -> Any:
        return data

    before = key(work)
    data[0] = 7
    assert key(work) != before


def test_what_has_no_key_is_named() -> None:
    """An object without a value counts by its type, with one warning; strict mode names it and the way out."""
    lock = threading.Lock()

    def work() -> None:
        with lock, lock:
            pass

    made = code_key(work)
    assert made.digest == key(work)
    assert len(made.warnings) == 1
    assert "'lock' in work, of type _thread.lock" in made.warnings[0]
    assert [part.source for part in made.parts if part.kind == "opaque"] == ["_thread.lock"]
    with pytest.raises(IdentityError, match=r"'lock' in work is of type _thread\.lock.*depends_on=.*version=.*ignore="):
        code_key(work, strict=True)


def test_changing_what_is_outside_is_told(program: Any) -> None:
    """A stored result does not count a global up again; the key says so."""
    space = program("N = 0\ndef f():\n global N\n N = 1")
    assert "changes 'N', which is outside of f" in code_key(space["f"]).warnings[0]


def test_an_object_may_say_what_it_is(program: Any) -> None:
    """``__cascade_digest__`` stands for the state of an object."""
    source = "class C:\n def __init__(s, n): s.n = n\n def __cascade_digest__(s): return s.n % 10\n"
    space = program(source + "def make(c):\n def f(): return c\n return f")
    make, kind = space["make"], space["C"]
    assert key(make(kind(1))) == key(make(kind(11))) != key(make(kind(2)))


def test_a_registry_that_holds_the_function_itself(program: Any) -> None:
    """A table of functions that use the table ends, and an edit of any of them is seen."""
    text = "T = {}\ndef reg(g):\n T[g.__name__] = g\n return g\n@reg\ndef a(): return T, 1\n@reg\ndef f(): return T, 2"
    before, same, after = keys(program, text, text, text.replace("T, 1", "T, 3"))
    assert before == same != after


def test_a_chain_of_functions_may_be_long(program: Any) -> None:
    """A hundred helpers that call each other in turn are walked; thousands are told, not a crash."""
    text = "def f0(): return 1\n" + "".join(f"def f{n}(): return f{n - 1}()\n" for n in range(1, 3000))
    space = program(text, has_source=False)
    before = key(space["f100"])
    assert before == key(space["f100"]) != key(program(text.replace("return 1\n", "return 2\n"))["f100"])
    with pytest.raises(IdentityError, match="nested too deeply to be walked"):
        key(space["f2999"])


def test_functions_that_all_call_each_other_are_walked_once(program: Any) -> None:
    """Thirty functions, each of which uses all others, take thirty visits."""
    names = ", ".join(f"f{n}" for n in range(30))
    space = program("".join(f"def f{n}(x):\n return [{names}][x](x - {n})\n" for n in range(30)))
    made = code_key(space["f3"])
    assert len([part for part in made.parts if part.kind in {"function", "helper"}]) == 30
    assert made.digest != key(space["f4"])


def test_what_is_no_code_is_refused() -> None:
    """A value has a data key, not a code key."""
    with pytest.raises(IdentityError, match="of type int has no code key"):
        code_key(3)


def test_callables_of_all_kinds_have_keys() -> None:
    """Builtins, classes, partials, C functions and methods have keys, all different."""
    found = [
        len,
        print,
        int,
        dict,
        str.upper,
        "a".upper,
        "b".upper,
        [].append,
        math.sqrt,
        np.add,
        functools.partial(int, 2),
    ]
    assert len({key(each) for each in found}) == len(found)


def test_keys_become_json_and_come_back(program: Any) -> None:
    """A key of a task with three functions takes less than 4 KB, and texts can be kept elsewhere, each once."""
    lines = "".join(f"    y = y + {n}  # so that it has some length\n" for n in range(12))
    space = program(
        f"import math\nT = 0.3\ndef g(y):\n{lines}    return y * T\ndef h(y):\n{lines}    return math.sqrt(y)\n"
        f"def f(y, n=3):\n{lines}    return g(h(y))"
    )
    made = code_key(space["f"])
    assert CodeKey.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert len(json.dumps(made.to_dict())) <= 4096
    texts: dict[str, str] = {}

    def put(text: str) -> str:
        return texts.setdefault(f"t{len(texts)}", text) and f"t{len(texts) - 1}"

    data = json.loads(json.dumps(made.to_dict(put)))
    assert len(texts) == 3
    assert "texts" not in data
    assert CodeKey.from_dict(data, texts.get) == made
    assert CodeKey.from_dict(data, {}.get).digest == made.digest


@pytest.mark.parametrize(
    "data", [{}, {"digest": "a", "parts": [["x"]]}, {"digest": 1, "parts": []}, {"digest": "a", "parts": [5]}]
)
def test_a_foreign_record_is_refused(data: Any) -> None:
    """What `to_dict` never writes is an error with a sentence."""
    with pytest.raises(IdentityError, match="stored code key is not valid"):
        CodeKey.from_dict(data)


def test_a_module_that_a_body_takes_from_its_package_counts(
    program: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``from . import part`` counts by what the part holds, also if nobody has imported it yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "flow.py").write_text("def f(x):\n    from . import part\n    return part.go(x)\n")
    keys = []
    for body in ("x + 1", "x + 2", "x + 2  # two"):
        (package / "part.py").write_text(f"def go(x):\n    return {body}\n")
        for name in [name for name in sys.modules if name.startswith("own_package")]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        keys.append(code_key(importlib.import_module("own_package.flow").f).digest)
    assert keys[0] != keys[1] == keys[2]


@pytest.mark.parametrize("place", ["global", "closure"])
def test_the_function_of_another_task_counts_by_its_code(program: Any, place: str) -> None:
    """Who calls ``other.func`` runs its code; who passes the task on has its name only."""
    keys = []
    for use, body in itertools.product(("other.func(x)", "other"), ("x", "x + 1")):
        define = f"@cs.task\ndef other(x): return {body}\n"
        text = f"{define}def f(x): return {use}\n"
        if place == "closure":
            inner = "".join(f"    {line}\n" for line in text.splitlines())
            text = f"def make():\n{inner}    return f\nf = make()\n"
        keys.append(code_key(program(text, cs=cs)["f"]).digest)
    assert keys[0] != keys[1]
    assert keys[2] == keys[3]


def test_a_bound_slot_counts_by_what_it_is_bound_to() -> None:
    """Methods of numbers, which C makes, differ by their number."""
    assert code_key((1).__add__).digest != code_key((2).__add__).digest
    assert code_key((1).__add__).digest == code_key((1).__add__).digest


def test_a_function_that_numpy_made_is_not_taken_for_another(program: Any) -> None:
    """``numpy.frompyfunc`` gives no name that leads back to it: there is a warning, and strict mode refuses it."""
    text = "g = np.frompyfunc(lambda x: x + 1, 1, 1)\ndef f(x): return g(x)\n"
    found = program(text, np=np)["f"]
    assert any("numpy.ufunc" in warning for warning in code_key(found).warnings)
    with pytest.raises(IdentityError):
        code_key(found, strict=True)
    assert not code_key(program("def f(x): return np.add(x, x), h\n", np=np, h=np.add)["f"]).warnings
