from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.providers import registry
from cascade.providers.catalogue import BUILT_IN
from cascade.providers.errors import ExtraMissingError, ProviderError, ProviderLoadError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten when it ends."""
    monkeypatch.setattr(registry, "_rows", dict(registry._rows))
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setattr(registry, "_problems", [])


def fresh(code: str, *folders: Path) -> str:
    """What a new process prints, with `folders` on its path."""
    path = f"import sys; sys.path[:0] = {[str(each) for each in folders]!r}\n"
    command = [sys.executable, "-W", "error", "-c", path + textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def package(folder: Path, name: str, entries: dict[str, str], code: str) -> None:
    """Install a package with entry points, as pip would leave it."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{key} = {value}" for key, value in entries.items()]
    (info / "entry_points.txt").write_text("[cascade.providers]\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_row_leads_to_a_provider(name: str) -> None:
    """Each name of the catalogue can be had after ``cs.`` and called, is listed, and shows an example."""
    found: Any = cs
    for part in name.split("."):
        assert part in dir(found)
        found = getattr(found, part)
    assert callable(found)
    assert callable(found.map)
    words = f"{found.__doc__}{type(found).__call__.__doc__}"
    assert len(words) > 150
    assert ">>>" in words or name.startswith("io.s3.")  # where an example would need a server
    assert getattr(cs, name.partition(".")[0]) is getattr(cs, name.partition(".")[0])


def test_extras_are_real() -> None:
    """An extra that the catalogue names is one of the project's, and brings a library that is needed."""
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    called = {"yaml": "pyyaml"}
    for name, place in BUILT_IN.items():
        assert bool(place.extra) == bool(place.needs), name
        for need in place.needs:
            some = [called.get(each, each) for each in need.split("|")]
            assert any(line.startswith(each) for line in extras[place.extra] for each in some), (name, need)


@pytest.mark.slow
def test_nothing_is_loaded_before_its_use() -> None:
    """`import cascade` loads no provider, a provider no other one's page, and no library before it runs."""
    said = fresh(
        """
        import cascade as cs
        own = {f"cascade.providers.{name}" for name in ("registry", "catalogue", "errors")}
        def loaded():
            return sorted(m for m in sys.modules if m.startswith("cascade.providers.") or m in ("jinja2", "asyncio"))
        print(loaded())
        call = cs.template("{{ x }}", x=1)
        print([m for m in loaded() if m not in own])
        """
    )
    assert said.splitlines() == ["[]", "['cascade.providers.template']"]


def test_an_unknown_name_tells_the_nearest() -> None:
    """Misspelt names are `AttributeError`s that name a provider, or what a namespace has."""
    with pytest.raises(AttributeError, match=r"no attribute 'templat'\. Did you mean 'template'\?"):
        _ = cs.templat
    with pytest.raises(AttributeError, match=r"cs\.io has no 'stdinn'\. Did you mean 'stdin'\?"):
        _ = cs.io.stdinn
    assert not hasattr(cs.io, "_stdin")
    assert not hasattr(cs, "_shell")


def test_namespaces() -> None:
    """A namespace lists what is in it, is one object, and can be pickled."""
    assert {"stdin", "stdout"} <= set(dir(cs.io))
    assert repr(cs.io).startswith("<namespace cs.io: ")
    assert pickle.loads(pickle.dumps(cs.io)).stdin is cs.io.stdin


def test_register() -> None:
    """A task that is registered, by hand or as a decorator, is there at once; registering it again replaces it."""

    @registry.register("tools_of_mine.double")
    @cs.task
    def double(x: int) -> int:
        return 2 * x

    assert cs.tools_of_mine.double is double
    assert cs.run(cs.tools_of_mine.double.map([1, 2]), log_level=None) == [2, 4]
    registry.register("tools_of_mine.double", "cascade.providers.format:format")
    assert cs.tools_of_mine.double is cs.format
    registry.register("shell", double, replace=True)
    assert cs.shell is double


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("task", "a name of cascade itself"),
        ("run.fast", "a name of cascade itself"),
        ("graph", "a name of cascade itself"),
        ("shell", "replace=True"),
        ("shell.bash", "a task and the namespace"),
        ("io", "a task and the namespace"),
        ("_hidden", "write words with dots"),
        ("a-b", "write words with dots"),
        ("", "write words with dots"),
        ("a..b", "write words with dots"),
        (3, "write words with dots"),
    ],
)
def test_names_that_cannot_be(name: Any, said: str) -> None:
    """A name that means something else, or cannot be written, is refused."""
    with pytest.raises(ProviderError, match=said):
        registry.register(name, cs.format)


