"""Passwords in addresses, and secrets that programs say: nobody reads them, and the values stay true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.providers.shell import ShellResult
from cascade.spec.logins import hide_logins

PASSWORD = "s3cretpw"
URL = f"http://me:{PASSWORD}@127.0.0.1:9/x"
CALLS: list[Callable[[], Any]] = [
    lambda: cs.http.get(URL, max_attempts=1), lambda: cs.http.post(URL, max_attempts=1),
    lambda: cs.http.get(f"http://127.0.0.1:9/x?api_token={PASSWORD}&x=1", max_attempts=1), lambda: cs.read.csv(URL),
    lambda: cs.sql("select 1", on=f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:9/x"),
    lambda: cs.sql("select 1", on=f"nonsense://me:{PASSWORD}@127.0.0.1:9/x"),
    lambda: cs.fs.list(f"ftp://me:{PASSWORD}@127.0.0.1:9/"),
    lambda: cs.write.text(f"ftp://me:{PASSWORD}@127.0.0.1:9/", ""),
    lambda: cs.io.local.read(URL), lambda: cs.read.text(URL, root="."), lambda: cs.load_yaml(URL),
    lambda: cs.shell(f"false {URL}"), lambda: cs.shell(["false", URL]), lambda: cs.shell(f"echo {URL} >&2; false"),
    lambda: cs.template(f"{{{{ x }}}} {URL}"), lambda: cs.shell("false {u}", u=URL),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_a_password_in_an_address_shows_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]
) -> None:
    """Not in the call, the picture, the error and its notes, the arguments that events tell, and not cut in half."""
    monkeypatch.chdir(tmp_path)
    lazy = call()
    run = cs.start(lazy, log_level=None)
    with pytest.raises(Exception, match=r".") as caught:
        run.result()
    shown = [repr(lazy), str(cs.visualize(lazy)), str(caught.value), *getattr(caught.value, "__notes__", ())]
    shown += [str(told(event)) for event in run.events if not isinstance(event, ev.OutputWritten)]
    for text in shown:
        assert PASSWORD[:4] not in text


def told(event: Any) -> dict[str, Any]:
    """What an event tells, but for the lines of the source that raised."""
    return {
        name: getattr(event, name) for name in event.__dataclass_fields__ if name not in ("frames", "causes", "chain")
    }


def test_ordinary_texts_are_left_alone() -> None:
    """Times, ports and signs of place in other texts are no passwords."""
    for text in ("a@b", "http://host:80/a@b", "see http://host/a?x=1#k=2", "12:30@noon", "s3://bucket/a?b"):
        assert hide_logins(text) == text
    assert hide_logins("pg://:pw@h") == "pg://:•••@h"


def test_a_secret_that_a_program_says_is_in_no_repr() -> None:
    """The repr of the result tells how much was said; the value is what it is."""
    said = cs.shell(["echo", cs.Param("pw", secret=True)], show=False)
    found = cs.run({"said": said}, params={"pw": "hunter2secret"}, log_level=None)
    assert found["said"].stdout == "hunter2secret\n"
    assert "hunter2" not in repr(found)
    assert repr(found["said"]) == "<shell ended with code 0: 14 characters on stdout, 0 on stderr>"
    assert repr(ShellResult(1, b"ab", "no")) == "<shell ended with code 1: 2 bytes on stdout, 2 on stderr>"
