"""The answer to a request, as a value.

In: what came over the wire. Out: a `Response` that is plain data: it can be pickled, stored and compared. Invariant:
two answers are the same if status, kind and content are, whenever they came; dates and the like do not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from cascade.providers.errors import PartError, short
from cascade.providers.http_errors import HttpError, shown_url

__all__ = ["Response"]

_CHARSET: Final = re.compile(r"""(?i)charset\s*=\s*["']?([\w.:-]+)""")
_SHOWN: Final = 300  # characters of a body in an error
_REFUSED: Final = 400  # and what is above: the answer says no
_PARTS: Final = ("status", "reason", "url", "headers", "content", "text", "ok")


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """What a service answered.

    Attributes:
        status: the number, as 200. reason: its words. url: of the last request, after redirects.
        headers: pairs of a name in lower case and a value, in their order. content: the body, unpacked.

    Each, and ``text`` and ``ok``, is also an item, as in ``answer["status"]``.

    Example:
        >>> answer = Response(200, "OK", "http://host/a", (("content-type", "application/json"),), b'{"x": 1}')
        >>> answer, answer.json(), answer["status"]
        (<200 OK, 8 bytes of application/json>, {'x': 1}, 200)
    """

    status: int
    reason: str
    url: str
    headers: tuple[tuple[str, str], ...]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one from 200 to 299."""
        return 200 <= self.status < 300  # noqa: PLR2004 - see the docstring

    @property
    def ok(self) -> bool:
        """Whether the status is below 400, as it always is without ``check=False``."""
        return self.status < _REFUSED

    def raise_for_status(self) -> Response:
        """Return the answer itself, if it is `ok`.

        Raises:
            HttpError: when it is not.
        """
        if not self.ok:
            raise HttpError.for_status("A request to", self.url, self.status, self.reason, self.text[:_SHOWN], 1)
        return self

    def header(self, name: str, default: str = "") -> str:
        """Return the value of a header, several joined by commas."""
        found = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(found) if found else default

    @property
    def text(self) -> str:
        """The body as text, in the encoding that the answer tells, or UTF-8; what does not fit is marked."""
        found = _CHARSET.search(self.header("content-type"))
        try:
            return self.content.decode(found[1] if found else "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the value that the body says in JSON.

        Raises:
            HttpError: when it is none.
        """
        from json import loads

        try:
            return loads(self.content)
        except (ValueError, RecursionError) as error:
            raise HttpError.for_json(self.url, error, self.text[:_SHOWN]) from None

    def __getitem__(self, name: object) -> Any:
        """Return a part by its name, so that a lazy result has it too: ``cs.http.get(url)["status"]``.

        Raises:
            PartError: when there is none, with what to write for a part of its JSON.
        """
        if name not in _PARTS:
            what = f"The answer to a request has no part {short(name)}; it has {', '.join(_PARTS)}."
            raise PartError(
                f"{what} For a part of its JSON, ask for that: cs.http.get(url, as_='json')[{short(name)}]."
            )
        return getattr(self, str(name))

    __iter__ = None

    def __cascade_digest__(self) -> tuple[int, str, str, bytes]:
        """Count by what was said, not by when."""
        return self.status, shown_url(self.url), self.header("content-type"), self.content

    def __repr__(self) -> str:
        """Show the status and the size; addresses and headers may hold secrets."""
        kind = self.header("content-type").partition(";")[0]
        return f"<{self.status} {self.reason}, {len(self.content):,} bytes{f' of {kind}' if kind else ''}>"
