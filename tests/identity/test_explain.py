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
