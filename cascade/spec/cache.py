"""Policies for ``cache=`` and ``.with_cache(…)``: when a stored result serves, and what is stored.

In: what the user wrote. Out: frozen policies with the two hooks of `CachePolicy`. Invariant: a policy only ever says
no to an entry that was found under the node's own key; it cannot make a wrong entry serve.
"""

from __future__ import annotations

import os
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cascade.interfaces.store_errors import CachePolicyError

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CachePolicy
    from cascade.interfaces.records import Entry

__all__ = ["ByContent", "FileExists", "Never", "TimeToLive", "by_content", "file_exists", "never", "ttl"]


@dataclass(frozen=True, slots=True)
class ByContent:
    """Serves as long as code and inputs are the same.

    Args:
        single_flight: of all processes that use the store, one at a time computes; the others wait and take its result.
        strict: code or arguments that cannot be keyed are an error; otherwise the result is not remembered, with a
            warning.
    """

    single_flight: bool = field(default=False, kw_only=True)
    strict: bool = field(default=False, kw_only=True)

    def serves(self, entry: Entry, now: float, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Always."""
        return True

    def stores(self, value: object, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Store everything."""
        return True


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """Serves for some time after the result was made.

    Args:
        seconds: above 0.
    """

    seconds: float

    def __post_init__(self) -> None:
        """Refuse what is not a time."""
        given: object = self.seconds
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < float("inf"):
            raise CachePolicyError.for_seconds(given)

    def serves(self, entry: Entry, now: float, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """While it is young. One from the future was made by a clock that is wrong: it does not serve."""
        return 0 <= now - entry.made_at < self.seconds

    def stores(self, value: object, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Store everything."""
        return True


@dataclass(frozen=True, slots=True)
class FileExists:
    """Serves while a file exists that the task is known to write.

    Args:
        template: a path with the task's arguments in braces.
    """

    template: str
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Refuse what is not a template."""
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(self.template) if name is not None]
        except ValueError as error:
            raise CachePolicyError.for_template(self.template, str(error)) from None
        if not all(name.isidentifier() for name in fields):
            raise CachePolicyError.for_template(self.template, "only plain argument names can stand in braces")
        object.__setattr__(self, "_names", tuple(fields))

    def path(self, arguments: Mapping[str, object]) -> str:
        """Return the path for these arguments.

        Raises:
            CachePolicyError: when the template names an argument that is not there.
        """
        for name in self._names:
            if name not in arguments:
                raise CachePolicyError.for_argument(self.template, name, arguments)
        return self.template.format_map(dict(arguments))

    def serves(self, entry: Entry, now: float, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """While the file is there; the value is the one that was stored with it."""
        return _exists(self.path(arguments))

    def stores(self, value: object, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Store only when the task has written the file."""
        return _exists(self.path(arguments))


@dataclass(frozen=True, slots=True)
class Never:
    """Nothing serves and nothing is stored."""

    def serves(self, entry: Entry, now: float, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Never."""
        return False

    def stores(self, value: object, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Store nothing."""
        return False


def _exists(path: str) -> bool:
    try:
        Path(path).stat()
    except (OSError, ValueError):  # ValueError: a NUL in an argument
        return False
    return True


def by_content(*, single_flight: bool = False, strict: bool = False) -> CachePolicy:
    """Serve while code and inputs are the same; what ``cache=True`` means.

    Args:
        single_flight: when another process computes the same at the moment, wait and take its result. If it fails or
            is killed, the next one computes.
        strict: refuse code and arguments that cannot be keyed, before the task runs. Otherwise what the code uses
            counts by its type, and a task whose arguments have no key is not remembered; both with a warning.

    Example:
        >>> by_content(single_flight=True)
        ByContent(single_flight=True, strict=False)
    """
    return ByContent(single_flight=single_flight, strict=strict)


def ttl(seconds: float) -> CachePolicy:
    """Serve for `seconds` after the result was made, if code and inputs are the same too.

    Raises:
        CachePolicyError: when `seconds` is not a finite number above 0.

    Example:
        >>> ttl(3600)
        TimeToLive(seconds=3600)
    """
    return TimeToLive(seconds)


def file_exists(path: str | os.PathLike[str]) -> FileExists:
    """Serve while the file at `path` exists, if code and inputs are the same too.

    A hit returns what the task returned when it wrote the file.

    Args:
        path: may have the task's arguments in braces.

    Raises:
        CachePolicyError: when `path` is not such a template.

    Example:
        >>> file_exists("out/{name}.csv").path({"name": "a"})
        'out/a.csv'
    """
    return FileExists(os.fspath(path))


def never() -> CachePolicy:
    """Neither serve nor store: for a task that is pure and should run anyway.

    Example:
        >>> never()
        Never()
    """
    return Never()
