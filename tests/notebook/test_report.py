"""The report: one page that reads without script and network, prints whole, and gives away nothing private."""

from __future__ import annotations

import getpass
import json
import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.step_errors import ReportError
from cascade.notebook.report import libraries

SECRET = "hunter2-and-more"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
SCRIPT = """
import sys
class NoIPython:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"IPython", "ipywidgets", "anywidget"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoIPython())
import cascade as cs

@cs.task
def one():
    return 1

run = cs.start(one(), log_level=None)
run.wait()
print(run.report(sys.argv[1]))
print(run.replay())
"""


class Read(HTMLParser):
    """The elements of a page with their attributes, and its text without scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        self.text = " ".join("".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.texts.append(f"{data} ")

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


@cs.task
def load(rows: int, key: str) -> list[int]:
    return json.loads(json.dumps(list(range(rows))))


@cs.task
def fit(x: list[int], number: int) -> int:
    return len(x) + number


@cs.task
def divide(x: object, by: int) -> float:
    return 1 / by


def finished(*, fails: bool = False, name: str = "penguins") -> Any:
    """The handle of a run with a map, Params, a secret, a capacity and, if wanted, a failure."""
    rows = cs.Param("rows", default=5, description="how many rows")
    data = load(rows, cs.Param("key", default=SECRET, secret=True))
    fits = fit.map(x=cs.unmapped(data), number=[1, 2, 3]).with_constraints(cpu=1)
    target = divide(fits, 0 if fails else 2)
    run = cs.start(target, log_level=None, system_resources={"cpu": 2}, name=name, capture_output=True)
    run.wait(20)
    return run


@pytest.fixture
def page(tmp_path: Path) -> str:
    """The text of the report of a run that went well."""
    return Path(finished().report(tmp_path / "report.html")).read_text(encoding="utf-8")


def test_the_essentials_are_plain_html(page: str) -> None:
    """Nodes with their states, log, Params, packages and how to do it again stand there without any script."""
    read = Read(page)
    text = read.text
    assert "penguins" in text
    assert re.search(r"Nodes Node State Started at Took Detail load done", text)
    assert "the run is done in" in text
    assert "rows 5 int how many rows" in text
    assert "cs.run(target, params={'rows': 5, 'key': ...}, system_resources={'cpu': 2})" in text
    assert "pip install cascade-notebook==" in text
    assert "return len(x) + number" in text
    (picture,) = read.of("img")
    assert str(picture["src"]).startswith("data:image/svg+xml;base64,")
    assert "done" in str(picture["alt"])


def test_a_failure_is_told_without_script_and_without_folders(tmp_path: Path) -> None:
    """The error, the user's line and the inputs stand in the page; the folder of the source does not."""
    text = Path(finished(fails=True).report(tmp_path / "report.html")).read_text(encoding="utf-8")
    assert "ZeroDivisionError: division by zero" in text
    assert "return 1 / by" in text
    assert "test_report.py, line" in text
    assert str(Path(__file__).parent) not in text


def test_nothing_private_is_in_the_page(page: str, tmp_path: Path) -> None:
    """No secret, no user, no host, no folder."""
    assert SECRET not in page
    assert str(Path.home()) not in page or str(Path.home()) == "/"
    assert str(tmp_path) not in page
    assert socket.gethostname() not in page
    user = getpass.getuser()
    assert not re.search(
        rf"(?<![\w-]){re.escape(user)}(?![\w-])", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    )


def test_the_page_may_reach_nothing(page: str) -> None:
    """Its policy forbids addresses, and scripts but its own; no element asks for anything; 2 MB at most."""
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;")
    assert "unsafe-inline" not in re.search(r"script-src ([^;]+)", policy[1].replace("&#39;", "'"))[1]  # type: ignore[index]
    assert set(re.findall(r"https?://[^\s\"'<)\\`]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=\"(?!data:)", page)
    assert len(page) < 600_000


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Markup in names, values and errors makes no element and no attribute."""

    @cs.task
    def say(text: str) -> str:
        raise ValueError(text)

    run = cs.start(say(HOSTILE).named(HOSTILE), log_level=None, name=HOSTILE)
    run.wait(10)
    text = Path(run.report(tmp_path / "hostile.html")).read_text(encoding="utf-8")
    read = Read(text)
    assert not [tag for tag, attributes in read.found if any(name.startswith("on") for name in attributes)]
    assert len(read.of("script")) == 3
    assert [str(one["src"])[:5] for one in read.of("img")] == ["data:"]
    assert HOSTILE in read.text


def test_packages_are_those_that_the_code_uses() -> None:
    """What the tasks' code and its helpers use, by version, and not all that is installed."""
    np = pytest.importorskip("numpy")

    @cs.task
    def mean(xs: list[float]) -> float:
        return float(np.mean(xs))

    assert libraries([mean]) == {"numpy": np.__version__}


def test_wrong_wishes_are_told(tmp_path: Path) -> None:
    """A run that goes on has no report, and a report is a page."""
    run = cs.start(fit([], 1), log_level=None, step=True)
    with pytest.raises(ReportError, match=r"goes on.*run\.wait"):
        run.report(tmp_path / "early.html")
    run.next()
    run.wait(10)
    with pytest.raises(ReportError, match=r"does not end in \.html"):
        run.report(tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_script_without_ipython_writes_a_report(tmp_path: Path) -> None:
    """`run.report` and `run.replay` need neither IPython nor a widget library."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "out.html")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert "1 of 1 over" in done.stdout
    assert "<h1>one</h1>" in (tmp_path / "out.html").read_text(encoding="utf-8")
