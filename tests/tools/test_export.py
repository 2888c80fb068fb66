"""Cells become one module: only what is needed, in an order that works, or an error that names the cell."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cascade.interfaces.leaving_errors import ExportError
from cascade.tools.export import export
from cascade.tools.export_check import rerun
from cascade.tools.export_slice import Makers
from cascade.tools.export_source import Cell, read_cells

if TYPE_CHECKING:
    from pathlib import Path

    from cascade.tools.export import Exported

KIT = "import cascade as cs"
LOAD = "@cs.task\ndef load(n):\n    return list(range(n))"
TOTAL = "@cs.task\ndef total(xs):\n    return sum(xs)"


@pytest.fixture
def leave(tmp_path: Path) -> Any:
    """Run cells as a notebook does, then export a target."""

    def leave(*texts: str, target: str = "target", file: str = "flow.py", **options: Any) -> Exported:
        cells = [Cell(f"In[{number}]", text) for number, text in enumerate(texts, 1)]
        names: dict[str, Any] = {"__name__": "__main__", **options.pop("names", {})}
        for cell in cells:
            exec(cell.text, names)
        return export(target, tmp_path / file, cells=cells, namespace=names, **options)

    return leave


def lint(made: Exported) -> str:
    """What ruff says with its default rules."""
    program = [sys.executable, "-m", "ruff", "check", "--isolated", "--output-format", "concise", str(made.path)]
    return subprocess.run(program, capture_output=True, text=True, check=False).stdout


def test_only_what_the_target_needs_is_kept(leave: Any) -> None:
    """Tasks, helpers, constants and imports that nothing needs stay in the notebook."""
    made = leave(
        f"import os, math\nfrom statistics import mean, median as mid\n{KIT}",
        "N = 3\nM = 4; K = 5\nspare = 6",
        "def scale(x):\n    return x * math.pi * K\ndef other(x):\n    return os.getcwd()",
        LOAD,
        "@cs.task\ndef middle(xs):\n    return mid(scale(x) for x in xs)",
        "@cs.task\ndef never(x):\n    return x",
        "target = middle(load(N))",
    )
    assert "import os" not in made.text
    assert "mean" not in made.text
    for gone in ("spare", "M = 4", "other", "never"):
        assert gone not in made.text
    for kept in ("import math\nfrom statistics import median as mid\n", "N = 3", "K = 5", "def scale", "def middle"):
        assert kept in made.text
    assert made.counts == {"values": 2, "helpers": 1, "tasks": 2, "flow": 1}


@pytest.mark.slow
def test_the_module_is_clean_and_runs_as_a_program(leave: Any) -> None:
    """It passes ruff's default rules, knows nothing of IPython, and its command line takes the Params."""
    made = leave(
        f"import sys, math as m\nfrom collections import OrderedDict, abc, ChainMap\n{KIT}",
        "half = lambda x: x / 2",
        "@cs.resource\ndef db():\n    yield 10",
        "# where the numbers come from\n@cs.task(pure=True)\ndef load(n, c=cs.inject('db')):\n"
        "    '''Load.'''\n    # a comment\n    return [half(c + i) for i in range(n)]",
        "@cs.task\ndef keep(xs, k=cs.Param('k', default=1.0)):\n"
        "    return OrderedDict(n=m.floor(sum(x for x in xs if x > k)), c=str(ChainMap), a=str(abc))",
        "target = keep(load(4))",
    )
    assert lint(made) == "All checks passed!\n"
    assert "# where the numbers come from\n@cs.task(pure=True)" in made.text
    assert "    '''Load.'''\n    # a comment\n" in made.text
    assert "def half(x):\n    return x / 2" in made.text
    program = [sys.executable, "-W", "error", str(made.path), "--k", "5.2", "--log-level", "error"]
    ran = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "('n', 18)" in ran.stdout


