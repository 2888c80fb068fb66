"""A real JupyterLab, a real Notebook 7 and a real Chromium, started once for this folder and stopped by it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "cascade" / "notebook" / "static" / "labextension"
PICTURES = ROOT / "build" / "screenshots"
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
START_LIMIT = 60.0
# Each page would have the server start Node.js to see whether JupyterLab should be built anew, and a server that is to
# end waits for that.
QUIET_PAGES = {"page_config_data": {"buildCheck": False, "buildAvailable": False}}


class Server:
    """One Jupyter application on a free loopback port, with folders of its own."""

    def __init__(self, application: str, home: Path) -> None:
        self.application = application
        self.root = home / "work"
        self.root.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.log = home / "server.log"
        self._ending: list[threading.Thread] = []
        environment = self._environment(home)
        expose = {
            "lab": "--LabApp.expose_app_in_browser=True",
            "notebook": "--JupyterNotebookApp.expose_app_in_browser=True",
        }
        modules = {"lab": "jupyterlab", "notebook": "notebook"}  # `jupyter lab` would take the first one on the PATH
        command = [
            sys.executable, "-m", modules[application], "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.root}", expose[application], f"--ServerApp.tornado_settings={QUIET_PAGES}",
        ]  # fmt: skip
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.root)
        self._wait_until_up()

    @staticmethod
    def _environment(home: Path) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": home / "config",
            "JUPYTER_DATA_DIR": home / "data",
            "JUPYTER_RUNTIME_DIR": home / "runtime",
            "IPYTHONDIR": home / "ipython",
        }
        for folder in folders.values():
            folder.mkdir(parents=True)
        settings = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False}
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
        installed = Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "cascade-notebook" / "package.json"
        path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
        made = {**os.environ, **{k: str(v) for k, v in folders.items()}, "PYTHONPATH": path}
        if not installed.exists() or installed.read_bytes() != (EXTENSION / "package.json").read_bytes():
            shutil.copytree(EXTENSION, home / "data" / "labextensions" / "cascade-notebook")
            made["JUPYTER_PREFER_ENV_PATH"] = "0"  # the tree as it is now comes before what was installed once
        return made

    def _wait_until_up(self) -> None:
        limit = time.monotonic() + START_LIMIT
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.origin}/api?token={self.token}", timeout=2).close()
                return
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"The server did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server and its kernels."""
        for one in self._ending:  # a server that is told to end while it ends a kernel waits for that for 15 s
            one.join(15)
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def ask(self, method: str, path: str) -> Any:
        """Ask the server's own interface."""
        request = urllib.request.Request(f"{self.origin}/api/{path}?token={self.token}", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def end_kernels(self, *, wait: bool = True) -> None:
        """Shut down every kernel that runs now; without `wait` the caller goes on meanwhile."""

        def end(session: str) -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):  # it, or the server, may be gone already
                self.ask("DELETE", f"sessions/{session}")

        ends = [threading.Thread(target=end, args=[one["id"]], daemon=True) for one in self.ask("GET", "sessions")]
        self._ending = ends
        for one in ends:
            one.start()
        for one in ends if wait else []:
            one.join()

    def write(self, name: str, cells: Sequence[Any]) -> str:
        """Write a notebook into the server's folder; a cell is code, or a whole cell."""
        notebook = nbformat.v4.new_notebook(metadata=KERNEL)
        notebook.cells = [nbformat.v4.new_code_cell(c) if isinstance(c, str) else c for c in cells]
        nbformat.write(notebook, self.root / name)
        return name

    def address(self, name: str) -> str:
        """Where a browser finds the notebook."""
        place = f"lab/tree/{name}" if self.application == "lab" else f"notebooks/{name}"
        return f"{self.origin}/{place}?token={self.token}{'&reset' if self.application == 'lab' else ''}"


