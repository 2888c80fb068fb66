"""Messages: an id and its fields, at a level → words → renderer.

In: what any part of cascade has to say. Out: one call of a renderer. Invariant: no module prints; what is said goes
through a `Messenger`, and the only one that everybody shares is `messaging_bus`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cascade.interfaces.exceptions import SettingError

if TYPE_CHECKING:
    from cascade.messaging.catalogue import Catalogue

__all__ = ["LEVELS", "Message", "Messenger", "Renderer", "check_level", "messaging_bus"]

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that is said.

    Args:
        id: which sentence, such as ``node.completed``; its last word chooses the icon on a console.
        level: one of `LEVELS`. text: the sentence in the reader's language, on any number of lines.
        fields: the facts in it, as data. at: seconds since the epoch.
    """

    id: str
    level: str
    text: str
    fields: Mapping[str, object]
    at: float


class Renderer(Protocol):
    """Shows messages to someone."""

    def render(self, message: Message) -> None:
        """Show one message. May be called from several threads."""


def check_level(level: object) -> str:
    """Return `level` as one of `LEVELS`, in capitals.

    Raises:
        SettingError: when it is none, with the nearest.

    Example:
        >>> check_level("info")
        'INFO'
    """
    name = level.upper() if isinstance(level, str) else ""
    if name not in LEVELS:
        raise SettingError.for_choice("log_level", level, LEVELS)
    return name


class Messenger:
    """Turns messages into words and hands them to a renderer.

    Args:
        renderer: who shows them; None: a `ConsoleRenderer`, made when first needed.
        level: what is less important is not said.
        locale: ``en`` or ``zh``.

    Example:
        >>> from cascade.messaging.renderer import JsonRenderer
        >>> import io
        >>> messenger = Messenger(JsonRenderer(io.StringIO()), level="WARNING")
        >>> messenger.speaks("INFO")
        False
        >>> messenger.text("node.completed", label="fit", duration=0.5)
        'fit done in 0.50 s'
    """

    def __init__(self, renderer: Renderer | None = None, level: str = "INFO", locale: str = "en") -> None:
        """Check the level; load nothing yet."""
        self._renderer = renderer
        self._level = check_level(level)
        self._locale = locale
        self._catalogue: Catalogue | None = None
        self._lock = threading.Lock()

    # -- settings -------------------------------------------------------------------------------------------------

    @property
    def level(self) -> str:
        """The least level that is said."""
        return self._level

    def set_level(self, level: str) -> None:
        """Say only what has `level` or a higher one."""
        self._level = check_level(level)

    @property
    def locale(self) -> str:
        """The language."""
        return self._locale

    def set_locale(self, locale: str) -> None:
        """Speak another language from now on."""
        from cascade.messaging.catalogue import load

        self._catalogue = load(locale)
        self._locale = locale

    @property
    def renderer(self) -> Renderer:
        """Who shows the messages."""
        with self._lock:
            if self._renderer is None:
                from cascade.messaging.renderer import ConsoleRenderer

                self._renderer = ConsoleRenderer()
            return self._renderer

    @property
    def has_own_renderer(self) -> bool:
        """Whether someone chose the renderer."""
        return self._renderer is not None

    def set_renderer(self, renderer: Renderer | None) -> None:
        """Let `renderer` show the messages from now on; None: the console again."""
        self._renderer = renderer

    def derive(self, level: str, renderer: Renderer | None = None) -> Messenger:
        """Return a messenger with a level, and perhaps a renderer, of its own and this one's language."""
        made = Messenger(renderer or self._renderer, level, self._locale)
        made._catalogue = self._catalogue
        return made

    # -- speaking -------------------------------------------------------------------------------------------------

    def speaks(self, level: str) -> bool:
        """Say whether a message of `level` would be shown; saves making fields that nobody reads."""
        return LEVELS[level] >= LEVELS[self._level]

    def text(self, message_id: str, /, **fields: object) -> str:
        """Return the sentence without saying it."""
        if self._catalogue is None:
            from cascade.messaging.catalogue import load

            self._catalogue = load(self._locale)
        return self._catalogue.text(message_id, fields)

    def say(self, level: str, message_id: str, /, **fields: object) -> None:
        """Say a message at `level`, if that is important enough."""
        self.report(level, message_id, time.time(), fields)

    def report(self, level: str, message_id: str, at: float, fields: Mapping[str, object]) -> None:
        """Say what happened at another time than now; `at` is in seconds since the epoch."""
        if self.speaks(level):
            self.renderer.render(Message(message_id, level, self.text(message_id, **fields), fields, at))

    def debug(self, message_id: str, /, **fields: object) -> None:
        """Say what helps to find a fault."""
        self.say("DEBUG", message_id, **fields)

    def info(self, message_id: str, /, **fields: object) -> None:
        """Say what goes on."""
        self.say("INFO", message_id, **fields)

    def warning(self, message_id: str, /, **fields: object) -> None:
        """Say what someone should know, although work goes on."""
        self.say("WARNING", message_id, **fields)

    def error(self, message_id: str, /, **fields: object) -> None:
        """Say what failed."""
        self.say("ERROR", message_id, **fields)

    def critical(self, message_id: str, /, **fields: object) -> None:
        """Say what makes going on impossible."""
        self.say("CRITICAL", message_id, **fields)


messaging_bus: Final = Messenger()
"""The messenger that everybody shares; runs derive theirs from it."""
