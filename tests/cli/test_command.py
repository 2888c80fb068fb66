from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import cascade as cs
from cascade.adapters.solvers.native import NativeSolver
from cascade.graph.build import build
from cascade.interfaces.exceptions import CapacityError, NotLazyError, ParamError

Invoke = Callable[..., Any]


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@cs.task
def show(*values: Any) -> Any:
    return values[0] if len(values) == 1 else list(values)


@cs.task
def fail(x: Any = 0) -> Any:
    raise ValueError(f"no {x}")


ran: list[Any] = []


@cs.task
def note(x: Any) -> Any:
    ran.append(x)
    return x


@pytest.fixture(autouse=True)
def _forget() -> None:
    ran.clear()


def error_of(result: Any) -> str:
    """What is said after ``Error:``."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return str(result.stderr.partition("Error: ")[2].rstrip("\n"))


# -- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "-3", -3), (float, "1e-3", 0.001), (str, "a b=ü", "a b=ü"), (Path, "a/b", Path("a/b")),
        (Color, "RED", Color.RED), (Color, "blue", Color.BLUE), (Literal["a", 1], "1", 1),
        (date, "2024-02-29", date(2024, 2, 29)),
        (list[int], "1,2", [1, 2]), (list[int], "[1, 2]", [1, 2]), (dict[str, int], '{"a": 1}', {"a": 1}),
        (tuple[int, str], "1,x", (1, "x")), (int | None, "none", None), (int | str, "x", "x"), (str, "", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [["--value"], []])
def test_values_are_converted_as_in_run(invoke: Invoke, kind: Any, text: str, value: Any, form: list[str]) -> None:
    """A text on the command line becomes what `cs.run(params=)` makes of it, whichever way it is attached."""
    target = note(cs.Param("value", type=kind))
    words = [*form, text] if form else [f"--value={text}"]
    assert invoke(target, *words).exit_code == 0
    assert ran == [value]
    assert cs.run(target, params={"value": text}, log_level=None) == value
    assert type(ran[0]) is type(value)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_any_text_arrives_unchanged(invoke: Invoke, text: str) -> None:
    """Nothing in a text is markup, a template or an option."""
    result = invoke(show(cs.Param("text", type=str)), "--text", text)
    assert result.stdout_bytes.decode() == f"{text}\n"


def test_flags(invoke: Invoke) -> None:
    """Truth values are switched on and off by their two spellings, and are the default without."""
    target = show(cs.Param("fast", default=True), cs.Param("json", type=bool, default=False))
    assert invoke(target).stdout == "[True, False]\n"
    assert invoke(target, "--no-fast", "--param-json").stdout == "[False, True]\n"
    assert "--flag is missing. Give --flag or --no-flag." in error_of(invoke(show(cs.Param("flag", type=bool))))


def test_a_command_may_be_called_again(invoke: Invoke) -> None:
    """Values of one call are not those of the next; resources given as an iterator serve both."""

    @cs.resource
    def db() -> Iterator[str]:
        yield "db"

    app = cs.cli(show(cs.Param("n", 1), cs.inject("db")), resources=iter([db]))
    cs.get_current_context().resources.clear()
    for words, out in ((["--n", "5"], "[5, 'db']\n"), ([], "[1, 'db']\n")):
        result = CliRunner().invoke(app, [*words, "--log-level", "ERROR"])
        assert (result.exit_code, result.stdout) == (0, out), result.output


def test_two_routers(invoke: Invoke) -> None:
    """A target that is a list of Routers has the Params of all their routes, and runs the chosen ones only."""
    way = cs.Param("way", "a", choices=["a", "b"])
    first = cs.Router(way, {"a": note(cs.Param("x", 1)), "b": note("b1")})
    second = cs.Router(way, {"a": note("a2"), "b": note(cs.Param("deep", 5))})
    result = invoke([first, second], "--way", "b", "--deep", "7", "--x", "3", "--json")
    assert json.loads(result.stdout or "null") == ["b1", 7], result.stderr
    assert sorted(map(str, ran)) == ["7", "b1"]


# -- wrong use ------------------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once(invoke: Invoke) -> None:
    """Missing and wrong values, wrong settings, unset variables: one report, nothing runs, exit code 2."""
    target = note(
        [
            cs.Param("n", type=int, description="how many"),
            cs.Param("rate", 0.5),
            cs.Param("color", Color.RED),
            cs.Param("mode", choices=["train", "test"]),
            cs.Param("bad", default="x", type=int),
            cs.Env("CASCADE_TEST_UNSET"),
        ]
    )
    words = ["--rate=x", "--color=REDD", "--mode=trian", "--timeout=-1", "--log-level", "loud", "--log-format=jsn"]
    result = invoke(target, *words, "--capacity", "gpu", "--capacity", "gpu=x", "--capacity", "a=0")
    assert error_of(result).splitlines() == [
        "12 inputs are not right:",
        "  - --n (how many) is missing. Give --n INT.",
        "  - --rate: 'x' is not a valid float.",
        "  - --color cannot be 'REDD'. Did you mean 'RED'?",
        "  - --mode cannot be 'trian'. Did you mean 'train'?",
        "  - The default of --bad: 'x' is not a valid int. Correct it in the program, or give another value.",
        "  - Env 'CASCADE_TEST_UNSET' is not set. Set the environment variable CASCADE_TEST_UNSET.",
        "  - --capacity takes NAME=AMOUNT, as in --capacity gpu=1, not 'gpu'.",
        "  - --capacity takes NAME=AMOUNT with a number; 'x' for 'gpu' is none.",
        "  - --capacity: The capacity of 'a' is 0.0; it must be a finite number above 0.",
        "  - --timeout takes a number of seconds above 0, not '-1'.",
        "  - --log-level cannot be 'loud'. Known: CRITICAL, DEBUG, ERROR, INFO, WARNING.",
        "  - --log-format cannot be 'jsn'. Did you mean 'json'?",
    ]
    assert not ran


@pytest.mark.parametrize("level", ["debug", "Warning", "CRITICAL"])
def test_log_levels(invoke: Invoke, level: str) -> None:
    """Levels may be written small; what is said depends on them and goes to stderr."""
    result = invoke(show(1), "--log-level", level)
    assert result.stdout == "1\n"
    assert ("started" in result.stderr) is (level == "debug")


def test_unknown_options_and_stray_words(invoke: Invoke) -> None:
    """What belongs to nothing is an error that names the nearest option, or how to write values."""
    assert "--alpah" in error_of(invoke(show(cs.Param("alpha", 1)), "--alpah", "3"))
    assert "--alpha" in error_of(invoke(show(cs.Param("alpha", 1)), "--alpah", "3"))
    said = error_of(invoke(show(cs.Param("alpha", 1)), "3", "--alpha", "2"))
    assert said == "Something here belongs to no option: 3. A value follows its option, as in --n 3."


def test_hostile_values_stay_text(invoke: Invoke) -> None:
    """Escape sequences in wrong values and stray words do not reach the terminal."""
    for words in (["--n", "\x1b[31m\nred"], ["\x1b[31m\nred"]):
        result = invoke(show(cs.Param("n", 1)), *words)
        assert "\x1b" not in error_of(result)
        assert len(error_of(result).splitlines()) == 1


def test_definitions_that_cannot_run(invoke: Invoke) -> None:
    """What is wrong with resources and Params of one name is told as `cs.run` tells it, with exit code 2."""
    assert error_of(invoke(show(cs.inject("nodb")))).startswith("No resource is named 'nodb'")
    twice = show(cs.Param("q", 1), cs.Param("q", "1"))
    assert "two Params named 'q' that differ in their type" in error_of(invoke(twice))


def test_wrong_targets_are_errors_at_once() -> None:
    """What `cs.run` refuses, `cs.cli` refuses, when it is called."""
    with pytest.raises(NotLazyError):
        cs.cli([1, 2])
    with pytest.raises(NotLazyError, match="'show' is a task: call it first"):
        cs.cli(show)
    with pytest.raises(CapacityError, match="system_resources is a list"):
        cs.cli(show(1), system_resources=[1])  # type: ignore[arg-type]
    assert issubclass(ParamError, ValueError)


# -- secrets --------------------------------------------------------------------------------------------------------


def test_secrets_come_from_the_environment(invoke: Invoke) -> None:
    """The variable that is called as the Param gives its value, which is in no text."""
    target = note(cs.Param("api_key", secret=True, description="API key"))
    result = invoke(target, "--log-level", "DEBUG", env={"api_key": "hunter2"})
    assert ran == ["hunter2"]
    assert result.exit_code == 0
    assert "hunter2" not in result.stderr


def test_secrets_without_a_terminal(invoke: Invoke) -> None:
    """Where nobody can be asked, the error says which variable to set."""
    said = error_of(invoke(note(cs.Param("api_key", secret=True, description="API key")), env={"api_key": None}))
    assert said.startswith("api_key (API key) is missing. It is a secret: set the environment variable api_key")
    assert not ran


def test_secrets_are_refused_on_the_command_line(invoke: Invoke) -> None:
    """A secret that others could read in the process list is refused, and not repeated."""
    target = note(cs.Param("token", "deflt", secret=True))
    for words in (["--token", "hunter2"], ["--token=hunter2"], ["hunter2"]):
        result = invoke(target, *words)
        assert result.exit_code == 2
        assert "hunter2" not in result.output
    assert "--token is a secret" in error_of(invoke(target, "--token", "hunter2"))


def test_wrong_secrets_are_not_shown(invoke: Invoke) -> None:
    """Not in errors, not in help, not in the plan."""
    target = note(
        [cs.Param("pin", type=int, secret=True), cs.Param("key", "hunter3", secret=True, choices=["hunter3"])]
    )
    result = invoke(target, env={"pin": "hunter2", "key": "hunter4"})
    assert error_of(result).splitlines()[1:] == [
        "  - The environment variable pin: the value given is not a valid int.",
        "  - The environment variable key: the value given is not one of the choices.",
    ]
    for words in (["--help"], ["--plan"], ["--plan", "--json"]):
        result = invoke(target, *words, env={"pin": "123456", "key": "hunter3"})
        assert result.exit_code == 0
        assert "123456" not in result.output
        assert "hunter3" not in result.output


def test_a_secret_in_an_error_of_a_task(invoke: Invoke) -> None:
    """What a task says about a secret when it fails has the secret taken out."""
    result = invoke(fail(cs.Param("token", secret=True)), env={"token": "hunter2"})
    assert result.exit_code == 1
    assert "ValueError: no •••" in result.stderr
    assert "hunter2" not in result.output


# -- showing instead of running ---------------------------------------------------------------------------------------


def test_plan(invoke: Invoke) -> None:
    """The dry run is printed, with what was given, and asks for nothing that is missing; nothing runs."""
    inputs = [cs.Param("n", type=int), cs.Param("m", type=int), cs.Param("k", secret=True)]
    target = note([*inputs, cs.Env("CASCADE_NO"), cs.Env("CASCADE_YES")])
    result = invoke(target, "--plan", "--n", "7", env={"CASCADE_YES": "set"})
    assert result.stdout.splitlines() == [
        "note: 1 node would run",
        "step  node  kind  mode      priority",
        "   1  note  task  blocking         1",
        "with n 7, m (required), k (required), CASCADE_NO (required), CASCADE_YES 'set'",
    ]
    assert result.stderr == ""
    assert not ran
    assert error_of(invoke(target, "--plan", "--n", "x")) == "--n: 'x' is not a valid int."


def test_plan_as_json(invoke: Invoke) -> None:
    """The same as data."""
    found = json.loads(invoke(show(note(1)), "--plan", "--json", "--capacity", "gpu=2").stdout)
    assert [row["node"] for row in found["rows"]] == ["note", "show"]
    assert found["capacities"] == {"gpu": 2.0}
    assert not ran


@pytest.mark.parametrize(("name", "start"), [("g.svg", "<svg"), ("g.dot", "digraph"), ("g.mmd", "flowchart")])
def test_graph(invoke: Invoke, tmp_path: Path, name: str, start: str) -> None:
    """The picture is written, where it is stands on stderr, nothing runs and nothing is asked for."""
    result = invoke(note(cs.Param("n")), "--graph", str(tmp_path / name))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"The graph is in {tmp_path / name}.\n"
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert not ran


def test_graph_and_plan_together(invoke: Invoke, tmp_path: Path) -> None:
    """Both are shown."""
    result = invoke(note(1), "--graph", str(tmp_path / "g.svg"), "--plan")
    assert "would run" in result.stdout
    assert (tmp_path / "g.svg").exists()


def test_graphs_that_cannot_be_written(invoke: Invoke, tmp_path: Path) -> None:
    """An unknown suffix, a place that is none: wrong usage."""
    assert "cannot be '.txt'" in error_of(invoke(note(1), "--graph", "g.txt"))
    (tmp_path / "file").touch()
    said = error_of(invoke(note(1), "--graph", str(tmp_path / "file" / "g.svg")))
    assert said.startswith("--graph: ")
    assert "could not be written" in said


# -- running --------------------------------------------------------------------------------------------------------


def test_capacities(invoke: Invoke) -> None:
    """What the program gives holds until the command line says otherwise; too little is wrong usage."""
    target = note(1).with_constraints(gpu=2, cpu=1)
    given = {"system_resources": {"gpu": 1, "cpu": 4}}
    assert "[default: gpu=1, cpu=4]" in " ".join(invoke(target, "--help", **given).stdout.split())
    said = error_of(invoke(target, **given))
    assert said.startswith("Task 'note' asks for 2 of 'gpu' but the capacity is 1.")
    assert said.endswith("--capacity NAME=AMOUNT says how much there is.")
    assert invoke(target, "--capacity", "gpu=2", **given).exit_code == 0
    assert invoke(target, "--capacity", "gpu=2", "--capacity", "cpu=1.5").exit_code == 0


def test_results_as_json_stand_alone(invoke: Invoke) -> None:
    """With --json stdout has the result and nothing else; what tasks print goes to stderr."""

    @cs.task
    def loud() -> Any:
        print("noise")
        return {"nan": float("nan"), "path": Path("a")}

    result = invoke(loud(), "--json", "--log-level", "INFO")
    assert json.loads(result.stdout) == {"nan": "nan", "path": "a"}
    assert "noise" in result.stderr
    assert invoke(loud()).stdout.startswith("noise\n{")


def test_a_failure(invoke: Invoke) -> None:
    """Exit code 1; the node, the error and the user's own frames are on stderr, no frames of cascade or Typer."""
    result = invoke(show(fail(cs.Param("x", 3)).named("first")), "--log-level", "CRITICAL")
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.split(", in ")[1] for line in lines if line.startswith("  File")] == ["fail"]
    assert lines[-2:] == ["ValueError: no 3", "In the node 'first', called with x = 3."]


