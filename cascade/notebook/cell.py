"""The body of a `%%cascade` cell → its names in the notebook, and the value of its last expression.

In: the text of the cell. Out: what its last expression gave. Invariant: the body is ordinary cell code: IPython syntax,
top-level await, tracebacks with the cell's own lines, and Interrupt works while it runs.
"""

from __future__ import annotations

import ast
import inspect
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any

from cascade.notebook.options import usage_error

__all__ = [
    "NOTHING",
    "Body",
    "HeldInterrupts",
    "compile_body",
    "evaluate",
    "plain_source",
    "run_body",
    "run_body_async",
    "stays_silent",
]

NOTHING = object()
_BLANK = re.compile(r"(?:[ \t\r\f]*\n)*")


@dataclass(frozen=True, slots=True)
class Body:
    """A compiled cell: statements, and the last expression apart.

    Args:
        main: everything before the last expression. last: the last expression, None if the cell does not end with one.
    """

    main: CodeType
    last: CodeType | None

    @property
    def needs_loop(self) -> bool:
        """Whether there is a top-level await."""
        codes = (self.main, self.last) if self.last is not None else (self.main,)
        return any(code.co_flags & inspect.CO_COROUTINE for code in codes)


def compile_body(shell: Any, line: str, text: str, count: int) -> Body:
    """Compile the body of a cell.

    Args:
        shell: IPython's. line: what stands after ``%%cascade``. text: the lines below. count: the cell's number.

    Raises:
        SyntaxError: with the cell's own line numbers.
    """
    source = plain_source(shell, text)
    compiler = shell.compile
    # The first line stands for the magic, so that line numbers are those of the cell.
    shown = f"# %%cascade {line}".rstrip() + source
    name = compiler.cache(shown, count, raw_code=f"%%cascade {line}\n{text}")
    flags = compiler.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(source, name, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    tree = shell.transform_ast(tree)
    last: CodeType | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = ast.Expression(tree.body.pop().value)
        last = compile(expression, name, "eval", flags, dont_inherit=True)
    return Body(compile(tree, name, "exec", flags, dont_inherit=True), last)


def plain_source(shell: Any, text: str) -> str:
    """Return the body of a cell as plain Python, below an empty line in the place of the magic.

    Raises:
        SyntaxError: with the cell's own line numbers.
    """
    if not text.strip():
        return "\n"
    code = text[_BLANK.match(text).end() :]  # type: ignore[union-attr] # IPython takes these lines away
    before = 1 + text[: len(text) - len(code)].count("\n")
    try:
        return "\n" * before + str(shell.transform_cell(code))
    except SyntaxError as error:
        if error.lineno is not None:
            error.lineno += before
            error.end_lineno = None if error.end_lineno is None else error.end_lineno + before
        raise


def run_body(shell: Any, body: Body) -> object:
    """Run a cell without top-level await; return the value of its last expression, `NOTHING` if there is none."""
    if body.needs_loop:
        usage_error("Top-level await does not work in this place. Move it to a cell of its own, or into an async task.")
    namespace = shell.user_ns
    with interruptible():
        exec(body.main, namespace)  # noqa: S102 - running the user's cell is the point
        if body.last is None:
            return NOTHING
        cells = _task_cells(body.last)
        return eval(body.last, namespace, cells or namespace)  # noqa: S307 - the same


async def run_body_async(shell: Any, body: Body) -> object:
    """Run a cell that may have top-level await."""
    if not body.needs_loop:
        return run_body(shell, body)
    namespace = shell.user_ns
    value: object = NOTHING
    for code in (body.main, body.last):
        if code is not None:
            value = eval(code, namespace)  # noqa: S307 - running the user's cell is the point
            if code.co_flags & inspect.CO_COROUTINE:
                value = await value  # type: ignore[misc]
    return value if body.last is not None else NOTHING


def evaluate(shell: Any, expression: str) -> object:
    """Return the value of a target named on the line of a magic."""
    try:
        code = compile(expression, "<target of %%cascade>", "eval", dont_inherit=True)
    except SyntaxError:
        usage_error(f"The target is not an expression: {expression}")
    try:
        return eval(code, shell.user_ns, _task_cells(code))  # noqa: S307 - running the user's expression is the point
    except NameError as error:
        usage_error(f"The target '{expression}' cannot be found: {error}.")


def _task_cells(code: CodeType) -> dict[str, Any]:
    """The cells that are tasks and that an expression names, as lazy results."""
    from cascade.notebook.cell_task import lazies_in
    from cascade.notebook.session import current_session

    session = current_session()
    return lazies_in(session, code.co_names) if session is not None else {}


def stays_silent(text: str) -> bool:
    """Whether the cell ends with a semicolon, which in notebooks keeps its value from being shown."""
    from IPython.core.displayhook import DisplayHook

    return bool(DisplayHook.semicolon_at_end_of_expression(text))


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Interrupt raise at once, also in cells that the kernel runs as coroutines.

    There, ipykernel only cancels the coroutine, which does nothing until plain code comes to an end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class HeldInterrupts:
    """Holds Interrupts back from its making to its `release`, which raises if there was one.

    A run that is half started when KeyboardInterrupt comes would be nobody's: whoever starts one holds interrupts, and
    releases them where the run can be cancelled.
    """

    __slots__ = ("_before", "_came", "_held")

    def __init__(self) -> None:
        """Begin to hold; does nothing outside the main thread, where no interrupt comes."""
        self._came = False
        self._before: Any = None
        self._held = threading.current_thread() is threading.main_thread()
        if self._held:
            self._before = signal.signal(signal.SIGINT, self._note)

    def _note(self, _number: int, _frame: object) -> None:
        self._came = True

    def release(self) -> None:
        """Let interrupts through again.

        Raises:
            KeyboardInterrupt: if one came meanwhile, by way of whoever handled them before.
        """
        if self._held:
            self._held = False
            signal.signal(signal.SIGINT, self._before)
            if self._came:
                signal.raise_signal(signal.SIGINT)
