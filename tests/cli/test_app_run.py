"""`cascade run`, `graph`, `plan`, `why`, `runs`, `diff`, `store`, `replay` and `report` as people type them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import pytest

pytestmark = pytest.mark.slow

FLOW = """
import cascade as cs

@cs.task(pure=True)
def load(n):
    return list(range(n))

@cs.task
def total(xs, factor=1):
    return factor * sum(xs)

@cs.task
def never(x):
    return x

@cs.task
def broken():
    raise ValueError("no luck")

@cs.task(mode="compute")
def square(x):
    return x * x

@cs.task
def reveal(token):
    return len(token)

numbers = load(cs.Param("n", default=4, type=int))
skipped = never(1).run_if(False)
bad = [broken(), total(numbers)]
squares = square.map(x=numbers)
guarded = reveal(cs.Param("token", secret=True))
sized = total(numbers).with_constraints(gpu=1)
both = {"a": total(numbers), "b": numbers}
report = total(numbers)

def build():
    return total(numbers, 2)

if __name__ == "__main__":
    raise SystemExit("a file is loaded, not run as a script")
"""
NAP = """
import asyncio, sys
import cascade as cs

@cs.resource
def db():
    try:
        yield "db"
    finally:
        print("closed", file=sys.stderr, flush=True)

@cs.task
async def nap(db=cs.inject("db")):
    print("napping", file=sys.stderr, flush=True)
    await asyncio.sleep(60)

