"""The errors that users meet: what happened, where, and what to do.

In: names and values from the place of the fault. Out: exceptions whose text can be read alone. Invariant: the
words are made here, by named constructors, so that the same fault always says the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cascade.interfaces.naming import clip, nearest
from cascade.interfaces.naming import short as _short

__all__ = [
    "CapacityError",
    "CascadeError",
    "DependencyMissingError",
    "ExecutorClosedError",
    "GraphError",
    "GraphFormatError",
    "LazyUseError",
    "MapError",
    "NodeTimeoutError",
    "NotLazyError",
    "ParamError",
    "ResourceError",
    "RouteError",
    "RunCancelledError",
    "RunTimeoutError",
    "SettingError",
    "TaskExitError",
    "WorkerDiedError",
    "nearest",
]


class CascadeError(Exception):
    """The base of all errors that cascade itself raises."""


class SettingError(CascadeError, ValueError):
    """A setting such as ``log_level=`` has a value that does not exist."""

    @classmethod
    def for_choice(cls, setting: str, given: object, known: Iterable[str]) -> SettingError:
        """Not one of the choices."""
        choices = list(known)
        hint = nearest(given, choices) if isinstance(given, str) else ""
        hint = hint if hint.startswith(" Did") else f" It is one of {', '.join(choices)}."
        return cls(f"{setting} cannot be {_short(given)}.{hint}")


class NotLazyError(CascadeError, TypeError):
    """Something was given to run that is not a lazy result."""

    @classmethod
    def for_target(cls, target: object) -> NotLazyError:
        """`cs.run` and friends got a plain value."""
        kind = type(target).__name__
        hint = (
            f" '{target.name}' is a task: call it first, as in cs.run({target.name}(…))."
            if kind in ("Task", "BoundTask") and hasattr(target, "name")
            else " Decorate the function with @cs.task, call it, and pass what the call returns."
        )
        return cls(f"There is nothing to run: the target is of type {kind}, not a lazy result.{hint}")


class LazyUseError(CascadeError, TypeError):
    """A lazy result was used as if it already had its value."""

    @classmethod
    def for_truth(cls, label: str) -> LazyUseError:
        """``if lazy:``."""
        return cls(
            f"The lazy result '{label}' has no truth value before the run. "
            f"To run something only if it is true, use other.run_if({label}); to choose, use cs.Router."
        )

    @classmethod
    def for_iteration(cls, label: str) -> LazyUseError:
        """``for x in lazy:``."""
        return cls(
            f"The lazy result '{label}' cannot be iterated before the run. "
            f"To call a task for each of its items, use task.map(x={label}); to take one item, use {label}[key]."
        )

    @classmethod
    def for_text(cls, label: str) -> LazyUseError:
        """``f"{lazy}"``."""
        return cls(
            f"The lazy result '{label}' has no text before the run. "
            "Build the text inside a task, or use cs.template; repr() shows the call."
        )

    @classmethod
    def for_attribute(cls, label: str, attribute: str, known: Iterable[str]) -> AttributeError:
        """``lazy.attribute``."""
        return AttributeError(
            f"The lazy result '{label}' has no attribute '{attribute}' before the run.{nearest(attribute, known)} "
            "To use an attribute of its value, do it inside a task."
        )


class GraphError(CascadeError, ValueError):
    """The graph cannot be built or run as it is."""

    @classmethod
    def for_cycle(cls, names: Sequence[str]) -> GraphError:
        """Nodes that need each other."""
        return cls(f"These nodes need each other in a circle: {' → '.join(names)}. Break one of the links.")

    @classmethod
    def for_growth(cls, label: str, names: Sequence[str]) -> GraphError:
        """A task that waits for itself."""
        return cls(
            f"'{label}' returned a lazy result that needs '{label}' itself: {' → '.join(names)}. "
            "Return a call that does not depend on the one that returns it."
        )

    @classmethod
    def for_size(cls, label: str, most: int) -> GraphError:
        """A graph that grows without an end."""
        return cls(
            f"'{label}' returned a lazy result, and the graph would grow beyond {most:,} nodes. "
            "If that is meant, write it as a loop with cs.bind, which stays one node."
        )

    @classmethod
    def for_depth(cls, label: str) -> GraphError:
        """A container nested too deeply."""
        return cls(f"An argument of '{label}' nests containers with lazy results too deeply. Flatten it.")


class GraphFormatError(CascadeError, ValueError):
    """A graph file is not what it should be; the text names the place."""

    @classmethod
    def at(cls, place: str, problem: str) -> GraphFormatError:
        """`place` is a path such as ``nodes[3].args``."""
        return cls(f"The graph file is not valid at {place}: {problem}.")

    @classmethod
    def for_value(cls, place: str, problem: str) -> GraphFormatError:
        """A graph that cannot become a file."""
        return cls(f"The graph cannot be written as JSON. {place}: {problem}.")


class ParamError(CascadeError, ValueError):
    """Params or Envs are missing, wrong or unknown; all of them are listed."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Join all `problems` into one report."""
        self.problems = tuple(problems)
        if len(problems) == 1:
            super().__init__(problems[0])
        else:
            lines = "\n".join(f"  - {p}" for p in problems)
            super().__init__(f"{len(problems)} inputs are not right:\n{lines}")