def test_order_follows_needs_and_kind(leave: Any) -> None:
    """Values come before helpers, tasks after them, unless one needs another to be made."""
    made = leave(
        KIT, TOTAL, "def table():\n    return {'a': BASE}", "BASE = 2\nTABLE = table()",
        "@cs.task\ndef look(k):\n    return TABLE[k]", "target = look('a')",
    )  # fmt: skip
    text = made.text
    assert text.index("BASE = 2") < text.index("def table") < text.index("TABLE = table()") < text.index("def look")
    assert "total" not in text


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("x = load(3)\nx = total(x)\ntarget = x", "3"),
        ("parts = []\nfor i in range(3):\n    parts.append(load(i))\ntarget = total.map(xs=parts)", "[0, 0, 1]"),
        ("settings = {}\nsettings['n'] = 2\ntarget = load(settings['n'])", "[0, 1]"),
        ("n = 1\nn += 2\ntarget = load(n)", "[0, 1, 2]"),
        ("n = 1\nif n:\n    n = 3\ntarget = load(n)", "[0, 1, 2]"),
        ("s = 9\ndel s\nc = []\nfor s in range(2):\n    c.append(s)\ntarget = load(len(c))", "[0, 1]"),
    ],
    ids=["bound-twice", "loop", "item", "augmented", "condition", "loop-variable"],
)
def test_values_that_are_built_in_steps_keep_their_steps(leave: Any, build: str, expected: str) -> None:
    """Rebinding, loops, conditions and changes in place are kept in the order in which they ran."""
    made = leave(KIT, LOAD, TOTAL, build)
    names: dict[str, Any] = {"__name__": "flow"}
    exec(compile(made.text, "flow", "exec"), names)
    import cascade as cs

    assert "9" not in made.text
    assert str(cs.run(names[made.variable], log_level=None)) == expected


def test_resources_are_found_by_the_name_that_is_injected(leave: Any) -> None:
    """A resource that is only named in text comes along, under whatever name it is bound to."""
    made = leave(
        KIT,
        "@cs.resource(name='the db')\ndef opened():\n    yield 1",
        "@cs.task\ndef read(c=cs.inject('the db')):\n    return c",
        "target = read()",
    )
    assert "def opened():" in made.text
    assert made.counts["resources"] == 1


def test_a_named_target_is_the_last_line(leave: Any) -> None:
    """An expression gets a name, a name stays, and neither hides a name of the user's."""
    assert leave(KIT, LOAD, "r = load(1)", target="r").variable == "r"
    made = leave(KIT, LOAD, "target = 5", target="load(target)", file="two.py")
    assert made.variable == "flow"
    assert "flow = load(target)" in made.text
    assert made.text.endswith('if __name__ == "__main__":\n    cs.cli(flow)()\n')


def test_cascade_is_imported_once_under_the_users_name(leave: Any) -> None:
    """`from cascade import task` gets `cs` for its command line; `import cascade as kit` stays."""
    made = leave("from cascade import task", "@task\ndef one():\n    return 1", target="one()")
    assert "import cascade as cs\nfrom cascade import task\n" in made.text
    made = leave("import cascade as kit", "@kit.task\ndef one():\n    return 1", target="one()", file="b.py")
    assert "import cascade as kit\n" in made.text
    assert "kit.cli(target)()" in made.text


def test_star_imports_become_names(leave: Any) -> None:
    """What a star brought is imported by its name."""
    made = leave(f"from math import *\n{KIT}", "@cs.task\ndef root(x):\n    return sqrt(x)", target="root(4)")
    assert "from math import sqrt\n" in made.text
    assert "*" not in made.text


def test_what_lives_in_a_module_is_imported_from_there(leave: Any) -> None:
    """A name that no statement gives, but a module has, is an import."""
    import json
    import math

    names = {"root": math.sqrt, "js": json}
    code = "@cs.task\ndef both(x):\n    return root(x), js.dumps(x)"
    made = leave(KIT, code, target="both(4)", names=names)
    assert "import json as js\nfrom math import sqrt as root\n" in made.text


def test_plain_values_without_a_statement_are_written_down(leave: Any) -> None:
    """What papermill or an extension put there is kept if it is plain."""
    names = {"alpha": 0.5}
    made = leave(KIT, "@cs.task\ndef scale(x):\n    return alpha * x", target="scale(2)", names=names)
    assert "alpha = 0.5\n" in made.text


