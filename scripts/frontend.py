"""cascade/notebook/frontend → cascade/notebook/static: rebuild what the browser gets, and say whether it changed.

In: the ES modules. Out: the built files that are committed and shipped. Invariant: node is needed here only, never to
install or use cascade; with `--check` a difference between the sources and the committed files is a failure.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parent.parent / "cascade" / "notebook"
FRONTEND = NOTEBOOK / "frontend"
STATIC = NOTEBOOK / "static"


def main() -> None:
    """Build, then compare digests with those from before."""
    parser = argparse.ArgumentParser(description="Build the front end.")
    parser.add_argument("--check", action="store_true", help="exit with 1 when the build changes a committed file")
    arguments = parser.parse_args()
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is missing: install Node.js 20 or newer (on Debian: apt-get install nodejs npm).")
    before = digests()
    build(npm)
    after = digests()
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not changed:
        print(f"The front end is as committed: {len(after)} files.")
        return
    print("The build changed these files of cascade/notebook/static:", *changed, sep="\n  ")
    if arguments.check:
        raise SystemExit("They differ from the sources. Run `make frontend` and commit what it builds.")


def build(npm: str) -> None:
    """Install the build tools as the lock file says and run the build, with this environment's programs on the path."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    installed = FRONTEND / "node_modules" / ".package-lock.json"
    lock = FRONTEND / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=FRONTEND, env=environment, check=True)
    for script in ("check", "build"):
        subprocess.run([npm, "run", "--silent", script], cwd=FRONTEND, env=environment, check=True)


def digests() -> dict[str, str]:
    """The content of each built file, by its path below `static`."""
    files = (
        path
        for path in STATIC.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    )
    return {path.relative_to(STATIC).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
