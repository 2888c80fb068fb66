"""A graph file → lazy results that can be run.

In: text from anywhere. Out: a lazy target. Invariant: the file is data: a closed vocabulary, bounds, references only
to nodes that stand before; tasks are found in the workflow context only, and nothing is imported or called.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

from cascade.context import get_current_context
from cascade.graph.literals import MOST_DEPTH, TAG, Problem, from_tagged
from cascade.graph.type_words import EXCEPTIONS, type_from_word
from cascade.interfaces.exceptions import GraphFormatError, nearest
from cascade.spec.input import Env, Input, Param
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult, Unmapped
from cascade.spec.policy import UNSET, Options, RetryPolicy
from cascade.spec.resource import Inject
from cascade.spec.routing import Router
from cascade.spec.task import Task

__all__ = ["FORMAT", "MOST_NODES", "MOST_TEXT", "VERSION", "from_json"]

FORMAT: Final = "cascade graph"
VERSION: Final = 1
MOST_TEXT: Final = 1 << 28  # characters
MOST_NODES: Final = 1_000_000
_LONGEST_NUMBER: Final = 40  # characters; whole numbers beyond 2**53 are written as text


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
    document = _Record(_parse(text), "the file", {"format", "version", "tasks", "inputs", "nodes", "target"})
    if document["format"] != FORMAT:
        raise GraphFormatError.at("format", f"it says {str(document['format'])[:60]!r}, not {FORMAT!r}")
    if type(document["version"]) is not int or document["version"] != VERSION:
        raise GraphFormatError.at("version", f"this cascade reads version {VERSION} only")
    return _Reader().read(document)


def _parse(text: str | bytes) -> object:
    if not isinstance(text, (str, bytes)):
        raise GraphFormatError.at("the file", f"text is needed, not {type(text).__name__}")
    if len(text) > MOST_TEXT:
        raise GraphFormatError.at("the file", f"it is longer than {MOST_TEXT:,} characters")
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_parse_int, parse_float=_parse_float
        )
    except RecursionError:
        raise GraphFormatError.at("the file", "it is nested too deeply") from None
    except Problem as problem:
        raise GraphFormatError.at("the file", str(problem)) from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise GraphFormatError.at("the file", f"it is not JSON ({error})") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for name, value in pairs:
        if name in made:
            raise Problem(f"the key {name[:60]!r} stands twice in one object")
        made[name] = value
    return made


def _no_constant(name: str) -> NoReturn:
    raise Problem(f"{name} is not JSON")


def _parse_int(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise Problem(f"a number has {len(digits):,} digits")
    return int(digits)


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not abs(number) < float("inf"):
        raise Problem(f"the number {digits[:40]} is too large")
    return number


class _Record(dict[str, Any]):
    """An object of the file, all of whose keys are known and none that is needed is missing."""

    def __init__(self, value: object, place: str, needed: Iterable[str], optional: Iterable[str] = ()) -> None:
        if not isinstance(value, dict):
            raise GraphFormatError.at(place, f"an object is needed, not {_word(value)}")
        needed, known = set(needed), {*needed, *optional}
        for name in value:
            if name not in known:
                hint = nearest(name[:60], known).strip().rstrip(".")
                raise GraphFormatError.at(place, f"{name[:60]!r} means nothing here. {hint}".rstrip(". "))
        missing = sorted(needed - value.keys())
        if missing:
            raise GraphFormatError.at(place, f"{', '.join(missing)} is missing")
        super().__init__(value)


def _word(value: object) -> str:
    words = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return words.get(type(value), "a number")


def _list(value: object, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise GraphFormatError.at(place, f"a list is needed, not {_word(value)}")
    return value


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise GraphFormatError.at(place, f"text is needed, not {_word(value)}")
    return value


class _Reader:
    """Makes calls of records, in the order of the file.

    Responsible for: places in errors, references, what is allowed where. Refuses: looking anything up but tasks.
    """

    def __init__(self) -> None:
        self.registered = get_current_context().tasks
        self.tasks: list[tuple[Task[..., Any], str]] = []
        self.inputs: list[Input] = []
        self.calls: list[LazyResult[Any] | Router] = []
        self.referred = False
        self.depth = 0

    def read(self, document: Mapping[str, Any]) -> Any:
        records = _list(document["nodes"], "nodes")
        if len(records) > MOST_NODES:
            raise GraphFormatError.at("nodes", f"there are more than {MOST_NODES:,}")
        for i, record in enumerate(_list(document["tasks"], "tasks")):
            self.tasks.append(self.task(record, f"tasks[{i}]"))
        for i, record in enumerate(_list(document["inputs"], "inputs")):
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
        fields = _Record(record, place, {"key", "name"})
        key, name = _text(fields["key"], f"{place}.key"), _text(fields["name"], f"{place}.name")
        if key not in self.registered:
            hint = nearest(key[:200], self.registered).strip() or "None is registered."
            problem = (
                f"no task is registered as {key[:200]!r}. {hint} Import the module, or run the cell, that defines it"
            )
            raise GraphFormatError.at(place, problem)
        return self.registered[key], name

    def input(self, record: object, place: str) -> Input:
        fields = _Record(record, place, {"kind", "name", "type"}, {"description", "secret", "default", "choices"})
        kinds: dict[str, type[Input]] = {"param": Param, "env": Env}
        kind = _text(fields["kind"], f"{place}.kind")
        if kind not in kinds:
            raise GraphFormatError.at(f"{place}.kind", "it is 'param' or 'env'")
        name = _text(fields["name"], f"{place}.name")
        secret = fields.get("secret", False)
        if not name or not isinstance(secret, bool):
            raise GraphFormatError.at(place, "name is text that is not empty, and secret is true or false")
        choices = None
        if "choices" in fields:
            listed = _list(fields["choices"], f"{place}.choices")
            choices = [self.literal(choice, f"{place}.choices[{i}]") for i, choice in enumerate(listed)]
        default = self.literal(fields["default"], f"{place}.default") if "default" in fields else UNSET
        wanted = self.guard(f"{place}.type", lambda: type_from_word(fields["type"], self.plain))
        made = kinds[kind].__new__(kinds[kind])  # not by Param(…), which would replace the registered one
        description = self.text(fields.get("description", ""), f"{place}.description")
        Input.__init__(made, name, default, wanted, description, choices, secret=secret)
        return made

    def call(self, record: object, place: str) -> LazyResult[Any]:
        fields = _Record(record, place, {"task"}, {"args", "kwargs", "options", "map"})
        number = fields["task"]
        if type(number) is not int or not 0 <= number < len(self.tasks):
            raise GraphFormatError.at(f"{place}.task", "it is not the number of one of the tasks")
        task, name = self.tasks[number]
        listed = _list(fields.get("args", []), f"{place}.args")
        args = tuple([self.value(value, f"{place}.args[{i}]") for i, value in enumerate(listed)])
        named = fields.get("kwargs", {})
        if not isinstance(named, dict):
            raise GraphFormatError.at(f"{place}.kwargs", f"an object is needed, not {_word(named)}")
        kwargs = {k: self.value(v, f"{place}.kwargs[{k[:60]!r}]") for k, v in named.items()} or None
        options = self.options(fields["options"], f"{place}.options") if "options" in fields else None
        if name != task.name and (options is None or options.name is None):
            options = (options or Options()).but(name=name)
        try:
            task(*args, **(kwargs or {}))  # records a call, which is thrown away: it checks the arguments
        except TypeError as error:
            raise GraphFormatError.at(place, str(error).rstrip(".")) from None
        if "map" not in fields:
            return LazyResult(task, args, kwargs, options)
        return self.map(fields["map"], f"{place}.map", LazyResult(task, args, kwargs, options))

    def map(self, record: object, place: str, call: LazyResult[Any]) -> LazyMap[Any]:
        fields = _Record(record, place, {"max_concurrency", "on_error"})
        most, on_error = fields["max_concurrency"], fields["on_error"]
        if most is not None and (type(most) is not int or most < 1):
            raise GraphFormatError.at(f"{place}.max_concurrency", "it is null or a whole number of at least 1")
        if on_error not in ("fail", "collect"):
            raise GraphFormatError.at(f"{place}.on_error", "it is 'fail' or 'collect'")
        parts = (call._task, call._args, call._kwargs, call._options)  # noqa: SLF001
        return LazyMap(*parts, max_concurrency=most, on_error=on_error)

    def router(self, record: object, place: str) -> Router:
        outer = _Record(record, place, {"router"})
        place = f"{place}.router"
        fields = _Record(outer["router"], place, {"selector", "routes"}, {"default", "name"})
        routes: dict[Any, Any] = {}
        for i, pair in enumerate(_list(fields["routes"], f"{place}.routes")):
            if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004
                raise GraphFormatError.at(f"{place}.routes[{i}]", "a key and a value are needed")
            key = self.literal(pair[0], f"{place}.routes[{i}]")
            try:
                is_new = key not in routes
            except TypeError:
                is_new = False
            if not is_new:
                raise GraphFormatError.at(f"{place}.routes[{i}]", "the key cannot be a key, or stands twice")
            routes[key] = self.value(pair[1], f"{place}.routes[{i}]")
        default = self.value(fields["default"], f"{place}.default") if "default" in fields else UNSET
        name = self.text(fields.get("name", ""), f"{place}.name")
        try:
            return Router(self.value(fields["selector"], f"{place}.selector"), routes, default, name)
        except ValueError as error:
            raise GraphFormatError.at(place, str(error).rstrip(".")) from None

    # -- options --------------------------------------------------------------------------------------------------

    def options(self, record: object, place: str) -> Options:
        known = ("name", "run_if", "retry", "timeout", "constraints", "after", "fallback")
        fields = _Record(record, place, (), known)
        changes: dict[str, object] = {}
        if "name" in fields:
            changes["name"] = self.text(fields["name"], f"{place}.name")
        if "run_if" in fields:
            changes["condition"] = self.value(fields["run_if"], f"{place}.run_if")
        if "retry" in fields:
            changes["retry"] = self.retry(fields["retry"], f"{place}.retry")
        if "timeout" in fields:
            seconds = self.number(fields["timeout"], f"{place}.timeout")
            if not seconds:
                raise GraphFormatError.at(f"{place}.timeout", "a number above 0 is needed")
            changes["timeout"] = float(seconds)
        if "constraints" in fields:
            amounts = fields["constraints"]
            if not isinstance(amounts, dict):
                raise GraphFormatError.at(f"{place}.constraints", f"an object is needed, not {_word(amounts)}")
            changes["constraints"] = {k: self.value(v, f"{place}.constraints") for k, v in amounts.items()}
        if "after" in fields:
            listed = _list(fields["after"], f"{place}.after")
            changes["after"] = tuple([self.value(v, f"{place}.after[{i}]") for i, v in enumerate(listed)])
        if "fallback" in fields:
            changes["fallback"] = self.value(fields["fallback"], f"{place}.fallback")
        return Options().but(**changes)

    def retry(self, record: object, place: str) -> RetryPolicy:
        needed = ("max_attempts", "delay", "backoff", "jitter", "max_delay", "retry_on")
        fields = _Record(record, place, needed)
        if type(fields["max_attempts"]) is not int:
            raise GraphFormatError.at(f"{place}.max_attempts", "a whole number is needed")
        numbers: dict[str, Any] = {"max_attempts": fields["max_attempts"], "max_delay": None}
        for name in ("delay", "backoff", "jitter", "max_delay"):
            if name != "max_delay" or fields[name] is not None:
                numbers[name] = self.number(fields[name], f"{place}.{name}")
        listed = fields["retry_on"] if isinstance(fields["retry_on"], list) else [fields["retry_on"]]
        kinds = []
        for name in listed:
            if not isinstance(name, str) or name not in EXCEPTIONS:
                hint = nearest(str(name)[:60], EXCEPTIONS).strip().rstrip(".")
                raise GraphFormatError.at(f"{place}.retry_on", f"{name!r:.60} is no built-in exception. {hint}")
            kinds.append(EXCEPTIONS[name])
        numbers["retry_on"] = tuple(kinds) if isinstance(fields["retry_on"], list) else kinds[0]
        try:
            return RetryPolicy(**numbers)
        except (TypeError, ValueError) as error:
            raise GraphFormatError.at(place, str(error).rstrip(".")) from None

    # -- values ---------------------------------------------------------------------------------------------------

    def value(self, value: object, place: str) -> Any:
        """Return what a value of the file stands for; an error names `place` and the steps from there."""
        if type(value) is bool or value is None:
            return value
        return self.guard(place, lambda: self.any(value))

    def literal(self, value: object, place: str) -> Any:
        """Return a value in which nothing lazy may stand."""
        return self.guard(place, lambda: self.plain(value))

    def text(self, value: object, place: str) -> str:
        return _text(self.literal(value, place), place)

    def number(self, value: object, place: str) -> float:
        number = self.literal(value, place)
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not number >= 0:
            raise GraphFormatError.at(place, "a number of at least 0 is needed")
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
        kind = type(value)
        if kind is not list and kind is not dict:
            return value
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise Problem(f"containers are nested more than {MOST_DEPTH} deep")
        try:
            if kind is list:
                made: Any = []
                for i, item in enumerate(value):
                    made.append(_step(read, item, f"[{i}]"))
            elif TAG not in value:
                made = {key: _step(read, item, f"[{key[:60]!r}]") for key, item in value.items()}
            else:
                made = special(value)
                if made is None:
                    made = from_tagged(value, read)
        finally:
            self.depth -= 1
        return made

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
            if type(fields["name"]) is not str or not fields["name"]:
                raise Problem("the name of a resource is text")
            return Inject(fields["name"])
        if tag == "unmapped":
            _only(fields, "value")
            return Unmapped(_step(self.any, fields["value"], ".value"))
        return None

    def ref(self, fields: dict[str, Any]) -> LazyResult[Any] | Router:
        _only(fields, *(("node", "path") if "path" in fields else ("node",)))
        number = fields["node"]
        if type(number) is not int or not 0 <= number < len(self.calls):
            raise Problem(f"node {number!r:.40} is not one that stands before this place")
        self.referred = True
        call = self.calls[number]
        if "path" not in fields:
            return call
        keys = fields["path"]
        if type(keys) is not list or not keys or not isinstance(call, LazyResult):
            raise Problem("a path is a list of keys into the value of a task")
        return LazyItem(call, tuple([_step(self.any, key, f".path[{i}]") for i, key in enumerate(keys)]))


def _step(read: Callable[[Any], Any], value: object, step: str) -> Any:
    try:
        return read(value)
    except Problem as problem:
        problem.steps.append(step)
        raise


def _only(fields: Mapping[str, object], *names: str) -> None:
    if fields.keys() != {TAG, *names}:
        raise Problem(f"a value of kind '{fields[TAG]}' has {' and '.join(names)} and nothing else")
