"""What can go wrong with a statement: what happened, where in it, and what to do.

In: the statement, and what the database said. Out: errors that can be read alone and that travel between processes.
Invariant: no text made here lists the values that were bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cascade.providers.errors import ProviderError, clip, hide_logins, nearest, short

__all__ = ["SqlError"]

_LONGEST: Final = 600  # characters of what a database said
_LINE: Final = 160  # characters of a statement's line
_AT: Final = re.compile(
    r"near \"([^\"]+)\"|no such (?:column|table|function|module): ([\w.\"]+)|has no column named (\w+)"
)


# What to do about what databases say; each sign is a part of their words.
_HINTS: Final = (
    ("not utf-8 encoded", "Read the file by cs.read.csv(path, encoding='latin-1'), and pass the frame as an argument."),
    (
        "database is locked",
        "Somebody else is writing: let them end, or ask again by .with_retry(max_attempts=5, delay=1).",
    ),
    ("does not exist!\n\nLINE", "A table is passed as an argument: cs.sql('select … from sales', sales=frame)."),
)


class SqlError(ProviderError, ValueError):
    """A statement that could not be run."""

    @classmethod
    def for_database(cls, statement: str, said: str, *, hint: str = "") -> SqlError:
        """The database refused it."""
        told = said.strip()
        told = told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"
        place = "" if re.search(r"(?m)^LINE \d+:", told) else f"\n{_place(statement, told)}"
        hint = hint or next((words for sign, words in _HINTS if sign in told), "")
        return cls("\n".join(filter(None, (f"The statement failed: {told}{place}", hint))))

    @classmethod
    def for_write(cls, statement: str, said: str) -> SqlError:
        """A change, where only reading was asked for."""
        told = said.strip().partition("\n")[0][:_LONGEST]
        place = _place(statement, "")
        return cls(
            f"The statement asks for a change, and cs.sql only reads unless told otherwise: {told}\n{place}\n"
            "Say write=True to let it change and commit."
        )

    @classmethod
    def for_file(cls, statement: str, said: str) -> SqlError:
        """A file that was not passed as an argument."""
        told = said.strip().partition("\n")[0][:_LONGEST]
        place = _place(statement, "")
        return cls(
            f"The statement reaches for a file that it was not given: {told}\n{place}\n"  # noqa: S608 - a sentence, no SQL
            "Pass it as an argument, as in cs.sql('select … from sales', sales=cs.File('sales.csv'))."
        )

    @classmethod
    def for_files(cls, name: str, said: str) -> SqlError:
        """Files that make no table."""
        told = said.strip().partition("\n")[0][:_LONGEST].rstrip(".")
        hint = next((f" {words}" for sign, words in _HINTS if sign in said), "")
        return cls(f"What '{clip(name)}' stands for cannot be read as a table: {told}.{hint}")

    @classmethod
    def for_missing(cls, names: Iterable[str], given: Iterable[str]) -> SqlError:
        """Asked for in the statement, given by nobody."""
        missing = sorted(names)
        asked = ", ".join(f"${clip(name)}" for name in missing)
        return cls(f"The statement asks for {asked}, which no argument gives.{nearest(missing[0], given)}")

    @classmethod
    def for_unused(cls, names: Iterable[str], asked: Iterable[str]) -> SqlError:
        """Given, and asked for nowhere."""
        unused = sorted(names)
        given = ", ".join(clip(name) for name in unused)
        hint = nearest(unused[0], asked) or (
            f" Write ${clip(unused[0])} where its value belongs; a table is a frame (pandas.DataFrame(…) of lists and "
            "dicts), an Arrow table or cs.File(path)."
        )
        return cls(f"The statement does not use {given}.{hint}")

    @classmethod
    def for_several(cls, statement: str) -> SqlError:
        """More than one statement."""
        return cls(
            f"This is more than one statement: '{clip(' '.join(statement.split()))}'. "
            "Give each a cs.sql of its own, in one cs.sql.transaction if they belong together."
        )

    @classmethod
    def for_text(cls, given: object) -> SqlError:
        """No statement."""
        return cls(f"A statement is a text of SQL, not {short(given)}.")

    @classmethod
    def for_on(cls, given: object) -> SqlError:
        """Not a database."""
        return cls(
            f"on= cannot be {short(given)}. It takes the URL or path of a database, "
            "cs.sql.transaction(…), or a resource that gives an engine or connection of SQLAlchemy, or a connection of "
            "DuckDB."
        )

    @classmethod
    def for_no_database(cls) -> SqlError:
        """Nothing that could be changed."""
        return cls("write=True needs a database to change. Say which by on=, as in on='sales.duckdb'.")

    @classmethod
    def for_url(cls, error: object) -> SqlError:
        """A URL that leads nowhere."""
        told = hide_logins(str(error).strip().partition("\n")[0])[:_LONGEST]
        return cls(
            f"The database cannot be reached by this URL: {told.rstrip('. ')}. Write it as in postgresql+psycopg://user@host/db."
        )

    @classmethod
    def for_connection(cls, said: object) -> SqlError:
        """Nobody there, or no entrance."""
        told = hide_logins(" ".join(str(said).split()))[:_LONGEST].rstrip(" .?!")
        return cls(
            f"The database cannot be reached: {told}. Look whether it is there, and user and password are right."
        )

    @classmethod
    def for_no_file(cls, path: object) -> SqlError:
        """Reading would make an empty database."""
        return cls(f"There is no database '{clip(path)}'. Correct the path, or say write=True to make one.")

    @classmethod
    def for_pattern(cls, pattern: object) -> SqlError:
        """A pattern for files of elsewhere."""
        return cls(
            f"The pattern '{clip(pattern)}' leads out of the working folder, where alone a statement may look for "
            "files. Read the files by cs.read.csv.map(cs.fs.glob(…)) and pass a frame of them."
        )

    @classmethod
    def for_no_match(cls, pattern: object, folder: str) -> SqlError:
        """Nothing there when it was looked for."""
        return cls(
            f"No file fits '{clip(pattern)}' in the working folder '{clip(folder)}'. It was looked for when the run "
            "began; what a task of the run writes is passed as an argument, as in t=cs.write.csv(…), and named t."
        )

    @classmethod
    def for_transaction(cls, path: object) -> SqlError:
        """It would wait for a transaction that ends with the run."""
        return cls(f"A transaction of this process has '{clip(path)}' open. Ask through it: on=cs.inject(transaction).")

    @classmethod
    def for_table(cls, name: str, on: str) -> SqlError:
        """A frame for a database that cannot see it."""
        return cls(f"'{clip(name)}' is a table in memory or a file, which {on} cannot see. Leave on= out: DuckDB can.")

    @classmethod
    def for_name(cls, name: object) -> SqlError:
        """A name that cannot stand after a dollar sign."""
        return cls(f"{short(name)} is no name of a parameter; a name is a word of letters, digits and _.")

    @classmethod
    def for_list(cls, name: str) -> SqlError:
        """``in ()`` has no meaning there."""
        return cls(
            f"'{clip(name)}' is an empty list, which cannot stand after IN in this database. Leave the call out with "
            ".run_if(…), or in PostgreSQL write = any($…)."
        )

    @classmethod
    def for_value(cls, rows: int, columns: int) -> SqlError:
        """Not one value."""
        return cls(f"as_='value' takes one row with one column, but there are {rows} rows with {columns} columns.")

    @classmethod
    def for_params(cls, given: object) -> SqlError:
        """Values without names."""
        return cls(
            f"params is a dict of values by name, or a list of such dicts, not of {type(given).__name__}. Write $name "
            "in the statement, and params={'name': …}."
        )

    @classmethod
    def for_kind(cls, error: object) -> SqlError:
        """A value that the database cannot take."""
        return cls(f"A value cannot be bound: {str(error).strip()[:_LONGEST]}")


def _place(statement: str, said: str) -> str:
    """Return the line that is meant, with a mark under the place if the words of the database tell it."""
    found = _AT.search(said)
    word = next((part for part in found.groups() if part), "") if found else ""
    word = word.strip('"').rpartition(".")[2] or word
    places = [each.start() for each in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", statement)] if word else []
    position = places[0] if len(places) == 1 else -1  # SQLite says no more than the word
    before = statement[: max(position, 0)]
    number, start = before.count("\n") + 1, before.rfind("\n") + 1
    line = statement[start:].partition("\n")[0] if position >= 0 else " ".join(statement.split())
    cut = max(0, position - start - _LINE // 2) if position >= 0 else 0
    shown = "".join(c if c.isprintable() else " " for c in line[cut : cut + _LINE])
    head = f"LINE {number}: "
    mark = f"\n{' ' * (len(head) + position - start - cut)}^" if position >= 0 else ""
    return f"{head}{shown}{mark}"
