from __future__ import annotations

import json
import threading

import pytest

import cascade as cs
from cascade.adapters.sinks.journal import JournalSink, replay
from cascade.interfaces import events as ev
from cascade.interfaces.remote_errors import JournalError


@cs.task
def add(x, y=1):
    return x + y


@cs.task
def bad(x):
    raise ValueError(f"no {x}")


@cs.task
def grow(n):
    return add(add(n, 1), 1)


@pytest.fixture
def path(tmp_path):
    """Where the journal is."""
    return tmp_path / "folder" / "runs.jsonl"


def test_what_was_written_is_read_back(path):
    """Every event comes back as it was, with the graph, its edges and what the run said of itself."""
    held = add(1).with_constraints(gpu=1)
    target = [add(cs.Param("x", default=1, type=int), 2), add.map(x=[1, 2, 3]), bad(held), grow(1)]
    run = cs.start(target, log_level=None, subscribers=[JournalSink(path)], on_failure="continue", name="lesson",
                   system_resources={"gpu": 1})  # fmt: skip
    assert isinstance(run.exception(10), ValueError)
    read = replay(path)
    assert read.events == run.events
    assert list(read.graph.nodes) == list(run.graph.nodes)
    assert list(read.graph.edges) == list(run.graph.edges)
    assert (read.run_id, read.name, read.state) == (run.run_id, "lesson", "failed")
    assert (read.params, read.capacities) == (run.params, {"gpu": 1})
    assert read.error == "no 2"
    assert read.elapsed == pytest.approx(run.elapsed, abs=0.2)
    assert abs(read.started_at - run.started_at) < 0.01


def test_several_runs_in_one_file(path):
    """Runs are added; which one is read must be said, and the error lists them."""
    sink = JournalSink(path)
    runs = [cs.start(add(n), log_level=None, subscribers=[sink]) for n in range(3)]
    for run in runs:
        run.result(10)
    with pytest.raises(JournalError, match=runs[0].run_id):
        replay(path)
    assert replay(path, runs[1].run_id).events == runs[1].events
    with pytest.raises(JournalError, match="several runs"):
        replay(path, "other")