class CapacityError(CascadeError, ValueError):
    """A task asks for a capacity that does not exist or is too small."""

    @classmethod
    def for_excess(cls, label: str, resource: str, amount: float, capacity: float) -> CapacityError:
        """More than there is."""
        label, resource = clip(label), clip(resource)
        return cls(
            f"Task '{label}' asks for {amount:g} of '{resource}' but the capacity is {capacity:g}. "
            f"Lower with_constraints({resource}={amount:g}) or raise system_resources['{resource}']."
        )

    @classmethod
    def for_unknown(cls, label: str, resource: str, known: Iterable[str]) -> CapacityError:
        """A name that no capacity names."""
        resource, label, names = clip(resource), clip(label), list(known)
        hint = nearest(resource, names)
        if "Did you mean" not in hint:
            return cls(
                f"Task '{label}' asks for '{resource}', which system_resources does not name.{hint} "
                f"Add it, as in system_resources={{'{resource}': 1}}."
            )
        given = hint.split("'")[1]
        return cls(
            f"Task '{label}' asks for '{resource}', which system_resources does not name; it names '{given}'. "
            f"Name both alike: system_resources={{'{resource}': …}}, or with_constraints({given}=…)."
        )

    @classmethod
    def for_amount(cls, label: str, resource: str, amount: object) -> CapacityError:
        """Not a positive number."""
        return cls(
            f"Task '{clip(label)}' asks for {_short(amount)} of '{clip(resource)}'; an amount is a number of at "
            "least 0. Correct with_constraints(…)."
        )

    @classmethod
    def for_capacity(cls, resource: str, amount: object) -> CapacityError:
        """system_resources holds something that is not a number."""
        return cls(f"The capacity of '{clip(resource)}' is {_short(amount)}; it must be a finite number above 0.")

    @classmethod
    def for_mapping(cls, given: object) -> CapacityError:
        """system_resources is not a mapping."""
        kind = type(given).__name__
        return cls(f"system_resources is a {kind}; it must map names to amounts, as in {{'cpu': 4, 'gpu': 1}}.")

    @classmethod
    def for_all(cls, problems: Sequence[CapacityError]) -> CapacityError:
        """Several things at once, each said once."""
        lines = list(dict.fromkeys(str(p) for p in problems))
        if len(lines) == 1:
            return cls(lines[0])
        shown = [*lines[:20], f"… and {len(lines) - 20} more"] if len(lines) > 20 else lines  # noqa: PLR2004
        listed = "\n".join(f"  - {line}" for line in shown)
        return cls(f"{len(lines)} amounts are not right:\n{listed}")


class MapError(CascadeError, ValueError):
    """The inputs of a map do not fit together."""

    @classmethod
    def for_lengths(cls, label: str, lengths: dict[str, int | str]) -> MapError:
        """Iterables of unequal length."""
        listed = ", ".join(f"{k} has {v}" for k, v in lengths.items())
        return cls(
            f"The map of '{label}' zips inputs of unequal length: {listed}. "
            "Make them equal, or wrap what belongs to every item in cs.unmapped(…)."
        )

    @classmethod
    def for_no_iterable(cls, label: str) -> MapError:
        """Nothing to iterate."""
        return cls(
            f"The map of '{label}' has nothing to iterate: every input is a single value. "
            f"Pass a list to at least one, or call {label}(…) once."
        )


class RouteError(CascadeError, KeyError):
    """A Router's selector gave a key that no route has."""

    def __str__(self) -> str:
        """Show the sentence, not its repr as KeyError does."""
        return str(self.args[0])

    @classmethod
    def for_key(cls, label: str, key: object, known: Iterable[object]) -> RouteError:
        """No such route and no default."""
        routes = ", ".join(repr(k) for k in known)
        return cls(f"The router '{label}' has no route for {key!r} and no default. Its routes are {routes}.")


