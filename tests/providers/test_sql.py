from __future__ import annotations

import datetime as dt
import decimal
import os
import pickle
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import NodeTimeoutError, RunCancelledError
from cascade.providers.sql_errors import SqlError
from cascade.providers.sql_text import read_statement
from tests.providers.hostile import HOSTILE

INJECTING = [
    "'; drop table people; --", '"; drop table people; --', "1; delete from people", "' or '1'='1",
    "x' union select * from people --", "$name", ":name", "%(name)s", "?", "$1", "\\'; drop table people; --",
    "'' ; attach 'stolen.db' as s; --", "/*", "*/ drop table people", "$$; drop table people; $$", "people",
    "read_csv('/etc/passwd')", "pragma writable_schema=1", "copy people to 'stolen.csv'", "\n;\n",
]  # fmt: skip


def ask(*args: Any, run: dict[str, Any] | None = None, **options: Any) -> Any:
    """What one statement gives."""
    return cs.run(cs.sql(*args, **options), log_level=None, **(run or {}))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["people.db", "people.duckdb"])
def people(work: Path, request: pytest.FixtureRequest) -> str:
    """A table of two people, in SQLite and in DuckDB."""
    on = str(request.param)
    ask("create table people (name text, age integer)", on=on, write=True)
    ask(
        "insert into people values ($name, $age)",
        params=[{"name": "Ada", "age": 36}, {"name": "Bo", "age": 7}],
        on=on,
        write=True,
    )
    return on


# -- DuckDB in memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_frames_are_tables(make: Any) -> None:
    """A statement reads the frames that it is given, under the names of the arguments."""
    df = make({"x": [1, 2, 3]})
    assert ask("select x from df where x > $least order by x", df=df, least=1, as_="rows") == [{"x": 2}, {"x": 3}]


def test_kinds_of_answers() -> None:
    """pandas, polars, Arrow, rows, or one value; what is first there without as_."""
    assert isinstance(ask("select 1 as a"), pd.DataFrame)
    assert isinstance(ask("select 1 as a", as_="pandas"), pd.DataFrame)
    assert isinstance(ask("select 1 as a", as_="polars"), pl.DataFrame)
    assert isinstance(ask("select 1 as a", as_="arrow"), pa.Table)
    assert ask("select 1 as a, 2 as a", as_="rows") == [{"a": 1, "a_2": 2}]
    assert ask("select 42", as_="value") == 42
    with pytest.raises(SqlError, match="2 rows with 1 columns"):
        ask("from range(2)", as_="value")
    with pytest.raises(ValueError, match="as_ cannot be 'xls'"):
        ask("select 1", as_="xls")


def test_files_are_tables(work: Path) -> None:
    """A cs.File is a table of its name, and so is a path in quotes after from; what it holds counts."""
    (work / "a'b.csv").write_text("x\n1\n2\n")
    pl.DataFrame({"x": [3]}).write_parquet(work / "c.parquet")
    (work / "d.jsonl").write_text('{"x": 4}\n')
    assert ask("select sum(x) from t", t=cs.File("a'b.csv"), as_="value") == 3
    assert ask("select sum(x) from 'a''b.csv' where x < $most", most=2, as_="value") == 1
    assert ask(
        "select x from c union all select x from d order by 1", c=cs.File("c.parquet"), d=cs.File("d.jsonl"), as_="rows"
    ) == [{"x": 3}, {"x": 4}]
    with pytest.raises(ValueError, match="does not tell"):
        ask("select * from t", t=cs.File("a.xls"))


