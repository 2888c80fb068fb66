"""`%load_ext cascade` and `%unload_ext cascade`.

In: the IPython shell. Out: magics, a cell transform and two listeners in it. Invariant: loading twice is loading once,
and unloading takes away everything that loading brought.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import Any

from cascade.notebook.magics import CascadeMagics
from cascade.notebook.session import Session, current_session, set_session
from cascade.notebook.transform import make_transform
from cascade.notebook.view.link import listen, stop_listening

__all__ = ["load", "unload"]

_MARK = "rewrite_cascade_cells"


def load(shell: Any) -> None:
    """Add the magics to `shell`."""
    if current_session() is not None:
        unload(shell)
    if hasattr(shell, "kernel"):
        _import_view()
    session = Session(shell)
    session.begin()
    set_session(session)
    listen(shell, current_session)
    shell.register_magics(CascadeMagics(shell, session))
    _forget_transforms(shell)
    shell.input_transformers_cleanup.append(make_transform(lambda: shell.autoawait and not session.in_cell))


def unload(shell: Any) -> None:
    """Take the magics away again; runs in the background go on."""
    session = current_session()
    stop_listening(shell)
    if session is not None:
        session.end()
        set_session(None)
    _forget_transforms(shell)
    for kind in ("cell", "line"):
        shell.magics_manager.magics[kind].pop("cascade", None)
    shell.magics_manager.registry.pop(CascadeMagics.__name__, None)


def _import_view() -> None:
    """Import the widget libraries now, so that the first run is shown as fast as the others."""
    with contextlib.suppress(Exception):  # whatever is missing or broken, the view says so when it is needed
        import_module("cascade.notebook.view.widget").front_end()
    import_module("cascade.runtime.run")


def _forget_transforms(shell: Any) -> None:
    kept = [one for one in shell.input_transformers_cleanup if getattr(one, "__name__", "") != _MARK]
    shell.input_transformers_cleanup[:] = kept
