"""The rewriting of %%cascade cells, and what it leaves alone."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from cascade.notebook.transform import RUNNER, make_transform

rewrite = make_transform(lambda: True)


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def test_a_cascade_cell_becomes_an_await_expression() -> None:
    """Line and body are passed on as they are, quotes and all."""
    assert rewrite(lines("%%cascade -p 'a=b c'\nx = \"1\"\nf(x)\n")) == [
        f"await {RUNNER}(\"-p 'a=b c'\", 'x = \"1\"\\nf(x)\\n')\n"
    ]


def test_where_nothing_can_await_the_magic_itself_is_left_to_run() -> None:
    """With autoawait off, or inside another cell magic, IPython's own way takes over."""
    cell = lines("%%cascade\nf()\n")
    assert make_transform(lambda: False)(cell) == cell


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n",
        "%%cascade?\n",
        "%%cascades\nx\n",
        "%%time\n%%cascade\nf()\n",
        '"""\n%%cascade\n"""\n',
        "text = '''\n%%cascade report\n'''\nx = 1\n",
        "",
    ],
)
def test_other_cells_are_left_alone(text: str) -> None:
    """Help, other magics and strings that hold the words are not ours."""
    assert rewrite(lines(text)) == lines(text)


@pytest.mark.parametrize(
    "text", ["x = 1\n%%cascade\nf()\n", "# note\n%%cascade -p a=1\n", "%%cascade\n%%cascade\nf()\n"]
)
def test_a_magic_below_the_first_line_says_so(text: str) -> None:
    """Instead of a syntax error the user reads where the magic belongs."""
    with pytest.raises(UsageError, match="must be the first line of its cell"):
        rewrite(lines(text))


def test_the_transform_does_not_change_what_it_is_given() -> None:
    """IPython transforms a cell more than once."""
    cell = lines("%%cascade\nf()\n")
    assert rewrite(cell) == rewrite(cell)
    assert cell == lines("%%cascade\nf()\n")
