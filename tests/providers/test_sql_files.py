"""Files that a statement names by a pattern."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.providers.sql_errors import SqlError


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with tables, a link out of it, and a table beside it."""
    inner = tmp_path / "work"
    (inner / "data" / "sub").mkdir(parents=True)
    for number in range(3):
        (inner / "data" / f"s{number}.csv").write_text(f"a,b\n{number},x\n")
    (inner / "data" / "sub" / "s9.csv").write_text("a,b\n9,x\n")
    (inner / "data" / 'o\'ne "q".csv').write_text("a,b\n5,x\n")
    (tmp_path / "outside.csv").write_text("a,b\n77,x\n")
    (inner / "data" / "s7.csv").symlink_to(tmp_path / "outside.csv")
    monkeypatch.chdir(inner)
    return inner


def ask(text: str, **options: Any) -> Any:
    """What a statement gives."""
    return cs.run(cs.sql(text, **options), log_level=None)


def test_a_pattern_stands_for_all_that_fit(work: Path) -> None:
    """With stars, brackets and folders at any depth; quotes in names harm nobody; a link leads nowhere outside."""
    assert ask("select list(a order by a) from 'data/s*.csv'", as_="value") == [0, 1, 2]
    assert ask("select list(a order by a) from 'data/**/*.csv'", as_="value") == [0, 1, 2, 5, 9]
    assert (
        ask("select t.a from 'data/s[01].csv' t join 'data/s?.csv' using (b) where t.a = 1 limit 1", as_="value") == 1
    )
    assert ask("select a from 'data/o''*\"q\".csv'", as_="value") == 5


@pytest.mark.parametrize(
    "pattern", ["/etc/*.csv", "../*.csv", "data/../../*.csv", "~/*.csv", "https://host/*.csv", "file:///etc/*.csv"]
)
def test_a_pattern_stays_under_the_working_folder(work: Path, pattern: str) -> None:
    """Other places are refused, and nothing is read there."""
    with pytest.raises(SqlError, match=r"leads out of the working folder|No file fits"):
        ask(f"select * from '{pattern}'")


def test_only_what_fits_can_be_read(work: Path) -> None:
    """A function of DuckDB, or a value, opens no other door."""
    Path("here.csv").write_text("a\n1\n")
    Path("other.txt").write_text("a\n2\n")
    for text in (
        "select * from read_csv('*.txt')",
        "select * from 'h*.csv', read_text('other.txt')",
        "from glob('/*')",
    ):
        with pytest.raises(SqlError, match=r"(?i)permission|not given|disabled"):
            ask(text)
    with pytest.raises(SqlError):
        ask("select * from 'h*.csv', 'other.txt'")


def test_what_does_not_fit_is_told(work: Path) -> None:
    """No file, files that make no table together, and a single file that is not there."""
    with pytest.raises(SqlError, match="No file fits 'dta/"):
        ask("select * from 'dta/*.csv'")
    (work / "data" / "l.csv").write_bytes(b"n\nJos\xe9\n")
    with pytest.raises(SqlError, match=r"'data/l.*' stands for cannot be read.*latin-1"):
        ask("select * from 'data/l*.csv'")
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'data/s1.csv'"):
        ask("select * from 'data/s11.csv'")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        ask("select * from t", t=cs.File("data/s11.csv"))


def test_stars_elsewhere_are_text(work: Path) -> None:
    """Only what has the suffix of a table after from is looked for."""
    assert ask("select trim(both '*' from '*a*')", as_="value") == "a"
    assert ask("select * from 'sales' where a = 1", sales=pd.DataFrame({"a": [1]}), as_="value") == 1


def test_a_stored_answer_serves_until_a_file_changes_or_comes(work: Path) -> None:
    """The files count by their content, and so does which there are; a graph file keeps the pattern."""
    lazy = cs.from_json(cs.to_json(cs.sql("select sum(a) from 'data/s*.csv'", as_="value")))

    def ran() -> tuple[Any, bool]:
        run = cs.start(lazy, cache=work / ".cascade", log_level=None)
        found = run.result()
        return found, any(isinstance(event, ev.NodeStarted) and event.name == "sql" for event in run.events)

    assert [ran(), ran()] == [(3, True), (3, False)]
    (work / "data" / "s2.csv").write_text("a,b\n4,x\n")
    assert ran() == (5, True)
    (work / "data" / "s3.csv").write_text("a,b\n10,x\n")
    assert [ran(), ran()] == [(15, True), (15, False)]


def test_what_databases_say_comes_with_advice(work: Path) -> None:
    """Tables of the database's own are no suggestion; values without names are told to have some."""
    with pytest.raises(SqlError, match=r"sales=frame") as caught:
        ask("select * from sales")
    assert "sqlite_master" not in str(caught.value)
    with pytest.raises(SqlError, match=r"Write \$name in the statement"):
        ask("select ?", params=[1])
    with pytest.raises(SqlError, match=r"pandas.DataFrame"):
        ask("select * from t", t=[{"a": 1}])
