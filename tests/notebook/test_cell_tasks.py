"""`%%cascade task NAME` and `%cascade run NAME` in a real kernel: what runs, what is bound, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cascade.notebook.cell_task import is_task_line

if TYPE_CHECKING:
    from tests.notebook.kernel import Cell, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

LOAD = "%%cascade task load\nimport json\nran.append('load')\nrows = list(range(10))"
CLEAN = "%%cascade task clean\nran.append('clean')\nkept = [twice(r) for r in rows if r < limit]\nn = len(kept)\nkept"
TOTAL = "%%cascade task total\nran.append('total')\nresult = sum(kept) / n\njson.dumps(result)"


@pytest.fixture
def fresh(kernel: Kernel) -> Kernel:
    """The module's kernel with an extension that knows no cell, and some ordinary names.

    `ran` is a list that says nothing in keys, so that a body can tell that it ran.
    """
    setup = (
        "%unload_ext cascade\n%load_ext cascade\n"
        "for _name in ('rows', 'kept', 'n', 'result', 'x', 'y', 'z', 'df'): globals().pop(_name, None)\n"
        "class Log:\n    def __init__(self): self.names = []\n"
        "    def append(self, name): self.names.append(name)\n"
        "    def __cascade_digest__(self): return 'log'\n"
        "ran = Log()\nlimit = cs.Param('limit', default=3, type=int)\ndef twice(x): return 2 * x"
    )
    assert kernel.run(setup).ok
    return kernel


def states(cell: Cell) -> dict[str, str]:
    """The state of each task in the picture, by name."""
    return {name: entry["s"] for name, entry in cell.document["nodes"].items() if entry["s"] != "param"}


def took(kernel: Kernel) -> list[str]:
    """Which bodies ran since the last question."""
    names = kernel.value("ran.names")
    assert kernel.run("ran.names.clear()").ok
    return names


def three(kernel: Kernel) -> None:
    """Define and run three cells."""
    for number, code in enumerate((LOAD, CLEAN, TOTAL)):
        cell = kernel.run(code, f"c{number}")
        assert cell.ok, cell.error


def test_a_cell_is_defined_run_shown_and_bound(fresh: Kernel) -> None:
    """Its inputs come from other cells, Params and helpers of ordinary cells; the next ordinary cell has its names."""
    three(fresh)
    assert took(fresh) == ["load", "clean", "total"]
    assert fresh.value("rows, kept, n, result") == (list(range(10)), [0, 2, 4], 3, 2.0)
    assert fresh.run("json.dumps(1)").value == "'1'"
    again = fresh.run(TOTAL, "c2")
    assert again.value == "'2.0'"
    assert states(again) == {"load": "stored", "clean": "stored", "total": "stored"}
    assert took(fresh) == []


def test_run_computes_what_is_stale_and_binds_it(fresh: Kernel) -> None:
    """A Param, a helper in an ordinary cell, an edited cell: each makes stale what uses it, and nothing else."""
    three(fresh)
    took(fresh)
    assert fresh.run("%cascade run total -p limit=5").ok
    assert took(fresh) == ["clean", "total"]
    assert fresh.value("kept") == [0, 2, 4, 6, 8]
    assert fresh.run("%cascade run total -p limit=3").ok
    assert took(fresh) == []
    assert fresh.value("kept") == [0, 2, 4]
    assert fresh.run("def twice(x): return 3 * x").ok
    assert fresh.run("%cascade run total").ok
    assert took(fresh) == ["clean", "total"]
    assert fresh.run(LOAD.replace("range(10)", "[2, 1]"), "c0").ok
    assert took(fresh) == ["load"]
    assert fresh.run("%cascade run total").value == "'4.5'"
    assert took(fresh) == ["clean", "total"]
    assert fresh.run(LOAD.replace("range(10)", "[2, 1]") + "  # a comment", "c0").ok
    assert took(fresh) == []


def test_fresh_and_no_store_run_everything(fresh: Kernel) -> None:
    """The flags of ``%%cascade`` work here too."""
    three(fresh)
    took(fresh)
    for flag in ("--fresh", "--no-store"):
        assert fresh.run(f"%cascade run total {flag}").ok
        assert sorted(took(fresh)) == ["clean", "load", "total"]
    plan = fresh.run("%cascade run total --plan")
    assert "load" in plan.bundle["text/plain"]
    assert took(fresh) == []
    assert fresh.run(LOAD.replace("task load", "task load --define") + "\nz = 1", "c0").ok
    assert took(fresh) == []


def test_pure_cells_outlive_the_kernels_memory(fresh: Kernel) -> None:
    """`--pure` puts results into the store of the notebook, the output of the body with them."""
    code = "%%cascade task pure_one --pure\nprint('made once')\nran.append('pure')\nx = [1, 2]"
    assert fresh.run(code, "p").ok
    assert took(fresh) == ["pure"]
    assert fresh.run("%unload_ext cascade\n%load_ext cascade\ndel x").ok
    again = fresh.run(code, "p")
    assert took(fresh) == []
    assert states(again) == {"pure_one": "stored"}
    assert fresh.value("x") == [1, 2]
    assert fresh.run(code.replace("[1, 2]", "[1, 3]"), "p").ok
    assert took(fresh) == ["pure"]


def test_a_changed_input_is_noticed_and_explained(fresh: Kernel) -> None:
    """By the text or by what it calls; the value of the other cell stays what it was, or is computed again."""
    three(fresh)
    took(fresh)
    cell = fresh.run("%%cascade task bad\nx = 1\nrows.append(x)", "b")
    assert "Cell 'bad' changes 'rows' in place in line 3 (rows.append(x)), which cell 'load' gives" in cell.error
    assert "rows_bad = rows.copy()" in cell.error
    assert fresh.value("rows") == list(range(10))
    assert fresh.run("def spoil(values): values.clear()").ok
    cell = fresh.run("%%cascade task bad\nspoil(rows)\nx = 1", "b")
    assert "reads 'rows' in line 2, which cell 'load' gives, and the value was changed in place" in cell.error
    took(fresh)
    cell = fresh.run("%cascade run total")
    assert took(fresh) == ["load"]
    assert states(cell) == {"load": "done", "clean": "stored", "total": "stored"}
    assert fresh.value("rows") == list(range(10))
    fresh.run("rows.append(99)")
    cell = fresh.run("%cascade run total")
    assert "What cell 'load' gave was changed in place since" in cell.error
    assert fresh.value("rows") == list(range(10))


def test_names_of_the_notebook_are_not_changed_either(fresh: Kernel) -> None:
    """A list of an ordinary cell that a task appends to would make it stale for ever."""
    assert fresh.run("x = [1]").ok
    cell = fresh.run("%%cascade task grow\nx.append(2)\ny = len(x)", "g")
    assert "changes 'x' in place in line 2 (x.append(2)), which belongs to the notebook" in cell.error
    assert fresh.value("x") == [1]
    cell = fresh.run("%%cascade task again\nx = x + [3]", "g")
    assert "Cell 'again' reads 'x' of the notebook in line 2 and gives it again" in cell.error
    assert fresh.run("%%cascade task apart --gives y\nx = x + [3]\ny = len(x)\ny", "g").value == "2"


def test_names_have_one_giver(fresh: Kernel) -> None:
    """Two cells that give one name are named; a new text or a new name of the same cell replaces the old one."""
    three(fresh)
    cell = fresh.run("%%cascade task other\nkept = 1", "o")
    assert "Cells 'clean' (line 3) and 'other' (line 2) both give 'kept'" in cell.error
    assert fresh.run("%%cascade task other\nfor i in range(2): y = i", "o").ok
    assert fresh.run("%%cascade task third\nfor i in range(3): z = i", "t").ok
    assert "which cells 'other' and 'third' both leave behind" in fresh.run("%%cascade task use\nx = i", "u").error
    assert fresh.run("%%cascade task renamed\nfor i in range(2): y = i", "o").ok
    assert "No cell is the task 'other'." in fresh.run("%cascade run other").error
    assert fresh.run("%%cascade task third\nx = 5", "t").ok
    assert not fresh.run("z").ok, "what a cell gives no longer is taken away"
    assert "no longer a task" in fresh.run("%cascade forget third").value
    assert not fresh.run("x").ok


def test_a_cell_that_becomes_ordinary_again_is_no_task(fresh: Kernel) -> None:
    """Without its first line it runs as any cell, and what it assigns is the notebook's."""
    three(fresh)
    assert fresh.run("rows = [1]", "c0").ok
    assert "No cell is the task 'load'." in fresh.run("%cascade run load").error
    assert fresh.run("import json").ok
    assert states(fresh.run("%cascade run total")) == {"clean": "done", "total": "done"}
    assert fresh.value("kept") == [2]


