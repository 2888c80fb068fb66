"""`%%cascade` and `%cascade`: what people type → calls of the same functions that Python code uses.

In: lines and cells. Out: runs, displays, short texts. Invariant: a magic returns or raises; it never prints an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand, output_can_be_silenced
from IPython.core.magic_arguments import argument, kwds, magic_arguments
from IPython.display import display

from cascade.notebook import cell, cell_task, commands
from cascade.notebook.errors import short_errors
from cascade.notebook.launch import launch, show_plan
from cascade.notebook.options import Options, parse_line, read_options, usage_error
from cascade.notebook.session import VIEWS, Job, Session
from cascade.notebook.value_place import give
from cascade.notebook.waiting import wait, wait_async

__all__ = ["CascadeMagics"]

_EMPTY = (
    "The cell is empty. Write tasks and, as the last line, what is to be run, such as report(clean(load())), "
    "or name the target: %%cascade report."
)
_NO_TARGET = (
    "There is nothing to run: the cell does not end with an expression. End it with what is to be run, "
    "such as report(clean(load())), or name the target: %%cascade report."
)


_CELL: tuple[Any, ...] = (
    no_var_expand,
    output_can_be_silenced,
    magic_arguments("cascade"),
    argument(
        "target", nargs="*", help="what to run, an expression; by default the value of the cell's last expression"
    ),
    argument("-p", "--param", action="append", metavar="NAME=VALUE", help="the value of a Param"),
    argument("-r", "--resource", action="append", metavar="NAME=AMOUNT", help="a capacity, such as gpu=1"),
    argument("-o", "--output", metavar="NAME", help="also bind the value to this name"),
    argument("--plan", action="store_true", help="show what would run, run nothing"),
    argument("--bg", action="store_true", help="return at once; the view goes on in this cell"),
    argument("--step", action="store_true", help="hold each start until Next (a button, the key n, %%cascade next)"),
    argument("--timeout", metavar="S", help="cancel the run after so many seconds"),
    argument("--executor", metavar="X", help="threads, process, dask, dask://host:port or a variable"),
    argument("--connector", metavar="ADDRESS", help="let others watch and steer it: local, mqtt://host or a variable"),
    argument("--keep-going", action="store_true", help="after a failure, finish what does not depend on it"),
    argument("--fresh", action="store_true", help="compute everything again, and store it"),
    argument("--no-store", action="store_true", help="look no result up and store none"),
    argument("--view", default="auto", metavar="V", help="auto, live, static, text or none"),
    argument("-h", "--help", action="store_true", help="show this text"),
    kwds(usage="%%cascade [TARGET] [options]"),
    cell_magic("cascade"),
)
_LINE: tuple[Any, ...] = (
    no_var_expand,
    magic_arguments("cascade"),
    argument("command", nargs="?", default="help", help=", ".join(commands.NAMES)),
    argument("words", nargs="*", help="what the command is about: the number of a job or of a run, a target"),
    argument("-h", "--help", action="store_true", help="show this text"),
    kwds(usage="cascade COMMAND [WORDS]"),
    line_magic("cascade"),
)
Method = TypeVar("Method", bound=Callable[..., Any])


def _as_magic(decorators: Sequence[Any]) -> Callable[[Method], Method]:
    """Apply IPython's decorators, the last one first, as if they stood above the method."""

    def apply(method: Method) -> Method:
        made: Any = method
        for decorate in reversed(decorators):
            made = decorate(made)
        return cast("Method", made)

    return apply


@magics_class
class CascadeMagics(Magics):
    """The magics of one session."""

    shell: Any

    def __init__(self, shell: Any, session: Session) -> None:
        """Take the shell and the session that owns the runs."""
        super().__init__(shell)
        self.session = session

    @_as_magic(_CELL)
    def run_cell(self, line: str, text: str) -> Any:
        """Run this cell's graph and show it while it runs.

        The body is ordinary cell code: its names land in the notebook, IPython syntax and top-level await work.

        Examples::

            %%cascade -p threshold=0.4 -r gpu=1
            report(clean(load()))

            %%cascade report --bg
            report = summarize(load())
        """
        with short_errors(self.shell):
            if cell_task.is_task_line(line):
                return cell_task.run_task_cell(self.session, vars(type(self).run_cell)["parser"], line, text)
            options = self._read(line)
            if options.help:
                return self._explain()
            target = self._target(options, cell.run_body(self.shell, self._compile(options, line, text)))
            if options.plan:
                return show_plan(target, options)
            job, held = self._launch(target, options, text)
            return None if options.background else self._give(job, text, wait(job, held))

    async def run_cell_async(self, line: str, text: str) -> Any:
        """Do what `run_cell` does in a cell that may await; the cell transform calls it."""
        with short_errors(self.shell):
            if cell_task.is_task_line(line):
                parser = vars(type(self).run_cell)["parser"]
                return await cell_task.run_task_cell_async(self.session, parser, line, text)
            options = self._read(line)
            if options.help:
                return self._explain()
            last = await cell.run_body_async(self.shell, self._compile(options, line, text))
            target = self._target(options, last)
            if options.plan:
                return show_plan(target, options)
            job, held = self._launch(target, options, text)
            return None if options.background else self._give(job, text, await wait_async(job, held))

    @_as_magic(_LINE)
    def run_line(self, line: str) -> Any:
        """Look at runs and steer them; ``%cascade help`` lists the commands.

        Examples::

            %cascade jobs
            %cascade cancel 3
            %cascade graph report
        """
        with short_errors(self.shell):
            return commands.obey(self.session, line)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _read(self, line: str) -> Options:
        return read_options(parse_line(vars(type(self).run_cell)["parser"], line), VIEWS)

    def _explain(self) -> None:
        display({"text/plain": vars(type(self).run_cell)["parser"].format_help()}, raw=True)

    def _compile(self, options: Options, line: str, text: str) -> cell.Body:
        if not text.strip() and not options.target:
            usage_error(_EMPTY)
        return cell.compile_body(self.shell, line, text, self.session.count)

    def _target(self, options: Options, last: object) -> object:
        if options.target:
            return cell.evaluate(self.shell, options.target)
        if last is cell.NOTHING:
            usage_error(_NO_TARGET)
        return last

    def _launch(self, target: object, options: Options, text: str) -> tuple[Job, cell.HeldInterrupts]:
        """Start the run; interrupts are held until someone waits who can cancel it."""
        shows_value = not options.background and not cell.stays_silent(text)
        held = cell.HeldInterrupts()
        try:
            job = launch(self.session, target, options, shows_value=shows_value)
            job.output = options.output
        except BaseException:
            held.release()
            raise
        if options.background:
            job.run.add_done_callback(lambda: self._bind_later(job, options.output))
            held.release()
        return job, held

    def _bind_later(self, job: Job, name: str) -> None:
        """Bind the value of a run in the background to its name, when there is a value."""
        if name and job.run.state == "completed":
            self.shell.user_ns[name] = job.run.result(0)

    def _give(self, job: Job, text: str, value: Any) -> Any:
        if job.output:
            self.shell.user_ns[job.output] = value
        return None if cell.stays_silent(text) else give(self.session, job, value)
