"""Tables where one of pandas, polars and pyarrow is installed without the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def without(names: str, code: str, folder: Path) -> str:
    """What a fresh process prints in which these libraries are not installed."""
    start = f"import sys\nfor name in {names.split()!r}: sys.modules[name] = None\nimport cascade as cs\n"
    start += "def run(target, **options): return cs.run(target, log_level=None, **options)\n"
    start += (
        "def said(make):\n    try: print(repr(run(make())))\n    except Exception as e: print(type(e).__name__, e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + dedent(code)],
        capture_output=True, text=True, check=False, timeout=60, cwd=folder, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_polars_alone(tmp_path: Path) -> None:
    """DuckDB asks frames of polars and gives them, in memory, in files and in a database of the user's own."""
    out = without(
        "pyarrow pandas",
        """
        import datetime, polars as pl, duckdb
        days = [datetime.date(2026, 1, day) for day in (1, 2, 3)]
        frame = pl.DataFrame({"x": [1, 2, None], "d": days, 'a "b"': ["x", "y", "z"]})
        run(cs.write.parquet("a.parquet", frame)), run(cs.write.csv("a.csv", frame))
        assert run(cs.read.parquet("a.parquet")).equals(frame)
        for query, tables in (
            ("select * from t order by d", {"t": frame}), ("select * from t order by d", {"t": frame.lazy()}),
            ("select * from 'a.parquet' order by d", {}),
        ):
            given = run(cs.sql(query, **tables))
            assert type(given) is pl.DataFrame and given.equals(frame), given
        assert run(cs.sql("select sum(x) as s from 'a.csv'", as_="value")) == 3
        run(cs.sql("create table kept as select 7 as y", on="k.duckdb", write=True))
        assert run(cs.sql("select x + y from t, kept where x = 2", t=frame, on="k.duckdb", as_="value")) == 9
        with duckdb.connect() as own:
            own.execute("create table kept as select 7 as y")
            @cs.resource(name="own")
            def opened(): yield own
            asked = cs.sql("select count(*) from t, kept", t=frame, on=cs.inject("own"), as_="value")
            assert run(asked, resources=[opened]) == 3
        said(lambda: cs.sql("select 1 as x", as_="arrow"))
        said(lambda: cs.sql("select 1 as x", as_="pandas"))
        """,
        tmp_path,
    )
    lines = out.splitlines()
    assert lines[0].startswith(
        "ExtraMissingError cs.read needs pyarrow, which is not installed. Install it: pip install"
    )
    assert "cs.read needs pandas, which is not installed" in out


def test_pandas_without_pyarrow(tmp_path: Path) -> None:
    """What pandas lacks for a format is named, and not pandas."""
    out = without(
        "pyarrow polars fastparquet",
        """
        import pandas as pd
        open("a.parquet", "wb").close()
        frame = pd.DataFrame({"x": [1, 2]})
        assert run(cs.sql("select sum(x) as s from t", t=frame))["s"][0] == 3
        run(cs.write.csv("a.csv", frame))
        assert run(cs.read.csv("a.csv")).equals(frame)
        said(lambda: cs.read.parquet("a.parquet"))
        said(lambda: cs.read.parquet("a.parquet", as_="pandas"))
        said(lambda: cs.read.parquet("a.parquet", as_="polars"))
        said(lambda: cs.write.parquet("b.parquet", frame))
        said(lambda: cs.write.parquet("b.parquet", [{"x": 1}]))
        """,
        tmp_path,
    )
    found = [line.partition(". ")[0] for line in out.splitlines() if line.startswith("Extra")]
    assert found == [
        "ExtraMissingError cs.read needs pyarrow or fastparquet, which is not installed",
        "ExtraMissingError cs.read needs pyarrow or fastparquet, which is not installed",
        "ExtraMissingError cs.read needs polars, which is not installed",
        "ExtraMissingError cs.write.parquet needs pyarrow, which is not installed",
        "ExtraMissingError cs.read needs pyarrow or polars, which is not installed",
    ]


def test_no_library_at_all(tmp_path: Path) -> None:
    """Rows are lists of dicts; a format that needs a library names those of which one is enough."""
    out = without(
        "pyarrow polars pandas",
        """
        run(cs.write.csv("a.csv", [{"x": 1}]))
        said(lambda: cs.read.csv("a.csv"))
        said(lambda: cs.sql("select 1 as x"))
        said(lambda: cs.read.parquet("a.csv"))
        """,
        tmp_path,
    )
    lines = out.splitlines()
    assert lines[:2] == ["[{'x': '1'}]", "[{'x': 1}]"]
    assert lines[2].startswith("ExtraMissingError cs.read needs pandas or polars or pyarrow, which is not installed.")
