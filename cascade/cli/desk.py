"""An address on the command line → a desk from which runs elsewhere are watched and steered.

In: an address, the name of a run. Out: a `RemoteDesk`, a status. Invariant: no password reaches the screen; whoever
cannot be reached is said within the time of the desk.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from cascade.cli.codes import REFUSED, SILENT, UNREACHED, USAGE, CommandError
from cascade.cli.output import say
from cascade.interfaces.naming import clip
from cascade.interfaces.remote_errors import ConnectorError, RemoteError
from cascade.messaging.renderer import one_line
from cascade.runtime.remote_desk import LimitInForce, RemoteDesk, RunStatus
from cascade.spec.constraint import describe_limit

__all__ = [
    "find_run",
    "going_runs",
    "is_address",
    "limit_words",
    "open_desk",
    "until_words",
    "warn_of_password",
    "without_password",
]

SCHEMES: Final = ("mqtt://", "mqtts://", "local:", "inprocess:")
PATIENCE: Final = 1.2  # seconds for a run to answer that did not at once
SAME_DAY: Final = 20 * 3600.0  # seconds within which a time of the day says enough
OVER: Final = frozenset({"completed", "failed", "cancelled", "lost"})
_CODES: Final = {"unknown": UNREACHED, "several": USAGE, "silent": SILENT, "refused": REFUSED}


@contextmanager
def open_desk(address: str, timeout: float = 3.0) -> Iterator[RemoteDesk]:
    """Connect to an address for the time of a block; whatever is wrong beyond it ends the command with its code.

    Raises:
        CommandError: the address is none, nobody is there, no such run.
    """
    from cascade.adapters.connectors.addresses import open_connector

    warn_of_password(address)
    logging.getLogger("cascade").addHandler(logging.NullHandler())  # what a connector logs, the command says itself
    try:
        connector = open_connector(address)
    except ConnectorError as error:
        raise CommandError(str(error)) from None
    try:
        with RemoteDesk(connector, timeout=timeout) as desk:
            yield desk
    except ConnectorError as error:
        raise CommandError.unreached(str(error)) from None
    except RemoteError as error:
        raise CommandError(str(error), _CODES[error.kind]) from None


def warn_of_password(address: str) -> None:
    """Say so when a password stands on the command line, where other programs can read it."""
    user = address.rpartition("@")[0].partition("://")[2]
    if ":" in user and os.environ.get("CASCADE_CONNECTOR") != address:
        say(
            "Warning: other programs can read a command line. "
            "Set CASCADE_MQTT_USERNAME and CASCADE_MQTT_PASSWORD instead of writing a password into the address."
        )


def without_password(address: str) -> str:
    """Return an address as it may be shown.

    Example:
        >>> without_password("mqtt://me:hush@broker:1883"), without_password("local")
        ('mqtt://me@broker:1883', 'local')
    """
    scheme, found, rest = address.partition("://")
    user, at, host = rest.rpartition("@")
    name = user.partition(":")[0]
    shown = f"{scheme}://{name}{at}{host}" if found and at else address
    return one_line(shown, 200)


def is_address(word: str) -> bool:
    """Say whether a word is an address and not the name of a run."""
    return word in {"local", "inprocess"} or word.startswith(SCHEMES)


def find_run(desk: RemoteDesk, word: str | None, doing: str) -> RunStatus:
    """Return the run that `word` names; without one, the only run that goes on.

    Args:
        doing: what the command would do with it, for its errors: ``cancel``.

    Raises:
        CommandError: when there is none, or several and none is named. RemoteError: when no run is called so.
    """
    if word is not None:
        return desk.status(word)
    going = going_runs(desk)
    if len(going) == 1:
        return going[0]
    if not going:
        raise CommandError.unreached(nobody(desk))
    names = ", ".join(f"{status.run_id} ({clip(status.name)})" for status in going[:10])
    raise CommandError(f"{len(going)} runs go on: {names}. Say which one to {doing}.")


def going_runs(desk: RemoteDesk) -> list[RunStatus]:
    """Return the runs that go on, the latest first; where none answers at once, one that is busy has a second more."""
    return desk.runs() or desk.runs(PATIENCE)


def nobody(desk: Any) -> str:
    """Say that no run goes on, and what to do."""
    address = without_password(str(getattr(desk.connector, "address", "") or "local"))
    project = "" if (desk.org_id, desk.project_id) == ("local", "default") else f" of {desk.org_id}/{desk.project_id}"
    connector = "local" if address.startswith("local") else address
    if forbidden := getattr(desk.connector, "forbidden", ()):
        return (
            f"No run{project} was heard at {address}, which does not let this user hear "
            f"'{one_line(min(forbidden), 200)}'. Ask who keeps the broker for that right."
        )
    return (
        f"No run{project} goes on at {address}. A run is seen here when it was started with "
        f"connector='{connector}', or as cascade run FILE:TARGET --connector {connector}."
    )


# -- words ----------------------------------------------------------------------------------------------------------


def limit_words(known: LimitInForce) -> str:
    """Return a limit in force as a sentence without its full stop, with its end and who set it."""
    limit = known.limit
    by = f", set by {clip(known.set_by)}" if known.set_by else ""
    return one_line(f"{describe_limit(limit.type, limit.scope, limit.params)}, {until_words(limit.expires_at)}{by}")


def until_words(expires_at: float | None) -> str:
    """Return until when something holds.

    Example:
        >>> until_words(None)
        'until it is cleared'
    """
    if expires_at is None:
        return "until it is cleared"
    left = max(0.0, expires_at - time.time())
    clock = time.strftime("%H:%M:%S", time.localtime(expires_at))
    day = "" if left < SAME_DAY else time.strftime("%Y-%m-%d ", time.localtime(expires_at))
    return f"until {day}{clock}"
