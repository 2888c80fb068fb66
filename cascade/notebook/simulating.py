"""`%cascade simulate`, and what a notebook shows of a simulation: the card of a run that has not taken place.

In: a `Simulation`, or a session and the words of the line. Out: MIME bundles. Invariant: nothing runs; the card is made
of the events that such a run would tell, says that it is simulated, and is no larger for a million nodes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.markup import element
from cascade.notebook.bundle import static_bundle
from cascade.notebook.cell import evaluate
from cascade.notebook.document import MIME
from cascade.notebook.options import refuse_options, take_settings, usage_error
from cascade.notebook.plain import plain
from cascade.notebook.record import RunRecord

if TYPE_CHECKING:
    from cascade.notebook.session import Session
    from cascade.tools.simulate import Simulation

__all__ = ["simulate", "simulation_bundle", "take_workers"]

MOST_DRAWN: Final = 20_000  # attempts; of longer runs there is the chart
MOST_WORKERS: Final = 4096
SETTINGS: Final = ("--param", "--resource", "--workers")  # that simulate and plan take
_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?\Z", re.ASCII)

Bundle = tuple[dict[str, Any], dict[str, Any]]


def simulation_bundle(made: Simulation) -> Bundle:
    """Return the card of a run that goes as simulated, with the chart as text."""
    text = str(made)
    plain = {"text/plain": text, "text/html": str(element("pre", {"style": "line-height:1.2"}, text))}
    if len(made.trace.node) > MOST_DRAWN or len(made.graph) > MOST_DRAWN:
        return plain, {}
    try:
        return {**_card(made), "text/plain": text}, {}
    except Exception:  # noqa: BLE001 - showing something never fails
        return plain, {}


def _card(made: Simulation) -> dict[str, Any]:
    record = RunRecord(made.graph)
    record.apply(made.events())
    record.message = "; ".join(made.remarks)  # in the head of the view; under the picture they stand in full
    document = record.document()
    document["run"].update(name=plain(made.graph.name, 80), simulated=True)
    return {MIME: document, **static_bundle(document, record.drawing.shape, record.message)}


def simulate(session: Session, words: Sequence[str]) -> None:
    """Show how a run of a target would go; with a range of workers, how long it takes with so many."""
    from IPython.display import display

    from cascade.notebook.cell_task import store_of
    from cascade.tools.simulate import simulate

    rest, params, capacities = take_settings(words)
    rest, counts = take_workers(rest)
    refuse_options(rest, SETTINGS, "simulate")
    if not rest:
        usage_error("%cascade simulate takes a target: %cascade simulate report(clean(load())) --workers 1-16.")
    target = evaluate(session.shell, " ".join(rest))
    made = simulate(
        target,
        system_resources=capacities or None,
        params=params or None,
        workers=counts[0] if len(counts) == 1 else None,
        cache=store_of(session) or False,
    )
    display(made.curve(counts) if len(counts) > 1 else made)


def take_workers(words: Sequence[str]) -> tuple[list[str], range]:
    """Take ``--workers 4`` or ``--workers 1-16`` out of the words; the range is empty if there is none."""
    rest, counts, given = [], range(0), iter(words)
    for word in given:
        name, _, value = word.partition("=")
        if name != "--workers":
            rest.append(word)
            continue
        text = value or next(given, "")
        found = _RANGE.match(text)
        first = int(found[1]) if found else 0
        last = int(found[2] or found[1]) if found else 0
        if not 1 <= first <= last <= MOST_WORKERS:
            usage_error(f"--workers takes a number, or a range such as 1-16, not '{text}'.")
        counts = range(first, last + 1)
    return rest, counts
