"""A request → its answer: redirects, tries, limits.

In: an open `httpx.AsyncClient` and an `Asked`. Out: what `take` makes of the answer. Invariant: a redirect is followed
to http and https only, and what was given for one host (headers, passwords, body) is never sent to another; a try is
made again only where that cannot do a thing twice, unless the user says that it may.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import cascade as cs
from cascade.providers.http_asked import Asked
from cascade.providers.http_errors import HttpError, HttpTimeoutError, shown_url
from cascade.providers.http_unpack import unpacked
from cascade.providers.registry import require

__all__ = ["chunks", "exchange"]

T = TypeVar("T")
AGAIN: Final = frozenset({429, 502, 503, 504})  # what a service says when it may be better in a moment
_FIRST_WAIT: Final = 0.5  # seconds; doubles with each try
_BODY_IN_ERROR: Final = 4096  # bytes
_WORDS_TIME: Final = 5.0  # seconds that they may take to come
_LAST_PORT: Final = 65535
_REFUSED: Final = 400  # statuses from here on
# What another host may see of the headers that were given for the first one.
_HARMLESS: Final = frozenset({"accept", "accept-language", "content-type", "range", "user-agent"})
_log = logging.getLogger("cascade.http")


async def exchange(client: Any, asked: Asked, take: Callable[[Any], Awaitable[T]]) -> T:
    """Send a request until it is answered well, and return what `take` makes of the answer.

    Args:
        client: an `httpx.AsyncClient`. take: gets the open answer; may be asked again when the connection breaks.

    Raises:
        HttpError: when that does not come about.
    """
    httpx = require("httpx", provider="http", extra="http")
    tries = 0
    while True:
        tries += 1
        try:
            async with _Answer(client, asked) as answer:
                wait = _wait_before_next(asked, answer, tries)
                if wait is None:
                    if asked.check and answer.status_code >= _REFUSED:
                        raise await _refusal(asked, answer, tries)
                    return await take(answer)
            reason = f"was answered with {answer.status_code}"
        except httpx.DecodingError as error:
            raise HttpError.for_content(asked.url, error) from None
        except httpx.TransportError as error:
            if tries >= asked.max_attempts or not _may_repeat(httpx, asked, error):
                raise _broken(client, asked, error, tries) from None
            wait, reason = _backoff(asked, tries), f"broke off ({str(error) or type(error).__name__})"
        except (httpx.InvalidURL, UnicodeError) as error:
            raise HttpError.for_url(asked.url, error) from None
        _log.warning(
            "%s %s %s; trying again in %.1f s (try %d of %d)",
            asked.method, shown_url(asked.url), reason, wait, tries + 1, asked.max_attempts,
        )  # fmt: skip
        await _sleep(wait)


async def chunks(answer: Any, most: int) -> AsyncIterator[bytes]:
    """Yield the body of an answer, unpacked; stop with an error where it is larger than `most` bytes (0: any)."""
    told = answer.headers.get("content-length", "")
    if most and told.isdigit() and int(told) > most:
        raise HttpError.for_size(answer.url, most)
    seen = 0
    async for chunk in unpacked(answer):
        seen += len(chunk)
        if most and seen > most:
            raise HttpError.for_size(answer.url, most)
        yield chunk


async def _sleep(seconds: float) -> None:
    import asyncio

    await getattr(cs.get_current_context().clock, "sleep_async", asyncio.sleep)(seconds)


# -- tries ----------------------------------------------------------------------------------------------------------


def _wait_before_next(asked: Asked, answer: Any, tries: int) -> float | None:
    """Return the seconds before the next try, None if the answer is to be taken as it is."""
    if answer.status_code not in AGAIN or not asked.repeats or tries >= asked.max_attempts:
        return None
    told = _retry_after(answer.headers.get("retry-after", ""))
    if told is None:
        return _backoff(asked, tries)
    if told > asked.max_wait:
        raise HttpError.for_wait(asked.method, asked.url, answer.status_code, told, asked.max_wait)
    return told


def _retry_after(told: str) -> float | None:
    """Return the seconds that a ``Retry-After`` tells, as a number or as a date."""
    if told.isascii() and told.isdigit():
        return float(told) if len(told) < 10 else float("inf")  # noqa: PLR2004 - digits of three centuries
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(told)
    except (TypeError, ValueError):
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp())


def _backoff(asked: Asked, tries: int) -> float:
    longest = min(_FIRST_WAIT * 2.0 ** (tries - 1), asked.max_wait)
    return longest * (1.0 - 0.5 * random.random())  # noqa: S311 - spreads clients, keeps no secret


def _may_repeat(httpx: Any, asked: Asked, error: Exception) -> bool:
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)) or "CERTIFICATE" in str(error):
        return False  # it would be the same each time
    was_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    return asked.repeats or not was_sent


def _broken(client: Any, asked: Asked, error: Exception, tries: int) -> HttpError:
    httpx = require("httpx", provider="http", extra="http")
    if isinstance(error, httpx.TimeoutException):
        return HttpTimeoutError.after(asked.method, asked.url, asked.timeout, tries)
    proxy = _proxy(asked.url) if client.trust_env and isinstance(error, (httpx.ConnectError, httpx.ProxyError)) else ""
    return HttpError.for_connection(asked.method, asked.url, error, tries, proxy)


def _proxy(url: str) -> str:
    """Return the name of the variable that sends a request through a proxy; empty: none does."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    asked = urlsplit(url)
    found = [kind for kind in (asked.scheme, "all") if getproxies().get(kind)]
    return f"{found[0].upper()}_PROXY" if found and not proxy_bypass(asked.netloc) else ""


