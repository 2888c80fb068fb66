"""The errors of ready-made tasks: what happened, where, and what to do.

In: names and values from the place of the fault. Out: exceptions whose text can be read alone. Invariant: the words are
made here, by named constructors, and each error can be pickled. (Ready-made tasks know the public names of cascade
only; so these errors have a base of their own.)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = [
    "ExtraMissingError",
    "PartError",
    "ProviderError",
    "ProviderLoadError",
    "clip",
    "hide_logins",
    "nearest",
    "short",
]

LONGEST = 60  # characters of a name or a value in a sentence
MOST_COMPARED = 200  # characters of a name for which a similar one is looked for
_LOGIN = re.compile(r"(://[^/\s:@'\"]*:)[^/\s@'\"]+@")
MOST_KNOWN = 8  # names that are listed where none is similar


def hide_logins(text: str) -> str:
    """Return a text without the passwords of the addresses in it.

    Example:
        >>> hide_logins("curl https://ada:pw@host/a")
        'curl https://ada:•••@host/a'
    """
    return _LOGIN.sub(r"\1•••@", text) if "://" in text else text


def clip(name: object) -> str:
    """Return a name as a sentence may hold it: on one line, bounded, without what steers a terminal."""
    text = hide_logins(str(name))
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def short(value: object) -> str:
    """Return a repr that is never long and never fails."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything, and a huge int does
        return f"a {type(value).__name__}"
    return clip(text)


def nearest(name: object, known: Iterable[object]) -> str:
    """Return `` Did you mean 'x'?`` for the known name closest to `name`, or the list of known names, or nothing."""
    names = sorted({str(each) for each in known})
    close = difflib.get_close_matches(str(name)[:MOST_COMPARED], names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{clip(close[0])}'?"
    shown = ", ".join(map(clip, names[:MOST_KNOWN])) + (", …" if len(names) > MOST_KNOWN else "")
    return f" Known: {shown}." if names else ""


class ProviderError(Exception):
    """The base of the errors that ready-made tasks raise by themselves."""


class ExtraMissingError(ProviderError, ImportError):
    """A library that a ready-made task needs is not installed."""

    @classmethod
    def for_provider(cls, name: str, missing: Iterable[str], extra: str) -> ExtraMissingError:
        """A provider was called without the libraries that it stands on."""
        libraries = " and ".join(each.replace("|", " or ") for each in missing)
        package = f"'cascade-notebook[{extra}]'" if extra else libraries
        return cls(f"cs.{name} needs {libraries}, which is not installed. Install it: pip install {package}")


class PartError(ProviderError, KeyError):
    """A result has no part of this name."""

    def __str__(self) -> str:
        """Show the sentence as it is; that of a KeyError stands in quotes."""
        return str(self.args[0]) if self.args else ""

    @classmethod
    def for_name(cls, what: str, name: object, known: Iterable[str]) -> PartError:
        """A name that is none of those of its parts."""
        return cls(f"{what} has no part {short(name)}.{nearest(name, known)}")


class ProviderLoadError(ProviderError, AttributeError):
    """A ready-made task is known by name, but what stands behind the name cannot be had."""

    @classmethod
    def for_fault(cls, name: str, source: str, error: BaseException) -> ProviderLoadError:
        """Loading it raised `error`."""
        told = clip(f"{type(error).__name__}: {error}".splitlines()[0]) if str(error) else type(error).__name__
        return cls(
            f"The provider '{clip(name)}' of {clip(source)} could not be loaded ({told}). "
            f"Update or uninstall {clip(source)}; everything else works without it."
        )

    @classmethod
    def for_kind(cls, name: str, source: str, found: object) -> ProviderLoadError:
        """What was found can not be called."""
        return cls(
            f"The provider '{clip(name)}' of {clip(source)} is of type {type(found).__name__}, which cannot be called. "
            "A provider is a task, or a function that returns lazy results."
        )

    @classmethod
    def for_name(cls, prefix: str, name: str, known: Iterable[str]) -> ProviderLoadError:
        """A namespace has no such member."""
        return cls(f"cs.{prefix} has no '{clip(name)}'.{nearest(name, known)}")
