"""The value of a run → a short text, a small table or a picture, within bounds of size and time.

In: any object. Out: the document's ``result``. Invariant: never the ``str`` of something huge, never an exception; what
is shown grows with no value.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cascade.notebook.figures import picture_entry
from cascade.notebook.plain import plain, plural
from cascade.runtime.displays import from_bundle
from cascade.runtime.figures import is_figure, picture_of_figure, rendering, words_of_figure
from cascade.runtime.pictures import shrink

_ROWS, _COLUMNS, _CELL = 5, 12, 60
_LINES, _LINE = 12, 160
_LONGEST_TEXT = 2_000
_PICTURE_BYTES, _PICTURE_SIDE = 45_000, 1_200  # bytes are 60 KB of a document


class _Short(reprlib.Repr):
    """`reprlib` that says of a frame or an array inside a container only what it is."""

    def repr_instance(self, x: object, level: int) -> str:
        """Return the shortened repr of an object that is not a builtin container."""
        shape = getattr(x, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"<{type(x).__name__} {_shape_text(x, shape)}>"
        return super().repr_instance(x, level)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxfrozenset = 8
_SHORT.maxlevel = 3


def preview(value: object, redact: Callable[[str], str] = str, *, table: bool = True) -> dict[str, Any]:
    """Return type, text and, if `table`, the first rows of a data frame or the picture of what has one.

    Args:
        redact: takes secrets out of a text. table: False where the value itself is shown beside it.
    """
    kind = plain(type(value).__name__, 60)
    try:
        picture = _picture(value) if table else None
        found = _table(value) if table and picture is None else None
        text = words_of_figure(value) if is_figure(value) else _text(value)
    except Exception as error:  # noqa: BLE001 - the repr of a user's object may do anything
        return {"type": kind, "text": f"cannot be shown: {plain(type(error).__name__, 60)}", "table": None}
    if found is not None:
        found["columns"] = [redact(cell) for cell in found["columns"]]
        found["rows"] = [[redact(cell) for cell in row] for row in found["rows"]]
    made = {"type": kind, "text": _lines(redact(text)), "table": found}
    return {**made, "picture": picture} if picture is not None else made


def _lines(text: str) -> str:
    lines = text[:_LONGEST_TEXT].splitlines() or [""]
    shown = [plain(line, _LINE) for line in lines[:_LINES]]
    return "\n".join([*shown, "…"] if len(lines) > _LINES or len(text) > _LONGEST_TEXT else shown)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value if "\n" in value[:_LONGEST_TEXT] else _SHORT.repr(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(length, int) for length in shape):
        return _shape_text(value, shape)
    if isinstance(value, Mapping | Sequence | set | frozenset) and type(value).__module__ == "builtins":
        return (
            f"{plural(len(value), 'item')}: {_SHORT.repr(value)}" if len(value) > _SHORT.maxlist else _SHORT.repr(value)
        )
    return _SHORT.repr(value)


def _shape_text(value: object, shape: tuple[int, ...]) -> str:
    if len(shape) == 2 and hasattr(value, "columns"):  # noqa: PLR2004 - rows and columns
        return f"{plural(shape[0], 'row')} × {plural(shape[1], 'column')}"
    kind = getattr(value, "dtype", "")
    if shape == ():
        return f"{_SHORT.repr(value)} {kind}".rstrip()
    return f"{' × '.join(f'{length:,}' for length in shape)} {kind}".rstrip()


def _picture(value: object) -> dict[str, Any] | None:
    """The picture of a figure of matplotlib or of whatever has ``_repr_png_``, as images of Pillow do; else None."""
    if is_figure(value):
        data: object = picture_of_figure(value)
    elif hasattr(value, "_repr_png_") and not isinstance(value, type):
        with rendering:
            data = value._repr_png_()
    else:
        return None
    shown = from_bundle({"image/png": data[0] if isinstance(data, tuple) else data}, thumbnail=False).picture
    if shown is not None and len(shown.data) > _PICTURE_BYTES:
        shown = shrink(shown, _PICTURE_BYTES, _PICTURE_SIDE)
    return picture_entry(shown) if shown is not None else None


def _table(value: object) -> dict[str, Any] | None:
    """The first rows of a pandas or polars data frame, by its own methods, None for anything else."""
    module = type(value).__module__.partition(".")[0]
    frame: Any = value
    if module == "pandas" and hasattr(value, "columns"):
        columns = list(frame.columns[:_COLUMNS])
        cells = frame.iloc[:_ROWS, :_COLUMNS].itertuples(index=False, name=None)
    elif module == "polars" and hasattr(value, "rows"):
        columns = list(frame.columns[:_COLUMNS])
        cells = frame.head(_ROWS).select(columns).rows()
    else:
        return None
    rows = [[_cell(cell) for cell in row] for row in cells]
    return {"columns": [_cell(c) for c in columns], "rows": rows, "more": max(0, len(frame) - len(rows))}


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return plain(value if isinstance(value, str) else _SHORT.repr(value), _CELL)
