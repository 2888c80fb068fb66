"""Who subscribes while a run ends hears how it ended."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.events import Event, RunFinished

if TYPE_CHECKING:
    from pathlib import Path


class SlowToEnd(LocalStore):
    """A store that takes its time to note the end of a run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, key_file=folder.parent / "key")
        self.is_ending = threading.Event()
        self.may_end = threading.Event()

    def end_run(self, run_id: str, facts: Any) -> None:
        self.is_ending.set()
        self.may_end.wait(10)
        super().end_run(run_id, facts)


def test_a_subscriber_that_comes_while_the_history_is_written_hears_the_end(tmp_path: Path) -> None:
    """The last event is told after that, so it must not count as over before."""

    @cs.task(pure=True)
    def one() -> int:
        return 1

    store = SlowToEnd(tmp_path / "store")
    run = cs.start(one(), log_level=None, cache=store)
    assert store.is_ending.wait(10)
    heard: list[Event] = []
    began = threading.Event()

    def hear(events: list[Event]) -> None:
        heard.extend(events)
        began.set()

    run.subscribe(hear)
    assert began.wait(10)
    store.may_end.set()
    assert run.result(10) == 1
    assert isinstance(heard[-1], RunFinished)
