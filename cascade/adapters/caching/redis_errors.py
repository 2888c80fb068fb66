"""What can go wrong with a Redis server: what happened, where, and what to do.

In: what redis-py raised, and the address without its password. Out: errors whose text can be read alone. Invariant: no
password, and nothing of what was stored, is in any of them: redis-py repeats the command that failed, these do not.
"""

from __future__ import annotations

from typing import Any

from cascade.interfaces.exceptions import CascadeError
from cascade.interfaces.store_errors import StoreError

__all__ = ["RedisAddressError", "RedisError"]


class RedisAddressError(StoreError):
    """No connection can be made of what was given; raised before anything runs."""

    @classmethod
    def for_missing_client(cls, purpose: str) -> RedisAddressError:
        """redis-py is an extra."""
        return cls(f"{purpose} needs redis-py, which is not installed: pip install 'cascade-notebook[redis]'.")

    @classmethod
    def for_form(cls, shown: str) -> RedisAddressError:
        """Not an address of a Redis server."""
        return cls(
            f"{shown} is no address of a Redis server. Write redis://host:6379/0, rediss:// for TLS, or unix:///path; "
            "characters of a password other than letters and digits are written as %40 and the like."
        )

    @classmethod
    def for_option(cls, shown: str, name: str) -> RedisAddressError:
        """An option that redis-py does not know, or a value that it does not take."""
        return cls(f"The address {shown} has an option '{name}' that cannot be used. Leave it out or correct it.")


class RedisError(CascadeError, RuntimeError):
    """A Redis server does not do what it was asked now.

    Attributes:
        may_pass: it is only away; it may come back and then do it.
    """

    may_pass = False

    @classmethod
    def of(cls, error: BaseException, shown: str, timeout: float) -> RedisError:
        """Return the error for what redis-py, or the network, raised."""
        from redis import exceptions as raised

        full: Any = getattr(raised, "OutOfMemoryError", ())
        if isinstance(error, (raised.TimeoutError, TimeoutError)):
            return cls.for_silence(shown, timeout)
        if isinstance(error, (raised.AuthenticationError, raised.AuthorizationError, raised.NoPermissionError)):
            return cls.for_password(shown, _reason(error))
        if isinstance(error, raised.ReadOnlyError):
            return cls.for_replica(shown)
        if isinstance(error, full) or "maxmemory" in str(error):
            return cls.for_memory(shown)
        if "WRONGTYPE" in str(error) or "not an integer" in str(error):  # of a counter that is none
            return cls.for_type(shown)
        if "DB index" in str(error):
            return cls.for_database(shown)
        if isinstance(error, raised.ResponseError):
            return cls(f"Redis at {shown} refuses: {_reason(error)}.")
        return cls.for_distance(shown, _reason(error))

    @classmethod
    def for_silence(cls, shown: str, timeout: float) -> RedisError:
        """Something took the connection and said nothing."""
        return cls(
            f"Redis at {shown} did not answer within {timeout:g} s. "
            "Look whether a Redis server listens there, and whether it is busy."
        )

    @classmethod
    def for_rest(cls, shown: str, timeout: float, seconds: float) -> RedisError:
        """It was silent a moment ago, so it is not asked."""
        return cls(
            f"Redis at {shown} did not answer within {timeout:g} s, and is asked again in {seconds:.0f} s. "
            "Look whether a Redis server listens there, and whether it is busy."
        )

    @classmethod
    def for_password(cls, shown: str, reason: str) -> RedisError:
        """WRONGPASS, NOAUTH, NOPERM."""
        if reason.startswith(("HELLO must", "Authentication required")):
            return cls(
                f"Redis at {shown} asks for a password. Write it into the address, redis://:PASSWORD@host:6379/0, "
                "best by an environment variable."
            )
        return cls(f"Redis at {shown} refuses this user or password ({reason}). Correct them in the address.")

    @classmethod
    def for_database(cls, shown: str) -> RedisError:
        """Servers have 16 databases, unless they are told otherwise."""
        return cls(f"Redis at {shown} has no database of that number. Most servers have 0 to 15: correct the address.")

    @classmethod
    def for_replica(cls, shown: str) -> RedisError:
        """Only the primary writes."""
        return cls(
            f"Redis at {shown} is a read-only replica. What it holds serves; to store, give the primary's address."
        )

    @classmethod
    def for_memory(cls, shown: str) -> RedisError:
        """`maxmemory` is reached and nothing is evicted."""
        return cls(
            f"Redis at {shown} is full. Raise its maxmemory, set a maxmemory-policy such as allkeys-lru, "
            "or clear what is not needed."
        )

    @classmethod
    def for_type(cls, shown: str) -> RedisError:
        """Another program uses the same name."""
        return cls(
            f"Redis at {shown} holds something else under a key of cascade's. "
            "Choose another prefix (?prefix=name: in the address), or delete the key."
        )

    @classmethod
    def for_distance(cls, shown: str, reason: str) -> RedisError:
        """Refused, gone, no such host, no TLS."""
        made = cls(f"Redis at {shown} cannot be reached ({reason}). Start it, or correct the address.")
        made.may_pass = True
        return made


def _reason(error: BaseException) -> str:
    """Return the words of an error without the command that redis-py puts in front, and without its end."""
    words = str(error).rpartition(" of pipeline caused error: ")[2]
    line = (words.splitlines() or [""])[0][:200].rstrip(". ")
    return line or type(error).__name__