@pytest.mark.slow
def test_an_answer_is_remembered_until_the_file_changes(work: Path) -> None:
    """Without a database a question is pure: the second run reads the store, a changed file asks anew."""
    (work / "a.csv").write_text("x\n1\n")

    def ran() -> tuple[Any, int]:
        run = cs.start(cs.sql("select sum(x) from 'a.csv'", as_="value"), cache=work / "store", log_level=None)
        return run.result(20), sum(isinstance(event, ev.NodeStarted) for event in run.events)

    assert ran() == (1, 1)
    assert ran() == (1, 0)
    (work / "a.csv").write_text("x\n5\n")
    assert ran() == (5, 1)


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_csv('other.csv')", "copy (select 1) to 'stolen.csv'", "attach 'stolen.db'",
        "select * from glob('/etc/*')", "select * from read_text('/etc/passwd')", "install httpfs",
        "set enable_external_access = true", "export database 'stolen'", "select * from 'https://127.0.0.1:1/x.csv'",
        "load httpfs",
    ],
)  # fmt: skip
def test_a_statement_sees_what_it_is_given(work: Path, text: str) -> None:
    """No other file, no network, no extension, and no way to open the door again."""
    (work / "other.csv").write_text("x\n1\n")
    with pytest.raises(SqlError):
        ask(text)
    assert [each.name for each in work.iterdir()] == ["other.csv"]


def test_no_variable_of_the_program_is_seen() -> None:
    """DuckDB would find frames by the names of Python's variables; here a table is what was passed."""
    df = pd.DataFrame({"x": [1]})
    with pytest.raises(SqlError, match="df does not exist"):
        ask("select * from df")
    assert len(df) == 1


def test_a_hint_for_a_file_that_was_not_passed(work: Path) -> None:
    """The error says how a file is given."""
    with pytest.raises(SqlError, match=r"sales=cs\.File\('sales\.csv'\)"):
        ask("select * from read_csv('sales.csv')")


# -- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kinds_of_values(people: str) -> None:
    """Numbers, texts, times, nothing, bytes and NumPy's scalars are bound by all databases."""
    values = [1, 2.5, "é'\"", True, None, b"\x00", np.int64(3), np.float64(0.5), np.str_("s")]
    for value in values:
        found = ask("select $v", v=value, on=people, as_="value")
        assert found == (value.item() if isinstance(value, np.generic) else value)
    moment = dt.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - databases have such
    assert str(ask("select $v", v=moment, on=people, as_="value")) == "2026-01-02 03:04:05"
    assert str(ask("select $v", v=moment.date(), on=people, as_="value")) == "2026-01-02"
    assert str(ask("select $v", v=decimal.Decimal("1.50"), on=people, as_="value")) == "1.50"
    with pytest.raises(SqlError, match=r"object|transform"):
        ask("select $v", v=object(), on=people)
    with pytest.raises(SqlError):
        ask("select $v", v=10**60, on=people)


def test_lists_after_in(people: str) -> None:
    """A list stands after IN, empty or not; :name works as $name does."""
    for names, count in ((["Ada", "Bo", "Eve"], 2), (["Ada"], 1), ([], 0), (("Bo",), 1)):
        assert ask("select count(*) from people where name in $names", names=names, on=people, as_="value") == count
    assert (
        ask("select age from people where name = :name and age > :least", name="Ada", least=3, on=people, as_="value")
        == 36
    )


def test_names_are_checked(people: str) -> None:
    """What is asked for and not given, and what is given and not used, is said with the nearest name."""
    with pytest.raises(SqlError, match=r"asks for \$nmae.*Did you mean 'name'"):
        ask("select $nmae", name="Ada", on=people)
    with pytest.raises(SqlError, match="does not use other"):
        ask("select $name", name="Ada", other=1, on=people)
    with pytest.raises(SqlError, match="no name of a parameter"):
        ask("select 1", params={"a b": 1}, on=people)
    assert ask("select $on", params={"on": 3}, on=people, as_="value") == 3


