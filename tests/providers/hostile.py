"""Sixty texts that mean harm, for every parameter of every ready-made task.

Each would, if somebody ran it, reached into it or followed it, make, change or remove a file named `canary`.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["HOSTILE", "Canary"]

HOSTILE = [
    # a shell that reads values
    "; touch canary", "&& touch canary", "|| touch canary", "| touch canary", "& touch canary &", "\ntouch canary\n",
    "$(touch canary)", "`touch canary`", "${IFS}touch${IFS}canary", "<(touch canary)", "> canary", ">> canary",
    "< canary",
    "'; touch canary; '", '"; touch canary; "', """'"; touch canary; #""", "\\'; touch canary; #", '\\"; touch canary',
    "a[$(touch canary)]", "x=$(touch canary)", "$((a[$(touch canary)]))", "${x:-$(touch canary)}", "!touch canary",
    "\r\ntouch canary\r\n", "touch canary #", "{touch,canary}", "~/../canary", "*", "?", "[a-z]*",
    # options where a value should be
    "-rf", "--help", "-exec touch canary ;", "--output=canary", "-o canary", "--", "-", "-c touch canary",
    # NUL, halves of characters, controls
    "\0", "a\0; touch canary", "\ud800", "\x1b]0;canary\x07", "\u202etouch canary", "\x7f\x08", "é" * 50,
    # templates and formats
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% import os %}{{ os.system('touch canary') }}",
    "{{ self.__init__.__globals__ }}", "{0.__class__}", "{x.__init__.__globals__}", "{!r:>999999999}", "{{}}",
    "%(x)s %n",
    # YAML and JSON
    "!!python/object/apply:os.system ['touch canary']", "!!python/name:os.system", "&a [*a]",
    '{"$": "ref", "node": 0}',
    # paths
    "../../canary", "/etc/passwd", "file:///etc/passwd",
]  # fmt: skip


class Canary:
    """A file that has to stay as it is, and the folder that has to stay as empty as it is.

    Args:
        folder: in which the tests run.
    """

    TEXT = "sings\n"
    BORN = 1_000_000_000

    def __init__(self, folder: Path) -> None:
        """Put a bird into the folder, and one into the cage in it, in which to work."""
        self.folder = folder
        self.cage = folder / "cage"
        self.cage.mkdir()
        for place in (folder, self.cage):
            (place / "canary").write_text(self.TEXT)
            os.utime(place / "canary", (self.BORN, self.BORN))

    def check(self) -> None:
        """Fail when one was changed, removed or merely touched, or is no longer alone."""
        for place in (self.folder, self.cage):
            assert (place / "canary").read_text() == self.TEXT
            assert (place / "canary").stat().st_mtime == self.BORN
        assert [each.name for each in self.cage.iterdir()] == ["canary"]
        assert sorted(each.name for each in self.folder.iterdir()) == ["cage", "canary"]
