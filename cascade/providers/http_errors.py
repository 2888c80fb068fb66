"""What can go wrong with a request over HTTP: what happened, where, and what to do.

In: a method, an address and what the other side did. Out: errors that can be read alone and that travel between
processes. Invariant: no text made here holds what is secret by its place: passwords in an address, tokens in its query.
"""

from __future__ import annotations

import re
from typing import Final

from cascade.providers.errors import ProviderError, short

__all__ = ["HttpError", "HttpTimeoutError", "shown_url"]

_LONGEST: Final = 300  # characters of an address, or of a body, in a sentence
_NO_ENTRANCE: Final = (401, 403)
_USER: Final = re.compile(r"(?<=//)[^/?#@]*@")
_SECRET: Final = re.compile(
    r"(?i)([?&][^=&#]*(?:key|token|secret|password|passwd|signature|credential|auth|sig|pwd)[^=&#]*=)[^&#]+"
)


def shown_url(url: object) -> str:
    """Return an address as a sentence may hold it.

    Example:
        >>> shown_url("https://ada:pw@host/a?x=1&api_key=s3cret")
        'https://host/a?x=1&api_key=•••'
    """
    return _printable(_SECRET.sub(r"\1•••", _USER.sub("", str(url))))


def _printable(text: str) -> str:
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


class HttpError(ProviderError, OSError):
    """A request that did not bring what was asked for.

    Attributes:
        status: of the answer; 0 if there was none. body: the beginning of what the answer said.
    """

    status: int = 0
    body: str = ""

    def __str__(self) -> str:
        """Show the sentence."""
        return str(self.args[0]) if self.args else ""

    @classmethod
    def for_status(cls, method: str, url: object, status: int, reason: str, body: str, tries: int) -> HttpError:
        """An answer that says no."""
        told = " ".join(body.split())
        after = f" (try {tries})" if tries > 1 else ""
        said = f" It said: {_printable(told)}" if told else " It said nothing more."
        hint = " Look at bearer= or auth=: who asks, and whether they may." if status in _NO_ENTRANCE else ""
        error = cls(f"{method} {shown_url(url)} was answered with {status} {_printable(reason)}{after}.{said}{hint}")
        error.status, error.body = status, body[:_LONGEST]
        return error

    @classmethod
    def for_wait(cls, method: str, url: object, status: int, wait: float, most: float) -> HttpError:
        """The service asks for more patience than there is."""
        error = cls(
            f"{method} {shown_url(url)} was answered with {status}, and to wait {wait:g} s before the next try, which "
            f"is more than max_wait={most:g}. Raise max_wait, or ask later."
        )
        error.status = status
        return error

    @classmethod
    def for_connection(cls, method: str, url: object, error: Exception, tries: int, proxy: str = "") -> HttpError:
        """Nobody answered, or the connection broke. `proxy`: the variable that names the proxy that was asked."""
        said = _printable(str(error) or type(error).__name__).rstrip(".")
        told = f"got no whole answer in {_times(tries)}: {said}"
        where = f"the proxy that {proxy} names is right; NO_PROXY leaves hosts out" if proxy else ""
        where = where or "the service is there and well"
        return cls(f"{method} {shown_url(url)} {told}. Look whether {where}.")

    @classmethod
    def for_size(cls, url: object, most: int) -> HttpError:
        """More than anybody wanted."""
        return cls(
            f"The answer of {shown_url(url)} is larger than max_bytes={most:,}. Raise max_bytes, or stream it to a "
            "file with to=."
        )

    @classmethod
    def for_scheme(cls, url: object) -> HttpError:
        """Something else than the web."""
        return cls(f"{shown_url(url)} is no address of the web; it has to begin with http:// or https:// and a host.")

    @classmethod
    def for_redirect(cls, url: object, target: object) -> HttpError:
        """Sent to where one does not go."""
        return cls(
            f"{shown_url(url)} leads on to {shown_url(target)}, which is not http or https; it was not followed."
        )

    @classmethod
    def for_way_on(cls, url: object, error: Exception) -> HttpError:
        """Sent to nowhere."""
        return cls(f"{shown_url(url)} leads on to what is no address ({_printable(str(error)).rstrip('.')}).")

    @classmethod
    def for_redirects(cls, url: object, most: int) -> HttpError:
        """Sent on and on."""
        return cls(f"{shown_url(url)} leads on more than {most} times. Correct the address, or raise max_redirects.")

    @classmethod
    def for_body(cls, url: object, target: object) -> HttpError:
        """Sent to a stranger with the letter in hand."""
        return cls(
            f"{shown_url(url)} wants the body of the request to be sent to another host, {shown_url(target)}; it was "
            "not. Ask that host yourself if you trust it."
        )

    @classmethod
    def for_json(cls, url: object, error: Exception, body: str) -> HttpError:
        """Not JSON."""
        told = _printable(" ".join(body.split())) or "nothing"
        return cls(f"The answer of {shown_url(url)} is not JSON ({_printable(str(error))}). It begins with: {told}")

    @classmethod
    def for_json_value(cls, error: Exception) -> HttpError:
        """A value that JSON has no way to say."""
        said = _printable(str(error)).rstrip(".")
        return cls(f"json= of a request cannot be sent: {said}. Give lists, dicts, texts and numbers.")

    @classmethod
    def for_content(cls, url: object, error: object) -> HttpError:
        """Compressed, and broken."""
        return cls(f"The answer of {shown_url(url)} cannot be unpacked: {_printable(str(error))}.")

    @classmethod
    def for_header(cls, name: object) -> HttpError:
        """What would end a header and begin something else."""
        return cls(
            f"The header {short(name)} cannot be sent: a name is one word of letters, digits and hyphens, and a value "
            "is a text on one line. (Its value is not shown.)"
        )

    @classmethod
    def for_method(cls, method: object) -> HttpError:
        """Not a verb of HTTP."""
        return cls(f"{short(method)} is no method for a request; take GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.")

    @classmethod
    def for_argument(cls, name: str, given: object, wanted: str) -> HttpError:
        """An argument that cannot be meant."""
        return cls(f"{name} of a request cannot be {short(given)}; it is {wanted}.")

    @classmethod
    def for_url(cls, given: object, error: object) -> HttpError:
        """No address at all."""
        return cls(f"{shown_url(given)!r} is no address: {_printable(str(error))}.")

    @classmethod
    def for_session(cls, given: object) -> HttpError:
        """session= is something else."""
        return cls(f"session= takes a resource that gives an httpx.AsyncClient, not {type(given).__name__}.")


class HttpTimeoutError(HttpError, TimeoutError):
    """Nothing came for too long."""

    @classmethod
    def after(cls, method: str, url: object, seconds: float, tries: int) -> HttpTimeoutError:
        """``timeout=`` of the request."""
        return cls(
            f"{method} {shown_url(url)} brought nothing for {seconds:g} s, in {_times(tries)}. Raise timeout=, or ask "
            "for less."
        )


def _times(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"
