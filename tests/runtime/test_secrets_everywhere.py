"""Secrets planted wherever a value can go show nowhere that anybody can read.

What is promised: the value of a secret Param or Env is in no event, log, repr, error, key, store, export, view or
saved notebook, also not escaped, encoded, packed, cut short or as a plain digest. What is not: a task that returns a
secret has made it a value like any other, which stores and state backends keep for who asked for it; and code outside
of tasks that prints a secret prints it. What tasks print is looked at in `test_script_output`.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import quote_plus

import pytest

import cascade as cs
from cascade.adapters.caching.folder import FolderCache
from cascade.adapters.caching.local import LocalCache
from cascade.adapters.state.sqlite import SqliteStateBackend
from cascade.adapters.stores.local import LocalStore
from cascade.adapters.stores.remote import BackendStore
from cascade.notebook.bundle import finished_bundle
from cascade.notebook.output import capture
from cascade.notebook.record import RunRecord
from tests.runtime.sweep import Planted

pytestmark = pytest.mark.usefixtures("own_context")


class RefusedError(Exception):
    """Words what it says from things that are no texts."""

    def __init__(self, request: dict[str, Any], body: bytes) -> None:
        super().__init__(request, body)
        self.request = [request]
        self.opaque = _Opaque(request["url"])

    def __str__(self) -> str:
        return f"refused: {self.request} {self.opaque.text}"


class _Opaque:
    def __init__(self, text: str) -> None:
        self.text = text


class Talkative:
    """Cannot be pickled, and says with what it was made."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> Any:
        raise TypeError(f"no way to pickle {self.text}")


@pytest.fixture
def planted(monkeypatch):
    """A secret, also in the environment."""
    made = Planted()
    monkeypatch.setenv("SWEEP_TOKEN", made.value)
    return made


def inputs():
    """The secret as a Param, within a Param, and as an Env."""
    return (
        cs.Param("token", secret=True),
        cs.Param("account", type=dict, secret=True),
        cs.Env("SWEEP_TOKEN", secret=True),
    )


def given(planted):
    """What the run is given."""
    return {"token": planted.value, "account": {"user": "ada", "password": planted.value, "pins": [planted.value]}}


def make_target(planted, mode="blocking"):  # noqa: C901 - many tasks, each a line or two
    """A graph that brings the secret everywhere, and does not fail."""
    token, account, env = inputs()

    @cs.task(pure=True, mode=mode)
    def use(x, y=None, z=None):
        return len(str(x))

    @cs.task(mode=mode)
    def to_url(token):
        return f"https://ada:{token}@host/?key={quote_plus(token)}"

    @cs.task(pure=True, mode=mode)
    def fetch(url, headers):
        return len(url) > 9

    @cs.task(pure=True)
    def say(token):
        print("token is", token)
        print(repr(token), token.encode(), json.dumps({"token": token}))
        print("x" * 8100 + token)
        logging.getLogger("sweep").warning("logged %s", token)
        warnings.warn(f"warned {token}", UserWarning, stacklevel=1)
        return 1

    @cs.task(retry=2)
    def stumble(token):
        error = ValueError(f"stumbled over {token}\nand more")
        error.add_note(f"note {token}")
        raise error from KeyError({"url": [token]})

    @cs.task(pure=True, mode=mode)
    def item(x, token=None):
        return len(x)

    @cs.task(pure=True)
    def item_fails(x):
        raise RefusedError({"url": f"https://{x}@host"}, x.encode())

    @cs.task(pure=True)
    def unstorable(token):
        return Talkative(token)

    @cs.task(pure=True)
    def count(x):
        return 1

    @cs.task
    def grow(n):
        late = cs.Param("late", default=planted.value + "late", secret=True)
        return use(late).named(f"grown {planted.value}late")

    @cs.resource
    def session():
        yield 1
        raise RuntimeError(f"cannot close {planted.value}")

    @cs.task
    def with_session(s=cs.inject("session")):
        return 2

    route = cs.Router(selector=token, routes={planted.value: use(1), "other": use(2)}, default=use(3))
    return [
        use(token, env, z={"deep": [account]}).named(f"load {planted.value}"),
        fetch(to_url(token), {"auth": env}),
        say(token),
        stumble(token).with_fallback(0),
        use(stumble(env).run_if(use(token)).with_fallback(planted.value and 5)),
        item.map(x=[token, env, "public"], token=cs.unmapped(token)),
        use(item_fails.map([token, "b"], on_error="collect")),
        count(unstorable(token)),
        grow(1),
        with_session(),
        route,
    ]


