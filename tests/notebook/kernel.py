"""A real Jupyter kernel for a test: run cells, interrupt them, click in a view, see which output came where."""

from __future__ import annotations

import os
import queue
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = "application/vnd.cascade.run+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
LIVE = "application/vnd.cascade.live+json"


@dataclass
class Message:
    """One message of the kernel."""

    at: float
    type: str
    content: dict[str, Any]


@dataclass
class Cell:
    """What came of one cell."""

    id: str
    messages: list[Message] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)
    idle: float = 0.0

    @property
    def ok(self) -> bool:
        return self.reply.get("status") == "ok"

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [message.content for message in self.messages if message.type in types]

    @property
    def printed(self) -> str:
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def value(self) -> str:
        shown = self.of("execute_result")
        return shown[-1]["data"]["text/plain"] if shown else ""

    @property
    def error(self) -> str:
        """The traceback as plain text, or what a UsageError prints."""
        import re

        told = "\n".join(line for content in self.of("error") for line in content["traceback"])
        told += "".join(content["text"] for content in self.of("stream") if content["name"] == "stderr")
        return re.sub(r"\x1b\[[0-9;]*m", "", told)

    @property
    def bundle(self) -> dict[str, Any]:
        """The last picture of the cell."""
        shown = self.of("display_data", "update_display_data")
        return shown[-1]["data"] if shown else {}

    @property
    def document(self) -> dict[str, Any]:
        return self.bundle[DOCUMENT]

    @property
    def comm(self) -> str:
        """The comm of the cell's live view."""
        opened = [content for content in self.of("comm_open") if "_esm" in content["data"]["state"]]
        return opened[-1]["comm_id"]


class Kernel:
    """A kernel and the messages that it sent."""

    def __init__(self, folder: Path, overlay: Path | None = None) -> None:
        """Start a kernel in `folder`; packages in `overlay` come before those that are installed."""
        path = os.pathsep.join([*([str(overlay)] if overlay else []), str(ROOT)])
        environment = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": path}
        self.manager = KernelManager()
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.cells: dict[str, Cell] = {}
        self._owners: dict[str, Cell] = {}
        self.is_lost = False  # it may still be busy with what did not end in time

    def begin_again(self, code: str) -> None:
        """Restart the kernel and run `code` there."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)
        self.is_lost = False
        assert self.run(code).ok

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    # -- cells --------------------------------------------------------------------------------------------------------

    def send(self, code: str, cell_id: str = "") -> Cell:
        """Queue a cell; its messages are collected by `listen`."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.client.session.msg("execute_request", {**content, "stop_on_error": False})
        message["metadata"]["cellId"] = cell_id
        self.client.shell_channel.send(message)
        cell = self.cells[message["header"]["msg_id"]] = Cell(message["header"]["msg_id"])
        return cell

    def run(self, code: str, cell_id: str = "", timeout: float = 60.0) -> Cell:
        """Run a cell to its end."""
        cell = self.send(code, cell_id)
        self.until(lambda: bool(cell.idle and cell.reply), timeout)
        return cell

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the kernel."""
        import ast

        return ast.literal_eval(self.run(expression).value or "None")

    def until(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        """Collect messages until `condition` holds."""
        end = time.monotonic() + timeout
        while not condition():
            self.is_lost = time.monotonic() >= end
            assert not self.is_lost, "the kernel did not get there in time"
            for _ in self._collect():
                pass

    def _collect(self) -> Iterator[Message]:
        try:
            got = self.client.get_iopub_msg(timeout=0.02)
        except queue.Empty:
            got = None
        if got is not None:
            message = Message(time.monotonic(), got["msg_type"], got["content"])
            cell = self._owner_of(message, self.cells.get(got["parent_header"].get("msg_id", "")))
            if cell is not None:
                cell.messages.append(message)
                if message.type == "status" and message.content["execution_state"] == "idle":
                    cell.idle = message.at
            yield message
        try:
            reply = self.client.get_shell_msg(timeout=0)
        except queue.Empty:
            return
        cell = self.cells.get(reply["parent_header"].get("msg_id", ""))
        if cell is not None:
            cell.reply = reply["content"]

    def _owner_of(self, message: Message, parent: Cell | None) -> Cell | None:
        """The cell in which a front end shows a message: displays and comms stay where they were opened."""
        key = message.content.get("comm_id") or message.content.get("transient", {}).get("display_id")
        if key is None:
            return parent
        if message.type in {"display_data", "comm_open"} and parent is not None:
            self._owners[key] = parent
        return self._owners.get(key, parent)

    # -- what a person does -------------------------------------------------------------------------------------------

    def interrupt(self) -> float:
        """Press the stop button; return when."""
        self.manager.interrupt_kernel()
        return time.monotonic()

    def open_subshell(self) -> str:
        """Return a new subshell, as JupyterLab asks for one for the messages of widgets; empty if there are none."""
        supported = self._info().get("supported_features", [])
        if "kernel subshells" not in supported:
            return ""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        return self.client.get_control_msg(timeout=10)["content"]["subshell_id"]

    def _info(self) -> dict[str, Any]:
        asked = self.client.kernel_info()
        while True:
            reply = self.client.get_shell_msg(timeout=10)
            if reply["parent_header"].get("msg_id") == asked:
                return reply["content"]

    def click(self, comm: str, command: str, subshell: str = "") -> float:
        """Send what the view sends when a button is clicked; return when."""
        content = {"type": "command", "command": command}
        message = self.client.session.msg(
            "comm_msg", {"comm_id": comm, "data": {"method": "custom", "content": content}}
        )
        if subshell:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return time.monotonic()
