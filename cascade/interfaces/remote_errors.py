"""What can be wrong between a run and those who watch or steer it from elsewhere.

In: addresses, topics and reasons from the place of the fault. Out: errors whose text can be read alone. Invariant: no
password is in any of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cascade.interfaces.exceptions import CascadeError
from cascade.interfaces.naming import clip, nearest, short

__all__ = ["ConnectorError", "JournalError", "RefusedError", "RemoteError"]


class ConnectorError(CascadeError, ConnectionError):
    """A connector cannot be made, or cannot do what was asked."""

    @classmethod
    def for_closed(cls, address: str) -> ConnectorError:
        """Used before `connect`, or after `disconnect`."""
        return cls(f"The connector {address} is not connected. Call its connect() first, with await.")

    @classmethod
    def for_object(cls, given: object) -> ConnectorError:
        """Neither a connector nor an address."""
        kind = type(given).__name__
        return cls(
            f"connector= takes an address such as 'local' or 'mqtt://host:1883', or an object with connect, "
            f"disconnect, publish and subscribe; {kind} is neither."
        )

    @classmethod
    def for_address(cls, address: str, known: Collection[str]) -> ConnectorError:
        """Text that names no connector."""
        scheme = address.split(":", 1)[0]
        hint = nearest(scheme, known) if scheme and scheme not in known else ""
        hint = hint if hint.startswith(" Did") else ""
        return cls(f"{short(address)} names no connector.{hint} Write 'local', 'inprocess:name' or 'mqtt://host:port'.")

    @classmethod
    def for_port(cls, address: str) -> ConnectorError:
        """An address with a port that is none."""
        return cls(f"The port in {short(address)} is not a number from 1 to 65535. Write it as in 'mqtt://host:1883'.")

    @classmethod
    def for_topic(cls, topic: object, problem: str) -> ConnectorError:
        """A topic that no connector carries."""
        return cls(f"{short(topic)} is not a topic: {problem}.")

    @classmethod
    def for_payload(cls, topic: str, problem: str) -> ConnectorError:
        """A payload that is no JSON."""
        return cls(
            f"The payload for '{clip(topic)}' cannot be sent as JSON: {problem}. Use text, numbers, lists, dicts."
        )

    @classmethod
    def for_library(cls, library: str, extra: str) -> ConnectorError:
        """A library that is not installed."""
        return cls(f"This needs {library}, which is not installed. Run: pip install 'cascade-notebook[{extra}]'.")

    @classmethod
    def for_unreached(cls, address: str, problem: str, seconds: float) -> ConnectorError:
        """Nobody answers there."""
        return cls(
            f"{address} was not reached within {seconds:g} s: {problem}. Check the address, and that the broker runs."
        )

    @classmethod
    def for_certificates(cls, ca_file: object, problem: str) -> ConnectorError:
        """A file of certificates that cannot be used; it becomes part of a sentence."""
        asked = "ca_file=, or CASCADE_MQTT_CA_FILE"
        return cls(f"the certificates in {str(ca_file)!r} ({asked}) cannot be read: {problem}")

    @classmethod
    def for_folder(cls, path: object, problem: str) -> ConnectorError:
        """A runtime folder that cannot be trusted or used."""
        return cls(
            f"The runtime folder {path} cannot be used: {problem}. "
            "Correct it, or name another one in the environment variable CASCADE_RUNTIME_DIR."
        )


class RefusedError(CascadeError, ValueError):
    """A message from outside that no run obeys; the text is the reason."""


class RemoteError(CascadeError, RuntimeError):
    """A run elsewhere could not be found, or did not do what it was told.

    Attributes:
        kind: ``unknown``, ``several``, ``silent`` or ``refused``.
    """

    def __init__(self, text: str, kind: str = "unknown") -> None:
        """Say `text`."""
        super().__init__(text)
        self.kind = kind

    @classmethod
    def for_silence(cls, run_id: str, command: str, seconds: float) -> RemoteError:
        """No answer."""
        return cls(
            f"The run '{clip(run_id)}' did not answer '{clip(command)}' within {seconds:g} s. It has ended, or does "
            "not listen here: it must have been started with connector= and the same organisation and project.",
            "silent",
        )

    @classmethod
    def for_refusal(cls, run_id: str, command: str, reason: str) -> RemoteError:
        """The run said no."""
        return cls(f"The run '{clip(run_id)}' refused '{clip(command)}': {reason}", "refused")

    @classmethod
    def for_unknown(cls, run_id: str, known: Iterable[str]) -> RemoteError:
        """No such run."""
        hint = nearest(run_id, known)
        return cls(f"No run '{clip(run_id)}' is known here.{hint}")

    @classmethod
    def for_several(cls, run: str, found: Iterable[str]) -> RemoteError:
        """A name or a beginning that fits several."""
        names = ", ".join(map(clip, found))
        return cls(f"'{clip(run)}' may be any of these runs: {names}. Give more of the run_id.", "several")


class JournalError(CascadeError, ValueError):
    """A journal file cannot be read."""

    @classmethod
    def at(cls, path: object, line: int, problem: str) -> JournalError:
        """A line that is no event."""
        return cls(f"{path} is not a journal of a run: line {line} {problem}. Give a file that JournalSink wrote.")

    @classmethod
    def for_empty(cls, path: object) -> JournalError:
        """Nothing in it."""
        return cls(f"{path} holds no run. A journal is written by subscribers=[JournalSink(path)].")

    @classmethod
    def for_choice(cls, path: object, run_ids: Iterable[str]) -> JournalError:
        """Several runs in one file."""
        return cls(f"{path} holds several runs: {', '.join(map(clip, run_ids))}. Say which one with run_id=.")
