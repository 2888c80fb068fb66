"""Events → the record of a run: the state of every node, what is left, what failed.

In: a graph and the events of one run, in order. Out: a run document, whole or as what changed since the last frame.
Invariant: pure: no clock, no thread, no IPython; the same events always give the same record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cascade.graph.model import Node
from cascade.interfaces import events as e
from cascade.notebook import document
from cascade.notebook.bars import BAR_LIMIT
from cascade.notebook.failure import FailureBook, closing_words
from cascade.notebook.folding import Drawing, draw_graph
from cascade.notebook.graph_like import GraphLike, fractions_of, resources_of
from cascade.notebook.lanes import LaneBook
from cascade.notebook.log_book import REMOTE, LogBook
from cascade.notebook.plain import plain, plural
from cascade.notebook.readiness import Readiness
from cascade.notebook.step_marks import StepMarks
from cascade.notebook.track import Track
from cascade.notebook.units import ENDED, UNITS, VALUES, Box, Unit, origin

__all__ = ["GraphLike", "RunRecord"]

_TOLD = (e.NodeAbandoned, e.OutputWritten, e.DisplayShown, e.EventsDropped, e.StoreReported, e.ClusterReported, *REMOTE)


class RunRecord:
    """Folds events into what the view shows.

    Responsible for: states of nodes and items, counts, failure, the state of the run. Lanes, log, readiness and the
    form of the document have modules of their own. Refuses: time and threads; who owns a record locks it.

    Args:
        graph: the graph that runs. drawing: its drawing, made here if not given.
        usual: how long each task took in earlier runs, in seconds by name, for the estimate of what is left.
        locate: what people call a source file; notebooks know the number of a cell.
    """

    def __init__(
        self,
        graph: GraphLike,
        drawing: Drawing | None = None,
        *,
        usual: Mapping[str, float] | None = None,
        locate: Callable[[str], str] = str,
    ) -> None:
        """Begin with everything pending."""
        self.run_id = ""
        self.name = graph.name
        self.state = "pending"
        self.started = 0.0
        self.elapsed = 0.0
        self.message = ""
        self.counts = dict.fromkeys(UNITS, 0)
        self.params: dict[str, str] = {}
        self.inputs = document.describe_inputs(graph)
        self.capacities: dict[str, dict[str, Any]] = {}
        self.result: dict[str, Any] | None = None
        self.failure: dict[str, Any] | None = None
        self.peeks: dict[str, Any] | None = None
        self.usual = dict(usual or {})
        self.abandoned: tuple[str, ...] = ()
        self._locate = locate
        self.spent: dict[str, list[float]] = {}
        self.changed: dict[str, None] = {}
        self.dirty: set[str] = {"run"}
        self.unknown = False
        self.is_cut = False  # nothing more will come, though no end was told: a journal that breaks off
        self.frames = document.FrameState()
        self._failures = FailureBook()
        self._reason = ""
        self._take(graph, drawing or draw_graph(graph))
        self._dispatch = self._make_dispatch()

    def _take(self, graph: GraphLike, drawing: Drawing) -> None:
        self.drawing = drawing
        self.boxes = {box: Box(box, name) for box, name in drawing.names.items()}
        self.track = Track(box.id for box in drawing.shape.boxes)
        self.units: dict[str, Unit] = {}
        self.steps = StepMarks(self.units, self.touch)
        for node in graph.nodes:
            self._add_unit(node, self.boxes[drawing.boxes[node.id]])
        is_known = not drawing.folded and not getattr(graph, "is_flat", False)  # what needs what
        self._readiness = Readiness(graph.nodes, graph.edges) if is_known else None
        self._resources, users = resources_of(graph)
        hungry = users | {node.id for node in graph.nodes if node.requirements}
        self._has_plain = any(node.id not in hungry and node.kind not in {*VALUES, "route"} for node in graph.nodes)
        apart = frozenset(node.id for node in graph.nodes if node.kind in {"map", "route"})
        self._parts = fractions_of(graph.nodes)
        limit = document.bar_limit(drawing, len(self.boxes), BAR_LIMIT)
        self.lanes = LaneBook(drawing.boxes, hungry, apart, limit)
        self.log = LogBook(drawing.boxes)

    def _add_unit(self, node: Node, box: Box) -> None:
        unit = self.units[node.id] = Unit(node.id, node.name, node.kind, box, note=node.note)
        box.members += 1
        box.only = unit if box.members == 1 else None
        if node.kind not in VALUES:
            self._count(unit, "pending", 1)

    # -- the outside -------------------------------------------------------------------------------------------------

    def apply(self, events: Iterable[e.Event]) -> None:
        """Take the next events of the run, in order."""
        track, takes = self.track, self._dispatch.get
        begun: e.NodeStarted | None = None
        for event in events:
            elapsed = event.elapsed
            if begun is not None:
                if type(event) is e.NodeCompleted and self._took_no_time(begun, event):
                    begun = None
                    continue
                self._take_start(begun)
                begun = None
            self.elapsed = max(self.elapsed, elapsed)
            if elapsed > track.until:
                track.move(elapsed, self.state, self.capacities)
            if type(event) is e.NodeStarted and event.index is None:
                begun = event  # what comes next tells whether it is worth a step of its own
                continue
            for take in takes(type(event), ()):
                take(event)
        if begun is not None:
            self._take_start(begun)

    def _take_start(self, event: e.NodeStarted) -> None:
        for take in self._dispatch[e.NodeStarted]:
            take(event)

    def _took_no_time(self, begun: e.NodeStarted, ended: e.NodeCompleted) -> bool:
        unit = self.units.get(ended.node)
        if unit is None or begun.node != ended.node or ended.index is not None or begun.attempt != 1:
            return False
        if not self.take_whole(unit, ended.name, begun.elapsed, ended.elapsed, ended.duration):
            return False
        unit.last = unit.box.last = ended
        self.log.write(ended)
        return True

    def take_whole(self, unit: Unit, name: str, begun: float, ended: float, duration: float) -> bool:
        """Take begin and end of a task in one step, if the result is the same: most nodes of large graphs are such."""
        if unit.state != "pending" or unit.kind != "task" or unit.held or unit.expanded or ended > self.track.until:
            return False
        if self._readiness is not None or not self.lanes.took_no_time(unit.id, name, begun, ended):
            return False
        box = unit.box
        self._count(unit, "pending", -1)
        self._count(unit, "done", 1)
        unit.state, unit.t0, unit.t1 = "done", begun, ended
        box.t1, self.elapsed = ended, max(self.elapsed, ended)
        if box.t0 is None:
            box.t0 = begun
        self.spend(unit.name, duration, 1)
        return True

    def document(self, elapsed: float | None = None) -> dict[str, Any]:
        """Return the run document: everything, at most 200 KB as JSON. `elapsed` is the time of a run that goes on."""
        return document.whole(self, elapsed)

    def snapshot(self, elapsed: float | None = None) -> dict[str, Any]:
        """Return the document as the frames so far made it, with their number as ``seq``."""
        return document.snapshot(self, elapsed)

    def take_frame(self, elapsed: float | None = None) -> dict[str, Any] | None:
        """Return what changed since the last frame, at most 20 KB of it as JSON; None if nothing did."""
        return document.take_frame(self, elapsed)

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.state in {"completed", "failed", "cancelled"}

    def set_result(self, result: dict[str, Any] | None) -> None:
        """Tell what the run gave, as the document's ``result``."""
        self.result = result
        self.dirty.add("result")

    def mark(self, node: str, text: str) -> None:
        """Mark a node as stale and say why; an empty text takes the mark away."""
        box = self.units[node].box
        if box.mark != text:
            box.mark = plain(text, 60)
            self.changed[box.id] = None

    # -- counting ----------------------------------------------------------------------------------------------------

    def touch(self, box: Box) -> None:
        """Something about `box` may have changed."""
        self.changed[box.id] = None
        self.track.touch(box)

    def _count(self, unit: Unit, state: str, change: int) -> None:
        self.counts[state] += change
        tally = unit.box.tally
        tally[state] = tally.get(state, 0) + change
        self.touch(unit.box)

    def move(self, unit: Unit, state: str) -> None:
        """A node (or a map as a whole) goes over to `state`."""
        if not unit.expanded and unit.state != state and unit.kind not in VALUES:
            self._count(unit, unit.state, -1)
            self._count(unit, state, 1)
        unit.state = state
        self.touch(unit.box)
        if state in ENDED and self._readiness is not None:
            self._queue(self._readiness.settle(unit.id))

    def _move_item(self, unit: Unit, index: int, state: str) -> None:
        """An item of a map goes over to `state`."""
        if not unit.expanded:
            self.expand(unit, None)
        old = unit.active.pop(index, "")
        if old:
            self._count(unit, old, -1)
        else:
            self._meet(unit, 1)
        self._count(unit, state, 1)
        unit.items.note(index, state)
        if state not in ENDED:
            unit.active[index] = state

    def _meet(self, unit: Unit, count: int) -> None:
        """`count` items are heard of for the first time: they leave the pending ones."""
        unit.seen += count
        known = min(count, unit.pending)
        unit.pending -= known
        if known:
            self._count(unit, "pending", -known)
        if unit.waits is not None and unit.pending == 0:
            unit.waits = None
            self.lanes.waiting.leave((unit.id, None), self.elapsed)

    def expand(self, unit: Unit, total: int | None) -> None:
        """From now on a map counts by its items."""
        if not unit.expanded:
            unit.expanded = True
            self._count(unit, unit.state, -1)
        if total is not None:
            unit.total = total
            pending = max(0, total - unit.seen)
            self._count(unit, "pending", pending - unit.pending)
            unit.pending = pending

    def _close_items(self, unit: Unit, state: str) -> None:
        """A map ended as a whole: items that never began share its fate."""
        if unit.pending:
            self._count(unit, "pending", -unit.pending)
            self._count(unit, state, unit.pending)
            unit.pending = 0

    def _queue(self, ready: Iterable[str]) -> None:
        for node in ready:
            unit = self.units[node]
            if unit.state == "pending":
                self.move(unit, "queued")

    def _unit(self, event: e.NodeEvent) -> Unit:
        unit = self.units.get(event.node)
        if unit is None:
            self.unknown = True
            box = self.boxes.setdefault("", Box("", ""))
            unit = self.units[event.node] = Unit(event.node, event.name, "task", box)
            self._count(unit, "pending", 1)
        return unit

    # -- events of nodes ---------------------------------------------------------------------------------------------

    def _to(self, event: e.NodeEvent, state: str) -> Unit:
        """Move what `event` is about; remember the event, which tells why."""
        unit = self.units.get(event.node) or self._unit(event)
        if unit.held:
            self.steps.take_away(unit)
        if event.index is None:
            self.move(unit, state)
            unit.last = event
        else:
            self._move_item(unit, event.index, state)
        box = unit.box
        box.last = event
        box.t1 = event.elapsed
        if state == "running":
            if box.t0 is None:
                box.t0 = event.elapsed
            if unit.t0 is None:
                unit.t0 = event.elapsed
        return unit

    def _node_started(self, event: e.NodeStarted) -> None:
        unit = self._to(event, "running")
        if event.index is None:
            unit.attempt = event.attempt

    def _node_completed(self, event: e.NodeCompleted) -> None:
        unit = self._to(event, "done")
        unit.date(max(0.0, event.elapsed - event.duration), event.elapsed)
        if event.index is None:
            self.end(unit, event.elapsed, "done")
        if event.index is not None or not unit.expanded:
            self.spend(unit.name, event.duration, 1)

    def _node_recalled(self, event: e.NodeRecalled) -> None:
        unit = self._to(event, state := "kept" if event.kept else "stored")
        unit.note = "kept" if event.kept else origin(event)
        self.end(unit, event.elapsed, state)

    def _items_recalled(self, event: e.ItemsRecalled) -> None:
        unit = self._unit(event)
        if not unit.expanded:
            self.expand(unit, None)
        self._meet(unit, event.count)
        self._count(unit, state := "kept" if event.kept else "stored", event.count)
        unit.recalled += event.count - unit.items.note_spans(event.spans, state)

    def _items_completed(self, event: e.ItemsCompleted) -> None:
        self.take_items(self._unit(event), event.first, event.count, event.elapsed, event.duration)

    def take_items(self, unit: Unit, first: int, count: int, elapsed: float, duration: float) -> None:
        """`count` items from `first` on are done, which took `duration` seconds together."""
        if not unit.expanded:
            self.expand(unit, None)
        self._meet(unit, count)
        self._count(unit, "done", count)
        unit.items.note(first, "done", count)
        self.spend(unit.name, duration, count)
        unit.date(max(0.0, elapsed - duration), elapsed)

    def _node_failed(self, event: e.NodeFailed) -> None:
        unit = self._to(event, "failed")
        self._failures.note(event)
        if event.index is not None:
            unit.items.note(event.index, "failed", 1, f"{event.error_type}: {event.error}", event.duration)
            return
        self.end(unit, event.elapsed, "cancelled")
        self._tell_failure(None)

    def _node_retrying(self, event: e.NodeRetrying) -> None:
        unit = self._to(event, "retry")
        unit.max_attempts = event.max_attempts

    def _node_waiting(self, event: e.NodeWaiting) -> None:
        unit = self._unit(event)
        if event.index is None and unit.expanded:
            is_news = unit.waits is None or unit.waits.resource != event.resource
            unit.waits = event
            self.touch(unit.box)
            if is_news:
                self.log.write(event)
        else:
            self._to(event, "waiting")
            self.log.write(event)
        self.lanes.waits(event, unit.pending if event.index is None else 1)

    def _node_stopped(self, event: e.NodeSkipped | e.NodeCancelled) -> None:
        unit = self._to(event, state := "skipped" if type(event) is e.NodeSkipped else "cancelled")
        if event.index is None:
            self.end(unit, event.elapsed, state)

    def end(self, unit: Unit, moment: float, items: str) -> None:
        """A node ended; items of it that never began share its fate, which is `items`."""
        unit.t1 = moment if unit.t0 is not None else None
        if unit.expanded:
            self._close_items(unit, items)

    def _node_held(self, event: e.NodeHeld) -> None:
        unit = self._unit(event)
        self.steps.mark(unit)
        if unit.state == "pending" and not unit.expanded:
            self.move(unit, "queued")

    def _map_expanded(self, event: e.MapExpanded) -> None:
        unit = self._unit(event)
        if unit.state not in ENDED:
            self.expand(unit, event.total)

    def _graph_grown(self, event: e.GraphGrown) -> None:
        self._unit(event).note = f"goes on with {plural(len(event.nodes), 'node')}"
        self.unknown = self.unknown or any(node not in self.units for node in event.nodes)

    def _loop_turned(self, event: e.LoopTurned) -> None:
        unit = self._unit(event)
        unit.note = f"turn {event.turns + 1:,}"
        self.touch(unit.box)

    def _route_chosen(self, event: e.RouteChosen) -> None:
        self._unit(event).note = f"route {event.key}"
        if self._readiness is not None:
            self._queue(self._readiness.choose(event.node, event.key))

    def spend(self, name: str, seconds: float, count: int) -> None:
        """Remember how long `count` units of a task took together."""
        spent = self.spent.get(name) or self.spent.setdefault(name, [0.0, 0.0])
        spent[0] += seconds
        spent[1] += count

    # -- events of the run -------------------------------------------------------------------------------------------

    def _run_started(self, event: e.RunStarted) -> None:
        self.run_id, self.name, self.state = event.run_id, event.name or self.name, "running"
        self.started = event.at - event.elapsed
        self.params = {name: plain(value, 120) for name, value in event.params.items()}
        for unit in self.units.values():
            if unit.kind in VALUES and unit.name in self.params:
                unit.note = self.params[unit.name]
                self.touch(unit.box)
        for name, total in event.capacities.items():
            self.capacities[name] = {"name": plain(name, 40), "used": 0.0, "total": total, "kind": "capacity"}
        self.lanes.open_capacities(event.capacities, self._parts)
        self.lanes.open_others(self._resources, tasks=self._has_plain)
        self.dirty.update({"run", "capacities", "params"})
        if self._readiness is not None:
            self._queue(self._readiness.start())

    def _run_finished(self, event: e.RunFinished) -> None:
        self.state = event.status
        self.abandoned = event.abandoned
        self.elapsed = max(self.elapsed, event.duration)
        if event.status != "completed":
            self._abort()
        else:
            self.failure = None
        self.message = closing_words(event, self._reason)
        self.lanes.finish(event.elapsed)
        self.dirty.update({"run", "failure"})
        if event.status == "failed":
            self._tell_failure(event)

    def _abort(self) -> None:
        """Nothing more will happen to what has not ended."""
        for unit in self.units.values():
            if unit.expanded:
                for index in list(unit.active):
                    self._move_item(unit, index, "cancelled")
                self._close_items(unit, "cancelled")
            if unit.state not in ENDED and unit.kind not in VALUES:
                self.move(unit, "cancelled")

    def _tell_failure(self, end: e.RunFinished | None) -> None:
        self.failure = self._failures.card(end, self.units.values(), self.drawing.boxes, self._locate)
        self.dirty.add("failure")

    def _to_run(self, state: str) -> Callable[[e.Event], None]:
        def move(_: e.Event) -> None:
            if self.state != "cancelling" and not self.finished:
                self.state = state
                self.dirty.add("run")

        return move

    def _cancel_requested(self, event: e.RunCancelRequested) -> None:
        self._to_run("cancelling")(event)
        self._reason = event.reason

    def _capacity_used(self, event: e.ResourceAcquired | e.ResourceReleased) -> None:
        capacity = self.capacities.get(event.resource) if event.kind == "capacity" else None
        if capacity is not None:
            capacity["used"] = event.usage
            self.dirty.add("capacities")

    def typical(self) -> dict[str, float]:
        """Return how long one unit of each task took, in seconds by name, for the estimates of later runs."""
        return {name: total / count for name, (total, count) in self.spent.items() if count}

    def _make_dispatch(self) -> dict[type[e.Event], tuple[Callable[[Any], None], ...]]:
        lanes, log = self.lanes, self.log.write
        stop = lanes.stops_waiting
        return {
            e.RunStarted: (self._run_started,),
            e.RunFinished: (self._run_finished, log),
            e.RunPaused: (self._to_run("paused"), log),
            e.RunResumed: (self._to_run("running"), log),
            e.RunCancelRequested: (self._cancel_requested, log),
            e.NodeStarted: (self._node_started, stop, lanes.started),
            e.NodeCompleted: (self._node_completed, stop, lanes.ended, log),
            e.NodeRecalled: (self._node_recalled, stop, log),
            e.ItemsRecalled: (self._items_recalled, log),
            e.ItemsCompleted: (self._items_completed, lanes.items, log),
            e.NodeFailed: (self._node_failed, stop, lanes.ended, log),
            e.NodeRetrying: (self._node_retrying, stop, lanes.ended, log),
            e.NodeWaiting: (self._node_waiting,),
            e.NodeHeld: (self._node_held,),
            **dict.fromkeys((e.StepModeEntered, e.StepModeLeft), (self.steps.change_mode, log)),
            **dict.fromkeys((e.NodeSkipped, e.NodeCancelled), (self._node_stopped, stop, lanes.ended, log)),
            e.MapExpanded: (self._map_expanded, log),
            e.GraphGrown: (self._graph_grown, log),
            e.LoopTurned: (self._loop_turned,),
            e.RouteChosen: (self._route_chosen, log),
            e.ResourceAcquired: (self._capacity_used, lanes.acquired),
            e.ResourceReleased: (self._capacity_used, lanes.released),
            e.ResourceSetUp: (lanes.set_up, log),
            e.ResourceTornDown: (lanes.torn_down, log),
            **dict.fromkeys((e.LimitSet, e.LimitRemoved), (self.steps.forget_limits, lanes.waiting.forget_limits, log)),
            **dict.fromkeys(_TOLD, (log,)),
        }