def test_cells_that_need_each_other_are_told(fresh: Kernel) -> None:
    """In the words of cells; the definition before stays."""
    three(fresh)
    cell = fresh.run("%%cascade task load\nrows = [result]", "c0")
    assert "'load' reads 'result', which 'total' gives, and 'total' reads 'kept', which 'clean' gives" in cell.error
    assert fresh.run("%cascade run total").ok


def test_what_would_end_the_program_shows_the_lines_of_the_cell_alone(fresh: Kernel) -> None:
    """The frames of the engine say nothing to whoever wrote the cell."""
    told = fresh.run("%%cascade task leave\nimport sys\nsys.exit()", "e").error
    assert "Task 'leave' raised SystemExit()" in told
    assert "----> 3 sys.exit()" in told
    assert "cascade/" not in told


def test_errors_point_at_the_cell_and_the_line(fresh: Kernel) -> None:
    """The traceback has the user's frames only, in the cell that failed; what was computed before it is bound."""
    assert fresh.run("%%cascade task load --define\nrows = [1, 0]", "c0").ok
    cell = fresh.run("%%cascade task ratio\nx = 1\ny = [x / r for r in rows]", "r")
    assert "ZeroDivisionError" in cell.error
    assert "line 3" in cell.error
    assert "cell_runner.py" not in cell.error
    assert cell.document["failure"]["frames"][0]["file"].startswith("Cell In[")
    assert fresh.value("rows") == [1, 0]
    wrong = fresh.run("%%cascade task ratio\ny = rowz", "r")
    assert "NameError" in wrong.error
    assert "No cell gives 'rowz'. Did you mean 'rows'?" in wrong.error


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("%%cascade task", "%%cascade task takes a name"),
        ("%%cascade task my-cell\nx = 1", "a Python name, not 'my-cell'. Take my_cell, for example."),
        ("%%cascade task 'my cell'\nx = 1", "a Python name, not 'my cell'. Take my_cell, for example."),
        ("%%cascade task class\nx = 1", "The name of a task is a Python name, not 'class'."),
        ("%%cascade task a b\nx = 1", "The name of a task is a Python name, not 'a b'."),
        ("%%cascade task a\n", "The cell is empty."),
        ("%%cascade task a --pur\nx = 1\nx", ""),
        ("%%cascade task a --gvies x\nx = 1", "Did you mean '--gives'?"),
        ("%%cascade task a --gives q\nx = 1", "Cell 'a' does not assign 'q'"),
        ("%%cascade task a\nfrom math import *\nx = 1", "'from math import *' hides which names the cell gives"),
        ("%%cascade task a\nx = _ + 1", "Cell 'a' reads '_' in line 2, which stands for what some cell showed"),
        ("%%cascade task a\nx = Out[1]", "Cell 'a' reads 'Out' in line 2"),
        ("%%cascade task a\n%%time\n%%capture out\nx = 1", "Cell 'a', line 3: %%capture runs the code among"),
        ("%%cascade task a\n\nif 1:\n    x = 1\n  y = 2", ">:5\n"),
        ("%%cascade task a\nreturn 1", "'return' outside function"),
        ("%%cascade task a\nx = = 1", "invalid syntax"),
        ("%%cascade task a\nx = cs.Param('p')", "Cell 'a' makes the Param 'x' itself"),
        ("%cascade run", "%cascade run takes the name of a task cell"),
        ("%cascade run a b", "%cascade run runs one task cell, with all that it needs"),
        ("%cascade run nobody", "No cell is the task 'nobody'."),
        ("%cascade forget", "%cascade forget takes the name"),
        ("%cascade forget nobody", "No cell is the task 'nobody'."),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(fresh: Kernel, code: str, told: str) -> None:
    """No traceback of cascade, and nothing is defined."""
    cell = fresh.run(code, "w")
    assert cell.ok is not bool(told)
    assert told in cell.error
    assert "cascade/notebook" not in cell.error


