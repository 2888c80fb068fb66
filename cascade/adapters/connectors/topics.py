"""Topics and what stands for many of them, by the rules of MQTT.

In: topics and patterns. Out: whether they are right, and whether one matches the other. Invariant: every connector
matches by these same rules, so that what works in one process works over a broker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from cascade.interfaces.remote_errors import ConnectorError

__all__ = ["MOST_BYTES", "check_pattern", "check_topic", "decode", "encode", "matches"]

LONGEST: Final = 65_535  # bytes of a topic
MOST_BYTES: Final = 1 << 20  # of a payload that is decoded


def check_topic(topic: str) -> None:
    """Refuse what nothing can be published on.

    Raises:
        ConnectorError: when `topic` is empty, too long, or has a wildcard.
    """
    _check(topic)
    if "+" in topic or "#" in topic:
        raise ConnectorError.for_topic(topic, "one message goes to one topic, '+' and '#' are for subscribers")


def check_pattern(pattern: str) -> None:
    """Refuse what nobody can subscribe to.

    Raises:
        ConnectorError: when `pattern` is empty, too long, or has a wildcard in the wrong place.
    """
    _check(pattern)
    levels = pattern.split("/")
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels):
        raise ConnectorError.for_topic(pattern, "'+' and '#' stand alone in their level")
    if "#" in levels[:-1]:
        raise ConnectorError.for_topic(pattern, "'#' stands at the end")


def _check(topic: object) -> None:
    if not isinstance(topic, str) or not topic:
        raise ConnectorError.for_topic(topic, "a text of at least one character is needed")
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        raise ConnectorError.for_topic(topic, "it has characters that cannot be sent") from None
    if size > LONGEST or "\0" in topic:
        raise ConnectorError.for_topic(topic, "it is too long, or has a zero in it")


def matches(pattern: str, topic: str) -> bool:
    """Say whether a message on `topic` is for who subscribes to `pattern`.

    Example:
        >>> matches("a/+/c", "a/b/c"), matches("a/#", "a/b/c"), matches("a/#", "a"), matches("a/+", "a/b/c")
        (True, True, True, False)
    """
    if pattern == topic:
        return True
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[0] in ("+", "#") and topic.startswith("$"):
        return False
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        if len(levels) < len(wanted):
            return False
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(w in ("+", given) for w, given in zip(wanted, levels, strict=True))


def encode(topic: str, payload: Mapping[str, object]) -> bytes:
    """Return the JSON of a payload; nothing at all for an empty one, which clears a retained message.

    Raises:
        ConnectorError: when it has no JSON.
    """
    if not payload:
        return b""
    try:
        return json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConnectorError.for_payload(topic, str(error)) from None


def decode(data: bytes) -> dict[str, Any] | None:
    """Return the payload of a message that came; None when it is no JSON object, or larger than anybody means."""
    if not data:
        return {}
    if len(data) > MOST_BYTES:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
