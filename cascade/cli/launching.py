"""`cascade run`: a target of a file → a run, with its result on stdout.

In: the words of the command line. Out: an exit code. Invariant: everything that is wrong with the words, the file, the
Params and the capacities is told before anything runs; the value of a secret is in no text.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cascade.cli.codes import DONE, FAILED, INTERRUPTED, TERMINATED, CommandError
from cascade.cli.conduct import Ending, Setup, conduct, leaves
from cascade.cli.options import ParamOption, name_options
from cascade.cli.output import keep_stdout_clean, say, settle_streams, show
from cascade.cli.reading import Orders, Typed, ask_for_secrets, read
from cascade.cli.targets import find_target
from cascade.graph.build import build
from cascade.interfaces.exceptions import CapacityError, ParamError, nearest
from cascade.interfaces.naming import clip
from cascade.messaging.renderer import one_line

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.runtime.handle import Run

__all__ = ["Wish", "launch", "read_params"]

PLACE: Final = ".cascade"  # the store of who names none
_PAGES: Final = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class Wish:
    """What stands on the line of `cascade run`.

    Args:
        word: ``FILE:TARGET``. params, capacities: ``NAME=VALUE`` texts. cache: a place; empty: nothing is remembered.
        fresh: compute everything anew. report, journal: files to write, empty for none. The others: as for `cs.run`.
    """

    word: str
    params: Sequence[str] = ()
    capacities: Sequence[str] = ()
    executor: str | None = None
    connector: str | None = None
    cache: str = PLACE
    fresh: bool = False
    timeout: str | None = None
    keep_going: bool = False
    as_json: bool = False
    report: str = ""
    journal: str = ""
    log_level: str = "INFO"
    log_format: str = "human"


def launch(wish: Wish) -> int:
    """Run what is wished for and return the exit code.

    Raises:
        CascadeError: what is wrong, before anything runs.
    """
    _check_files(wish)
    with _terminable() as told:
        try:
            if wish.as_json:
                with keep_stdout_clean():
                    ending = _run(wish)
            else:
                ending = _run(wish)
            code = _tell(wish, ending)
        except KeyboardInterrupt:
            say("Interrupted.", as_json=wish.log_format == "json")
            code = INTERRUPTED
        finally:
            settle_streams()
        return TERMINATED if told and code == INTERRUPTED else code


def _connector_of(wish: Wish) -> str | None:
    """Return the address to be reached at; one that the environment names and that is none is said, and left out."""
    if not wish.connector or os.environ.get("CASCADE_CONNECTOR") != wish.connector:
        return wish.connector
    from cascade.adapters.connectors.addresses import open_connector
    from cascade.interfaces.remote_errors import ConnectorError

    try:
        open_connector(wish.connector)
    except ConnectorError as error:
        say(
            f"Warning: nobody can watch this run. CASCADE_CONNECTOR: {one_line(str(error), 300)} The run goes on.",
            as_json=wish.log_format == "json",
        )
        return None
    return wish.connector


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Let SIGTERM end the run as Ctrl-C does, with its resources closed; the list is not empty once it has come."""
    told: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        told.append(number)
        signal.raise_signal(signal.SIGINT)

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield told
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(wish: Wish) -> Ending:
    found = find_target(wish.word)
    graph = build(found.target)
    typed = Typed({}, wish.capacities, wish.timeout, wish.log_level, wish.log_format, as_json=wish.as_json)
    orders = read_params(graph, wish.params, typed)
    answers = ask_for_secrets(orders.unasked)
    orders = replace(orders, params={**orders.params, **answers}, unasked=())
    subscribers: list[Any] = []
    if wish.journal:
        from cascade.adapters.sinks.journal import JournalSink

        subscribers.append(JournalSink(wish.journal))
    connector = _connector_of(wish)
    if connector:
        from cascade.cli.desk import warn_of_password

        warn_of_password(connector)
        subscribers += [_hint(connector)] if _talks(wish) else []
    settings = {
        "connector": connector,
        "cache": wish.cache or None,
        "on_failure": "continue" if wish.keep_going else "cancel",
        "name": found.name if isinstance(found.target, (list, tuple, dict)) else None,
        "_fresh": wish.fresh,
    }
    setup = Setup(found.target, graph, {}, (), wish.executor, None, settings, tuple(subscribers))
    try:
        return conduct(setup, orders)
    except CapacityError as error:
        raise CommandError(f"{error} On the command line, -r NAME=AMOUNT says how much there is.") from None