@pytest.mark.parametrize(
    ("giver", "reader", "told"),
    [
        ("if limit > 100:\n    x = 1", "y = x", "this time cell 'giver' did not assign it: its line 3 was not reached"),
        ("x = (i for i in range(3))", "y = list(x)", "a generator that cell 'giver' gives"),
        ("import io\nwith io.StringIO('a') as x:\n    z = x.read()", "y = x", "opened with a with statement"),
    ],
)
def test_values_that_cannot_be_handed_on(fresh: Kernel, giver: str, reader: str, told: str) -> None:
    """The cell that reads them is told why; the cell that gives them is fine."""
    assert fresh.run(f"%%cascade task giver\n{giver}", "g").ok
    assert told in fresh.run(f"%%cascade task reader\n{reader}", "r").error


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("import asyncio\nx = await asyncio.sleep(0.01, result=[5])\nx", "[5]"),
        ("%time x = sum(range(4))\nwords = !echo {x} two\nlist(words)", "['6 two']"),
        ("\n%%time\nx = [1]\nx", "[1]"),
        ("for x in range(3):\n    %time y = x; z = y\n%time (x, y, z)", "(2, 2, 2)"),
        ("%time x = 'ä'; x += 'ß'\nx", "'äß'"),
        ("x = [4]\n%timeit -n1 -r1 sum(x)\nx", "[4]"),
        ("for _ in range(3): pass\nx = _\nx", "2"),
        ("x = 0\ndef inc():\n    global x, y\n    x += 1\n    y = 2\ninc(); inc()\nx, y", "(2, 2)"),
        ("class A:\n    n = 2\n    def f(self): return [self.n * k for k in range(3)]\nx = A().f()\nx", "[0, 2, 4]"),
        ("x = 1\nif __name__ == '__main__':\n    y = x + 1\ny", "2"),
        ("x = [1, 2]\nz, *y = x\ndel z\ny", "[2]"),
        ("x = {}\nfor k in 'ab':\n    x[k] = x.get(k, 0) + 1\nx;", ""),
        ("try:\n    x = 1 / 0\nexcept ZeroDivisionError as error:\n    x = str(error)\nx", "'division by zero'"),
        ("with cs_open() as fh:\n    x = fh.read()\nx", "'text'"),
        ("match [1, 2, 3]:\n    case [x, *y]:\n        pass\nx, y", "(1, [2, 3])"),
        ("print('only this')", ""),
    ],
)
def test_all_of_python_works_in_a_body(fresh: Kernel, body: str, value: str) -> None:
    """What works in an ordinary cell works in a task, and what it assigns is there afterwards."""
    assert fresh.run("import io\ndef cs_open(): return io.StringIO('text')").ok
    cell = fresh.run(f"%%cascade task body\n{body}", "b")
    assert cell.ok, cell.error
    assert cell.value == value
    if "x" in body and "only" not in body:
        assert fresh.run("x").ok
    assert states(fresh.run("%cascade run body")) == {"body": "stored"}