async def _refusal(asked: Asked, answer: Any, tries: int) -> HttpError:
    """Return the error for an answer that says no, with the beginning of its words, as far as they come."""
    import asyncio

    httpx = require("httpx", provider="http", extra="http")
    body = b""
    with suppress(TimeoutError, HttpError, httpx.TransportError, httpx.DecodingError):
        async with asyncio.timeout(min(asked.timeout, _WORDS_TIME)):
            async for chunk in unpacked(answer):
                body += chunk[:_BODY_IN_ERROR]
                if len(body) > _BODY_IN_ERROR:
                    break
    text = body[:_BODY_IN_ERROR].decode("utf-8", "replace")
    return HttpError.for_status(asked.method, answer.url, answer.status_code, answer.reason_phrase, text, tries)


# -- redirects ------------------------------------------------------------------------------------------------------


class _Answer:
    """An open answer, after redirects; closed where the ``async with`` block ends.

    Args:
        client: of httpx. asked: what is sent.
    """

    def __init__(self, client: Any, asked: Asked) -> None:
        self._client, self._asked = client, asked
        self._open: Any = None

    async def __aenter__(self) -> Any:
        """Send, and follow where the answers lead."""
        httpx = require("httpx", provider="http", extra="http")
        asked, client = self._asked, self._client
        url = httpx.URL(asked.url)
        request = client.build_request(
            asked.method, url.copy_merge_params(asked.params) if asked.params else url, headers=asked.headers,
            timeout=asked.timeout, **asked.body,
        )  # fmt: skip
        _check_scheme(request.url, HttpError.for_scheme(asked.url))
        auth = asked.auth if asked.auth is not None else httpx.USE_CLIENT_DEFAULT
        for _ in range(asked.max_redirects + 1):
            try:
                answer = self._open = await client.send(request, stream=True, auth=auth, follow_redirects=False)
            except httpx.InvalidURL as error:  # httpx looks where it leads, whether one follows or not
                raise HttpError.for_way_on(request.url, error) from None
            if not answer.has_redirect_location or asked.max_redirects == 0:
                return answer
            try:
                request, auth = self._next(httpx, request, answer, auth)
            finally:
                await self._close()
        raise HttpError.for_redirects(asked.url, asked.max_redirects)

    async def __aexit__(self, *_: object) -> None:
        """Give the connection back."""
        await self._close()

    async def _close(self) -> None:
        answer, self._open = self._open, None
        if answer is not None:
            await answer.aclose()

    def _next(self, httpx: Any, request: Any, answer: Any, auth: Any) -> tuple[Any, Any]:
        """Return the request that a redirect asks for, and what authenticates it."""
        try:
            target = request.url.join(answer.headers["location"]).copy_with(fragment=None)
        except (httpx.InvalidURL, ValueError) as error:
            raise HttpError.for_url(answer.headers["location"], error) from None
        _check_scheme(target, HttpError.for_redirect(request.url, target))
        method, body = self._asked.method, self._asked.body
        turns_to_get = answer.status_code == 303 or (answer.status_code in (301, 302) and request.method == "POST")  # noqa: PLR2004 - as RFC 9110 has it
        if request.method == "GET" or (turns_to_get and request.method != "HEAD"):
            method, body = "GET", {}
        headers = dict(self._asked.headers)
        if not body:
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        options = {"headers": headers, "timeout": self._asked.timeout, **body}
        if auth is not None and _is_same_house(request.url, target):
            return self._client.build_request(method, target, **options), auth
        if body:
            raise HttpError.for_body(request.url, target)
        # Neither the headers of this request nor those of the client go to another host; cookies know their own.
        options["headers"] = {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
        plain = httpx.Request(method, target.copy_with(username="", password=""), headers=options["headers"])
        plain.extensions = {"timeout": httpx.Timeout(self._asked.timeout).as_dict()}
        self._client.cookies.set_cookie_header(plain)
        return plain, None


def _check_scheme(url: Any, error: HttpError) -> None:
    if url.scheme not in ("http", "https") or not url.host:
        raise error
    if (url.port or 0) > _LAST_PORT:
        raise HttpError.for_url(url, f"a port is at most {_LAST_PORT}")


def _is_same_house(one: Any, other: Any) -> bool:
    """Say whether two addresses are of one host; from http to https on the usual ports it stays one."""
    ports = {"http": 80, "https": 443}
    mine, its = (one.port or ports[one.scheme]), (other.port or ports[other.scheme])
    if one.host.lower() != other.host.lower():
        return False
    if one.scheme == other.scheme:
        return bool(mine == its)
    return (one.scheme, mine, its) == ("http", 80, 443)
