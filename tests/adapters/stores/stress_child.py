"""Stores, finds, loads and cleans up in two threads, beside other processes that do the same."""

from __future__ import annotations

import random
import sys
import threading
from typing import Any

from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Draft, StoreMiss

FOLDER, KEY, COUNT, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
MISSED = ("it was removed meanwhile", "it was replaced meanwhile")  # by another: no fault
errors: list[Any] = []


def value_of(key: str) -> Any:
    """The one value of a key: every tenth is large, and some keys share theirs."""
    number = int(key) // 2
    return bytes([number]) * 20_000 if int(key) % 10 < 2 else {"n": number}


def report(kind: str, key: str, problem: str) -> None:
    if problem not in MISSED:
        errors.append((kind, key, problem))


def work(store: LocalStore, seed: int) -> None:
    draw = random.Random(seed)
    try:
        for _ in range(COUNT):
            keys = [str(draw.randrange(200)) for _ in range(3)]
            choice = draw.random()
            if choice < 0.35:
                store.save(keys[0], value_of(keys[0]))
            elif choice < 0.4:
                store.save_many(Draft(key, value_of(key)) for key in keys)
            elif choice < 0.43:
                store.gc(max_bytes=draw.choice([0, 100_000, 300_000]))
            elif choice < 0.46:
                store.forget(keys)
            elif choice < 0.5:
                store.save_recipes({keys[0]: keys[0]})
            else:
                for key, entry in store.find(keys).items():
                    found = store.load(entry)
                    if not isinstance(found, StoreMiss) and found != value_of(key):
                        errors.append((key, found))
    except BaseException as error:
        errors.append(repr(error))


store = LocalStore(FOLDER, key_file=KEY, on_report=report)
threads = [threading.Thread(target=work, args=(store, 10 * SEED + n)) for n in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
store.close()
if errors:
    sys.exit(f"{len(errors)} errors: {errors[:5]}")
