"""The line after %%cascade: values come out as they went in, mistakes are told with what is right."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from cascade.notebook.magics import CascadeMagics
from cascade.notebook.options import Options, parse_line, read_options, split_line
from cascade.notebook.session import VIEWS

PARSER = CascadeMagics.run_cell.parser  # type: ignore[attr-defined]


def read(line: str) -> Options:
    return read_options(parse_line(PARSER, line), VIEWS)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("-p x=1", "1"),
        ("-p x=a=b", "a=b"),
        ("-p 'x=two words'", "two words"),
        ('-p x="two words"', "two words"),
        ("-p 'x={\"a\": [1, 2]}'", '{"a": [1, 2]}'),
        ("-p x={name}$HOME", "{name}$HOME"),
        ("-p x=größe→π", "größe→π"),
        (r"-p x=C:\data\new", r"C:\data\new"),
        ("-p x=", ""),
        ("-p x=-3", "-3"),
        ("--param x=#1", "#1"),
    ],
)
def test_values_survive(line: str, value: str) -> None:
    """Quotes group, and everything else in a value is taken as it stands."""
    assert read(line).params == {"x": value}


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("report", "report"),
        ("report -p a=1", "report"),
        ("-p a=1 report", "report"),
        ("join(a, b) --bg", "join(a, b)"),
        ("tables['two words']", "tables['two words']"),
        ('pick("a b", -1) --view text', 'pick("a b", -1)'),
        ("[a, b]", "[a, b]"),
        ("", ""),
    ],
)
def test_the_target_is_an_expression(line: str, target: str) -> None:
    """The target keeps its quotes, brackets and spaces, before or after the options."""
    assert read(line).target == target


def test_all_options_together() -> None:
    """Each option has its own place."""
    line = "report -p a=1 -p b=2 -r gpu=1 -r cpu=0.5 -o table --plan --bg --timeout 2.5 --keep-going --view static"
    assert read(line) == Options(
        target="report",
        params={"a": "1", "b": "2"},
        capacities={"gpu": 1.0, "cpu": 0.5},
        output="table",
        plan=True,
        background=True,
        timeout=2.5,
        keep_going=True,
        view="static",
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--keep-goin-on", "There is no option --keep-goin-on. Did you mean '--keep-going'?"),
        ("--timeuot 3", "There is no option --timeuot. Did you mean '--timeout'?"),
        ("-x", "There is no option -x."),
        ("-p threshold", "-p takes NAME=VALUE, not 'threshold'."),
        ("-r gpu=many", "-r takes NAME=AMOUNT with a number; 'many' for 'gpu' is none."),
        ("--timeout soon", "--timeout takes a number of seconds above 0, not 'soon'."),
        ("--timeout -1", "--timeout takes a number of seconds above 0, not '-1'."),
        ("--view moving", "There is no view 'moving'."),
        ("--view statik", "There is no view 'statik'. Did you mean 'static'?"),
        ("-o two-words", "-o takes a Python name, not 'two-words'."),
        ("-p 'a=b", "A quote is not closed in: -p 'a=b"),
        ("-p", "expected one argument"),
    ],
)
def test_mistakes_name_what_is_right(line: str, told: str) -> None:
    """A wrong flag or value is a UsageError that says what would be right."""
    with pytest.raises(UsageError) as caught:
        read(line)
    assert told in str(caught.value)


def test_words_remember_how_they_were_written() -> None:
    """The source of each word is kept beside its value."""
    assert [(str(word), word.raw) for word in split_line("a 'b c'  d\"e\"")] == [
        ("a", "a"),
        ("b c", "'b c'"),
        ("de", 'd"e"'),
    ]
