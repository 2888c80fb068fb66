from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import SettingError
from cascade.messaging.bus import Message, Messenger, messaging_bus
from cascade.runtime.subscribers import HumanReadableLogSubscriber, make_log_subscriber


class Keeper:
    """A renderer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def render(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]


HEAD: dict[str, Any] = {"run_id": "r1", "seq": 0, "at": 1_750_000_000.0, "elapsed": 0.5}
NODE: dict[str, Any] = {**HEAD, "node": "fit", "name": "fit"}
HOLD: dict[str, Any] = {
    **NODE,
    "resource": "gpu",
    "kind": "capacity",
    "index": 2,
    "amount": 1.0,
    "usage": 1.0,
    "capacity": 2.0,
}


def told(*events: ev.Event, level: str = "DEBUG") -> list[str]:
    """What is said of these events."""
    keeper = Keeper()
    HumanReadableLogSubscriber(Messenger(keeper, level))(list(events))
    return keeper.texts


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (ev.RunStarted(**HEAD, name="demo", nodes=1), "INFO", "run demo started: 1 node"),
        (
            ev.RunStarted(**HEAD, name="d", nodes=2, capacities={"cpu": 4.0}),
            "INFO",
            "run d started: 2 nodes, within cpu 4",
        ),
        (ev.RunFinished(**HEAD, status="completed", duration=1.0), "INFO", "run r1 completed in 1.00 s"),
        (ev.GraphGrown(**NODE, nodes=("a", "b")), "INFO", "fit goes on with 2 more nodes"),
        (ev.LoopTurned(**NODE, turns=1200, key="again"), "DEBUG", "fit took 1,200 turns, the last to again"),
        (ev.RunFinished(**HEAD, status="cancelled", duration=1.0), "WARNING", "run r1 was cancelled after 1.00 s"),
        (
            ev.RunFinished(**HEAD, status="failed", duration=1.0, error_type="E", error="no"),
            "ERROR",
            "run r1 failed after 1.00 s: E: no",
        ),
        (ev.RunPaused(**HEAD), "INFO", "run r1 is paused: nothing new starts"),
        (ev.RunResumed(**HEAD), "INFO", "run r1 goes on"),
        (ev.StepModeEntered(**HEAD), "INFO", "run r1 goes step by step: each start waits for a Next"),
        (ev.StepModeLeft(**HEAD), "INFO", "run r1 runs on by itself"),
        (ev.NodeHeld(**NODE), "INFO", "fit is next"),
        (ev.RunCancelRequested(**HEAD, reason="Stop"), "WARNING", "run r1 is being cancelled: Stop"),
        (ev.LimitSet(**HEAD, limit_id="l", scope="global", kind="pause"), "INFO", "limit l set on global: pause"),
        (ev.LimitRemoved(**HEAD, limit_id="l"), "INFO", "limit l removed"),
        (ev.EventsDropped(**HEAD, count=3), "WARNING", "3 events came too fast for this log and are left out"),
        (ev.StoreReported(**HEAD, kind="off", problem="no space"), "WARNING", "store: no space"),
        (
            ev.StoreReported(**HEAD, kind="unsaved", problem="a lock", task="fit"),
            "WARNING",
            "the result of fit is not stored: a lock",
        ),
        (ev.NodeStarted(**NODE, index=3), "DEBUG", "fit[3] started"),
        (ev.NodeStarted(**NODE, attempt=2), "DEBUG", "fit started again, attempt 2"),
        (ev.NodeCompleted(**NODE, duration=0.5), "INFO", "fit done in 0.50 s"),
        (ev.NodeCompleted(**NODE, duration=0.5, summary="int 3"), "INFO", "fit done in 0.50 s: int 3"),
        (ev.ItemsCompleted(**NODE, first=10, count=5, duration=1.0), "DEBUG", "fit: 5 items from 10 on done in 1.00 s"),
        (ev.NodeFailed(**NODE, error_type="ValueError", error="no"), "ERROR", "fit failed: ValueError: no"),
        (ev.NodeFailed(**NODE, attempt=3, error_type="E", error="no"), "ERROR", "fit failed in attempt 3: E: no"),
        (
            ev.NodeRetrying(**NODE, attempt=1, max_attempts=3, delay=0.5, error_type="E", error="no"),
            "WARNING",
            "fit: attempt 1 of 3 failed (E: no), next one in 0.50 s",
        ),
        (
            ev.NodeWaiting(**NODE, resource="gpu", reason="waits for gpu, held by train"),
            "DEBUG",
            "fit waits for gpu, held by train",
        ),
        (ev.NodeSkipped(**NODE, reason="its condition is false"), "INFO", "fit skipped: its condition is false"),
        (ev.NodeCancelled(**NODE, reason="load failed"), "INFO", "fit cancelled: load failed"),
        (ev.NodeAbandoned(**NODE, reason="it sleeps"), "WARNING", "fit cannot be stopped: it sleeps"),
        (ev.MapExpanded(**NODE, total=1_000), "DEBUG", "fit has 1,000 items"),
        (ev.MapExpanded(**NODE, total=None), "DEBUG", "fit takes items as they come"),
        (ev.RouteChosen(**NODE, key="left"), "DEBUG", "fit took the route left"),
        (ev.ResourceSetUp(**HEAD, resource="db", duration=0.5), "INFO", "resource db set up in 0.50 s"),
        (ev.ResourceTornDown(**HEAD, resource="db", duration=0.5), "INFO", "resource db closed in 0.50 s"),
        (
            ev.ResourceTornDown(**HEAD, resource="db", duration=0.5, error="E: no"),
            "WARNING",
            "resource db could not be closed properly: E: no",
        ),
        (ev.ResourceAcquired(**HOLD), "DEBUG", "fit[2] took 1 of gpu: 1 of 2 in use"),
        (ev.ResourceReleased(**HOLD), "DEBUG", "fit[2] gave 1 of gpu back: 1 of 2 in use"),
    ],
)
def test_each_event_has_its_sentence_and_level(event: ev.Event, level: str, text: str) -> None:
    """Told at its level and below, not above it."""
    order = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    for at in order:
        expected = [text] if order.index(at) <= order.index(level) else []
        assert told(event, level=at)[: len(expected) or None] == expected
        kinds = HumanReadableLogSubscriber(Messenger(Keeper(), at)).kinds
        assert type(event) in kinds or not expected


def test_every_kind_of_event_is_told_or_left_out_on_purpose() -> None:
    """A new event class must be thought of here: only the tasks' own output is not repeated."""
    bases = {ev.Event, ev.LifecycleEvent, ev.NodeEvent, ev.ResourceEvent}
    classes = {getattr(ev, name) for name in ev.__all__} - bases
    assert classes - set(HumanReadableLogSubscriber(level="DEBUG").kinds) == {ev.OutputWritten, ev.DisplayShown}