def test_a_failure_in_a_json_log(invoke: Invoke) -> None:
    """Where the log is for programs, every line on stderr is JSON, the command's own words too."""
    result = invoke(fail(), "--log-format", "json", "--log-level", "INFO")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert lines[0]["event"] == "run.started"
    assert "ValueError: no 0" in lines[-1]["message"]
    assert result.exit_code == 1


def test_a_skipped_target(invoke: Invoke) -> None:
    """Exit code 3, and why, in one line."""
    result = invoke(show(note(1).run_if(cs.Param("go", default=False))), "--log-level", "CRITICAL")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("'show' has no value: needs 'note', which was skipped")
    assert len(result.stderr.splitlines()) == 1


def test_a_timeout(invoke: Invoke) -> None:
    """A run that takes too long is a failure."""

    @cs.task
    async def for_ever() -> None:
        import asyncio

        await asyncio.Event().wait()

    result = invoke(for_ever(), "--timeout", "0.05", "--log-level", "CRITICAL")
    assert result.exit_code == 1
    assert result.stderr.startswith("RunTimeoutError: The run took longer than its timeout of 0.05 s")


def test_executor_and_solver_are_used(invoke: Invoke) -> None:
    """What the program chose to run with is what runs."""
    solved: list[int] = []

    class Watched(NativeSolver):
        def solve(self, graph: Any, capacities: Any = None) -> Any:
            solved.append(len(graph))
            return super().solve(graph)

    @cs.task
    def where() -> str:
        import threading

        return threading.current_thread().name

    with ThreadPoolExecutor(thread_name_prefix="mine") as pool:
        assert invoke(where(), executor=pool, solver=Watched()).stdout.startswith("mine")
    assert solved == [1]


