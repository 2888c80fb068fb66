"""Times and graphs → run documents as the kit writes them: what the pictures and the tests of the front end show.

Invariant: the same call gives the same document, so that a picture can be compared with an earlier one.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from cascade.graph.draw import picture
from cascade.graph.model import Edge, Node

Document = dict[str, Any]

STATES = ("pending", "queued", "running", "waiting", "retry", "done", "stored", "failed", "skipped", "cancelled")


def entry(state: str, t0: float | None = None, t1: float | None = None, d: str = "", **more: Any) -> Document:
    """One node's state, with every key there."""
    return {"s": state, "t0": t0, "t1": t1, "d": d, "why": "", "v": "", "items": None} | more


def items(
    total: int | None, done: int = 0, stored: int = 0, running: int = 0, failed: int = 0, waiting: int = 0
) -> Document:
    """The counts of a map."""
    return {"total": total, "done": done, "stored": stored, "running": running, "failed": failed, "waiting": waiting}


def bar(row: str, node: str, label: str, t0: float, t1: float | None, state: str, text: str = "") -> Document:
    """One bar of the lanes, one row high."""
    return {"row": row, "span": 1, "node": node, "label": label, "t0": t0, "t1": t1, "s": state, "text": text or label}


def line(
    t: float, state: str, node: str, label: str, text: str, stream: str = "event", level: str = "info"
) -> Document:
    """One line of the log."""
    return {"t": t, "s": state, "node": node, "label": label, "text": text, "stream": stream, "level": level}


def document(nodes: list[Node], edges: list[Edge], states: dict[str, Document], **parts: Any) -> Document:
    """A whole document; `parts` replace its empty ones, and `run` is merged over a running one."""
    counts = dict.fromkeys(STATES, 0)
    for state in states.values():
        if state["items"]:
            _count_items(counts, state["items"])
        elif state["s"] in counts:
            counts[state["s"]] += 1
    run = {
        "id": "r15",
        "name": "a run",
        "state": "running",
        "started": 1.8e9,
        "elapsed": 0.0,
        "live": True,
        "message": "",
        "eta": None,
        "counts": counts,
    } | parts.pop("run", {})
    empty = {
        "lanes": {"rows": [], "bars": []},
        "capacities": [],
        "log": [],
        "dropped": {"log": 0, "bars": 0},
        "params": [],
        "result": None,
        "failure": None,
    }
    return {"v": 1, "seq": 0, "run": run, "picture": picture(nodes, edges).to_dict(), "nodes": states} | empty | parts


def _count_items(counts: dict[str, int], of: Document) -> None:
    for name in ("done", "stored", "running", "failed", "waiting"):
        counts[name] += of[name]
    counts["pending"] += (of["total"] or 0) - sum(
        of[name] for name in ("done", "stored", "running", "failed", "waiting")
    )


PENGUIN_NODES = [
    Node("load", "load"),
    Node("min_rows", "min_rows", "param", note="30"),
    Node("clean", "clean"),
    Node("by_species", "by_species"),
    Node("fit", "fit", "map", note="cpu 1"),
    Node("read_islands", "read_islands", note="retry ≤ 3"),
    Node("publish?", "publish?", "route"),
    Node("join", "join"),
    Node("plot", "plot"),
    Node("send_mail", "send_mail"),
    Node("archive", "archive"),
]
PENGUIN_EDGES = [
    Edge("load", "clean"),
    Edge("min_rows", "clean"),
    Edge("clean", "by_species"),
    Edge("by_species", "fit"),
    Edge("fit", "join"),
    Edge("clean", "read_islands", "order"),
    Edge("read_islands", "publish?", "selector"),
    Edge("join", "plot"),
    Edge("publish?", "plot", "route", "yes"),
    Edge("publish?", "send_mail", "route", "no"),
    Edge("clean", "archive", "condition"),
]