def test_what_is_quoted_is_left_alone() -> None:
    """Texts, names in quotes, comments, casts and dollar quotes hold no parameters."""
    text = """select '$x', ':x', "a$x", 1::int, e'\\'$x', $q$ $x ; $q$, -- $x ;
      /* $x ; */ $x, a[1:x], b$x from "t;"; -- $x """
    found = read_statement(text, {"x"})
    assert (found.names, found.render(lambda name, _: f"<{name}>").count("<x>")) == (("x",), 1)
    for several in ("select 1; select 2", "select 1;;drop table x", "select 1; /* a */ x", "/* a */; select ';'"):
        with pytest.raises(SqlError, match="more than one statement"):
            read_statement(several, ())
    for none in ("", " ", None, 3, "select \0"):
        with pytest.raises(SqlError, match="text of SQL"):
            read_statement(none, ())


# -- databases ------------------------------------------------------------------------------------------------------


def test_reading_changes_nothing(people: str) -> None:
    """Without write=True a change is refused by the database, whatever the statement is."""
    for text in ("delete from people", "drop table people", "insert into people values ('Eve', 1)",
                 "create table t (x integer)",
                 "update people set age = 0", "alter table people add column x integer"):  # fmt: skip
        with pytest.raises(SqlError, match="write=True"):
            ask(text, on=people)
    assert ask("select sum(age) from people", on=people, as_="value") == 43
    assert ask("update people set age = age + $n", n=1, on=people, write=True) == 2
    assert ask("select sum(age) from people", on=people, as_="value") == 45
    with pytest.raises(SqlError, match="needs a database"):
        ask("create table t (x integer)", write=True)


def test_reading_makes_no_database(work: Path) -> None:
    """A mistyped path is said; no empty file appears."""
    for on in ("typo.db", "typo.duckdb", "sqlite:///typo.db", work / "typo.sqlite"):
        with pytest.raises(SqlError, match="There is no database"):
            ask("select 1", on=on)
    assert not [*work.iterdir()]


def test_an_error_names_the_place(people: str) -> None:
    """The statement's line is shown, with a mark under what is wrong, and no bound value beside it."""
    with pytest.raises(SqlError) as caught:
        ask("select name,\n  nope from people where name = $name", name="S3CR3T-value", on=people)
    told = str(caught.value)
    assert "LINE 2:" in told
    mark = (
        told.splitlines()[-1]
        if told.splitlines()[-1].strip() == "^"
        else next(x for x in told.splitlines() if x.strip() in {"^", "^^^^"})
    )
    line = next(x for x in told.splitlines() if "nope from" in x)
    assert line[mark.index("^") :].startswith("nope")
    assert "S3CR3T" not in told
    assert str(pickle.loads(pickle.dumps(caught.value))) == told


def test_many_at_once_are_one_transaction(people: str) -> None:
    """A list of values runs the statement for each, and a fault takes all of them back."""
    assert (
        ask(
            "insert into people values ($name, $age)",
            params=[{"name": "Eve", "age": n} for n in range(5)],
            on=people,
            write=True,
        )
        == 5
    )
    ask("create table one (x integer unique)", on=people, write=True)
    with pytest.raises(SqlError, match=r"(?i)unique|duplicate"):
        ask("insert into one values ($x)", params=[{"x": 1}, {"x": 2}, {"x": 1}], on=people, write=True)
    assert ask("select count(*) from one", on=people, as_="value") == 0


def test_a_map_asks_for_each(people: str) -> None:
    """Items are zipped, the text and a frame go to every one."""
    lazy = cs.sql.map("select age from people where name = $name", name=["Ada", "Bo"], on=people, as_="value")
    assert cs.run(lazy, log_level=None) == [36, 7]


def test_a_transaction_commits_when_all_went_well(people: str) -> None:
    """Statements share a transaction; what the next run sees is all of it."""
    changes = cs.inject(cs.sql.transaction(people, name="all_well"))
    first = cs.sql("insert into people values ('Eve', 1)", on=changes)
    cs.run(cs.sql("delete from people where name = $name", name="Bo", on=changes).after(first), log_level=None)
    assert ask("select name from people order by 1", on=people, as_="rows") == [{"name": "Ada"}, {"name": "Eve"}]


