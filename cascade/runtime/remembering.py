"""What ``cache=`` of a run means: which store it names.

In: a store, a cache backend, a folder, or True. Out: a flow that remembers. Invariant: the only place of the runtime
that knows an adapter by name, since it is where defaults are wired together.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascade.interfaces.exceptions import CascadeError

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Store
    from cascade.runtime.flow import Flow

__all__ = ["open_store", "remember", "secret_of"]

FOLDER = ".cascade"


def open_store(cache: Any) -> Store:
    """Return the store that ``cache=`` names.

    Args:
        cache: a store; a `CacheBackend`; the path of a folder; True: the folder ``.cascade``.

    Raises:
        CascadeError: when it is none of these.
    """
    if hasattr(cache, "find_recipes"):
        return cache  # type: ignore[no-any-return]
    if cache is True or isinstance(cache, (str, os.PathLike)):
        from cascade.adapters.stores.local import LocalStore

        return LocalStore(FOLDER if cache is True else Path(cache))
    if hasattr(cache, "get") and hasattr(cache, "put"):
        from cascade.adapters.stores.remote import BackendStore

        return BackendStore(cache)
    raise CascadeError(
        f"cache is a store, a cache backend, the path of a folder or True, not {type(cache).__name__}. "
        "Write cache='.cascade' to remember results in that folder."
    )


def remember(flow: Flow, cache: Any, *, fresh: bool) -> None:
    """Let `flow` remember its results in the store that `cache` names."""
    from cascade.runtime.rebuilder import Rebuilder

    store = open_store(cache)
    flow.rebuilder = Rebuilder(flow, store, is_fresh=fresh, secret=secret_of(store))


def secret_of(store: Any) -> bytes:
    """Return what makes the keys of secrets in `store`; one that has none makes them anew for each run."""
    secret = getattr(store, "secret", None)
    return secret() if callable(secret) else os.urandom(32)
