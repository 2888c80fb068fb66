from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from cascade.adapters.state.memory import MemoryStateBackend
from cascade.testing import ConformanceError, check_state_backend
from cascade.testing.conformance import STATE_BACKEND_CASES
from tests.testing.conformance.broken import check_coverage, expect_broken, pairs


class Base(MemoryStateBackend):
    """Keeps everything; what is broken is in the classes under it."""

    __slots__ = ("__dict__",)


class Preloaded(Base):
    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.put_metadata("version", 1)


class LosesNone(Base):
    def has_result(self, node: str) -> bool:
        return self._results.get(node) is not None


class AsText(Base):
    def put_result(self, node: str, value: object) -> None:
        super().put_result(node, str(value))


class GivesNone(Base):
    def get_result(self, node: str) -> Any:
        return self._results.get(node)


class SkipsAreResults(Base):
    def mark_skipped(self, node: str, reason: str) -> None:
        super().mark_skipped(node, reason)
        self.put_result(node, None)


class KeepsTheFirst(Base):
    def put_result(self, node: str, value: object) -> None:
        self._results.setdefault(node, value)


class ListsTwice(Base):
    puts = 0

    def put_result(self, node: str, value: object) -> None:
        super().put_result(node, value)
        self.puts += 1

    def results(self) -> list[str]:
        return list(self._results) * max(1, self.puts)


class FoldsNames(Base):
    def put_result(self, node: str, value: object) -> None:
        super().put_result(node.strip().lower()[:60], value)

    def get_result(self, node: str) -> Any:
        return super().get_result(node.strip().lower()[:60])


class Pickles(Base):
    """Raises for what it cannot pickle."""

    def put_result(self, node: str, value: object) -> None:
        super().put_result(node, pickle.dumps(value))

    def get_result(self, node: str) -> Any:
        return pickle.loads(super().get_result(node))


class Pretends(Base):
    """Takes what it cannot copy, and says that it has it."""

    def put_result(self, node: str, value: object) -> None:
        try:
            super().put_result(node, copy.deepcopy(value))
        except TypeError:
            super().put_result(node, Pretends)

    def get_result(self, node: str) -> Any:
        value = super().get_result(node)
        if value is Pretends:
            raise RuntimeError("it could not be copied")
        return value


class DecodesAll(Pickles):
    def has_result(self, node: str) -> bool:
        return node in {name: pickle.loads(data) for name, data in self._results.items()}


class LosesReasons(Base):
    def get_skip_reason(self, node: str) -> str | None:
        return super().get_skip_reason(node) or None


class KeepsOldFacts(Base):
    def put_metadata(self, key: str, value: object) -> None:
        if key not in self._facts:
            super().put_metadata(key, value)


class TakesAnyFact(Base):
    def put_metadata(self, key: str, value: object) -> None:
        self._facts[key] = repr(value)

    def get_metadata(self, key: str) -> Any:
        return 1 if key in self._facts else None


class SpeechlessFacts(Base):
    def put_metadata(self, key: str, value: object) -> None:
        if not isinstance(value, int):
            raise ValueError
        super().put_metadata(key, value)


class Shared(Base):
    """All runs in one table."""

    table: dict[str, Any] = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self._results = self.table


class NeverForgets(Base):
    def begin_run(self, run_id: str) -> None:
        self.run_id = run_id


class AlwaysForgets(Base):
    def begin_run(self, run_id: str) -> None:
        super().begin_run(run_id)
        self._results = {}


class OfOneThread(Base):
    def __init__(self, run_id: str) -> None:
        import threading

        super().__init__(run_id)
        self.thread = threading.get_ident()

    def put_result(self, node: str, value: object) -> None:
        import threading

        if threading.get_ident() != self.thread:
            raise RuntimeError("this backend belongs to another thread")
        super().put_result(node, value)


class LosesSome(Base):
    puts = 0

    def put_result(self, node: str, value: object) -> None:
        super().put_result(node, value)
        self.puts += 1

    def results(self) -> list[str]:
        return list(self._results)[:100]


class ClosesOnce(Base):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("it is closed")
        self.closed = True


BROKEN: dict[str, list[Callable[[str], Base]]] = {
    "begins_empty": [Preloaded],
    "gives_values_back": [LosesNone, AsText],
    "knows_what_it_has_not": [GivesNone, SkipsAreResults],
    "replaces_values": [KeepsTheFirst, ListsTwice],
    "keeps_odd_names_apart": [FoldsNames],
    "takes_what_it_cannot_keep": [Pickles, Pretends],
    "decodes_only_on_demand": [DecodesAll],
    "keeps_reasons": [LosesReasons, SkipsAreResults],
    "keeps_facts": [KeepsOldFacts],
    "refuses_other_facts": [TakesAnyFact, SpeechlessFacts],
    "keeps_runs_apart": [Shared],
    "begins_again": [NeverForgets, AlwaysForgets],
    "works_in_threads": [OfOneThread, LosesSome],
    "closes_twice": [ClosesOnce],
}


def test_every_case_can_fail() -> None:
    """Each case has a backend that breaks it."""
    check_coverage(STATE_BACKEND_CASES, BROKEN)


@pytest.mark.parametrize(("name", "factory"), pairs(BROKEN))
def test_broken_backends_are_found(name: str, factory: type[Base]) -> None:
    """A backend that breaks a promise is found by the case that is about it."""
    Shared.table.clear()
    assert expect_broken(STATE_BACKEND_CASES, name, factory, 5.0)


def test_the_base_of_the_broken_is_whole() -> None:
    """What the broken ones are made from keeps every promise, so that it is their own fault that is found."""
    check_state_backend(Base)


def test_the_report_lists_all() -> None:
    """A backend with several faults is told all of them."""
    with pytest.raises(ConformanceError) as caught:
        check_state_backend(SkipsAreResults)
    assert len(caught.value.broken) >= 2
    assert str(caught.value).startswith("SkipsAreResults breaks ")
