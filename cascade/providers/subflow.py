"""``cs.subflow``: a target that runs inside of a run, with Params of its own.

In: a target, or the text of a graph file, and values of its Params. Out: the target's value. Invariant: it is no run
within a run: the calls of the target join the graph of the run that is going on, so that they share its capacities,
limits, resources, store, log and view, and can be stored, retried and looked at like any other.

The target travels as a graph file. So it can be mapped over Params, kept, sent elsewhere, and told from another one by
what it says; and values that no graph file can hold (a data frame as an argument) are refused when it is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import cascade as cs
from cascade.providers.errors import ProviderError, clip, nearest, short

__all__ = ["SubflowError", "subflow"]


class SubflowError(ProviderError, ValueError):
    """A target cannot run inside of a run, or not with these Params."""

    @classmethod
    def for_name(cls, name: object, known: Mapping[str, object]) -> SubflowError:
        """A value for a Param that the target does not have."""
        hint = nearest(name, known) or " It has no Params."
        return cls(f"The target of cs.subflow has no Param named '{clip(name)}'.{hint}")


class _Subflow:
    """Makes the calls; it is called, and mapped, as a task is."""

    __name__ = __qualname__ = name = "subflow"

    def __call__(self, target: Any, /, params: Mapping[str, Any] | None = None) -> cs.LazyResult[Any]:
        """Run a target inside of this run, with other Params.

        Params that are not set have the values that they have in the run. `with_timeout`, `with_retry` and
        `with_fallback` hold for the target as a whole: its time is counted from the start, and when it is over, or one
        of its calls fails for good, what only the target needs is stopped. Another try computes all of it again, but
        for calls of ``pure=True`` tasks that are done. Capacities are those of the target's own calls, and so is what
        is stored: `with_cache` on the subflow stores nothing, and a warning says so.

        Args:
            target: a lazy result, a Router, lists and dicts of them, or what `cs.to_json` made of one.
            params: values of its Params by name; they may be lazy results.

        Raises:
            SubflowError: when the target has no such Param. GraphFormatError: when no graph file can hold the target.

        Example:
            >>> import cascade as cs
            >>> @cs.task
            ... def power(exponent): return 2 ** exponent
            >>> flow = power(cs.Param("exponent", default=3, type=int))
            >>> cs.run([flow, cs.subflow(flow, {"exponent": flow})], log_level="ERROR")
            [8, 256]
        """
        text = _text_of(target)
        return join(text, params, _inputs(text, params))

    def map(self, target: Any, /, params: Any, **rules: Any) -> cs.LazyResult[Any]:
        """Run a target once for each of several ``params``, as one node; the value is a list in their order.

        Args:
            target: as in a call. params: an iterable of mappings, a lazy one too. rules: as of every map;
                ``on_error="collect"`` gives the error of a target that failed in the place of its value.

        Example:
            >>> import cascade as cs
            >>> @cs.task
            ... def square(x): return x * x
            >>> flow = square(cs.Param("x", type=int))
            >>> cs.run(cs.subflow.map(flow, [{"x": 2}, {"x": 3}]), log_level="ERROR")
            [4, 9]
        """
        text = _text_of(target)
        set_ = (
            {name for each in params if isinstance(each, Mapping) for name in each}
            if isinstance(params, list)
            else None
        )
        inputs = _inputs(text, None if set_ is None else dict.fromkeys(set_)) if set_ is not None else {}
        return join.map(text, params, cs.unmapped(inputs), **rules)

    def __repr__(self) -> str:
        """Show the name."""
        return "<provider cs.subflow>"

    def __reduce__(self) -> str:
        """Travel as the name in this module."""
        return "subflow"


subflow = _Subflow()


@cs.task(name="subflow")  # async: with a timeout, too, it runs here, where the tasks of the graph are registered
async def join(graph: str, params: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None) -> Any:
    """Return the target that the text of a graph file says, with values for its Params.

    Args:
        graph: the text. params: what was set. inputs: the values that the others have in this run.
    """
    document = _read(graph)
    given = params if params is not None else {}
    if not isinstance(given, Mapping):
        raise SubflowError(f"params of cs.subflow maps names to values; it is {short(given)}.")
    records = _params_of(document)
    for name in given:
        if name not in records:
            raise SubflowError.for_name(name, records)
    mark = blake2b(repr([graph, _plain(given, records)]).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    for name, record in records.items():
        if name in given:
            record["default"] = _written(name, given[name])
            record["name"] = f"{name} (subflow {mark})"  # another value than the Param of that name has in the run
        elif record.get("secret") and name in (inputs or {}):
            record["default"] = _written(name, (inputs or {})[name])  # no file says the default of a secret
    return cs.from_json(json.dumps(document))


def _text_of(target: object) -> str:
    """Return a target as the text of a graph file."""
    if isinstance(target, (bytes, bytearray)):
        target = bytes(target).decode("utf-8", "replace")
    if isinstance(target, str):
        cs.from_json(target)  # what is wrong with it is said now
        return target
    return cs.to_json(target)


def _inputs(text: str, params: object) -> dict[str, Any]:
    """Return the Params and Envs of the run that the target reads, so that a missing one is said before the run."""
    document = _read(text)
    records = _params_of(document)
    if params is not None and not isinstance(params, Mapping):
        return {}  # worked out in the run
    given = params or {}
    for name in given:
        if name not in records:
            raise SubflowError.for_name(name, records)
    known = cs.get_current_context().params
    return {name: known[name] for name in records if name not in given and name in known}


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        if isinstance(found, dict) and isinstance(found["inputs"], list):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise SubflowError("The target of cs.subflow is text, but no graph file. cs.to_json(target) makes one.")


def _params_of(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    records = [each for each in document["inputs"] if isinstance(each, dict) and each.get("kind") == "param"]
    return {str(each.get("name")): each for each in records}


def _plain(given: Mapping[str, Any], records: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Return what tells one set of values from another, without those that are secret."""
    return [(name, repr(value)) for name, value in given.items() if not records[name].get("secret")]


def _written(name: str, value: Any) -> Any:
    """Return a value as graph files write it."""
    try:
        return json.loads(cs.to_json(join(value)))["nodes"][0]["args"][0]
    except ValueError as error:
        raise SubflowError(
            f"The value for Param '{clip(name)}' of a subflow is a {type(value).__name__}, which no graph file can "
            "hold. Pass text, numbers, or lists and dicts of them; or have a task return the calls."
        ) from error
