"""What can go wrong with a path or an address: what happened, where, and what to do.

In: the place as it was given. Out: errors that can be read alone and that travel between processes. Invariant: no text
made here holds the credentials of an address.
"""

from __future__ import annotations

from os import PathLike
from typing import Final

from cascade.providers.errors import ExtraMissingError, ProviderError, hide_logins

__all__ = ["PlaceError", "shown", "told"]

_LONGEST: Final = 200  # characters of a path in a sentence
# Extras of cascade-notebook, by what they bring and by the scheme; packages that are not called as their modules.
_EXTRAS: Final = {
    "s3fs": "s3", "gcsfs": "gcs", "ipfsspec": "ipfs", "s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs",
    "ipfs": "ipfs", "ipns": "ipfs",
}  # fmt: skip
_PACKAGES: Final = {
    "fsspec": "'fsspec[http]'", "aiohttp": "'fsspec[http]'",
    "libarchive": "libarchive-c", "smbclient": "smbprotocol", "gdrive_fs": "gdrive-fs",
    "fsspec_xrootd": "fsspec-xrootd", "lakefs_spec": "lakefs-spec",
}  # fmt: skip
_MODULES: Final = {"ipfs": "ipfsspec", "ipns": "ipfsspec"}  # schemes of which fsspec has not heard without these


def shown(given: object) -> str:
    """Return a path as a sentence may hold it: bounded, and without what steers a terminal."""
    text = hide_logins(str(given))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def told(error: object) -> str:
    r"""Return what a library said as a part of a sentence: on one line, bounded, without its full stop.

    Example:
        >>> told(ValueError("no header.\nLine 1."))
        'no header. Line 1'
    """
    return shown(" ".join(str(error).split())).rstrip(" .") or type(error).__name__


class PlaceError(ProviderError, ValueError):
    """A path or an address that cannot be used as asked."""

    @classmethod
    def for_kind(cls, given: object) -> PlaceError:
        """Neither text nor a path."""
        what = f"A path or an address is a text or a Path, not {type(given).__name__}."
        if isinstance(given, (list, tuple)) and given and all(isinstance(each, (str, PathLike)) for each in given):
            return cls(f"{what} For several, write .map: cs.read.csv.map(paths).")
        return cls(f"{what} It comes first: cs.read.csv('in.csv'), cs.write.csv('out.csv', table).")

    @classmethod
    def for_swap(cls, path: object, content: object) -> PlaceError:
        """What should be in the file stands where its name should."""
        return cls(
            f"'{shown(path)}' looks like a text and '{shown(content)}' like a path: the path comes first, then what "
            f"the file will hold. If '{shown(path)}' is meant to be its name, give it as Path(…)."
        )

    @classmethod
    def for_folder_name(cls, text: str) -> PlaceError:
        """A name that only a folder can have, where a file is made."""
        return cls(f"'{shown(text)}' ends as the name of a folder does. Name a file in it: '{shown(text)}name'.")

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
    def for_device(cls, text: str) -> PlaceError:
        """Something that would be gone if a file took its name."""
        return cls(
            f"'{shown(text)}' is a device, a pipe or a socket, and is not replaced by a file. Name a file; "
            "cs.io.stdout writes to the standard output."
        )

    @classmethod
    def for_taken_folder(cls, text: str) -> PlaceError:
        """A folder with something in it, where another one should come to stand."""
        return cls(f"'{shown(text)}' is a folder with something in it. Move it away first, or take another name.")

    @classmethod
    def for_pattern(cls, given: object) -> PlaceError:
        """Something else than one pattern."""
        what = f"A pattern is a text such as 'data/*.csv', not {type(given).__name__}."
        return cls(f"{what} For several, write .map: cs.fs.glob.map(patterns).")

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
    def for_address(cls, address: str, error: Exception) -> ProviderError:
        """Not for fsspec either; or, of those that it learns from other packages, not yet."""
        if address.partition(":")[0].lower() in _MODULES and "not known" in str(error):
            return cls.for_library(address, error)
        return cls(f"'{shown(address)}' is no address that fsspec knows: {told(error)}.")

    @classmethod
    def for_reading_only(cls, address: str) -> PlaceError:
        """A service that takes no files; on the web, a POST could be taken for anything."""
        if address.lower().rpartition("::")[2].startswith(("http:", "https:")):
            hint = "Send it with cs.http.put(url, content=…) or cs.http.post, if the service takes it."
        else:
            hint = "Take a path of this machine, or a service that takes files, as s3:// and gs:// do."
        return cls(f"'{shown(address)}' can only be read; nothing was changed. {hint}")

    @classmethod
    def for_gateway(cls, address: str) -> PlaceError:
        """Nobody has said by whom files of IPFS are fetched."""
        return cls(
            f"To reach '{shown(address)}', a gateway of IPFS is needed, and none is known. Start one (IPFS Desktop, "
            "kubo) and name it: storage={'gateway_addr': 'http://127.0.0.1:8080'}, or the variable IPFS_GATEWAY."
        )

    @classmethod
    def for_library(cls, address: str, error: BaseException) -> ExtraMissingError:
        """A library is missing; the cause of what fsspec says tells which."""
        scheme = address.partition(":")[0].lower()
        cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        module = (getattr(cause, "name", None) or _MODULES.get(scheme) or "fsspec").partition(".")[0]
        extra = _EXTRAS.get(scheme if module == "fsspec" else module)
        package = f"'cascade-notebook[{extra}]'" if extra else _PACKAGES.get(module, module)
        return ExtraMissingError(
            f"To reach '{shown(address)}', a library is missing: {module} is not installed. "
            f"Install it: pip install {package}"
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
            "end with '/' and has no empty part, no '..', no '?versionId=' and no control characters."
        )

    @classmethod
    def for_suffix(cls, name: str, known: tuple[str, ...]) -> PlaceError:
        """A file whose name does not tell what it is."""
        return cls(f"The name '{shown(name)}' does not tell how its table is written; known are {', '.join(known)}.")
