from __future__ import annotations

import pickle
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.providers.errors import ProviderError
from cascade.providers.load_yaml import YamlError
from tests.providers.hostile import HOSTILE, Canary

load = cs.load_yaml.func


def test_it_reads_plain_data(tmp_path: Path) -> None:
    """Files and text give dicts, lists, text, numbers and dates; aliases and merges work; nothing gives None."""
    text = "a: &x {b: 1.5, c: [yes, null]}\nd: {<<: *x, b: 2}\ne: 2026-01-02\n# é\n"
    (tmp_path / "config.yml").write_text("\ufeff" + text, encoding="utf-8")
    expected = {"a": {"b": 1.5, "c": [True, None]}, "d": {"b": 2, "c": [True, None]}, "e": date(2026, 1, 2)}
    for path in (tmp_path / "config.yml", str(tmp_path / "config.yml"), cs.File(tmp_path / "config.yml")):
        assert cs.run(cs.load_yaml(path), log_level=None) == expected
    assert load(text=text) == expected
    assert load(text="") is None
    assert load(text="1\n---\n2\n", many=True) == [1, 2]


def test_it_reads_anew_when_a_file_has_changed(tmp_path: Path) -> None:
    """A stored result counts by what the file holds when the file is given as a `File`."""
    path = tmp_path / "config.yml"
    for content in ("a: 1", "a: 2"):
        path.write_text(content)
        call = cs.load_yaml(cs.File(path)).with_cache(cs.cache.ttl(3600))
        assert cs.run(call, log_level=None, cache=tmp_path / "store") == {"a": int(content[-1])}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: [", r"The YAML text, line \d"),
        ("a: 1\n\ta: 2", "line 2"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' comes twice"),
        ("x:\n  !!python/object/apply:os.system ['touch canary']", "line 2: could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("!thing {a: 1}", "could not determine a constructor"),
        ("&a [*a]", "a value contains itself"),
        ("a: &a {b: *a}", "a value contains itself"),
        ("2026-02-31", "day is out of range"),
        ("{[1]: 2}", "found unhashable key"),
        ("a\n---\nb", "it has 2 documents; read them with many=True"),
        ("*nothing", "found undefined alias"),
        ("[" * 500_000 + "]" * 500_000, "line 1: it is nested more than 200 deep"),
        ("a: \x01", "not allowed|control characters|special characters"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    """Faults are told with their line; nothing but plain data is made, and no key is lost silently."""
    with pytest.raises(YamlError, match=said) as caught:
        load(text=text)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_unfolds_without_end() -> None:
    """Nine levels of ten aliases each, a few hundred characters, are refused."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert load(text="\n".join(lines[:4]))
    with pytest.raises(YamlError, match="its aliases unfold to more than 10,000,000 values"):
        load(text="\n".join(lines))


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), (("a",), {"text": "b"}), ((3,), {}), ((), {"text": b"a"}), ((b"a",), {})]
)
def test_one_source(args: Any, named: Any) -> None:
    """It takes a path, or text, and one of them only."""
    with pytest.raises(ProviderError, match=r"takes the path|is text|text or a path"):
        load(*args, **named)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there says how text is read; one that is no text says which byte."""
    with pytest.raises(FileNotFoundError, match="To read YAML that is text already, write text="):
        load("a: 1")
    (tmp_path / "latin.yml").write_bytes(b"a: \xe9")
    with pytest.raises(YamlError, match="byte 4 is not UTF-8"):
        load(tmp_path / "latin.yml")
    with pytest.raises(OSError, match="is a folder"):
        load(tmp_path)


def test_nothing_hostile_happens(canary: Canary) -> None:
    """Sixty texts that mean harm are data, or refused; as paths they lead to nothing that is run."""
    for text in HOSTILE:
        for named in ({"text": text}, {"text": f"a: {text}"}, {"text": f"- {text}"}):
            with suppress(YamlError):
                assert not callable(load(**named))
        with pytest.raises((YamlError, OSError)):
            load(f"none/{text}")
    canary.check()
