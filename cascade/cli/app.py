"""The `cascade` command: what the notebook's magics do, from a terminal.

In: the words of a command line. Out: text on stdout, errors on stderr, an exit code of `codes`. Invariant: each command
imports what it needs when it is called, so that help and completion are quick; no error of ours is a traceback.
"""

# ruff: noqa: FBT002 - the parameters of a command are its options, and Typer reads truth values as switches

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cascade.cli.codes import DONE, FAILED, INTERRUPTED, USAGE, CommandError
from cascade.interfaces.exceptions import CascadeError

__all__ = ["app", "main"]

ABOUT = """Run, watch and steer workflows.

FILE:TARGET is a Python file, a notebook or a module, and the name of a lazy result in it; without :TARGET it is the
last one. RUN is the number, the id or the beginning of the id of a run.

Exit codes: 0 done; 1 failed or cancelled; 2 wrong options, nothing ran; 3 the target was skipped; 4 nobody was reached,
or no such run; 130 interrupted.
"""


class CommandGroup(TyperGroup):
    """The group of all commands: an error of cascade is a sentence on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Call a command; turn what it raises into its end."""
        try:
            return super().invoke(ctx)
        except CascadeError as error:
            from cascade.cli.output import say

            say(str(error), as_json=False)
            ctx.exit(error.code if isinstance(error, CommandError) else USAGE)
        except KeyboardInterrupt:
            from cascade.cli.output import say

            say("Interrupted.")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # the reader has gone, as `| head` does
            from cascade.cli.output import settle_streams

            settle_streams()
            ctx.exit(DONE)
        except OSError as error:
            from cascade.cli.output import say

            place = f"{error.filename}: " if error.filename else ""
            say(f"{place}{error.strerror or error}.")
            ctx.exit(FAILED)


app = typer.Typer(
    name="cascade",
    cls=CommandGroup,
    help=ABOUT,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Word = Annotated[str, typer.Argument(metavar="FILE:TARGET", show_default=False, help="What to run.")]
Params = Annotated[list[str] | None, typer.Option("-p", "--param", metavar="NAME=VALUE", help="The value of a Param.")]
Capacities = Annotated[
    list[str] | None,
    typer.Option("-r", "--resource", "--capacity", metavar="NAME=AMOUNT", help="A capacity, such as gpu=1."),
]
Cache = Annotated[str, typer.Option(metavar="PLACE", help="Where results are remembered: a folder, redis://host/0.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on stdout.")]
At = Annotated[
    str,
    typer.Option(
        "--at", metavar="ADDRESS", envvar="CASCADE_CONNECTOR", show_default=True,
        help="Where runs are reached: local, or mqtt://host:1883.",
    ),
]  # fmt: skip
RunWord = Annotated[str | None, typer.Argument(metavar="[RUN]", show_default=False, help="Which run.")]


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _version(wanted: bool) -> None:  # noqa: FBT001 - as Typer calls it
    if wanted:
        from cascade import __version__

        typer.echo(f"cascade-notebook {__version__}")
        raise typer.Exit


@app.callback()
def _everything(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


# -- runs -----------------------------------------------------------------------------------------------------------


@app.command()
def run(
    target: Word,
    param: Params = None,
    resource: Capacities = None,
    executor: Annotated[
        str | None, typer.Option(metavar="X", help="threads, process, dask or dask://host:port.")
    ] = None,
    connector: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", envvar="CASCADE_CONNECTOR", help="Let others watch and steer: local, mqtt://…"),
    ] = None,
    cache: Cache = ".cascade",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Look no result up and remember none.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute everything anew, and remember it.")] = False,
    timeout: Annotated[str | None, typer.Option(metavar="SECONDS", help="Cancel the run after this time.")] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="After a failure, finish what does not depend on it.")
    ] = False,
    as_json: AsJson = False,
    report: Annotated[
        str, typer.Option(metavar="FILE", show_default=False, help="Write the run as an HTML page.")
    ] = "",
    journal: Annotated[
        str, typer.Option(metavar="FILE", show_default=False, help="Add its events to FILE, for cascade replay.")
    ] = "",
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help="DEBUG to CRITICAL; the log goes to stderr.")
    ] = "INFO",
    log_format: Annotated[str, typer.Option(metavar="FORM", help="human or json.")] = "human",
) -> None:
    """Run a target and print its value.

    Secret Params come from the environment variable that is called as they are, or are asked for.
    """
    from cascade.cli.launching import Wish, launch

    place = "" if no_cache else cache
    _end(
        launch(
            Wish(
                target, param or (), resource or (), executor, connector, place, fresh, timeout, keep_going, as_json,
                report, journal, log_level, log_format,
            )
        )
    )  # fmt: skip