class JumpError(CascadeError, ValueError):
    """A loop is not put together, or jumps where it cannot."""

    @classmethod
    def for_routes(cls, routes: object) -> JumpError:
        """No table of routes."""
        return cls(f"cs.select_jump takes a dict of what each key leads to, not {_short(routes)}.")

    @classmethod
    def for_route(cls, key: object, target: object) -> JumpError:
        """A route to something that cannot be called."""
        return cls(
            f"The route {key!r} of cs.select_jump leads to {_short(target)}. "
            "It can lead to a task, to a call of a task, or to None to end the loop."
        )

    @classmethod
    def for_selector(cls, given: object) -> JumpError:
        """`bind` without `select_jump`."""
        return cls(f"cs.bind takes the call and what cs.select_jump returned, not {_short(given)}.")

    @classmethod
    def for_start(cls, given: object) -> JumpError:
        """A loop cannot begin with this."""
        return cls(f"A loop begins with a call of a task; {_short(given)} is none. Write cs.bind(task(…), jumps).")

    @classmethod
    def for_key(cls, label: str, key: object, known: Iterable[object]) -> JumpError:
        """A key that leads nowhere."""
        keys = [str(k) for k in known]
        hint = nearest(str(key), keys)
        return cls(f"'{label}' jumped to {key!r}, but its routes are {', '.join(keys)}.{hint}")

    @classmethod
    def for_unbound(cls, label: str, key: object) -> JumpError:
        """A jump in a call that is no loop."""
        return cls(
            f"'{label}' returned cs.Jump({key!r}), but no loop is bound to it. cs.bind returns a new call: write "
            "loop = cs.bind(call, cs.select_jump({…})) and run that."
        )

    @classmethod
    def for_argument(cls, label: str, name: object, known: Iterable[str]) -> JumpError:
        """Data for a parameter that is not there."""
        hint = nearest(str(name), known)
        return cls(f"The jump brings data for '{name}', but '{label}' has no parameter of that name.{hint}")

    @classmethod
    def for_excess(cls, label: str, count: int) -> JumpError:
        """A loop that does not end."""
        return cls(f"'{label}' has jumped {count:,} times without an end. If it needs more, raise max_jumps.")


class DependencyMissingError(CascadeError):
    """A value was asked for that the run did not make, since its node was skipped."""

    @classmethod
    def for_skip(cls, label: str, chain: Sequence[str]) -> DependencyMissingError:
        """The target was skipped; `chain` tells why, nearest reason first."""
        return cls(
            f"'{label}' has no value: {'; '.join(chain) or 'it was skipped'}. "
            "Ask for something that runs, or give it a value with .with_fallback(…)."
        )


class ResourceError(CascadeError, RuntimeError):
    """A resource is not defined, not usable or did not work."""

    @classmethod
    def for_unknown(cls, name: str, where: str, known: Iterable[str]) -> ResourceError:
        """Injected but never defined."""
        if name == "run_connector":  # as cs.recv does
            return cls(f"The run has no connector, which {where} needs. Pass connector=…, as in connector='local'.")
        hint = nearest(name, known)
        return cls(f"No resource is named '{clip(name)}', which {where} injects.{hint} Define it with @cs.resource.")

    @classmethod
    def for_no_yield(cls, name: str) -> ResourceError:
        """A generator that ended at once."""
        return cls(f"The resource '{name}' never yielded a value. Its function must yield exactly once.")

    @classmethod
    def for_two_yields(cls, name: str) -> ResourceError:
        """A generator that goes on after its yield."""
        return cls(f"The resource '{name}' yielded twice. Its function must yield exactly once, then clean up.")

    @classmethod
    def for_exit(cls, name: str, error: BaseException) -> ResourceError:
        """SystemExit, a cancel and the like."""
        shown = f"{type(error).__name__}({', '.join(map(repr, error.args))})"
        return cls(f"The resource '{name}' raised {shown}, which is not an ordinary exception; cascade caught it.")

    @classmethod
    def for_closed_loop(cls, name: str) -> ResourceError:
        """The caller's loop is gone."""
        return cls(
            f"The event loop of the resource '{name}' was closed before the resource. "
            "Wait for the end of the run before the loop ends, or use cs.run, which has a loop of its own."
        )

    @classmethod
    def for_deadline(cls, name: str, seconds: float) -> ResourceError:
        """A teardown that hangs."""
        return cls(f"The resource '{name}' was not torn down within {seconds:g} s; the run went on without it.")

    @classmethod
    def for_same_name(cls, name: str) -> ResourceError:
        """Two resources of one name in one run."""
        return cls(f"Two resources of this run are named '{name}'. Give one another name: @cs.resource(name=…).")

    @classmethod
    def for_cycle(cls, names: Sequence[str]) -> ResourceError:
        """Resources that need each other."""
        return cls(f"These resources need each other in a circle: {' → '.join(names)}. Break one of the links.")

    @classmethod
    def for_lifetime(cls, name: str, scope: str, need: str, need_scope: str) -> ResourceError:
        """A resource that would outlive what it needs."""
        return cls(
            f"The resource '{name}' (scope '{scope}') needs '{need}' (scope '{need_scope}'), which ends before it. "
            f"Give '{name}' scope='{need_scope}', or '{need}' scope='{scope}'."
        )

    @classmethod
    def for_place(cls, name: str, where: str) -> ResourceError:
        """Injected where no task holds it."""
        return cls(f"The resource '{name}' cannot be injected into {where}. Make it an argument of a task instead.")

    @classmethod
    def for_argument(cls, given: object) -> ResourceError:
        """resources= holds something else."""
        name = getattr(given, "__name__", "") or repr(given)[:60]
        return cls(f"resources= takes a list of resources; {name} is none. Decorate its function with @cs.resource.")

    @classmethod
    def for_parameter(cls, name: str, parameter: str) -> ResourceError:
        """A parameter that nobody fills."""
        return cls(
            f"Nobody gives the resource '{name}' its parameter '{parameter}'. "
            f"Give it a default: a value, or {parameter}=cs.inject(…)."
        )

    @classmethod
    def for_default(cls, name: str, parameter: str, default: object) -> ResourceError:
        """A default that only a task could fill in."""
        return cls(
            f"The resource '{name}' has {_short(default)} as the default of '{parameter}', but a resource can only ask "
            "for other resources. Take the value as an argument of the task instead."
        )

    @classmethod
    def for_shape(cls, name: str) -> ResourceError:
        """Not something with a lifetime."""
        return cls(
            f"'{name}' cannot be a resource: it must be a generator function, an async generator function "
            "or make a context manager."
        )

    @classmethod
    def for_inline(cls, label: str, name: str) -> ResourceError:
        """A sync task asks for a task-scoped async resource."""
        return cls(
            f"Task '{label}' is a plain function, but the resource '{name}' is asynchronous and made for each task. "
            "Make the task `async def`, or the resource scope='run'."
        )


