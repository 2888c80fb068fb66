"""Lazy values that a call returned ↔ what a store keeps of them.

In: a lazy value and the `Surroundings` of the task that returned it. Out: a `Grown`, and back. Invariant: what comes
back is what the function would return now: tasks, Params and resources are those that its code uses at this moment,
with what is said about them now. What cannot be given back exactly is refused; neither a function nor a secret is ever
written.

It is a graph file whose names mean something else: they are looked up among what the code uses, not in the registry.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.deserialize import OF_TASK, Reader
from cascade.graph.literals import TAG, Problem
from cascade.graph.serialize import Writer
from cascade.graph.strict_json import Record, as_name, as_text
from cascade.interfaces.exceptions import GraphFormatError
from cascade.interfaces.records import Grown
from cascade.runtime.surroundings import registered, settings_of
from cascade.spec.cache import ByContent, TimeToLive
from cascade.spec.policy import PLAIN, Options
from cascade.spec.resource import Resource

if TYPE_CHECKING:
    from cascade.runtime.redaction import Redactor
    from cascade.runtime.surroundings import Surroundings
    from cascade.spec.control import JumpSelector
    from cascade.spec.input import Input
    from cascade.spec.lazy_types import LazyResult
    from cascade.spec.task import Task

__all__ = ["MOST_CALLS", "read_growth", "write_growth"]

MOST_CALLS: Final = 20_000  # of one value; writing more takes longer than most functions that return them
_LIBRARIES: Final = frozenset({"numpy", "pandas", "polars", "pyarrow"})  # whose values have codecs of their own
_KINDS: Final = frozenset({"ndarray", "DataFrame", "Series", "Table"})
_NUMBERS: Final = frozenset("biufcmM")  # kinds of arrays in which no secret text can stand
_ATOMS: Final = (int, float, complex, str, bytes, type(None))  # which nobody can tell from their copies
_TASK: Final = frozenset({"key", "settings"})
_INPUT: Final = frozenset({"word", "name", "settings"})
_INPUT_MORE: Final = frozenset({"made"})  # the whole of what the code itself made


def write_growth(
    value: object, around: Surroundings, redact: Redactor, live: Iterable[object] = ()
) -> tuple[Grown, str]:
    """Return what a store keeps of a lazy value, and the name of a call in it that is not remembered itself, if any.

    Args:
        live: the instances of resources, of which a copy would be another one.

    Raises:
        GraphFormatError: when that cannot be, with the place. Problem: the same, of the value as a whole.
    """
    writer = _Writer(around, live)
    text = writer.write(value)
    if redact.secrets and (redact(text) != text or not all(map(_is_of_numbers, writer.leaves))):
        raise Problem("a secret may stand among their arguments")
    return Grown(text, tuple(writer.leaves)), writer.forgotten


def read_growth(grown: Grown, around: Surroundings) -> Any:
    """Return the lazy value, made of what there is now.

    Raises:
        GraphFormatError: when something that it names is not there any more, or not as it was.
    """
    return _Reader(around, grown.leaves).read_text(grown.text)


def _is_of_numbers(leaf: object) -> bool:
    return getattr(getattr(leaf, "dtype", None), "kind", "") in _NUMBERS


def _is_registered(item: Input) -> bool:
    """Whether a Param or Env, or an equal one, is what goes by its name; of the default of a secret nobody may tell."""
    known = registered(item.word, item.name)
    if known is None or (item.secret and not item.required):
        return False
    return known is item or settings_of(known) == settings_of(item)


class _Writer(Writer):
    """Writes calls of tasks that the surroundings lead back to.

    Attributes:
        leaves: values with codecs of their own. used: the tasks, by number. refined: those of them of which a call was
            told more than its task says of all. forgotten: the name of a call that is not remembered.
    """

    def __init__(self, around: Surroundings, live: Iterable[object]) -> None:
        super().__init__()
        self.around = around
        self.live = {id(each) for each in live if not isinstance(each, _ATOMS)}
        self.leaves: list[Any] = []
        self.used: dict[int, tuple[int, Task[..., Any]]] = {}
        self.refined: set[int] = set()
        self.places: dict[int, int] = {}
        self.is_jump = False
        self.forgotten = ""

    def call(self, call: LazyResult[Any]) -> dict[str, object]:
        options = call._options or PLAIN  # noqa: SLF001 - a recorded call has no public face for it
        if options.cache is False or not (options.cache or call._task.pure):  # noqa: SLF001 - the same
            self.forgotten = call._label  # noqa: SLF001 - the same
        if len(self.nodes) >= MOST_CALLS:
            raise Problem(f"they are more than {MOST_CALLS:,}")
        return super().call(call)

    def task(self, task: Task[..., Any], where: str) -> int:
        known: Task[..., Any] = self.guard(where, lambda: self.around.same_task(task))  # type: ignore[assignment]
        number, _ = self.used.setdefault(id(known), (len(self.used), known))
        return number

    def task_records(self) -> list[object]:
        found: list[object] = []
        for number, task in self.used.values():
            settings = self.guard(f"Task '{task.name}'", lambda task=task: settings_of(task))  # type: ignore[misc]
            found.append({"key": task.key, "settings": settings if number in self.refined else ""})
        return found

    def said(self, call: LazyResult[Any], where: str) -> dict[str, object] | None:
        if self.is_jump:  # of what a loop goes on with only the arguments count
            return None
        task, options = call._task, call._options  # noqa: SLF001 - a recorded call has no public face for it
        known = self.around.same_task(task)
        if options is known.options or (options is task.options and settings_of(task) == settings_of(known)):
            return None
        if options is None:
            raise GraphFormatError.for_value(where, "it lacks what its task says of every call")
        self.refined.add(self.used[id(known)][0])
        return self.options(options, known.options or PLAIN, where)

    def cache(self, policy: object, where: str) -> object:
        if policy is True or policy is False:
            return [policy]
        if type(policy) is TimeToLive:
            return ["ttl", policy.seconds]
        if type(policy) is ByContent:
            return ["by_content", policy.single_flight, policy.strict]
        return super().cache(policy, where)

    def jump(self, jumps: JumpSelector, where: str) -> dict[str, object]:
        self.is_jump = True
        try:
            return super().jump(jumps, where)
        finally:
            self.is_jump = False

    def input(self, item: Input) -> int:
        """Write a Param or Env that the code shows by its name; one that the code made goes along as a whole."""
        if id(item) in self.inputs:
            return self.inputs[id(item)]
        shown = self.around.input(item.word, item.name)
        if shown is not item and (shown is not None or not _is_registered(item)):
            raise Problem(f"its code does not show where the {item.word} '{item.name}' comes from")
        record: dict[str, object] = {"word": item.word, "name": item.name, "settings": ""}
        if shown is None:
            record["settings"] = settings_of(item)
            super().input(item)
            record["made"] = self.input_records.pop()
        self.inputs[id(item)] = len(self.input_records)
        self.input_records.append(record)
        return self.inputs[id(item)]

    def inner(self, value: Any) -> object:
        if id(value) in self.live:
            raise Problem("the instance of a resource cannot be stored")
        if isinstance(value, Resource):
            if self.around.resource(value.name) is not value:
                raise Problem(f"its code does not show where the resource '{value.name}' comes from")
            return {TAG: "resource", "name": value.name}
        if type(value).__module__.partition(".")[0] in _LIBRARIES:
            return self.leaf(value)
        return super().inner(value)

    def leaf(self, value: Any) -> object:
        """Put a value beside the text; a single number as an array without dimensions."""
        numpy = sys.modules.get("numpy")
        is_scalar = numpy is not None and isinstance(value, numpy.generic)
        kind = type(value).__name__
        if not is_scalar and kind not in _KINDS:
            raise Problem(f"a graph file cannot hold a {type(value).__module__}.{kind}")
        place = self.places.get(id(value))
        if place is None:
            place = self.places[id(value)] = len(self.leaves)
            self.leaves.append(numpy.asarray(value) if numpy is not None and is_scalar else value)
        return {TAG: "scalar" if is_scalar else "leaf", "of": place}


class _Reader(Reader):
    """Reads calls of tasks that the surroundings have."""

    def __init__(self, around: Surroundings, leaves: tuple[Any, ...]) -> None:
        super().__init__()
        self.around = around
        self.leaves = leaves

    def task(self, record: object, place: str) -> tuple[Task[..., Any], str]:
        fields = Record(record, place, _TASK, frozenset())
        key = as_name(fields["key"], f"{place}.key")
        found: Task[..., Any] = self.guard(place, lambda: self.around.task(key))
        self.check_settings(found, fields["settings"], place)
        return found, found.name

    def input(self, record: object, place: str) -> Input:
        fields = Record(record, place, _INPUT, _INPUT_MORE)
        word, name = as_text(fields["word"], place), as_name(fields["name"], place)
        found: Input | None = self.guard(place, lambda: self.around.input(word, name))
        if fields["settings"]:
            found = registered(word, name)
            if found is None:
                return super().input(fields["made"], place)  # as the code would
        if found is None:
            raise GraphFormatError.at(place, f"there is no {word} '{name}' any more")
        self.check_settings(found, fields["settings"], place)
        return found

    def check_settings(self, found: Task[..., Any] | Input, told: object, place: str) -> None:
        if told and self.guard(place, lambda: settings_of(found)) != told:
            raise GraphFormatError.at(place, f"something else is said about '{found.name}' now")

    def unsaid(self, task: Task[..., Any]) -> Options | None:
        return task.options

    def cache(self, given: object, place: str) -> object:
        told = given if isinstance(given, list) else [None]
        if told in ([True], [False]):
            return told[0]
        if told[0] == "ttl" and len(told) == 2:  # noqa: PLR2004 - the word and the seconds
            return TimeToLive(self.number(told[1], place))
        if told[0] == "by_content" and len(told) == 3:  # noqa: PLR2004 - the word and two truth values
            return ByContent(single_flight=told[1] is True, strict=told[2] is True)
        raise GraphFormatError.at(place, f"a cache policy is needed, or {OF_TASK!r}")

    def special(self, fields: dict[str, Any]) -> Any:
        tag = fields[TAG]
        if tag == "resource":
            return self.around.resource(as_name(fields.get("name"), "a resource"))
        if tag not in ("leaf", "scalar"):
            return super().special(fields)
        place = fields.get("of")
        if type(place) is not int or not 0 <= place < len(self.leaves):
            raise Problem("'of' is not the number of one of the values beside it")
        return self.leaves[place][()] if tag == "scalar" else self.leaves[place]
