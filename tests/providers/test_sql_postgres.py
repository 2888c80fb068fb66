"""Questions to a PostgreSQL that the tests start themselves."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.providers.sql_errors import SqlError
from tests.providers.hostile import HOSTILE

pytestmark = pytest.mark.slow


def programs() -> Path | None:
    """Where Debian keeps the newest PostgreSQL, or where the path leads."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).parent if there else None


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database; the server listens on this machine only, and stops with the module."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed")
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("postgres")
    is_root = os.geteuid() == 0
    if is_root:  # it refuses to run as root
        for each in (folder, *folder.parents):
            if each.stat().st_uid == 0 and str(each).startswith("/tmp/") and each != Path("/tmp"):
                each.chmod(each.stat().st_mode | 0o011)
        shutil.chown(folder, "postgres", "postgres")

    def call(program: str, *arguments: str) -> None:
        before = ["runuser", "-u", "postgres", "--"] if is_root else []
        done = subprocess.run(
            [*before, str(place / program), *arguments], cwd="/", capture_output=True, text=True,
            check=False, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    call("initdb", "-D", str(data), "-U", "ada", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories= -c fsync=off"
    call("pg_ctl", "-D", str(data), "-w", "-t", "30", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://ada@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")


def ask(*args: Any, **options: Any) -> Any:
    """What one statement gives."""
    return cs.run(cs.sql(*args, **options), log_level=None)


@pytest.fixture
def people(database: str) -> str:
    """A table of two people."""
    ask("drop table if exists people", on=database, write=True)
    ask("create table people (name text, age integer)", on=database, write=True)
    ask(
        "insert into people values ($name, $age)",
        params=[{"name": "Ada", "age": 36}, {"name": "Bo", "age": 7}],
        on=database,
        write=True,
    )
    return database


def test_values_are_bound(people: str) -> None:
    """Names, lists, percent signs, casts and colons reach PostgreSQL as they are meant."""
    assert (
        ask("select name from people where name like 'A%' and age::int > $age", age=3, on=people, as_="value") == "Ada"
    )
    assert ask("select name from people where name like 'A%'", on=people, as_="value") == "Ada"
    assert ask("select count(*) from people where name in $names", names=["Ada", "Bo"], on=people, as_="value") == 2
    assert ask("select count(*) from people where name = any($names)", names=["Ada"], on=people, as_="value") == 1
    assert ask("select ':name ' || :name || '%s' || $name", name="x", on=people, as_="value") == ":name x%sx"
    with pytest.raises(SqlError, match=r"empty list.*any\(\$"):
        ask("select 1 where 1 in $names", names=[], on=people)


def test_reading_changes_nothing(people: str) -> None:
    """PostgreSQL itself refuses changes without write=True, also those hidden in a function or after a commit."""
    for text in ("delete from people", "drop table people", "create table t (x integer)", "truncate people",
                 "with gone as (delete from people returning *) select * from gone"):  # fmt: skip
        with pytest.raises(SqlError, match="write=True"):
            ask(text, on=people)
    with pytest.raises(SqlError, match="more than one statement"):
        ask("commit; drop table people", on=people)
    assert ask("select sum(age) from people", on=people, as_="value") == 43
    assert ask("update people set age = age + 1", on=people, write=True) == 2
    assert ask("insert into people values ('Eve', 1) returning name", on=people, write=True, as_="rows") == [
        {"name": "Eve"}
    ]
    assert ask("select sum(age) from people", on=people, as_="value") == 46


def test_an_error_names_the_place(people: str) -> None:
    """What PostgreSQL says is shown with its line and mark, without the values."""
    with pytest.raises(SqlError) as caught:
        ask("select name,\n  nope from people where name = $name", name="S3CR3T", on=people)
    told = str(caught.value).splitlines()
    assert 'column "nope" does not exist' in told[0]
    at = next(k for k, line in enumerate(told) if line.startswith("LINE 2:"))
    assert told[at][told[at + 1].index("^") :].startswith("nope")
    assert "S3CR3T" not in str(caught.value)


def test_transactions(people: str) -> None:
    """All or nothing, over several statements and a retry in the middle."""
    changes = cs.inject(cs.sql.transaction(people, name="postgres_changes"))
    first = cs.sql("insert into people values ('Eve', 1)", on=changes)
    failed = cs.sql("insert into people values ('Ill', 1/$zero)", zero=0, on=changes).after(first)
    with pytest.raises(SqlError, match="division by zero"):
        cs.run(failed, log_level=None)
    assert ask("select count(*) from people", on=people, as_="value") == 2
    cs.run(cs.sql("insert into people values ('Eve', 2)", on=changes).after(failed.with_fallback(0)), log_level=None)
    assert ask("select count(*) from people", on=people, as_="value") == 4


def test_a_map_shares_the_pool_of_the_run(people: str) -> None:
    """Twenty questions at once are answered; when the run is over, no connection is left."""
    lazy = cs.sql.map("select $n::int", n=list(range(20)), on=people, as_="value")
    assert cs.run(lazy, log_level=None) == list(range(20))
    count = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    assert ask(count, on=people, as_="value") == 0


def test_times_and_numbers_keep_their_types(people: str) -> None:
    """Decimals, dates and JSON come back as Python has them."""
    import datetime as dt
    import decimal

    row = ask(
        "select 1.50::numeric as n, date '2026-01-02' as d, '{\"a\": 1}'::jsonb as j, null as x", on=people, as_="rows"
    )[0]
    assert row == {"n": decimal.Decimal("1.50"), "d": dt.date(2026, 1, 2), "j": {"a": 1}, "x": None}


def test_hostile_values_are_values(people: str) -> None:
    """Sixty texts that mean harm are stored and come back as they are, or are refused; the table is intact."""
    for text in HOSTILE:
        try:
            assert ask("select $v::text || $v::text", v=text, on=people, as_="value") == text + text
        except SqlError:
            assert "\0" in text or "\ud800" in text
    assert ask("select sum(age) from people", on=people, as_="value") == 43


def test_a_wrong_password_is_not_shown(people: str) -> None:
    """A database that refuses us is named in words, not by its URL; a secret Env gives the URL."""
    url = people.replace("ada@", "nobody:hunter22@")
    with pytest.raises(SqlError, match="cannot be reached") as caught:
        ask("select 1", on=url)
    assert "hunter22" not in str(caught.value)


def test_the_url_comes_from_the_environment(people: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret Env serves as URL of a question and of a transaction."""
    monkeypatch.setenv("TEST_DATABASE_URL", people)
    url = cs.Env("TEST_DATABASE_URL", secret=True)
    assert ask("select count(*) from people", on=url, as_="value") == 2
    changes = cs.inject(cs.sql.transaction(url, name="from_environment"))
    run = cs.start(cs.sql("delete from people", on=changes), log_level=None)
    assert run.result(20) == 2
    assert people not in repr(run.events)
    with pytest.raises(SqlError, match="NOT_SET_ANYWHERE is not set"):
        cs.run(
            cs.sql("select 1", on=cs.inject(cs.sql.transaction(cs.Env("NOT_SET_ANYWHERE"), name="unset"))),
            log_level=None,
        )
