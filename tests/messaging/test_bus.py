from __future__ import annotations

import threading
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import SettingError
from cascade.messaging.bus import LEVELS, Message, Messenger, check_level, messaging_bus
from cascade.messaging.renderer import ConsoleRenderer


class Keeper:
    """A renderer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def render(self, message: Message) -> None:
        self.messages.append(message)


def test_a_message_reaches_the_renderer_as_words_and_data() -> None:
    """Id, level, sentence, fields and time."""
    keeper = Keeper()
    Messenger(keeper).info("node.completed", label="fit", duration=0.5)
    (message,) = keeper.messages
    assert (message.id, message.level, message.text) == ("node.completed", "INFO", "fit done in 0.50 s")
    assert message.fields == {"label": "fit", "duration": 0.5}
    assert message.at > 1_700_000_000


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: str) -> None:
    """What has the level, or a higher one, is said."""
    keeper = Keeper()
    messenger = Messenger(keeper, level=level.lower())
    for word in LEVELS:
        getattr(messenger, word.lower())("limit.removed", limit=word)
        assert messenger.speaks(word) is (LEVELS[word] >= LEVELS[level])
    assert [message.level for message in keeper.messages] == [word for word in LEVELS if LEVELS[word] >= LEVELS[level]]


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("INFOO", r"log_level cannot be 'INFOO'. Did you mean 'INFO'\?"),
        (
            "warn",
            r"log_level cannot be 'warn'. Did you mean 'WARNING'\?|It is one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
        ),
        ("", "It is one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        (20, "log_level cannot be 20. It is one of DEBUG"),
        (None, "log_level cannot be None"),
    ],
)
def test_wrong_levels(level: Any, told: str) -> None:
    """The nearest level, or all of them."""
    with pytest.raises(SettingError, match=told):
        check_level(level)
    with pytest.raises(SettingError):
        Messenger(level=level)


def test_setting_renderer_level_and_language() -> None:
    """All can be changed while others speak; a wrong language changes nothing."""
    keeper = Keeper()
    messenger = Messenger()
    assert isinstance(messenger.renderer, ConsoleRenderer)
    messenger.set_renderer(keeper)
    messenger.set_locale("zh")
    messenger.set_level("DEBUG")
    messenger.debug("limit.removed", limit="x")
    with pytest.raises(SettingError):
        messenger.set_locale("xx")
    assert messenger.locale == "zh"
    assert [message.text for message in keeper.messages] == ["限制 x 已解除"]
    messenger.set_renderer(None)
    assert isinstance(messenger.renderer, ConsoleRenderer)


def test_a_derived_messenger_has_its_own_level() -> None:
    """It speaks the same language to the same renderer, and leaves the first one alone."""
    keeper = Keeper()
    first = Messenger(keeper, locale="zh")
    second = first.derive("ERROR")
    second.info("limit.removed", limit="x")
    second.error("limit.removed", limit="y")
    assert [message.text for message in keeper.messages] == ["限制 y 已解除"]
    assert first.level == "INFO"


def test_fields_may_have_any_name() -> None:
    """A field called level or message_id is a field."""
    assert Messenger().text("no.such", level=1, message_id=2, self=3) == "no.such level=1 message_id=2 self=3"


def test_many_threads_may_speak() -> None:
    """Every message arrives, whoever says it."""
    keeper = Keeper()
    messenger = Messenger(keeper)
    threads = [threading.Thread(target=messenger.info, args=("limit.removed",), kwargs={"limit": i}) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message.fields["limit"] for message in keeper.messages) == list(range(50))  # type: ignore[type-var]


def test_the_shared_one() -> None:
    """`cs.messaging_bus` is the one that everybody shares."""
    assert cs.messaging_bus is messaging_bus
    assert messaging_bus.level == "INFO"
