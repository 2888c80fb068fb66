"""Requests over HTTP: ``cs.http.get``, ``post``, ``put``, ``delete`` and ``request``.

In: an address and what to send. Out: a `Response`, or its JSON, text, bytes, or a file. Invariant: all requests of a
run share one session, which is opened for the first and closed when the run is over; a file is seen when the whole
answer is in it.

Not pure: what a service says changes. ``.with_cache(cs.cache.ttl(3600))`` remembers an answer for an hour.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import cascade as cs
from cascade.providers.http_asked import FORMS, Asked
from cascade.providers.http_errors import HttpError
from cascade.providers.http_exchange import chunks, exchange
from cascade.providers.http_response import Response
from cascade.providers.registry import require
from cascade.providers.storage import LocalSpot, find_spot, is_address
from cascade.providers.storage_errors import PlaceError

__all__ = ["Response", "delete", "get", "post", "put", "request", "session"]

_CONNECTIONS = 100  # at once, and kept open


@cs.resource(name="http_session")
async def session() -> AsyncIterator[Any]:
    """The session that the requests of a run share: its connections and its cookies."""
    httpx = require("httpx", provider="http", extra="http")
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    agent = {"User-Agent": f"cascade/{cs.__version__}"}
    async with httpx.AsyncClient(follow_redirects=False, limits=limits, headers=agent) as client:
        yield client


async def _send(
    client: Any, method: str, url: str, as_: str, to: Any, root: str | None, options: Mapping[str, Any]
) -> Any:
    """Send a request and return the answer in the form that is asked for."""
    if as_ not in FORMS:
        raise HttpError.for_argument("as_", as_, f"one of {', '.join(FORMS)}")
    if not hasattr(client, "build_request") or not hasattr(client, "aclose"):
        raise HttpError.for_session(client)
    asked = Asked.of(method, url, is_to_file=to is not None, **options)
    if to is not None:
        return await _send_to_file(client, asked, _file(to, root))

    async def take(answer: Any) -> Response:
        content = b"".join([chunk async for chunk in chunks(answer, asked.max_bytes)])
        headers = tuple([(name.lower(), value) for name, value in answer.headers.multi_items()])
        return Response(answer.status_code, answer.reason_phrase, str(answer.url), headers, content)

    found = await exchange(client, asked, take)
    if as_ == "json":
        return found.json()
    return {"text": lambda: found.text, "bytes": lambda: found.content}.get(as_, lambda: found)()


def _file(to: Any, root: str | None) -> LocalSpot:
    if isinstance(to, str) and is_address(to):
        raise PlaceError.for_elsewhere(to)
    spot = find_spot(to, root)
    if not isinstance(spot, LocalSpot):
        raise PlaceError.for_elsewhere(to)
    return spot


async def _send_to_file(client: Any, asked: Asked, spot: LocalSpot) -> cs.File:
    async def take(answer: Any) -> cs.File:
        with spot.begin() as file:  # each try begins anew; of one that breaks off, nothing is left
            async for chunk in chunks(answer, asked.max_bytes):
                file.write(chunk)
        return spot.source()

    return await exchange(client, asked, take)


@cs.task(name="http.request")
async def request(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    data: Mapping[str, Any] | None = None,
    content: Any = None,
    files: Mapping[str, Any] | None = None,
    auth: tuple[str, str] | None = None,
    bearer: str | None = None,
    as_: str = "response",
    to: Any = None,
    root: str | None = None,
    check: bool = True,
    timeout: float = 30.0,  # noqa: ASYNC109 - of silence; the time of the whole is .with_timeout's
    max_attempts: int = 3,
    repeat: bool | None = None,
    max_wait: float = 60.0,
    max_bytes: int | None = None,
    max_redirects: int = 5,
    session: Any = cs.inject(session),
) -> Any:
    """Send a request and return what the service answers.

    Args:
        method: GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.
        url: begins with http:// or https://. params: go into its query; lists again and again, None not at all.
        headers: names and values. json, data, content, files: the body: a value, the fields of a form, a text, bytes or
            a `cs.File`, or files by the names of a form's fields.
        auth: user and password. bearer: a token. Neither goes to another host, wherever the answer leads.
        as_: ``response``, ``json``, ``text`` or ``bytes``. to: a file that gets the body instead, at once when it is
            whole; the result is a `cs.File`. root: a folder that `to` must stay under.
        check: an answer from 400 on is an error.
        timeout: seconds in which something has to come; ``.with_timeout`` bounds the whole.
        max_attempts: all tries, the first included; after a broken connection and 429, 502, 503 and 504, as long as
            ``Retry-After`` asks. repeat: whether a try may follow one that was sent; by default only where that cannot
            do a thing twice, so not for POST and PATCH. max_wait: seconds before the next try, at most.
        max_bytes: of the answer; 100 MB in memory, any in a file. max_redirects: 0 to follow none.
        session: a resource that gives an `httpx.AsyncClient` of your own, as ``cs.inject("my_api")``.

    Raises:
        HttpError: with status, words and the beginning of the body. HttpTimeoutError: when nothing comes.

    Example:
        >>> import cascade as cs
        >>> cs.http.request("HEAD", "https://example.org")
        <lazy http.request('HEAD', 'https://example.org')>
    """
    options = {
        "params": params,
        "headers": headers,
        "json": json,
        "data": data,
        "content": content,
        "files": files,
        "auth": auth,
        "bearer": bearer,
        "check": check,
        "timeout": timeout,
        "max_attempts": max_attempts,
        "repeat": repeat,
        "max_wait": max_wait,
        "max_bytes": max_bytes,
        "max_redirects": max_redirects,
    }
    return await _send(session, method, url, as_, to, root, options)


@cs.task(name="http.get")
async def get(
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    bearer: str | None = None,
    as_: str = "response",
    to: Any = None,
    root: str | None = None,
    check: bool = True,
    timeout: float = 30.0,  # noqa: ASYNC109 - of silence; the time of the whole is .with_timeout's
    max_attempts: int = 3,
    repeat: bool | None = None,
    max_wait: float = 60.0,
    max_bytes: int | None = None,
    max_redirects: int = 5,
    session: Any = cs.inject(session),
) -> Any:
    """Fetch what is at an address.

    Args:
        url, params, headers, auth, bearer: see `cs.http.request`, as all that is not said here.
        as_: ``response``, ``json``, ``text`` or ``bytes``. to: a file that gets the body instead.

    Raises:
        HttpError, HttpTimeoutError: see `cs.http.request`.

    Example:
        >>> import cascade as cs
        >>> stars = cs.http.get("https://example.org/repo", as_="json")["stars"]
        >>> cs.http.get("https://host/a.csv", to="a.csv", max_attempts=5)
        <lazy http.get('https://host/a.csv', to='a.csv', max_attempts=5)>
    """
    options = {
        "params": params,
        "headers": headers,
        "auth": auth,
        "bearer": bearer,
        "check": check,
        "timeout": timeout,
        "max_attempts": max_attempts,
        "repeat": repeat,
        "max_wait": max_wait,
        "max_bytes": max_bytes,
        "max_redirects": max_redirects,
    }
    return await _send(session, "GET", url, as_, to, root, options)


@cs.task(name="http.post")
async def post(
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    data: Mapping[str, Any] | None = None,
    content: Any = None,
    files: Mapping[str, Any] | None = None,
    auth: tuple[str, str] | None = None,
    bearer: str | None = None,
    as_: str = "response",
    to: Any = None,
    root: str | None = None,
    check: bool = True,
    timeout: float = 30.0,  # noqa: ASYNC109 - of silence; the time of the whole is .with_timeout's
    max_attempts: int = 3,
    repeat: bool | None = None,
    max_wait: float = 60.0,
    max_bytes: int | None = None,
    max_redirects: int = 5,
    session: Any = cs.inject(session),
) -> Any:
    """Send something to an address: a value as JSON, a form, a text, bytes or files.

    It is sent once: after a broken connection or a 503 nobody knows what it has done. ``repeat=True`` tries again.

    Args:
        url, json, data, content, files: see `cs.http.request`, as all that is not said here.

    Raises:
        HttpError, HttpTimeoutError: see `cs.http.request`.

    Example:
        >>> import cascade as cs
        >>> cs.http.post("https://host/items", json=["Ada"], bearer=cs.Param("token", secret=True))
        <lazy http.post('https://host/items', json=<list>, bearer=<Param>)>
    """
    options = {
        "params": params,
        "headers": headers,
        "json": json,
        "data": data,
        "content": content,
        "files": files,
        "auth": auth,
        "bearer": bearer,
        "check": check,
        "timeout": timeout,
        "max_attempts": max_attempts,
        "repeat": repeat,
        "max_wait": max_wait,
        "max_bytes": max_bytes,
        "max_redirects": max_redirects,
    }
    return await _send(session, "POST", url, as_, to, root, options)


@cs.task(name="http.put")
async def put(
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    data: Mapping[str, Any] | None = None,
    content: Any = None,
    files: Mapping[str, Any] | None = None,
    auth: tuple[str, str] | None = None,
    bearer: str | None = None,
    as_: str = "response",
    to: Any = None,
    root: str | None = None,
    check: bool = True,
    timeout: float = 30.0,  # noqa: ASYNC109 - of silence; the time of the whole is .with_timeout's
    max_attempts: int = 3,
    repeat: bool | None = None,
    max_wait: float = 60.0,
    max_bytes: int | None = None,
    max_redirects: int = 5,
    session: Any = cs.inject(session),
) -> Any:
    """Put something at an address: a value as JSON, a form, a text, bytes or files.

    Args:
        url, json, data, content, files: see `cs.http.request`, as all that is not said here.

    Raises:
        HttpError, HttpTimeoutError: see `cs.http.request`.

    Example:
        >>> import cascade as cs
        >>> cs.http.put("https://host/1", content=cs.File("item.bin"))
        <lazy http.put('https://host/1', content=<File>)>
    """
    options = {
        "params": params,
        "headers": headers,
        "json": json,
        "data": data,
        "content": content,
        "files": files,
        "auth": auth,
        "bearer": bearer,
        "check": check,
        "timeout": timeout,
        "max_attempts": max_attempts,
        "repeat": repeat,
        "max_wait": max_wait,
        "max_bytes": max_bytes,
        "max_redirects": max_redirects,
    }
    return await _send(session, "PUT", url, as_, to, root, options)


@cs.task(name="http.delete")
async def delete(
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    bearer: str | None = None,
    as_: str = "response",
    check: bool = True,
    timeout: float = 30.0,  # noqa: ASYNC109 - of silence; the time of the whole is .with_timeout's
    max_attempts: int = 3,
    repeat: bool | None = None,
    max_wait: float = 60.0,
    max_bytes: int | None = None,
    max_redirects: int = 5,
    session: Any = cs.inject(session),
) -> Any:
    """Remove what is at an address.

    Args:
        url, params, headers, auth, bearer: see `cs.http.request`, as all that is not said here.

    Raises:
        HttpError, HttpTimeoutError: see `cs.http.request`.

    Example:
        >>> import cascade as cs
        >>> cs.http.delete("https://host/1")
        <lazy http.delete('https://host/1')>
    """
    options = {
        "params": params,
        "headers": headers,
        "auth": auth,
        "bearer": bearer,
        "check": check,
        "timeout": timeout,
        "max_attempts": max_attempts,
        "repeat": repeat,
        "max_wait": max_wait,
        "max_bytes": max_bytes,
        "max_redirects": max_redirects,
    }
    return await _send(session, "DELETE", url, as_, None, None, options)