def texts_of(run, caplog, capsys, store, folder):
    """Everything that people can read of a run, by where."""
    error = run.exception(20)
    shown = {
        "events": repr(run.events),
        "events as JSON": json.dumps([asdict(e) for e in run.events], default=repr),
        "the run": repr(run) + repr(run.params) + repr(run.graph) + str(run.graph.nodes) + str(run.graph.edges),
        "logs": caplog.text,
        "the console": "".join(capsys.readouterr()),
        "the traceback": "".join(traceback.format_exception(error)) if error is not None else "",
        "the picture": str(cs.visualize(run.graph)) + str(cs.visualize(run.graph)._repr_mimebundle_()),
    }
    record = RunRecord(run.graph)
    record.apply(run.events)
    document = record.document()
    shown["the document"] = json.dumps(document)
    shown["the bundle"] = json.dumps(finished_bundle(document, record.drawing.shape))
    if store is not None:
        history = cs.history(store)
        shown["history"] = str(history) + repr(history) + repr([store.nodes(r.run_id) for r in store.runs()])
        shown["runs"] = repr(store.runs()) + repr(store.ls()) + history.to_frame().to_string()
        for row in store.nodes(run.run_id):
            if row.outcome in {"ran", "stored"}:
                made = cs.lineage(row.node, cache=store)
                shown[f"lineage of {row.task}"] = str(made) + json.dumps(made.to_prov())
                shown[f"why {row.task}"] = str(cs.why(row.node, cache=store))
    return shown


def expect_nothing(planted, shown, *folders):
    """No text tells it, and no file."""
    found = {where: planted.found_in(text) for where, text in shown.items()}
    assert {where: how for where, how in found.items() if how} == {}
    assert planted.files_with_it(*folders) == {}


@contextmanager
def captured():
    """What tasks print belongs to their run; not a fixture, since pytest puts its own stream back after those."""
    capture.acquire()
    try:
        yield
    finally:
        capture.release()


@pytest.mark.slow
@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("mode", ["blocking", "compute"])
def test_a_run_with_a_store(planted, caplog, capsys, tmp_path, mode):
    """Neither the run nor its folder tells a secret; the second run finds what depends on it, and another does not."""
    with captured(), LocalStore(tmp_path / "store", key_file=tmp_path / "key") as store:
        runs = []
        for _ in range(2):
            run = cs.start(
                make_target(planted, mode), given(planted), log_level="DEBUG", cache=store, capture_output=True
            )
            runs.append(run)
            shown = texts_of(run, caplog, capsys, store, tmp_path)
            assert "•••" in shown["events"]
            assert isinstance(run.exception(), RuntimeError), shown["the traceback"]
            expect_nothing(planted, shown, tmp_path / "store")
        kinds = [event.kind for event in runs[0].events if type(event).__name__ == "StoreReported"]
        assert kinds == ["unsaved"]
        first, second = ({row.task: row.outcome for row in store.nodes(run.run_id)} for run in runs)
        assert first["fetch"] == first["item"] == "ran"
        assert second["fetch"] == second["item"] == "stored"
    assert planted.files_with_it(tmp_path) == {}


