"""The run's connector, for tasks that wait for messages.

In: what ``connector=`` says, and the run's resources. Out: these with one more, `RUN_CONNECTOR`. Invariant: nothing is
opened before a task asks for it; what such a task does with it cannot end the run's own connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

from cascade.spec.resource import Resource

__all__ = ["RUN_CONNECTOR", "offer_connector"]

RUN_CONNECTOR: Final = "run_connector"  # the name by which `cs.recv` asks for it


def offer_connector(connector: Any, resources: Any, open_connector: Callable[[Any], Any]) -> Any:
    """Return `resources` with the run's connector among them, unless one of that name is there already.

    Args:
        connector: a connector, or an address. open_connector: makes a connector of either.
    """

    async def run_connector() -> AsyncIterator[Any]:
        given = open_connector(connector)
        make = getattr(given, "for_run", None)
        opened = make() if callable(make) else given
        if not getattr(opened, "is_connected", False):
            await opened.connect()  # on this loop; that of the run's telemetry is another one
        try:
            yield opened
        finally:
            if opened is not given or isinstance(connector, str):
                await opened.disconnect()

    made = Resource(run_connector, RUN_CONNECTOR, "run")
    if isinstance(resources, Mapping):
        return {RUN_CONNECTOR: made, **resources}
    if not isinstance(resources, Iterable) or isinstance(resources, (Resource, str)):
        return resources  # wrong, as the run will say
    listed = list(resources)
    return listed if any(getattr(each, "name", "") == RUN_CONNECTOR for each in listed) else [*listed, made]
