"""A workflow → a Typer app.

In: a `Setup`. Out: an app whose callback reads the options, conducts the run and says how it ended. Invariant: help
and messages are plain text: nothing in a name or a description is read as markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from inspect import Parameter, Signature, cleandoc
from typing import Annotated, Any, ClassVar, Final

import typer
from typer.core import TyperGroup

from cascade.cli.conduct import DONE, FAILED, INTERRUPTED, Ending, Setup, conduct, leaves
from cascade.cli.options import ParamOption, describe_environment, name_options, slug
from cascade.cli.output import encodable, keep_stdout_clean, say, settle_streams, show
from cascade.cli.reading import Orders, Typed, ask_for_secrets, read
from cascade.context import get_current_context
from cascade.interfaces.exceptions import CapacityError, CascadeError
from cascade.messaging.renderer import one_line

__all__ = ["make_command"]

_PREFIX: Final = "param_"  # begins the names of those of the callback's arguments that are Params
_MOST_LOOKED_AT: Final = 1_000  # nodes of a graph whose target is looked up for its docstring


def make_command(setup: Setup, name: str | None, about: str | None) -> typer.Typer:
    """Return the app; it is a group without commands, since only a group can stand alone and be mounted by name."""
    options = name_options(setup.graph)
    about = _describe(setup) if about is None else about
    app = typer.Typer(
        name=name or slug(setup.graph.name) or "run",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    kind = _command_class(setup, options)
    app.callback(cls=kind, invoke_without_command=True, subcommand_metavar="", help=about)(_callback(setup, options))
    return app


def _describe(setup: Setup) -> str:
    """Return the first paragraph of what the target's task says of itself, else name and size of the graph."""
    graph = setup.graph
    if len(graph) <= _MOST_LOOKED_AT and graph.name == graph.label(0):
        node = next(node for node in graph.nodes if node.id == graph.ids[0])
        found = get_current_context().tasks.get(node.task)
        paragraph = cleandoc(getattr(found, "__doc__", None) or "").split("\n\n")[0]
        if paragraph:
            return one_line(paragraph)
    nodes = "1 node" if len(graph) == 1 else f"{len(graph):,} nodes"
    return f"Run '{one_line(graph.name)}': {nodes}."


# -- the command line -------------------------------------------------------------------------------------------------