@pytest.mark.slow
def test_the_ways_to_run(planted, caplog, capsys, tmp_path):
    """Scripts, JSON logs, an executor, a backend, a state file: nothing that cascade itself writes tells the secret."""
    token, account, env = inputs()

    @cs.task(pure=True)
    def use(x, y, z):
        return len(x)

    @cs.task
    def fails(x):
        secret_local = {"here": x}
        raise OSError(5, f"no {secret_local}", x)

    target = [use(token, account, env), use.map(x=[token], y=[env], z=[account])]
    with ThreadPoolExecutor(2) as pool, SqliteStateBackend(tmp_path / "state.db") as state:
        backends = [FolderCache(tmp_path / "folder"), LocalCache(tmp_path / "local", key_file=tmp_path / "key")]
        for backend in backends:
            store = BackendStore(backend, key_file=tmp_path / "key")
            for form in ("human", "json"):
                values = cs.run(
                    target, given(planted), None, "DEBUG", form, cache=store, executor=pool, state_backend=state
                )
                assert values == [len(planted.value), [len(planted.value)]]
                with pytest.raises(OSError, match="no ") as raised:
                    cs.run([fails(token), target], given(planted), None, "DEBUG", form, cache=store)
                told = "".join(traceback.format_exception(raised.value)) + repr(raised.value.__dict__)
                assert not planted.found_in(told)
            run = cs.start(target, given(planted), log_level=None, cache=store)
            assert run.result(10)[0] == len(planted.value)
            assert {type(e).__name__ for e in run.events} >= {"NodeRecalled"}
    shown = {"logs": caplog.text, "console": "".join(capsys.readouterr())}
    shown["plan"] = str(cs.dry_run(target, given(planted))) + str(cs.plan(target, given(planted), cache=store))
    shown["file"] = cs.to_json(target)
    expect_nothing(planted, shown, tmp_path)


def test_a_state_backend_that_fails_with_a_secret(planted, caplog):
    """What a backend says when it fails is a log line like any other."""

    class Broken:
        def begin_run(self, run_id):
            raise OSError(f"cannot connect to https://{planted.value}@host")

        def put_result(self, node, value):
            raise AssertionError

    @cs.task
    def use(x):
        return 1

    assert cs.run(use(cs.Env("SWEEP_TOKEN", secret=True)), log_level=None, state_backend=Broken()) == 1
    assert "kept no more" in caplog.text
    assert not planted.found_in(caplog.text)


@pytest.mark.parametrize("limit", [80, 200, 300, 500, 2000])
def test_a_text_that_is_cut_in_the_middle_of_a_secret(planted, limit):
    """Neither what stands before a cut nor what stands after it tells a part of a secret."""

    @cs.task(retry=2)
    def fails(x):
        raise ValueError("x" * (limit - len(planted.core)) + x + "y" * 5000)

    run = cs.start(fails(cs.Env("SWEEP_TOKEN", secret=True)), log_level=None)
    assert isinstance(run.exception(5), ValueError)
    assert not planted.found_in(repr(run.events))


def test_secrets_of_several_lines(monkeypatch):
    """A private key is hidden line by line, since logs are."""
    lines = ["-----BEGIN KEY-----", "bGluZSBvbmUgb2YgaXQ", "bGluZSB0d28gb2YgaXQ"]
    monkeypatch.setenv("SWEEP_TOKEN", "\n".join(lines))

    @cs.task
    def fails(x):
        raise ValueError(f"bad key: {x.splitlines()[1]}", x.splitlines())

    run = cs.start(fails(cs.Env("SWEEP_TOKEN", secret=True)), log_level=None)
    told = "".join(traceback.format_exception(run.exception(5))) + repr(run.events)
    assert not [line for line in lines if line in told]


def test_other_words_stay(monkeypatch):
    """What only begins like a secret is shown, and truth values and numbers of two digits are no secrets."""
    monkeypatch.setenv("SWEEP_TOKEN", "postgresql://ada:hunter2@host/data")

    @cs.task
    def fails(x, y, z):
        raise ValueError("True 42 postgresql://localhost/other")

    token = cs.Env("SWEEP_TOKEN", secret=True)
    flags = cs.Param("flag", True, secret=True), cs.Param("pin", 42, secret=True)
    with pytest.raises(ValueError, match="True 42 postgresql://localhost/other"):
        cs.run(fails(token, *flags), log_level=None)
    assert os.environ["SWEEP_TOKEN"].endswith("data")
