"""What the card and the peek of a task cell show: the names that it binds, and the value of its last expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
MANY = "\n".join(f"n{number} = {number}" for number in range(12))


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("xa = 1\nya = [1, 2]", "", "xa = 1\nya = [1, 2]"),
        ("xb = 1\nyb = 2\nxb + yb", "int", "3\nxb = 1\nyb = 2"),
        ("xc = 1\nyc = 2\nxc", "int", "1\nyc = 2"),
        ("xd = 4", "", "xd = 4"),
        ("xe = 4\nxe", "int", "4"),
        ("xf = 4\nxf * 'ab'", "str", "'abababab'\nxf = 4"),
        ("xh = 4\nprint", "builtin_function_or_method", None),
        ("xi = 4\n[].sort()", "", "xi = 4"),
        ("for xg in (): pass\nyg = 1", "", "xg: not assigned, line 1 was not reached\nyg = 1"),
        (MANY, "", "\n".join([*MANY.splitlines()[:8], "and 4 more names"])),
    ],
    ids=["names", "and a value", "one of two", "one name", "alone", "text", "odd", "nothing", "not reached", "many"],
)  # fmt: skip
def test_the_result_is_what_a_person_wrote(kernel: Kernel, body: str, kind: str, text: str | None) -> None:
    """Each name with its value on a line; the value of the last expression comes first; nothing else is shown."""
    cell = kernel.run(f"%%cascade task shown\n{body}", "shown")
    assert cell.ok, cell.error
    result = cell.document["result"]
    assert result["type"] == kind
    assert text is None or result["text"].replace("line 2", "line 1") == text
    assert "'_'" not in cell.bundle["text/plain"]


def test_a_stored_cell_shows_the_same(kernel: Kernel) -> None:
    """A value that comes from the store, and one whose run is attached again, look as they did."""
    first = kernel.run("%%cascade task kept --pure\nka = 1\nkb = 'two'\nka + 1", "kept")
    again = kernel.run("%cascade run kept")
    assert again.document["nodes"]["kept"]["s"] == "stored"
    assert again.document["result"] == first.document["result"]
    assert kernel.run("%cascade attach").document["result"]["text"] == "2\nka = 1\nkb = 'two'"


def test_a_peek_has_words_for_the_last_expression(kernel: Kernel) -> None:
    """The table of a cell's values does not show the name under which the last expression is kept."""
    assert kernel.run("%%cascade task peeked\npa = 1\npb = 2\npa + pb", "peeked").ok
    peek = kernel.run("%cascade peek peeked").bundle["text/plain"]
    assert "(last expression)" in peek
    assert "_    3" not in peek


def test_a_table_is_said_whose_it_is(kernel: Kernel) -> None:
    """A cell in the background that gives one data frame shows its rows, under its name."""
    assert kernel.run("%%cascade task framed --bg\nimport pandas as pd\nfa = pd.DataFrame({'a': [1, 2]})", "f").ok
    assert kernel.run("session().latest().run.wait(60)").ok
    kernel.run("wait_until(lambda: session().latest().views[0].finished.is_set())")
    result = kernel.run("%cascade attach").document["result"]
    assert result["type"] == "fa: DataFrame"
    assert result["table"]["rows"] == [["1"], ["2"]]
