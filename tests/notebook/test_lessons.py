"""The lessons, executed as a reader would: the numbers may differ, the lesson may not."""

from __future__ import annotations

import base64
import itertools
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from tests.notebook.kernel import DOCUMENT, ROOT, WIDGET

LESSONS = ROOT / "notebooks"
MEMORY = LESSONS / "04_memory_and_why.ipynb"
WATCH = LESSONS / "05_watch_and_steer.ipynb"
PIPELINE = LESSONS / "06_explore_to_pipeline.ipynb"
MOST = 1_000_000  # bytes


class Lesson:
    """The code cells of an executed notebook, found by words in their source."""

    def __init__(self, notebook: nbformat.NotebookNode) -> None:
        self.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    def cell(self, words: str, place: int = 0) -> nbformat.NotebookNode:
        return [cell for cell in self.cells if words in cell.source][place]

    def text(self, words: str, place: int = 0) -> str:
        """What a cell printed, and its value as text."""
        outputs = self.cell(words, place).outputs
        return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in outputs)

    def states(self, words: str, place: int = 0) -> dict[str, str]:
        """The state of each node at the end of the cell's run, Params left out."""
        nodes = self._document(words, place)["nodes"]
        return {node: row["s"] for node, row in nodes.items() if row["s"] != "param"}

    def items(self, words: str, node: str) -> tuple[int, int]:
        """How many items of a map ran, and how many were stored, or kept by a retry."""
        told = self._document(words, 0)["nodes"][node]["items"]
        return told["done"], told["stored"] + told.get("kept", 0)

    def log(self, words: str) -> list[dict]:
        """The lines of the log of the run of a cell."""
        return list(self._document(words, 0)["log"])

    def events(self, words: str) -> list[str]:
        """Their texts."""
        return [line["text"] for line in self.log(words)]

    def lanes(self, words: str) -> list[dict]:
        """The bars of the lanes."""
        return list(self._document(words, 0)["lanes"]["bars"])

    def run(self, words: str, place: int = 0) -> dict:
        """State, counts and message of the run of a cell."""
        return self._document(words, place)["run"]

    def _document(self, words: str, place: int) -> dict:
        return next(o.data[DOCUMENT] for o in self.cell(words, place).outputs if DOCUMENT in o.get("data", {}))


