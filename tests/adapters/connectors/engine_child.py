"""A run in a process of its own, for tests that kill it: `python engine_child.py ADDRESS SECONDS [COUNT]`."""

from __future__ import annotations

import sys
import time

import cascade as cs


@cs.task
def nap(number, seconds):
    time.sleep(seconds)
    return number


if __name__ == "__main__":
    address, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
    run = cs.start([nap(n, seconds) for n in range(count)], connector=address, log_level=None, name="child")
    sys.stdout.write(f"{run.run_id}\n")
    sys.stdout.flush()
    assert run.result() == list(range(count))
