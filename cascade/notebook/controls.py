"""`cs.controls(target)`: Params → sliders, fields and choices, with the run below that they start.

In: a target. Out: `Controls`: the present values, the latest run and its value. Invariant: what a browser says is only
queued; values are converted, plans made and runs started in threads of their own, and nothing runs before someone asks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cascade.context import get_current_context
from cascade.interfaces.control_errors import ControlError
from cascade.interfaces.exceptions import CascadeError, ParamError, SettingError
from cascade.interfaces.naming import clip, nearest
from cascade.notebook.control_fields import Field, make_field
from cascade.notebook.control_reader import Reader
from cascade.notebook.forecast import Forecast, Latest, foresee
from cascade.notebook.plain import listed, plain
from cascade.notebook.record import RunRecord
from cascade.spec.policy import UNSET

if TYPE_CHECKING:
    from cascade.notebook.control_place import Place
    from cascade.runtime.handle import Run
    from cascade.spec.input import Param

__all__ = ["Controls", "controls"]

BUDGET: Final = 2.0  # seconds that a forecast may take before the next ones wait for a release
FIRST: Final = 0.3  # seconds that the first picture waits for what would run
_NEEDS: Final = "it needs a value"


class Values(dict[str, Any]):
    """Values of Params by name; its repr shows no secret."""

    def __init__(self, values: Mapping[str, Any], secrets: Iterable[str]) -> None:
        """Copy `values`."""
        super().__init__(values)
        self._secrets = frozenset(secrets)

    def __repr__(self) -> str:
        """Show the values that may be shown."""
        shown = {name: "•••" if name in self._secrets else value for name, value in self.items()}
        return repr(shown)


class Controls:
    """A form of the Params of a target, and the run below it.

    Responsible for: values and what is wrong with them, what a move would cost, one run at a time. Refuses: how it is
    shown (`Place`), what a value may be (`Field`).

    Attributes:
        name: of the target. run: the handle of the latest run, None before the first.
    """

    def __init__(
        self,
        target: Any,
        params: Mapping[str, Any] | None,
        capacities: Mapping[str, float] | None,
        resources: Iterable[Any],
        store: Any,
    ) -> None:
        """Read the Params of the target; nothing is shown and nothing runs."""
        from cascade.graph.build import build

        self._graph = build(target)
        self.name = self._graph.name
        self.run: Run | None = None
        self.forecast = Forecast()
        self._target = target
        self._capacities = capacities
        self._resources = tuple(resources)
        self._store = store
        self._fields = [make_field(param) for param in _as_written(self._graph.params)]
        self._lock = threading.RLock()
        self._start: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._errors: dict[str, str] = {}
        self._raw: dict[str, Any] = {}  # what a person wrote that is not valid
        self._ran_with: dict[str, Any] | None = None
        self._last_value: Any = None
        self._heard = 0  # when the browser said what was taken last, by its own clock
        self._inbox: deque[dict[str, Any]] = deque()
        self._worker = Latest("cascade-controls", self._fault)
        self._planner = Latest("cascade-forecast", self._fault)
        self._foreseen = threading.Event()
        self._is_slow = False
        self._note = ""
        self._is_closed = False
        self._place: Place | None = None
        self.reader: Reader = Reader()
        self._take_defaults(params or {})

    def _take_defaults(self, given: Mapping[str, Any]) -> None:
        names = [field.param.name for field in self._fields]
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ParamError([f"No Param is named '{clip(name)}'.{nearest(name, names)}" for name in unknown])
        for field in self._fields:
            param = field.param
            if param.name in given:
                self._start[param.name] = _read(field, given[param.name])
            elif param.default is not UNSET:
                self._start[param.name] = _read(field, param.default)
        self._reset()

    def _reset(self) -> None:
        self._values = dict(self._start)
        self._raw = {}
        names = [field.param.name for field in self._fields]
        self._errors = {name: _NEEDS for name in names if name not in self._values}

    # -- what people ask ---------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Any]:
        """The present values by name: what the controls show, without what is not valid."""
        with self._lock:
            return Values(self._values, [field.param.name for field in self._fields if field.param.secret])

    @property
    def value(self) -> Any:
        """The value of the latest run that completed; None before."""
        run = self.run
        if run is not None and run.state == "completed" and run.done():
            self._last_value = self.reader.read(run.result(0))
        return self._last_value

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the latest run and return its value.

        Args:
            timeout: seconds; None: until the end.

        Raises:
            ControlError: when nothing has run. TimeoutError, and whatever the run raised.
        """
        if self.run is None:
            raise ControlError.for_no_run(self.name)
        try:
            return self.reader.read(self.run.result(timeout))
        finally:
            if self.run.done():
                self.reader.end()
            if self._place is not None and self.run.done():
                self._place.wait()

    def set(self, **values: Any) -> None:
        """Set values as if someone had moved the controls; nothing runs before `start`.

        Raises:
            ParamError: for a name that there is not, or a value that a Param refuses.
        """
        fields = {field.param.name: field for field in self._fields}
        problems = [
            f"No Param is named '{clip(name)}'.{nearest(name, fields)}" for name in values if name not in fields
        ]
        read = {}
        for name, value in values.items():
            if name in fields:
                try:
                    read[name] = fields[name].param.read(value)
                except ValueError as error:
                    problems.append(f"Param '{clip(name)}': {error}.")
        if problems:
            raise ParamError(problems)
        with self._lock:
            self._values.update(read)
            for name in read:
                self._errors.pop(name, None)
                self._raw.pop(name, None)
        self._show_form()
        self._ask_forecast()

    def start(self) -> Run:
        """Run the target with the present values; a run that goes on is cancelled. Returns the handle at once.

        Raises:
            ControlError: when these controls are closed. ParamError: while a value is missing or wrong.
            CascadeError: what the run raises before it begins.
        """
        with self._lock:
            if self._is_closed:
                raise ControlError.for_closed(self.name)
            if self._errors:
                raise ParamError([f"Param '{clip(name)}': {error}." for name, error in self._errors.items()])
            values = dict(self._values)
            if self.run is not None and not self.run.done():
                self.run.cancel("a control was moved")
            _ = self.value  # before its run is replaced
            self._ran_with = values
            self._note = ""
            given = {field.param.name: values[field.param.name] for field in self._fields if field.kind != "fixed"}
            self.run = self._place.start(self, given) if self._place is not None else self.begin(given, watched=False)
            return self.run

    def close(self) -> None:
        """Leave the last picture in the place of the controls; a run that goes on is cancelled."""
        self._end(discard=False)

    def __repr__(self) -> str:
        """Show name and values, no secrets."""
        given = ", ".join(f"{name}={text}" for name, text in self.told_values())
        return f"<controls of {self.name!r}: {given or 'no Params'}>"

    def _ipython_display_(self) -> None:
        """Show the controls in this cell, if they are not there already."""
        if self._place is not None:
            self._place.show_here(self)
        else:
            from IPython.display import display

            display({"text/plain": repr(self)}, raw=True)

    # -- what a place asks -------------------------------------------------------------------------------------------

    def open(self, place: Place) -> None:
        """Show the controls in `place`, with the first forecast if it comes at once."""
        self._place = place
        place.take(self)
        self._ask_forecast()
        self._foreseen.wait(FIRST if place.is_watched else BUDGET)
        place.open(self)

    def make_record(self) -> RunRecord:
        """Return the record of the target before any run."""
        return RunRecord(self._graph)

    @property
    def is_open(self) -> bool:
        """Whether they are still there."""
        return not self._is_closed

    def form(self) -> dict[str, Any]:
        """Return the form for a browser."""
        return {"name": plain(self.name, 80), "fields": [field.describe() for field in self._fields], **self.state()}

    def state(self) -> dict[str, Any]:
        """Return what changes in the form: values, what is wrong with them, and the line below them."""
        with self._lock:
            values = [self._shown(field) for field in self._fields]
            errors = [plain(self._errors.get(field.param.name, ""), 300) for field in self._fields]
            return {"values": values, "errors": errors, "note": plain(self._told(), 400), "heard": self._heard}

    def _shown(self, field: Field) -> Any:
        name = field.param.name
        if name in self._raw and field.kind != "password":
            return self._raw[name]
        return field.to_browser(self._values.get(name))

    @property
    def fields(self) -> list[Field]:
        """The controls."""
        return self._fields

    def told_values(self) -> list[tuple[str, str]]:
        """Return names and values as text, without secrets."""
        with self._lock:
            return [
                (
                    plain(field.param.name, 80),
                    plain(field.param.preview(self._values[field.param.name]), 200)
                    if field.param.name in self._values
                    else "not set",
                )
                for field in self._fields
            ]

    def post(self, message: dict[str, Any]) -> None:
        """Queue what a browser says; any thread may bring it, and none waits."""
        self._inbox.append(message)
        self._worker.ask(self._take_messages)

    def run_is_over(self) -> None:
        """The latest run has ended and its last picture is out."""
        _ = self.value
        self._ask_forecast()

    def _told(self) -> str:
        if self._note:
            return self._note
        missing = [name for name, error in self._errors.items() if error == _NEEDS]
        if missing:
            return f"{listed(missing)} {'needs' if len(missing) == 1 else 'need'} a value"
        if self._errors:
            return f"{listed(list(self._errors))}: not a valid value yet"
        return self.forecast.text

    # -- the worker --------------------------------------------------------------------------------------------------

    def _take_messages(self) -> None:
        """Take all that has come; however many releases there are in it, one run is started."""
        wants_run, is_forced, is_released = False, False, False
        while self._inbox:
            message = self._inbox.popleft()
            kind, at = message.get("type"), message.get("at")
            self._heard = at if isinstance(at, int) else self._heard
            if kind in {"input", "change"}:
                self._move(message.get("field"), message.get("value"))
            elif kind == "reset":
                with self._lock:
                    self._reset()
            is_released = is_released or kind != "input"
            wants_run = wants_run or kind in {"change", "reset", "run"}
            is_forced = is_forced or kind == "run"
        if self._is_closed:
            return
        if wants_run and not self._errors and (is_forced or not self._has_run()):
            self._start_or_tell()
        else:
            self._note = ""
        self._show_form()
        if is_released or not self._is_slow:
            self._ask_forecast()

    def _move(self, place: Any, raw: Any) -> None:
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(self._fields):
            return
        field = self._fields[place]
        name = field.param.name
        try:
            value = field.read(raw)
        except Exception as error:  # noqa: BLE001 - the type is the user's own, and may raise anything
            with self._lock:
                self._errors[name] = str(error) or type(error).__name__
                self._values.pop(name, None)
                self._raw[name] = raw if isinstance(raw, (str, int, float)) else ""
            return
        with self._lock:
            self._values[name] = value
            self._errors.pop(name, None)
            self._raw.pop(name, None)

    def _has_run(self) -> bool:
        """Whether the latest run has, or will have, the value that belongs to the present values."""
        run = self.run
        if run is None or run.state in {"failed", "cancelled", "cancelling"} or self._ran_with is None:
            return False
        try:
            return bool(self._ran_with == self._values)
        except Exception:  # noqa: BLE001 - the equality of an array, or of a user's class, may raise anything
            return False

    def _start_or_tell(self) -> None:
        try:
            self.start()
        except CascadeError as error:
            self._note = str(error)

    def begin(self, values: Mapping[str, Any], *, watched: bool) -> Run:
        """Start a run; `watched` by a view, what its tasks print becomes events."""
        from cascade.runtime.run import start

        self.reader.begin()
        run = start(
            self._target, values, self._capacities, log_level=None, resources=self._resources, cache=self._store,
            capture_output=watched,
        )  # fmt: skip
        run.add_done_callback(self.reader.end)
        return run

    # -- the planner -------------------------------------------------------------------------------------------------

    def _ask_forecast(self) -> None:
        if self._is_closed or self._place is None:
            return
        with self._lock:
            values, is_valid = dict(self._values), not self._errors
        self._planner.ask(partial(self._foresee, values) if is_valid else partial(self._tell, Forecast()))

    def _foresee(self, values: Mapping[str, Any]) -> None:
        from time import monotonic

        began = monotonic()
        given = {field.param.name: values[field.param.name] for field in self._fields if field.kind != "fixed"}
        try:
            found = foresee(self._target, given, self._capacities, self._store, resources=self._resources)
        except CascadeError as error:
            found = Forecast(text=str(error))
        self._is_slow = monotonic() - began > BUDGET
        if not self._planner.is_waiting:
            self._tell(found)

    def _tell(self, found: Forecast) -> None:
        self.forecast = found
        self._foreseen.set()
        if self._place is not None and not self._is_closed:
            self._place.mark(found.marks)
            self._place.show_form()

    def _show_form(self) -> None:
        if self._place is not None and not self._is_closed:
            self._place.show_form()

    def _fault(self, error: Exception) -> None:
        self._note = plain(f"{type(error).__name__}: {error}", 300)
        self._show_form()

    def _end(self, *, discard: bool) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if self.run is not None and not self.run.done():
                self.run.cancel("its controls were closed")
        if self._place is not None:
            self._place.close(discard=discard)


