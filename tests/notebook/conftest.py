"""One kernel for all kernel tests of a module: starting one takes longer than most tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notebook.kernel import Kernel

SETUP = """
%load_ext cascade
import asyncio, sys, time
import cascade as cs

opened, closed = [], []

@cs.resource
def db():
    opened.append(1)
    try:
        yield "connection"
    finally:
        closed.append(1)

@cs.task
def nap(x, seconds=0.05):
    time.sleep(seconds)
    return x

@cs.task
async def rest(x, seconds=0.05, c=cs.inject("db")):
    await asyncio.sleep(seconds)
    return x

@cs.task
def talk(x, seconds=0.2):
    print("first words of", x)
    time.sleep(seconds)
    print("last words of", x)
    return x

@cs.task
def fail(x):
    y = x - 1
    raise ValueError(f"no <b>{y}</b>")

def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)

def session():
    from cascade.notebook.session import current_session
    return current_session()

def live_widgets():
    import ipywidgets
    return list(ipywidgets.widgets.widget._instances)

def loaded():
    ip = get_ipython()
    listeners = ip.events.callbacks["pre_run_cell"]
    return len(ip.input_transformers_cleanup), len(listeners), "cascade" in ip.magics_manager.magics["cell"]

def chain(n, task=nap, **given):
    x = task(0, **given)
    for _ in range(n - 1):
        x = task(x, **given)
    return x
"""


# Tests look and click as a browser does: what is left for a notebook that nobody looks at is tested in test_headless.
WATCHED = f"{SETUP}\nimport cascade.notebook.unfinished as unfinished\nunfinished.has_front_end = lambda shell: True\n"


@pytest.fixture(scope="module")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the extension and some tasks."""
    from tests.notebook.kernel import Kernel

    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    try:
        ready = kernel.run(WATCHED)
        assert ready.ok, ready.error
        yield kernel
    finally:
        kernel.stop()


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    """The module's kernel, with the counters of its resource at zero; a new one after a test that it was lost in."""
    if shared_kernel.is_lost:
        shared_kernel.begin_again(WATCHED)
    assert shared_kernel.run("opened.clear(); closed.clear()").ok
    return shared_kernel