def execute(path: Path, folder: Path) -> Lesson:
    """Execute a lesson anew in a folder of its own, as the script for the committed ones does."""
    from scripts.notebooks import execute

    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path, folder, {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)})
    assert not (folder / ".cascade").exists(), "the lesson remembers in a folder of its own"
    return Lesson(notebook)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Lesson 4."""
    return execute(MEMORY, tmp_path_factory.mktemp("lesson"))


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Lesson 5."""
    return execute(WATCH, tmp_path_factory.mktemp("lesson"))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Lesson 6."""
    return execute(PIPELINE, tmp_path_factory.mktemp("lesson"))


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(300)
class TestMemory:
    """What the texts of lesson 4 say about its outputs is what the outputs say."""

    def test_the_second_run_computes_nothing(self, memory: Lesson) -> None:
        """All nodes run once; then the target is read, and `why` says from which run."""
        assert set(memory.states("%%cascade\nworst", 0).values()) == {"done"}
        again = memory.states("%%cascade\nworst", 1)
        assert again == {"load": "skipped", "clean": "skipped", "shares": "skipped", "worst": "stored"}
        assert re.match(r"stored: same code and inputs · made by run 1, ", memory.text("why worst"))

    def test_a_comment_changes_nothing(self, memory: Lesson) -> None:
        """The plan after an edit of comment and docstring has nothing to run."""
        assert memory.text("has no delay").startswith("worst: 1 stored\n")

    def test_a_param_runs_what_it_reaches(self, memory: Lesson) -> None:
        """What is above the Param is stored, what is below it runs, and `why` has the old and the new value."""
        states = memory.states("-p minutes=30")
        assert states == {"load": "skipped", "clean": "stored", "shares": "done", "worst": "done"}
        assert memory.text("why shares", 0) == "ran: minutes 15 → 30"

    def test_an_edited_helper_is_named_with_its_line(self, memory: Lesson) -> None:
        """A function that a task calls counts as the task's own code."""
        states = memory.states("%%cascade\ndef is_late")
        assert states == {"load": "skipped", "clean": "stored", "shares": "done", "worst": "done"}
        assert "helper is_late changed, line 3 (> → >=)" in memory.text("why shares", 1)

    def test_the_same_value_stops_a_change(self, memory: Lesson) -> None:
        """The plan calls what comes after rewritten code open; the run reads it from the store."""
        planned = dict(re.findall(r"^([◆◐◔⊘])  (\w+)", memory.text(".notna()"), re.MULTILINE))
        assert planned == {"◆": "load", "◐": "clean", "◔": "worst"}
        states = memory.states("%%cascade\nworst", 2)
        assert states == {"load": "stored", "clean": "done", "shares": "stored", "worst": "stored"}

    def test_one_new_item_is_one_computation(self, memory: Lesson) -> None:
        """Six months run; with the seventh, one does."""
        assert memory.items("spread.map", "spread") == (6, 0)
        assert memory.items("-p last=7", "spread") == (1, 6)
        assert memory.text("why spread") == "1 of 7 items ran: new elements [6]; 6 from run 6"

    def test_a_killed_run_is_taken_up(self, memory: Lesson) -> None:
        """Each month is computed once, by the run that died or by the one after it, and the store tells which."""
        killed, resumed = memory.text("process.kill()"), memory.text("subprocess.run(command")
        assert killed.count("minutes\n") == 5
        assert f"killed: {1 if sys.platform == 'win32' else -9}" in killed
        computed = resumed.count("minutes\n")
        assert 1 <= computed <= 12 - 3  # of the five that were heard, two may not have been written yet
        assert re.search(r"\[(\d\.\d+, ){11}\d\.\d+\]", resumed)
        later, lost = re.findall(r"^(\d+) .* (completed|lost) ", resumed, re.MULTILINE)
        assert (later[1], lost[1]) == ("completed", "lost")
        made_by = re.findall(r"^off .* (\d+)$", memory.text("store ls off"), re.MULTILINE)
        assert len(made_by) == 12
        assert (made_by.count(later[0]), made_by.count(lost[0])) == (computed, 12 - computed)


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(300)
class TestWatch:
    """What the texts of lesson 5 say about its outputs is what the outputs say."""

    def test_step_mode_waits_for_nobody_where_nobody_is(self, watch: Lesson) -> None:
        """The blocking cell says that it runs on, and does; the one in the background takes its steps from cells."""
        assert "Nobody can click Next here" in watch.text("%%cascade --step\n")
        assert set(watch.states("%%cascade --step\n").values()) == {"done"}
        assert re.fullmatch(
            r"Job 2 \(run 2\): (.*load may start\.|nothing is ready now; .*)", watch.text("%cascade next", 0)
        )
        assert "clean" in watch.text("%cascade next clean")
        assert watch.text("%cascade resume", 0) == "Job 2 (run 2) is being resumed."
        assert set(watch.states("%%cascade --step --bg").values()) == {"done"}

    def test_two_desks_make_two_rounds(self, watch: Lesson) -> None:
        """Never more than one bar at a time on a desk, four items on two desks, and those who wait say for what."""
        lanes = watch.lanes("-r desk=2\nquarters")
        desks = [sorted((bar["t0"], bar["t1"]) for bar in lanes if bar["row"] == f"capacity/desk/{n}") for n in (0, 1)]
        assert sum(map(len, desks)) == 4
        assert all(before[1] <= after[0] for desk in desks for before, after in itertools.pairwise(desk))
        assert any(bar["label"] == "spread ×2 ← desk" for bar in lanes)
        assert any(re.match(r"waits for desk, held by spread\[", line) for line in watch.events("-r desk=2\nquarters"))

    def test_figures_stand_with_the_task_that_drew_them(self, watch: Lesson) -> None:
        """Three airports draw at the same time, and each has its own figure and its own line."""
        log = watch.log("%%cascade\nairports")
        drawn = {line["label"]: line["text"] for line in log if line.get("figure")}
        assert {label: text.split()[1] for label, text in drawn.items()} == {
            "draw[0]": "EWR", "draw[1]": "JFK", "draw[2]": "LGA",
        }  # fmt: skip
        said = {line["label"]: line["text"] for line in log if "the worst hour is" in line["text"]}
        assert {label: text[:3] for label, text in said.items()} == {
            "draw[0]": "EWR",
            "draw[1]": "JFK",
            "draw[2]": "LGA",
        }

    def test_a_run_in_the_background_is_steered(self, watch: Lesson) -> None:
        """Limit, pause, resume and cancel answer, and the log of the run has each of them in this order."""
        assert watch.text("%cascade limit 1 year") == "Job 5 (run 5): not more than 1 of 'year' at once."
        assert watch.text("%cascade status", 0).startswith("year: paused after ")
        assert watch.run("--bg -r desk=2")["state"] == "cancelled"
        told = watch.events("--bg -r desk=2")
        places = [
            next(place for place, line in enumerate(told) if words in line)
            for words in ("limit set: concurrency on task:year", "paused", "goes on", "cancelled by %cascade cancel")
        ]
        assert places == sorted(places)

    def test_what_failed_is_found_mended_and_run_again(self, watch: Lesson) -> None:
        """One item has no flights; peek and debug show it; the retry keeps what was done and binds the value."""
        failed = watch.text("%cascade status", 1)
        assert "slope[10] failed: TypeError: expected non-empty vector for x" in failed
        assert "in fit_line: return 100 * float(np.polyfit(miles, gained, 1)[0])" in failed
        assert "by_airline are done and not affected" in failed
        assert "group = by_airline: 0 rows × 8 columns" in watch.text("%cascade peek")
        assert "The input of slope[10] is in the notebook: group." in watch.text("%cascade debug")
        assert watch.text("group.shape") == "((0, 8), 'OO')"
        states = watch.states("%%cascade --keep-going")
        assert states == {
            "load": "skipped", "clean": "skipped", "by_airline": "kept", "slope": "done", "median": "done",
        }  # fmt: skip
        ran, kept = watch.items("%%cascade --keep-going", "slope")
        assert (ran + kept, 1 <= ran < 16) == (16, True)
        assert (watch.text("%cascade retry"), watch.text("minutes", -1)) == ("0.28", "0.28")

    def test_a_run_is_replayed_and_written_as_a_page(self, watch: Lesson) -> None:
        """Both are about the run with the two desks."""
        assert watch.text("%cascade replay").startswith("spread: ")
        assert watch.text("%cascade report").startswith("Wrote out.html (")


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(300)
class TestPipeline:
    """What the texts of lesson 6 say about its outputs is what the outputs say."""

    def test_cells_become_a_graph_and_are_remembered(self, pipeline: Lesson) -> None:
        """Names are edges; what came before is stored when the next cell runs; `run` finds nothing to do."""
        assert pipeline.states("task join") == {"load": "stored", "join": "done"}
        assert pipeline.text("table['late'].mean()").startswith("'21.5% of 326,993 flights")
        assert pipeline.states("%cascade run chart", 0) == {
            "load": "skipped", "join": "skipped", "compare": "skipped", "chart": "stored",
        }  # fmt: skip

    def test_a_param_runs_what_it_reaches(self, pipeline: Lesson) -> None:
        """Fog only: `compare` and `chart` run, `join` is stored, and `why` has the old and the new value."""
        states = pipeline.states("%cascade run chart -p sight=1")
        assert states == {"load": "skipped", "join": "stored", "compare": "done", "chart": "done"}
        assert pipeline.text("why compare") == "ran: sight 5.0 → 1.0"
        assert (
            pipeline.text("knobs.start()") == "'1.3% of the flights left in bad weather, and 35.7% of these were late'"
        )

    def test_the_exported_module_gives_the_same(self, pipeline: Lesson) -> None:
        """Nothing differs in a fresh process; the file has what is needed, and a command line with the Params."""
        told = pipeline.text("%cascade export")
        assert re.match(r"flow\.py in a fresh process: 3 same", told)
        assert not re.search(r"differs|fails|missing", told)
        source = pipeline.text("!cat flow.py")
        assert "def compare(table, sight, rain):" in source
        assert not re.search(r"%|look\b|chart|wind", source)
        helped = pipeline.text("flow.py --help")
        assert "--sight FLOAT" in helped
        assert "--rain FLOAT" in helped
        assert re.search(r"FL\s+\S*25\.6\S*\s+\S*64\.0", pipeline.text("flow.py --sight 1"))

    def test_the_saved_notebook_does_the_same_in_a_fresh_kernel(self, pipeline: Lesson) -> None:
        """Verify finds no difference; the doctor finds the Param that nobody uses, and nothing else."""
        told = pipeline.text("%cascade verify")
        assert re.search(
            r"06_explore_to_pipeline\.ipynb in a fresh kernel: \d+ cells in .*, everything is the same", told
        )
        assert "differs" not in told
        assert "The Param 'wind' (In[12]) is used by no task." in pipeline.text("%cascade doctor")
        assert "1 thing to look at" in pipeline.text("%cascade doctor")

    def test_what_is_cheap_runs_by_itself(self, pipeline: Lesson) -> None:
        """After another value of `sight`, the cells that read it are brought up to date in their own place."""
        assert "compare: up to date" in pipeline.text("%cascade auto --under 2s")
        assert pipeline.text("%cascade auto", 1).startswith("Auto is on")
        assert pipeline.run("rain)\nshare")["message"].startswith("ran by itself: sight changed")
        assert pipeline.text("%cascade auto off").startswith("Auto is off")


