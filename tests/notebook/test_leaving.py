"""`%cascade export` and `verify` in a real kernel, as a person types them, mistakes included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.notebook.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.kernel]

SETUP = "%load_ext cascade\nimport cascade as cs\nimport time"
TASKS = """FACTOR = 3

def scale(x):
    return x * FACTOR

@cs.task(pure=True)
def load(n):
    '''Load.'''
    return [scale(i) for i in range(n)]

@cs.task
def keep(xs, k=cs.Param("k", default=2.0)):
    return [x for x in xs if x > k]
"""
RUN = "%%cascade -p k=3.5\nraw = load(4)\nkept = keep(raw)\nkept"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel of its own: what was typed before matters here."""
    kernel = Kernel(tmp_path)
    try:
        assert kernel.run(SETUP, "setup").ok
        yield kernel
    finally:
        kernel.stop()


def write(folder: Path, *cells: tuple[str, str], name: str = "lesson.ipynb") -> Path:
    """Save a notebook with these cells, as (id, code)."""
    notebook = nbformat.v4.new_notebook()
    for number, (identity, code) in enumerate(cells):
        cell = nbformat.v4.new_code_cell(code)
        cell["id"] = identity or f"cell-{number}"
        notebook.cells.append(cell)
    path = folder / name
    nbformat.write(notebook, path)
    return path


def text_of(cell: object) -> str:
    """The table of a cell as text, with its numbers of seconds taken out."""
    return re.sub(r"in [\d.]+ m?s", "in T", cell.value)  # type: ignore[attr-defined]


def test_the_cells_of_a_notebook_become_a_program(desk: Kernel, tmp_path: Path) -> None:
    """Export takes the newest run, --check computes it again elsewhere, and the file works on the command line."""
    assert desk.run(TASKS, "tasks").ok
    assert desk.run(RUN, "run").ok
    told = desk.run("%cascade export flow.py --check")
    assert told.ok, told.error
    assert told.value.startswith("flow.py in a fresh process: 2 same\n")
    assert "Wrote flow.py: 2 tasks, 1 helper" in told.value
    text = (tmp_path / "flow.py").read_text()
    assert "python flow.py --k 3.5" in text
    assert "ipython" not in text.lower()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    program = [sys.executable, "flow.py", "--k", "3.5", "--log-level", "error"]
    ran = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert ran.stdout == "[6, 9]\n", ran.stderr


def test_a_different_value_in_the_fresh_process_is_told(desk: Kernel) -> None:
    """What depends on the kernel's hidden state differs, node by node, with the first difference."""
    assert desk.run(TASKS, "tasks").ok
    assert desk.run("counter = [0]\n@cs.task\ndef count(xs):\n    counter[0] += 1\n    return counter[0]", "count").ok
    assert desk.run("%%cascade --view none\ncount(load(3))", "one").ok
    again = desk.run("%%cascade --view none\ncount(load(3))", "two")
    assert again.value == "2"
    told = desk.run("%cascade export flow.py --check").value
    assert "1 same, 1 differs" in told
    assert "2 in the notebook, 1 in the file" in told
    assert desk.run("import random\n@cs.task\ndef noise(xs):\n    return [random.random() for _ in xs]", "n").ok
    assert desk.run("@cs.task\ndef size(xs):\n    return len(xs)", "s").ok
    assert desk.run("%%cascade\nsize(noise(load(3)))", "three").ok
    told = desk.run("%cascade export noise.py --check").value
    assert "≠ noise  differs  row 0: " in told
    assert "2 same, 1 differs" in told