def penguins() -> Document:
    """A run in the middle: a map half done, a retry, a wait for a resource, a skipped node."""
    states = {
        "load": entry("stored", 0.0, 0.12, "run 14", why="same code and inputs, made in run 14", v="DataFrame 344 × 7"),
        "min_rows": entry("param", d="30"),
        "clean": entry(
            "done", 0.12, 0.3, "0.18 s", why="code changed (line 4) · min_rows 20 → 30", v="DataFrame 333 × 7"
        ),
        "by_species": entry("done", 0.3, 0.55, "3 groups"),
        "fit": entry("running", 0.55, None, items=items(32, done=10, stored=7, running=2)),
        "read_islands": entry("retry", 0.32, None, "try 2 of 3", why="OSError: database is locked"),
        "publish?": entry("waiting", None, None, "waits for db", why="waiting 1.2 s for db, held by read_islands"),
        "join": entry("pending"),
        "plot": entry("pending"),
        "send_mail": entry("pending"),
        "archive": entry("skipped", d="run_if: false", why="clean returned no outliers"),
    }
    return document(
        PENGUIN_NODES,
        PENGUIN_EDGES,
        states,
        lanes=_penguin_lanes(),
        log=_penguin_log(),
        run={"name": "penguin report", "elapsed": 3.2, "eta": 2.0},
        capacities=[
            {"name": "cpu", "used": 2, "total": 2, "kind": "capacity"},
            {"name": "db", "used": 1, "total": 1, "kind": "resource"},
        ],
        params=[{"name": "min_rows", "value": "30", "type": "int", "description": "fewer rows make no group"}],
    )


def _penguin_lanes() -> Document:
    rows = [
        {"id": "cpu/0", "label": "cpu 1", "kind": "capacity"},
        {"id": "cpu/1", "label": "cpu 2", "kind": "capacity"},
        {"id": "db/0", "label": "db", "kind": "resource"},
        {"id": "waiting", "label": "waiting", "kind": "waiting"},
    ]
    bars = [
        bar("cpu/0", "load", "load", 0.0, 0.11, "stored"),
        bar("cpu/0", "clean", "clean", 0.12, 0.29, "done"),
        bar("cpu/0", "fit", "fit[0]", 0.55, 1.34, "done"),
        bar("cpu/0", "fit", "fit[2]", 1.35, 2.19, "done"),
        bar("cpu/0", "fit", "fit[17]", 2.2, None, "running"),
        bar("cpu/1", "by_species", "by_species", 0.3, 0.54, "done"),
        bar("cpu/1", "fit", "fit[1]", 0.6, 1.49, "done"),
        bar("cpu/1", "fit", "fit[3]", 1.5, 2.34, "done"),
        bar("cpu/1", "fit", "fit[18]", 2.35, None, "running"),
        bar("db/0", "read_islands", "read_islands", 0.32, 1.09, "failed", "read_islands: OSError: database is locked"),
        bar("db/0", "read_islands", "backoff 0.8 s", 1.1, 1.89, "backoff"),
        bar("db/0", "read_islands", "read_islands · try 2", 1.9, None, "running"),
        bar("waiting", "fit", "fit ×30 ← cpu", 0.62, 1.29, "wait"),
        bar("waiting", "publish?", "publish? ← db, held by read_islands", 1.95, None, "wait"),
    ]
    return {"rows": rows, "bars": bars}


def _penguin_log() -> list[Document]:
    return [
        line(0.12, "stored", "load", "load", "taken from the store, made by run 14, 2 h ago"),
        line(0.14, "", "clean", "clean", "dropping rows without a bill length", "stdout"),
        line(0.3, "done", "clean", "clean", "344 → 333 rows"),
        line(
            1.1, "retry", "read_islands", "read_islands", "OSError: database is locked; again in 0.8 s", level="warning"
        ),
        line(1.2, "", "fit", "fit[1]", "ConvergenceWarning: 5 more steps would help", "warning", "warning"),
        line(2.2, "done", "fit", "fit[2]", "R² 0.87"),
        line(3.18, "waiting", "publish?", "publish?", "waits for db (1 of 1 held by read_islands)"),
    ]


