"""The files that a statement names by a pattern, as ``from 'data/*.csv'``.

In: a pattern. Out: the files that fit it, each of which counts by its content. Invariant: all of them lie under the
working folder, wherever links lead; the statement is given these files and no way to look for others.
"""

from __future__ import annotations

import os
from glob import glob, has_magic
from pathlib import Path, PurePath

import cascade as cs
from cascade.providers.sql_duckdb import form_of
from cascade.providers.sql_errors import SqlError
from cascade.providers.storage import is_address

__all__ = ["files_of", "matching"]


def files_of(path: str) -> object:
    """Return the file that stands in a statement, or, of a pattern, the call that looks for those that fit it.

    Example:
        >>> files_of("a.csv"), files_of("data/*.csv")
        (File('a.csv'), <lazy sql.files('data/*.csv')>)
    """
    is_pattern = has_magic(path) and form_of(path) is not None and not os.path.exists(path)  # noqa: PTH110 - a Path would have to be made for it
    return matching(path) if is_pattern else cs.File(path)


@cs.task(name="sql.files")
def matching(pattern: str) -> list[cs.File]:
    """Return the files under the working folder that fit a pattern, sorted.

    Args:
        pattern: relative, as ``data/*.csv``; ``**`` stands for folders at any depth.

    Raises:
        SqlError: when none fits, or the pattern leads elsewhere.

    Example:
        >>> import cascade as cs
        >>> from cascade.providers.sql_files import matching
        >>> cs.run(matching("no/such/*.csv"), log_level="CRITICAL")
        Traceback (most recent call last):
        cascade.providers.sql_errors.SqlError: No file fits 'no/such/*.csv' ...
    """
    parts = PurePath(pattern).parts
    if is_address(pattern) or PurePath(pattern).is_absolute() or ".." in parts or pattern.startswith("~"):
        raise SqlError.for_pattern(pattern)
    here = Path.cwd().resolve()
    found = [path for path in sorted(glob(pattern, recursive=True)) if Path(path).is_file()]  # noqa: PTH207 - text
    inside = [cs.File(path) for path in found if Path(path).resolve().is_relative_to(here)]
    if not inside:
        raise SqlError.for_no_match(pattern, str(here))
    return inside
