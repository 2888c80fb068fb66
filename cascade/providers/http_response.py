"""The answer to a request, as a value.

In: what came over the wire. Out: a `Response` that is plain data: it can be pickled, stored and compared. Invariant:
two answers are the same if status, kind and content are, whenever they came; dates and the like do not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from cascade.providers.http_errors import HttpError, shown_url

__all__ = ["Response"]

_CHARSET: Final = re.compile(r"""(?i)charset\s*=\s*["']?([\w.:-]+)""")
_SHOWN: Final = 300  # characters of a body in an error


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """What a service answered.

    Attributes:
        status: the number, as 200. reason: its words. url: of the last request, after redirects.
        headers: pairs of a name in lower case and a value, in their order. content: the body, unpacked.

    Example:
        >>> answer = Response(200, "OK", "http://host/a", (("content-type", "application/json"),), b'{"x": 1}')
        >>> answer, answer.json()
        (<200 OK, 8 bytes of application/json>, {'x': 1})
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

    def __cascade_digest__(self) -> tuple[int, str, str, bytes]:
        """Count by what was said, not by when."""
        return self.status, shown_url(self.url), self.header("content-type"), self.content

    def __repr__(self) -> str:
        """Show the status and the size; addresses and headers may hold secrets."""
        kind = self.header("content-type").partition(";")[0]
        return f"<{self.status} {self.reason}, {len(self.content):,} bytes{f' of {kind}' if kind else ''}>"