def small(state: str = "running") -> Document:
    """Five nodes in a row, with the second one running."""
    nodes = [Node(name, name) for name in ("read", "clean", "fit", "score", "report")]
    edges = [Edge(a.id, b.id) for a, b in pairwise(nodes)]
    states = {node.id: entry("pending") for node in nodes}
    states["read"] = entry("done", 0, 0.4, "0.4 s")
    states["clean"] = entry("running", 0.4)
    rows = [{"id": "tasks", "label": "tasks", "kind": "tasks"}]
    bars = [bar("tasks", "read", "read", 0, 0.4, "done"), bar("tasks", "clean", "clean", 0.4, None, "running")]
    return document(
        nodes,
        edges,
        states,
        run={"name": "five", "state": state, "elapsed": 0.9},
        lanes={"rows": rows, "bars": bars},
        log=[line(0.4, "done", "read", "read", "1,000 rows")],
    )


def finished() -> Document:
    """The penguins at their end: everything done, a table as the result."""
    made = penguins()
    ends = {"by_species": 0.55, "fit": 4.1, "read_islands": 3.6, "publish?": 3.7, "join": 4.3, "plot": 4.9}
    for node, end in ends.items():
        made["nodes"][node] = entry("done", made["nodes"][node]["t0"] or end - 0.3, end, f"{0.3:.2f} s")
    made["nodes"]["fit"]["items"] = items(32, done=25, stored=7)
    made["nodes"]["send_mail"] = entry("skipped", d="route: yes")
    for one in made["lanes"]["bars"]:
        one["t1"] = one["t1"] or 3.6
        one["s"] = "done" if one["s"] == "running" else one["s"]
    counts = dict.fromkeys(STATES, 0) | {"done": 31, "stored": 8, "skipped": 2}
    made["run"] |= {"state": "completed", "elapsed": 4.9, "live": False, "eta": None, "counts": counts}
    made["log"].append(line(4.9, "done", "plot", "plot", "3 figures"))
    columns = ["species", "n", "slope", "r²"]
    rows = [["Adelie", "146", "32.8", "0.21"], ["Chinstrap", "68", "34.6", "0.41"], ["Gentoo", "119", "54.6", "0.49"]]
    made["result"] = {"type": "DataFrame 12 × 4", "text": "", "table": {"columns": columns, "rows": rows, "more": 9}}
    for capacity in made["capacities"]:
        capacity["used"] = 0
    return made


def failed() -> Document:
    """The penguins, stopped by an error in one item of the map."""
    made = finished()
    made["result"] = None
    for one in made["lanes"]["bars"]:
        one["t1"] = min(one["t1"], 2.9)
    made["log"] = [one for one in made["log"] if one["t"] < 2.9]
    made["nodes"]["fit"] = entry(
        "failed",
        0.55,
        2.9,
        "1 of 32 failed",
        items=items(32, done=14, stored=7, failed=1),
        why="fit[21] raised ValueError",
    )
    for node in ("join", "plot", "publish?"):
        made["nodes"][node] = entry("cancelled", d="needs fit")
    made["run"] |= {
        "state": "failed",
        "elapsed": 2.9,
        "message": "fit[21] failed",
        "counts": dict.fromkeys(STATES, 0) | {"done": 17, "stored": 8, "failed": 1, "skipped": 2, "cancelled": 13},
    }
    made["log"].append(
        line(2.9, "failed", "fit", "fit[21]", "ValueError: array must not contain infs or NaNs", level="error")
    )
    made["failure"] = {
        "node": "fit",
        "label": "fit[21]",
        "error_type": "ValueError",
        "error": "array must not contain infs or NaNs",
        "frames": [
            {
                "file": "cell 4",
                "line": 12,
                "function": "fit",
                "code": "    return ols(group.bill_length, group.body_mass)",
            },
            {
                "file": "stats.py",
                "line": 48,
                "function": "ols",
                "code": "    return np.linalg.lstsq(design, y, rcond=None)",
            },
        ],
        "inputs": [
            {"name": "group", "preview": "DataFrame 21 × 7 (species 'Gentoo', island 'Biscoe')"},
            {"name": "steps", "preview": "200"},
        ],
        "good": "17 results are kept; 8 came from the store. A new run begins at fit[21].",
    }
    return made


