"""The table of exit codes is one, in the code and in the documentation; every command is in it, too."""

from __future__ import annotations

import re
from pathlib import Path

from cascade.cli.app import app
from cascade.cli.codes import CODES

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_in_the_documentation() -> None:
    """docs/command-line.md has each code with its meaning, in order, and no other."""
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)
    assert rows == [(str(code), meaning) for code, meaning in CODES.items()]


def test_every_command_is_documented() -> None:
    """docs/command-line.md names every command that there is."""
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    names = [command.callback.__name__ for command in app.registered_commands if command.callback is not None]
    assert len(names) > 15
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_every_command_says_what_it_does() -> None:
    """Each command has a sentence for its help."""
    assert [c for c in app.registered_commands if not (c.callback and c.callback.__doc__)] == []
