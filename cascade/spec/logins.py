"""Texts with addresses in them → the same without passwords.

In: a text that somebody may read: a value that is shown, an argument. Out: the text with dots in the place of what is
secret by its place. Invariant: a text without addresses comes back as it is, at the price of one look.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["hide_logins"]

_LOGIN: Final = re.compile(r"(://[^/\s:@'\"]*:)[^/\s@'\"]+@")
_QUERY: Final = re.compile(
    r"(?i)([?&][^=&#\s'\"]*(?:key|token|secret|passw|pwd|credential|signature|auth|sig)[^=&#\s'\"]*=)[^&#\s'\"]+"
)


def hide_logins(text: str) -> str:
    """Return `text` without the passwords and tokens of the addresses in it.

    Example:
        >>> hide_logins("curl https://ada:pw@host/a?x=1&api_key=s3cret")
        'curl https://ada:•••@host/a?x=1&api_key=•••'
    """
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1•••", _LOGIN.sub(r"\1•••@", text))