def test_a_graph_is_a_target(invoke: Invoke) -> None:
    """What was built, or read from a file, can be run, too."""
    assert invoke(build(show(cs.Param("n", 1))), "--n", "4").stdout == "4\n"


# -- the app --------------------------------------------------------------------------------------------------------


def test_help(invoke: Invoke) -> None:
    """Help says what the target does, its Params, the options of every command and the variables it reads."""

    @cs.task
    def fit(n: int, k: str) -> None:
        """Fit the model.

        This paragraph is not for help texts.
        """

    target = fit(cs.Param("n", type=int, description="[bold]how[/bold] many"), cs.Param("k", secret=True))
    text = invoke(target, "--help").stdout
    assert "\n  Fit the model.\n\nParams:\n" in text
    assert "--n INT  [bold]how[/bold] many  [required]" in text
    assert "From the environment:\n  k  [secret; required;" in text
    assert "--k" not in text
    assert "COMMAND" not in text
    others = ("--plan", "--graph FILE", "--json", "--log-level LEVEL", "--capacity NAME=AMOUNT", "--timeout SECONDS")
    assert all(option in text for option in others)
    assert "mine" in invoke(target, "--help", help="mine").stdout
    assert "Run 'show and 1 more': 2 nodes." in invoke([show(1), show(2)], "--help").stdout


