"""Controls without anywidget: plain ipywidgets that tell a value when it is let go.

In: `Controls`. Out: a box of ipywidgets. Invariant: they say what the form of the browser would say, so that one place
converts and checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade.notebook.control_fields import Field
    from cascade.notebook.controls import Controls

__all__ = ["PlainForm"]


class PlainForm:
    """One ipywidget for each Param, a line for what is wrong, and two buttons."""

    def __init__(self, controls: Controls) -> None:
        """Make the widgets.

        Raises:
            ImportError: without ipywidgets.
        """
        import ipywidgets

        self._controls = controls
        self._kit = ipywidgets
        self._is_told = False
        values = controls.state()["values"]
        self._inputs = [self._make(field, value) for field, value in zip(controls.fields, values, strict=True)]
        for place, one in enumerate(self._inputs):
            one.observe(lambda change, place=place: self._moved(place, change["new"]), "value")
        run, reset = ipywidgets.Button(description="Run"), ipywidgets.Button(description="Reset")
        run.on_click(lambda _button: controls.post({"type": "run"}))
        reset.on_click(lambda _button: controls.post({"type": "reset"}))
        self._note = ipywidgets.Label()
        self.box = ipywidgets.VBox([*self._inputs, ipywidgets.HBox([run, reset]), self._note])

    def _make(self, field: Field, value: Any) -> Any:
        kit, told = self._kit, field.describe()
        common: dict[str, Any] = {"description": told["name"], "tooltip": told["help"]}
        if field.kind == "check":
            return kit.Checkbox(value=bool(value), **common)
        if field.choices:
            options = list(zip(_unique(told["choices"]), range(len(field.choices)), strict=True))
            return kit.Dropdown(options=options, value=value, **common)
        if field.kind == "slider":
            make = kit.IntSlider if field.param.type is int else kit.FloatSlider
            kind = int if field.param.type is int else float
            return make(
                value=kind(value),
                min=field.low,
                max=field.high,
                step=kind(field.step),
                continuous_update=False,
                **common,
            )
        if field.kind == "password":
            return kit.Password(continuous_update=False, **common)
        return kit.Text(value=str(value), continuous_update=False, disabled=field.kind == "fixed", **common)

    def _moved(self, place: int, value: Any) -> None:
        if not self._is_told:
            self._controls.post({"type": "change", "field": place, "value": value})

    def show(self) -> None:
        """Show them in this cell."""
        from IPython.display import display

        display(self.box)

    def update(self, state: Mapping[str, Any]) -> None:
        """Show values and what is wrong."""
        wrong = [
            f"{field.param.name}: {error}"
            for field, error in zip(self._controls.fields, state["errors"], strict=True)
            if error
        ]
        self._note.value = "; ".join(wrong) or state["note"]
        self._is_told = True
        try:
            for field, one, value, error in zip(
                self._controls.fields, self._inputs, state["values"], state["errors"], strict=True
            ):
                if not error and field.kind != "password":
                    one.value = _as_shown(field, value)
        finally:
            self._is_told = False

    def close(self) -> None:
        """Close every widget with its layout and style, which ipywidgets would keep for ever."""
        buttons = self.box.children[len(self._inputs)]
        for one in (*self._inputs, *buttons.children, buttons, self._note, self.box):
            for part in (one, one.layout, getattr(one, "style", None)):
                if part is not None:
                    part.close()


def _as_shown(field: Field, value: Any) -> Any:
    if field.kind == "slider":
        return int(value) if field.param.type is int else float(value)
    return value if field.kind == "check" or field.choices else str(value)


def _unique(labels: list[str]) -> list[str]:
    """Return labels of which no two are the same: the widget takes the first of them."""
    return [label if labels.index(label) == place else f"{label} ({place + 1})" for place, label in enumerate(labels)]
