"""Lessons 7 to 9, executed as a reader would: files, services and databases, other programs, other machines."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from tests.notebook.kernel import ROOT, WIDGET
from tests.notebook.test_lessons import LESSONS, MOST, Lesson, execute

DATA = LESSONS / "07_data_in_and_out.ipynb"
ELSEWHERE = LESSONS / "08_watch_from_elsewhere.ipynb"
SCALE = LESSONS / "09_scale_out.ipynb"
EXTRAS = {
    DATA: {"notebook", "data", "sql", "http", "s3", "text"},
    ELSEWHERE: {"notebook", "data", "mqtt", "otel"},
    SCALE: {"notebook", "data", "process", "dask"},
}
PICTURES = {DATA: 9, ELSEWHERE: 3, SCALE: 6}
SECRETS = ("swordfish", "marlin")
BUSY = 1.4  # how much longer a machine with other things to do may take


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Lesson 7."""
    for module in ("moto.server", "s3fs", "httpx", "jinja2", "duckdb"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    return execute(DATA, tmp_path_factory.mktemp("lesson"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Lesson 8."""
    for module in ("aiomqtt", "opentelemetry.sdk"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    return execute(ELSEWHERE, tmp_path_factory.mktemp("l"))  # the path of a socket is short


@pytest.fixture(scope="module")
def scale(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Lesson 9."""
    for module in ("distributed", "loky"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    return execute(SCALE, tmp_path_factory.mktemp("lesson"))


def counts(lesson: Lesson, words: str, place: int, node: str) -> tuple[int, int]:
    """How many items of a map ran, and how many were stored, in one of the cells with these words."""
    told = lesson._document(words, place)["nodes"][node]["items"]
    return told["done"], told["stored"]


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(300)
class TestData:
    """What the texts of lesson 7 say about its outputs is what the outputs say."""

    def test_the_second_run_reads_no_file(self, data: Lesson) -> None:
        """Twenty nodes and items run first; then only those that look at the folder."""
        assert set(data.states("%%cascade\nmonths", 0).values()) == {"done"}
        again = data.states("%%cascade\nmonths", 1)
        assert again == {
            "fs.glob": "done", "locate": "done", "read.csv": "stored", "late": "stored", "table": "stored",
        }  # fmt: skip

    def test_one_changed_file_is_one_computation(self, data: Lesson) -> None:
        """March is read and computed, the other five months are stored, and `why` names its place."""
        assert counts(data, "%%cascade\nmonths", 2, "read.csv") == (1, 5)
        assert counts(data, "%%cascade\nmonths", 2, "late") == (1, 5)
        assert data.text("why late") == "1 of 6 items ran: new elements [2]; 5 from run 2"

    def test_a_question_is_asked_again_for_another_value(self, data: Lesson) -> None:
        """The Param is bound; with another value the statement runs again, and `why` says so."""
        assert len(data.text("%%cascade\nworst").strip().splitlines()) >= 5
        assert data.states("-p minutes=120")["sql"] == "done"
        assert data.text("why sql") == "ran: minutes 60 → 120"

    def test_an_attack_is_a_text(self, data: Lesson) -> None:
        """What was meant to end the table stands in it."""
        told = data.text("insert into notes")
        assert "'); drop table notes; --" in told
        assert "often late" in told

    def test_a_flaky_service_is_asked_again_and_then_remembered(self, data: Lesson) -> None:
        """Three 503s stand in the log; the second run asks nobody; 404 is told after the second answer."""
        told = data.events("-o learned")
        assert sum("was answered with 503; trying again" in line for line in told) == 3
        assert data.states("%%cascade\nsay(answers, token)") == {"airports": "stored", "say": "done"}
        assert data.text("rglob") == "6 requests in both runs; the token is in 0 of the files that they left\n"
        assert "404 Not Found (try 2)" in data.text("XXX")

    def test_secrets_show_nowhere(self, data: Lesson) -> None:
        """Dots stand in the log in the place of the token, and no output holds a secret."""
        assert "with the token ••• I learned 3 names" in data.events("-o learned")
        shown = json.dumps([cell.outputs for cell in data.cells])
        pictures = "".join(
            base64.b64decode(found).decode() for found in re.findall(r"svg\+xml;base64,([\w+/=]+)", shown)
        )
        assert not [secret for secret in SECRETS if secret in shown + pictures]

    def test_a_program_and_a_template(self, data: Lesson) -> None:
        """The three busiest airports come out of a pipe; their names and all months stand in the page in S3."""
        assert set(re.findall(r"[A-Z]{3}", data.text('busy["stdout"]'))) == {"ATL", "ORD", "BOS"}
        page = data.text("cs.io.s3.list")
        assert page.startswith("['months.parquet', 'report.md'] 6 months\n# Flights from New York")
        assert len(re.findall(r"^- month \d: [\d,]{6} flights, \d\d\.\d % late$", page, re.MULTILINE)) == 6
        assert "ExpressJet Airlines Inc." in page
        assert "Chicago Ohare Intl" in page

    def test_the_last_graph_takes_from_the_store_what_was_computed(self, data: Lesson) -> None:
        """From the files to the cloud, nothing that was known is computed."""
        states = data.states("-o stored")
        known = ("read.csv", "read.csv#2", "late", "table", "together", "sql", "airports")
        assert {states[node] for node in known} == {"stored"}
        assert {states[node] for node in ("bucket", "template", "report", "numbers")} == {"done"}


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(300)
class TestElsewhere:
    """What the texts of lesson 8 say about its outputs is what the outputs say."""

    def test_a_terminal_steers_a_run_of_the_notebook(self, elsewhere: Lesson) -> None:
        """Each order is answered, stands in the log of the run in its order, and acts."""
        assert re.match(r"Run \w+ \(year\): nothing may start", elsewhere.text("pause year"))
        assert "not more than 1 of 'year' at once" in elsewhere.text("--concurrency 1")
        assert re.search(r"^\w+ +year +paused ", elsewhere.text("{terminal} status", 0), re.MULTILINE)
        assert elsewhere.text("watch year").rstrip().endswith("the run ended: completed")
        log = elsewhere.log("run.view()")
        words = ("the run is paused", "limit set: concurrency on task:year", "the run goes on")
        times = [next(line["t"] for line in log if line["text"].startswith(said)) for said in words]
        assert times == sorted(times)
        bars = [bar for bar in elsewhere.lanes("run.view()") if bar["row"].startswith("capacity/desk/")]
        later = sorted((bar["t0"], bar["t1"]) for bar in bars if bar["t0"] >= times[-1])
        assert len(later) > 1
        assert all(before[1] <= after[0] + 0.001 for before, after in itertools.pairwise(later))
        assert len(re.findall(r"0\.\d", elsewhere.text("run.result()"))) == 12

    def test_a_pause_for_all_is_said(self, elsewhere: Lesson) -> None:
        """A run that begins later is held, says so and what to do; status names the pause; resume lifts it."""
        told = "".join(elsewhere.text(words) for words in ("flights = cs.start", "resume\nprint(")) + elsewhere.text(
            "{terminal} status", 1
        )
        assert "is held at its start by the pause" in told
        assert "cascade resume clears it" in told
        assert "In force: nothing may start, until " in elsewhere.text("{terminal} status", 1)
        assert "12 months" in elsewhere.text("resume\nprint(")

    def test_a_run_of_another_program_is_a_card(self, elsewhere: Lesson) -> None:
        """The card tells its nodes to the end, and the program prints what it has computed."""
        assert elsewhere.text("readline()").endswith("'nightly has begun\\n'")
        states = elsewhere.states("%cascade attach local")
        assert {states[node] for node in ("fetch", "hello")} == {"done"}
        assert elsewhere.run("%cascade attach local")["name"].startswith("total")
        assert elsewhere.text("other.communicate") == "'780\\n'"

    def test_messages_are_heard_and_a_rate_holds(self, elsewhere: Lesson) -> None:
        """The head is that of docs/telemetry.md, every item is told, and two starts in a second take their time."""
        heard = elsewhere.text("listener.communicate")
        for word in ("ts", "run_id", "org_id", "project_id", "source", "v", "body"):
            assert f'"{word}": ' in heard
        assert len(re.findall(r"^half\[\d\] ", heard, re.MULTILINE)) == 6
        assert "not more than 2/s of 'half' may start" in elsewhere.text("--rate 2/s")
        assert float(elsewhere.text("limited.elapsed").split()[0]) >= 2.0
        assert "lifted" in elsewhere.text("unlimit --scope")

    def test_it_goes_over_a_broker_where_there_is_one(self, elsewhere: Lesson) -> None:
        """With mosquitto over MQTT; without it the lesson says that it goes another way."""
        has_broker = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        told = elsewhere.text("over MQTT")
        assert told.startswith("over MQTT" if has_broker else "There is no mosquitto here")

    def test_a_run_is_a_trace(self, elsewhere: Lesson) -> None:
        """Spans of the run, its nodes and its items came to the collector; items are within their map."""
        rows = re.findall(r"^\d+ +(\S+) +(half )?", elsewhere.text("OtelSubscriber()"), re.MULTILINE)
        names = [name for name, _ in rows]
        assert sorted(names) == ["by_month", "half", "half", *(f"half[{n}]" for n in range(6)), "load"]
        assert [bool(within) for name, within in rows if name != "half"] == [True] * 8

    def test_runs_are_counted_and_written_down(self, elsewhere: Lesson) -> None:
        """Two runs for Prometheus; the journal has a run with all its events, and a terminal replays it."""
        numbers = elsewhere.text("PrometheusSink")
        assert 'cascade_runs_total{status="completed"} 2\n' in numbers
        assert 'cascade_nodes_total{task="half",state="completed"} 14\n' in numbers
        assert set(elsewhere.states("JournalSink")) == {"load", "by_month", "half"}
        assert int(elsewhere.text("again.report").split()[0]) > 20
        assert elsewhere.text("replay runs.jsonl").rstrip().endswith("8 of 8 over · completed")


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(300)
class TestScale:
    """What the texts of lesson 9 say about its outputs is what the outputs say."""

    def test_one_word_changes_where_it_runs(self, scale: Lesson) -> None:
        """Threads are this process, the others are workers; the numbers are the same."""
        processes = {}
        for words in ("-o in_threads", "-o in_processes", "-o on_dask", "-o in_three"):
            told = [re.search(r"in process (\d+)", line) for line in scale.events(words)]
            processes[words] = {found[1] for found in told if found}
            assert sum(found is not None for found in told) == 12
        (here,) = processes["-o in_threads"]
        assert processes["-o in_three"] == {here}
        assert here not in processes["-o in_processes"] | processes["-o on_dask"]
        assert not processes["-o in_processes"] & processes["-o on_dask"]
        assert scale.text("in_threads.equals(on_dask)") == "True"
        assert scale.text("in_three.equals(in_threads)") == "True"

    def test_a_simulation_is_told_as_a_run_and_as_a_curve(self, scale: Lesson) -> None:
        """A second with four workers; the knee is there; a narrow line makes eight workers idle."""
        assert re.match(r"together.*: 3 nodes in 1\.03 s, within 4 workers", scale.text("workers=4)\nmade"))
        assert scale.states("workers=4)\nmade") == {"download": "done", "prepare": "done", "together": "done"}
        curve = scale.text("made.curve()")
        seconds = {int(n): float(s) for n, s in re.findall(r"^ *(\d+)  (\d+\.\d+) s", curve, re.MULTILINE)}
        assert (seconds[8], seconds[16], seconds[12], seconds[24]) == (0.64, 0.51, 0.51, 0.38)
        assert re.search(r"^ *4 .*◀ knee$", curve, re.MULTILINE)
        assert scale.text("few.makespan").startswith("1.14 s instead of 0.64 s\nin use: 70% of the line, 37%")

    def test_the_prediction_was_true(self, scale: Lesson) -> None:
        """With 1, 2, 4 and 8 workers, never faster, and not much slower."""
        rows = re.findall(r"^(\d+) +([\d.]+) +([\d.]+) +[+-][\d.]+%$", scale.text("def measure"), re.MULTILINE)
        assert [int(workers) for workers, *_ in rows] == [1, 2, 4, 8]
        for _, predicted, real in rows:
            assert 0.97 <= float(real) / float(predicted) <= BUSY


@pytest.mark.parametrize("path", EXTRAS, ids=lambda path: path.stem)
def test_the_committed_lesson_is_light_and_names_no_machine(path: Path) -> None:
    """The stored outputs are there, hold no path of the machine and no widget, and keep the file small."""
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST
    assert WIDGET not in text
    lesson = Lesson(nbformat.reads(text, as_version=4))
    assert [cell.execution_count for cell in lesson.cells] == list(range(1, len(lesson.cells) + 1))
    failed = [cell for cell in lesson.cells if any(o.output_type == "error" for o in cell.outputs)]
    assert all("raises-exception" in cell.metadata.get("tags", ()) for cell in failed)
    pictures = [base64.b64decode(found).decode() for found in re.findall(r"svg\+xml;base64,([\w+/=]+)", text)]
    assert len(pictures) >= PICTURES[path]
    shown = "\n".join([text, *pictures])
    assert not [place for place in (tempfile.gettempdir(), sys.prefix, str(ROOT), str(Path.home())) if place in shown]
    assert not re.findall(r"(?:site-packages|/home/|/Users/|/tmp/)", shown)


@pytest.mark.parametrize("path", EXTRAS, ids=lambda path: path.stem)
def test_the_first_cell_names_the_extras(path: Path) -> None:
    """What is to be installed stands at the top, and `make lab` installs it."""
    first = nbformat.read(path, as_version=4).cells[0].source
    (named,) = re.findall(r"cascade-notebook\[([a-z0-9,]+)\]", first)
    assert set(named.split(",")) == EXTRAS[path]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installed = re.search(r"^LESSONS := \$\(addprefix --extra ,([a-z0-9 ]+)\)$", makefile, re.MULTILINE)
    assert installed is not None
    assert EXTRAS[path] <= set(installed[1].split())
    assert re.search(r'^\$\(STAMPS\)/lab:.*\n\t.*\$\(LESSONS\).*--with "moto\[server\]"', makefile, re.MULTILINE)


def test_lessons_lead_on_to_one_another() -> None:
    """Links between lessons point to files that are there, and the README lists every lesson."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in sorted(LESSONS.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        links = {link for cell in cells for link in re.findall(r"\]\((\w+\.ipynb)\)", cell.source)}
        assert all((LESSONS / link).is_file() for link in links), path.name
        assert f"](notebooks/{path.name})" in readme
