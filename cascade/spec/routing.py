"""Routers: choose one of several values while the run goes on.

In: a selector and a table of routes. Out: an object that may stand wherever a value may. Invariant: only the chosen
route runs, ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascade.context import get_current_context
from cascade.interfaces.exceptions import LazyUseError
from cascade.spec.policy import UNSET
from cascade.spec.standin import StandIn

__all__ = ["Router"]


class Router(StandIn):
    """Stands for the value of the route whose key the `selector` gives.

    Args:
        selector: a lazy result, Param or value that gives a key.
        routes: values, lazy or not, by key.
        default: the value when no route has the key; without it an unknown key is a `RouteError`.
        name: shown in views.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def cheap(): return "cheap"
        >>> @cs.task
        ... def exact(): return "exact"
        >>> way = cs.Router(selector=cs.Param("way", default="cheap"), routes={"cheap": cheap(), "exact": exact()})
        >>> cs.run(way, log_level="ERROR")
        'cheap'
    """

    __slots__ = ("default", "name", "routes", "selector")

    def __init__(self, selector: object, routes: Mapping[Any, object], default: object = UNSET, name: str = "") -> None:
        """Check that there is something to choose from."""
        if not isinstance(routes, Mapping) or (not routes and default is UNSET):
            raise ValueError("A Router needs routes={key: value, …}, with at least one route or a default.")
        self.selector = selector
        self.routes = dict(routes)
        self.default = default
        self.name = name

    @property
    def label(self) -> str:
        """The name, or one made of the selector's."""
        if self.name:
            return self.name
        chooser = getattr(self.selector, "_label", None) or getattr(self.selector, "name", None)
        return f"{chooser}?" if isinstance(chooser, str) else "choose"

    def __bool__(self) -> bool:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_truth(self.label)

    def __iter__(self) -> Any:
        """Refuse: there is no value yet."""
        raise LazyUseError.for_iteration(self.label)

    def __repr__(self) -> str:
        """Show the routes' keys."""
        return f"Router({self.label!r}, routes={list(self.routes)!r})"

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Show the graph as a picture in a notebook."""
        return get_current_context().bundle_of(self)
