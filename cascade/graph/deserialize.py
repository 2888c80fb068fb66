"""A graph file → lazy results that can be run.

In: text from anywhere. Out: a lazy target. Invariant: the file is data: a closed vocabulary, bounds, references only
to nodes that stand before; tasks, and the classes beside them, are found by the workflow context only, and nothing is
imported or called. Time and memory are linear in the length of the text, whatever stands in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cascade.context import get_current_context
from cascade.graph.literals import MOST_DEPTH, TAG, Problem, check_spread, from_tagged, is_text, shorten
from cascade.graph.strict_json import Record, as_list, as_name, as_text, parse, word_for
from cascade.graph.type_words import Classes, owns, type_from_word
from cascade.interfaces.exceptions import GraphFormatError, ParamError, nearest
from cascade.spec.control import JumpSelector
from cascade.spec.input import Env, Input, Param
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult, Unmapped
from cascade.spec.policy import PLAIN, UNSET, Options, RetryPolicy
from cascade.spec.resource import Inject
from cascade.spec.routing import Router
from cascade.spec.task import BoundTask, Task

__all__ = ["FORMAT", "MOST_NODES", "OF_TASK", "VERSION", "Reader", "from_json"]

FORMAT: Final = "cascade graph"
VERSION: Final = 1
OF_TASK: Final = "of the task"  # where a policy stands: it is the one that the task's decorator gave
MOST_NODES: Final = 1_000_000
_MOST_TOLD: Final = 1_000  # characters of an error that may hold a name from the file
_TOO_MUCH: Final = 1e300  # seconds and the like
_NESTS: Final = frozenset({list, dict})
_NOTHING: Final[frozenset[str]] = frozenset()
_FILE: Final = frozenset({"format", "version", "tasks", "inputs", "nodes", "target"})
_TASK: Final = frozenset({"key", "name"})
_INPUT: Final = frozenset({"kind", "name", "type"})
_INPUT_MORE: Final = frozenset({"description", "secret", "default", "choices", "bounds"})
_CALL: Final = frozenset({"task"})
_CALL_MORE: Final = frozenset({"args", "kwargs", "options", "map", "class"})
_MAP: Final = frozenset({"max_concurrency", "on_error"})
_ROUTER: Final = frozenset({"selector", "routes"})
_ROUTER_MORE: Final = frozenset({"default", "name"})
_RETRY: Final = frozenset({"max_attempts", "delay", "backoff", "jitter", "max_delay", "retry_on"})
_JUMP: Final = frozenset({"max_jumps", "routes"})
_JUMP_TARGET: Final = frozenset({"called", "args", "kwargs", "class", "owner"})
_INPUTS: Final[Mapping[str, type[Input]]] = {"param": Param, "env": Env}


def from_json(text: str | bytes) -> Any:
    """Return the target that `to_json` wrote.

    Its tasks must be registered: import the modules, or run the cells, that define them first. Resources are asked
    for by name when it runs. The default of a secret is not in the file, so that such a Param is required.

    Raises:
        GraphFormatError: with the place, when the text is not such a file or a task is unknown.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def greet(name): return f"hello {name}"
        >>> cs.from_json(cs.to_json([greet("Ada"), 1]))
        [<lazy greet('Ada')>, 1]
    """
    return _Reader().read_text(text)


class _Reader:
    """Makes calls of records, in the order of the file.

    Responsible for: places in errors, references, what is allowed where. Refuses: looking anything up but tasks and the
    classes beside them.
    """

    def __init__(self) -> None:
        self.registered = get_current_context().tasks
        self.classes = Classes()
        self.tasks: list[tuple[Task[..., Any], str]] = []
        self.inputs: list[Input] = []
        self.calls: list[LazyResult[Any] | Router] = []
        self.referred = False
        self.depth = 0

    def read_text(self, text: str | bytes) -> Any:
        document = Record(parse(text), "the file", _FILE, _NOTHING)
        if document["format"] != FORMAT:
            raise GraphFormatError.at("format", f"it says {shorten(document['format'])}, not {FORMAT!r}")
        if type(document["version"]) is not int or document["version"] != VERSION:
            raise GraphFormatError.at("version", f"this cascade reads version {VERSION} only")
        try:
            return self.read(document)
        except RecursionError:
            raise GraphFormatError.at("the file", "it is nested too deeply") from None

    def read(self, document: Mapping[str, Any]) -> Any:
        records = as_list(document["nodes"], "nodes")
        if len(records) > MOST_NODES:
            raise GraphFormatError.at("nodes", f"there are more than {MOST_NODES:,}")
        for i, record in enumerate(as_list(document["tasks"], "tasks")):
            self.tasks.append(self.task(record, f"tasks[{i}]"))
        for i, record in enumerate(as_list(document["inputs"], "inputs")):
            self.inputs.append(self.input(record, f"inputs[{i}]"))
        for i, record in enumerate(records):
            is_router = isinstance(record, dict) and "router" in record
            self.calls.append(self.router(record, f"nodes[{i}]") if is_router else self.call(record, f"nodes[{i}]"))
        self.referred = False
        target = self.value(document["target"], "target")
        if not self.referred:
            raise GraphFormatError.at("target", "it refers to no node, so that there is nothing to run")
        return target

    # -- records --------------------------------------------------------------------------------------------------

    def task(self, record: object, place: str) -> tuple[Task[..., Any], str]:
        fields = Record(record, place, _TASK, _NOTHING)
        key, name = as_name(fields["key"], f"{place}.key"), as_name(fields["name"], f"{place}.name")
        task = get_current_context().find_task(key)
        if task is None:
            hint = nearest(key[:200], self.registered).strip() or "None is registered."
            problem = (
                f"no task is registered as {key[:200]!r}. {hint} Import the module, or run the cell, that defines it"
            )
            raise GraphFormatError.at(place, problem)
        return task, name

    def input(self, record: object, place: str) -> Input:
        fields = Record(record, place, _INPUT, _INPUT_MORE)
        kind = as_text(fields["kind"], f"{place}.kind")
        if kind not in _INPUTS:
            raise GraphFormatError.at(f"{place}.kind", "it is 'param' or 'env'")
        name = as_name(fields["name"], f"{place}.name")
        secret = fields.get("secret", False)
        if not name or not isinstance(secret, bool):
            raise GraphFormatError.at(place, "name is text that is not empty, and secret is true or false")
        choices = self.literals(fields, "choices", place)
        bounds = self.literals(fields, "bounds", place)
        default = self.literal(fields["default"], f"{place}.default") if "default" in fields else UNSET
        wanted = self.guard(f"{place}.type", lambda: type_from_word(fields["type"], self.plain, self.classes))
        made = _INPUTS[kind].__new__(_INPUTS[kind])  # not by Param(…), which would replace the registered one
        description = self.text(fields.get("description", ""), f"{place}.description")
        try:
            Input.__init__(made, name, default, wanted, description, choices, secret=secret, bounds=bounds)
        except ParamError as error:
            raise GraphFormatError.at(f"{place}.bounds", str(error).rstrip(".")) from None
        return made

    def literals(self, fields: Record, word: str, place: str) -> list[Any] | None:
        if word not in fields:
            return None
        listed = as_list(fields[word], f"{place}.{word}")
        return [self.literal(one, f"{place}.{word}[{i}]") for i, one in enumerate(listed)]

    def call(self, record: object, place: str) -> LazyResult[Any]:
        fields = Record(record, place, _CALL, _CALL_MORE)
        task, name = self.known_task(fields["task"], f"{place}.task")
        args, kwargs = self.arguments(fields, task, place)
        options = (
            self.options(fields["options"], task, f"{place}.options") if "options" in fields else self.unsaid(task)
        )
        if name != task.name and (options is None or options.name is None):
            options = (options or PLAIN).but(name=name)
        if "map" not in fields:
            return LazyResult(task, args, kwargs, options)
        rules = Record(fields["map"], f"{place}.map", _MAP, _NOTHING)
        most, on_error = rules["max_concurrency"], rules["on_error"]
        if most is not None and (type(most) is not int or most < 1):
            raise GraphFormatError.at(f"{place}.map.max_concurrency", "it is null or a whole number of at least 1")
        if on_error not in ("fail", "collect"):
            raise GraphFormatError.at(f"{place}.map.on_error", "it is 'fail' or 'collect'")
        return LazyMap(task, args, kwargs, options, max_concurrency=most, on_error=on_error)

    def unsaid(self, task: Task[..., Any]) -> Options | None:  # noqa: ARG002 - a graph file says all that counts
        """Return the options of a call of `task` about which nothing was said."""
        return None

    def known_task(self, number: object, place: str) -> tuple[Task[..., Any], str]:
        if type(number) is not int or not 0 <= number < len(self.tasks):
            raise GraphFormatError.at(place, "it is not the number of one of the tasks")
        return self.tasks[number]

    def arguments(
        self, fields: Mapping[str, Any], task: Task[..., Any], place: str
    ) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
        """Return positional and keyword arguments as a lazy result has them, and see that `task` takes them."""
        args: tuple[Any, ...] = ()
        kwargs = None
        if "args" in fields:
            listed = as_list(fields["args"], f"{place}.args")
            if _NESTS.isdisjoint(map(type, listed)):
                args = tuple(listed)
            else:
                args = tuple([self.value(value, f"{place}.args[{i}]") for i, value in enumerate(listed)])
        if "class" in fields:
            bound = self.owner(fields["class"], task, f"{place}.class")
            args = (Unmapped(bound) if "map" in fields else bound, *args)
        if "kwargs" in fields:
            named = fields["kwargs"]
            if not isinstance(named, dict):
                raise GraphFormatError.at(f"{place}.kwargs", f"an object is needed, not {word_for(named)}")
            where = f"{place}.kwargs"
            kwargs = {as_name(k, where): self.value(v, f"{where}[{k[:60]!r}]") for k, v in named.items()} or None
        try:
            task(*args, **(kwargs or {}))  # records a call, which is thrown away
        except TypeError as error:
            raise GraphFormatError.at(place, str(error)[:_MOST_TOLD].rstrip(".")) from None
        return args, kwargs

    def owner(self, word: object, task: Task[..., Any], place: str) -> type:
        """Return the class whose class method `task` is."""
        kind: type = self.guard(place, lambda: self.classes.find(word))
        if not owns(kind, task):
            raise GraphFormatError.at(place, f"{kind.__name__} has no method that is the task '{task.name}'")
        return kind

    def router(self, record: object, place: str) -> Router:
        outer = Record(record, place, frozenset({"router"}), _NOTHING)
        place = f"{place}.router"
        fields = Record(outer["router"], place, _ROUTER, _ROUTER_MORE)
        routes = self.routes(fields["routes"], f"{place}.routes", self.value)
        default = self.value(fields["default"], f"{place}.default") if "default" in fields else UNSET
        name = self.text(fields.get("name", ""), f"{place}.name")
        try:
            return Router(self.value(fields["selector"], f"{place}.selector"), routes, default, name)
        except ValueError as error:
            raise GraphFormatError.at(place, str(error).rstrip(".")) from None

    def routes(self, records: object, place: str, read: Callable[[object, str], Any]) -> dict[Any, Any]:
        """Return a table of what `read` makes, by any key."""
        pairs: list[tuple[Any, Any]] = []
        for i, pair in enumerate(as_list(records, place)):
            if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004
                raise GraphFormatError.at(f"{place}[{i}]", "a key and a value are needed")
            pairs.append((self.literal(pair[0], f"{place}[{i}]"), read(pair[1], f"{place}[{i}]")))
        try:
            self.guard(place, lambda: check_spread([key for key, _ in pairs]))
            made = dict(pairs)
        except TypeError:
            raise GraphFormatError.at(place, "a key cannot be a key") from None
        if len(made) < len(pairs):
            raise GraphFormatError.at(place, "a key stands twice")
        return made

    # -- options --------------------------------------------------------------------------------------------------

    def options(self, record: object, task: Task[..., Any], place: str) -> Options:
        """Return what was said about a call of `task`."""
        changes: dict[str, object] = {}
        for name, given in Record(record, place, _NOTHING, _OPTIONS).items():
            where = f"{place}.{name}"
            if name in ("retry", "cache") and isinstance(given, str):
                changes[name] = self.policy_of_task(given, task, name, where)
            else:
                field, read = _READERS[name]
                changes[field] = read(self, given, where)
        return PLAIN.but(**changes)

    def policy_of_task(self, given: str, task: Task[..., Any], policy: str, place: str) -> object:
        found: object = getattr(task.options, policy, None)
        if given != OF_TASK or found is None:
            raise GraphFormatError.at(
                place, f"of texts only {OF_TASK!r} may stand here, and its decorator must give one"
            )
        return found

    def timeout(self, given: object, place: str) -> float:
        seconds = self.number(given, place)
        if not seconds:
            raise GraphFormatError.at(place, "a number above 0 is needed")
        return float(seconds)

    def constraints(self, amounts: object, place: str) -> dict[str, Any]:
        if not isinstance(amounts, dict):
            raise GraphFormatError.at(place, f"an object is needed, not {word_for(amounts)}")
        return {as_name(name, place): self.value(amount, place) for name, amount in amounts.items()}

    def after(self, listed: object, place: str) -> tuple[Any, ...]:
        return tuple([self.value(value, f"{place}[{i}]") for i, value in enumerate(as_list(listed, place))])

    def cache(self, given: object, place: str) -> object:  # noqa: ARG002 - no other policy stands in a graph file
        raise GraphFormatError.at(place, f"only {OF_TASK!r} may stand here")

    def retry(self, record: object, place: str) -> RetryPolicy:
        fields = Record(record, place, _RETRY, _NOTHING)
        attempts = self.literal(fields["max_attempts"], f"{place}.max_attempts")
        if type(attempts) is not int:
            raise GraphFormatError.at(f"{place}.max_attempts", "a whole number is needed")
        numbers: dict[str, Any] = {"max_attempts": attempts, "max_delay": None}
        for name in ("delay", "backoff", "jitter", "max_delay"):
            if name != "max_delay" or fields[name] is not None:
                numbers[name] = self.number(fields[name], f"{place}.{name}")
        given = fields["retry_on"]
        kinds = [
            self.guard(f"{place}.retry_on", partial(self.classes.exception, word))
            for word in (given if isinstance(given, list) else [given])
        ]
        numbers["retry_on"] = tuple(kinds) if isinstance(given, list) else kinds[0]
        try:
            return RetryPolicy(**numbers)
        except (TypeError, ValueError) as error:
            raise GraphFormatError.at(place, str(error).rstrip(".")) from None

    def jump(self, record: object, place: str) -> JumpSelector:
        fields = Record(record, place, _JUMP, _NOTHING)
        if type(fields["max_jumps"]) is not int or fields["max_jumps"] < 1:
            raise GraphFormatError.at(f"{place}.max_jumps", "a whole number of at least 1 is needed")
        routes = self.routes(fields["routes"], f"{place}.routes", self.jump_target)
        if not routes:
            raise GraphFormatError.at(f"{place}.routes", "there is none")
        return JumpSelector(routes, fields["max_jumps"])

    def jump_target(self, record: object, place: str) -> Task[..., Any] | LazyResult[Any] | None:
        """Return what a loop may go on with: a task, a method of something, a call, or nothing more."""
        if record is None:
            return None
        fields = Record(record, place, _CALL, _JUMP_TARGET)
        task, name = self.known_task(fields["task"], f"{place}.task")
        if fields.get("called") is True and "owner" not in fields:
            args, kwargs = self.arguments(fields, task, place)
            return LazyResult(task, args, kwargs, None if name == task.name else PLAIN.but(name=name))
        if fields.keys() - {"task", "owner"}:
            raise GraphFormatError.at(place, "arguments stand with 'called': true only, and 'owner' without")
        return BoundTask(task, self.value(fields["owner"], f"{place}.owner")) if "owner" in fields else task

    # -- values ---------------------------------------------------------------------------------------------------

    def value(self, value: object, place: str) -> Any:
        """Return what a value of the file stands for; an error names `place` and the steps from there."""
        return self.guard(place, lambda: self.any(value)) if type(value) in _NESTS else value

    def literal(self, value: object, place: str) -> Any:
        """Return a value in which nothing lazy may stand."""
        return self.guard(place, lambda: self.plain(value))

    def text(self, value: object, place: str) -> str:
        return as_text(self.literal(value, place), place)

    def number(self, value: object, place: str) -> float:
        number = self.literal(value, place)
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < _TOO_MUCH:
            raise GraphFormatError.at(place, f"a number of at least 0 and less than {_TOO_MUCH:g} is needed")
        return number

    def guard(self, place: str, make: Callable[[], Any]) -> Any:
        self.depth = 0
        try:
            return make()
        except Problem as problem:
            raise GraphFormatError.at(place + "".join(reversed(problem.steps)), str(problem)) from None

    def any(self, value: Any) -> Any:
        return self.inner(value, self.any, self.special)

    def plain(self, value: Any) -> Any:
        """Return a value for which tags of lazy things have no meaning."""
        return self.inner(value, self.plain, lambda _: None)

    def inner(self, value: Any, read: Callable[[Any], Any], special: Callable[[dict[str, Any]], Any]) -> Any:
        if type(value) not in _NESTS:
            return value
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise Problem(f"containers are nested more than {MOST_DEPTH} deep")
        try:
            if type(value) is list:
                if _NESTS.isdisjoint(map(type, value)):
                    return value
                return [_step(read, item, "[{}]", i) for i, item in enumerate(value)]
            if TAG not in value:
                if _NESTS.isdisjoint(map(type, value.values())):
                    return value
                return {key: _step(read, item, "[{!r:.60}]", key) for key, item in value.items()}
            made = special(value)
            if made is None:
                made = self.classes.read(value, read)
            return from_tagged(value, read) if made is None else made
        finally:
            self.depth -= 1

    def special(self, fields: dict[str, Any]) -> Any:
        """Return the lazy thing that an object stands for, None when it stands for a plain value."""
        tag = fields[TAG]
        if tag == "ref":
            return self.ref(fields)
        if tag == "input":
            _only(fields, "of")
            number = fields["of"]
            if type(number) is not int or not 0 <= number < len(self.inputs):
                raise Problem("'of' is not the number of one of the inputs")
            return self.inputs[number]
        if tag == "inject":
            _only(fields, "name")
            if type(fields["name"]) is not str or not fields["name"] or not is_text(fields["name"]):
                raise Problem("the name of a resource is text")
            return Inject(fields["name"])
        if tag == "unmapped":
            _only(fields, "value")
            return Unmapped(_step(self.any, fields["value"], ".value", ""))
        return None

    def ref(self, fields: dict[str, Any]) -> LazyResult[Any] | Router:
        if len(fields) != 2 or "node" not in fields:  # noqa: PLR2004 - the tag and the node
            _only(fields, "node", "path")
        number = fields["node"]
        if type(number) is not int or not 0 <= number < len(self.calls):
            raise Problem(f"node {shorten(number)} is not one that stands before this place")
        self.referred = True
        call = self.calls[number]
        if "path" not in fields:
            return call
        keys = fields["path"]
        if type(keys) is not list or not keys or not isinstance(call, LazyResult):
            raise Problem("a path is a list of keys into the value of a task")
        return LazyItem(call, tuple([_step(self.any, key, ".path[{}]", i) for i, key in enumerate(keys)]))


Reader = _Reader  # for those who keep what a task returned
_Read = Callable[[_Reader, Any, str], object]
_READERS: Final[Mapping[str, tuple[str, _Read]]] = {
    "name": ("name", _Reader.text),
    "run_if": ("condition", _Reader.value),
    "retry": ("retry", _Reader.retry),
    "timeout": ("timeout", _Reader.timeout),
    "constraints": ("constraints", _Reader.constraints),
    "after": ("after", _Reader.after),
    "fallback": ("fallback", _Reader.value),
    "cache": ("cache", lambda reader, given, place: reader.cache(given, place)),
    "jump": ("jump", _Reader.jump),
}
_OPTIONS: Final = frozenset(_READERS)


def _step(read: Callable[[Any], Any], value: object, step: str, key: object) -> Any:
    try:
        return read(value)
    except Problem as problem:
        problem.steps.append(step.format(key))
        raise


def _only(fields: Mapping[str, object], *names: str) -> None:
    if fields.keys() != {TAG, *names}:
        raise Problem(f"a value of kind '{fields[TAG]}' has {' and '.join(names)} and nothing else")