@pytest.mark.parametrize(
    ("cells", "target", "told"),
    [
        (["@cs.task\ndef a(x):\n    y = 1\n    get_ipython().system('ls')\n    return x"], "a(1)",
         ["In[2], line 4", "'a' needs !ls", "subprocess.run"]),
        (["x = get_ipython().run_line_magic('pwd', '') if 0 else 1", LOAD], "load(x)", ["In[2], line 1", "%pwd"]),
        (["@cs.task\ndef a(x):\n    display(x)"], "a(1)", ["In[2], line 2", "'display'", "only exists in a notebook"]),
        ([LOAD, "n = 1", "t = load(n)", "del n"], "load(n)", ["n"]),
        (["exec('f = lambda x: x')", "@cs.task\ndef a(x):\n    return f(x)"], "a(1)",
         ["In[3], line 2", "'f' (a function)", "no cell shows"]),
        (["@cs.task\ndef a(x):\n    return thresh + x", "thresh = 1", "del thresh"], "a(1)",
         ["'thresh'", "no cell defines any more"]),
        ([LOAD, "t = load(1)", LOAD.replace("range(n)", "range(n + 1)")], "t",
         ["'t' was made with 'load' as it was in In[2]", "In[4]", "Run the cell of 't' again"]),
    ],
    ids=["shell", "magic", "display", "deleted", "exec", "missing", "stale"],
)  # fmt: skip
def test_what_cannot_be_written_down_says_where_and_what_to_do(
    leave: Any, tmp_path: Path, cells: list[str], target: str, told: list[str]
) -> None:
    """The error names the cell, the line and the name, and no file appears."""
    with pytest.raises((ExportError, NameError)) as caught:
        leave(KIT, *cells, target=target, names={"display": print})
    for words in told:
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_all_problems_are_told_at_once(leave: Any) -> None:
    """Someone who has three things to mend hears of three."""
    with pytest.raises(ExportError, match="2 things cannot be exported") as caught:
        leave(KIT, "@cs.task\ndef a(x):\n    return In, Out", target="a(1)", names={"In": [], "Out": {}})
    assert str(caught.value).count("In[2], line 2") == 2


def test_the_same_definition_again_is_not_stale(leave: Any) -> None:
    """A cell that ran twice as it was changes nothing."""
    made = leave(KIT, LOAD, "t = load(1)", f"# now with a comment\n{LOAD}", target="t")
    assert "def load" in made.text


def test_nothing_is_overwritten_unasked(leave: Any, tmp_path: Path) -> None:
    """A file of that name stays as it is, unless --force; half a file never appears."""
    (tmp_path / "flow.py").write_text("mine")
    with pytest.raises(ExportError, match=r"there already and was not touched.*--force"):
        leave(KIT, LOAD, target="load(1)")
    assert (tmp_path / "flow.py").read_text() == "mine"
    leave(KIT, LOAD, target="load(1)", force=True)
    assert "def load" in (tmp_path / "flow.py").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["flow.py"]
    with pytest.raises(ExportError, match=r"ends in \.py"):
        leave(KIT, LOAD, target="load(1)", file="flow.txt")
    with pytest.raises(ExportError, match="cannot be written"):
        leave(KIT, LOAD, target="load(1)", file="no/such/folder/flow.py")


def test_hostile_names_and_values_stay_text(leave: Any) -> None:
    """Titles, Params and capacities cannot break out of the docstring or the call."""
    made = leave(
        KIT, LOAD, target="load(1)",
        given={'x"""\nimport os\n"""': '"""; rm -rf', "k": "a'b\\"}, capacities={"g'pu\"": 1.0, "cpu": 0.5},
    )  # fmt: skip
    names: dict[str, Any] = {"__name__": "flow"}
    exec(compile(made.text, "flow", "exec"), names)
    assert "os" not in names


