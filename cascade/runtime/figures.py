"""matplotlib's pyplot, of which each task that runs has its own.

In: the table of open figures that pyplot keeps for the whole process. Out: one such table for each attempt, and what
is still open when an attempt ends, shown as its output. Invariant: matplotlib is never imported from here; without an
attempt everything is as matplotlib made it.

pyplot draws "into the current figure", and there is one current figure for all threads: two tasks that plot side by
side would draw into each other's pictures, and the end of a cell would show them all in the wrong place. So the table
is replaced by one that asks which attempt is running. What matplotlib shares besides (fonts, mathtext, rcParams) is
not safe in threads: pictures are made one at a time, under `rendering`.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

__all__ = [
    "OpenFigures",
    "WhenImported",
    "install_figures",
    "is_figure",
    "picture_of_figure",
    "rendering",
    "words_of_figure",
]

HELPERS: Final = "matplotlib._pylab_helpers"
MOST_AXES: Final = 6
LONGEST_WORDS: Final = 300
rendering: Final = threading.RLock()  # whoever turns a figure into a picture holds it

Figures = OrderedDict[Any, Any]  # managers of figures by number, the current one last


class OpenFigures(MutableMapping[Any, Any]):
    """Stands for pyplot's table of open figures: that of the attempt that asks, else the process's own.

    Args:
        shared: the process's own. listener: returns the attempt that runs here and wants to know what it shows.
    """

    def __init__(self, shared: Figures, listener: Callable[[], Any]) -> None:
        """Begin with no attempt known."""
        self.shared = shared
        self._listener = listener
        self._own: dict[Any, Figures] = {}

    def _here(self) -> Figures:
        attempt = self._listener()
        if attempt is None:
            return self.shared
        found = self._own.get(attempt)
        return found if found is not None else OrderedDict()

    def __setitem__(self, number: Any, manager: Any) -> None:
        attempt = self._listener()
        if attempt is None:
            self.shared[number] = manager
            return
        own = self._own.get(attempt)
        if own is None:
            own = self._own[attempt] = OrderedDict()
            attempt.at_end(lambda: self._end(attempt))
        own[number] = manager

    def _end(self, attempt: Any) -> None:
        """Show what the attempt leaves open, as the end of a cell would, and close it."""
        for manager in list(self._own.pop(attempt, {}).values()):
            figure = manager.canvas.figure
            try:
                if figure.get_axes() or figure.texts or figure.images:
                    attempt.show_figure(figure)
            finally:
                manager.destroy()

    def __getitem__(self, number: Any) -> Any:
        return self._here()[number]

    def __delitem__(self, number: Any) -> None:
        del self._here()[number]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._here())

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._here())

    def __len__(self) -> int:
        return len(self._here())

    def keys(self) -> KeysView[Any]:
        """Return the numbers; like the other views, one that can be reversed."""
        return self._here().keys()

    def values(self) -> ValuesView[Any]:
        """Return the managers."""
        return self._here().values()

    def items(self) -> ItemsView[Any, Any]:
        """Return numbers and managers."""
        return self._here().items()

    def move_to_end(self, number: Any, last: bool = True) -> None:  # noqa: FBT001, FBT002 - as OrderedDict has it
        """Make a figure the current one."""
        self._here().move_to_end(number, last)


def install_figures(listener: Callable[[], Any]) -> Callable[[], None]:
    """Give each attempt its own figures, now or when matplotlib is imported; return what undoes it."""
    placed: list[OpenFigures] = []

    def place(module: ModuleType) -> None:
        figures = OpenFigures(module.Gcf.figs, listener)
        module.Gcf.figs = figures
        placed.append(figures)

    waiting = WhenImported(HELPERS, place)
    waiting.begin()

    def undo() -> None:
        waiting.end()
        helpers = sys.modules.get(HELPERS)
        for figures in placed:
            if helpers is not None and helpers.Gcf.figs is figures:
                helpers.Gcf.figs = figures.shared

    return undo


def is_figure(shown: object) -> bool:
    """Whether `shown` is a figure of matplotlib, without importing it."""
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(shown, module.Figure)


def words_of_figure(figure: Any) -> str:
    """Return what a figure says of itself: its titles and the names of its axes, which people read who cannot see it.

    It asks only attributes that every figure of matplotlib has, and whatever they do costs the words.
    """
    try:
        title = figure.get_suptitle() if hasattr(figure, "get_suptitle") else ""
        axes = figure.get_axes()[:MOST_AXES]
        told = [one for ax in axes if (one := _words_of_axes(ax))]
    except Exception:  # noqa: BLE001 - a figure of the user's own class
        return "figure"
    words = "; ".join([title, *dict.fromkeys(told)] if title else dict.fromkeys(told))
    return " ".join(f"figure: {words}".split())[:LONGEST_WORDS] if words else "figure"


def _words_of_axes(ax: Any) -> str:
    title, across, up = ax.get_title(), ax.get_xlabel(), ax.get_ylabel()
    named = f"{up} against {across}" if across and up else across or up
    return f"{title} ({named})" if title and named else title or named


def picture_of_figure(figure: Any) -> bytes:
    """Return a figure as a PNG, as notebooks show it; one at a time."""
    from io import BytesIO

    out = BytesIO()
    with rendering:
        figure.savefig(out, format="png", bbox_inches="tight")
    return out.getvalue()


class WhenImported(MetaPathFinder):
    """Calls `place` with a module as soon as it is imported, or at once if it is already.

    Args:
        name: of the module. place: called once, with the module; what it raises is nobody's.
    """

    def __init__(self, name: str, place: Callable[[ModuleType], None]) -> None:
        """Wait for nothing before `begin`."""
        self.name = name
        self.place = place
        self._searching = threading.local()

    def begin(self) -> None:
        """Wait for the import."""
        module = sys.modules.get(self.name)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            self.place(module)
        else:
            sys.meta_path.insert(0, self)

    def end(self) -> None:
        """Wait no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the module's own spec, with a loader that calls `place` afterwards."""
        del path, target
        if name != self.name or getattr(self._searching, "now", False):
            return None
        from importlib.util import find_spec

        self._searching.now = True
        try:
            spec = find_spec(name)
        finally:
            self._searching.now = False
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Telling(spec.loader, self)
        return spec


class _Telling(Loader):
    """Loads a module as its own loader does, then tells."""

    def __init__(self, loader: Loader, waiting: WhenImported) -> None:
        self._loader = loader
        self._waiting = waiting

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._waiting.end()
        self._waiting.place(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
