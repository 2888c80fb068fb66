from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import cascade as cs
from cascade.identity.code import CodeKey, Part, code_key
from cascade.identity.explain import explain_code
from cascade.spec.file import File

from .edits import IGNORED, KINDS, MATTERS, PLAIN, _head

HELPERS = """
THRESHOLD = 0.3

def scale(x):
    '''Doc.'''
    # a comment
    return x * 2.5 + THRESHOLD

def clean(x, n=3):
    y = scale(x)
    return y - n
"""


def told(program: Any, before: str, after: str, name: str = "clean", *, has_source: bool = True) -> list[str]:
    old = code_key(program(before, has_source=has_source)[name])
    new = code_key(program(after, has_source=has_source)[name])
    return [change.sentence for change in explain_code(old, new)]


EDITS = [
    (("2.5", "4.5"), "helper scale changed, line 7 (2.5 → 4.5)"),
    (("0.3", "0.4"), "global THRESHOLD 0.3 → 0.4 (used in scale)"),
    (("n=3", "n=5"), "default of n 3 → 5"),
    (("y - n", "y + n"), "clean changed, line 11 (- → +)"),
    (("n=3", "n=int"), "default of n 3 → int"),
    (("    y = scale(x)\n", "    y = scale(x)\n    y = y or 1\n"), "clean changed, line 11"),
    (("y - n", "math.sqrt(y)"), "clean changed, line 11"),
]


@pytest.mark.parametrize(("edit", "sentence"), EDITS)
def test_the_part_that_changed_is_named(program: Any, edit: tuple[str, str], sentence: str) -> None:
    """A sentence names function, line and values."""
    before = "import math" + HELPERS
    assert told(program, before, before.replace(*edit))[0] == sentence


def test_comments_do_not_hide_the_line(program: Any) -> None:
    """The line is that of the code, when comments and docstrings changed, too."""
    after = HELPERS.replace("# a comment", "# another\n    # comment").replace("'''Doc.'''", "'''Other.'''")
    assert told(program, HELPERS, after) == []
    assert told(program, HELPERS, after.replace("2.5", "4.5")) == ["helper scale changed, line 8 (2.5 → 4.5)"]


def test_without_a_source_it_says_so(program: Any) -> None:
    """Code without a text is told by its constants, and the line is said to be unknown."""
    sentences = told(program, HELPERS, HELPERS.replace("2.5", "4.5"), has_source=False)
    assert sentences == ["helper scale changed (2.5 → 4.5); its source is not available, so the line is not known"]


def test_several_users_of_one_global_are_one_sentence(program: Any) -> None:
    """What several functions use is told once."""
    text = "G = 1\ndef h(): return G\ndef clean(): return G + h()"
    assert told(program, text, text.replace("G = 1", "G = 2")) == ["global G 1 → 2 (used in clean and h)"]


def test_several_changes_are_several_sentences(program: Any) -> None:
    """Every part that changed is told."""
    after = HELPERS.replace("0.3", "0.4").replace("n=3", "n=4").replace("2.5", "3.5")
    assert told(program, HELPERS, after) == [
        "default of n 3 → 4",
        "helper scale changed, line 7 (2.5 → 3.5)",
        "global THRESHOLD 0.3 → 0.4 (used in scale)",
    ]


def test_other_kinds_of_changes(program: Any) -> None:
    """Closures, classes, names that came and went, and objects of another kind."""
    closure = "def make(n):\n def clean(): return n\n return clean\nclean = make(1)"
    assert told(program, closure, closure.replace("make(1)", "make(2)")) == ["enclosing value n 1 → 2 (used in clean)"]
    method = "class C:\n def m(self): return 1\ndef clean(): return C().m()"
    assert told(program, method, method.replace("return 1", "return 2")) == ["helper C.m changed, line 2 (1 → 2)"]
    member = told(program, method, method.replace("class C:", "class C:\n n = 1"))
    assert member == ["class C has other members than before", "C now uses the global n"]
    missing = "def clean(): return helper()"
    assert told(program, missing, "def helper(): pass\n" + missing) == [
        "clean now uses the helper helper",
        "helper, used in clean, was not defined and is now",
    ]
    found = told(
        program,
        "import threading\nG = 1\ndef clean(): return G",
        "import threading\nG = threading.Lock()\ndef clean(): return G",
    )
    assert found == ["G, used in clean, was a global (1) and is an opaque (_thread.lock)"]
    secret = "API_TOKEN = 'hunter2'\ndef clean(): return API_TOKEN"
    assert "hunter" not in str(told(program, secret, secret.replace("hunter2", "hunter3")))


