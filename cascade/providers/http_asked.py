"""What a request asks for, checked before anything is sent.

In: what the user gave to ``cs.http.get`` and its like. Out: an `Asked`. Invariant: a method is a known word, a header
is one line, an address has no spaces: nothing given as a value becomes another part of the request.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cascade as cs
from cascade.providers.http_errors import HttpError
from cascade.providers.storage import find_spot

__all__ = ["FORMS", "IDEMPOTENT", "Asked"]

FORMS: Final = ("response", "json", "text", "bytes")
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_METHODS: Final = IDEMPOTENT | {"POST", "PATCH"}
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection", "upgrade"})
_MEMORY: Final = 100_000_000  # bytes of an answer that is kept in memory


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """One request, with what to do when it does not go well.

    Attributes:
        method, url, params, headers: as they are sent. body: what httpx takes as content, data, json or files.
        auth: a pair of user and password, or None. timeout: seconds in which something has to come.
        max_attempts: all tries, the first included. repeats: whether a try may be made again after it was sent.
        max_wait: seconds before the next try, at most. max_bytes: of the answer, 0 for any. max_redirects: 0 to stay.
        check: an answer from 400 on is an error.
    """

    method: str
    url: str
    params: dict[str, Any]
    headers: dict[str, str]
    body: dict[str, Any]
    auth: tuple[str, str] | None
    timeout: float
    max_attempts: int
    repeats: bool
    max_wait: float
    max_bytes: int
    max_redirects: int
    check: bool

    @classmethod
    def of(
        cls,
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
        timeout: float = 30.0,
        max_attempts: int = 3,
        repeat: bool | None = None,
        max_wait: float = 60.0,
        max_bytes: int | None = None,
        max_redirects: int = 5,
        check: bool = True,
        is_to_file: bool = False,
    ) -> Asked:
        """Check what the user gave.

        Raises:
            HttpError: when a part cannot be sent as it is.
        """
        verb = _method(method)
        limit = (0 if is_to_file else _MEMORY) if max_bytes is None else int(_number("max_bytes", max_bytes, least=1))
        return cls(
            method=verb,
            url=_url(url),
            params={str(key): value for key, value in _mapping("params", params).items() if value is not None},
            headers=_headers(headers, bearer, auth),
            body=_body(json, data, content, files),
            auth=_auth(auth),
            timeout=_number("timeout", timeout, least=0.001),
            max_attempts=int(_number("max_attempts", max_attempts, least=1)),
            repeats=verb in IDEMPOTENT if repeat is None else bool(repeat),
            max_wait=_number("max_wait", max_wait, least=0),
            max_bytes=limit,
            max_redirects=int(_number("max_redirects", max_redirects, least=0)),
            check=bool(check),
        )

    def __repr__(self) -> str:
        """Show the method; all else may hold secrets."""
        return f"<a request to {self.method}>"


def _method(method: object) -> str:
    verb = method.upper() if isinstance(method, str) else ""
    if verb not in _METHODS:
        raise HttpError.for_method(method)
    return verb


def _url(url: object) -> str:
    if not isinstance(url, str):
        raise HttpError.for_url(url, f"it is of type {type(url).__name__}")
    if any(ord(c) <= 32 or ord(c) == 127 for c in url):  # noqa: PLR2004 - spaces and control characters
        raise HttpError.for_url(url, "it has a space or a control character in it; give values by params=")
    return url


def _headers(headers: Mapping[str, str] | None, bearer: str | None, auth: tuple[str, str] | None) -> dict[str, str]:
    given = _mapping("headers", headers)
    if bearer is not None:
        if auth is not None:
            raise HttpError.for_argument("bearer", "…", "given instead of auth, not beside it")
        given["Authorization"] = f"Bearer {bearer}"
    for name, value in given.items():
        is_line = isinstance(value, str) and all(c == "\t" or (31 < ord(c) < 256 and ord(c) != 127) for c in value)  # noqa: PLR2004 - what a line may hold
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower() in _FRAMING or not is_line:
            raise HttpError.for_header(name)
    return {name: value.strip() for name, value in given.items()}


def _auth(auth: object) -> tuple[str, str] | None:
    if auth is None:
        return None
    if not isinstance(auth, (tuple, list)) or len(auth) != 2 or not all(isinstance(each, str) for each in auth):  # noqa: PLR2004 - a pair
        raise HttpError.for_argument("auth", type(auth).__name__, "a pair of user and password; tokens go to bearer=")
    user, password = auth
    if ":" in user:
        raise HttpError.for_argument("auth", user, "a user without a colon, and a password")
    return user, password


def _mapping(name: str, given: object) -> dict[Any, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise HttpError.for_argument(name, type(given).__name__, "a dict of names and values")
    return dict(given)


def _check_json(value: object) -> None:
    """Refuse what JSON cannot say; otherwise httpx would."""
    from json import dumps

    try:
        dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise HttpError.for_json_value(error) from None


def _number(name: str, given: Any, *, least: float) -> float:
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not is_number or not least <= given < float("inf"):
        raise HttpError.for_argument(name, given, f"a number of at least {least:g}")
    return float(given)


def _body(json: Any, data: Any, content: Any, files: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what httpx takes; files are read now, so that each try sends the same."""
    if sum(each is not None for each in (json, content, data if files is None else None, files)) > 1:
        raise HttpError.for_argument("the body", "several things", "one of json, data, content and files")
    if json is not None:
        _check_json(json)
        return {"json": json}
    if content is not None:
        return {"content": _content(content)}
    if files is not None:
        parts = {name: _part(name, value) for name, value in _mapping("files", files).items()}
        return {"files": parts, **({"data": dict(data)} if data is not None else {})}
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise HttpError.for_argument("data", data, "a dict of the fields of a form; texts and bytes go to content=")
    return {"data": dict(data)}


def _content(value: object) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, cs.File):
        return find_spot(value).read()
    raise HttpError.for_argument("content", value, "a text, bytes or a cs.File")


def _part(name: str, value: object) -> tuple[str, bytes]:
    named = os.path.basename(value.path) if isinstance(value, cs.File) else str(name)  # noqa: PTH119 - text is wanted
    return re.sub(r"[\x00-\x1f\x7f\"\\]", "_", named), _content(value)