@pytest.mark.parametrize(
    "body", ["%time x = [scaled(k) for _ in rows]\nx", "%%time\nx = [scaled(k) for _ in rows]\nx"], ids=["line", "cell"]
)
def test_timed_code_is_code_of_the_cell(fresh: Kernel, body: str) -> None:
    """It gets the inputs as they are now, reruns when a helper changes, says how long it took, and leaves as code."""
    assert fresh.run("def scaled(x): return 2 * x").ok
    assert fresh.run("%%cascade task load\nrows = [0, 0]\nk = 1", "c0").ok
    cell = fresh.run(f"%%cascade task use\n{body}", "u")
    assert cell.value == "[2, 2]"
    assert any("Wall time: " in line["text"] for line in cell.document["log"])
    assert fresh.run("%%cascade task load --define\nrows = [0]\nk = 5", "c0").ok
    assert fresh.run("%cascade run use").value == "[10]"
    assert fresh.run("def scaled(x): return 3 * x").ok
    assert fresh.run("%cascade run use").value == "[15]"
    told = fresh.run("%cascade export timed.py use --check --force").value
    assert "2 same" in told or "1 same" in told, told
    failed = fresh.run(f"%%cascade task use\n\n{body}\n1 / 0", "u").error
    assert f"----> {3 + len(body.splitlines())} 1 / 0" in failed


