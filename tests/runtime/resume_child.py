"""A run that may be killed at any moment: ``python resume_child.py STORE NOTES ATTEMPT``; prints its value at the end.

Every body says in the notes that it ran, before it does anything else; a subscriber says there what the run has told
as completed. Both append whole lines, which no kill can tear.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import cascade as cs
from cascade.interfaces import events as ev

NAP = 0.015  # seconds
ITEMS = 12


def write(kind, label):
    """Append a line to the notes; the place is in the environment, so that no key depends on it."""
    line = f"{os.environ['RESUME_ATTEMPT']} {kind} {label}\n"
    file = os.open(os.environ["RESUME_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@cs.task(pure=True)
def load(x):
    write("ran", f"load{x}")
    time.sleep(NAP)
    return list(range(x))


@cs.task(pure=True)
def measure(row):
    write("ran", f"measure[{len(row)}]")
    time.sleep(NAP)
    return sum(row)


@cs.task(pure=True, mode="inline")
def shift(x):
    write("ran", f"shift[{x}]")
    return x + 100


@cs.task(pure=True)
async def mix(label, *values):
    write("ran", label)
    await asyncio.sleep(NAP)
    return sum(values) % 1_000_003


@cs.task(pure=True, mode="compute")
def crunch(label, x):
    write("ran", label)
    return x * x % 1_000_003


@cs.task(pure=True, mode="inline")
def join(label, *values):
    write("ran", label)
    return sum(values) % 1_000_003


@cs.task(pure=True)
def choose(x):
    write("ran", "choose")
    return "odd" if x % 2 else "even"


@cs.task(pure=True)
def part(x):
    write("ran", f"part[{x}]")
    time.sleep(NAP)
    return 3 * x


@cs.task(pure=True)
def grow(count, more):
    """Returns calls, after work of its own: which calls they are is remembered."""
    write("ran", "grow")
    time.sleep(NAP)
    parts = [mix(f"grown{i}", more, i).named(f"grown{i}") for i in range(count)]
    leaves = join("leaves", *parts).named("leaves")
    return join("leafage", leaves, total(part.map(x=list(range(count)))), deepen(more)).named("leafage")


@cs.task(pure=True)
async def deepen(more):
    """Returns calls, and is among the calls that another one returned."""
    write("ran", "deepen")
    await asyncio.sleep(NAP)
    return mix("deep", more, 100).named("deep")


@cs.task(pure=True)
def branch(x):
    """Returns a call for each item of a map."""
    write("ran", f"branch[{x}]")
    time.sleep(NAP)
    return join(f"twig{x}", x, x).named(f"twig{x}")


@cs.task(pure=True, mode="inline")
def total(values):
    write("ran", f"total{len(values)}")
    return sum(values)


def make():
    """Return the target: 62 nodes, and 19 more that it grows."""
    loads = [load(i).named(f"load{i}") for i in range(ITEMS)]
    measured = total(measure.map(row=loads)).named("total12")
    shifted = total(shift.map(x=list(range(9)))).named("total9")
    heads = [mix(f"head{i}", measured, i).named(f"head{i}") for i in range(10)]
    sums = [join(f"sum{i}", heads[i], heads[(i + 3) % 10]).named(f"sum{i}") for i in range(10)]
    ways = {
        "odd": join("odd2", mix("odd1", sums[0]).named("odd1")).named("odd2"),
        "even": join("even2", mix("even1", sums[1]).named("even1")).named("even2"),
    }
    way = cs.Router(selector=choose(measured), routes=ways)
    crunched = [crunch(f"crunch{i}", sums[i]).named(f"crunch{i}") for i in range(4)]
    tails = [mix(f"tail{i}", sums[i % 10], sums[(i + 1) % 10]).named(f"tail{i}") for i in range(12)]
    branches = total(branch.map(x=list(range(4)))).named("total4")
    return join("end", way, shifted, grow(8, sums[2]), branches, *crunched, *tails).named("end")


def completed(event):
    """Say what the run has told; items by their index, which is their element here."""
    if isinstance(event, ev.ItemsCompleted):
        labels = [f"{event.name}[{i}]" for i in range(event.first, event.first + event.count)]
    else:
        labels = [event.name if event.index is None else f"{event.name}[{event.index}]"]
    for label in labels:
        write("told", label)


if __name__ == "__main__":
    store, os.environ["RESUME_NOTES"], os.environ["RESUME_ATTEMPT"] = sys.argv[1:]
    heard = [(kind, completed) for kind in (ev.NodeCompleted, ev.ItemsCompleted, ev.GraphGrown)]
    write("begun", "now")
    print(cs.run(make(), cache=store, log_level=None, subscribers=heard))