@pytest.mark.usefixtures("own_context")
def test_versions_and_dependencies(tmp_path: Any) -> None:
    """What the task itself says: its version, what it depends on."""
    file = tmp_path / "x.csv"
    file.write_text("1")

    def key(version: str | None = None, *depends: Any) -> CodeKey:
        return code_key(cs.task(name="t", version=version, depends_on=depends)(lambda x: x))

    assert [str(c) for c in explain_code(key("1"), key("2"))] == ["version 1 → 2"]
    before = key(None, File(file))
    file.write_text("2")
    (change,) = explain_code(before, key(None, File(file)))
    assert change.sentence.endswith("x.csv, named in depends_on, changed (" + change.after + ")")
    assert [str(c) for c in explain_code(key(None), key(None, len))] != []


def test_libraries_and_python_are_told_by_version() -> None:
    """A library in another version is one sentence, wherever it is used; so is another Python."""
    key = CodeKey(
        "1",
        (
            Part("python", "library", "a", "python 3.11"),
            Part("f", "function", "b", "def f(): return 1", 1, "x.py"),
            Part("f → numpy", "library", "c", "numpy 1.26.4"),
            Part("f → g → numpy", "library", "d", "numpy 1.26.4"),
        ),
    )
    parts = [
        replace(key.parts[0], digest="e", source="python 3.12"),
        replace(key.parts[1], digest="f"),
        replace(key.parts[2], digest="g", source="numpy 2.1.0"),
        replace(key.parts[3], digest="h", source="numpy 2.1.0"),
    ]
    changes = explain_code(key, CodeKey("2", tuple(parts)))
    assert [change.sentence for change in changes] == ["python 3.11 → 3.12", "numpy 1.26.4 → 2.1.0"]


