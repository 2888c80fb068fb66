"""requirements → .venv: make the project's own virtual environment, with uv where it installs, else with pip.

In: extras and further requirements on the command line. Out: `.venv` with the package installed editable, every
version from constraints.txt, and the JupyterLab renderer where JupyterLab looks. Invariant: needs nothing but the
Python it is run with and its pip; running it again changes nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
RENDERER = ROOT / "cascade" / "notebook" / "static" / "labextension"
INSTALLED_RENDERER = VENV / "share" / "jupyter" / "labextensions" / "cascade-notebook"


def main() -> None:
    """Read the command line, then make, fill and complete the environment."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file must say so itself, before anything is installed
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"cascade needs Python 3.11 or newer; {sys.executable} is {version}. Try `make PYTHON=python3.12 …`.")
    parser = argparse.ArgumentParser(description="Make .venv and install cascade into it.")
    parser.add_argument("--extra", action="append", default=[], help="an extra of pyproject.toml")
    parser.add_argument("--with", action="append", default=[], dest="also", help="a further requirement")
    arguments = parser.parse_args()
    make_venv()
    extras = ",".join(arguments.extra)
    install(["--editable", f".[{extras}]" if extras else ".", *arguments.also])
    copy_renderer()


def make_venv() -> None:
    """Make `.venv` with a pip in it, also where Python came without `ensurepip` (Debian's does)."""
    if Path(PYTHON).exists() and is_successful([PYTHON, "-m", "pip", "--version"]):
        return
    print(f"Making {VENV.name} with Python {sys.version.split()[0]} …", flush=True)
    if is_successful([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "--python", PYTHON, "install", "--quiet", "pip"], check=True)


def install(requirements: list[str]) -> None:
    """Install with uv; where uv cannot be had or does not get through, with pip, which is only slower."""
    versions = ["--constraint", "constraints.txt"]
    uv = [PYTHON, "-m", "uv"]
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    has_uv = is_successful([*uv, "--version"]) or is_successful([*pip, "install", "--quiet", *versions, "uv"])
    if has_uv:
        print("Installing with uv …", flush=True)
        command = [*uv, "pip", "install", "--python", PYTHON, "--quiet", "--compile-bytecode", *versions, *requirements]
        if subprocess.run(command, cwd=ROOT, env=uv_environment(), check=False).returncode == 0:
            return
    print("Installing with pip …", flush=True)
    subprocess.run([*pip, "install", *versions, *requirements], cwd=ROOT, check=True)


def uv_environment() -> dict[str, str]:
    """Give uv the package index that this machine's pip was told to use: uv does not read pip's settings."""
    environment = dict(os.environ)
    listing = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    for line in listing.stdout.splitlines():
        name, _, value = line.partition("=")
        if name.endswith(".index-url"):
            environment.setdefault("UV_DEFAULT_INDEX", value.strip("'\""))
    return environment


def copy_renderer() -> None:
    """Copy the built renderer to where JupyterLab looks: uninstalling through a link would delete the source."""
    if not RENDERER.is_dir():
        print(
            f"No {RENDERER.relative_to(ROOT)}: build it with `make frontend`; saved runs show as pictures until then."
        )
        return
    if INSTALLED_RENDERER.is_symlink():
        INSTALLED_RENDERER.unlink()
    shutil.rmtree(INSTALLED_RENDERER, ignore_errors=True)
    shutil.copytree(RENDERER, INSTALLED_RENDERER)


def is_successful(command: list[str]) -> bool:
    """Whether a program runs and exits with 0; what it says is not shown."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
