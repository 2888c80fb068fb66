"""The README cannot go stale: its tables are those of the help, its links lead somewhere, its first lines run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def commands_table() -> list[str]:
    """The rows for `%cascade COMMAND`, from the list that `%cascade help` shows."""
    from cascade.notebook.commands import _COMMANDS

    rows = [f"| `{f'%cascade {name} {one.words}'.rstrip()}` | {one.about} |" for name, one in _COMMANDS.items()]
    return ["| command | what it does |", "|---|---|", *rows]


def options_table() -> list[str]:
    """The rows for the options of `%%cascade` and of `%%cascade task`, from their parsers."""
    from cascade.notebook.cell_task import _parser
    from cascade.notebook.magics import CascadeMagics

    of_cells = vars(CascadeMagics.run_cell)["parser"]
    known = {option for action in of_cells._actions for option in action.option_strings}
    rows = ["| `%%cascade [TARGET]` | run this cell's graph: TARGET, or its last expression |"]
    rows += [_option(action) for action in of_cells._actions if action.option_strings]
    rows += ["| `%%cascade task NAME` | make this cell a task, and run it; takes the options above, and |"]
    of_tasks = [action for action in _parser(of_cells)._actions if set(action.option_strings) - known]
    return ["| cell | what it does |", "|---|---|", *rows, *(_option(action) for action in of_tasks)]


def _option(action: object) -> str:
    flags = ", ".join(f"`{flag}`" for flag in action.option_strings[:-1])
    last = f"`{action.option_strings[-1]}{f' {action.metavar}' if action.metavar else ''}`"
    return f"| {', '.join(filter(None, [flags, last]))} | {action.help.replace('%%', '%')} |"


def test_the_tables_are_those_of_the_help() -> None:
    """Every command and every option stands in the README as the help tells it, in the same order, and no other."""
    text = README.read_text(encoding="utf-8")
    for table in (options_table(), commands_table()):
        assert "\n".join(table) in text, "write these lines into README.md:\n" + "\n".join(table)
    assert len(re.findall(r"^\| `%cascade ", text, re.MULTILINE)) == len(commands_table()) - 2


def test_every_link_leads_somewhere() -> None:
    """Files and folders that the README points to are there."""
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert len(links) > 5
    assert not [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]


def test_the_magics_in_the_text_exist() -> None:
    """Each `%cascade COMMAND` that the README mentions is one that there is."""
    from cascade.notebook.commands import NAMES

    named = set(re.findall(r"(?<!%)%cascade ([a-z]+)", README.read_text(encoding="utf-8")))
    assert named <= set(NAMES)
