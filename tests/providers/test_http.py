from __future__ import annotations

import base64
import logging
import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import NodeTimeoutError
from cascade.providers.http_errors import HttpError, HttpTimeoutError
from cascade.providers.storage_errors import PlaceError
from tests.providers.hostile import HOSTILE, Canary
from tests.providers.http_service import Service

INJECTING = [
    "x\r\nInjected: yes", "x\nInjected: yes", "x\rInjected: yes",
    "x\r\n\r\nGET /store/stolen HTTP/1.1\r\nHost: a\r\n\r\n", "%0d%0aInjected: yes", "x\u010d\u010aInjected: yes",
    "x\x00y", "x\x0bInjected: yes",
]  # fmt: skip
SCHEMES = [
    "file:///etc/passwd", "FILE:///etc/passwd", "file:/etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:1/_x",
    "data:,x", "javascript:alert(1)", "//", "///etc/passwd", "http://", "https://", "http:/etc/passwd",
    "unix:///run/x", "", "ldap://x",
]  # fmt: skip


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Service, Service]]:
    """Two services; for a client, each port is a host of its own."""
    pytest.importorskip("httpx", reason="httpx is not installed")
    with Service() as one, Service() as other:
        yield one, other


@pytest.fixture
def service(services: tuple[Service, Service]) -> Service:
    """A service that has heard nothing yet."""
    for each in services:
        each.forget()
    return services[0]


@pytest.fixture
def other(services: tuple[Service, Service], service: Service) -> Service:
    """Another host."""
    return services[1]


def get(url: str, *, run: dict[str, Any] | None = None, **options: Any) -> Any:
    """What one GET brings."""
    return cs.run(cs.http.get(url, **options), log_level=None, **(run or {}))


def heard(service: Service) -> dict[str, str]:
    """The headers of the last request, by lower-case name."""
    return {name.lower(): value for name, value in service.heard[-1][0].items()}


# -- what comes back ------------------------------------------------------------------------------------------------


def test_forms_of_an_answer(service: Service) -> None:
    """as_ gives JSON, text in the encoding that the service tells, or bytes; an item of JSON is reached lazily."""
    assert get(f"{service.url}/json", as_="json") == {"x": [1, None, "é"]}
    assert get(f"{service.url}/latin", as_="text") == "é"
    assert get(f"{service.url}/latin", as_="bytes") == b"\xe9"
    assert cs.run(cs.http.get(f"{service.url}/json", as_="json")["x"][2], log_level=None) == "é"
    with pytest.raises(HttpError, match="one of response, json, text, bytes"):
        get(f"{service.url}/json", as_="xml")


def test_what_is_not_json_is_said_so(service: Service) -> None:
    """The error shows where the answer came from and how it begins."""
    with pytest.raises(HttpError, match=r"/echoes is not JSON|/latin is not JSON .* It begins with: é"):
        get(f"{service.url}/latin", as_="json")


def test_bodies(service: Service, tmp_path: Path) -> None:
    """JSON, forms, texts, bytes, files and multipart arrive as what they are."""
    (tmp_path / "f.bin").write_bytes(b"\x00\xff")
    url, file = f"{service.url}/echo", cs.File(tmp_path / "f.bin")
    asked = [
        (cs.http.post(url, json={"a": [1]}), "application/json", b'{"a":[1]}'),
        (cs.http.post(url, data={"a": "1&2"}), "application/x-www-form-urlencoded", b"a=1%262"),
        (cs.http.put(url, content="é"), None, "é".encode()),
        (cs.http.put(url, content=file), None, b"\x00\xff"),
    ]
    for lazy, kind, body in asked:
        cs.run(lazy, log_level=None)
        assert service.heard[-1][1] == body
        assert kind is None or heard(service)["content-type"] == kind
    cs.run(cs.http.post(url, files={"upload": file}, data={"k": "v"}), log_level=None)
    assert b'name="upload"; filename="f.bin"' in service.heard[-1][1]
    assert b'name="k"' in service.heard[-1][1]


def test_put_get_delete(service: Service) -> None:
    """A thing is put, fetched, removed, and then gone; request takes any method."""
    url = f"{service.url}/store/a"
    assert cs.run(cs.http.put(url, content=b"1"), log_level=None).status == 201
    assert get(url, as_="bytes") == b"1"
    assert cs.run(cs.http.request("head", url), log_level=None).content == b""
    assert cs.run(cs.http.delete(url), log_level=None).status == 204
    with pytest.raises(HttpError, match="404"):
        get(url)
    assert get(url, check=False).status == 404


