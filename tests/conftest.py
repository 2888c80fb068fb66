"""What holds for every test: how hard Hypothesis searches, that nothing skips in CI, and the one Chromium."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from cascade.context import get_current_context

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# Chromium looks for updates and other things of its own until one says not to.
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# Fixtures that start a broker, a server, a cluster or a command.
OTHER_PROGRAMS = {"place", "make_broker", "broker", "processes", "local", "make_redis", "redis_url"}

# Jupyter warns until one says which folders to use, and warnings are errors here.
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

# gcsfs reads this when it is first imported: what it adds otherwise asks Google itself, not the service named to it.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

settings.register_profile("commit", max_examples=50, deadline=None)
settings.register_profile(
    "ci", max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "commit"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: a program that a test needs is installed or missed, not done without."""
    report = yield
    refuse_skip(report)
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report  # lone surrogates, which hostile tests print, cannot be sent from one process to another


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for whole modules (`pytest.importorskip`)."""
    report = yield
    refuse_skip(report)
    return report


def pytest_configure() -> None:
    """A shell that runs this in the background has it ignore Ctrl-C, and so would all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure in CI; reasons that begin with `only on` name another platform and stay skips."""
    if not IN_CI or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith("only on "):
        report.outcome = "failed"
        report.longrepr = f"In CI nothing may skip, and this did: {reason}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests with a browser last: Playwright keeps an event loop running in this thread until it is closed.

    What waits for another program gets a second try, since others may take the machine at any moment; in CI every test
    does. pytest's summary counts these tries and names them (`docs/decisions/0014-a-second-try.md`).
    """

    def needs(item: pytest.Item, marks: set[str], fixtures: set[str]) -> bool:
        named = fixtures & set(getattr(item, "fixturenames", ()))
        return bool(named) or any(item.get_closest_marker(mark) for mark in marks)

    if config.pluginmanager.hasplugin("rerunfailures"):
        for item in items:
            if IN_CI or needs(item, {"browser", "kernel"}, OTHER_PROGRAMS):
                item.add_marker(pytest.mark.flaky(reruns=1))

    def needs_browser(item: pytest.Item) -> bool:
        return needs(item, {"browser"}, {"chromium", "browser"})

    items.sort(key=needs_browser)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collector away from the tests themselves: walking over all of them takes it half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The machine's Chromium, driven by Playwright; one for all, since a second driver cannot start beside it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed (on Debian: apt-get install chromium)")
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", *QUIET]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, headless=True, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def own_context() -> Iterator[None]:
    """An empty workflow context; what a test registers is forgotten after it."""
    context = get_current_context()
    tables = (context.tasks, context.params, context.envs, context.resources, context.overrides)
    before = [dict(table) for table in tables]
    context.clear()
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)