@pytest.mark.parametrize("magic", ["%timeit -n 2 -r 1 {}", "%%timeit -n 2 -r 1\n{}"], ids=["line", "cell"])
def test_measured_code_finds_the_names_of_the_cell(fresh: Kernel, magic: str) -> None:
    """What it calls counts as code of the cell, and nothing is left behind in the notebook."""
    assert fresh.run("def scaled(x):\n    ran.append(x)\n    return x").ok
    assert fresh.run("%%cascade task load\nk = 1", "c0").ok
    assert fresh.run("%%cascade task load --define\nk = 7", "c0").ok
    body = magic.format("sum(scaled(k) for _ in (1, 2))")
    assert states(fresh.run(f"%%cascade task use\n{body}", "u")) == {"load": "done", "use": "done"}
    assert took(fresh) == [7] * 4
    assert states(fresh.run("%cascade run use")) == {"load": "stored", "use": "stored"}
    assert fresh.run("def scaled(x):\n    ran.append(0)\n    return x").ok
    assert states(fresh.run("%cascade run use")) == {"load": "stored", "use": "done"}


def test_a_function_that_assigns_a_global_does_that_to_the_cell_that_calls_it(fresh: Kernel) -> None:
    """The cell sees the same as an ordinary one would, each time it runs, and the notebook's name stays."""
    setup = "z = 0\ndef bump():\n    global z\n    z += 1\ndef tell(): return z"
    assert fresh.run(setup).ok
    assert fresh.run("%%cascade task count\nbump()\nbump()\nx = z, tell()\nx", "k").value == "(2, 2)"
    assert fresh.run("%cascade run count --fresh").value == "(2, 2)"
    assert fresh.value("z") == 0


def test_what_a_function_changes_in_the_notebook_is_told(fresh: Kernel) -> None:
    """The value cannot be known to be changed before the cell runs; its log says so."""
    assert fresh.run("y = {}\ndef note(key): y[key] = 1").ok
    log = fresh.run("%%cascade task noting\nnote('a')\nx = len(y)", "k").document["log"]
    assert any("Cell 'noting' changed 'y' of the notebook in place" in line["text"] for line in log)
    log = fresh.run("%%cascade task quiet\nx = len(y)", "k").document["log"]
    assert not any("in place" in line["text"] for line in log)


