"""``cs.io``: this machine, S3, and the streams of the program.

In: nothing. Out: the modules, under the names that type checkers look for; the registry finds each task by itself.
Invariant: nothing is loaded that was not loaded anyway.
"""

from __future__ import annotations

from cascade.providers import io_local as local
from cascade.providers import io_s3 as s3
from cascade.providers.streams import stdin, stdout

__all__ = ["local", "s3", "stdin", "stdout"]