def test_mounted_in_another_app() -> None:
    """`app.add_typer(cs.cli(target), name=…)` makes one command of it, with plain help even among boxes."""
    app = typer.Typer()
    app.add_typer(cs.cli(show(cs.Param("n", 1, description="[bold]"))), name="first")
    app.add_typer(cs.cli(fail().named("my second")))
    runner = CliRunner()
    assert runner.invoke(app, ["first", "--n", "5", "--log-level", "ERROR"]).stdout == "5\n"
    assert runner.invoke(app, ["my-second", "--log-level", "CRITICAL"]).exit_code == 1
    result = runner.invoke(app, ["first", "--n", "x"])
    assert result.exit_code == 2
    assert "'x' is not a valid int" in result.stderr
    assert "[bold]" in runner.invoke(app, ["first", "--help"]).stdout
    assert "my-second" in runner.invoke(app, ["--help"]).stdout


def test_the_app_has_a_name() -> None:
    """The graph's, as an option may be spelled, or the one given."""
    assert cs.cli(show(1).named("My Task")).info.name == "My-Task"
    assert cs.cli(show(1).named("?")).info.name == "run"
    assert cs.cli(show(1), name="train").info.name == "train"


def test_as_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    """Called with standalone_mode=False, as in a notebook, it returns the exit code instead of leaving."""
    app = cs.cli(fail())
    hook = sys.excepthook
    try:
        assert app(["--log-level", "CRITICAL"], standalone_mode=False) == 1
        assert cs.cli(show(2))(["--log-level", "CRITICAL"], standalone_mode=False) is None
    finally:
        sys.excepthook = hook  # Typer sets its own
    assert capsys.readouterr().out == "2\n"