class RunCancelledError(CascadeError):
    """The run was cancelled before it had its result."""


class RunTimeoutError(CascadeError, TimeoutError):
    """The run took longer than its timeout."""

    @classmethod
    def after(cls, seconds: float) -> RunTimeoutError:
        """`timeout=` of the run."""
        return cls(
            f"The run took longer than its timeout of {seconds:g} s and was cancelled. Raise timeout=, or do less."
        )


class NodeTimeoutError(CascadeError, TimeoutError):
    """An attempt took longer than its timeout."""

    @classmethod
    def after(cls, label: str, seconds: float) -> NodeTimeoutError:
        """``with_timeout``."""
        return cls(
            f"'{label}' took longer than its timeout of {seconds:g} s. Raise with_timeout({seconds:g}), or do less."
        )


class TaskExitError(CascadeError, RuntimeError):
    """A task raised something that would have ended the program."""

    @classmethod
    def for_exit(cls, label: str, error: BaseException) -> TaskExitError:
        """SystemExit, KeyboardInterrupt, GeneratorExit and the like."""
        raised = f"{type(error).__name__}({', '.join(map(_short, error.args))})"
        return cls(
            f"Task '{label}' raised {raised}, which would have ended the program; cascade caught it. "
            "Return a value or raise an ordinary exception instead."
        )

    @classmethod
    def in_process(cls, label: str, kind: str, arguments: Sequence[str]) -> TaskExitError:
        """The same in another process, of which only the words come back."""
        return cls(
            f"Task '{label}' raised {kind}({', '.join(arguments)}), which would have ended its process; "
            "cascade caught it. Return a value or raise an ordinary exception instead."
        )


class ExecutorClosedError(CascadeError, RuntimeError):
    """The executor of the user takes no calls (any more)."""

    @classmethod
    def for_executor(cls, executor: object, error: BaseException) -> ExecutorClosedError:
        """It refused one."""
        kind = type(executor).__name__
        return cls(
            f"executor= got a {kind} that takes no calls ({type(error).__name__}: {clip(error)}). "
            "Make a new one, and keep it open until the run is over; executor='process' needs none."
        )

    @classmethod
    def for_answer(cls, executor: object, told: str) -> ExecutorClosedError:
        """It did something that no executor does."""
        return cls(f"executor= got a {type(executor).__name__} {told}.")


class WorkerDiedError(CascadeError, RuntimeError):
    """The process that ran a task ended before the task did."""

    @classmethod
    def during(cls, label: str, detail: str) -> WorkerDiedError:
        """A worker process died."""
        return cls(
            f"The process that ran '{label}' ended before the task did ({detail}). "
            "Out of memory, a crash in a C library or os._exit are the usual causes."
        )
