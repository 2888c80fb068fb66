from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.adapters.connectors.local import LocalConnector
from cascade.adapters.connectors.mqtt import MqttConnector
from cascade.testing import check_connector
from cascade.testing.conformance import CONNECTOR_CASES


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The kit's callbacks fail on purpose."""
    caplog.set_level(logging.ERROR, "cascade")


@pytest.mark.parametrize("case", CONNECTOR_CASES, ids=str)
def test_in_process(case):
    """The connector within a process keeps every promise."""
    case(InProcessConnector)


@pytest.mark.parametrize("case", CONNECTOR_CASES, ids=str)
def test_local(case, tmp_path: Path):
    """The connector within a machine keeps every promise."""
    case(lambda: LocalConnector(tmp_path / "l"))


@pytest.mark.slow
def test_mqtt(broker):
    """The connector to a real broker keeps every promise, again on what the first time left behind."""
    for _ in range(2):
        check_connector(lambda: MqttConnector("127.0.0.1", broker.port))