@app.command()
def graph(
    target: Word,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", show_default=False, help="A .svg, .dot, .mmd or .json file."),
    ] = "",
    form: Annotated[str, typer.Option("--as", metavar="FORM", help="text, svg, dot, mmd or json, on stdout.")] = "text",
) -> None:
    """Show the graph of a target, or write its picture to a file."""
    from cascade.cli.looking import show_graph

    show_graph(target, form, output)


@app.command()
def plan(
    target: Word,
    param: Params = None,
    resource: Capacities = None,
    cache: Cache = ".cascade",
    as_json: AsJson = False,
) -> None:
    """Tell what a run would compute, what is stored, and what it would take."""
    from cascade.cli.looking import show_plan

    show_plan(target, param or (), resource or (), cache, as_json=as_json)


@app.command()
def why(
    node: Annotated[str, typer.Argument(metavar="NODE", show_default=False, help="The name of a node.")],
    run: RunWord = None,
    cache: Cache = ".cascade",
    as_json: AsJson = False,
) -> None:
    """Tell why a node ran, or why it did not."""
    from cascade.cli.looking import show_why

    show_why(node, run, cache, as_json=as_json)


@app.command()
def runs(
    count: Annotated[int, typer.Argument(metavar="[COUNT]", help="How many.", min=1, max=10_000)] = 20,
    cache: Cache = ".cascade",
    as_json: AsJson = False,
) -> None:
    """List the runs in the store."""
    from cascade.cli.looking import show_runs

    show_runs(count, cache, as_json=as_json)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="RUN", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="RUN", show_default=False)],
    cache: Cache = ".cascade",
    as_json: AsJson = False,
) -> None:
    """Tell what was different between two runs."""
    from cascade.cli.looking import show_diff

    show_diff(before, after, cache, as_json=as_json)


@app.command()
def store(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="ls [TASK], size, check, gc [SIZE] [AGE], clear.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[WORD]…", show_default=False)] = None,
    cache: Cache = ".cascade",
) -> None:
    """Look at the store, or tidy it up: ls [TASK], size, check, gc [SIZE] [AGE], clear [TASK]."""
    from cascade.cli.looking import show_store

    _end(show_store(action, words or (), cache))


# -- files ----------------------------------------------------------------------------------------------------------


