"""The telemetry messages that leave a run (DESIGN.md section 8), and the topics of all messages, as plain data.

In: events. Out: JSON-safe dictionaries with a flat header and a body. Invariant: the contract's field names and words,
and nothing that a secret could hide in; a level of a topic that is made here has no wildcard and no slash in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "CONSTRAINTS",
    "Header",
    "LifecycleBody",
    "ResourceBody",
    "TaskStateBody",
    "answers_topic",
    "constraint_scope",
    "constraint_topic",
    "control_topic",
    "envelope",
    "level_of",
    "telemetry_topic",
]

CONSTRAINTS: Final = "cascade/constraints"
_UNFIT: Final = re.compile(r"[/+#\x00-\x1f\x7f\ud800-\udfff]")  # in a level of a topic
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
    made: dict[str, object] = {name: getattr(header, name) for name in _names(Header)}
    made["body"] = {name: getattr(body, name) for name in _names(type(body))}
    return made


def _names(kind: type) -> tuple[str, ...]:
    """Return the fields of one of the records above: `asdict` takes ten times as long, for each message."""
    return kind.__slots__  # type: ignore[attr-defined,no-any-return]


# -- topics ---------------------------------------------------------------------------------------------------------


def level_of(name: str) -> str:
    """Return a name as one level of a topic: ``_`` stands for what would be more, or none.

    Example:
        >>> level_of("a/b+c"), level_of("")
        ('a_b_c', '_')
    """
    return _UNFIT.sub("_", name[:200]) or "_"


def telemetry_topic(org_id: str, project_id: str, run_id: str) -> str:
    """Return where a run publishes its events."""
    return f"cascade/telemetry/{level_of(org_id)}/{level_of(project_id)}/{level_of(run_id)}/events"


def control_topic(org_id: str, project_id: str, run_id: str = "") -> str:
    """Return where a run hears orders; without `run_id`, where all runs of the project hear questions."""
    base = f"cascade/control/{level_of(org_id)}/{level_of(project_id)}"
    return f"{base}/{level_of(run_id)}" if run_id else base


def answers_topic(org_id: str, project_id: str, run_id: str) -> str:
    """Return where a run answers."""
    return f"{control_topic(org_id, project_id, run_id)}/answers"


def constraint_topic(scope: str, kind: str) -> str:
    """Return where the limit of type `kind` on `scope` is set and cleared.

    Raises:
        ValueError: when the scope cannot stand in a topic.

    Example:
        >>> constraint_topic("task:fetch*", "pause")
        'cascade/constraints/task/fetch*/pause'
    """
    topic = f"{CONSTRAINTS}/{scope.replace(':', '/', 1)}/{kind}"
    if "+" in topic or "#" in topic or "\0" in topic or "//" in topic:
        raise ValueError(f"The scope {scope!r} cannot be sent: it has '+', '#', '//' or a zero in it. Use * or ?.")
    return topic


def constraint_scope(topic: str) -> tuple[str, str] | None:
    """Return scope and type of a topic that `constraint_topic` made; None for another one.

    Example:
        >>> constraint_scope("cascade/constraints/task/fetch*/pause")
        ('task:fetch*', 'pause')
    """
    levels = topic.removeprefix(f"{CONSTRAINTS}/").split("/")
    if not topic.startswith(f"{CONSTRAINTS}/"):
        return None
    if len(levels) == 2 and levels[0] == "global" and levels[1]:  # noqa: PLR2004 - scope and type
        return "global", levels[1]
    if len(levels) > 2 and levels[0] == "task" and all(levels[1:]):  # noqa: PLR2004 - as above, and a name
        return f"task:{'/'.join(levels[1:-1])}", levels[-1]
    return None
