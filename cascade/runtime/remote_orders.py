"""Messages from outside → orders that a run can obey.

In: a topic and what came on it, from anybody. Out: an order, or a `RefusedError` with the reason. Invariant: pure;
closed vocabulary, bounded size, depth, numbers and texts; nothing is imported, called or looked up by a name in a
message; time and memory are linear in what is read, which is bounded.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from cascade.interfaces.exceptions import SettingError, nearest
from cascade.interfaces.naming import clip
from cascade.interfaces.remote_errors import RefusedError
from cascade.runtime.limit_types import check
from cascade.spec.constraint import GlobalConstraint, parse_rate
from cascade.spec.telemetry import constraint_scope

__all__ = ["COMMANDS", "ClearLimit", "Command", "SetLimit", "limit_to_wire", "read_command", "read_limit"]

MOST_BYTES: Final = 16_384  # of a message
MOST_DEPTH: Final = 5  # of lists and objects in each other
MOST_TEXT: Final = 200  # characters of an id or a scope
MOST_REASON: Final = 500
MOST_PARAMS: Final = 20
MOST_NUMBER: Final = 1_000_000.0  # of a limit, a rate or a burst
LAST_TIME: Final = 1e11  # seconds since the epoch: a later end was meant in milliseconds

COMMANDS: Final = ("cancel", "pause", "resume", "status", "graph", "limit", "unlimit")
_OF_LIMIT: Final = frozenset({"id", "scope", "type", "params", "expires_at", "set_at", "set_by"})
_OF_COMMAND: Final = frozenset({"command", "id", "reason", "limit", "limit_id"})
_PARAMS: Final[dict[str, frozenset[str]]] = {
    "pause": frozenset[str](),
    "concurrency": frozenset({"limit"}),
    "rate_limit": frozenset({"rate", "capacity"}),
}


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Put a limit in force. `set_at`: when somebody set it, seconds since the epoch, 0 unknown; `set_by`: who."""

    limit: GlobalConstraint
    set_at: float = 0.0
    set_by: str = ""


@dataclass(frozen=True, slots=True)
class ClearLimit:
    """Take the limit of this scope and type out of force."""

    scope: str
    type: str


@dataclass(frozen=True, slots=True)
class Command:
    """Do something with one run; `id` comes back with the answer."""

    command: str
    id: str = ""
    reason: str = ""
    limit: SetLimit | None = None
    limit_id: str = ""


def limit_to_wire(limit: GlobalConstraint, set_by: str = "", set_at: float | None = None) -> dict[str, object]:
    """Return a limit as it travels; `set_at` in seconds since the epoch, None: now."""
    return {
        "id": limit.id, "scope": limit.scope, "type": limit.type, "params": dict(limit.params),
        "expires_at": limit.expires_at, "set_at": round(time.time() if set_at is None else set_at, 3), "set_by": set_by,
    }  # fmt: skip


def read_limit(topic: str, data: bytes | Mapping[str, object], now: float) -> SetLimit | ClearLimit:
    """Return what a message on a topic of limits orders; a limit that has expired at `now` orders that there is none.

    Raises:
        RefusedError: with the reason.

    Example:
        >>> read_limit("cascade/constraints/global/pause", b'{"id": "lunch"}', now=0.0).limit.type
        'pause'
        >>> read_limit("cascade/constraints/global/pause", b"", now=0.0)
        ClearLimit(scope='global', type='pause')
    """
    place = constraint_scope(topic)
    if place is None:
        raise RefusedError("The topic names no scope and type; write cascade/constraints/global/pause.")
    scope, kind = place
    found = _object(data)
    if not found:
        return ClearLimit(scope, kind)
    for key, value in (("scope", scope), ("type", kind)):
        if found.get(key, value) != value:
            raise RefusedError(f"Its {key} is {_show(found[key])}, but the topic says '{clip(value)}'.")
    order = _read_limit({**found, "scope": scope, "type": kind})
    ends = order.limit.expires_at
    return ClearLimit(scope, kind) if ends is not None and ends <= now else order


def read_command(data: bytes | Mapping[str, object]) -> Command:
    """Return what a message to one run orders.

    Raises:
        RefusedError: with the reason.

    Example:
        >>> read_command(b'{"command": "pause", "id": "7"}')
        Command(command='pause', id='7', reason='', limit=None, limit_id='')
    """
    found = _object(data)
    _check_keys(found, _OF_COMMAND)
    command = found.get("command")
    if not isinstance(command, str) or command not in COMMANDS:
        hint = nearest(command, COMMANDS) if isinstance(command, str) else f" Known: {', '.join(COMMANDS)}."
        raise RefusedError(f"{_show(command)} is no command.{hint}")
    request, reason = _text(found, "id", MOST_TEXT), _text(found, "reason", MOST_REASON)
    limit_id = _text(found, "limit_id", MOST_TEXT)
    limit = None
    if command == "limit":
        if not isinstance(found.get("limit"), dict):
            raise RefusedError("The command 'limit' needs a limit: an object with id, scope, type and params.")
        limit = _read_limit(found["limit"])
    elif "limit" in found:
        raise RefusedError(f"The command '{command}' takes no limit.")
    if command == "unlimit" and not limit_id:
        raise RefusedError("The command 'unlimit' needs a limit_id.")
    return Command(command, request, reason, limit, limit_id)


