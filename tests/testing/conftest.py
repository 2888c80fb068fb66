"""What holds for the tests of the testing kit: each leaves the workflow context as it found it."""

from __future__ import annotations

import pytest

from cascade.runtime.crew import Crew

# A driver that does not know whether its crew may grow cannot tell waiting from computing: on a virtual clock it would
# wait for ever.
collect_ignore = [] if hasattr(Crew, "may_hire") else ["test_runs_on_clock.py"]


@pytest.fixture(autouse=True)
def _own_context(own_context: None) -> None:
    """Begin with an empty context."""