def test_what_is_not_told_is_not_asked_for() -> None:
    """At ERROR only failures are decoded at all; at CRITICAL nothing is."""
    assert set(HumanReadableLogSubscriber(level="ERROR").kinds) == {ev.NodeFailed, ev.RunFinished}
    assert HumanReadableLogSubscriber(level="CRITICAL").kinds == ()


def test_own_output_is_not_repeated() -> None:
    """What a task prints is on the screen already."""
    assert told(ev.OutputWritten(**NODE, stream="stdout", text="hello")) == []


def test_nodes_of_one_name_are_told_apart() -> None:
    """The second call of a task has its number, and the item of a map its index."""
    second = {**NODE, "node": "fit#2"}
    assert told(ev.NodeStarted(**second), ev.NodeStarted(**second, index=4)) == ["fit#2 started", "fit#2[4] started"]


def test_params_are_previews() -> None:
    """The values of Params come with the start, as short as the event has them."""
    started = ev.RunStarted(**HEAD, name="demo", nodes=1, params={"alpha": "0.5", "key": "•••"})
    assert told(started) == ["run demo started: 1 node", "with alpha 0.5, key •••"]


def test_a_failure_names_the_users_line() -> None:
    """The innermost of the user's frames, on a line of its own."""
    frames = (("a.py", 1, "<module>", "main()"), ("b.py", 7, "work", "  return 1 / 0 "))
    failed = ev.NodeFailed(**NODE, error_type="ZeroDivisionError", error="division by zero", frames=frames)
    assert told(failed)[1] == "    in work, b.py line 7: return 1 / 0"


def test_names_and_counts_belong_to_the_run() -> None:
    """The end of a run has the name from its start and counts its nodes, not the items of maps; two runs do not mix."""
    other = {**HEAD, "run_id": "r2"}
    done = ev.NodeCompleted(**NODE)
    assert told(
        ev.RunStarted(**HEAD, name="one", nodes=3),
        ev.RunStarted(**other, name="two", nodes=1),
        done,
        ev.NodeCompleted(**NODE, index=1),
        ev.NodeRetrying(**NODE, attempt=1, max_attempts=2, delay=0, error_type="E", error=""),
        ev.NodeSkipped(**NODE, reason="x"),
        ev.RunFinished(**HEAD, status="completed", duration=1.0),
        ev.RunFinished(**other, status="completed", duration=1.0),
        level="INFO",
    )[-2:] == ["run one completed in 1.00 s (1 done, 1 retry, 1 skipped)", "run two completed in 1.00 s"]


def test_the_end_of_a_run_names_it_where_its_start_is_not_told() -> None:
    """At the level of errors, too, a run is called by its name."""
    started = ev.RunStarted(**HEAD, name="demo", nodes=1)
    failed = ev.RunFinished(**HEAD, status="failed", duration=1.0, error_type="ValueError", error="no")
    assert told(started, failed, level="ERROR") == ["run demo failed after 1.00 s: ValueError: no"]


