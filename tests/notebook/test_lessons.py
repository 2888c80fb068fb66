"""The lessons, executed as a reader would: the numbers may differ, the lesson may not."""

from __future__ import annotations

import base64
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from tests.notebook.kernel import DOCUMENT, ROOT, WIDGET

MEMORY = ROOT / "notebooks" / "04_memory_and_why.ipynb"
MOST = 400_000  # bytes


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
        """How many items of a map ran, and how many were stored."""
        told = self._document(words, 0)["nodes"][node]["items"]
        return told["done"], told["stored"]

    def _document(self, words: str, place: int) -> dict:
        return next(o.data[DOCUMENT] for o in self.cell(words, place).outputs if DOCUMENT in o.get("data", {}))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Lesson 4, executed anew in a folder of its own."""
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("lesson")
    place = {"metadata": {"path": str(folder)}}
    notebook = nbformat.read(MEMORY, as_version=4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", store_widget_state=False, resources=place)
    environment = {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython"), "TMPDIR": str(folder)}
    client.execute(env={**os.environ, **environment})
    assert not (folder / ".cascade").exists(), "the lesson remembers in a folder of its own"
    return Lesson(notebook)


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


def test_the_committed_lesson_is_light_and_names_no_machine() -> None:
    """The stored outputs are there, hold no path of the machine and no widget, and keep the file small."""
    text = MEMORY.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST
    assert WIDGET not in text
    notebook = nbformat.reads(text, as_version=4)
    lesson = Lesson(notebook)
    assert [cell.execution_count for cell in lesson.cells] == list(range(1, len(lesson.cells) + 1))
    assert not [o for cell in lesson.cells for o in cell.outputs if o.output_type == "error"]
    pictures = [base64.b64decode(found).decode() for found in re.findall(r"svg\+xml;base64,([\w+/=]+)", text)]
    assert len(pictures) >= 7
    shown = "\n".join([text, *pictures])
    assert not [place for place in (tempfile.gettempdir(), sys.prefix, str(ROOT), str(Path.home())) if place in shown]
    assert not re.findall(r"(?:site-packages|/home/|/Users/|/tmp/)", shown)
