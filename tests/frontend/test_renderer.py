"""The prebuilt renderer in a real JupyterLab and Notebook 7: a saved run, untrusted, drawn without a kernel."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
pytest.importorskip("notebook", reason="notebook is not installed")

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MIME = "application/vnd.cascade.run+json"
QUIET = '{"fetchNews": "false", "checkForUpdates": false}'
PAGES = {"lab": "/lab/tree/saved.ipynb", "notebook": "/notebooks/saved.ipynb"}


def saved_notebook(*documents: dict[str, Any]) -> dict[str, Any]:
    """A notebook as it was saved after runs: the document, a plain page and a text in each output."""
    cells = [
        {
            "cell_type": "code",
            "execution_count": 1,
            "id": f"cell{number}",
            "metadata": {},
            "source": "report",
            "outputs": [
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {MIME: document, "text/html": "<b>the plain page</b>", "text/plain": "the text"},
                }
            ],
        }
        for number, document in enumerate(documents)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, static: Path, samples: Any) -> Iterator[str]:
    """A Jupyter server with the renderer installed, in folders of its own; gives its address with a token in it."""
    home = tmp_path_factory.mktemp("jupyter")
    settings = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(QUIET, encoding="utf-8")
    shutil.copytree(static / "labextension", home / "data" / "labextensions" / "cascade-notebook")
    (home / "root").mkdir()
    notebook = saved_notebook(samples.finished(), samples.hostile())
    (home / "root" / "saved.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    folders = {f"JUPYTER_{name.upper()}_DIR": str(home / name) for name in ("config", "data", "runtime")}
    token, port = secrets.token_hex(16), free_port()
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": home / "root",
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    environment = {**os.environ, **folders, "IPYTHONDIR": str(home / "ipython")}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/api", process)
            yield f"http://127.0.0.1:{port}{{page}}?token={token}"
        finally:
            process.terminate()
            process.wait(20)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers; an early end of it is an error."""
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.mark.parametrize("application", ["lab", "notebook"])
def test_saved_run_is_drawn(browser: Any, server: str, application: str) -> None:
    """The view stands in place of the plain page, works, and asks no other server for anything."""
    page = browser.new_page(viewport={"width": 1200, "height": 1400})
    foreign: list[str] = []
    address = server.format(page=PAGES[application])
    origin = address.split(PAGES[application])[0]
    page.on(
        "request", lambda request: request.url.startswith((origin, "data:", "blob:")) or foreign.append(request.url)
    )
    page.goto(address + ("&reset" if application == "lab" else ""))
    view = page.locator(".jp-OutputArea-output .cascade-view").first
    view.wait_for(timeout=60_000)
    view.locator("[data-index]").nth(2).click()
    assert view.locator(".cascade-detail b").first.inner_text() == "clean"
    assert view.locator(".cascade-bar").count() == 14
    page.locator(".cascade-view").nth(1).locator("[data-index]").first.wait_for()
    assert page.evaluate("window.hacked === undefined")
    assert page.get_by_text("the plain page").count() == 0
    assert foreign == []
    page.close()


def test_arrow_keys_stay_in_the_graph(browser: Any, server: str) -> None:
    """Arrow keys and letters typed in the view are not taken for commands of the notebook."""
    page = browser.new_page(viewport={"width": 1200, "height": 1400})
    page.goto(server.format(page=PAGES["lab"]) + "&reset")
    view = page.locator(".jp-OutputArea-output .cascade-view").first
    view.wait_for(timeout=60_000)
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    page.wait_for_function(f"window.jupyterapp?.shell?.currentWidget?.content && {active} === 0")
    view.locator("[data-index]").first.click()
    for key in ("ArrowRight", "ArrowUp", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert page.evaluate(active) == 0
    view.get_by_label("Find a node").fill("")
    for key in "dab":
        page.keyboard.press(key)
    assert view.get_by_label("Find a node").input_value() == "dab"
    assert page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length") == 2
    page.close()