def test_task_cells_become_functions(desk: Kernel, tmp_path: Path) -> None:
    """Inputs are parameters, results are returned, imports go to the top, and what was only shown goes."""
    for number, code in enumerate([
        '%%cascade task load --pure\nimport math\n# the numbers\nxs = [1, 2, 3]\nnote = """a\nb"""',
        "%%cascade task total\ns = sum(xs) + math.floor(len(note) / 2)\ns",
    ]):  # fmt: skip
        assert desk.run(code, f"c{number}").ok
    told = desk.run("%cascade export flow.py --check")
    assert told.ok, told.error
    assert told.value.startswith("flow.py in a fresh process: 2 same\n")
    text = (tmp_path / "flow.py").read_text()
    assert "import math\n\nimport cascade as cs\n" in text
    assert '@cs.task(pure=True)\ndef load():\n    # the numbers\n    xs = [1, 2, 3]\n    note = """a\nb"""\n' in text
    assert '    return {"xs": xs, "note": note}' in text
    assert "@cs.task\ndef total(xs, note):\n" in text
    assert "s = total(xs, note)\n" in text


def test_the_result_of_a_run_cannot_be_exported(desk: Kernel) -> None:
    """A value that -o bound is no code; the error names its cell and says what to pass instead."""
    assert desk.run(TASKS, "tasks").ok
    assert desk.run("%%cascade --view none -o val\nload(2)", "run").ok
    assert desk.run("@cs.task\ndef use(n):\n    return len(val) + n", "use").ok
    told = desk.run("%cascade export flow.py use(1)").error
    assert "In[3]: the target needs 'val', which is the result of the run there (-o val). Pass the lazy" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("export", "takes the name of the file"),
        ("export flow.py", "no %%cascade cell has run yet"),
        ("export flow.py kep(load(2))", "name 'kep' is not defined. Did you mean 'keep'?"),
        ("export flow.py FACTOR", "is of type int, not a lazy result"),
        ("export flow.py keep", "is of type Task, not a lazy result"),
        ("export flow.py load(", "is not an expression"),
        ("export flow load(2)", "Write flow.py"),
        ("export flow.py load(2) --chek", "There is no option --chek. Did you mean '--check'?"),
        ("verify", "does not say which file"),
        ("verify lesson", "There is no notebook 'lesson'"),
        ("verify a b", "takes one notebook"),
        ("verify a --timeout soon", "--timeout takes a number of seconds above 0"),
        ("doctor please", "takes nothing, not 'please'"),
    ],
)
def test_mistakes_are_one_line(mistaken: Kernel, line: str, told: str) -> None:
    """A wrong word is a UsageError that says what is meant; no traceback, and the cell fails."""
    cell = mistaken.run(f"%cascade {line}")
    assert not cell.ok
    assert told in cell.error
    assert "Traceback" not in cell.error


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with tasks, in which nothing has run."""
    kernel = Kernel(tmp_path_factory.mktemp("mistaken"))
    try:
        assert kernel.run(SETUP).ok
        assert kernel.run(TASKS).ok
        yield kernel
    finally:
        kernel.stop()


def test_a_notebook_that_does_the_same_is_the_same(desk: Kernel, tmp_path: Path) -> None:
    """Every run is compared node by node by content, and neither the file nor the store is touched."""
    path = write(tmp_path, ("setup", SETUP), ("tasks", TASKS), ("run", RUN), ("me", "%cascade verify lesson"))
    before = path.read_bytes()
    assert desk.run(TASKS, "tasks").ok
    assert desk.run(RUN, "run").ok
    runs = "[row.run_id for row in cs.history()]"
    known = desk.value(runs)
    told = desk.run("%cascade verify lesson", "me")
    assert told.ok, told.error
    assert text_of(told).splitlines() == [
        "lesson.ipynb in a fresh kernel: 4 cells in T, everything is the same",
        "cell 3 (%%cascade -p k=3.5 … kept), run of keep: 2 same",
        "  ✓ keep  same  list of 2",
        "  ✓ load  same  list of 4",
    ]
    assert path.read_bytes() == before
    assert desk.value(runs) == known


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("same", "looks the same"), "everything is the same"),
        (("same", "not compared"), "the same but for 1 node not compared"),
        (("not compared", "not compared"), "no cell failed; none of its nodes could be compared"),
        (("not compared", "differs"), "1 node differs or fails"),
        ((), "no cell failed; it made no runs to compare"),
    ],
)
def test_the_headline_claims_no_more_than_was_compared(words: tuple[str, ...], told: str) -> None:
    """A node of which one side knows nothing is not called the same."""
    from cascade.notebook.verify import Verification
    from cascade.tools.comparison import Comparison, Row

    runs = (Comparison("run", tuple(Row(word, word) for word in words), ()),) if words else ()
    made = Verification("lesson.ipynb", 1.0, 2, (), runs, ())
    assert made.headline().endswith(f", {told}")


def test_what_differs_fails_or_is_missing_is_told(desk: Kernel, tmp_path: Path) -> None:
    """Hidden state, changed values, failed cells and cells that were not saved are all named."""
    shaky = "@cs.task\ndef shaky(xs):\n    import os\n    return len(xs) + (os.getpid() != PID)"
    here = f"import os\nPID = {os.getpid()}\n{shaky}"
    run = "%%cascade\n[shaky(load(2)), load(3)]"
    write(
        tmp_path,
        *[("setup", SETUP), ("tasks", TASKS), ("shaky", here), ("run", run), ("bad", "print(secret_word)")],
        *[("late", "x = 5"), ("bg", "%%cascade --bg\nload(1)"), ("plain", "cs.run(load(5), log_level=None)")],
    )
    assert desk.run("secret_word = 1", "gone").ok
    assert desk.run(TASKS, "tasks").ok
    assert desk.run("PID = __import__('os').getpid()\n" + shaky, "shaky").ok
    assert desk.run(run, "run").ok
    assert desk.run("%%cascade --bg\nload(1)", "bg").ok
    told = text_of(desk.run("%cascade verify lesson.ipynb"))
    assert "8 cells in T, 1 cell failed, 1 node differs or fails" in told
    assert "✕ cell 5 (print(secret_word)): NameError: name 'secret_word' is not defined" in told
    assert "≠ shaky   differs" in told or "≠ shaky  " in told
    assert "2 here, 3 in the fresh kernel" in told
    assert "cell 7 (%%cascade --bg … load(1)), run of load: 1 same" in told
    assert "cell 8 (cs.run(load(5), log_level=None)), run of load: 1 not compared" in told
    assert "list of 5 in the fresh kernel; its value here is not known" in told
    assert "1 name exists only in this kernel: secret_word." in told
    assert "cell 6 (x = 5)" in told
    assert "did not run in this kernel" in told


def test_verify_stops_in_time(desk: Kernel, tmp_path: Path) -> None:
    """--timeout ends a cell that does not; what came before it is still told."""
    write(tmp_path, ("setup", SETUP), ("long", "time.sleep(60)"), ("after", "x = 1"))
    began = time.monotonic()
    told = desk.run("%cascade verify lesson --timeout 6").value
    assert time.monotonic() - began < 50
    assert "cell 2 (time.sleep(60)): it did not end in time" in told


def test_an_interrupt_ends_the_other_kernel(desk: Kernel, tmp_path: Path) -> None:
    """The prompt is back soon, and no process of the fresh kernel is left."""
    note = tmp_path / "pid"
    tell = f"import os\nopen({str(note)!r}, 'w').write(str(os.getpid()))\n"
    write(tmp_path, ("setup", SETUP), ("long", f"{tell}time.sleep(60)"))
    cell = desk.send("%cascade verify lesson")
    desk.until(lambda: note.exists() and bool(note.read_text()))
    pid = int(note.read_text())
    at = desk.interrupt()
    desk.until(lambda: bool(cell.idle and cell.reply), timeout=20)
    assert "KeyboardInterrupt" in cell.error
    assert cell.idle - at < 10
    desk.until(lambda: not _is_alive(pid), timeout=10)
    assert desk.run("1 + 1").value == "2"


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_file_that_is_no_notebook_is_refused(desk: Kernel, tmp_path: Path) -> None:
    """Broken JSON is told as what it is."""
    (tmp_path / "lesson.ipynb").write_text("{")
    cell = desk.run("%cascade verify lesson")
    assert "cannot be read as a notebook" in cell.error
