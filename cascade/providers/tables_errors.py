"""What can go wrong with tables: what happened, where, and what to do.

In: kinds, formats and what a library said. Out: errors that can be read alone. Invariant: the words are made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from cascade.providers.errors import ProviderError, clip, nearest, short
from cascade.providers.storage_errors import shown, told

__all__ = ["OptionError", "TableError"]


# Words that the libraries use for the same.
_SAME: Final = (
    ("sep", "separator", "delimiter"), ("columns", "usecols", "include_columns"), ("skiprows", "skip_rows"),
    ("nrows", "n_rows"), ("dtype", "schema_overrides", "dtypes"), ("header", "has_header"),
    ("na_values", "null_values"),
)  # fmt: skip
_MOST: Final = 8  # columns that are named
_NEW_NAME: Final = re.compile(r"'(\w+)' is an invalid keyword|unexpected keyword argument '(\w+)'|no .*named '(\w+)'")


class OptionError(ProviderError, TypeError):
    """An option that the function of the library, which reads or writes the file, does not take."""

    @classmethod
    def for_call(cls, what: str, error: TypeError, options: Iterable[str], known: Iterable[str]) -> TypeError:
        """Return what says it in the words of cascade; `error` itself if it is about something else."""
        found = _NEW_NAME.search(str(error))
        name = next(filter(None, found.groups()), "") if found else ""
        if name not in set(options):
            return error
        return cls.for_name(what, name, known)

    @classmethod
    def for_name(cls, what: str, name: str, known: Iterable[str]) -> OptionError:
        """An option that is not one."""
        names = set(known)
        same = {each: next((n for n in group if n in names), "") for group in _SAME for each in group}
        close = get_close_matches(name, {*names, *(each for each in same if same[each])}, n=1, cutoff=0.7)
        if close:
            hint = f" Did you mean '{close[0] if close[0] in names else same[close[0]]}'?"
        else:
            hint = f" It takes {', '.join(sorted(names)[:8])} and more." if names else " It takes none."
        return cls(f"{what} takes no option '{clip(name)}'.{hint}")


class TableError(ProviderError, ValueError):
    """A table that cannot be read, written or made."""

    @classmethod
    def for_kind(cls, kind: object, known: Iterable[str]) -> TableError:
        """Not a kind of table."""
        return cls(f"as_ cannot be {short(kind)}; it is one of {', '.join(known)}, or None for whichever is there.")

    @classmethod
    def for_value(cls, value: object) -> TableError:
        """Not something with rows and columns."""
        return cls(
            f"A table is a frame of pandas or polars, an Arrow table, a list of dicts or a dict of lists, not "
            f"{short(value)}. Make one of these of it first."
        )

    @classmethod
    def for_lengths(cls, lengths: Mapping[object, int]) -> TableError:
        """Columns that do not make rows."""
        counts = ", ".join(f"{short(name)} has {count:,}" for name, count in list(lengths.items())[:_MOST])
        return cls(f"The columns of a table are of one length, but {counts}. Make them equally long.")

    @classmethod
    def for_content(cls, form: str, name: object, error: Exception) -> TableError:
        """The file is not of this format."""
        where = f" '{shown(name)}'" if isinstance(name, str) and name else ""
        if form in ("csv", "jsonl") and (isinstance(error, UnicodeError) or "utf-8" in str(error)):
            return cls(
                f"The file{where} is not text in the encoding that it is read in: {told(error)}. Say which it has: "
                "encoding='latin-1' is that of many older files, 'utf-16' of some spreadsheets."
            )
        return cls(f"The file{where} could not be read as {form}: {told(error)}. Is it really {form}?")

    @classmethod
    def for_empty(cls, form: str, name: object) -> TableError:
        """No bytes at all."""
        where = f" '{shown(name)}'" if isinstance(name, str) and name else ""
        return cls(f"The file{where} is empty: {form} has at least a header. Was it written to its end?")

    @classmethod
    def for_encoding(cls, encoding: object, error: Exception) -> TableError:
        """A text that cannot be written in this encoding."""
        return cls(f"The text cannot be written in encoding={short(encoding)}: {told(error)}. 'utf-8' takes any text.")

    @classmethod
    def for_writing(cls, form: str, error: Exception) -> TableError:
        """Values that the format has no way to hold."""
        said = next((each for each in error.args if isinstance(each, str)), "") if len(error.args) > 1 else error
        more = "".join(f"; {told(each)}" for each in error.args[1:] if isinstance(each, str))
        return cls(
            f"The table cannot be written as {form}: {told(said)}{more}. Give each column values of one type, or write "
            "csv, which takes any."
        )

    @classmethod
    def for_json(cls, name: str, error: Exception) -> TableError:
        """Not JSON."""
        if getattr(error, "doc", None) == "":
            return cls(f"'{shown(name)}' is empty, which is not valid JSON. Was it written to its end?")
        return cls(f"'{shown(name)}' is not valid JSON: {told(error)}.")

    @classmethod
    def for_json_value(cls, error: Exception) -> TableError:
        """A value that JSON has no way to say."""
        return cls(f"The value cannot be written as JSON: {told(error)}. Turn it into lists, dicts, texts and numbers.")

    @classmethod
    def for_text(cls, name: str, encoding: str, error: Exception) -> TableError:
        """Other bytes than the encoding allows."""
        return cls(f"'{shown(name)}' is not text in {encoding}: {told(error)}. Say encoding=, or read it as bytes.")

    @classmethod
    def for_column(cls, name: object, known: Iterable[str]) -> TableError:
        """No such column."""
        return cls(f"The table has no column {short(name)}.{nearest(name, known)}")