def test_params_and_headers(service: Service) -> None:
    """Values are encoded, lists repeated, None left out, and what stands in the address stays."""
    said = get(f"{service.url}/echo?a=1", params={"b": ["x&y=1", "é"], "n": None}, headers={"X-A": " 1 "}, as_="json")
    assert said["query"] == [["a", "1"], ["b", "x&y=1"], ["b", "é"]]
    assert said["headers"]["X-A"] == "1"
    assert said["headers"]["User-Agent"].startswith("cascade/")


def test_a_map_shares_one_session(service: Service) -> None:
    """Many requests of a run go over the session of that run; a cookie that one gets the next one sends."""
    login = cs.http.get(f"{service.url}/login")
    cs.run(cs.http.get(f"{service.url}/echo").after(login), log_level=None)
    assert heard(service)["cookie"] == "visit=cookie-of-this-host"
    get(f"{service.url}/echo")
    assert "cookie" not in heard(service)
    urls = [f"{service.url}/echo?n={n}" for n in range(20)]
    found = cs.run(cs.http.get.map(urls, as_="json"), log_level=None)
    assert [each["query"] for each in found] == [[["n", str(n)]] for n in range(20)]


def test_a_session_of_ones_own(service: Service) -> None:
    """A resource gives base address and headers; the requests go through it, and it is closed at the end."""
    import httpx

    made = []

    @cs.resource(name="own_api")
    async def own() -> Any:
        async with httpx.AsyncClient(base_url=service.url, headers={"X-Own": "1"}) as client:
            made.append(client)
            yield client

    assert get("/echo", session=cs.inject(own), as_="json")["headers"]["X-Own"] == "1"
    assert made[0].is_closed
    with pytest.raises(HttpError, match=r"httpx\.AsyncClient, not int"):
        get(f"{service.url}/echo", session=3)


# -- failures -------------------------------------------------------------------------------------------------------


def test_an_answer_that_says_no(service: Service) -> None:
    """The error has status, reason and the beginning of the body, without what steers a terminal; it can travel."""
    with pytest.raises(HttpError) as caught:
        get(f"{service.url}/status/404")
    assert "404 Not Found. It said: the kettle is <b>empty</b>\ufffd[31m" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.status, str(again)) == (404, str(caught.value))
    assert len(service.seen) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_passing_trouble_is_tried_again(service: Service, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """What may be better in a moment is asked again, as often as max_attempts says, and the log tells of it."""
    url = f"{service.url}/flaky?times=2&status={status}&after=0"
    with caplog.at_level(logging.WARNING, "cascade.http"):
        assert get(url, as_="text") == "after 3"
    assert "trying again in 0.0 s (try 3 of 3)" in caplog.text
    with pytest.raises(HttpError, match=rf"{status} .*\(try 2\)"):
        get(f"{url}&again=1", max_attempts=2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 501])
def test_lasting_trouble_is_not(service: Service, status: int) -> None:
    """What will be the same the next time is asked once."""
    with pytest.raises(HttpError, match=str(status)):
        get(f"{service.url}/status/{status}")
    assert len(service.seen) == 1


def test_retry_after_is_obeyed(service: Service) -> None:
    """Seconds and dates are understood; what is longer than max_wait is said at once, without waiting."""
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert get(f"{service.url}/flaky", params={"times": 1, "status": 429, "after": past}, as_="text") == "after 2"
    for after in ("9999", "Wed, 21 Oct 2099 07:28:00 GMT", "9" * 400):
        with pytest.raises(HttpError, match="more than max_wait=60"):
            get(f"{service.url}/flaky", params={"times": 1, "status": 429, "after": after})
    for nonsense in ("soon", "-5", "1e9", "²"):
        url = f"{service.url}/flaky"
        assert get(url, params={"times": 1, "status": 503, "after": nonsense}, max_wait=0, as_="text") == "after 2"


def test_a_broken_connection_is_tried_again(service: Service) -> None:
    """A connection that is closed before the answer does not fail a GET."""
    assert get(f"{service.url}/flaky?times=2&status=0", max_wait=0, as_="text") == "after 3"


