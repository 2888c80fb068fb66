"""The telemetry messages that leave a run (DESIGN.md section 8), as plain data.

In: events. Out: JSON-safe dictionaries with a flat header and a body. Invariant: the contract's field names and words,
and nothing that a secret could hide in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Header", "LifecycleBody", "ResourceBody", "TaskStateBody", "envelope"]

TaskState = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "SKIPPED", "BLOCKED", "RETRYING", "CANCELLED"]


@dataclass(frozen=True, slots=True)
class Header:
    """Who says it, and when. `ts` is ISO-8601 in UTC, `source` is ``host-pid``."""

    ts: str
    run_id: str
    org_id: str = "local"
    project_id: str = "default"
    source: str = ""
    v: str = "1.0"


@dataclass(frozen=True, slots=True)
class LifecycleBody:
    """The engine started or stopped."""

    event: Literal["ENGINE_STARTED", "ENGINE_STOPPED"]
    status: str = ""
    type: str = "LifecycleEvent"


@dataclass(frozen=True, slots=True)
class TaskStateBody:
    """A node changed state; `duration_ms` in milliseconds, 0 while unknown."""

    task_id: str
    task_name: str
    state: TaskState
    duration_ms: float = 0.0
    error: str | None = None
    type: str = "TaskStateEvent"


@dataclass(frozen=True, slots=True)
class ResourceBody:
    """A capacity or resource instance was taken or given back."""

    resource_name: str
    action: Literal["ACQUIRE", "RELEASE"]
    current_usage: float
    type: str = "ResourceEvent"


def envelope(header: Header, body: LifecycleBody | TaskStateBody | ResourceBody) -> dict[str, object]:
    """Return the message as it travels: the header flat, the body nested.

    Example:
        >>> envelope(Header("2026-01-01T00:00:00Z", "r1"), LifecycleBody("ENGINE_STARTED"))["body"]["event"]
        'ENGINE_STARTED'
    """
    return {**asdict(header), "body": asdict(body)}
