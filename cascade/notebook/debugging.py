"""`%cascade debug NODE`: the inputs of a node that failed → names in the notebook, and how to call it.

In: a session and the words of the line. Out: names bound, a text that says which. Invariant: nothing that the notebook
has is overwritten; what would be goes into one dict instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cascade.graph.build import slots_in
from cascade.graph.model import ROUTE, Ref, ResourceRef
from cascade.notebook.commands import Said
from cascade.notebook.looking import job_and_node
from cascade.notebook.numbers import is_number
from cascade.notebook.options import usage_error
from cascade.notebook.plain import listed, plain
from cascade.notebook.session import EndedRun
from cascade.notebook.view.questions import peeker_of
from cascade.runtime.arguments import GONE

if TYPE_CHECKING:
    from cascade.notebook.session import Job, Session

__all__ = ["debug"]

_CLOSED = object()  # stands for a resource, which was closed with its run
_given: dict[str, int] = {}  # names that an earlier `debug` bound, and the ids of what it bound them to


def debug(session: Session, words: Sequence[str]) -> Said:
    """Put the inputs of a node, or of an item such as ``fit[3]``, into the notebook."""
    job, node = _wanted(session, words)
    if isinstance(job.run, EndedRun):
        usage_error(
            f"The values of {job.called} are no longer in memory. Run its cell again, then %cascade debug {node}."
        )
    view = job.views[0]
    try:
        unit, index = peeker_of(view).find(node)
    except KeyError:
        unit, index = None, None
    number = job.run.graph.ids.index(unit.id) if unit is not None and unit.id in job.run.graph.ids else None
    if unit is None or number is None or job.run.graph.kinds[number] == ROUTE:
        usage_error(f"{job.title} has no task '{node}' whose inputs could be had.")
    if unit.kind == "map" and index is None:
        index = next((i for i in unit.items.order(unit.total) if unit.items.state(i) == "failed"), None)
        if index is None:
            usage_error(f"'{unit.name}' is a map. Say which of its items: %cascade debug {unit.name}[0].")
    label = plain(unit.name if index is None else f"{unit.name}[{index}]", 60)
    task = job.run.graph.calls[number]._task  # noqa: SLF001 - there is no public way
    inputs = _inputs_of(job, number, index, label)
    closed = [name for name, value in inputs.items() if value is _CLOSED]
    values = {name: value for name, value in inputs.items() if value is not _CLOSED}
    return Said("\n".join([*_bind(session.shell.user_ns, label, task, values, closed)]))


def _wanted(session: Session, words: Sequence[str]) -> tuple[Job, str]:
    """Return run and node; without words, the node that failed last."""
    failed = [job for job in session.jobs.values() if job.views and job.views[0].record.failure]
    told = failed[-1].views[0].record.failure if failed else None
    if not words and told is not None:
        return failed[-1], told["label"]
    if failed and not (len(words) > 1 and is_number(words[-1])):
        return failed[-1], " ".join(words).strip("'\"")
    return job_and_node(session, words, "debug")


# -- inputs -----------------------------------------------------------------------------------------------------------


def _inputs_of(job: Job, number: int, index: int | None, label: str) -> dict[str, Any]:
    """Return the arguments by parameter name, `*args` as one tuple; resources as `_CLOSED`."""
    flow = job.run._flow  # noqa: SLF001 - there is no public way
    task = flow.graph.calls[number]._task  # noqa: SLF001 - there is no public way
    if index is not None:
        row = flow.outcomes.failed_rows.get((number, index)) or _row_again(flow, number, index, label)
        return dict(task.signature.bind_partial(*row[1], **row[2]).arguments)
    args, kwargs = _resolved(flow, number, label)
    return dict(task.signature.bind_partial(*args, **kwargs).arguments)


def _resolved(flow: Any, number: int, label: str) -> tuple[list[Any], dict[str, Any]]:
    graph = flow.graph
    plain_refs = graph.shapes[number] == 1
    args = [_value(flow, Ref(slot) if plain_refs else slot, label) for slot in graph.args[number]]
    return args, {name: _value(flow, slot, label) for name, slot in graph.kwargs.get(number, {}).items()}


def _value(flow: Any, slot: Any, label: str) -> Any:
    for inner in slots_in(slot):
        if type(inner) is ResourceRef:
            return _CLOSED
        if type(inner) is Ref:
            giver = flow.graph.label(inner.index)
            if flow.values[inner.index] is GONE:
                usage_error(
                    f"'{label}' has ended, and the value of '{giver}' that it had is not kept any more. "
                    "Inputs are kept for nodes that failed or did not run."
                )
            if flow.core.state[inner.index] != 2:  # noqa: PLR2004 - done
                usage_error(f"'{label}' had no inputs: '{giver}', which it needs, has no value.")
    return flow.process_side.bring_all(flow.arguments.resolve(slot))


def _row_again(flow: Any, number: int, index: int, label: str) -> Any:
    """Return the arguments of an item by going over the map's inputs once more."""
    from cascade.runtime.maps import MapState

    args, kwargs = _resolved(flow, number, label)
    if any(value is _CLOSED for value in (*args, *kwargs.values())):
        usage_error(f"The inputs of '{label}' hold a resource, which is closed. Only items that failed are kept whole.")
    state = MapState(label, flow.graph.calls[number]._task.positional, tuple(args), kwargs, None, collect=False)  # noqa: SLF001 - there is no public way
    rows: list[Any] = []
    if not state.lazy:
        state.pull(rows, index + 1, float("inf"))
    if len(rows) <= index:
        usage_error(f"There is no item {index} in '{label}', or its inputs can be gone over only once.")
    return rows[index]


