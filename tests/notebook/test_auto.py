"""`%cascade auto` in a real kernel: cheap changes run in their own display, dear ones turn it stale, nothing loops."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cascade.interfaces.auto_errors import RebuildError
from tests.notebook.kernel import DOCUMENT

if TYPE_CHECKING:
    from tests.notebook.kernel import Cell, Kernel

TASKS = """
N, FACTOR, PAUSE = 4, 2, 0.1

@cs.task(pure=True)
def load(n):
    return list(range(n))

def scale(r):
    return r * FACTOR

@cs.task(pure=True)
def clean(rows):
    time.sleep(PAUSE)
    return [scale(r) for r in rows]
"""


@pytest.fixture
def shown(kernel: Kernel) -> Any:
    """A cell whose run is shown, with auto on for what takes two seconds; auto is off again afterwards."""
    assert kernel.run("%cascade store clear").ok
    assert kernel.run(TASKS, "tasks").ok
    cell = kernel.run("%%cascade -o kept\nraw = load(N)\nclean(raw)", "shown")
    assert cell.ok, cell.error
    assert kernel.run("%cascade auto --under 2s").ok
    yield cell
    assert kernel.run("%cascade auto off").ok


def head(cell: Cell) -> str:
    return cell.bundle["text/plain"].splitlines()[0]


def values(cell: Cell) -> list[str]:
    """What stood below the card, one after the other."""
    shown = cell.of("display_data", "update_display_data")
    return [each["data"]["text/plain"] for each in shown if set(each["data"]) == {"text/plain"}]


def marks(cell: Cell) -> dict[str, str]:
    return {node: entry["m"] for node, entry in cell.document["nodes"].items() if "m" in entry}


def until_head(kernel: Kernel, cell: Cell, condition: Callable[[str], bool]) -> None:
    kernel.until(lambda: bool(DOCUMENT in cell.bundle and condition(head(cell))), 20)


def runs(kernel: Kernel) -> int:
    return int(kernel.value("len(session().jobs)"))


@pytest.mark.kernel
@pytest.mark.slow
class TestAuto:
    """In a kernel."""

    def test_a_cheap_change_runs_in_its_own_display(self, kernel: Kernel, shown: Cell) -> None:
        """A Param's value, a helper of a task or the task itself: the shown output follows, and so does its name."""
        cell = kernel.run("N = 5", "n")
        assert cell.of("display_data", "execute_result", "stream") == []
        until_head(kernel, shown, lambda text: "ran by itself: N changed" in text)
        assert shown.document["result"]["text"] == "[0, 2, 4, 6, 8]"
        assert kernel.value("kept") == [0, 2, 4, 6, 8]
        assert kernel.run("def scale(r): return -r", "s").ok
        until_head(kernel, shown, lambda text: "ran by itself: scale changed" in text)
        assert shown.document["result"]["text"] == "[0, -1, -2, -3, -4]"
        assert [entry["s"] for entry in shown.document["nodes"].values()] == ["stored", "done"]
        assert kernel.run("@cs.task(pure=True)\ndef load(n): return [7]", "l").ok
        until_head(kernel, shown, lambda text: "ran by itself: load changed" in text)
        assert kernel.value("kept") == [-7]

    def test_what_changes_nothing_runs_nothing(self, kernel: Kernel, shown: Cell) -> None:
        """A comment, the same value again, a name that the cell does not read, and a run by auto itself."""
        assert kernel.run("FACTOR = 3", "f").ok
        until_head(kernel, shown, lambda text: "ran by itself" in text)
        before = runs(kernel)
        assert kernel.run("def scale(r):  # the same\n    return r * FACTOR", "s").ok
        assert kernel.run("FACTOR = 3\nother = 12", "f").ok
        assert kernel.run("time.sleep(0.3)").ok
        assert runs(kernel) == before

    def test_a_dear_change_only_marks(self, kernel: Kernel, shown: Cell) -> None:
        """The nodes that would run are marked with their cost, one line says why; undone, the display is true again."""
        assert "at most 0.01 s" in kernel.run("%cascade auto --under 10ms").value
        before = runs(kernel)
        assert kernel.run("def scale(r): return r + 100", "s").ok
        until_head(kernel, shown, lambda text: "stale" in text)
        assert re.search(r"stale: scale changed · about 0\.\d+ s · run the cell again\Z", head(shown))
        assert re.fullmatch(r"run ~0\.\d s", marks(shown)["clean"])
        assert "clean: stale: scale changed · about 0." in kernel.run("%cascade auto").value
        assert kernel.run("def scale(r): return r * FACTOR", "s").ok
        until_head(kernel, shown, lambda text: "stale" not in text)
        assert marks(shown) == {}
        assert runs(kernel) == before

    def test_what_never_ran_counts_as_dear(self, kernel: Kernel, shown: Cell) -> None:
        """A task without a history may take any time."""
        assert kernel.run("@cs.task(pure=True, name='brandnew')\ndef load(n): return [n]", "l").ok
        until_head(kernel, shown, lambda text: "stale" in text)
        assert head(shown).endswith("stale: load changed · what it takes is not known · run the cell again")

    def test_a_failure_stays_in_its_own_cell(self, kernel: Kernel, shown: Cell) -> None:
        """A task that fails, a call that does not fit: told where they belong; the next good change repairs it."""
        cell = kernel.run("@cs.task(pure=True)\ndef load(n): raise ValueError('no rows')", "l")
        until_head(kernel, shown, lambda text: "failed" in text)
        assert cell.ok
        assert "no rows" not in cell.error + cell.printed
        assert shown.document["failure"]["error"] == "no rows"
        cell = kernel.run("@cs.task(pure=True)\ndef load(n, m): return [n]", "l")
        until_head(kernel, shown, lambda text: "stale: load changed · TypeError" in text)
        assert cell.ok
        assert cell.error == ""
        assert kernel.run("@cs.task(pure=True)\ndef load(n): return [1]", "l").ok
        until_head(kernel, shown, lambda text: "ran by itself: load changed" in text)
        assert kernel.value("kept") == [2]

    def test_a_newer_change_replaces_a_run_by_auto(self, kernel: Kernel, shown: Cell) -> None:
        """While auto's run goes on, another change cancels it and starts anew; at no time are there two."""
        assert kernel.run("PAUSE = 1.0", "p").ok
        assert kernel.run("wait_until(lambda: not session().latest().over)").ok
        assert kernel.run("PAUSE = 0.01", "p").ok
        until_head(kernel, shown, lambda text: "ran by itself: PAUSE changed" in text and "done in" in text)
        states = kernel.value("[job.run.state for job in session().jobs.values()][-2:]")
        assert states == ["cancelled", "completed"]

    def test_it_waits_for_a_run_that_a_person_began(self, kernel: Kernel, shown: Cell) -> None:
        """A run in the background is left alone; its cell is brought up to date when it is over."""
        assert kernel.run("PAUSE = 0.5", "p").ok
        until_head(kernel, shown, lambda text: "ran by itself" in text)
        cell = kernel.run("%%cascade --bg\nclean(load(N + 1))", "own")
        assert kernel.run("N = 8", "n").ok
        until_head(kernel, cell, lambda text: "ran by itself: N changed" in text)
        assert len(kernel.value("session().latest().run.result(5)")) == 9
        assert "cancelled" not in kernel.value("[job.run.state for job in session().jobs.values()][-3:]")

    def test_a_cell_task_follows_what_it_reads(self, kernel: Kernel, shown: Cell) -> None:
        """Its own code, the code of a cell before it, a name of the notebook; what it gives is bound again."""
        del shown
        assert kernel.run("%%cascade task first\nfirst_rows = list(range(N))", "t1").ok
        second = kernel.run("%%cascade task second\ntotal = sum(first_rows)\ntotal", "t2")
        assert second.ok, second.error
        assert kernel.run("N = 11", "n").ok
        until_head(kernel, second, lambda text: "ran by itself: N changed" in text)
        assert kernel.value("total") == 55
        assert kernel.run("%%cascade task first\nfirst_rows = [N, N]", "t1").ok
        until_head(kernel, second, lambda text: "ran by itself: first changed" in text)
        assert kernel.value("total") == 22
        assert kernel.run("%cascade forget second").ok
        assert kernel.run("%cascade forget first").ok

    def test_an_older_value_below_the_card_is_said(self, kernel: Kernel, shown: Cell) -> None:
        """What the shell showed as ``Out[n]`` cannot be replaced: the card says that it is of an earlier run."""
        number = shown.reply["execution_count"]
        assert kernel.run("N = 6", "n").ok
        until_head(kernel, shown, lambda text: text.endswith(f"N changed · Out[{number}] below is of an earlier run"))

    @pytest.mark.parametrize("line", ["%%cascade", "%%cascade task cleaned"])
    def test_a_value_follows_the_card(self, kernel: Kernel, shown: Cell, line: str) -> None:
        """A cell that runs while auto is on shows its value where it can be replaced; `_` and ``Out`` have it, too."""
        del shown
        cell = kernel.run(f"{line}\nclean(load(N))" if "task" not in line else f"{line}\nN * 2", "follow")
        assert cell.ok, cell.error
        assert cell.of("execute_result") == []
        first = "[0, 2, 4, 6]" if "task" not in line else "8"
        assert values(cell) == [first]
        assert kernel.run("_").value == first
        assert kernel.run("N = 2", "n").ok
        second = "[0, 2]" if "task" not in line else "4"
        kernel.until(lambda: values(cell)[-1] == second, 20)
        until_head(kernel, cell, lambda text: text.endswith("ran by itself: N changed"))
        assert kernel.run("N = None", "n").ok
        kernel.until(lambda: values(cell)[-1] == "No value: the run failed.", 20)
        assert kernel.run("%cascade forget cleaned") is not None

    def test_off_does_not_leave_a_cell_cancelled(self, kernel: Kernel, shown: Cell) -> None:
        """A run that auto cancelled for another change is made good, also when auto is turned off meanwhile."""
        assert kernel.run("PAUSE = 1.0", "p").ok
        assert kernel.run("wait_until(lambda: not session().latest().over)").ok
        assert kernel.run("PAUSE = 0.02", "p").ok
        assert kernel.run("wait_until(lambda: session().latest().run.state in {'cancelling', 'cancelled'})").ok
        assert kernel.run("%cascade auto off").ok
        until_head(kernel, shown, lambda text: "ran by itself: PAUSE changed" in text and "done in" in text)
        assert kernel.value("session().latest().run.state") == "completed"

    def test_the_command_tells_its_state(self, kernel: Kernel) -> None:
        """On, off, and what is wrong with a line."""
        assert kernel.run("%cascade auto").value.startswith("Auto is off.")
        assert "at most 2.0 s" in kernel.run("%cascade auto on").value
        assert "at most 0.50 s" in kernel.run("%cascade auto --under=500ms").value
        assert "at most 2 min" in kernel.run("%cascade auto --under 2min").value
        for wrong in ("--under", "--under soon", "sometimes", "--under 2 3"):
            assert "%cascade auto takes --under SECONDS" in kernel.run(f"%cascade auto {wrong}").error
        assert kernel.run("%cascade auto off").value.startswith("Auto is off")
        callbacks = "len(get_ipython().events.callbacks['post_run_cell'])"
        before = kernel.value(callbacks)
        assert kernel.run("%cascade auto on").ok
        assert kernel.run("%cascade auto on").ok
        assert kernel.value(callbacks) == before + 1
        assert kernel.run("%cascade auto off").ok
        assert kernel.value(callbacks) == before