def test_a_provider_that_cannot_be_loaded_is_named() -> None:
    """Only who asks for it meets the fault; the error names who brought it, and `hasattr` says no."""
    registry.register("broken_one", "no_such_module:thing")
    registry.register("broken_two", "cascade.providers.format:_WIDEST")
    with pytest.raises(ProviderLoadError, match="'broken_one' of the module 'no_such_module' could not be loaded"):
        _ = cs.broken_one
    with pytest.raises(ProviderLoadError, match="is of type int, which cannot be called"):
        _ = cs.broken_two
    assert not hasattr(cs, "broken_one")
    assert callable(cs.format)


def test_a_missing_library_names_its_extra() -> None:
    """It can be looked at, but a call or a map raises before anything runs; no longer so once it is installed."""
    needs = {"needs": ("no_such_library", "json", "nothing_either|no_more"), "extra": "text"}
    registry.register("wanting", "cascade.providers.format:format", **needs)
    assert "not installed" in repr(cs.wanting)
    for call in (cs.wanting, cs.wanting.map):
        with pytest.raises(ExtraMissingError) as caught:
            call("{x}", x=[1])
        assert str(caught.value) == (
            "cs.wanting needs no_such_library and nothing_either or no_more, which is not installed. "
            "Install it: pip install 'cascade-notebook[text]'"
        )
        assert isinstance(caught.value, ImportError)
    registry.register("wanting", "cascade.providers.format:format", needs=("no_such_library|json",))
    assert cs.wanting is cs.format


@pytest.mark.slow
def test_the_libraries_of_this_page_are_optional() -> None:
    """Without Jinja and PyYAML everything else works, and graph files that need them say so before the run."""
    text = cs.to_json([cs.template("{{ x }}", x=1)])
    said = fresh(
        f"""
        sys.modules["jinja2"] = sys.modules["yaml"] = None
        import cascade as cs
        for make in (lambda: cs.template("x"), lambda: cs.load_yaml.map(["a"]), lambda: cs.from_json({text!r})):
            try: make()
            except ImportError as error: print(error)
        from cascade.providers.template import template
        try: cs.run(template("x"), log_level=None)
        except ImportError as error: print(error)
        print(cs.run(cs.format("{{}}", 1), log_level=None), "template" in dir(cs))
        """
    )
    lines = said.splitlines()
    assert lines[0] == lines[2] == lines[3]
    assert lines[0].endswith("pip install 'cascade-notebook[text]'")
    assert lines[1].startswith("cs.load_yaml needs yaml,")
    assert lines[4] == "1 True"