@app.command()
def replay(
    file: Annotated[str, typer.Argument(metavar="JOURNAL", show_default=False, help="What --journal wrote.")],
    run: RunWord = None,
    html: Annotated[str, typer.Option(metavar="FILE", show_default=False, help="Write it as an HTML page.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell a run of a journal from its beginning again."""
    from cascade.cli.journals import replay_journal

    replay_journal(file, run, html, as_json=as_json)


@app.command()
def report(
    file: Annotated[str, typer.Argument(metavar="JOURNAL", show_default=False, help="What --journal wrote.")],
    output: Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="An .html file.")],
    run: RunWord = None,
) -> None:
    """Write a run of a journal as one HTML page that needs no network."""
    from cascade.cli.journals import replay_journal

    replay_journal(file, run, output, as_json=False)


@app.command()
def doctor(at: At = "local", as_json: AsJson = False) -> None:
    """Tell what is installed, what does not work here, and what to do about it."""
    from cascade.cli.equipment import examine

    _end(examine(at, as_json=as_json))


# -- runs elsewhere -------------------------------------------------------------------------------------------------


@app.command()
def watch(
    words: Annotated[list[str] | None, typer.Argument(metavar="[RUN] [ADDRESS]", show_default=False)] = None,
    at: At = "local",
    wait: Annotated[bool, typer.Option("--wait", help="Where no run goes on, wait for the next one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a run elsewhere while it goes on; q leaves, and the run goes on.

    The exit code is that of the run: 0 completed, 1 failed, cancelled or lost.
    """
    from cascade.cli.watching import watch_run

    _end(watch_run(list(words or ()), at, waits=wait, as_json=as_json))


@app.command()
def status(
    run: RunWord = None,
    at: At = "local",
    everything: Annotated[bool, typer.Option("--all", help="Also runs that have ended (local only).")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs that go on, and the limits in force."""
    from cascade.cli.steering import show_status

    _end(show_status(run, at, also_ended=everything, as_json=as_json))


Ttl = Annotated[str, typer.Option(metavar="TIME", show_default=False, help="How long, such as 90s, 30m or 2h.")]
Scope = Annotated[str, typer.Option(metavar="SCOPE", help="global, or task:PATTERN as in task:fit*.")]


@app.command()
def pause(
    run: RunWord = None, at: At = "local", ttl: Ttl = "", scope: Scope = "global", as_json: AsJson = False
) -> None:
    """Start nothing more for now, in RUN or in every run; what runs goes on."""
    from cascade.cli.steering import pause as obey

    _end(obey(run, at, ttl, scope, as_json=as_json))


@app.command()
def resume(run: RunWord = None, at: At = "local", scope: Scope = "global", as_json: AsJson = False) -> None:
    """Lift a pause: that of RUN, or that of every run; other limits stay."""
    from cascade.cli.steering import resume as obey

    _end(obey(run, at, scope, as_json=as_json))


@app.command()
def limit(
    run: RunWord = None,
    at: At = "local",
    concurrency: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most N at once.")] = None,
    rate: Annotated[
        str, typer.Option(metavar="RATE", show_default=False, help="Starts per time, as 10/m or 5/s.")
    ] = "",
    ttl: Ttl = "",
    scope: Scope = "global",
    clear: Annotated[bool, typer.Option("--clear", help="Take the limits of this scope away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Limit what may run at once or start per time, in RUN or in every run."""
    from cascade.cli.steering import limit as obey

    _end(obey(run, at, concurrency, rate, ttl, scope, clear=clear, as_json=as_json))


@app.command()
def limits(at: At = "local", as_json: AsJson = False) -> None:
    """List the limits that every run obeys."""
    from cascade.cli.steering import show_limits

    _end(show_limits(at, as_json=as_json))


@app.command()
def unlimit(run: RunWord = None, at: At = "local", scope: Scope = "global", as_json: AsJson = False) -> None:
    """Take the limits of a scope away, as limit --clear does; pauses stay."""
    from cascade.cli.steering import unlimit as obey

    _end(obey(run, at, scope, as_json=as_json))


@app.command()
def cancel(
    run: RunWord = None,
    at: At = "local",
    reason: Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="Why, for its log.")] = "",
    as_json: AsJson = False,
) -> None:
    """Stop a run."""
    from cascade.cli.steering import cancel as obey

    _end(obey(run, at, reason, as_json=as_json))


def main() -> None:
    """Obey a command line; the entry point of the installed program."""
    try:
        app(prog_name="cascade")
    except KeyboardInterrupt:  # before a command has begun
        sys.stderr.write("Interrupted.\n")
        os._exit(INTERRUPTED)