class Page:
    """A notebook in a browser tab, and what a person does with it."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page = page
        self.server = server
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, name: str, *, kernel: bool = True) -> Page:
        """Open a notebook and wait until it is drawn and, with `kernel`, its kernel is idle."""
        self.page.goto(self.server.address(name))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.page.wait_for_function("() => window.jupyterapp !== undefined", timeout=60_000)
        if kernel:
            self.wait_until_idle()
        return self

    def wait_until_idle(self) -> None:
        """Wait until the kernel is connected and has nothing to do."""
        self.page.wait_for_function(
            """() => { const widget = window.jupyterapp.shell.currentWidget;
                  const session = widget && (widget.sessionContext || widget.content?.sessionContext);
                  return session?.session?.kernel?.connectionStatus === 'connected'
                    && session.session.kernel.status === 'idle'; }""",
            timeout=60_000,
        )

    def command(self, name: str) -> None:
        """Execute a command of the application, as its menus do, without waiting for what it starts."""
        self.page.evaluate("(name) => { window.jupyterapp.commands.execute(name); }", name)

    def run_all(self) -> None:
        """Run all cells."""
        self.command("notebook:run-all-cells")

    def run_cell(self, index: int) -> None:
        """Run one cell, once nothing else runs: what is queued behind a failing cell is dropped."""
        prompts = "() => [...document.querySelectorAll('.jp-InputPrompt')].every((p) => !p.textContent.includes('*'))"
        self.page.wait_for_function(prompts, timeout=60_000)
        self.page.evaluate(  # in one step: what a click before it still moves cannot come between
            """(n) => { const content = window.jupyterapp.shell.currentWidget.content;
                content.deselectAll();
                content.activeCellIndex = n;
                window.jupyterapp.commands.execute('notebook:run-cell'); }""",
            index,
        )

    def cell(self, index: int) -> Any:
        """The output area of cell number `index`."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-OutputArea-output")

    def wait_for_text(self, text: str, *, cell: int | None = None, timeout: float = 30.0) -> None:
        """Wait until `text` stands in an output."""
        place = self.page.locator(".jp-OutputArea-output") if cell is None else self.cell(cell)
        place.filter(has_text=text).first.wait_for(timeout=timeout * 1000, state="attached")

    def save(self) -> None:
        """Save the notebook and wait until it is on disk."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def picture(self, name: str, locator: Any = None) -> Path:
        """Take a screenshot into build/screenshots."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        (locator or self.page).screenshot(path=path)
        return path

    def dark(self, *, on: bool = True) -> None:
        """Switch the application's theme."""
        theme = "JupyterLab Dark" if on else "JupyterLab Light"
        self.page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
        self.page.wait_for_function(
            "(light) => document.body.dataset.jpThemeLight === light", arg="false" if on else "true", timeout=30_000
        )
        # JupyterLab covers the page with its splash for a moment
        self.page.wait_for_function("() => document.getElementById('jupyterlab-splash') === null", timeout=30_000)

    def foreign_requests(self) -> list[str]:
        """Requests that left the server."""
        own = (self.server.origin, self.server.origin.replace("http", "ws"), "data:", "blob:", "about:")
        return [url for url in self.requests if not url.startswith(own)]


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab server."""
    server = Server("lab", tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def notebook_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Notebook 7 server."""
    server = Server("notebook", tmp_path_factory.mktemp("notebook"))
    yield server
    server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the page shows when a test fails."""
    report = yield
    if report.failed and report.when == "call":
        for shown in item.funcargs.values():
            if isinstance(shown, Page):
                with contextlib.suppress(Exception):  # the tab may be what failed
                    shown.picture(f"failed-{item.name}")
    return report


@contextlib.contextmanager
def tab(chromium: Any, server: Server) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 1300})
    try:
        yield Page(context.new_page(), server)
    finally:
        context.close()
        server.end_kernels(wait=False)  # what a test left running would take the machine from those that follow


@pytest.fixture
def lab(chromium: Any, lab_server: Server) -> Iterator[Page]:
    """A tab for JupyterLab."""
    with tab(chromium, lab_server) as page:
        yield page


@pytest.fixture
def notebook7(chromium: Any, notebook_server: Server) -> Iterator[Page]:
    """A tab for Notebook 7."""
    with tab(chromium, notebook_server) as page:
        yield page


@pytest.fixture(params=["lab", "notebook7"])
def either(request: pytest.FixtureRequest) -> Page:
    """A tab for each of the two."""
    page: Page = request.getfixturevalue(request.param)
    return page
