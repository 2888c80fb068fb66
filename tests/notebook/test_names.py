"""What a cell reads, gives and changes, from its text alone."""

from __future__ import annotations

import ast

import pytest

from cascade.notebook.name_changes import root_of
from cascade.notebook.name_flow import follow
from cascade.notebook.names import find_names


@pytest.mark.parametrize(
    ("source", "reads", "gives"),
    [
        ("total = sum(rows)", "rows", "total"),
        ("df = df.dropna()", "df", "df"),
        ("x += 1", "x", "x"),
        ("x: int = y\nz: float", "y", "x"),
        ("a = b = c", "c", "a b"),
        ("(a, [b, *c]), d.e, f[g] = h", "h d f g", "a b c"),
        ("for i, (j, *k) in pairs: total = i", "pairs", "i j k total"),
        ("with open(p) as fh, lock: text = fh.read()", "p lock", "fh text"),
        ("try:\n    x = 1\nexcept (KeyError, Own) as e:\n    print(e)", "Own", "x e"),
        ("import a.b, c as d\nfrom e import f as g", "", "a d g"),
        ("from __future__ import annotations", "", ""),
        ("match v:\n    case {'k': w, **r}: pass\n    case [h, *t]: pass\n    case P(u=m): pass", "v P", "r w h t m"),
        ("[y := t for t in u if t > lim]", "u lim", "y"),
        ("if (n := len(s)) > 3: pass", "s", "n"),
        ("_private = x\nshown = _private", "x", "shown"),
        ("x, = y\ndel x", "y", "x"),
        ("class A(B, metaclass=M):\n    n = m\n    def f(self): return n + g", "B M m n g", "A"),
        ("print(list(map(str, range(3))))", "", ""),
        ("list = [1]\nlist", "", "list"),
        ("y = list(z)\nlist = 3", "z list", "y list"),
        ("await job\nasync with a as b: pass\nasync for c in d: pass", "job a d", "b c"),
    ],
)
def test_reads_and_gives(source: str, reads: str, gives: str) -> None:
    """Every way in which Python binds and looks up names at the top of a cell."""
    names = find_names(source)
    assert set(names.reads) == set(reads.split())
    assert set(names.gives) == set(gives.split())


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("if a: x = 1\nelse: x = 2\nx", "a"),
        ("if a: x = 1\nx", "a x"),
        ("if a:\n    raise SystemExit\nelse:\n    x = 1\nx", "a"),
        ("for i in xs: y = i\ny", "xs y"),
        ("while True:\n    z = next(it)\n    if z: break\nz", "it"),
        ("while n: n = n - 1", "n"),
        ("try: import fast\nexcept ImportError: fast = None\nfast", ""),
        ("try: x = f()\nexcept E: pass\nx", "f E x"),
        ("try: x = f()\nfinally: done = 1\nx, done", "f"),
        ("from contextlib import suppress\nwith suppress(KeyError): x = d['k']\nx", "d x"),
        ("x = 1 if a else b", "a b"),
        ("a and (x := 1)\nx", "a x"),
        ("if __name__ == '__main__': x = 1\nx", ""),
        ("x = 1\ndel x\nx", "x"),
    ],
)
def test_surely_assigned_or_read(source: str, reads: str) -> None:
    """A name counts as read unless every way to the place assigns it first."""
    assert set(find_names(source).reads) == set(reads.split())


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("def f(a, b=c, *d: e) -> g:\n    h = a + i\n    return h", "c e g i"),
        ("def f(): return df * k\nk = 3\ndf = f()", "df"),
        ("def f(): return k\nk = 3\nf()", ""),
        ("def f(): return g()\ndef g(): return z\nf()", "z"),
        ("def f():\n    global n\n    n = 1\nf()", ""),
        ("def f():\n    global n\n    n += 1\nf()", "n"),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x += y\n    return g", "y"),
        ("f = lambda q, w=e: q + r", "e r"),
        ("[a + b for a in xs for c in a if d]", "xs b d"),
        ("x = 1\nclass A:\n    y = x\n    z = [y for _ in w]", "w y"),
        ("def f():\n    import os\n    try: pass\n    except E as e: return e, os", "E"),
        ("def f(v):\n    match v:\n        case [a, *b]: return a, b, c", "c"),
        ("@deco\ndef f(): pass", "deco"),
    ],
)
def test_names_inside_functions_and_classes(source: str, reads: str) -> None:
    """What a function looks up counts from where it may run; its own variables do not."""
    assert set(find_names(source).reads) == set(reads.split())


