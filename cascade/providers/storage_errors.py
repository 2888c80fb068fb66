"""What can go wrong with a path or an address: what happened, where, and what to do.

In: the place as it was given. Out: errors that can be read alone and that travel between processes. Invariant: no text
made here holds the credentials of an address.
"""

from __future__ import annotations

from cascade.providers.errors import ExtraMissingError, ProviderError

__all__ = ["PlaceError"]

_LONGEST = 200  # characters of a path in a sentence


def shown(given: object) -> str:
    """Return a path as a sentence may hold it: bounded, and without what steers a terminal."""
    text = str(given)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


class PlaceError(ProviderError, ValueError):
    """A path or an address that cannot be used as asked."""

    @classmethod
    def for_kind(cls, given: object) -> PlaceError:
        """Neither text nor a path."""
        told = f"A path or an address is a text or a Path, not {type(given).__name__}."
        return cls(f"{told} It comes first: cs.read.csv('in.csv'), cs.write.csv('out.csv', table).")

    @classmethod
    def for_nothing(cls) -> PlaceError:
        """An empty text."""
        return cls("The path is empty. Give the name of a file or folder; '.' is the working directory.")

    @classmethod
    def for_zero(cls, text: str) -> PlaceError:
        """No system takes a zero byte."""
        return cls(f"The path '{shown(text)}' has a zero byte in it, which no file name can have.")

    @classmethod
    def for_scheme(cls, text: str, root: str) -> PlaceError:
        """An address where a name under a root is asked for."""
        return cls(
            f"'{shown(text)}' is an address of its own, but it has to stay under root='{shown(root)}'. "
            "Give a path relative to the root, or leave root= out."
        )

    @classmethod
    def for_elsewhere(cls, given: object) -> PlaceError:
        """An address where only this machine is meant."""
        return cls(f"'{shown(given)}' is not of this machine. Use cs.read and cs.write for addresses.")

    @classmethod
    def for_escape(cls, text: str, root: str) -> PlaceError:
        """Out of the root."""
        return cls(
            f"'{shown(text)}' leads out of root='{shown(root)}'. "
            "Give a path that stays under the root, or leave root= out if you trust it."
        )

    @classmethod
    def for_root(cls, text: str) -> PlaceError:
        """What would take away more than anybody means."""
        return cls(
            f"'{shown(text)}' is a root, or it is or holds your home or working folder, and is not removed or moved. "
            "Name what is in it."
        )

    @classmethod
    def for_folder(cls, text: str) -> PlaceError:
        """A folder where a file is asked for."""
        return cls(f"'{shown(text)}' is a folder. Name a file in it.")

    @classmethod
    def for_full_folder(cls, text: str) -> PlaceError:
        """Removing with what is in it has to be asked for."""
        return cls(f"'{shown(text)}' is a folder. To remove it with all that is in it, say recursive=True.")

    @classmethod
    def for_taken(cls, text: str) -> PlaceError:
        """Something is there already."""
        return cls(f"'{shown(text)}' exists already. Take another name, or say overwrite=True.")

    @classmethod
    def for_ability(cls, address: str) -> PlaceError:
        """Many services can only be read."""
        return cls(f"The service behind '{shown(address)}' cannot do this; most of the web can only be read.")

    @classmethod
    def for_address(cls, address: str, error: Exception) -> PlaceError:
        """Not for fsspec either."""
        return cls(f"'{shown(address)}' is no address that fsspec knows: {shown(error)}")

    @classmethod
    def for_library(cls, address: str, error: ImportError) -> ExtraMissingError:
        """A library is missing."""
        return ExtraMissingError(
            f"To reach '{shown(address)}', a library is missing: {shown(error)}. "
            "Install it, for S3 and most others with: pip install 'cascade-notebook[s3]'"
        )

    @classmethod
    def for_bucket(cls, bucket: object) -> PlaceError:
        """What S3 never accepts as a bucket."""
        return cls(
            f"'{shown(bucket)}' is no name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens. "
            "Give the key as an argument of its own."
        )

    @classmethod
    def for_key(cls, key: object) -> PlaceError:
        """A key that could not be found again under its own name."""
        return cls(
            f"'{shown(key)}' cannot be the key of an object: it is a text of up to 1024 bytes that does not begin or "
            "end with '/' and has no empty part, no '..' and no control characters."
        )

    @classmethod
    def for_suffix(cls, name: str, known: tuple[str, ...]) -> PlaceError:
        """A file whose name does not tell what it is."""
        return cls(f"The name '{shown(name)}' does not tell how its table is written; known are {', '.join(known)}.")