@pytest.mark.slow
def test_what_was_sent_once_is_not_sent_twice(service: Service) -> None:
    """A POST that broke off or met a 503 is not repeated, unless the user says that it may."""
    for status in ("0", "503"):
        url = f"{service.url}/flaky?times=1&status={status}&after=0&kind=post"
        with pytest.raises(HttpError):
            cs.run(cs.http.post(url, json=1), log_level=None)
        assert len(service.seen) == 1
        service.forget()
        assert cs.run(cs.http.post(url, json=1, repeat=True, max_wait=0, as_="text"), log_level=None) == "after 2"
        service.forget()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(HttpError, match="in 3 tries"):  # nothing was sent, so it may be tried again
            cs.run(cs.http.post(nobody, json=1, max_wait=0), log_level=None)


@pytest.mark.parametrize("fault", ["reset", "partial"])
def test_half_an_answer_is_none(service: Service, fault: str, tmp_path: Path) -> None:
    """A body that breaks off is an error, in memory and in a file, of which nothing is left; the old one stays."""
    with pytest.raises(HttpError, match=r"without sending complete message body"):
        get(f"{service.url}/{fault}", max_attempts=1)
    target = tmp_path / "out"
    target.write_text("as before")
    with pytest.raises(HttpError, match="in 2 tries"):
        get(f"{service.url}/{fault}", max_attempts=2, max_wait=0, to=str(target))
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    assert target.read_text() == "as before"


@pytest.mark.slow
def test_silence_ends(service: Service) -> None:
    """A service that says nothing is given up after timeout seconds; one that drips, by the timeout of the node."""
    with pytest.raises(HttpTimeoutError, match=r"brought nothing for 0\.1 s, in 2 tries") as caught:
        get(f"{service.url}/silent", timeout=0.1, max_attempts=2, max_wait=0)
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(NodeTimeoutError):
        cs.run(cs.http.get(f"{service.url}/drip").with_timeout(0.2), log_level=None)


@pytest.mark.slow
def test_too_much_is_not_taken(service: Service, tmp_path: Path) -> None:
    """An endless body and one that unpacks to a mountain end at max_bytes; nothing is left in the folder."""
    for path in ("huge", "bomb"):
        with pytest.raises(HttpError, match="larger than max_bytes=1,000,000"):
            get(f"{service.url}/{path}", max_bytes=1_000_000)
        with pytest.raises(HttpError, match="larger than max_bytes=1,000,000"):
            get(f"{service.url}/{path}", max_bytes=1_000_000, to=str(tmp_path / "out"))
    assert not [*tmp_path.iterdir()]
    with pytest.raises(HttpError, match="cannot be unpacked"):
        get(f"{service.url}/broken_gzip")


def test_a_cancelled_download_leaves_nothing(service: Service, tmp_path: Path) -> None:
    """Cancelling a run in the middle of a body takes the half file away."""
    run = cs.start(cs.http.get(f"{service.url}/drip", to=str(tmp_path / "out")), log_level=None)
    until = threading.Event()
    for _ in range(500):
        if [*tmp_path.iterdir()] or until.wait(0.01):
            break
    assert [*tmp_path.iterdir()]
    run.cancel()
    with pytest.raises(Exception, match="cancel"):
        run.result(10)
    assert not [*tmp_path.iterdir()]


def test_the_retry_of_the_run_works_too(service: Service) -> None:
    """``.with_retry`` and ``.with_fallback`` see the error as that of any task."""
    url = f"{service.url}/flaky?times=1&status=500"
    assert cs.run(cs.http.get(url, as_="text").with_retry(2, retry_on=HttpError), log_level=None) == "after 2"
    gone = cs.http.get(f"{service.url}/status/404").with_fallback("none")
    assert cs.run(gone, log_level=None) == "none"


def test_an_answer_is_remembered_where_asked(service: Service, tmp_path: Path) -> None:
    """With a policy the second run asks nobody; without one each run asks."""
    url = f"{service.url}/json"
    for expected in (1, 1):
        lazy = cs.http.get(url, as_="json").with_cache(cs.cache.ttl(3600))
        assert cs.run(lazy, cache=tmp_path / "store", log_level=None) == {"x": [1, None, "é"]}
        assert len(service.seen) == expected
    get(url, run={"cache": tmp_path / "store"})
    assert len(service.seen) == 2


# -- files ----------------------------------------------------------------------------------------------------------


