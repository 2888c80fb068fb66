"""One of several processes that run one graph: ``python two_processes_child.py STORE NOTES KIND``; prints its value.

It says in the notes that it is ready and waits for a line on its input, so that all begin at once.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import cascade as cs

SINGLE = cs.cache.by_content(single_flight=True)


def write(word):
    """Append a line to the notes; the place is in the environment, so that no key depends on it."""
    file = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{word}\n".encode())
    finally:
        os.close(file)


@cs.task(pure=True)
def step(label, *values):
    write(label)
    time.sleep(0.002)
    return sum(values) % 1_000_003


@cs.task(pure=True)
def table(x):
    write(f"table[{x}]")
    return bytes([x]) * 20_000  # a file of its own in the store


@cs.task(pure=True, mode="inline")
def size(tables):
    return sum(map(len, tables))


@cs.task(cache=SINGLE)
def slow(x):
    write(f"slow{x}")
    hold = os.environ.get("HOLD")
    if hold:  # until somebody removes the file, or kills this process
        while Path(hold).exists():
            time.sleep(0.005)
    return x * 2


@cs.task(cache=SINGLE)
def item(x):
    write(f"item[{x}]")
    time.sleep(0.002)
    return x + 1


@cs.task(cache=SINGLE)
def fails(x):
    write("fails")
    raise ValueError(x)


def graph():
    """Return layers of plain pure calls, and a map."""
    layer = [step(f"a{i}", i) for i in range(8)]
    for name in "bcdef":
        layer = [step(f"{name}{i}", layer[i], layer[i - 3]) for i in range(8)]
    return [step("end", *layer), size(table.map(x=range(12)))]


TARGETS = {
    "graph": graph,
    "slow": lambda: slow(21),
    "items": lambda: item.map(x=list(range(20))),
    "many": lambda: [slow(i) for i in range(12)],
    "fails": lambda: [fails(1).with_fallback(0), slow(5)],
}

if __name__ == "__main__":
    store, os.environ["NOTES"], kind = sys.argv[1:]
    print("ready", flush=True)
    sys.stdin.readline()
    print(cs.run(TARGETS[kind](), cache=store, log_level=None))
