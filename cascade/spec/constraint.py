"""Requirements of calls and limits from outside.

In: ``with_constraints`` and what connectors, views and handles send. Out: checked, frozen records. Invariant: a limit
that exists is well formed; nobody downstream has to check again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cascade.interfaces.naming import clip

__all__ = ["LIMIT", "GlobalConstraint", "describe_limit", "parse_rate"]

LIMIT = "limit: "  # before the words of a limit, where events name what a node waits for

_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*/\s*([smhd])\s*$")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class GlobalConstraint:
    """A rule set from outside while a run goes on.

    Args:
        id: names the limit; setting one with the same id replaces it.
        scope: ``global`` or ``task:<glob>``.
        type: ``pause``, ``concurrency`` (params ``limit``) or ``rate_limit`` (params ``rate``, ``capacity``).
        params: of the type.
        expires_at: seconds since the epoch; None: never.

    Example:
        >>> GlobalConstraint("slow", "task:fetch*", "concurrency", {"limit": 2}).matches("fetch_page")
        True
    """

    id: str
    scope: str = "global"
    type: str = "pause"
    params: Mapping[str, object] = field(default_factory=dict)
    expires_at: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no engine could obey."""
        if self.scope != "global" and not self.scope.startswith("task:"):
            raise ValueError(f"The scope {self.scope!r} is neither 'global' nor 'task:<pattern>'.")
        if self.type == "concurrency":
            limit = self.params.get("limit")
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
                raise ValueError(f"A concurrency limit needs params={{'limit': n}}, n at least 1, not {limit!r}.")
        if self.type == "rate_limit":
            parse_rate(self.params.get("rate"))
            burst = self.params.get("capacity", 1)
            if isinstance(burst, bool) or not isinstance(burst, (int, float)) or not 1 <= burst < float("inf"):
                raise ValueError(f"The capacity of a rate limit is a number of at least 1, not {burst!r}.")

    def matches(self, name: str) -> bool:
        """Say whether the task called `name` is in scope."""
        if self.scope == "global":
            return True
        from fnmatch import fnmatchcase

        return fnmatchcase(name, self.scope[len("task:") :])


def describe_limit(kind: str, scope: str, params: Mapping[str, object]) -> str:
    """Return a limit as a sentence without its full stop.

    Example:
        >>> describe_limit("concurrency", "task:fetch*", {"limit": 2})
        "not more than 2 of 'fetch*' at once"
    """
    who = "" if scope == "global" else f" of '{clip(scope.partition(':')[2])}'"
    if kind == "concurrency":
        return f"not more than {params.get('limit')}{who} at once"
    if kind == "rate_limit":
        return f"not more than {clip(params.get('rate'))}{who} may start"
    if kind == "pause":
        return f"nothing{who} may start"
    return clip(f"{kind} {', '.join(f'{name} {value}' for name, value in params.items())}{who}")


def parse_rate(rate: object) -> float:
    """Return starts per second of ``"10/m"``, ``"5/s"`` or a number (per second).

    Raises:
        ValueError: when `rate` is not of that form, or not above 0.
    """
    if isinstance(rate, (int, float)) and not isinstance(rate, bool) and 0 < rate < float("inf"):
        return float(rate)
    found = _RATE.match(rate) if isinstance(rate, str) else None
    if found and float(found[1]) > 0:
        return float(found[1]) / _SECONDS[found[2]]
    raise ValueError(f"The rate {rate!r} is not a number above 0 or text like '10/m' or '5/s'.")