def test_a_body_goes_to_a_file(service: Service, tmp_path: Path) -> None:
    """to= gives a cs.File; others read it next; with root= it stays under its folder."""
    service.stored["a"] = b"x,y\n1,2\n"
    got = cs.http.get(f"{service.url}/store/a", to=tmp_path / "new" / "a.csv")
    assert cs.run(cs.read.csv(got, as_="rows"), log_level=None) == [{"x": "1", "y": "2"}]
    assert isinstance(get(f"{service.url}/store/a", to="b.csv", root=str(tmp_path)), cs.File)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.csv", "new"]
    for bad in ("../b.csv", "/tmp/b.csv", "s3://bucket/key", "memory://x"):
        with pytest.raises(PlaceError):
            get(f"{service.url}/store/a", to=bad, root=str(tmp_path))


# -- redirects ------------------------------------------------------------------------------------------------------


def test_redirects_are_followed_and_bounded(service: Service) -> None:
    """A redirect on the same host keeps what was given for it; a circle ends; max_redirects=0 stays."""
    said = get(f"{service.url}/redirect?to=/echo", auth=("ada", "pw"), headers={"X-Key": "k"}, as_="json")
    assert (said["path"], said["headers"]["X-Key"]) == ("/echo", "k")
    assert said["headers"]["Authorization"] == "Basic " + base64.b64encode(b"ada:pw").decode()
    circle = f"{service.url}/redirect?to=/redirect%3Fto%3D%2Fredirect%253Fto%253D%252Fecho"
    with pytest.raises(HttpError, match="more than 2 times"):
        get(circle, max_redirects=2)
    assert get(circle, max_redirects=3).status == 200
    assert get(circle, max_redirects=0).status == 302


@pytest.mark.parametrize("target", [each for each in SCHEMES if ":" in each and not each.startswith("http")])
def test_a_redirect_leaves_the_web_never(service: Service, target: str) -> None:
    """Whoever sends us to a file or elsewhere is not followed, and nothing is read."""
    with pytest.raises(HttpError, match=r"it was not followed|is no address"):
        get(f"{service.url}/redirect", params={"to": target})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_stay_at_home(service: Service, other: Service, status: int) -> None:
    """Passwords, tokens, cookies and headers of one's own do not go to another host."""
    to = {"to": f"{other.url}/echo", "status": status}
    get(f"{service.url}/redirect", params=to, auth=("ada", "hunter22"), headers={"X-Api-Key": "k3y", "Accept": "a/b"})
    assert heard(other)["accept"] == "a/b"
    get(f"{service.url}/redirect", params=to, bearer="t0ken", headers={"Cookie": "mine=1"})
    for headers, _ in other.heard:
        assert not {"authorization", "x-api-key", "cookie"} & {name.lower() for name in headers}
    back = f"{other.url}/redirect?to={service.url}/echo"
    get(f"{service.url}/redirect", params={"to": back, "status": status}, bearer="t0ken")
    assert "authorization" not in heard(service)  # and do not come back either: who sent us there chose the address


def test_a_body_stays_at_home(service: Service, other: Service) -> None:
    """A 307 to another host does not get the body; a 303 becomes a GET without one."""
    for status in (307, 308):
        with pytest.raises(HttpError, match="to be sent to another host"):
            cs.run(cs.http.post(f"{service.url}/redirect?status={status}&to={other.url}/echo", json=1), log_level=None)
    assert not other.seen
    cs.run(cs.http.post(f"{service.url}/redirect?status=303&to={other.url}/echo", json=1), log_level=None)
    assert (other.seen, other.heard[0][1]) == ([("GET", "/echo")], b"")


# -- hostile values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", SCHEMES)
def test_only_the_web_is_asked(url: str) -> None:
    """An address that does not begin with http or https and a host is refused."""
    with pytest.raises(HttpError):
        get(url, max_attempts=1)


@pytest.mark.slow
@pytest.mark.parametrize("value", INJECTING)
def test_no_header_is_injected(service: Service, value: str) -> None:
    """What has line ends in it becomes no header, no second request, no other path."""
    url = f"{service.url}/echo"
    for options in (
        {"headers": {"X-A": value}}, {"headers": {value: "1"}}, {"bearer": value}, {"auth": (value, "pw")},
        {"auth": ("ada", value)}, {"params": {"q": value}}, {"params": {value: "1"}},
    ):  # fmt: skip
        with suppress(HttpError):
            get(url, max_attempts=1, **options)
    for lazy in (cs.http.get(url + value, max_attempts=1), cs.http.request(value, url, max_attempts=1)):
        with pytest.raises(HttpError):
            cs.run(lazy, log_level=None)
    assert not any("Injected" in headers for headers, _ in service.heard)
    assert not any("stolen" in path.partition("?")[0] for _, path in service.seen)