def test_functions_that_need_each_other_keep_the_order_of_the_notebook(leave: Any) -> None:
    """A circle of calls is no circle of definitions."""
    made = leave(
        KIT,
        "def even(n):\n    return n == 0 or odd(n - 1)",
        "def odd(n):\n    return n != 0 and even(n - 1)",
        "@cs.task\ndef ask(n):\n    return even(n)",
        target="ask(4)",
    )
    names: dict[str, Any] = {"__name__": "flow"}
    exec(compile(made.text, "flow", "exec"), names)
    assert names["even"](4) is True


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_values(leave: Any) -> None:
    """The check imports the file as anyone would, with the Params given, and tells each node."""
    made = leave(KIT, LOAD, TOTAL, target="total(load(cs.Param('n', default=3)))")
    told = rerun(made.path, made.variable, {"n": 5})
    assert told.state == "completed"
    assert {name: each.summary for name, each in told.nodes.items()} == {"load": "list of 5", "total": "10"}


@pytest.mark.slow
def test_what_fails_in_the_fresh_process_is_told(leave: Any, tmp_path: Path) -> None:
    """A node that fails is named; a file that cannot be imported has its error; a slow one is stopped."""
    made = leave(KIT, "@cs.task\ndef bad(x):\n    return 1 / x", LOAD, target="[bad(0), load(2)]")
    told = rerun(made.path, made.variable)
    assert told.failed == {"bad": "ZeroDivisionError: division by zero"}
    assert told.nodes["load"].summary == "list of 2"
    broken = tmp_path / "broken.py"
    broken.write_text("raise ValueError('no')")
    assert rerun(broken, "target").error == "ValueError: no"
    broken.write_text("import time\ntime.sleep(60)")
    assert "longer than 0.5 s" in rerun(broken, "target", timeout=0.5).error
    broken.write_text("import os\nos._exit(3)")
    assert rerun(broken, "target").error == "exit code 3"


def test_statements_say_what_they_give_read_and_change() -> None:
    """Names inside functions are read later; changes in place and deletions are told apart."""
    code = (
        "import numpy as np\n"
        "@deco(arg)\ndef f(x, y=default) -> 'Kind':\n    global g\n    g = 1\n    return x + later\n"
        "d['k'] = v\nxs.append(w)\ndel old\nls = [i + c for i in xs]\n"
        "class C(Base):\n    a = now\n    def m(self): return deep\n"
    )
    numpy, f, item, append, gone, comprehension, kind = read_cells([Cell("In[1]", code)])
    assert numpy.gives == {"np"}
    assert numpy.is_import
    assert f.gives == {"f", "g"}
    assert {"deco", "arg", "default"} <= f.now
    assert {"later", "Kind"} <= f.later
    assert item.changes == {"d"}
    assert item.now == {"d", "v"}
    assert append.changes == {"xs"}
    assert gone.drops == {"old"}
    assert comprehension.now == {"xs", "c"}
    assert kind.now == {"Base", "now"}
    assert kind.later == {"deep"}


def test_comments_above_and_statements_on_one_line_keep_to_themselves() -> None:
    """A comment belongs to what stands right below it; a semicolon parts two statements."""
    one, two, three = read_cells([Cell("In[1]", "# first\n# still\nx = 1  # aside\n\n# far\n\ny = 2; z = 3;")])
    assert one.text == "# first\n# still\nx = 1  # aside"
    assert (two.text, three.text) == ("y = 2", "z = 3")


def test_makers_tell_a_name_as_it_was_and_as_it_is() -> None:
    """The chain of a name holds its binding and what changed it since, at any moment."""
    makers = Makers(read_cells([Cell("In[1]", "x = []\nx.append(1)\nx = 2\ndel x")]))
    assert [each.number for each in makers.chain("x", 2)] == [0, 1]
    assert [each.number for each in makers.chain("x", 3)] == [2]
    assert makers.chain("x") == []


def test_cells_that_are_not_python_are_passed_over() -> None:
    """A cell with a syntax error never ran."""
    assert [each.cell for each in read_cells([Cell("In[1]", "x = ("), Cell("In[2]", "y = 1")])] == ["In[2]"]