def test_what_is_said_of_cells_that_failed_or_ran_before_others(fresh: Kernel) -> None:
    """A node is looked up in the newest job that has it; a failed cell is not up to date; no size is invented."""
    three(fresh)
    assert not fresh.run("%%cascade task broken\ny = 1 / 0", "b").ok
    assert fresh.run("%cascade peek total").bundle["text/plain"].startswith("total: ")
    assert "Did you mean 'broken'?" in fresh.run("%cascade peek broke").error
    told = fresh.run("%cascade auto on").value
    assert "broken: failed, and nothing that it reads has changed since" in told
    assert "total: up to date" in told
    assert fresh.run("%cascade auto off").ok
    plan = fresh.run("%cascade plan total").value
    assert "◆  load" in plan
    assert " 0 B" not in plan


def test_a_cell_that_was_no_python_does_not_hinder_an_export(fresh: Kernel) -> None:
    """It did not run; and what the notebook still has of an older run is compared."""
    assert not fresh.run("for x in y:\n  a\n b").ok
    three(fresh)
    assert fresh.run("%%cascade task other\nz = [1]\nlen(z)", "o").ok
    assert fresh.run("%cascade run load").ok
    told = fresh.run("%cascade export mended.py other --check --force").value
    assert "1 same" in told
    assert "Wrote mended.py" in told


def test_functions_of_task_cells_and_of_ordinary_cells_reach_across(fresh: Kernel) -> None:
    """A function keeps the names of its cell; an ordinary function that uses what a cell gives makes an edge."""
    assert fresh.run("def shown(): return [n * 2 for n in rows]").ok
    assert fresh.run("%%cascade task load\nrows = [1, 2]\nscale = 3\ndef times(v): return v * scale", "c0").ok
    assert fresh.run("%%cascade task use\nx = [times(v) for v in shown()]\nx", "u").value == "[6, 12]"
    assert fresh.run("%%cascade task load --define\nrows = [5]\nscale = 2\ndef times(v): return v * scale", "c0").ok
    assert fresh.run("%cascade run use").value == "[20]"


def test_lazy_results_and_resources_of_ordinary_cells_are_inputs(fresh: Kernel) -> None:
    """Tasks made with ``@cs.task`` and cells stand in one graph."""
    assert fresh.run("lazy = nap(4, seconds=0)\nparts = [nap(1, seconds=0), nap(2, seconds=0)]").ok
    cell = fresh.run("%%cascade task mixed\nx = lazy + sum(parts)\nx, db", "m")
    assert cell.value == "(7, 'connection')"
    assert len(states(cell)) == 4


def test_a_cell_can_be_the_target_of_an_ordinary_cell(fresh: Kernel) -> None:
    """Its name stands for its lazy result, also beside others and in commands."""
    three(fresh)
    assert fresh.run("%%cascade clean -p limit=2\n").value.startswith("{'kept': [0, 2], 'n': 2")
    assert fresh.run("%%cascade [load, nap(1, seconds=0)]\n").value == f"[{list(range(10))}, 1]"
    assert fresh.run("%%cascade -p limit=2\nk = 1\n[clean['n'], nap(k, seconds=0)]").value == "[2, 1]"
    assert "◆  load" in fresh.run("%cascade plan total").value
    assert "total" in fresh.run("%cascade graph total").bundle["text/plain"]
    assert fresh.run("%cascade why clean").value.startswith("stored: same code and inputs")


def test_in_the_background_names_come_when_the_run_is_over(fresh: Kernel) -> None:
    """The cell returns at once."""
    assert fresh.run("%%cascade task later --bg\nimport time\ntime.sleep(0.3)\nx = 8\nx", "l").value == ""
    assert fresh.run("wait_until(lambda: 'x' in globals())\nx").value == "8"


def test_a_retry_binds_what_the_cells_gave(fresh: Kernel) -> None:
    """After the cause of a failure is gone, the rest runs and its names are there."""
    assert fresh.run("import pathlib\nflag = pathlib.Path('flag')\nflag.unlink(missing_ok=True)").ok
    assert not fresh.run("%%cascade task wobbly\nx = flag.read_text()", "w").ok
    assert fresh.run("_ = flag.write_text('there')").ok
    assert fresh.run("%cascade retry").ok
    assert fresh.run("wait_until(lambda: 'x' in globals())\nx").value == "'there'"


