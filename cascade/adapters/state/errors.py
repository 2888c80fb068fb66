"""What can go wrong with the state of a run: what happened, where, and what to do.

In: paths, names and reasons from the place of the fault. Out: `StateError`s whose text can be read alone. Invariant:
the words are made here, by named constructors.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cascade.interfaces.exceptions import CascadeError, nearest

__all__ = ["StateError"]


class StateError(CascadeError, RuntimeError):
    """The state of a run cannot be read or kept."""

    @classmethod
    def for_missing_file(cls, path: Path) -> StateError:
        """Opened to be read, and not there."""
        return cls(f"There is no state file {path}. Check the path; a run with state_backend= makes the file.")

    @classmethod
    def for_foreign_file(cls, path: Path, problem: str) -> StateError:
        """Something else lies there."""
        return cls(
            f"The file {path} does not hold the state of runs: {problem}. It was left as it is; choose another path."
        )

    @classmethod
    def for_newer_file(cls, path: Path, version: int, known: int) -> StateError:
        """Written by a cascade that knows more."""
        return cls(
            f"The state file {path} has the form {version}, and this cascade reads forms up to {known}. "
            "Install a newer cascade, or choose another path."
        )

    @classmethod
    def for_failure(cls, path: Path, problem: str) -> StateError:
        """SQLite, or the disk, said no."""
        return cls(
            f"The state file {path} cannot be used: {problem}. "
            "Look at the disk's space and the file's rights; a damaged file can be deleted, results are made again."
        )

    @classmethod
    def for_no_run(cls, path: Path, known: Iterable[str]) -> StateError:
        """Asked about a run without saying which."""
        listed = nearest("", known)
        hint = f"{listed} Name one, as in SqliteStateBackend(path, run_id)." if listed else " It holds no run yet."
        return cls(f"Nobody said which run of the state file {path} is meant.{hint}")

    @classmethod
    def for_closed(cls, path: Path) -> StateError:
        """Used after `close`."""
        return cls(f"The state file {path} has been closed here. Open it again: SqliteStateBackend(path, run_id).")

    @classmethod
    def for_reader(cls, path: Path) -> StateError:
        """Written to, although opened to be read."""
        return cls(f"The state file {path} is open for reading only. Open it without read_only=True to write.")

    @classmethod
    def for_unkept_value(cls, node: str, reason: str) -> StateError:
        """The value could not be pickled when it was put."""
        return cls(
            f"'{node}' has a value that could not be kept: {reason}. "
            "Return something that can be pickled, or read the value in the run's own process."
        )

    @classmethod
    def for_damaged_value(cls, node: str, problem: str) -> StateError:
        """The bytes are not what was written, or cannot be decoded here."""
        return cls(f"The kept value of '{node}' cannot be read: {problem}. Run the node again.")

    @classmethod
    def for_metadata(cls, key: str, problem: str) -> StateError:
        """Not a plain fact."""
        return cls(
            f"The fact '{key}' about a run cannot be kept: {problem}. "
            "Facts are text, numbers, booleans, None, and lists and dicts of them."
        )

    # -- on a server ------------------------------------------------------------------------------------------------

    @classmethod
    def for_server(cls, problem: str) -> StateError:
        """The server, or the network, said no; the problem says what to do."""
        return cls(problem)

    @classmethod
    def for_no_run_there(cls, shown: str, known: Iterable[str]) -> StateError:
        """Asked about a run of a server without saying which."""
        listed = nearest("", known)
        hint = f"{listed} Name one, as in RedisStateBackend(url, run_id)." if listed else " It holds no run yet."
        return cls(f"Nobody said which run of {shown} is meant.{hint}")

    @classmethod
    def for_closed_link(cls, shown: str) -> StateError:
        """Used after `close`."""
        return cls(f"The state at {shown} has been closed here. Open it again: RedisStateBackend(url, run_id).")

    @classmethod
    def for_reader_of(cls, shown: str) -> StateError:
        """Written to, although opened to be read."""
        return cls(f"The state at {shown} is open for reading only. Open it without read_only=True to write.")

    @classmethod
    def for_foreign_value(cls, node: str, key_file: Path) -> StateError:
        """Signed with another key, or by nobody."""
        return cls(
            f"The kept value of '{node}' was signed with another key than that in {key_file}, so it is not read. "
            "Copy the key file of the machine that runs, readable for you alone."
        )

    @classmethod
    def for_limit(cls, name: str, given: object) -> StateError:
        """Not a time or a size."""
        return cls(f"{name} is {given!r}; it must be a number above 0.")
