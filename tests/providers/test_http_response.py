"""The answer to a request, as a value."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.providers.errors import PartError
from cascade.providers.http_errors import HttpError
from cascade.providers.http_response import Response
from tests.providers.http_service import Service


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A web service of this machine."""
    with Service() as running:
        yield running


def get(url: str, **options: Any) -> Any:
    """Ask, quietly."""
    return cs.run(cs.http.get(url, **options), log_level=None)


def test_an_answer_is_plain_data(service: Service) -> None:
    """Status, headers, text and JSON are there after the connection has gone, and in another process."""
    answer = get(f"{service.url}/json")
    again = pickle.loads(pickle.dumps(answer))
    assert again == answer
    assert (answer.status, answer.reason, answer.is_success) == (200, "OK", True)
    assert answer.json() == {"x": [1, None, "é"]}
    assert answer.header("Content-Type").startswith("application/json")
    assert answer.header("nope", "none") == "none"
    assert repr(answer) == f"<200 OK, {len(answer.content)} bytes of application/json>"


def test_parts_of_an_answer(service: Service) -> None:
    """A lazy answer has its documented parts as items, as cs.shell has; another name tells how JSON is asked for."""
    url = f"{service.url}/json"
    assert cs.run([cs.http.get(url)["status"], cs.http.get(url)["ok"]], log_level=None) == [200, True]
    answer = get(url)
    assert answer["text"] == answer.text
    assert (answer["url"], answer["reason"]) == (url, "OK")
    with pytest.raises(PartError, match=r"no part 'x'.*cs\.http\.get\(url, as_='json'\)\['x'\]") as caught:
        cs.run(cs.http.get(url)["x"], log_level=None)
    assert isinstance(caught.value, KeyError)


def test_an_answer_can_be_made_an_error(service: Service) -> None:
    """What check=False lets through tells whether it is well, and raises what check=True would have."""
    assert (well := get(f"{service.url}/json")).raise_for_status() is well
    refused = get(f"{service.url}/status/404", check=False)
    assert (refused.ok, refused["ok"]) == (False, False)
    with pytest.raises(HttpError, match=r"A request to http.*/status/404 was answered with 404 Not Found") as caught:
        refused.raise_for_status()
    assert caught.value.status == 404


def test_two_answers_with_other_dates_are_the_same_value() -> None:
    """What follows a request does not run again because the clock of the service went on."""
    one = Response(200, "OK", "http://h/a", (("date", "Mon"), ("content-type", "a/b")), b"x")
    other = Response(200, "OK", "http://h/a", (("date", "Tue"), ("content-type", "a/b")), b"x")
    changed = Response(200, "OK", "http://h/a", (("content-type", "a/b"),), b"y")
    assert one.__cascade_digest__() == other.__cascade_digest__() != changed.__cascade_digest__()