def test_help_is_about_tasks(fresh: Kernel) -> None:
    """-h lists the options that only a task has, and those of ``%%cascade``."""
    shown = fresh.run("%%cascade task -h\n").bundle["text/plain"]
    assert "%%cascade task NAME" in shown
    assert "--gives" in shown
    assert "--fresh" in shown
    assert "run a task cell" in fresh.run("%cascade help").value


def test_which_lines_make_a_task() -> None:
    """`task` and a name; an expression that begins with the word is a target."""
    assert is_task_line("task clean")
    assert is_task_line("task")
    assert is_task_line(" task  clean --pure")
    assert not is_task_line("task(3)")
    assert not is_task_line("task (3)")
    assert not is_task_line("tasks clean")
    assert not is_task_line("task.lazy")
    assert not is_task_line("")


PICK = "%%cascade task pick_some\npicked = [r for r in range(20) if r > low_end]\nlen(picked)"
LOW = "low_end = cs.Param('low_end', default=3, bounds=(0, 10))"


@pytest.mark.parametrize("line", ["%cascade controls pick_some", "cs.controls('pick_some')", "cs.controls('picked')"])
def test_a_task_cell_has_controls(kernel: Kernel, line: str) -> None:
    """Its Params become fields; a run binds what the cell gives, and the value is that of its last expression."""
    assert kernel.run(LOW).ok
    assert kernel.run(PICK, "pick").value == "16"
    asked = kernel.run(f"knobs = {line}", "knobs")
    assert asked.ok, asked.error
    assert kernel.run("knobs.params").value == "{'low_end': 3}"
    assert kernel.run("knobs.set(low_end=9); _ = knobs.start(); knobs.result()").value == "10"
    assert kernel.run("picked[0], knobs.value").value == "(10, 10)"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "takes a task cell or a target"),
        ("pick_some -p high_end=3", "No Param is named 'high_end'"),
        ("nothing_here", "cannot be found"),
        ("42", "There is nothing to run"),
    ],
)
def test_wrong_controls_are_one_line(kernel: Kernel, words: str, told: str) -> None:
    """What is wrong with the line is said without a traceback."""
    assert kernel.run(f"{LOW}\n").ok
    assert kernel.run(PICK, "pick").ok
    error = kernel.run(f"%cascade controls {words}").error
    assert told in error
    assert "Traceback" not in error


def test_controls_on_the_line_begin_with_its_values(kernel: Kernel) -> None:
    """`-p` sets a first value; a run of several cells binds what all of them give."""
    assert kernel.run(LOW).ok
    assert kernel.run(PICK, "pick").ok
    assert kernel.run("%%cascade task pick_none\nnone_picked = picked[:0]", "none").ok
    assert kernel.run("both = %cascade controls [pick_some, pick_none] -p low_end=7", "both").ok
    assert kernel.run("_ = both.start(); _ = both.result()").ok
    assert kernel.run("picked[0], none_picked").value == "(8, [])"


def test_a_pure_cell_that_gives_a_lazy_result_gives_it_to_the_notebook(fresh: Kernel) -> None:
    """The next ordinary cell has the lazy result itself, so that the cell runs again; what it stands for is stored."""
    assert fresh.run("@cs.task(pure=True)\ndef leaf(x): return x + 1").ok
    for state in ("done", "stored"):
        assert fresh.run("%unload_ext cascade\n%load_ext cascade").ok
        cell = fresh.run("%%cascade task giver --pure\nran.append('giver')\ny = leaf(1)\nz = 5", "g")
        assert states(cell) == {"leaf": state, "giver": "done"}
        assert fresh.value("repr((y, z))") == "(<lazy leaf(1)>, 5)"
        assert took(fresh) == ["giver"]