class TestRebuilding:
    """Without a kernel: what is done again, and what is not."""

    def test_composition_is_done_again_and_nothing_else(self) -> None:
        """Lazy names and constants are made anew in a copy; effects do not happen twice, names stay as they are."""
        import cascade as cs
        from cascade.notebook.auto_reading import rebuild

        @cs.task
        def one(x: int) -> int:
            return x

        def composed(n: int) -> Any:
            return [one(i) for i in range(n)]

        effects: list[int] = []
        names = {"one": one, "composed": composed, "effects": effects, "n": 3, "parts": composed(2), "size": 5}
        source = "print = effects.append\nk = 2\nparts = []\nfor i in range(n):\n    parts.append(one(i * k))\nparts"
        before = dict(names)
        target = rebuild(source, "", {**names, "print": None, "k": 2}, ["n"])
        assert cs.run(target, log_level=None) == [0, 2, 4]
        assert names == before
        assert len(names["parts"]) == 2
        assert effects == []

    def test_work_that_cannot_be_done_again_is_said(self) -> None:
        """A statement that is no composition and reads what changed, and a cell without an expression."""
        from cascade.notebook.auto_reading import rebuild

        with pytest.raises(RebuildError, match="Line 2 of the cell reads 'path', which has changed"):
            rebuild("x = 1\nrows = open(path).read()\nrows", "", {"rows": "a", "path": "b"}, ["path"])
        with pytest.raises(RebuildError, match="no expression"):
            rebuild("x = 1", "", {}, [])
        with pytest.raises(RebuildError, match="no expression"):
            rebuild("await thing()", "", {}, [])

    def test_digests_are_made_again_only_of_what_may_differ(self) -> None:
        """A value changed in place counts when a cell names it; functions are read through."""
        from cascade.notebook.auto_reading import look

        names: dict[str, Any] = {"rows": [1], "seen": [1]}
        exec("def use(): return len(rows)\ndef outer(): return use()", names)
        first = look(["outer", "seen"], names)
        assert set(first.digests) == {"outer", "use", "rows", "seen"}
        names["rows"].append(2)
        assert look(["outer", "seen"], names, first, ["other"]) is first
        second = look(["outer", "seen"], names, first, ["rows"])
        assert second.changed_since(first) == ("rows",)
        assert first.changed_since(first) == ()