def test_threads_that_go_on_are_named() -> None:
    """A run that ends while a thread cannot be stopped says which."""
    finished = ev.RunFinished(**HEAD, status="cancelled", duration=1.0, abandoned=("fit", "load[2]"))
    assert told(finished)[0] == "these cannot be stopped and still run: fit, load[2]"


def test_many_of_a_kind_in_one_list_are_folded() -> None:
    """A thousand completions are five lines and a number; twenty are twenty."""
    done = [ev.NodeCompleted(**{**NODE, "node": f"n{i}"}) for i in range(1_000)]
    lines = told(*done)
    assert len(lines) == 6
    assert lines[0].startswith("n0 done")
    assert lines[-1] == "… and 995 more done"
    assert len(told(*done[:20])) == 20


def test_folding_is_by_kind() -> None:
    """Rare events among many are told, where they happened; each kind has its own rest."""
    events: list[ev.Event] = []
    for i in range(100):
        events += [ev.NodeCompleted(**NODE), ev.NodeSkipped(**NODE, reason="x")]
        if i == 50:
            events.append(ev.NodeFailed(**NODE, error_type="E", error="no"))
    lines = told(*events)
    assert lines.count("fit failed: E: no") == 1
    assert lines[-2:] == ["… and 95 more done", "… and 95 more skipped"]
    assert len(lines) == 13


def test_folded_nodes_are_counted() -> None:
    """The counts at the end are those of all nodes, told or not."""
    finished = ev.RunFinished(**HEAD, status="completed", duration=1.0)
    assert told(*[ev.NodeCompleted(**NODE)] * 1_000, finished)[-1] == "run r1 completed in 1.00 s (1,000 done)"


def test_a_hundred_thousand_events_are_quick() -> None:
    """Watching costs little: folding makes no sentence for what it leaves out."""
    events = [ev.NodeCompleted(**NODE)] * 100_000
    start = time.perf_counter()
    assert len(told(*events)) == 6
    assert time.perf_counter() - start < 1.0


def test_one_event_without_a_list() -> None:
    """It may be called with a single event, too."""
    keeper = Keeper()
    HumanReadableLogSubscriber(Messenger(keeper))(ev.NodeCompleted(**NODE, duration=0.5))
    assert keeper.texts == ["fit done in 0.50 s"]


def test_times_are_those_of_the_events() -> None:
    """A message bears the time at which it happened, not at which it was told."""
    keeper = Keeper()
    HumanReadableLogSubscriber(Messenger(keeper))([ev.NodeCompleted(**NODE)])
    assert keeper.messages[0].at == 1_750_000_000.0
    assert keeper.messages[0].fields["elapsed"] == 0.5


@pytest.mark.parametrize(
    ("level", "form", "told_wrong"),
    [
        ("INFOO", "human", r"log_level cannot be 'INFOO'. Did you mean 'INFO'\?"),
        ("INFO", "jason", r"log_format cannot be 'jason'. Did you mean 'json'\?"),
        ("INFO", None, r"log_format cannot be None. It is one of human, json"),
    ],
)
def test_wrong_settings_are_told_before_the_run(level: str, form: Any, told_wrong: str) -> None:
    """Level and format are checked, with the nearest right one; by `cs.run`, too."""
    with pytest.raises(SettingError, match=told_wrong):
        make_log_subscriber(level, form)
    with pytest.raises(SettingError, match=told_wrong):
        cs.run(cs.task(len)([]), log_level=level, log_format=form)


def test_a_run_speaks_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole way: events of a real run, words, console; the result is not printed."""

    @cs.task
    def fit() -> int:
        return 3

    assert cs.run(fit()) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0].endswith("◐ run fit started: 1 node")
    assert "● fit done in" in lines[1]
    assert lines[-1].endswith("(1 done)")


def test_a_run_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is an object; the same facts."""
    cs.run(cs.task(len)("abc"), log_format="json")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events[0] == "run.started"
    assert events[-1] == "run.completed"


def test_a_renderer_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """What someone gave to the shared messenger shows the log of runs."""
    keeper = Keeper()
    messaging_bus.set_renderer(keeper)
    try:
        cs.run(cs.task(len)("abc"))
    finally:
        messaging_bus.set_renderer(None)
    assert keeper.texts[0] == "run len started: 1 node"
    assert capsys.readouterr().err == ""


def test_log_level_none_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """A run without a log says nothing, not even that it failed."""
    with pytest.raises(ZeroDivisionError):
        cs.run(cs.task(lambda: 1 / 0)(), log_level=None)
    assert capsys.readouterr().err == ""


def test_a_log_in_a_file() -> None:
    """Any stream will do."""
    stream = io.StringIO()
    from cascade.messaging.renderer import ConsoleRenderer

    log = HumanReadableLogSubscriber(Messenger(ConsoleRenderer(stream), "INFO"))
    cs.run(cs.task(len)("abc"), log_level=None, subscribers=[log])
    assert stream.getvalue().count("\n") == 3
