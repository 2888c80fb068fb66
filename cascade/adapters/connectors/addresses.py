"""Address → connector.

In: text such as ``local`` or ``mqtt://host:1883``. Out: a connector that is not connected yet. Invariant: a password
may come from the environment variable CASCADE_MQTT_PASSWORD, and is in no error and no repr.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces.remote_errors import ConnectorError

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Connector

__all__ = ["open_connector"]

SCHEMES: Final = ("local", "inprocess", "mqtt", "mqtts")
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
METHODS: Final = ("connect", "disconnect", "publish", "subscribe")


def open_connector(given: Any) -> Connector:
    """Return the connector that `given` names; a connector is returned as it is.

    Args:
        given: ``local`` or ``local:folder``; ``inprocess`` or ``inprocess:name``; ``mqtt://user:password@host:port`` or
            ``mqtts://…`` with TLS; or an object with the methods of a connector.

    Raises:
        ConnectorError: when it is none of these.

    Example:
        >>> open_connector("inprocess:demo"), open_connector("mqtts://me:secret@broker.example")
        (<connector inprocess:demo>, <connector mqtts://me@broker.example:8883>)
    """
    if not isinstance(given, str):
        if isinstance(given, type) or not all(callable(getattr(given, name, None)) for name in METHODS):
            raise ConnectorError.for_object(given)
        return given  # type: ignore[no-any-return]
    scheme, _, rest = given.partition(":")
    if scheme == "local":
        from cascade.adapters.connectors.local import LocalConnector

        return LocalConnector(rest or None)
    if scheme == "inprocess":
        from cascade.adapters.connectors.inprocess import InProcessConnector

        return InProcessConnector(rest or "default")
    if scheme in PORTS and rest.startswith("//"):
        return _open_mqtt(scheme, given)
    raise ConnectorError.for_address(given.rpartition("@")[2], SCHEMES)


def _open_mqtt(scheme: str, address: str) -> Connector:
    from urllib.parse import unquote, urlsplit

    from cascade.adapters.connectors.mqtt import MqttConnector

    shown = address.rpartition("@")[2]
    try:
        parts = urlsplit(address)
        port = PORTS[scheme] if parts.port is None else parts.port
    except ValueError:
        raise ConnectorError.for_port(shown) from None
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConnectorError.for_address(shown, SCHEMES)
    if not port:
        raise ConnectorError.for_port(shown)
    password = unquote(parts.password) if parts.password is not None else os.environ.get("CASCADE_MQTT_PASSWORD")
    username = unquote(parts.username) if parts.username else os.environ.get("CASCADE_MQTT_USERNAME")
    return MqttConnector(
        parts.hostname,
        port,
        username=username or None,
        password=password if username else None,
        tls=scheme == "mqtts",
        ca_file=os.environ.get("CASCADE_MQTT_CA_FILE") if scheme == "mqtts" else None,
    )
