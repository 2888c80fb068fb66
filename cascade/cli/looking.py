"""`cascade graph`, `plan`, `why`, `runs`, `diff` and `store`: what would run and what is remembered.

In: words. Out: text or JSON on stdout. Invariant: only `store gc` and `store clear` change anything; a store that
is not there is not made by looking for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cascade.cli.codes import DONE, FAILED, CommandError
from cascade.cli.output import say, show
from cascade.cli.tables import lay_out
from cascade.interfaces.exceptions import SettingError
from cascade.interfaces.naming import clip
from cascade.messaging.renderer import one_line

if TYPE_CHECKING:
    from cascade.graph.model import Graph

__all__ = ["show_diff", "show_graph", "show_plan", "show_runs", "show_store", "show_why"]

Asked = TypeVar("Asked")
FORMS: Final = ("text", "svg", "dot", "mmd", "json")
ACTIONS: Final = ("ls", "size", "check", "gc", "clear")
UNHURT: Final = "Everything in the store is as it was written."


def show_graph(word: str, form: str, output: str) -> None:
    """Print the graph of a target, or write its picture."""
    from cascade.cli.targets import find_target
    from cascade.graph.build import build
    from cascade.tools.visualize import visualize

    if form not in FORMS:
        raise SettingError.for_choice("--as", form, FORMS)
    found = find_target(word)
    graph = build(found.target)
    if output.endswith(".json"):
        Path(output).write_text(_as_json(graph), encoding="utf-8")
        say(f"The graph is in {one_line(output)}.")
    elif output:
        say(f"The graph is in {one_line(visualize(graph).save(output))}.")
    elif form == "text":
        show(_as_text(graph), as_json=False)
    elif form == "json":
        show(_as_json(graph), as_json=False)
    else:
        drawn: Any = visualize(graph)
        text = drawn.svg() if form == "svg" else drawn.mermaid() if form == "mmd" else str(drawn)
        show(text.rstrip("\n"), as_json=False)


def _as_json(graph: Graph) -> str:
    from cascade.graph.serialize import to_json

    return to_json(graph)


def _as_text(graph: Graph) -> str:
    """Return a line for each node: its name, what it is, and what it needs."""
    needs: dict[str, list[str]] = {}
    for edge in graph.edges:
        how = f" ({edge.label or edge.kind})" if edge.kind != "data" else ""
        needs.setdefault(edge.target, []).append(f"{one_line(edge.source, 60)}{how}")
    rows = [("node", "kind", "needs")]
    for node in graph.nodes:
        kind = " ".join(part for part in (node.kind, node.mode) if part)
        told = ", ".join(dict.fromkeys(needs.get(node.id, ())))
        rows.append((one_line(node.id, 60), kind, f"← {told}" if told else one_line(node.note, 60)))
    count = len(graph.nodes)
    return f"{one_line(graph.name, 80)}: {count:,} node{'' if count == 1 else 's'}\n{lay_out(rows)}"


# -- before and after runs --------------------------------------------------------------------------------------------


def show_plan(word: str, params: Sequence[str], capacities: Sequence[str], cache: str, *, as_json: bool) -> None:
    """Print what a run would do."""
    from cascade.cli.launching import params_and_capacities
    from cascade.cli.targets import find_target
    from cascade.graph.build import build
    from cascade.tools.plan import plan

    found = find_target(word)
    given = params_and_capacities(build(found.target), params, capacities)
    if _is_there(cache):
        outlook = plan(found.target, **given, cache=cache)
    else:
        with tempfile.TemporaryDirectory() as nowhere:  # nothing is remembered, and looking must not begin to
            outlook = plan(found.target, **given, cache=nowhere)
    told: Any = str(outlook)
    if as_json:
        told = {
            "name": outlook.graph.name, "steps": outlook.steps, "seconds": outlook.makespan,
            "critical_path": outlook.critical_path, "utilisation": outlook.utilisation, "bytes": outlook.peak,
        }  # fmt: skip
    show(told, as_json=as_json)


def show_why(node: str, run: str | None, cache: str, *, as_json: bool) -> None:
    """Print why a node ran."""
    from cascade.tools.why import why

    found = _ask(cache, lambda: why(node, run=run, cache=cache))
    show(found if as_json else str(found), as_json=as_json)


def show_runs(count: int, cache: str, *, as_json: bool) -> None:
    """Print the runs that the store knows, the latest first."""
    from cascade.tools.history import history

    found = _ask(cache, lambda: history(cache, limit=count))
    show(list(found) if as_json else str(found), as_json=as_json)


def show_diff(before: str, after: str, cache: str, *, as_json: bool) -> None:
    """Print what was different between two runs."""
    from cascade.tools.diff import diff

    found = _ask(cache, lambda: diff(before, after, cache=cache))
    show(found if as_json else str(found), as_json=as_json)


def show_store(action: str, words: Sequence[str], cache: str) -> int:
    """Print what the store says, and return an exit code: a store with faults is none to rely on."""
    from cascade.tools.storage import storage

    if action not in ACTIONS:
        raise SettingError.for_choice("The action on a store", action, ACTIONS)
    if not _is_there(cache):
        raise _no_store(cache)
    told = storage(action, *words, cache=cache)
    show(told, as_json=False)
    return FAILED if action == "check" and told != UNHURT else DONE


def _ask(cache: str, question: Callable[[], Asked]) -> Asked:
    """Ask the store; what it does not know is a sentence and an exit code of its own."""
    if not _is_there(cache):
        raise _no_store(cache)
    try:
        return question()
    except SettingError:
        raise
    except ValueError as error:
        said = str(error).replace("cs.history()", "cascade runs")
        raise CommandError.unreached(said) from None


def _is_there(cache: str) -> bool:
    from cascade.adapters.addresses import is_address

    return is_address(cache) or Path(cache).is_dir()


def _no_store(cache: str) -> CommandError:
    return CommandError.unreached(
        f"There is no store '{clip(cache)}' here. cascade run makes one; --cache says where it is."
    )