def _read_limit(found: dict[str, Any]) -> SetLimit:
    _check_keys(found, _OF_LIMIT)
    name, scope, kind = (_text(found, key, MOST_TEXT) for key in ("id", "scope", "type"))
    if not name or not kind:
        raise RefusedError(f"The {'type' if name else 'id'} of the limit is missing.")
    params = found.get("params", {})
    if not isinstance(params, dict):
        raise RefusedError(f"The params of a limit are an object, not {_show(params)}.")
    _check_params(kind, params)
    ends, begun = (_time(found, key) for key in ("expires_at", "set_at"))
    try:
        limit = GlobalConstraint(name, scope or "global", kind, params, ends)
        check(limit)
    except SettingError as error:
        raise RefusedError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - a handler of somebody's own type of limit may raise anything
        raise RefusedError(str(error)[:MOST_REASON] or f"{type(error).__name__} in its params.") from None
    return SetLimit(limit, begun or 0.0, _text(found, "set_by", MOST_TEXT))


def _check_params(kind: str, params: dict[str, Any]) -> None:
    known = _PARAMS.get(kind)
    if known is not None:
        _check_keys(params, known)
    if len(params) > MOST_PARAMS:
        raise RefusedError(f"It has more than {MOST_PARAMS} params.")
    for key, value in params.items():
        number = value
        if key == "rate" and kind == "rate_limit":
            try:
                number = parse_rate(value)
            except (ValueError, OverflowError) as error:
                raise RefusedError(str(error)[:MOST_REASON]) from None
        if isinstance(number, (int, float)) and not abs(number) <= MOST_NUMBER:
            raise RefusedError(f"'{clip(key)}' is {_show(value)}; at most {MOST_NUMBER:,.0f} is meant.")
        if isinstance(value, str) and len(value) > MOST_TEXT:
            raise RefusedError(f"'{clip(key)}' has more than {MOST_TEXT} characters.")


# -- JSON of anybody ------------------------------------------------------------------------------------------------


def _object(data: bytes | Mapping[str, object]) -> dict[str, Any]:
    found = _parse(data) if isinstance(data, (bytes, bytearray)) else dict(data)
    if not isinstance(found, dict):
        raise RefusedError(f"A message is a JSON object, not {_show(found)}.")
    _check_depth(found)
    return found


def _parse(data: bytes) -> object:
    if len(data) > MOST_BYTES:
        raise RefusedError(f"The message has {len(data):,} bytes; at most {MOST_BYTES:,} are read.")
    if not data:
        return {}
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_whole, parse_float=_real
        )
    except UnicodeDecodeError:
        raise RefusedError("The message is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise RefusedError(f"The message is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise RefusedError(f"The message nests lists and objects deeper than {MOST_DEPTH}.") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise RefusedError("A key stands twice in one object.")
    return made


def _no_constant(name: str) -> NoReturn:
    raise RefusedError(f"{name} is not JSON.")


def _whole(digits: str) -> int:
    if len(digits) > 20:  # noqa: PLR2004 - more than any bound, and cheap to read
        raise RefusedError("A number has more than 20 digits.")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RefusedError("A number is too large.")
    return number


def _check_depth(found: object) -> None:
    level: list[object] = [found]
    for _ in range(MOST_DEPTH):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, (list, tuple)):
                inner += each
        level = inner
        if not level:
            return
        if len(level) > MOST_BYTES:
            raise RefusedError("The message has too many values.")
    if any(isinstance(each, (dict, list, tuple)) for each in level):
        raise RefusedError(f"The message nests lists and objects deeper than {MOST_DEPTH}.")


def _check_keys(found: Mapping[str, object], known: frozenset[str]) -> None:
    for key in found:
        if not isinstance(key, str) or key not in known:
            hint = nearest(str(key), known) if known else " Nothing is expected there."
            raise RefusedError(f"'{clip(key)}' means nothing here.{hint}")


def _text(found: Mapping[str, object], key: str, most: int) -> str:
    value = found.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RefusedError(f"'{key}' is a text, not {_show(value)}.")
    if len(value) > most:
        raise RefusedError(f"'{key}' has more than {most} characters.")
    if any(not c.isprintable() for c in value):
        raise RefusedError(f"'{key}' has characters that cannot be shown.")
    return value


def _time(found: Mapping[str, object], key: str) -> float | None:
    value = found.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LAST_TIME:
        raise RefusedError(f"'{key}' is a time in seconds since the epoch, not {_show(value)}.")
    return float(value)


def _show(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return f"'{clip(value)}'" if isinstance(value, str) else clip(value)
