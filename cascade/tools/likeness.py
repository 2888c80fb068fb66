"""Value → what tells it from another one made elsewhere.

In: a value. Out: a `Likeness`: plain data that fits on a line of JSON. Invariant: reads only a bounded part of a value
for what people see; whether two values are equal is decided by their data keys, which read all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final, Self

from cascade.identity.data import data_key
from cascade.runtime.heads import Head, head_of
from cascade.runtime.summary import summarize

__all__ = ["Likeness", "first_difference", "lines_of"]

MOST_ITEMS: Final = 200
MOST_TEXT: Final = 60
_FRAME_SIDES: Final = 2


@dataclass(frozen=True, slots=True)
class Likeness:
    """A value as plain data.

    Args:
        key: its data key: ``v:`` and a digest; empty or ``o:``: it has none. summary: what a person would say of it.
        type: of its class. items: its first items by place, as short texts. head: lines of its beginning, which a run
            keeps of values that it lets go.
    """

    key: str = ""
    summary: str = ""
    type: str = ""
    items: Mapping[str, str] | None = None
    head: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: Any) -> Self:
        """Look at a value; one that cannot be looked at is told by its type alone.

        Example:
            >>> Likeness.of([1, 2]).summary, Likeness.of([1, 2]).items
            ('list of 2', {'[0]': '1', '[1]': '2'})
        """
        try:
            key = data_key(value)
        except Exception:  # noqa: BLE001 - a value's own methods may raise anything; it then has no key
            key = ""
        try:
            items = dict(islice(_items(value), MOST_ITEMS))
        except Exception:  # noqa: BLE001 - the same
            items = {}
        return cls(key, summarize(value), type(value).__name__, items, lines_of(head_of(value)))

    @property
    def is_keyed(self) -> bool:
        """Whether equality can be told by content."""
        return self.key.startswith("v:")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; what does not belong there is left out."""
        items = told.get("items")
        texts = {name: str(told.get(name) or "") for name in ("key", "summary", "type")}
        shown = {str(k): str(v) for k, v in items.items()} if isinstance(items, dict) else None
        return cls(**texts, items=shown, head=tuple(map(str, told.get("head") or ())))


def first_difference(here: Likeness, there: Likeness, *, names: tuple[str, str] = ("here", "there")) -> str:
    """Say in a few words what differs first.

    Example:
        >>> first_difference(Likeness.of([1, 2]), Likeness.of([1, 3]))
        'at [1]: 2 here, 3 there'
    """
    one, other = names
    if here.type and there.type and here.type != there.type:
        return f"{here.type} {one}, {there.type} {other}"
    if here.summary != there.summary:
        return f"{here.summary} {one}, {there.summary} {other}"
    if here.items is None or there.items is None:
        pairs = zip(here.head, there.head, strict=False)
        return next((f"{a} {one}, {b} {other}" for a, b in pairs if a != b), "a different content")
    left, right = here.items, there.items
    if left and right:
        for place in dict.fromkeys([*left, *right]):
            a, b = left.get(place), right.get(place)
            if a != b:
                return f"at {place}: {a or 'nothing'} {one}, {b or 'nothing'} {other}"
        return f"the same first {len(left):,} values, a different content further on"
    return "a different content"


def lines_of(head: Head | None) -> tuple[str, ...]:
    """Return the lines of a beginning; none where there is no beginning."""
    if head is None:
        return ()
    columns = [f"columns {', '.join(head.columns)}"] if head.columns else []
    return (*columns, *(f"row {number}: {', '.join(row)}" for number, row in enumerate(head.rows)))


def _items(value: Any) -> Iterator[tuple[str, str]]:
    """Yield places and short texts, the outermost structure first; no item of unknown size is written out."""
    columns = getattr(value, "columns", None)
    shape = getattr(value, "shape", None)
    if columns is not None and isinstance(shape, tuple) and len(shape) == _FRAME_SIDES:
        yield from _frame_items(value, list(islice(columns, MOST_ITEMS)))
    elif isinstance(shape, tuple) and hasattr(value, "ravel"):
        for place, item in enumerate(islice(value.ravel(), MOST_ITEMS)):
            yield f"[{place}]", _short(item)
    else:
        yield from _plain_items(value)


def _plain_items(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield from ((f"[{_short(key)}]", _short(item)) for key, item in islice(value.items(), MOST_ITEMS))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{place}]", _short(item)) for place, item in enumerate(value[:MOST_ITEMS]))
    elif isinstance(value, str):
        yield from ((f"line {n}", line[:MOST_TEXT]) for n, line in enumerate(value.splitlines()[:MOST_ITEMS], 1))
    elif hasattr(value, "__dict__"):
        yield from ((f".{name}", _short(item)) for name, item in islice(vars(value).items(), MOST_ITEMS))


def _frame_items(frame: Any, columns: list[Any]) -> Iterator[tuple[str, str]]:
    yield "columns", ", ".join(str(name)[:MOST_TEXT] for name in columns)
    for name in columns:
        yield f"type of {str(name)[:MOST_TEXT]}", str(frame[name].dtype)
    rows = max(1, MOST_ITEMS // max(1, len(columns)))
    head = frame.head(rows)
    for row in range(len(head)):
        for name in columns:
            column = head[name]
            yield (
                f"row {row}, {str(name)[:MOST_TEXT]}",
                _short(column.iloc[row] if hasattr(column, "iloc") else column[row]),
            )


def _short(item: Any) -> str:
    """Return a scalar as it is written, anything else as its summary."""
    if isinstance(item, (int, float, complex, bool, str, bytes, type(None))) or type(item).__module__ == "numpy":
        text = repr(item[: MOST_TEXT * 2] if isinstance(item, (str, bytes)) else item)
        return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
    return summarize(item)