def layered(count: int, *, done: float = 0.5, seed: int = 7) -> Document:
    """A large run: layers of tasks with edges to the layer before, computed on eight slots, a share of them done."""
    dice = random.Random(seed)
    nodes, edges = _layers(count, dice)
    over = int(count * done)
    free = [0.0] * 8
    bars, states, log = [], {}, []
    for place, node in enumerate(nodes):
        if place >= over + 8:
            states[node.id] = entry(dice.choice(["pending", "queued", "waiting"]) if place < over + 30 else "pending")
            continue
        slot = free.index(min(free))
        start = free[slot]
        end = round(start + dice.uniform(0.05, 0.6), 3)
        free[slot] = end if place < over else start + 9
        state = "running" if place >= over else "stored" if place % 7 == 3 else "done"
        counted = items(40, done=40 if place < over else 12) if node.kind == "map" else None
        if place < over:
            states[node.id] = entry(state, start, end, f"{end - start:.2f} s", items=counted)
            log.append(line(end, state, node.id, node.name, f"{dice.randint(10, 9999):,} rows"))
        else:
            states[node.id] = entry(state, start, items=counted)
        bars.append(bar(f"cpu/{slot}", node.id, node.name, start, end if place < over else None, state))
    return document(
        nodes,
        edges,
        states,
        run={"name": f"{count} nodes", "elapsed": max(one["t0"] for one in bars) + 0.3, "eta": 12.0},
        lanes={
            "rows": [{"id": f"cpu/{i}", "label": f"cpu {i + 1}", "kind": "capacity"} for i in range(8)],
            "bars": bars,
        },
        log=sorted(log, key=lambda one: one["t"]),
        capacities=[{"name": "cpu", "used": 8, "total": 8, "kind": "capacity"}],
    )


def _layers(count: int, dice: random.Random) -> tuple[list[Node], list[Edge]]:
    width = max(2, round(count**0.5 * 0.8))
    names = ["load", "clean", "split", "features", "train", "score", "merge", "plot", "check", "export"]
    nodes = [Node(f"n{i}", f"{names[(i // width) % 10]}_{i}", "map" if i % 23 == 11 else "task") for i in range(count)]
    edges = []
    for place in range(width, count):
        before = range((place // width - 1) * width, place // width * width)
        edges += [Edge(f"n{source}", f"n{place}") for source in sorted(dice.sample(before, dice.choice([1, 1, 2])))]
    return nodes, edges


HOSTILE = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&amp;\' ]]> \u202egnp.exe javascript:alert(1)'
)


def hostile() -> Document:
    """Markup, quotes, script, huge words and unknown vocabulary wherever the document has a text."""
    nodes = [
        Node(HOSTILE, HOSTILE, note=HOSTILE),
        Node("__proto__", "__proto__"),
        Node("wide", "W" * 500),
        Node("constructor", "constructor", "param"),
    ]
    edges = [Edge(HOSTILE, "__proto__", "route", HOSTILE), Edge("__proto__", "wide"), Edge("constructor", "wide")]
    states = {
        HOSTILE: entry("done x-onload", d=HOSTILE, why=HOSTILE, v=HOSTILE),
        "wide": entry("running", 0.0, None, "x" * 4000),
    }
    bars = [bar(HOSTILE, HOSTILE, HOSTILE, 0, None, 'bad"state', HOSTILE)]
    made = document(
        nodes,
        edges,
        states,
        run={"name": HOSTILE, "message": HOSTILE, "elapsed": 2.0},
        lanes={"rows": [{"id": HOSTILE, "label": HOSTILE, "kind": HOSTILE}], "bars": bars},
        capacities=[{"name": HOSTILE, "used": 1, "total": 2, "kind": HOSTILE}],
        log=[line(1.0, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE), line(1.1, "", "", "", HOSTILE, "stdout")],
        params=[{"name": HOSTILE, "value": HOSTILE, "type": HOSTILE, "description": HOSTILE}],
    )
    made["result"] = {"type": HOSTILE, "text": HOSTILE, "table": {"columns": [HOSTILE], "rows": [[HOSTILE]], "more": 1}}
    made["failure"] = {
        "node": HOSTILE,
        "label": HOSTILE,
        "error_type": HOSTILE,
        "error": HOSTILE,
        "good": HOSTILE,
        "frames": [{"file": HOSTILE, "line": 1, "function": HOSTILE, "code": HOSTILE}],
        "inputs": [{"name": HOSTILE, "preview": HOSTILE}],
    }
    return made
