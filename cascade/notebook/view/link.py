"""The page and the kernel: a finished document in JupyterLab → what needs the kernel, when it still knows the run.

In: one comm of a page (target ``cascade.run``), and what its views ask. Out: answers; the frames of a retry, which the
page draws in the place of the finished run. Invariant: whatever a page sends is data; it can ask and retry, no more.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.notebook.bundle import finished_bundle
from cascade.notebook.figures import enlarge
from cascade.notebook.retrying import can_retry, start_retry
from cascade.notebook.session import EndedRun
from cascade.notebook.view.questions import ask
from cascade.notebook.view.rungs import FRAMES_PER_SECOND
from cascade.notebook.waiting import LAST_PICTURE

if TYPE_CHECKING:
    from cascade.notebook.session import Job, Session
    from cascade.notebook.view.rungs import Viewed

__all__ = ["TARGET", "Link", "LinkRung", "listen", "stop_listening"]

TARGET = "cascade.run"
Send = Callable[[dict[str, Any]], None]


class LinkRung:
    """Shows a run in the view of a page that stands in the place of an earlier run.

    Args:
        send: sends a message to the page. channel: the id of the run that the page's view shows now.
    """

    interval = 1 / FRAMES_PER_SECOND
    idle = 60.0
    takes_clicks = True

    def __init__(self, send: Send, channel: str) -> None:
        """Send nothing yet."""
        self._send = send
        self.channel = channel
        self.place: Any = None

    def open(self, view: Viewed) -> None:
        """Send the first picture."""
        self.resend(view)

    def push(self, view: Viewed) -> None:
        """Send one frame."""
        frame = view.take_frame()
        if frame is not None:
            self._send({"type": "frame", "run": self.channel, "frame": frame})

    def resend(self, view: Viewed) -> None:
        """Send everything."""
        self._send({"type": "snapshot", "run": self.channel, "snapshot": view.make_snapshot()})

    def reply(self, answer: dict[str, Any]) -> None:
        """Send the answer to a question."""
        self._send({**answer, "run": self.channel})

    def close(self, bundle: dict[str, Any] | None) -> None:
        """Send what the notebook shall keep."""
        if bundle is not None:
            self._send({"type": "finished", "run": self.channel, "bundle": bundle})


class Link:
    """One page's way to the runs of a session.

    Responsible for: finding the run that a message is about, answering in its name. Refuses: what an answer says
    (`questions`), what a retry is (`retrying`).
    """

    def __init__(self, session: Callable[[], Session | None], comm: Any) -> None:
        """Listen to a comm that was just opened."""
        self._session = session
        self._comm = comm
        self._follows: dict[str, Job] = {}
        comm.on_msg(lambda message: self.take(message["content"].get("data", {})))

    def take(self, message: Any) -> None:
        """Do what a message asks for; in any thread, and without ever waiting."""
        if not isinstance(message, dict):
            return
        kind, run = message.get("type"), str(message.get("run", ""))
        job = self._job(run)
        if kind == "hello" or job is None:
            self._tell(job, run, wants_end=message.get("open") is True)
        elif kind == "ask":
            self._ask(job, run, message)
        elif kind in {"command", "snapshot"} and run in self._follows:
            job.views[-1].take_message(message)
        elif kind == "command" and message.get("command") == "retry":
            self._retry(job, run)

    def _tell(self, job: Job | None, run: str, *, wants_end: bool) -> None:
        """Say what the kernel can do for a run; of one that is just ending, once it has ended.

        With `wants_end` the page has an older picture of the run: it gets the last one.
        """

        def tell() -> None:
            self._send({"type": "known", "run": run, **_known(job)})
            if wants_end and job is not None:
                threading.Thread(
                    target=self._send_end, args=(job, run), daemon=True, name="cascade-last-picture"
                ).start()

        if job is None or job.run.done():
            tell()
        else:
            job.run.add_done_callback(tell)

    def _send_end(self, job: Job, run: str) -> None:
        view = job.views[-1]
        if view.wait(LAST_PICTURE):
            made = view.record.document()
            enlarge(made, getattr(job.run, "figure", _nothing_kept))
            bundle = finished_bundle(made, view.record.drawing.shape)
            self._speak({"type": "finished", "run": run, "bundle": bundle})

    def _job(self, run: str) -> Job | None:
        session = self._session()
        if session is None or not run:
            return None
        known = self._follows.get(run)
        if known is not None:
            return known
        return next((job for job in session.jobs.values() if job.run.run_id == run and job.views), None)

    def _ask(self, job: Job, run: str, message: dict[str, Any]) -> None:
        view = job.views[-1]
        ask(view, message, lambda answer: self._speak({**answer, "run": run}))

    def _retry(self, job: Job, run: str) -> None:
        session = self._session()
        try:
            if session is not None:
                self._follows[run] = job  # a second click finds the run that goes on
                self._follows[run] = start_retry(session, job, _Ending(self._send, run, self._forget))
        except Exception as error:  # noqa: BLE001 - a click must be answered, not traced
            self._follows.pop(run, None)
            self._send({"type": "refused", "run": run, "error": str(error)[:400]})

    def _forget(self, run: str) -> None:
        self._follows.pop(run, None)

    def _speak(self, message: dict[str, Any]) -> None:
        """Send from a thread that no cell runs in."""
        session = self._session()
        if session is None:
            return
        session.mark.run(partial(self._send, message))

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # the page may be gone at any moment, and nobody misses it
            self._comm.send(message)


class _Ending(LinkRung):
    """A `LinkRung` that is forgotten when it closes: the page then knows the new run by its own id."""

    def __init__(self, send: Send, channel: str, forget: Callable[[str], None]) -> None:
        super().__init__(send, channel)
        self._forget = forget

    def close(self, bundle: dict[str, Any] | None) -> None:
        """Send what the notebook shall keep, and end the channel."""
        super().close(bundle)
        self._forget(self.channel)


def _nothing_kept(_name: str) -> None:
    """Stands for asking a run that keeps no pictures."""


def _known(job: Job | None) -> dict[str, Any]:
    """Tell what the kernel can do for a run that it knows."""
    if job is None or isinstance(job.run, EndedRun):
        return {"known": False, "retry": False}
    return {"known": True, "retry": can_retry(job), "number": job.number}


def listen(shell: Any, session: Callable[[], Session | None]) -> None:
    """Let pages find the runs of this kernel."""
    manager = _manager(shell)
    if manager is not None:
        manager.register_target(TARGET, lambda comm, _message: Link(session, comm))


def stop_listening(shell: Any) -> None:
    """Take the target away again."""
    manager = _manager(shell)
    if manager is not None:
        manager.targets.pop(TARGET, None)


def _manager(shell: Any) -> Any:
    return getattr(getattr(shell, "kernel", None), "comm_manager", None)