@pytest.mark.parametrize("path", [MEMORY, WATCH, PIPELINE], ids=lambda path: path.stem)
def test_the_committed_lesson_is_light_and_names_no_machine(path: Path) -> None:
    """The stored outputs are there, hold no path of the machine and no widget, and keep the file small."""
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST
    assert WIDGET not in text
    notebook = nbformat.reads(text, as_version=4)
    lesson = Lesson(notebook)
    assert [cell.execution_count for cell in lesson.cells] == list(range(1, len(lesson.cells) + 1))
    failed = [cell for cell in lesson.cells if any(o.output_type == "error" for o in cell.outputs)]
    assert all("raises-exception" in cell.metadata.get("tags", ()) for cell in failed)
    assert not any("UsageError" in o.get("text", "") for cell in lesson.cells for o in cell.outputs)
    pictures = [base64.b64decode(found).decode() for found in re.findall(r"svg\+xml;base64,([\w+/=]+)", text)]
    assert len(pictures) >= 7
    shown = "\n".join([text, *pictures])
    assert not [place for place in (tempfile.gettempdir(), sys.prefix, str(ROOT), str(Path.home())) if place in shown]
    assert not re.findall(r"(?:site-packages|/home/|/Users/|/tmp/)", shown)


def test_a_saved_lesson_names_commands_that_exist() -> None:
    """Each `%cascade COMMAND` in the texts and cells of all lessons is one that `%cascade help` lists."""
    from cascade.notebook.commands import NAMES

    for path in sorted(LESSONS.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        named = {name for cell in cells for name in re.findall(r"(?<!%)%cascade ([a-z]+)", cell.source)}
        assert named <= set(NAMES), path.name


def test_the_committed_lesson_shows_what_ran_by_itself() -> None:
    """The last pictures of both cells came in before the notebook was saved, as the text below them says."""
    lesson = Lesson(nbformat.read(PIPELINE, as_version=4))
    for words in ("task chart", "rain)\nshare"):
        assert lesson.run(words)["message"].startswith("ran by itself: sight changed")