def test_a_transaction_rolls_back_when_the_run_fails(people: str) -> None:
    """Whatever fails in the run, nothing of the transaction is left, and a retry within it can go on."""
    changes = cs.inject(cs.sql.transaction(people, name="all_ill"))

    @cs.task
    def fail(count: int) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cs.run(fail(cs.sql("delete from people", on=changes)), log_level=None)
    assert ask("select count(*) from people", on=people, as_="value") == 2


def test_a_statement_that_fails_in_a_transaction_can_be_tried_again(work: Path) -> None:
    """Its own changes are undone, those before it stay."""
    ask("create table t (x integer unique)", on="a.db", write=True)
    changes = cs.inject(cs.sql.transaction("a.db", name="savepoints"))
    first = cs.sql("insert into t values (1)", on=changes)
    second = cs.sql("insert into t values ($x)", params=[{"x": 2}, {"x": 1}], on=changes).after(first).with_fallback(0)
    cs.run(cs.sql("insert into t values (3)", on=changes).after(second), log_level=None)
    assert ask("select x from t order by x", on="a.db", as_="rows") == [{"x": 1}, {"x": 3}]


def test_a_file_in_a_transaction_is_not_opened_twice(work: Path) -> None:
    """DuckDB would wait for the end of the run; the error says whom to ask."""
    ask("create table t (x integer)", on="a.duckdb", write=True)
    changes = cs.inject(cs.sql.transaction("a.duckdb", name="held"))
    inside = cs.sql("insert into t values (1)", on=changes)
    with pytest.raises(SqlError, match="A transaction of this process"):
        cs.run([inside, cs.sql("select * from t", on="a.duckdb").after(inside)], log_level=None)


def test_engines_and_connections_of_ones_own(people: str) -> None:
    """A resource may give an engine, a connection of SQLAlchemy or one of DuckDB."""
    import duckdb
    import sqlalchemy

    @cs.resource(name="own_engine")
    def engine() -> Any:
        made = sqlalchemy.create_engine("sqlite:///people.db")
        yield made
        made.dispose()

    @cs.resource(name="own_connection")
    def connection() -> Any:
        made = sqlalchemy.create_engine(
            "sqlite://", poolclass=sqlalchemy.NullPool, connect_args={"check_same_thread": False}
        )
        with made.connect() as opened:
            yield opened
        made.dispose()

    @cs.resource(name="own_duckdb")
    def duck() -> Any:
        with duckdb.connect() as opened:
            yield opened

    if people.endswith(".db"):
        assert ask("select count(*) from people", on=cs.inject(engine), as_="value") == 2
    for own in (connection, duck):
        assert ask("select $x", x=3, on=cs.inject(own), as_="value") == 3
    frame = pd.DataFrame({"x": [1, 2]})
    assert ask("select sum(x) from f", f=frame, on=cs.inject(duck), as_="value") == 3
    with pytest.raises(SqlError, match="which this database cannot see"):
        ask("select * from f", f=frame, on=cs.inject(connection))


@pytest.mark.parametrize(
    "on",
    ["foo://x", "sqlite+nope:///x.db", "postgresql://127.0.0.1:1/x", "mysql+pymysql://ada:hunter22@127.0.0.1:1/x", "://",
     3, b"x", ""],
)  # fmt: skip
def test_what_is_no_database(work: Path, on: Any) -> None:
    """A URL that leads nowhere is said in words, without its password."""
    with pytest.raises(SqlError) as caught:
        ask("select 1", on=on)
    assert "hunter22" not in str(caught.value)


