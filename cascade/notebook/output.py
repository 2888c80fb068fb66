"""What tasks print, log, warn and display → their own attempt, instead of whatever cell happens to run.

In: the streams of the process and the publisher of the shell, while runs need them. Out: calls of ``attempt.write`` and
``attempt.show``. Invariant: what is displayed outside tasks goes where it always went; after the last run everything is
as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from cascade.runtime.capture import OutputCapture, StreamProxy, listener
from cascade.runtime.displays import from_bundle
from cascade.runtime.figures import is_figure, picture_of_figure, rendering, words_of_figure

__all__ = ["OutputCapture", "StreamProxy", "capture"]

Call = Callable[..., Any]
Held = dict[Any, dict[str, dict[str, Any]]]  # of each attempt that runs, bundles by the id of their display
MOST_HELD: Final = 50  # displays of one attempt that are updated: only their last states count


def _install_displays() -> Callable[[], None]:
    """What a task displays goes to its attempt, and what it clears is nobody else's.

    The shell has hooks for its publisher, but each belongs to one thread, and they see neither figures nor clearing.
    """
    from IPython import get_ipython

    shell: Any = get_ipython()
    publisher, formatter = getattr(shell, "display_pub", None), getattr(shell, "display_formatter", None)
    if publisher is None or formatter is None:
        return lambda: None
    undo = [
        _replace(publisher, "publish", partial(_publish, {})),
        _replace(publisher, "clear_output", _clear),
        _replace(formatter, "format", _format),
    ]

    def undo_all() -> None:
        for back in undo:
            back()

    return undo_all


def _replace(owner: Any, name: str, instead: Callable[..., Any]) -> Callable[[], None]:
    """Have `instead` called in tasks, with the original as its first argument; return what undoes it."""
    original = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        attempt = listener()
        return original(*args, **kwargs) if attempt is None else instead(original, attempt, *args, **kwargs)

    setattr(owner, name, call)

    def undo() -> None:
        if owner.__dict__.get(name) is call:
            delattr(owner, name)

    return undo


def _format(original: Call, _attempt: Any, shown: Any, *args: Any, **kwargs: Any) -> Any:
    """Make the bundle of an object; of a figure one at a time, and with a picture that can be made smaller."""
    with rendering:
        data, metadata = original(shown, *args, **kwargs)
        if is_figure(shown):
            data = {**data, "text/plain": words_of_figure(shown)}
            if "image/png" not in data and "image/jpeg" not in data:
                data["image/png"] = picture_of_figure(shown)
    return data, metadata


def _publish(
    held: Held,
    _original: Call,
    attempt: Any,
    data: dict[str, Any],
    *_args: Any,
    transient: dict[str, Any] | None = None,
    **_kwargs: Any,
) -> None:
    """Give a bundle to the attempt. Of a display that may be updated, the last state is shown, when the task ends."""
    display_id = str((transient or {}).get("display_id") or "")
    if display_id:
        _hold(attempt, held, display_id, data)
    else:
        attempt.show(from_bundle(data))


def _hold(attempt: Any, held: Held, display_id: str, data: dict[str, Any]) -> None:
    """Keep the state of a display that may still be updated, as long as the attempt goes on."""
    own = held.get(attempt)
    if own is None:
        own = held[attempt] = {}

        def show_all() -> None:
            for last in held.pop(attempt, {}).values():
                attempt.show(from_bundle(last))

        attempt.at_end(show_all)
    if display_id in own or len(own) < MOST_HELD:
        own[display_id] = data


def _clear(_original: Call, _attempt: Any, *_args: Any, **_kwargs: Any) -> None:
    """Clear nothing: the cell that runs is not the task's, and its lines are a log."""


capture = OutputCapture(_install_displays)
