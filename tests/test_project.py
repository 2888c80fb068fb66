"""The project's own files: one source for requirements, nothing of a machine in the tree, a wheel that is complete."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

LONGEST = 500
SOURCE_SUFFIXES = {".py", ".js", ".mjs", ".ts", ".css", ".sh"}
BUILT = "cascade/notebook/static/"
TEXT_LIMIT = 5_000_000

# Written in pieces, so that this file passes its own test.
HOSTS = ["py" + "pi.org", "python" + "hosted", "registry.npm" + "js", "registry.yarn" + "pkg", "deb.deb" + "ian"]
FOLDERS = "|".join(["wo" + "rk", "ro" + "ot", "fa" + "rm", "ho" + "me", "Us" + "ers"])
MACHINE_PATH = re.compile(rf"(?<![\w.~$}}/-])/(?:{FOLDERS})/[\w.-]")
PLACEHOLDER_PATH = re.compile(r"/(?:ho" + "me|Us" + r"ers)/(?:user|you|jovyan|me|name)\b")


@cache
def tracked() -> tuple[str, ...]:
    """The files that belong to the project: what git tracks or would track, else what lies in a source distribution."""
    git = [shutil.which("git") or "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        names = {name for name in listing.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):
        hidden = {".venv", ".git", "node_modules", "__pycache__", "build", "dist"}
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = {path.as_posix() for path in paths if not hidden & set(path.parts)}
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def texts() -> list[tuple[str, str]]:
    """Every tracked text file with its content."""
    found = []
    for name in tracked():
        path = ROOT / name
        if path.stat().st_size < TEXT_LIMIT and b"\0" not in (content := path.read_bytes()):
            found.append((name, content.decode("utf-8")))
    return found


def script(name: str) -> ModuleType:
    """One of the programs in scripts/, imported without running it."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name_of(requirement: str) -> str:
    """A requirement's distribution, normalised as package indexes do."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]).lower()


def test_environment_yml_is_generated() -> None:
    """environment.yml says what pyproject.toml says."""
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert text == script("environment").environment_text(PROJECT), "Run `make environment.yml`."


def test_environment_yml_is_an_environment() -> None:
    """It is YAML that conda understands, and has ipykernel, ipywidgets, graphviz, nest-asyncio and pytest."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    plain = {name_of(line) for line in environment["dependencies"] if isinstance(line, str)}
    assert {"python", "pip", "ipykernel", "ipywidgets", "graphviz", "nest-asyncio", "pytest"} <= plain


def test_extras_are_those_of_the_design() -> None:
    """Each purpose has its extra, `all` has every one that a user needs, and the core stays small."""
    purposes = {"notebook", "data", "sql", "http", "mqtt", "redis", "otel", "process", "dask", "solver", "text"}
    purposes |= {"s3", "gcs", "ipfs"}  # places of files
    assert set(EXTRAS) == purposes | {"test", "docs", "bench", "all"}
    assert set(re.findall(r"[\w]+", EXTRAS["all"][0].partition("[")[2])) == purposes
    assert {name_of(line) for line in PROJECT["dependencies"]} == {"cloudpickle", "graphviz", "rich", "typer"}


def test_constraints_cover_every_requirement() -> None:
    """Each requirement of each extra has its version in constraints.txt, which holds nothing but versions."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+( ; .+)?", line) for line in pinned)
    required = {name_of(line) for group in (PROJECT["dependencies"], *EXTRAS.values()) for line in group}
    assert required - {"cascade-notebook"} <= {name_of(line) for line in pinned}, "Run `make constraints`."


def test_changelog_knows_the_version() -> None:
    """The version of pyproject.toml has its paragraph."""
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_files_are_short() -> None:
    """A file holds one concept in at most 500 lines."""
    sources = [(name, text) for name, text in texts() if Path(name).suffix in SOURCE_SUFFIXES and BUILT not in name]
    long = [f"{name}: {text.count(chr(10))} lines" for name, text in sources if text.count("\n") > LONGEST]
    assert not long, "\n".join(long)


def test_every_test_says_what_it_shows() -> None:
    """Each test has a docstring with the behaviour in a sentence."""
    silent = [
        f"{name} line {node.lineno}: {node.name}"
        for name, text in texts()
        if name.startswith("tests/") and Path(name).name.startswith("test_") and name.endswith(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, "\n".join(silent)


def test_no_registry_hosts() -> None:
    """No file names the host of a package index: the project installs behind any of them."""
    named = [f"{name}: {host}" for name, text in texts() for host in HOSTS if host in text]
    assert not named, "\n".join(named)


def test_no_machine_paths() -> None:
    """No file holds an absolute path of the machine on which it was written; `/home/user/…` in prose is fine."""
    found = [
        f"{name}: …{text[match.start() : match.end() + 40]!r}"
        for name, text in texts()
        if not name.startswith(BUILT)
        for match in MACHINE_PATH.finditer(text)
        if not PLACEHOLDER_PATH.match(text, match.start())
    ]
    assert not found, "\n".join(found)


def test_programs_can_be_run() -> None:
    """What is called by its name is executable and has its interpreter on the first line."""
    for name in (".ci/run", ".ci/step", "scripts/programs.sh"):
        path = ROOT / name
        assert path.stat().st_mode & 0o111, name
        assert path.read_text(encoding="utf-8").startswith("#!"), name


def test_makefile_targets() -> None:
    """The targets that the README and CI name are there, each with its line in `make help`."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "lab", "test", "bench", "lint", "frontend-check", "clean"):
        assert re.search(rf"^{target}:.*## \w", text, re.MULTILINE), target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the tree with the real build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.slow
def test_wheel_carries_the_renderer(wheel: zipfile.ZipFile) -> None:
    """`pip install` puts the prebuilt renderer where JupyterLab looks, with the file that its manifest names."""
    place = f"cascade_notebook-{PROJECT['version']}.data/data/share/jupyter/labextensions/cascade-notebook/"
    manifest = json.loads(wheel.read(place + "package.json"))
    assert manifest["name"] == "cascade-notebook"
    assert manifest["jupyterlab"]["mimeExtension"]
    assert place + manifest["jupyterlab"]["_build"]["load"] in wheel.namelist()


@pytest.mark.slow
def test_wheel_has_all_that_runs_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Every tracked file of the package is in the wheel but the front end's sources; no tests, no caches."""
    shipped = {name for name in wheel.namelist() if name.startswith("cascade/")}
    expected = {name for name in tracked() if name.startswith("cascade/") and "/frontend/" not in name}
    assert shipped == expected
    others = {name.split("/")[0] for name in wheel.namelist()} - {"cascade"}
    stem = f"cascade_notebook-{PROJECT['version']}"
    assert others == {f"{stem}.dist-info", f"{stem}.data"}
    assert "cascade/py.typed" in shipped


@pytest.mark.slow
def test_wheel_metadata(wheel: zipfile.ZipFile) -> None:
    """The distribution says its licence, its Python and its command."""
    folder = f"cascade_notebook-{PROJECT['version']}.dist-info/"
    metadata = wheel.read(folder + "METADATA").decode()
    assert "\nLicense-Expression: BSD-3-Clause\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert folder + "licenses/LICENSE" in wheel.namelist()
