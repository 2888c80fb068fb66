"""pyproject.toml → constraints.txt: the versions that were tried together.

In: every extra. Out: one `name==version` a line, with markers where platforms differ. Invariant: names and versions
only, so that the file holds behind any index (a lock file would name hosts).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
HEADER = """\
# The versions that were tried together; `make` installs with them, a plain `pip install` does not need them.
# Made by `make constraints`.
"""


def main() -> None:
    """Resolve all extras for every platform and write the result."""
    resolve = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal"]
    options = ["--python-version", "3.11", "--upgrade", "--no-header", "--no-annotate", "--quiet"]
    # uv itself is used where it installs, so it is pinned like the rest.
    answer = subprocess.run(
        [*resolve, *options, "-"], cwd=ROOT, input="uv\n", capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise SystemExit(answer.stderr)
    TARGET.write_text(HEADER + answer.stdout, encoding="utf-8")
    print(f"{TARGET.name}: {len(answer.stdout.splitlines())} lines.")


if __name__ == "__main__":
    main()
