"""What can go wrong with stored results: what happened, where, and what to do.

In: paths, keys and reasons from the place of the fault. Out: errors and report texts that can be read alone. Invariant:
the words are made here; a store tells its faults by reports, and raises only where its maker was told nonsense.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cascade.interfaces.exceptions import CascadeError, nearest

__all__ = ["CachePolicyError", "CodecError", "SealError", "StoreError", "StoreFault"]


class StoreError(CascadeError, ValueError):
    """A store or cache cannot be made as it was asked for."""

    @classmethod
    def for_key_in_folder(cls, key_file: Path, folder: Path) -> StoreError:
        """Who can write the folder could sign what they like."""
        return cls(
            f"The key file {key_file} lies in the store folder {folder}, which it is there to protect. "
            "Choose a place outside of it, or leave key_file= out."
        )

    @classmethod
    def for_missing_library(cls, purpose: str, library: str, extra: str) -> StoreError:
        """An optional library."""
        return cls(f"{purpose} needs {library}, which is not installed. Install cascade-notebook[{extra}].")

    @classmethod
    def for_limit(cls, name: str, given: object) -> StoreError:
        """Not a size or an age."""
        return cls(f"{name} is {given!r}; it must be a number of at least 0, or None for no limit.")

    @classmethod
    def for_codec(cls, name: str, known: Iterable[str]) -> StoreError:
        """A second codec of one name."""
        return cls(f"A codec is called '{name}' already ({', '.join(sorted(known))}). Give yours another name.")

    @classmethod
    def for_codec_name(cls, name: object) -> StoreError:
        """Not a name that can stand in a row."""
        return cls(f"A codec cannot be called {name!r}. Its name is a word of letters, digits, '.', '-' and '_'.")


class StoreFault(CascadeError, RuntimeError):  # noqa: N818 - it never reaches a user: reports carry its words
    """The store cannot do what it was asked now; becomes a report, never an error of a run."""

    @classmethod
    def for_newer_index(cls, path: Path, form: str, known: str) -> StoreFault:
        """Written by a cascade that knows more."""
        return cls(
            f"The index {path} has the form {form}, and this cascade knows {known}. "
            "Install a newer cascade, or choose another folder."
        )

    @classmethod
    def for_failure(cls, path: Path, problem: object) -> StoreFault:
        """The disk, or SQLite, said no."""
        return cls(f"The store {path} cannot be used: {problem}. Look at the disk's space and the folder's rights.")

    @classmethod
    def for_locked(cls, path: Path, seconds: float) -> StoreFault:
        """Another program does not let go of the index."""
        return cls(
            f"Nothing more is stored in {path.parent}: another program held {path.name} for {seconds:.0f} s. "
            "Stored results still serve. Close that program (one that shows databases?), and start another run."
        )

    @classmethod
    def for_no_folder(cls, path: Path) -> StoreFault:
        """A file, or a link that leads nowhere, stands where the folder should be."""
        what = "a link that leads nowhere" if path.is_symlink() and not path.exists() else "no folder"
        return cls(f"The store {path} cannot be used: it is {what}. Move it away, or choose another folder.")

    @classmethod
    def for_read_only(cls, path: Path, problem: object) -> StoreFault:
        """Results can be read, not written."""
        return cls(
            f"Nothing more is stored in {path}: {problem}. "
            "Stored results still serve. Make space, or make the folder writable, and start another run."
        )

    @classmethod
    def for_open_key(cls, path: Path, mode: int) -> StoreFault:
        """Others could sign."""
        return cls(
            f"The key file {path} can be read by others (mode {mode:04o}), so that signatures say nothing. "
            f"Nothing is stored or loaded. Run `chmod 600 {path}`; if others had access, delete it instead."
        )

    @classmethod
    def for_bad_key(cls, path: Path, problem: object) -> StoreFault:
        """No key, or half of one."""
        return cls(
            f"The key file {path} cannot be used: {problem}. Nothing is stored or loaded. "
            "Make it readable for you alone, or delete it: another one is made, and stored results are computed again."
        )


class SealError(CascadeError, ValueError):
    """Stored bytes are not what was written, or not by whom they say."""

    @classmethod
    def for_signature(cls) -> SealError:
        """The signature does not fit."""
        return cls("its signature does not fit; it was changed or put there by somebody else")

    @classmethod
    def for_digest(cls, found: int, expected: int) -> SealError:
        """Other bytes than were signed."""
        size = f" ({found:,} bytes in place of {expected:,})" if found != expected else ""
        return cls(f"its bytes are not those that were stored{size}")

    @classmethod
    def for_form(cls, problem: str) -> SealError:
        """Not of our making at all."""
        return cls(f"it cannot be read: {problem}")


class CodecError(CascadeError, ValueError):
    """A value cannot be turned into bytes, or bytes cannot be turned into the value."""

    @classmethod
    def for_value(cls, value: object, problem: object) -> CodecError:
        """Nothing takes it."""
        kind = type(value).__name__
        return cls(
            f"a value of type {kind} cannot be stored ({problem}). "
            "Return something that can be pickled, or switch storing off with cache=cs.cache.never()"
        )

    @classmethod
    def for_unknown(cls, name: str, known: Iterable[str]) -> CodecError:
        """Stored with a codec that is not here."""
        return cls(f"it was stored with the codec '{name}', which is not registered here.{nearest(name, known)}")

    @classmethod
    def for_bytes(cls, name: str, problem: object) -> CodecError:
        """The codec gave up."""
        return cls(f"the codec '{name}' cannot read it here ({problem})")


class CachePolicyError(CascadeError, ValueError):
    """A cache policy cannot be meant."""

    @classmethod
    def for_seconds(cls, given: object) -> CachePolicyError:
        """Not a time."""
        return cls(f"cs.cache.ttl takes a number of seconds above 0, not {given!r}.")

    @classmethod
    def for_template(cls, template: str, problem: str) -> CachePolicyError:
        """Not a template."""
        return cls(
            f"cs.cache.file_exists cannot read the path {template!r}: {problem}. "
            "Write the names of the task's arguments in braces, as in 'out/{name}.csv'; for a brace itself, double it."
        )

    @classmethod
    def for_argument(cls, template: str, name: str, known: Iterable[str]) -> CachePolicyError:
        """The task has no such argument."""
        return cls(f"The path {template!r} asks for an argument '{name}' that the task has not.{nearest(name, known)}")
