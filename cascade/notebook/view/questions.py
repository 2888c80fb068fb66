"""What the view in the browser asks → answers, each within half a second.

In: a message ``{type: "ask", id, what, node}``. Out: ``{type: "answer", id, …}``, by whatever way the question came.
Invariant: whoever brings a question never waits and never gets an error; user code that takes its time (a value's own
``__repr__``) costs the answer, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cascade.notebook.figures import show_figure
from cascade.notebook.parts import find_parts, list_parts
from cascade.notebook.peek import Peeker

if TYPE_CHECKING:
    from cascade.notebook.view.driver import RunView

__all__ = ["PATIENCE", "ask"]

PATIENCE = 0.5  # seconds that an answer may take
MOST_ASKED = 4  # questions of one view that may be on their way
_MOST_TEXT = 200

Reply = Callable[[dict[str, Any]], None]
_LATE = {"error": "It takes too long to look at this value; %cascade peek waits for it."}
_busy: dict[int, int] = {}


def ask(view: RunView, question: dict[str, Any], reply: Reply) -> None:
    """Answer a question about the run of `view` in a thread of its own."""
    head = {"type": "answer", "id": question.get("id"), "what": question.get("what")}
    answered = threading.Lock()

    def answer(content: dict[str, Any]) -> None:
        """Send the first answer; a later one finds the lock taken."""
        if answered.acquire(blocking=False):
            try:
                reply({**head, **content})
            except Exception as error:  # noqa: BLE001 - the page may be gone
                view.fault = f"{type(error).__name__}: {error}"

    if _busy.get(id(view), 0) >= MOST_ASKED:
        answer(_LATE)
        return
    _busy[id(view)] = _busy.get(id(view), 0) + 1

    def work() -> None:
        try:
            answer(_answer(view, question))
        except KeyError:
            answer({"error": "There is no such node."})
        except Exception as error:  # noqa: BLE001 - what a user's value does when it is looked at
            answer({"error": f"It cannot be shown: {type(error).__name__}."})
        finally:
            _busy[id(view)] = _busy.get(id(view), 1) - 1
            if not _busy[id(view)]:
                _busy.pop(id(view), None)

    threading.Thread(target=work, name="cascade-peek", daemon=True).start()
    late = threading.Timer(PATIENCE, lambda: answer(_LATE))
    late.daemon = True
    late.start()


def _answer(view: RunView, question: dict[str, Any]) -> dict[str, Any]:
    what, node = question.get("what"), str(question.get("node", ""))[:_MOST_TEXT]
    if what == "peek":
        return {"node": node, "peek": peeker_of(view).look(node)}
    if what == "parts":
        with view.lock:
            return {"node": node, "parts": list_parts(view.record, node, str(question.get("find", ""))[:_MOST_TEXT])}
    if what == "find":
        with view.lock:
            return {"found": find_parts(view.record, str(question.get("find", ""))[:_MOST_TEXT])}
    if what == "figure":
        return show_figure(view.run, str(question.get("figure", ""))[:_MOST_TEXT])
    return {"error": "The kernel does not know this question."}


def peeker_of(view: RunView) -> Peeker:
    """Return what looks at the nodes of the run of `view`."""
    return Peeker(view.run, view.record, view.locate, view.redact)