target = nap()
"""
QUIET = ("--log-level", "error")


@pytest.fixture
def flow(place: Any) -> Any:
    """A file with targets."""
    place.write("flow.py", FLOW)
    return place


def test_running_targets(flow: Any) -> None:
    """The last lazy result is the default; a name, a function, a container and a module do as well."""
    for word, said in (
        ("flow.py", "6\n"),
        ("flow.py:numbers", "[0, 1, 2, 3]\n"),
        ("flow.py:build", "12\n"),
        ("flow:report", "6\n"),
        ("./flow.py:both", "{'a': 6, 'b': [0, 1, 2, 3]}\n"),
    ):
        done = flow.cascade("run", word, *QUIET)
        assert (done.returncode, done.stdout, done.stderr) == (0, said, ""), word


def test_params_and_exit_codes(flow: Any) -> None:
    """Params convert as everywhere; 1 is a failure, 2 wrong use with all that is wrong, 3 a skipped target."""
    done = flow.cascade("run", "flow.py", "-p", "n=5", "--json")
    assert (done.returncode, done.stdout) == (0, "10\n")
    assert "run total completed" in done.stderr
    assert "\x1b" not in done.stderr
    done = flow.cascade("run", "flow.py", "-p", "m=5", "-p", "n=x", "-r", "gpu", "--timeout", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "4 inputs are not right:",
        "  - No Param is named 'm'. Known: n.",
        "  - -p n: 'x' is not a valid int.",
        "  - --capacity takes NAME=AMOUNT, as in --capacity gpu=1, not 'gpu'.",
        "  - --timeout takes a number of seconds above 0, not '0'.",
    ]
    done = flow.cascade("run", "flow.py:bad", *QUIET)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == ["ValueError: no luck", "In the node 'broken'."]
    done = flow.cascade("run", "flow.py:skipped", *QUIET)
    assert (done.returncode, done.stdout) == (3, "")
    done = flow.cascade("run", "flow.py:sized")
    assert done.returncode == 2
    assert "On the command line, -r NAME=AMOUNT says how much there is." in done.stderr
    assert flow.cascade("run", "flow.py:sized", "-r", "gpu=1", *QUIET).returncode == 0


def test_words_that_name_nothing(flow: Any) -> None:
    """A file, a module, a name or a task that cannot be a target is one sentence with the nearest name, code 2."""
    flow.write("empty.py", "x = 1\n")
    flow.write("faulty.py", "def f():\n    return 1 / 0\nf()\n")
    for word, said in (
        ("flw.py", "There is no file 'flw.py'. Did you mean 'flow.py'?"),
        ("flow.py:reprt", "'flow.py' has nothing called 'reprt'. Did you mean 'report'?"),
        ("flow.py:total", "is a task that needs arguments. Write target = total(…) in the file, and name that."),
        ("nothing.at.all:x", "There is no file and no module called 'nothing.at.all'."),
        ("empty.py", "gives no lazy result a name"),
        ("faulty.py", "'faulty.py' could not be loaded, so nothing ran."),
    ):
        done = flow.cascade("run", word)
        assert (done.returncode, done.stdout) == (2, ""), word
        assert said in done.stderr
        assert "importlib" not in done.stderr
        assert "cascade/cli" not in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr


def test_secrets(flow: Any) -> None:
    """A secret comes from the environment; with -p there is a warning; its value is nowhere."""
    done = flow.cascade("run", "flow.py:guarded", token="hunter22")
    assert (done.returncode, done.stdout) == (0, "8\n")
    assert "hunter22" not in done.stderr
    done = flow.cascade("run", "flow.py:guarded", "-p", "token=hunter22", "--journal", "j.jsonl")
    assert (done.returncode, done.stdout) == (0, "8\n")
    assert "Set the environment variable token instead" in done.stderr
    assert "hunter22" not in done.stderr + (flow.folder / "j.jsonl").read_text()
    done = flow.cascade("run", "flow.py:guarded")
    assert done.returncode == 2
    assert "token is missing" in done.stderr
    done = flow.cascade("run", "flow.py", "--connector", "mqtt://me:hunter22@127.0.0.1:1")
    assert (done.returncode, done.stdout) == (0, "6\n")
    assert "Set CASCADE_MQTT_USERNAME and CASCADE_MQTT_PASSWORD" in done.stderr
    assert "hunter22" not in done.stderr


def test_processes(flow: Any) -> None:
    """Functions of the file travel to other processes, whichever way they are asked for."""
    for words in ((), ("--executor", "process")):
        done = flow.cascade("run", "flow.py:squares", *words, *QUIET)
        assert (done.returncode, done.stdout) == (0, "[0, 1, 4, 9]\n"), done.stderr
    done = flow.cascade("run", "flow.py", "--executor", "proces")
    assert done.returncode == 2
    assert "Did you mean 'process'?" in done.stderr


def test_a_notebook_as_a_file(place: Any) -> None:
    """The cells run as plain Python; what a %%cascade cell would run is a target."""
    cells = [
        "import cascade as cs\n%load_ext cascade\n!ls",
        "@cs.task\ndef add(x, y):\n    return x + y\nsmall = add(1, 1)",
        "%%cascade -p n=2\nadd(40, cs.Param('n', type=int))",
        "%%html\n<b>x</b>",
    ]
    listed = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": []} for cell in cells]
    place.write("book.ipynb", json.dumps({"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    done = place.cascade("run", "book.ipynb", "-p", "n=2", *QUIET)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert place.cascade("run", "book.ipynb:small", *QUIET).stdout == "2\n"
    place.write("broken.ipynb", "{}")
    done = place.cascade("run", "broken.ipynb")
    assert (done.returncode, done.stderr) == (
        2,
        "'broken.ipynb' is not a notebook of the form that Jupyter writes today.\n",
    )


def test_what_is_remembered(flow: Any) -> None:
    """Runs are remembered, told, compared and forgotten; looking makes no store; what is not known is code 4."""
    done = flow.cascade("runs")
    assert (done.returncode, done.stdout) == (4, "")
    assert "There is no store '.cascade' here." in done.stderr
    done = flow.cascade("plan", "flow.py", "--json")
    assert [step["status"] for step in json.loads(done.stdout)["steps"]] == ["run", "run"]
    assert not (flow.folder / ".cascade").exists()
    assert flow.cascade("run", "flow.py", "--no-cache", *QUIET).returncode == 0
    assert not (flow.folder / ".cascade").exists()
    for number in ("4", "4", "5"):
        assert flow.cascade("run", "flow.py", "-p", f"n={number}", *QUIET).returncode == 0
    assert "1 stored" in flow.cascade("plan", "flow.py").stdout
    assert flow.cascade("why", "load").stdout == "ran: n 4 → 5\n"
    assert flow.cascade("why", "load", "2").stdout.startswith("stored: ")
    assert [run["number"] for run in json.loads(flow.cascade("runs", "--json").stdout)] == [3, 2, 1]
    assert "load: n 4 → 5" in flow.cascade("diff", "1", "3").stdout
    assert flow.cascade("store", "check").stdout == "Everything in the store is as it was written.\n"
    assert flow.cascade("store", "clear").stdout == "2 results forgotten\n"
    for words, code, said in (
        (("why", "lod"), 4, "Did you mean 'load'?"),
        (("diff", "1", "9"), 4, "There is no run 9 in this store: the latest is run 3. cascade runs lists them."),
        (("store", "lss"), 2, "Did you mean 'ls'?"),
    ):
        done = flow.cascade(*words)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr


def test_the_graph(flow: Any) -> None:
    """The graph is text, a picture in a language, or a file."""
    assert "total  task blocking  ← load" in flow.cascade("graph", "flow.py").stdout
    assert flow.cascade("graph", "flow.py", "--as", "dot").stdout.startswith("digraph")
    assert flow.cascade("graph", "flow.py", "--as", "svg").stdout.startswith("<svg")
    assert json.loads(flow.cascade("graph", "flow.py", "--as", "json").stdout)
    assert flow.cascade("graph", "flow.py", "-o", "g.mmd").returncode == 0
    assert (flow.folder / "g.mmd").read_text().startswith("flowchart")
    assert flow.cascade("graph", "flow.py", "--as", "png").returncode == 2


def test_journal_and_report(flow: Any) -> None:
    """A journal is told again and becomes a page; the report of a run that failed is there, too."""
    done = flow.cascade("run", "flow.py:bad", "--journal", "j.jsonl", "--report", "r.html", *QUIET)
    assert done.returncode == 1
    assert "no luck" in (flow.folder / "r.html").read_text()
    story = flow.cascade("replay", "j.jsonl").stdout
    assert story.splitlines()[-1] == "no luck"
    kinds = [event["kind"] for event in json.loads(flow.cascade("replay", "j.jsonl", "--json").stdout)]
    assert (kinds[0], kinds[-1]) == ("RunStarted", "RunFinished")
    assert flow.cascade("report", "j.jsonl", "page.html").returncode == 0
    assert (flow.folder / "page.html").read_text().startswith("<!")
    for words, code, said in (
        (("replay", "flow.py"), 2, "flow.py is not a journal of a run"),
        (("replay", "none.jsonl"), 1, "'none.jsonl' cannot be used: no such file or directory."),
        (("replay", "j.jsonl", "zz"), 4, "'j.jsonl' holds no run 'zz'."),
        (("run", "flow.py", "--report", "r.txt"), 2, "--report writes an HTML page"),
        (("run", "flow.py", "--journal", "no/where.jsonl"), 2, "there is no folder 'no'"),
    ):
        done = flow.cascade(*words)
        assert (done.returncode, done.stdout) == (code, ""), words
        assert said in done.stderr


def test_wrong_words(place: Any) -> None:
    """A command or an option that there is not is code 2, with the nearest one."""
    done = place.cascade("statsu")
    assert done.returncode == 2
    assert "Did you mean 'status'?" in done.stderr.replace("\n", " ")
    assert place.cascade("run").returncode == 2
    assert place.cascade("--version").stdout.startswith("cascade-notebook ")


def test_help_is_quick_and_light(place: Any) -> None:
    """Help loads neither the engine nor an event loop nor rich, and comes within 0.4 s of processor time."""
    program = (
        "import sys; sys.argv = ['cascade', '--help']\nfrom cascade.cli.app import app\n"
        "try: app(prog_name='cascade')\nexcept SystemExit: pass\n"
        "import time; heavy = ('asyncio', 'rich', 'cascade.runtime')\n"
        "print(time.process_time(), [m for m in heavy if m in sys.modules])"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", program], env=place.environment, capture_output=True, text=True, check=True
    )
    seconds, _, heavy = done.stdout.splitlines()[-1].partition(" ")
    assert heavy == "[]"
    assert float(seconds) < 0.4


@pytest.mark.skipif(os.name == "nt", reason="only on systems with POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupts(place: Any, number: int, code: int) -> None:
    """Ctrl-C and SIGTERM cancel the run, close its resources and have codes of their own."""
    place.write("flow.py", NAP)
    process = place.begin("run", "flow.py", *QUIET)
    assert process.stderr.readline() == "napping\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.splitlines() == ["closed", "The run 'nap' was interrupted and is cancelled."]


def test_completion(place: Any) -> None:
    """The shell is told the commands and options that begin so."""
    told = place.cascade(_CASCADE_COMPLETE="complete_bash", COMP_WORDS="cascade re", COMP_CWORD="1")
    assert told.stdout.split() == ["replay", "report", "resume"]


def test_doctor(place: Any) -> None:
    """What is installed is told with versions; a store that is broken is code 1 with what to do."""
    done = place.cascade("doctor", "--json")
    assert done.returncode == 0
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert found["Python"]["state"] == "ok"
    assert "rich" in found["libraries"]["found"]
    assert "reached; 0 runs" in found["runs at local"]["found"]
    begun = time.monotonic()
    done = place.cascade("doctor", "--at", "mqtt://127.0.0.1:1")
    assert done.returncode == 1
    assert "was not reached" in done.stdout
    assert time.monotonic() - begun < 15
