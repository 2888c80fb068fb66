"""What `import cascade` brings: little, whoever imports it pays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a fresh Python, as its startup leaves it."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_import_is_light() -> None:
    """At most 100 modules, no asyncio, and none of the libraries that are used later or not at all."""
    loaded = loaded_by("import cascade")
    assert len(loaded) <= 100
    heavy = {
        "asyncio",
        "cloudpickle",
        "graphviz",
        "rich",
        "typer",
        "IPython",
        "ipywidgets",
        "anywidget",
        "loky",
        "pandas",
    }
    assert not heavy & loaded


def test_defining_tasks_is_light() -> None:
    """Composing a graph needs no event loop either."""
    define = "import cascade as cs; one = cs.task(lambda: 1); cs.Param('x', default=1); one().named('n')"
    assert "asyncio" not in loaded_by(define)
