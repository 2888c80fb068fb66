from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def told(program: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "order",
    [
        "import cascade as cs; import cascade.cli",
        "import cascade.cli; import cascade as cs",
        "import cascade as cs; cs.cli; import cascade.cli",
        "from cascade.cli import cli; import cascade as cs",
        "import cascade as cs; from cascade.cli import cli; import cascade.cli",
        "import importlib, cascade as cs; importlib.import_module('cascade.cli')",
        "import cascade.cli.command; import cascade as cs",
        "import cascade as cs, cascade.cli, importlib; importlib.reload(cs); import cascade.cli.options",
    ],
)
def test_the_name_stays_the_function(order: str) -> None:
    """Whatever is imported first, and how, `cs.cli` is the function and `cascade.cli` can be imported from."""
    said = told(
        f"{order}; from cascade.cli import cli as one; from cascade import cli as two; print(cs.cli is one is two)"
    )
    assert said == "True"


def test_other_submodules_are_bound_as_ever() -> None:
    """Only a public name is kept from a submodule; attributes can be set and replaced otherwise."""
    program = "import cascade as cs, cascade.graph, cascade.context; cs.run = 1; cs.mine = 2; "
    assert told(f"{program}print(cs.graph.__name__, cs.context.__name__, cs.run, cs.mine)") == (
        "cascade.graph cascade.context 1 2"
    )


def test_the_module_is_light() -> None:
    """Importing `cascade.cli` loads neither Typer nor the engine; they come when a command is made."""
    heavy = "[m for m in ('typer', 'rich', 'asyncio', 'cascade.runtime.run') if m in sys.modules]"
    assert told(f"import sys, cascade.cli; print({heavy})") == "[]"
