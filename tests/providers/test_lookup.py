from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

import cascade as cs
from cascade.providers.errors import ProviderError
from cascade.providers.lookup import LookupPathError
from tests.providers.hostile import HOSTILE, Canary

find = cs.lookup.func


@dataclass
class Server:
    """Something with attributes."""

    name: str = "alpha"
    _key: str = "hidden"

    @property
    def label(self) -> str:
        """A property is an attribute."""
        return self.name.upper()

    def stop(self) -> None:
        """A method is not."""
        raise AssertionError


CONFIG: dict[Any, Any] = {
    "servers": [{"name": "a", "ports": (80, 443)}, Server()], "a.b": {"c d": 1}, 7: "seven", "none": None, "0": "zero",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("servers[0].name", "a"),
        ("servers.0.ports.1", 443),
        ("servers[0].ports[-1]", 443),
        ("servers[1].name", "alpha"),
        ("servers[-1].label", "ALPHA"),
        ('["a.b"]["c d"]', 1),
        ("['a.b'].c d", 1),
        (["a.b", "c d"], 1),
        (["servers", 0, "ports", 0], 80),
        ("7", "seven"),
        (7, "seven"),
        ("0", "zero"),
        ("none", None),
        ("", CONFIG),
        ([], CONFIG),
    ],
)
def test_paths(path: Any, expected: Any) -> None:
    """Keys, places from either end, attributes, quoted keys and lists of steps lead to the part."""
    assert find(CONFIG, path) == expected


def test_it_takes_lazy_values() -> None:
    """Source, path and default may be worked out in the run."""
    source = cs.dict(a=[1, 2])
    assert cs.run(cs.lookup(source, cs.format("a[{}]", 1)), log_level=None) == 2
    assert cs.run(cs.lookup(source, "b", default=cs.lookup(source, "a[0]")), log_level=None) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("server", "The value is a mapping without 'server'. Did you mean 'servers'?"),
        ("servers[0].nam", "'servers[0]' is a mapping without 'nam'. Did you mean 'name'?"),
        ("servers[2]", "'servers' is a list of 2, without 2."),
        ("servers[-3]", "'servers' is a list of 2, without -3."),
        ("servers.x", "'servers' is a list of 2, without 'x'."),
        ("none.x", "'none' is of type NoneType, without 'x'."),
        ("servers[1].port", "'servers[1]' is of type Server, without 'port'."),
        ("servers[1]._key", "is of type Server"),
        ("servers[1].stop", "is of type Server"),
        ("servers[1].__class__.__init__.__globals__", "is of type Server"),
        ("7.upper", "is of type str, without 'upper'"),
        ("7.__class__", "is of type str"),
        ("7[0]", "is of type str, without 0"),
    ],
)
def test_paths_that_lead_nowhere(path: str, said: str) -> None:
    """The error says how far the path led and what is there; with a default there is none."""
    with pytest.raises(LookupPathError) as caught:
        cs.run(cs.lookup(CONFIG, path), log_level=None)
    assert said in str(caught.value)
    assert find(CONFIG, path, default="d") == "d"
    assert find(CONFIG, path, None) is None


@pytest.mark.parametrize(
    "path", [".a", "a..b", "a[", "a[x]", "a]", "[]", 'a["b]', None, True, {"a": 1}, b"a", [None], [1.5]]
)
def test_what_is_no_path(path: Any) -> None:
    """What cannot be read is an error, with a default too."""
    with pytest.raises(ProviderError, match="path"):
        find(CONFIG, path, default=1)


@pytest.mark.parametrize("source", [os, os.system, Server, "x".join, object])
def test_code_is_not_looked_into(source: Any) -> None:
    """Modules, functions and classes have no parts."""
    for name in ("system", "path", "__globals__", "name", "__subclasses__", "environ"):
        with pytest.raises(LookupPathError):
            find({"m": source}, f"m.{name}")


@pytest.mark.slow
def test_columns_of_frames() -> None:
    """A step into a data frame is a column."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "shape": [3, 4]})
    assert list(find({"t": frame}, "t.shape")) == [3, 4]
    with pytest.raises(LookupPathError, match="DataFrame"):
        find(frame, "to_csv")


def test_nothing_hostile_happens(canary: Canary) -> None:
    """Sixty texts that mean harm are keys where there are such, and lead nowhere else."""
    for text in HOSTILE:
        assert find({text: 1}, [text]) == 1
        with suppress(ProviderError):
            assert find(Server(), text, default="none") in ("none", Server())
    canary.check()