@pytest.mark.slow
def test_packages_bring_providers(tmp_path: Path) -> None:
    """Entry points give names and namespaces, of which nothing is imported before its use; broken ones harm nobody."""
    good = "import cascade as cs\n@cs.task\ndef post(text): return f'posted {text}'\nprint('imported')\n"
    package(tmp_path, "acme", {"acme_post": "acme:post", "acme_chat.post": "acme:post", "shell": "acme:post"}, good)
    taken = {"bad_thing": "bad:thing", "acme_post": "bad:post", "task": "bad:thing"}
    package(tmp_path, "bad", taken, "raise RuntimeError('no')")
    said = fresh(
        """
        import cascade as cs
        from cascade.providers import registry
        print({"acme_post", "acme_chat", "bad_thing"} <= set(dir(cs)))
        print(cs.run(cs.acme_chat.post("hello"), log_level=None), cs.acme_post.key, cs.format.key)
        try: cs.bad_thing
        except AttributeError as error: print(error)
        print("\\n".join(registry.problems()))
        print(cs.run(cs.from_json(cs.to_json(cs.acme_post("x"))), log_level=None))
        """,
        tmp_path,
    )
    assert said.splitlines() == [
        "True",
        "imported",
        "posted hello acme:post cascade.providers.format:format",
        (
            "The provider 'bad_thing' of the package 'bad' could not be loaded (RuntimeError: no). "
            "Update or uninstall the package 'bad'; everything else works without it."
        ),
        "The provider 'shell' of the package 'acme' is left out: cascade brings one of that name.",
        "The provider 'acme_post' of the package 'bad' is left out: the package 'acme' brings one of that name.",
        "The provider 'task' of the package 'bad' is left out: cs.task is a name of cascade itself; choose another.",
        "posted x",
    ]


@pytest.mark.slow
def test_a_function_of_a_package_maps(tmp_path: Path) -> None:
    """A provider may be a function that composes tasks: a call composes at once, a map in the run; both travel."""
    code = """
    import cascade as cs
    @cs.task
    def post(text, end): return text + end
    def shout(text, *, end="!"): return post(text, end)
    """
    entries = {"acme_chat.post": "acme:post", "acme_chat.shout": "acme:shout"}
    package(tmp_path, "acme", entries, textwrap.dedent(code))
    said = fresh(
        """
        import pickle
        import cascade as cs
        shout = cs.acme_chat.shout
        print(shout, pickle.loads(pickle.dumps(shout)) is shout, shout.__name__)
        print(repr(shout("a")), cs.run(shout("a"), log_level=None))
        made = shout.map(["a", "b"], end="?", max_concurrency=1)
        print(repr(made), cs.run(made, log_level=None))
        try: shout.map(["a"], ende="?")
        except TypeError as error: print(str(error).partition(":")[0])
        print("".join(cs.to_json(made).splitlines()))
        """,
        tmp_path,
    )
    *lines, text = said.splitlines()
    assert lines == [
        "<cs.acme_chat.shout, which composes tasks> True shout",
        "<lazy post('a', '!')> a!",
        "<lazy acme_chat.shout(<list>, end='?')> ['a?', 'b?']",
        "Task 'acme_chat.shout' cannot be called like this",
    ]
    again = fresh(f"import cascade as cs; print(cs.run(cs.from_json({text!r}), log_level=None))", tmp_path)
    assert again == "['a?', 'b?']\n"


@pytest.mark.slow
def test_a_package_of_a_graph_file_is_found(tmp_path: Path) -> None:
    """A graph file that names a task of an installed provider is read in a process that has not used it yet."""
    code = "import cascade as cs\n@cs.task\ndef post(text): return text\n"
    package(tmp_path, "acme", {"acme_post": "acme:post"}, code)
    text = fresh("import cascade as cs; print(cs.to_json(cs.acme_post('x')))", tmp_path)
    assert fresh(f"import cascade as cs; print(cs.run(cs.from_json({text!r}), log_level=None))", tmp_path) == "x\n"


def test_a_graph_file_imports_nothing_by_its_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in a file leads to providers' modules only, whatever module it names."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("evil", "os", "cascade.providers.nothing", "cascade.tools.plan", ""):
        text = cs.to_json(cs.format("{}", 1)).replace("cascade.providers.format:format", f"{module}:plan")
        with pytest.raises(ValueError, match="no task is registered"):
            cs.from_json(text)


def test_require() -> None:
    """A library that is asked for while a task runs is imported, or named with its extra."""
    import json

    assert registry.require("json", provider="x") is json
    with pytest.raises(
        ExtraMissingError, match=r"needs no_such, which is not installed\. Install it: pip install no_such"
    ):
        registry.require("no_such.deep", provider="x")
