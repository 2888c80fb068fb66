"""One expression or statement → whose value it probably changes in place.

In: a node of the syntax tree. Out: names. Invariant: a guess from the text alone: it may name too much, since whoever
acts on it compares the values before and after.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["changed_by", "items_of", "root_of"]

# fmt: off
_METHODS = frozenset({
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "appendleft", "popleft", "extendleft",
    "rotate", "update", "setdefault", "popitem", "add", "discard", "difference_update", "intersection_update",
    "symmetric_difference_update", "fill", "resize", "put", "partition", "itemset", "setflags", "fit", "partial_fit",
    "fit_transform", "fit_predict",
})
# Functions that change their first argument, by their last name.
_FUNCTIONS = frozenset({
    "shuffle", "heappush", "heappop", "heapify", "heapreplace", "insort", "insort_left", "insort_right", "setattr",
    "delattr", "fill_diagonal", "copyto", "place", "putmask",
})
# fmt: on
# Methods that lead into the value, not to a new one.
_INWARD = frozenset({"setdefault", "get"})
# What goes through a value one by one, and hands out its own items.
_WALKS = frozenset({"enumerate", "zip", "reversed", "sorted", "list", "tuple", "iter", "filter"})


def root_of(node: ast.expr) -> str:
    """Return the name at the root of ``name.a[0].b``; empty when there is none.

    Example:
        >>> root_of(ast.parse("df.loc[0, 'a']", mode="eval").body)
        'df'
    """
    while True:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _INWARD:
            node = node.func.value
        else:
            return ""


def items_of(node: ast.expr) -> list[str]:
    """Return the names whose items a loop over `node` meets: of ``enumerate(rows)`` it is ``rows``."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in _WALKS:
            return [name for argument in node.args for name in items_of(argument)]
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"values", "items"} and not node.args:
            return items_of(node.func.value)
        return []
    name = root_of(node)
    return [name] if name else []


def changed_by(node: ast.AST) -> Iterator[str]:
    """Yield the names whose values this one node, without those below it, probably changes."""
    if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield root_of(node)
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
    elif isinstance(node, ast.Call):
        yield from _changed_by_call(node)


def _changed_by_call(node: ast.Call) -> Iterator[str]:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    is_sum = name == "add" and len(node.args) != 1  # of NumPy; a set takes one
    if isinstance(function, ast.Attribute) and ((name in _METHODS and not is_sum) or _is_in_place(node)):
        yield root_of(function)
    if name in _FUNCTIONS and node.args:
        yield root_of(node.args[0])
    for keyword in node.keywords:
        if keyword.arg == "out":
            yield root_of(keyword.value)


def _is_in_place(node: ast.Call) -> bool:
    """Whether ``inplace=`` is anything but a plain False."""
    given = [keyword.value for keyword in node.keywords if keyword.arg == "inplace"]
    return any(not (isinstance(value, ast.Constant) and value.value is False) for value in given)
