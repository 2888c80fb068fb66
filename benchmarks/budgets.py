"""What was promised: for each row an absolute limit, and ratios against the engines of the same run.

In: the medians of a run. Out: verdicts. Invariant: ratios count on any machine; the absolute limits are those of two
cores with CPython 3.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OURS = "cascade"


@dataclass(frozen=True, slots=True)
class Ratio:
    """A comparison with another row or engine.

    Args:
        engine: whom cascade is compared with.
        at_most: cascade's cost divided by the other's may not be larger.
        workload: the other's row, when it is not the same.
    """

    engine: str
    at_most: float
    workload: str = ""

    @property
    def text(self) -> str:
        """The rule as people say it."""
        other = self.workload or self.engine
        return f"≤ {self.at_most:g}x {other}" if self.at_most >= 1 else f"≥ {1 / self.at_most:.3g}x faster than {other}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one row promises; `limit` is in the row's unit."""

    limit: float | None = None
    ratios: tuple[Ratio, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise and how it was kept."""

    rule: str
    measured: str
    is_kept: bool


def faster(engine: str, factor: float) -> Ratio:
    """Cascade takes at most one `factor`th."""
    return Ratio(engine, 1 / factor)


BUDGETS: Mapping[str, Budget] = {
    "chain": Budget(6, (Ratio("asyncio", 1.2), faster("dask", 5))),
    "fan_in": Budget(5, (Ratio("asyncio", 1.2), faster("dask", 5))),
    "map": Budget(1.5, (faster("pipefunc", 12),)),
    "dag": Budget(8, (Ratio("asyncio", 1.2), faster("dask", 5))),
    "dag_threads": Budget(15, (Ratio("threads", 1.1),)),
    "async_naps": Budget(26, (Ratio("asyncio", 1.1),)),
    "naps": Budget(70, (Ratio("threads", 1.15),)),
    "cpu_cold": Budget(None, (faster("direct", 1.8),)),
    "cpu_warm": Budget(None, (faster("direct", 1.9),)),
    "growth_100k": Budget(
        11, (Ratio(OURS, 1.8, workload="growth_1k"), *(faster(peer, 10) for peer in ("dask", "hamilton")))
    ),
    "memory": Budget(1.2),
    "simulate_100k": Budget(15, (Ratio(OURS, 1.8, workload="simulate_1k"),)),
    "simulate_1m": Budget(60, (Ratio(OURS, 1.8, workload="simulate_1k"), Ratio("direct", 12))),
    "simulate_memory": Budget(1.2),
    "growth_1m": Budget(None, (Ratio(OURS, 1.8, workload="growth_1k"),)),
    "memory_1m": Budget(1.2),
    "plan_100k": Budget(None, (Ratio(OURS, 1.8, workload="plan_10k"),)),
    "plan_1m": Budget(None, (Ratio(OURS, 1.8, workload="plan_10k"),)),
    "visualize_1m": Budget(None, (Ratio(OURS, 1.8, workload="visualize_100k"),)),
    "view_100k": Budget(None, (Ratio(OURS, 1.8, workload="view_10k"),)),
    "view_1m": Budget(None, (Ratio(OURS, 1.8, workload="view_10k"),)),
    "view_memory": Budget(1.2),
    "report_100k": Budget(None, (Ratio(OURS, 1.8, workload="report_10k"),)),
    "report_1m": Budget(None, (Ratio(OURS, 1.8, workload="report_10k"),)),
    "opted_out": Budget(None, (Ratio(OURS, 1.05, workload="plain"),)),
    "again": Budget(15, (faster("joblib", 10),)),
    "changed": Budget(40, (faster("hamilton", 45),)),
    "key_array": Budget(100),
    "key_frame": Budget(80),
    "look_up": Budget(3),
    "why": Budget(200),
    "watch": Budget(4),  # 2 % of a run of 5,000 events a second
    "cluster_dag": Budget(None, (Ratio("cluster", 1.0),)),
    "cluster_slow": Budget(None, (Ratio("cluster", 1.0),)),
    "cluster_chain": Budget(None, (Ratio("cluster", 1.0),)),
    "cluster_map": Budget(None, (Ratio("cluster", 1.0),)),
    "cluster_large": Budget(None, (Ratio("cluster", 1.0),)),
    "cluster_back": Budget(None, (Ratio("cluster", 1.0),)),
    "pool_map": Budget(None, (Ratio("loky", 1.15),)),
    "telemetry": Budget(None, (Ratio(OURS, 1.02, workload="untold"),)),
    "import": Budget(30, (faster("doit", 4), faster("dask", 7))),
    "import_modules": Budget(100),
}

Medians = Mapping[str, Mapping[str, float]]


def judge(row: str, medians: Medians) -> list[Verdict]:
    """Every promise of one row that the measurements can judge."""
    budget, own = BUDGETS.get(row), medians[row].get(OURS)
    if budget is None or own is None:
        return []
    verdicts = []
    if budget.limit is not None:
        verdicts.append(Verdict(f"≤ {budget.limit:g}", f"{own:.3g}", own <= budget.limit))
    for ratio in budget.ratios:
        other = medians.get(ratio.workload or row, {}).get(ratio.engine)
        if other:
            measured = own / other
            text = f"{measured:.2f}x" if ratio.at_most >= 1 else f"{1 / measured:.3g}x"
            verdicts.append(Verdict(ratio.text, text, measured <= ratio.at_most))
    return verdicts