class _Command(TyperGroup):
    """A group that behaves as a command: no commands in it, options anywhere on the line, help as plain text.

    Attributes:
        environment: name and help of the variables that are read. has_secrets: whether a stray word may be one.
    """

    environment: ClassVar[Sequence[tuple[str, str]]] = ()
    has_secrets: ClassVar[bool] = False
    allow_interspersed_args = True

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Leave out the place of a command."""
        return [piece for piece in super().collect_usage_pieces(ctx) if piece]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[None, None, list[str]]:
        """Refuse words that belong to no option; in a group they would be commands."""
        shown = "" if self.has_secrets else f": {one_line(' '.join(args), 200)}"
        ctx.fail(f"Something here belongs to no option{shown}. A value follows its option, as in --n 3.")
        return None, None, args  # for type checkers: fail() raises

    def get_help(self, ctx: Any) -> str:
        """Return the help in signs that the terminal has."""
        return encodable(super().get_help(ctx), sys.stdout)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write plain text also where the app around this one draws boxes."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the Params, the options that every run has, and what comes from the environment."""
        params: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None:
                (params if (each.name or "").startswith(_PREFIX) else others).append(record)
        for title, rows in (("Params", params), ("Options", others), ("From the environment", self.environment)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(list(rows))


def _command_class(setup: Setup, options: Sequence[ParamOption]) -> type[TyperGroup]:
    content = {
        "environment": describe_environment(options, setup.graph.envs),
        "has_secrets": any(option.param.secret for option in options),
    }
    return type("WorkflowCommand", (_Command,), content)


def _callback(setup: Setup, options: Sequence[ParamOption]) -> Callable[..., None]:
    """Return the function that Typer calls, with the options in its signature, where Typer looks for them."""
    names = {f"{_PREFIX}{number}": option.param.name for number, option in enumerate(options)}

    def command(context: typer.Context, **given: Any) -> None:
        params = {names[key]: value for key, value in given.items() if key in names and value is not None}
        others = {key: value for key, value in given.items() if key not in names}
        code = _obey(context, setup, options, Typed(params, **others))
        if code != DONE:
            raise typer.Exit(code)

    arguments = [Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    arguments += [_param_argument(key, option) for key, option in zip(names, options, strict=True)]
    arguments += _other_arguments(setup)
    command.__signature__ = Signature(arguments)  # type: ignore[attr-defined]
    return command


def _argument(key: str, kind: Any, mark: Any, *, default: object = None) -> Parameter:
    return Parameter(key, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, mark])


def _param_argument(key: str, option: ParamOption) -> Parameter:
    """Return an argument that takes any text: the Param reads it, so that all that is wrong can be told together."""
    if option.negative:
        spelling = f"{option.spelling}/{option.negative}"
        return _argument(key, bool | None, typer.Option(spelling, help=option.help, show_default=False))
    mark = typer.Option(
        option.spelling, metavar=option.word, help=option.help, show_default=False, hidden=option.param.secret
    )
    return _argument(key, str | None, mark)


def _other_arguments(setup: Setup) -> list[Parameter]:
    """Return the options that every command has; their names are the fields of `Typed`."""
    amounts = ", ".join(f"{one_line(name)}={amount:g}" for name, amount in setup.capacities.items())
    shares = f"How much there is of what tasks share; repeatable.{f'  [default: {amounts}]' if amounts else ''}"
    picture = "Write the picture of the graph to FILE (.svg, .dot or .mmd), and run nothing."
    levels = "DEBUG, INFO, WARNING, ERROR or CRITICAL; the log goes to stderr.  [default: INFO]"
    many = list[str] | None
    rows: list[tuple[str, Any, object, str, str | None, str]] = [
        ("plan", bool, False, "--plan", None, "Show what would run, and run nothing."),
        ("graph", str | None, None, "--graph", "FILE", picture),
        ("as_json", bool, False, "--json", None, "Print the result as JSON, and nothing else on stdout."),
        ("log_level", str, "INFO", "--log-level", "LEVEL", levels),
        ("log_format", str, "human", "--log-format", "[human|json]", "Who reads the log.  [default: human]"),
        ("capacity", many, None, "--capacity", "NAME=AMOUNT", shares),
        ("timeout", str | None, None, "--timeout", "SECONDS", "Cancel the run after this time."),
    ]
    return [
        _argument(key, kind, typer.Option(spelling, metavar=word, help=text, show_default=False), default=default)
        for key, kind, default, spelling, word, text in rows
    ]


# -- obeying --------------------------------------------------------------------------------------------------------


def _obey(context: typer.Context, setup: Setup, options: Sequence[ParamOption], typed: Typed) -> int:
    """Do what was typed and return the exit code; wrong usage ends here, as Typer shows it."""
    try:
        orders = read(typed, options, setup.graph.envs, setup.capacities, os.environ)
        if typed.only_shows:
            return _show_only(setup, options, typed, orders)
        answers = ask_for_secrets(orders.unasked)
        orders = replace(orders, params={**orders.params, **answers}, unasked=())
        if typed.as_json:
            with keep_stdout_clean():
                ending = conduct(setup, orders)
        else:
            ending = conduct(setup, orders)
        return _report(ending, typed)
    except CapacityError as error:
        context.fail(f"{error} On the command line, --capacity NAME=AMOUNT says how much there is.")
    except CascadeError as error:
        context.fail(str(error))
    except KeyboardInterrupt:
        say("Interrupted.", as_json=typed.log_format == "json")
        return INTERRUPTED
    finally:
        settle_streams()


def _report(ending: Ending, typed: Typed) -> int:
    """Show the result, or say what happened instead, and return the exit code."""
    as_json = typed.log_format == "json"
    if ending.code == DONE:
        return _show(ending.value, as_json=typed.as_json, log_as_json=as_json)
    if not (_is_broken_pipe(ending) and not settle_streams()):
        say(ending.said, as_json=as_json)
    return ending.code


def _is_broken_pipe(ending: Ending) -> bool:
    """Whether the run failed only since a task printed to a reader that has gone, as ``| head`` has."""
    return ending.error is not None and all(isinstance(each, BrokenPipeError) for each in leaves(ending.error))


def _show(value: Any, *, as_json: bool, log_as_json: bool = False) -> int:
    try:
        show(value, as_json=as_json)
    except OSError as error:
        say(f"The result could not be written to stdout: {error.strerror or error}.", as_json=log_as_json)
        return FAILED
    return DONE


def _show_only(setup: Setup, options: Sequence[ParamOption], typed: Typed, orders: Orders) -> int:
    """Show the plan, write the picture, or both, and return the exit code."""
    if typed.graph is not None:
        from cascade.tools.visualize import visualize

        try:
            path = visualize(setup.graph).save(typed.graph)
        except OSError as error:
            raise CascadeError(f"--graph: {typed.graph!r} could not be written: {error.strerror or error}.") from None
        say(f"The graph is in {one_line(path)}.", as_json=orders.log_format == "json")
    if typed.plan:
        from cascade.tools.preview import preview

        plan = preview(setup.graph, None, orders.capacities or None)
        plan = replace(plan, params={**plan.params, **_known_inputs(setup, options, orders)})
        return _show(plan if typed.as_json else str(plan), as_json=typed.as_json)
    return DONE


def _known_inputs(setup: Setup, options: Sequence[ParamOption], orders: Orders) -> dict[str, str]:
    """Return a preview of each value that was given, by name; a secret's tells nothing."""
    given = [(o.param, orders.params[o.param.name]) for o in options if o.param.name in orders.params]
    given += [(env, os.environ[env.name]) for env in setup.graph.envs if env.name in os.environ]
    known: dict[str, str] = {}
    for item, text in given:
        with suppress(ValueError):  # of an Env; those of Params have been told
            known[item.name] = item.preview(item.read(text))
    return known