@pytest.mark.slow
def test_sixty_hostile_texts(service: Service, canary: Canary) -> None:
    """In every parameter: each arrives as the text that it is, or is refused; nothing runs, no file changes."""
    url = f"{service.url}/echo"
    for text in HOSTILE:
        encodable = text.encode("utf-8", "ignore").decode() == text
        if encodable:
            asked = [
                cs.http.get(url, params={"q": text}, as_="json")["query"],
                cs.http.post(url, content=text, as_="json"),
            ]
            query, said = cs.run(asked, log_level=None)
            assert query == [["q", text]]
            assert said["body"].encode("latin-1") == text.encode()
        hostile = [
            cs.http.get(text, max_attempts=1),
            cs.http.get(url, params={text: "1"}),
            cs.http.get(url, headers={"X-A": text}),
            cs.http.get(url, headers={text: "1"}),
            cs.http.get(url, bearer=text),
            cs.http.get(url, auth=(text, text)),
            cs.http.post(url, data={text: text}),
            cs.http.post(url, files={text: text}),
            cs.http.request(text, url),
            cs.http.get(url, as_=text),
            cs.http.get(url, to=text, root=str(canary.cage / "none")),
        ]
        try:
            cs.run(hostile, on_failure="continue", log_level=None)
        except* (HttpError, PlaceError, UnicodeError, OSError):  # of all others, the test would hear
            pass
    import shutil

    shutil.rmtree(canary.cage / "none", ignore_errors=True)
    assert all(path.startswith("/echo") for _, path in service.seen)


def test_secrets_do_not_show(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """A secret Param in address, query, header, user and body is in no event, no log and no error."""
    secret = "S3CR3T-ab12/cd34"
    token, events = cs.Param("token", secret=True), []

    @cs.task
    def address(token: str) -> str:
        return f"{service.url}/status/404?api_key={token}"

    asked = [
        cs.http.get(address(token), bearer=token),
        cs.http.get(f"{service.url}/status/503", params={"k": token}, auth=("ada", token), max_wait=0),
        cs.http.post(f"{service.url}/status/400", json={"deep": [token]}, headers={"X-Key": token}),
    ]
    for lazy in asked:
        run = cs.start(lazy, params={"token": secret}, log_level=None)
        with pytest.raises(HttpError) as caught:
            run.result(10)
        events += [*run.events, str(caught.value), *getattr(caught.value, "__notes__", ())]
    told = repr(events) + caplog.text
    for form in (secret, secret.replace("/", "%2F"), base64.b64encode(f"ada:{secret}".encode()).decode()):
        assert form not in told
    with pytest.raises(HttpError) as caught:
        get(f"{service.url.replace('//', '//ada:hunter22@')}/status/404?access_token=tok3n&x=1")
    assert "hunter22" not in str(caught.value)
    assert "tok3n" not in str(caught.value)
    assert "x=1" in str(caught.value)


@pytest.mark.slow
def test_wrong_arguments_are_said(service: Service) -> None:
    """Each argument that cannot be meant is named, before anything is sent."""
    url = f"{service.url}/echo"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"timeout": 0}, "timeout"), ({"max_attempts": 0}, "max_attempts"), ({"max_bytes": "1"}, "max_bytes"),
        ({"max_redirects": -1}, "max_redirects"), ({"auth": "token"}, "tokens go to bearer"),
        ({"max_wait": None}, "max_wait"), ({"auth": ("a", "b"), "bearer": "c"}, "instead of auth"),
        ({"auth": ("a:b", "c")}, "without a colon"), ({"headers": {"Content-Length": "5"}}, "Content-Length"),
        ({"headers": {"A": 1}}, "'A'"),
    ]  # fmt: skip
    for options, word in wrong:
        with pytest.raises(HttpError, match=word):
            get(url, **options)
    with pytest.raises(HttpError, match="one of json, data, content and files"):
        cs.run(cs.http.post(url, json=1, content="x"), log_level=None)
    with pytest.raises(TypeError, match=r"http\.get"):
        cs.http.get(url, jsn=1)
    assert not service.seen


def test_a_request_is_the_same_from_a_file(service: Service) -> None:
    """A graph of requests goes through JSON and runs."""
    text = cs.to_json(cs.http.get(f"{service.url}/json", as_="json"))
    assert cs.run(cs.from_json(text), log_level=None) == {"x": [1, None, "é"]}