@pytest.mark.slow
def test_a_long_question_is_stopped(people: str, work: Path) -> None:
    """A timeout and a cancel reach the database itself: the thread has ended when the call has."""
    endless = {
        None: "select count(*) from range(1000000000) a, range(1000) b",
        people: "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n",
    }
    for on, text in endless.items():
        before = time.monotonic()
        with pytest.raises(NodeTimeoutError):
            cs.run(cs.sql(text, on=on).with_timeout(0.3), log_level=None)
        run = cs.start(cs.sql(text, on=on), log_level=None)
        while not any(isinstance(event, ev.NodeStarted) for event in run.events):
            os.sched_yield()
        run.cancel()
        with pytest.raises(RunCancelledError):
            run.result(10)
        assert time.monotonic() - before < 4.5
    assert ask("select sum(age) from people", on=people, as_="value") == 43  # its file is free again


def test_reading_reaches_no_other_file(work: Path) -> None:
    """SQLite would make a file that is attached, and could be told to write again."""
    ask("create table t (x integer)", on="a.db", write=True)
    for text in ("attach 'stolen.db' as s", "pragma query_only = off", "vacuum into 'stolen.db'", "detach main"):
        with pytest.raises(SqlError):
            ask(text, on="a.db")
    assert [each.name for each in work.iterdir()] == ["a.db"]


def test_a_table_from_elsewhere() -> None:
    """What cs.write returned for an address is fetched; a list is no table, and the error says what is."""
    written = cs.write.csv("memory://sql/t.csv.gz", {"x": [1, 2]})
    assert ask("select sum(x) from t", t=written, as_="value") == 3
    with pytest.raises(SqlError, match="a table is a frame"):
        ask("select * from t", t=[{"x": 1}])


# -- hostile values -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_hostile_values_are_values(people: str, work: Path) -> None:
    """Eighty texts that mean harm come back as the texts that they are; the table is intact, no file appears."""
    before = sorted(each.name for each in work.iterdir())
    for text in [*HOSTILE, *INJECTING]:
        for options in ({"on": people}, {}):
            if "\ud800" in text:  # no text at all
                with pytest.raises(SqlError):
                    ask("select $name", name=text, as_="value", **options)
                continue
            assert ask("select $name", name=text, as_="value", **options) == text
            assert ask("select 'q' in $names", names=[text, text], as_="value", **options) == 0
    assert ask("select sum(age) from people", on=people, as_="value") == 43
    assert sorted(each.name for each in work.iterdir()) == before


@pytest.mark.slow
def test_hostile_texts_elsewhere(people: str, work: Path) -> None:
    """As statement, name, kind, table name and database: refused, or harmless, without write=True."""
    (work / "canary").write_text("sings")
    before = sorted(each.name for each in work.iterdir())
    for text in [*HOSTILE, *INJECTING]:
        for make in (
            lambda t: cs.sql(t, on=people), cs.sql, lambda t: cs.sql("select 1", on=t),
            lambda t: cs.sql("select 1", as_=t), lambda t: cs.sql("select 1", params={t: 1}),
            lambda t: cs.sql("select 1", **{t: pd.DataFrame({"x": [1]})}),
            lambda t: cs.sql("select * from t", t=cs.File(t)),
        ):  # fmt: skip
            with suppress(ValueError, OSError, TypeError):
                cs.run(make(text), log_level=None)
    assert ask("select sum(age) from people", on=people, as_="value") == 43
    assert (work / "canary").read_text() == "sings"
    assert sorted(each.name for each in work.iterdir()) == before


def test_secrets_do_not_show(people: str) -> None:
    """A secret that is bound is in no event and no error, also when the database repeats it."""
    secret = cs.Param("secret", secret=True)
    for text in ("select cast($s as integer) + nope", "select $s as name", "select error($s)"):
        run = cs.start(cs.sql(text, s=secret, on=people), params={"secret": "S3CR3T-ab12/cd34"}, log_level=None)
        said = ""
        try:
            run.result(20)
        except SqlError as error:
            said = str(error)
        assert "S3CR3T" not in said
        assert "S3CR3T" not in repr(run.events)


def test_a_question_goes_through_a_graph_file() -> None:
    """JSON keeps statement and values."""
    assert cs.run(cs.from_json(cs.to_json(cs.sql("select $x + 1", x=1, as_="value"))), log_level=None) == 2
