"""Where a Dask scheduler is: addresses, and who answers there.

In: what the user wrote. Out: a client, or an error that says why there is none. Invariant: whatever listens at the
address, or does not, is known within ten seconds.
"""

from __future__ import annotations

import asyncio
import socket
import warnings
from time import monotonic, sleep
from typing import Any, Final, cast

from cascade.interfaces.cluster import ClusterError

__all__ = ["connect", "dashboard_of", "greet", "read_address"]

SCHEME: Final = "dask://"
KNOCK: Final = 5.0  # seconds in which nobody may listen at an address, for a scheduler that is just being started
GREETING: Final = 10.0  # seconds that who listens there may take to say that it is a scheduler


def greet(address: str, seconds: float) -> None:
    """See whether a scheduler answers at an address; for one that is silent, Dask itself would wait for ever.

    Raises:
        ClusterError: when none answers within `seconds`, or within ten.
    """
    from concurrent.futures import ThreadPoolExecutor

    from distributed import Security
    from distributed.comm.core import connect as link_to

    make, open_link = cast("tuple[Any, Any]", (Security, link_to))  # they have no types

    async def ask() -> None:
        link = await open_link(address, timeout=seconds, **make().get_connection_args("client"))
        await link.close()

    async def ask_in_time() -> None:
        await asyncio.wait_for(ask(), seconds)

    seconds, began = min(seconds, GREETING), monotonic()
    try:
        _knock(address, seconds)
        with ThreadPoolExecutor(1) as pool:  # here, a loop of the notebook's may be running
            pool.submit(lambda: asyncio.run(ask_in_time())).result()
    except ConnectionRefusedError as error:
        raise ClusterError.for_refusal(address, round(monotonic() - began), str(error)) from error
    except TimeoutError as error:
        raise ClusterError.for_refusal(address, seconds, "who listens there says nothing") from error
    except OSError as error:
        raise ClusterError.for_refusal(address, round(monotonic() - began), _first_line(error)) from error
    except Exception as error:  # it says something else, which Dask takes for the lengths of its messages
        raise ClusterError.for_refusal(address, 0, "who listens there is no Dask scheduler") from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _knock(address: str, seconds: float) -> None:
    """Raise ConnectionRefusedError when nobody listens at an address; Dask would try for as long as it may."""
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    until = monotonic() + min(seconds, KNOCK)
    while scheme in ("tcp", "tls"):
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
        except ConnectionRefusedError:
            if monotonic() > until:
                raise
            sleep(0.1)
        except OSError:  # slow, or a name that may come to be known: Dask finds out
            return
        else:
            return


def connect(address: str, seconds: float) -> Any:
    """Return a client of the scheduler at an address.

    Raises:
        ClusterError: when it does not come up within `seconds`.
    """
    from distributed import Client

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that versions differ a little is no news for whoever runs a graph
            make: Any = Client  # it has no types
            return make(address, set_as_default=False, timeout=seconds)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError.for_refusal(address, seconds, _first_line(error)) from error


def dashboard_of(client: Any) -> str:
    """Return the link to a cluster's dashboard, empty if it has none."""
    try:
        link = client.dashboard_link
    except Exception:  # noqa: BLE001 - a link is a courtesy
        return ""
    return link if isinstance(link, str) and link.startswith(("http://", "https://")) else ""


def read_address(given: str) -> str:
    """Return a scheduler's address as Dask writes it.

    Raises:
        ClusterError: when it is none.

    Example:
        >>> read_address("dask://localhost:8786")
        'tcp://localhost:8786'
    """
    address = given.removeprefix(SCHEME)
    if "://" in address:
        scheme, _, place = address.partition("://")
    else:
        scheme, place = "tcp", address
    host, colon, port = place.rstrip("/").rpartition(":")
    if scheme not in ("tcp", "tls", "ws", "wss", "ucx") or not colon or not host or not port.isdigit():
        raise ClusterError.for_address(given)
    return f"{scheme}://{host}:{port}"
