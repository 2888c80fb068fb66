"""The way to a Redis server: its address, a client with bounded patience, and a rest after silence.

In: an address, calls of redis-py's client. Out: what they return, or a `RedisError`. Invariant: no call lasts much
longer than the timeout, and after a server was silent nobody waits for it again until a rest is over; a password is in
no repr and in no error.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from cascade.adapters.caching.redis_errors import RedisAddressError, RedisError

__all__ = ["TIMEOUT", "RedisLink", "masked", "seconds_in", "take_options"]

T = TypeVar("T")
TIMEOUT: Final = 5.0  # seconds for a connection, and for each answer
LONGEST_REST: Final = 60.0  # seconds
SCHEMES: Final = frozenset({"redis", "rediss", "unix"})


def masked(url: str) -> str:
    """Return an address as it may be shown: without password, and without options, which may hold one.

    Example:
        >>> masked("rediss://me:hush@host:6380/2?password=hush"), masked("redis://:p:w@[/")
        ('rediss://me:***@host:6380/2', 'redis://***')
    """
    try:
        parts = urlsplit(url)
        port, user = parts.port, parts.username or ""
    except ValueError:
        parts = None
    if parts is None or "@" in parts.path or "://" not in url:
        scheme, mark, _ = url.partition("://")  # a password with a slash in it would be taken for a path
        return f"{scheme[:10]}://***" if mark else "what was given"
    secret = ":***@" if parts.password is not None else "@" if user else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{user}{secret}{host}{f':{port}' if port else ''}{parts.path}"


def take_options(url: str, *names: str) -> tuple[str, dict[str, str]]:
    """Return an address without those of its options that are cascade's own, and these.

    Example:
        >>> take_options("redis://host/0?prefix=lab:&db=1", "prefix")
        ('redis://host/0?db=1', {'prefix': 'lab:'})
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, {}
    options = parse_qsl(parts.query, keep_blank_values=True)
    rest = [(name, value) for name, value in options if name not in names]
    if len(rest) == len(options):
        return url, {}
    return urlunsplit(parts._replace(query=urlencode(rest))), {n: value for n, value in options if n in names}


def seconds_in(options: Mapping[str, str], name: str, usual: float, url: str) -> float:
    """Return the seconds that an option of an address gives, or the usual ones.

    Raises:
        RedisAddressError: when it is not a number above 0.

    Example:
        >>> seconds_in({"ttl": "60"}, "ttl", 5.0, "redis://host"), seconds_in({}, "ttl", 5.0, "redis://host")
        (60.0, 5.0)
    """
    try:
        seconds = float(options.get(name, usual))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise RedisAddressError.for_option(masked(url), name)
    return seconds


class RedisLink:
    """One server, asked from any thread.

    Args:
        url: as redis-py takes it. purpose: who needs redis-py, for the error. timeout: seconds for each answer.

    Attributes:
        shown: the address without its password. client: redis-py's; it connects when it is first asked.

    Raises:
        RedisAddressError: when redis-py is not installed, or the address is none.
    """

    __slots__ = ("_lock", "_raised", "_rest", "_rests_until", "client", "shown", "timeout")

    def __init__(self, url: str, purpose: str, timeout: float = TIMEOUT) -> None:
        """Connect to nothing yet."""
        self.shown = masked(url)
        self.timeout = timeout
        self._lock = threading.Lock()
        self._rest = self._rests_until = 0.0
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise RedisAddressError.for_missing_client(purpose) from None
        self._raised: tuple[type[BaseException], ...] = (redis.RedisError, OSError, UnicodeError)
        # Once more at once where a connection has died in the pool; silence is waited for only once.
        retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        self.client: Any = self._make(url, redis, retry)

    def ask(self, work: Callable[[Any], T]) -> T:
        """Return what `work` returns of the client.

        Raises:
            RedisError: what the server or the network says; at once where it has been silent a moment ago.
        """
        left = self._rests_until - time.monotonic()
        if left > 0:
            raise RedisError.for_rest(self.shown, self.timeout, max(1.0, left))
        try:
            answer = work(self.client)
        except self._raised as error:
            fault = RedisError.of(error, self.shown, self.timeout)
            self._note(is_silent=_is_silence(error))
            raise fault from None  # what redis-py says may repeat what was sent
        if self._rest:
            self._note(is_silent=False)
        return answer

    def pipe(self, fill: Callable[[Any], object], *, is_atomic: bool = False) -> list[Any]:
        """Return the answers to the commands that `fill` puts into a pipeline: one round trip for all.

        Raises:
            RedisError: for the first of them that failed, too.
        """

        def work(client: Any) -> list[Any]:
            with client.pipeline(transaction=is_atomic) as pipe:
                fill(pipe)
                answers: list[Any] = pipe.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers

        return self.ask(work)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _make(self, url: str, redis: Any, retry: Any) -> Any:
        scheme, mark, rest = url.partition("://")
        if not mark or scheme.lower() not in SCHEMES:
            raise RedisAddressError.for_form(self.shown)
        settings = {"socket_timeout": self.timeout, "socket_connect_timeout": self.timeout, "retry": retry}
        number = rest.partition("?")[0].partition("/")[2].strip("/") if scheme.lower() != "unix" else ""
        if number and not number.isdecimal():  # redis-py would take the first database without a word
            raise RedisAddressError.for_form(self.shown)
        try:
            client = redis.Redis.from_url(f"{scheme.lower()}://{rest}", **settings)
        except (ValueError, TypeError):
            raise RedisAddressError.for_form(self.shown) from None
        pool = client.connection_pool
        pool.connection_kwargs["decode_responses"] = False  # bytes are bytes
        try:
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError, redis.RedisError) as error:
            raise RedisAddressError.for_option(self.shown, _option_in(str(error))) from None
        return client

    def _note(self, *, is_silent: bool) -> None:
        """Rest after silence, each time longer; an answer, and be it a refusal, ends that."""
        with self._lock:
            self._rest = min(max(2 * self._rest, self.timeout), LONGEST_REST) if is_silent else 0.0
            self._rests_until = time.monotonic() + self._rest if is_silent else 0.0


def _is_silence(error: BaseException) -> bool:
    from redis.exceptions import TimeoutError as SilenceError

    return isinstance(error, (SilenceError, TimeoutError))


def _option_in(text: str) -> str:
    """Return the name in ``… got an unexpected keyword argument 'name'``."""
    return text.rpartition("argument ")[2].strip("'\"") if "argument '" in text else "of that kind"