def test_another_name_is_no_change(program: Any) -> None:
    """A renamed function is compared with what it was."""
    after = HELPERS.replace("clean", "tidy").replace("0.3", "0.4")
    old, new = code_key(program(HELPERS)["clean"]), code_key(program(after)["tidy"])
    assert [str(change) for change in explain_code(old, new)] == ["global THRESHOLD 0.3 → 0.4 (used in scale)"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_source", [True, False])
def test_every_edit_has_an_explanation(program: Any, kind: str, has_source: bool) -> None:
    """Whatever changes a key is told by what it is, and what does not is not told."""
    render = KINDS[kind]

    def key(pieces: Any) -> CodeKey:
        made = code_key(program(_head(pieces) + render(pieces), has_source=has_source)["f"])
        return CodeKey.from_dict(made.to_dict())

    plain = key(PLAIN)
    for name, pieces in MATTERS.items():
        sentences = [str(change) for change in explain_code(plain, key(pieces))]
        assert sentences, name
        assert not any("do not show" in sentence for sentence in sentences), (name, sentences)
        assert len(sentences) <= 3, (name, sentences)
    for name, pieces in IGNORED.items():
        if kind != "nested" or name != "annotations":
            assert explain_code(plain, key(pieces)) == (), name


CLASSES = """
import enum, re, functools
from dataclasses import dataclass

class Base:
    rate = 2

class Box(Base):
    def __init__(self, size, password):
        self.size = size
        self.password = password

    def grow(self, by=1):
        return self.size * FACTOR + by

FACTOR = 3
BOX = Box(1, "hunter2")
WORDS = re.compile("a+")
LOGIN = {"user": "ada", "password": "hunter2"}
JOIN = "-".join

@dataclass
class Point:
    x: int = 0
    y: int = 0

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@functools.singledispatch
def show(x): return "?"

@show.register(int)
def show_int(x): return "int"

def clean(x):
    return BOX.grow(), WORDS, LOGIN, Point(x), Colour.RED, show(x), JOIN, (show_int, show)
"""

OBJECTS = [
    (('Box(1, "', 'Box(2, "'), ["global BOX Box(size=1, password=•••) → Box(size=2, password=•••) (used in clean)"]),
    (("rate = 2", "rate = 3"), ["attribute rate 2 → 3 (of Base)"]),
    (("size * FACTOR", "size + FACTOR"), ["helper Box.grow changed, line 14 (* → +)"]),
    (("by=1", "by=2"), ["default of by 1 → 2 (of Box.grow)"]),
    (("FACTOR = 3", "FACTOR = 4"), ["global FACTOR 3 → 4 (used in Box.grow)"]),
    (('"a+"', '"a+", re.I'), ["global WORDS re.compile('a+') → re.compile('a+', re.IGNORECASE) (used in clean)"]),
    (
        ("ada", "bob"),
        ["global LOGIN {'user': 'ada', 'password': •••} → {'user': 'bob', 'password': •••} (used in clean)"],
    ),
    (('"-"', '"+"'), ["the object '-' → '+' (used in JOIN)"]),
    (("    x: int = 0\n    y: int = 0", "    y: int = 0\n    x: int = 0"), ["fields x=0, y=0 → y=0, x=0 (of Point)"]),
    (("BLUE = 2", "BLUE = 3"), ["members RED=1, BLUE=2 → RED=1, BLUE=3 (of Colour)"]),
    (
        ("register(int)", "register(float)"),
        ["enclosing value registry {object: show, int: show_int} → {object: show, float: show_int} (used in dispatch)"],
    ),
    (("class Box(Base):", "class Box(Base, object):"), ["class Box has other bases (Base → Base, object)"]),
]


@pytest.mark.parametrize(("edit", "sentences"), OBJECTS)
def test_what_changed_in_a_class_or_an_object_is_told_alone(
    program: Any, edit: tuple[str, str], sentences: list[str]
) -> None:
    """An object whose class has another method is not said to have changed; no address and no secret is shown."""
    assert CLASSES.count(edit[0]) == 1
    assert told(program, CLASSES, CLASSES.replace(*edit)) == sentences


def test_the_functions_of_a_list_are_told_by_name(program: Any) -> None:
    """What a list holds is shown without addresses, and only if the list itself is another one."""
    text = "def a(x): return x\ndef b(x): return -x\nLIST = [a, b]\ndef clean(x): return LIST\n"
    assert told(program, text, text.replace("-x", "+x")) == ["helper b changed, line 2 (- → +)"]
    assert told(program, text, text.replace("[a, b]", "[b, a]")) == ["global LIST [a, b] → [b, a] (used in clean)"]


def test_a_library_used_in_another_way_is_told(program: Any) -> None:
    """Where the text is the same and a name means another function of the library, the library is named."""
    text = "from math import sin as g\ndef clean(x): return g(x)\n"
    found = told(program, text, text.replace("sin", "cos"))
    assert len(found) == 1
    assert found[0].startswith("g uses something else of python 3.")


def test_a_version_that_is_new_or_gone_is_told() -> None:
    """A version that stands for the code from now on, or no longer, is said to."""

    def clean(x: int) -> int:
        return x

    plain, labelled = code_key(cs.task(clean)), code_key(cs.task(version="2")(clean))
    assert [str(change) for change in explain_code(plain, labelled)] == ["version 2 stands for the code now"]
    assert str(explain_code(labelled, plain)[0]) == "version 2 no longer stands for the code"


def test_a_value_that_holds_itself_is_shown(program: Any) -> None:
    """A list in itself ends with a dot, and a large value is not written whole to be cut."""
    text = "LIST = [1]\nLIST.append(LIST)\ndef clean(x): return LIST\n"
    assert told(program, text, text.replace("[1]", "[2]")) == ["global LIST [1, …] → [2, …] (used in clean)"]


def test_what_a_wrapper_holds_is_told_when_it_comes_and_goes(program: Any) -> None:
    """A function that gets a cache, other settings of it, or bound arguments, is told in words."""
    text = "import functools\ndef g(x, n=1): return x\nh = g\ndef clean(x): return h(x)\n"
    cached = text.replace("h = g", "h = functools.lru_cache(maxsize=3)(g)")
    bound = text.replace("h = g", "h = functools.partial(g, n=2)")
    assert "h now uses a cache" in told(program, text, cached)
    assert "h no longer uses a cache" in told(program, cached, text)
    assert told(program, cached, cached.replace("=3", "=4"))[0].startswith("a cache {'maxsize': 3, 'typed': False} → ")
    assert "h now uses bound arguments" in told(program, text, bound)


def test_a_class_of_a_library_as_a_default_is_told(program: Any) -> None:
    """A default that is another class of Python's than before is named."""
    text = "def clean(x, kind=int): return kind(x)\n"
    assert told(program, text, text.replace("=int", "=float")) == ["default of kind int → float"]