# -- names ------------------------------------------------------------------------------------------------------------


def _bind(
    namespace: dict[str, Any], label: str, task: Any, values: Mapping[str, Any], closed: Sequence[str]
) -> list[str]:
    """Bind the inputs and return the lines that say so."""
    call, function = _function_in(namespace, task)
    taken = [name for name, value in values.items() if _is_taken(namespace, name, value)]
    if not values and not closed:
        return [f"'{label}' takes no inputs. Call it again with {call}()."]
    lines: list[str] = []
    if taken:
        name = _free_name(namespace, f"{_identifier(label)}_inputs")
        _give(namespace, name, dict(values))
        lines.append(
            f"The inputs of {label} are in the dict {name}, since {listed(taken)} "
            f"{'is' if len(taken) == 1 else 'are'} something else in this notebook: {', '.join(values)}."
        )
        given = f"**{name}"
    else:
        for name, value in values.items():
            _give(namespace, name, value)
        if values:
            names = ", ".join(values)
            lines.append(
                f"The {'input' if len(values) == 1 else 'inputs'} of {label} {_are(values)} in the notebook: {names}."
            )
        given = _call_arguments(task, values)
    if closed:
        lines.append(
            f"{listed(list(closed))} {'was' if len(closed) == 1 else 'were'} closed with the run: give one of your own."
        )
        given = ", ".join(filter(None, [given, *(f"{name}=…" for name in closed)]))
    awaiting = "await " if task.mode == "async" else ""
    lines.append(f"Call it again with {awaiting}{call}({given}); after an error, %debug steps into it.{function}")
    return lines


def _are(values: Mapping[str, Any]) -> str:
    return "is" if len(values) == 1 else "are"


def _call_arguments(task: Any, values: Mapping[str, Any]) -> str:
    told = []
    for name in values:
        kind = task.signature.parameters[name].kind
        stars = {kind.VAR_POSITIONAL: "*", kind.VAR_KEYWORD: "**"}.get(kind, "")
        told.append(f"{name}={name}" if kind is kind.KEYWORD_ONLY else f"{stars}{name}")
    return ", ".join(told)


def _function_in(namespace: dict[str, Any], task: Any) -> tuple[str, str]:
    """Return how the task's function is reached in the notebook, and what to say of a name made for it."""
    name = str(getattr(task.func, "__name__", ""))
    for known in (task.name, name):
        held = namespace.get(known)
        if known.isidentifier() and getattr(held, "key", None) == task.key:
            return f"{known}.func", ""
    found = next((known for known, value in namespace.items() if value is task and not known.startswith("_")), "")
    if found:
        return f"{found}.func", ""
    free = _free_name(namespace, f"{_identifier(name or task.name)}_function")
    _give(namespace, free, task.func)
    return free, f" ({free} is the function of the task.)"


def _is_taken(namespace: Mapping[str, Any], name: str, value: Any) -> bool:
    if name not in namespace or namespace[name] is value:
        return False
    return _given.get(name) != id(namespace[name])


def _free_name(namespace: Mapping[str, Any], wanted: str) -> str:
    name, count = wanted, 1
    while name in namespace and _given.get(name) != id(namespace[name]):
        count += 1
        name = f"{wanted}_{count}"
    return name


def _give(namespace: dict[str, Any], name: str, value: Any) -> None:
    namespace[name] = value
    _given[name] = id(value)


def _identifier(label: str) -> str:
    name = re.sub(r"\W+", "_", label).strip("_")
    return name if name.isidentifier() else f"node_{name}".rstrip("_")