def test_a_file_that_a_crash_cut_short(path):
    """What is whole is read; a run without an end is one that was going on."""
    cs.run(add(1), log_level=None, subscribers=[JournalSink(path)])
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b'{"kind":"RunFinished"') + 20])
    read = replay(path)
    assert read.state == "running"
    assert isinstance(read.events[-1], ev.NodeCompleted)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no run"),
        ("no json\n", "line 1 is not JSON"),
        ("[1]\n", "line 1 is no event"),
        ('{"kind": "RunStarted"}\n', "line 1 is no event"),
        ('{"kind": "Journal", "run_id": "r"}\n', "unknown kind"),
        ('{"kind": ["x"], "run_id": "r"}\n', "unknown kind"),
        ('{"kind": "NodeStarted", "run_id": "r"}\n', "lacks fields"),
        ('{"kind": "NodeStarted", "run_id": "r", "__class__": "x"}\n', "fields that its kind does not have"),
        ('{"kind": "RunPaused", "run_id": "r", "seq": "x", "at": 1, "elapsed": 1}\n', "the field 'seq' that does not"),
        ('{"kind": "RunPaused", "run_id": "r", "seq": true, "at": 1, "elapsed": 1}\n', "the field 'seq'"),
        ('{"kind": "RunPaused", "run_id": "r", "seq": 1, "at": 1, "elapsed": NaN}\n', "the field 'elapsed'"),
        ('{"kind": "RunPaused", "run_id": "r", "seq": 1, "at": 1, "elapsed": 1e300}\n', "the field 'elapsed'"),
        ('{"kind": "RunPaused", "run_id": "r", "seq": 1, "at": 1, "elapsed": 1' + "0" * 400 + "}\n", "'elapsed'"),
        ('{"kind": "graph", "run_id": "r", "graph": {"nodes": [1]}}\n', "holds no graph"),
        (
            '{"kind":"graph", "run_id":"r", "graph":{"name":"", "nodes":[], "edges":[{"source":"", "target":""}]}}\n',
            "arrow to a node that it does not have",
        ),
        (
            '{"kind": "graph", "run_id": "r", "graph": {"name": "", "nodes": [{"id": 1, "name": "a"}], "edges": []}}\n',
            "the field 'id'",
        ),
    ],
)
def test_what_is_no_journal(path, text, problem):
    """A line that is no event is an error that names it."""
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JournalError, match=problem):
        replay(path)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("RunStarted", "name", 5),
        ("RunStarted", "params", ["a"]),
        ("RunStarted", "capacities", {"gpu": "one"}),
        ("RunFinished", "status", "over"),
        ("NodeFailed", "error", None),
        ("NodeFailed", "frames", [["f.py", "1", "f", "x"]]),
        ("NodeCompleted", "index", "0"),
        ("NodeCompleted", "index", -1),
        ("ResourceAcquired", "what", "person"),
        ("ResourceAcquired", "amount", -1),
    ],
)
def test_a_value_of_another_kind(path, tmp_path, kind, field, value):
    """A field that holds what no run could have told is an error that names it, never a fault of who draws the run."""
    target = [add.map(x=[1, 2]), add(1).with_constraints(gpu=1), bad(1).with_fallback(0)]
    cs.run(target, log_level=None, system_resources={"gpu": 1}, subscribers=[JournalSink(path)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    line = next(line for line in lines if line["kind"] == kind)
    assert field in line
    line[field] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = "kind" if field == "what" else field
    with pytest.raises(JournalError, match=f"in the field '{told}' that does not belong"):
        replay(path).report(tmp_path / "page.html")


def test_a_file_that_was_copied_into_itself(path):
    """What is there twice is told once."""
    cs.run(add.map(x=[1, 2, 3]), log_level=None, subscribers=[JournalSink(path)])
    once = replay(path).events
    path.write_bytes(path.read_bytes() * 2)
    assert replay(path).events == once


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_run_that_was_killed_is_told_as_far_as_it_went(path, tmp_path, part):
    """A journal that breaks off has a story and a page, too."""
    cs.run(add(add.map(x=list(range(5))), []), log_level=None, subscribers=[JournalSink(path)])
    data = path.read_bytes()
    start = data.index(b'{"kind":"RunStarted"')
    path.write_bytes(data[: start + int(part * (len(data) - start))])
    read = replay(path)
    assert read.state == "running"
    assert "running" in read.replay().splitlines()[-1]
    assert '"track"' in read.report(tmp_path / "page.html").read_text()


def test_the_file_is_bounded(path):
    """Beyond its size only the run's own events are written, and the others are counted."""
    sink = JournalSink(path, most_bytes=4000)
    cs.run([add(n) for n in range(500)], log_level=None, subscribers=[sink])
    assert path.stat().st_size < 200_000
    read = replay(path)
    assert read.state == "completed"
    assert sink.left_out > 0
    assert len(read.events) + sink.left_out >= 502


def test_lines_are_whole(path):
    """Runs that write at the same time leave whole lines."""
    threads = [
        threading.Thread(
            target=lambda: cs.run([add(n) for n in range(200)], log_level=None, subscribers=[JournalSink(path)])
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert sum(each["kind"] == "RunFinished" for each in found) == 4
    assert all(replay(path, run_id).state == "completed" for run_id in {each["run_id"] for each in found})


def test_a_place_that_cannot_be_written(tmp_path, caplog):
    """The run goes on, and it is said once."""
    (tmp_path / "file").touch()
    sink = JournalSink(tmp_path / "file" / "x.jsonl")
    assert cs.run([add(n) for n in range(100)], log_level=None, subscribers=[sink])[0] == 1
    assert sum("is not written" in record.getMessage() for record in caplog.records) == 1


def test_no_secret_is_written(path):
    """A secret is not in the file."""
    with pytest.raises(ValueError, match="no"):
        cs.run(bad(cs.Param("word", secret=True)), {"word": "hunter2-xyz"}, log_level=None,
               subscribers=[JournalSink(path)])  # fmt: skip
    assert b"hunter2" not in path.read_bytes()


@pytest.mark.slow
def test_a_journal_makes_a_report(path, tmp_path):
    """What was read is shown and reported as the run itself would be: the same nodes in the same states."""
    pytest.importorskip("IPython")
    run = cs.start([add(add(1)), add.map(x=[1, 2])], log_level=None, subscribers=[JournalSink(path)], name="lesson")
    run.result(10)
    read = replay(path)
    page = read.report(tmp_path / "report.html").read_text(encoding="utf-8")
    own = run.report(tmp_path / "own.html").read_text(encoding="utf-8")
    assert "lesson" in page
    assert abs(len(page) - len(own)) < 0.2 * len(own)
    assert "over" in read.replay()
    assert "text/html" in read._repr_mimebundle_()[0]


def test_without_a_graph(path):
    """A journal of an engine that showed no graph tells at least the nodes."""
    run = cs.start([add(1), add.map(x=[1, 2])], log_level=None)
    run.result(10)
    JournalSink(path)(run.events)
    assert {node.id for node in replay(path).graph.nodes} == {"add", "add#2"}
