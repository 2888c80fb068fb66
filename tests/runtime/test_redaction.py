"""Secrets are found in the ways in which programs write them, and other words are left alone."""

from __future__ import annotations

import ast
import base64
import json
import pickle
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.runtime.failure import hide_secrets
from cascade.runtime.redaction import DOTS, Redactor

WRITERS = {
    "as it is": str,
    "repr": repr,
    "ascii": ascii,
    "repr of a repr": lambda text: repr(repr(text)),
    "repr among quotes": lambda text: repr(f"'{text}\""),
    "repr of bytes": lambda text: repr(text.encode("utf-8", "surrogatepass")),
    "JSON": json.dumps,
    "JSON in unicode": lambda text: json.dumps({"a": [text]}, ensure_ascii=False),
    "HTML": escape,
    "path of a URL": lambda text: quote(text.encode("utf-8", "surrogatepass")),
    "part of a URL": lambda text: quote(text.encode("utf-8", "surrogatepass"), safe=""),
    "form": lambda text: quote_plus(text.encode("utf-8", "surrogatepass")),
    "base 64": lambda text: base64.b64encode(text.encode("utf-8", "surrogatepass")).decode(),
    "hexadecimal": lambda text: text.encode("utf-8", "surrogatepass").hex(),
}


def redactor(*values: object) -> Redactor:
    """One that knows `values`."""
    made = Redactor()
    for value in values:
        made.add_value(value)
    return made


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@given(secret=st.text(min_size=3, max_size=40).filter(lambda text: len(text.strip()) > 2))
def test_every_way_to_write_a_secret(write, secret):
    """Whatever characters it has, it is found as each writer writes it, and dots stand there."""
    shown = redactor(secret)(f"before {write(secret)} after")
    assert DOTS in shown
    assert write(secret) not in shown


@given(secret=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=40), before=st.binary(max_size=7))
def test_base_64_of_a_text_with_a_secret_in_it(secret, before):
    """`user:password` in base 64, as in the header of a request, tells no part that could be read."""
    text = base64.b64encode(before + secret.encode() + b"!").decode()
    shown = redactor(secret)(text)
    assert DOTS in shown
    assert len(shown) <= len(text) - len(secret)


@given(st.text("abcdef0123456789", min_size=24, max_size=60), st.integers(0, 60), st.sampled_from(["…", "...", ""]))
def test_a_secret_that_was_cut(secret, kept, mark):
    """Of a secret that was cut, with or without a mark, at most a few characters are left at the beginning."""
    shown = redactor(secret)(f"token={secret[:kept]}{mark}")
    assert secret[:8] not in shown
    assert secret[-8:] not in redactor(secret)(f"{mark or '…'}{secret[-kept or len(secret) :]} end")


def test_secrets_in_containers_are_known_one_by_one():
    """The texts inside a secret dict, list or bytes are secrets; numbers too; truth and nothing are none."""
    hide = redactor({"user": "ada-l", "pins": [123456, b"bytes-in-it"]}, None, True, 7, Path("private") / "key.pem")
    assert hide("ada-l 123456 bytes-in-it private/key.pem None True 7") == "••• ••• ••• ••• None True 7"
    assert hide.holds("ada-l")
    assert hide.holds(b"bytes-in-it")
    assert not hide.holds("ada")
    assert not Redactor().holds("ada-l")


def test_a_run_without_secrets_changes_nothing():
    """The same object comes back."""
    text = "x" * 1000
    assert Redactor()(text) is text


@dataclass
class StrangeError(Exception):
    """Keeps what it was given in slots and containers."""

    request: dict[str, object]

    def __str__(self) -> str:
        return f"refused {self.request}"


class SlottedError(Exception):
    """Has a slot of its own."""

    __slots__ = ("token",)

    def __str__(self) -> str:
        return f"bad {self.token}"


class StubbornError(Exception):
    """Words what it says from an object that nobody else knows."""

    def __init__(self, hidden: object) -> None:
        super().__init__()
        self.hidden = hidden

    def __str__(self) -> str:
        return f"no entry for {self.hidden()}"


def errors(secret: str) -> list[BaseException]:
    """Exceptions that tell the secret in ways of their own."""
    slotted = SlottedError()
    slotted.token = secret
    syntax = SyntaxError("bad", ("file", 1, 2, f"token = {secret}"))
    group = ExceptionGroup(f"group {secret}", [ValueError(secret), KeyError({"url": (secret,)})])
    noted = ValueError("plain")
    noted.add_note(f"note {secret}")
    chained = ValueError("plain")
    chained.__cause__ = OSError(2, f"none {secret}", f"/{secret}", None, f"/to/{secret}")
    chained.__cause__.__context__ = ImportError(secret, name=secret, path=secret)
    return [
        ValueError({"deep": [(secret, secret.encode())]}), StrangeError({"url": [secret]}), slotted, syntax, group,
        noted, chained, StopIteration(secret), SystemExit(secret), UnicodeEncodeError("ascii", secret, 0, 1, secret),
        StubbornError(lambda: secret), json.JSONDecodeError("bad", f"[{secret}", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(12))
def test_exceptions_of_every_make(number):
    """Text, repr, arguments, attributes, notes, causes and parts of an exception tell nothing; its class stays."""
    import traceback

    secret = "S3CR3T-8c31f00dcafe42"
    error = errors(secret)[number]
    kind = type(error)
    hide_secrets(error, redactor(secret))
    told = "".join(traceback.format_exception(error)) + str(error) + repr(error.args) + repr(vars(error))
    assert secret not in told.replace(repr(getattr(error, "hidden", "")), "")
    assert isinstance(error, kind)
    assert type(error).__name__ == kind.__name__
    if kind in {ValueError, KeyError, OSError}:
        pickle.loads(pickle.dumps(error))


def test_the_users_own_containers_are_not_changed():
    """What an exception carries may be a list that the program goes on with: it gets a copy without secrets."""
    mine = {"tokens": ["S3CR3T-8c31f00dcafe42"]}
    error = ValueError(mine)
    hide_secrets(error, redactor("S3CR3T-8c31f00dcafe42"))
    assert mine == {"tokens": ["S3CR3T-8c31f00dcafe42"]}
    assert ast.literal_eval(str(error)) == {"tokens": [DOTS]}


def test_names_of_nodes(own_context):
    """Nodes whose names are made of a secret are told apart without it, in the run and in its pictures."""
    token = cs.Param("token", secret=True)

    @cs.task
    def load(x, y):
        return y

    target = [load(token, k).named(f"load S3CR3T-{k}-x") for k in range(2)]
    run = cs.start([*target, load(token, 3).named("S3CR3T-0-xS3CR3T-0-x")], {"token": "S3CR3T-0-x"}, log_level=None)
    assert run.result(5) == [0, 1, 3]
    names = [node.name for node in run.graph.nodes if node.kind == "task"]
    assert names == ["load •••", "load S3CR3T-1-x", "••••••"]
    assert len(set(run.graph.ids)) == 3