def _talks(wish: Wish) -> bool:
    return wish.log_format == "human" and wish.log_level.upper() in {"DEBUG", "INFO"}


def _hint(address: str) -> Any:
    """Return a subscriber that says how to look at the run from elsewhere."""
    from cascade.cli.desk import without_password
    from cascade.interfaces.events import RunStarted

    def tell(event: RunStarted) -> None:
        place = without_password(address)
        at = "" if place == "local" else f" --at {place}"
        say(f"Watch it with: cascade watch {event.run_id}{at}")

    return (RunStarted, tell)


def _check_files(wish: Wish) -> None:
    """Find out before the run what could not be written after it."""
    if wish.report and Path(wish.report).suffix.lower() not in _PAGES:
        raise CommandError(f"--report writes an HTML page: its name ends in .html, not as '{clip(wish.report)}' does.")
    for option, file in (("--report", wish.report), ("--journal", wish.journal)):
        folder = Path(file).expanduser().parent if file else None
        if folder is not None and not folder.is_dir():
            raise CommandError(f"{option}: there is no folder '{clip(folder)}'. Make it first.")


# -- Params ---------------------------------------------------------------------------------------------------------


def read_params(graph: Graph, texts: Iterable[str], typed: Typed) -> Orders:
    """Return orders with the Params that ``-p NAME=VALUE`` texts give, checked together with all other words.

    Raises:
        ParamError: with everything that is wrong.
    """
    options = [_as_pair(option) for option in name_options(graph)]
    known = {option.param.name: option for option in options}
    problems: list[str] = []
    given: dict[str, str | bool] = {}
    environment: dict[str, str] = dict(os.environ)
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            problems.append(f"-p takes NAME=VALUE, as in -p n=3, not '{clip(name)}'.")
        elif name not in known:
            problems.append(f"No Param is named '{clip(name)}'.{nearest(name, known) or ' The target uses none.'}")
        elif known[name].param.secret:
            say(
                f"Warning: {clip(name)} is a secret, and other programs can read a command line. "
                f"Set the environment variable {clip(name)} instead, or leave it out to be asked for it."
            )
            environment[name] = value
        else:
            given[name] = value
    try:
        orders = read(replace(typed, params=given), options, graph.envs, {}, environment)
    except ParamError as error:
        problems += error.problems
    if problems:
        raise ParamError([one_line(problem) for problem in problems])
    return orders


def _as_pair(option: ParamOption) -> ParamOption:
    """Return an option as ``-p`` spells it."""
    word = option.word or "true|false"
    return replace(option, spelling=f"-p {clip(option.param.name)}", negative="", joint="=", word=word)


# -- the end --------------------------------------------------------------------------------------------------------


def _tell(wish: Wish, ending: Ending) -> int:
    as_json = wish.log_format == "json"
    code = ending.code
    if ending.run is not None and wish.report:
        code = _write_report(wish, ending.run) or code
    if ending.code == DONE:
        try:
            show(ending.value, as_json=wish.as_json)
        except OSError as error:
            say(f"The result could not be written to stdout: {error.strerror or error}.", as_json=as_json)
            return FAILED
        return code
    broken = ending.error is not None and all(isinstance(each, BrokenPipeError) for each in leaves(ending.error))
    if not (broken and not settle_streams()):
        say(ending.said, as_json=as_json)
    return code


def _write_report(wish: Wish, run: Run) -> int:
    """Write the page of a run that has ended; return an exit code, 0 if it is there."""
    as_json = wish.log_format == "json"
    if not run.done():
        say("The run has not ended yet, so there is no report.", as_json=as_json)
        return FAILED
    try:
        path = run.report(wish.report)
    except OSError as error:
        say(f"The report could not be written: {error.strerror or error}.", as_json=as_json)
        return FAILED
    if _talks(wish):
        say(f"The report is in {one_line(str(path))}.")
    return DONE


def params_and_capacities(graph: Graph, params: Sequence[str], capacities: Sequence[str]) -> Mapping[str, Any]:
    """Return ``params`` and ``system_resources`` for a plan: what was left out is not asked for."""
    orders = read_params(graph, params, Typed({}, capacities))
    return {"params": dict(orders.params), "system_resources": dict(orders.capacities) or None}
