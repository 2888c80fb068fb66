"""What can go wrong with tables: what happened, where, and what to do.

In: kinds, formats and what a library said. Out: errors that can be read alone. Invariant: the words are made here.
"""

from __future__ import annotations

from collections.abc import Iterable

from cascade.providers.errors import ProviderError, nearest, short
from cascade.providers.storage_errors import shown

__all__ = ["TableError"]


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
    def for_content(cls, form: str, name: object, error: Exception) -> TableError:
        """The file is not of this format."""
        where = f" '{shown(name)}'" if isinstance(name, str) and name else ""
        return cls(f"The file{where} could not be read as {form}: {shown(error)}. Is it really {form}?")

    @classmethod
    def for_json(cls, name: str, error: Exception) -> TableError:
        """Not JSON."""
        return cls(f"'{shown(name)}' is not valid JSON: {shown(error)}.")

    @classmethod
    def for_json_value(cls, error: Exception) -> TableError:
        """A value that JSON has no way to say."""
        return cls(
            f"The value cannot be written as JSON: {shown(error)}. Turn it into lists, dicts, texts and numbers."
        )

    @classmethod
    def for_text(cls, name: str, encoding: str, error: Exception) -> TableError:
        """Other bytes than the encoding allows."""
        return cls(f"'{shown(name)}' is not text in {encoding}: {shown(error)}. Say encoding=, or read it as bytes.")

    @classmethod
    def for_column(cls, name: object, known: Iterable[str]) -> TableError:
        """No such column."""
        return cls(f"The table has no column {short(name)}.{nearest(name, known)}")