@pytest.mark.parametrize(
    ("source", "mutates"),
    [
        ("x.append(1)", "x"),
        ("d['k'] = 1", "d"),
        ("o.attr = 1", "o"),
        ("del d['k']", "d"),
        ("x += [1]", "x"),
        ("df.dropna(inplace=True)", "df"),
        ("df.dropna(inplace=False)", ""),
        ("df.loc[0, 'a'] = 1", "df"),
        ("d.setdefault('k', []).append(1)", "d"),
        ("x = x.copy()\nx.append(1)", ""),
        ("y = df\ny['a'] = 1", "df"),
        ("for row in rows: row['a'] = 1", "rows"),
        ("for i, row in enumerate(rows): row['a'] = i", "rows"),
        ("random.shuffle(x)", "x"),
        ("model.fit(X, y)", "model"),
        ("np.add(a, b, out=c)", "c"),
        ("def f(): rows.append(1)\nf()", "rows"),
        ("def f(rows): rows.append(1)", ""),
        ("[seen.add(x) for x in xs]", "seen"),
        ("print(x.a, x[0], x.mean())", ""),
    ],
)
def test_probable_changes(source: str, mutates: str) -> None:
    """Methods, items, attributes, aliases and loop variables lead back to the name that is read."""
    assert set(find_names(source).mutates) == set(mutates.split())


def test_imports_and_deletes_are_told_apart() -> None:
    """Imports are also given; a star import stands as the module."""
    names = find_names("import a.b\nfrom c import *\nx = 1\ndel x, y")
    assert names.imports == ("a", "c.*")
    assert names.deletes == ("x", "y")


def test_order_is_that_of_the_cell() -> None:
    """First come, first named."""
    names = find_names("b = z + y\na = x\nb = 1")
    assert (names.reads, names.gives) == (("z", "y", "x"), ("b", "a"))


def test_code_in_magics_queries_and_shell_lines_counts() -> None:
    """The shell's transform makes calls of them; the texts are read too."""
    source = (
        "get_ipython().run_line_magic('time', 'm = fit(X)')\n"
        "get_ipython().run_line_magic('timeit', 'q = slow(m)')\n"
        "get_ipython().system('ls {folder} $name')\n"
        "df.query('a > @limit')"
    )
    names = find_names(source)
    assert set(names.reads) == {"fit", "X", "slow", "folder", "name", "df", "limit"}
    assert names.gives == ("m",)


def test_a_syntax_error_is_one() -> None:
    """Nothing is guessed about text that is not Python."""
    with pytest.raises(SyntaxError):
        find_names("x = = 1")


def test_what_a_cell_may_keep_and_what_only_passes_by() -> None:
    """Loop variables pass by, an exception's name is gone, a deleted name is not kept."""
    flow = follow(ast.parse("for i in xs:\n    y = i\ntry: pass\nexcept E as e: pass\nz = 1\ndel z"))
    assert flow.kept == {"i", "y"}
    assert flow.passing == {"i", "e"}
    assert flow.unsure == set()
    assert follow(ast.parse("for i in xs: y = i\ny")).unsure == {"y"}


def test_the_root_of_an_expression() -> None:
    """Attributes and items lead to the name; calls that make something new do not."""
    assert root_of(ast.parse("a.b[0].c", mode="eval").body) == "a"
    assert root_of(ast.parse("a.copy().b", mode="eval").body) == ""