def _as_written(params: Iterable[Param]) -> list[Param]:
    """Return Params in the order in which they were first made; a graph has them in that of its nodes."""
    places = {name: place for place, name in enumerate(get_current_context().params)}
    return sorted(
        {param.name: param for param in params}.values(), key=lambda param: places.get(param.name, len(places))
    )


def _read(field: Field, value: Any) -> Any:
    try:
        return field.param.read(value)
    except ValueError as error:
        raise ParamError([f"Param '{clip(field.param.name)}': {error}."]) from None


def controls(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    *,
    cache: Any = None,
    resources: Iterable[Any] = (),
    view: str = "auto",
) -> Controls:
    """Show the Params of `target` as controls, and below them the run that they start.

    While one is moved, the nodes that would run again are marked with what that costs by earlier runs; when it is let
    go, they run. What is stored is not computed again; a task that is not pure runs each time.

    Args:
        target: what to run; in a notebook also the name of a task cell. params: first values, by name; by default
            those of the Params. system_resources: capacities by name. cache: where results are kept: as for `run`;
            by default the notebook's store, False: nowhere.
        resources: as for `run`. view: ``auto``, ``live``, ``static``, ``text`` or ``none``.

    Raises:
        NotLazyError, GraphError: for a target that cannot be run. ParamError: for a name or value in `params`.
        SettingError: for a view that there is not.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def double(n): return 2 * n
        >>> knobs = cs.controls(double(cs.Param("n", default=3, bounds=(0, 10))), cache=False)
        >>> knobs.set(n=4)
        >>> knobs.start().result(), knobs.params
        (8, {'n': 4})
    """
    import sys

    if view not in ("auto", "live", "static", "text", "none"):
        raise SettingError.for_choice("view", view, ("auto", "live", "static", "text", "none"))
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return Controls(target, params, system_resources, resources, None if cache is False else cache)
    from cascade.notebook.control_place import Place, session_for, store_for
    from cascade.notebook.control_reader import CellReader, find_cell

    session = session_for(shell)
    cell = find_cell(session, target) if isinstance(target, str) else None
    made = Controls(cell if cell is not None else target, params, system_resources, resources, store_for(shell, cache))
    made.reader = CellReader(session, cell, made._graph.calls)  # noqa: SLF001 - its own
    made.open(Place(shell, view))
    return made
