"""Large values as files named after their content.

In: pieces of bytes and their digest. Out: files, and the bytes back. Invariant: a file with its final name was whole
when it got it; what is read is the content that the digest names, or an error.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cascade.adapters.stores.codecs import Buffer
from cascade.adapters.stores.file_ops import FileOps, fault_point
from cascade.interfaces.store_errors import SealError

__all__ = ["BlobFolder", "digest_of"]

DIGEST_BYTES: Final = 20
LITTER_AGE: Final = 3600.0  # seconds: what nobody needs and is younger may be of somebody who is about to
_DIGEST: Final = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
_NAME: Final = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES - 2}}}")


def digest_of(parts: Sequence[Buffer]) -> str:
    """Return the digest of the bytes of all `parts` together.

    Example:
        >>> digest_of([b"ab", b"c"]) == digest_of([b"abc"])
        True
    """
    if len(parts) == 1:
        return blake2b(parts[0], digest_size=DIGEST_BYTES).hexdigest()
    state = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(part)
    return state.hexdigest()


class BlobFolder:
    """Files under ``objects/``, new ones first under ``tmp/``.

    Args:
        folder: of the store. files: the disk. fsync: wait for the disk before a file gets its name.
    """

    def __init__(self, folder: Path, files: FileOps, *, fsync: bool) -> None:
        """Make nothing yet."""
        self.objects = folder / "objects"
        self.temporary = folder / "tmp"
        self._files = files
        self._fsync = fsync

    def path(self, content: str) -> Path:
        """Return the file of a digest.

        Raises:
            SealError: when it is none, so that no row can name a file outside of the folder.
        """
        if not _DIGEST.fullmatch(content):
            raise SealError.for_form("it names no content")
        return self.objects / content[:2] / content[2:]

    def exists(self, content: str, size: int) -> bool:
        """Say whether there is a file of this digest and size; what is in it is seen when it is read."""
        return self._files.size(self.path(content)) == size

    def write(self, content: str, parts: Sequence[Buffer]) -> None:
        """Write a file anew, also over one of this name: that one may be torn.

        Raises:
            OSError: what the disk says; nothing is left then.
        """
        files, target = self._files, self.path(content)
        new = self.temporary / f"{os.getpid()}-{secrets.token_hex(8)}"
        files.mkdir(self.temporary)
        files.mkdir(target.parent)
        try:
            self._write_new(new, parts)
            fault_point("blob.written")
            files.replace(new, target)
        except BaseException:
            with suppress(OSError):
                files.unlink(new)
            raise
        fault_point("blob.renamed")

    def _write_new(self, path: Path, parts: Sequence[Buffer]) -> None:
        files = self._files
        file = files.open(path)
        fault_point("blob.opened")
        try:
            for part in parts:
                view = memoryview(part).cast("B")
                while view:
                    count = files.write(file, view)
                    if not count:
                        raise OSError(errno.EIO, "the disk takes no more bytes")  # noqa: TRY301 - as the disk would
                    view = view[count:]
            if self._fsync:
                files.fsync(file)
        except BaseException:
            with suppress(OSError):
                file.close()
            raise
        try:
            files.close(file)
        finally:
            file.close()

    def read(self, content: str, size: int) -> memoryview:
        """Return the bytes of a digest, in memory that may be written to.

        Raises:
            OSError: what the disk says. SealError: when the bytes are others.
        """
        data = self._files.read(self.path(content), size)
        if len(data) != size or digest_of([data]) != content:
            raise SealError.for_digest(len(data), size)
        return memoryview(data)

    def remove(self, content: str) -> None:
        """Remove a file; what cannot be removed (a folder, say) is moved out of the way.

        Raises:
            OSError: when neither can be done.
        """
        path = self.path(content)
        try:
            self._files.unlink(path)
        except OSError:
            self._files.mkdir(self.temporary)
            self._files.replace(path, self.temporary / f"torn-{secrets.token_hex(8)}")

    def contents(self) -> Iterator[tuple[str, int, float]]:
        """Go over the files: digest, bytes, age in seconds."""
        now = time.time()
        for folder in self._files.scan(self.objects):
            if not folder.is_dir(follow_symlinks=False) or len(folder.name) != 2:  # noqa: PLR2004 - as in `path`
                continue
            for file in self._files.scan(Path(folder.path)):
                with suppress(OSError):  # removed meanwhile
                    if _NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                        found = file.stat(follow_symlinks=False)
                        yield folder.name + file.name, found.st_size, now - found.st_mtime

    def litter(self) -> Iterator[tuple[Path, int]]:
        """Go over the temporary files that nobody can be writing any more: path, bytes."""
        now = time.time()
        for file in self._files.scan(self.temporary):
            with suppress(OSError):
                found = file.stat(follow_symlinks=False)
                if now - found.st_mtime > LITTER_AGE and file.is_file(follow_symlinks=False):
                    yield Path(file.path), found.st_size
