"""The command line of a workflow.

In: a target. Out: a Typer app with an option for each Param that the target really uses. Invariant: the command
converts, checks and runs as `cs.run` does; importing this module loads no library of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer

__all__ = ["cli"]


def cli(
    target: Any,
    *,
    name: str | None = None,
    help: str | None = None,  # noqa: A002 - Typer's word for it
    resources: Iterable[Any] = (),
    system_resources: Mapping[str, float] | None = None,
    executor: Any = None,
    solver: Any = None,
) -> typer.Typer:
    r"""Return a command of `target`: call it in a script, or mount it with ``app.add_typer(cs.cli(target))``.

    Each Param that the target uses is an option, ``--learning-rate`` for ``learning_rate``; a ``bool`` is
    ``--fast/--no-fast``. Values go through the Param's own conversion and checks, and all that is missing or wrong is
    reported together. A Param whose spelling is taken by another option is ``--param-NAME``, as in ``--param-json``.
    Secrets come from the environment variable that is called as the Param, or are asked for without echo.

    Further options: ``--plan`` and ``--graph FILE`` run nothing; ``--json``, ``--log-level``, ``--log-format``,
    ``--capacity NAME=AMOUNT``, ``--timeout SECONDS``. The result goes to stdout, the log and all errors to stderr.
    Exit codes: 0 done; 1 a task failed, or the run took too long; 2 wrong options, Params or definitions, nothing
    ran; 3 the target was skipped; 130 interrupted. A reader that closes the pipe early is no failure.

    Args:
        target: a lazy result, a Router, or lists, tuples and dicts of them.
        name: of the command where it is mounted; by default the graph's name.
        help: what ``--help`` says first; by default the docstring of the target's task.
        resources: instead of those in the workflow context. executor, solver: as for `run`.
        system_resources: capacities by name; ``--capacity`` adds to them and changes them.

    Raises:
        NotLazyError, GraphError, CapacityError: what `run` would raise about the target and the capacities.

    Example:
        >>> import cascade as cs
        >>> from typer.testing import CliRunner
        >>> @cs.task
        ... def add(x, y): return x + y
        >>> app = cs.cli(add(1, cs.Param("y", type=int)))
        >>> CliRunner().invoke(app, ["--y", "41", "--log-level", "error"]).stdout
        '42\n'
    """
    from cascade.cli.command import make_command
    from cascade.cli.conduct import Setup
    from cascade.graph.build import build
    from cascade.graph.check import check_capacities
    from cascade.graph.model import Graph

    graph = target if isinstance(target, Graph) else build(target)
    given = tuple(resources) if isinstance(resources, Iterator) else resources  # the command may be called again
    setup = Setup(target, graph, check_capacities(system_resources), given, executor, solver)
    return make_command(setup, name, help)
