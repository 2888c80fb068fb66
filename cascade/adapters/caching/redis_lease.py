"""Locks in Redis: held by one, for as long as its process lives, and free soon after it has died.

In: keys. Out: leases, renewed by a thread of their own until they are given back. Invariant: a lease carries a number
that grows with each holder; renewing and giving back are done only by who holds it still, so that one that came back
from a long sleep takes nothing from its successor.

A lease that ran out (its process slept, the server was away for long) does not stop its holder: what it stores then is
whole, and under the key of the same code and inputs, so that a late write harms nobody.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cascade.adapters.caching.redis_errors import RedisError
from cascade.adapters.caching.redis_link import RedisLink

__all__ = ["Lease", "Leases"]

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.05  # seconds between two tries
RENEWALS: Final = 3  # in the time of a lease, so that two may fail
_DICE: Final = random.SystemRandom()  # the numbers of the program itself stay as it seeded them

# A lock without an end is none of ours, and would be held for ever: it is replaced.
_TAKE: Final = """
if redis.call('pttl', KEYS[1]) >= 0 then return false end
local number = redis.call('incr', KEYS[2])
local token = ARGV[1] .. ':' .. string.format('%.0f', number)
redis.call('set', KEYS[1], token, 'px', ARGV[2])
return token
"""
# A server that was started anew may have forgotten the lock: then it is taken again.
_RENEW: Final = """
local held = redis.call('get', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
"""
_GIVE_BACK: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@dataclass(slots=True, eq=False)
class Lease:
    """A key that is held.

    Attributes:
        name: of the lock. token: what stands there while it is held. number: grows with each holder, of any key.
        is_lost: another has it, or may have it, by now.
    """

    name: bytes
    token: bytes
    number: int
    is_lost: bool = False


class Leases:
    """The locks of one cache, and the thread that renews them while any is held.

    Args:
        prefix: of the locks' names. seconds: after which the lock of a holder that has died is free.
    """

    __slots__ = ("_give_back", "_held", "_link", "_prefix", "_renew", "_seconds", "_take", "_thread", "_wake")

    def __init__(self, link: RedisLink, prefix: bytes, seconds: float) -> None:
        """Hold nothing."""
        self._link = link
        self._prefix = prefix
        self._seconds = seconds
        make = link.client.register_script
        self._take, self._renew, self._give_back = make(_TAKE), make(_RENEW), make(_GIVE_BACK)
        self._held: dict[Lease, float] = {}  # and until when it surely is
        self._wake = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None

    def take(self, key: bytes, timeout: float) -> Lease | None:
        """Return the lease of `key`; None when another holds it for `timeout` seconds on.

        Raises:
            RedisError: when the server cannot say.
        """
        name, mine = self._prefix + b"lock:" + key, secrets.token_hex(8)
        until, pause = time.monotonic() + timeout, FIRST_PAUSE
        while True:
            asked_at = time.monotonic()
            token = self._ask(self._take, [name, self._prefix + b"lock-number"], [mine, self._milliseconds])
            if token is not None:
                lease = Lease(name, token, int(token.rpartition(b":")[2]))
                self._keep(lease, asked_at + self._seconds)
                return lease
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, pause * _DICE.uniform(0.5, 1.0)))
            pause = min(2 * pause, LONGEST_PAUSE)

    def give_back(self, lease: Lease) -> None:
        """Let others have it; where the server is away, it is free when its time is over."""
        with self._wake:
            if self._held.pop(lease, None) is None:
                return
            self._wake.notify_all()
        with suppress(RedisError):
            self._ask(self._give_back, [lease.name], [lease.token])

    @property
    def _milliseconds(self) -> int:
        return max(1, int(self._seconds * 1000))

    def _ask(self, script: Any, keys: list[bytes], arguments: list[Any]) -> Any:
        return self._link.ask(lambda _: script(keys=keys, args=arguments))

    # -- renewing ---------------------------------------------------------------------------------------------------

    def _keep(self, lease: Lease, until: float) -> None:
        with self._wake:
            self._held[lease] = until
            if self._thread is None or not self._thread.is_alive():  # threads do not survive a fork
                self._thread = threading.Thread(target=self._work, name="cascade-leases", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        """Renew what is held, a few times in the time of a lease; end when nothing is held."""
        due = time.monotonic() + self._seconds / RENEWALS
        while True:
            with self._wake:
                self._wake.wait_for(lambda: not self._held, timeout=max(0.0, due - time.monotonic()))
                if not self._held:
                    self._thread = None
                    return
                held = list(self._held)
            due = time.monotonic() + self._seconds / RENEWALS
            for lease in held:
                self._renew_one(lease)

    def _renew_one(self, lease: Lease) -> None:
        asked_at = time.monotonic()
        try:
            is_ours = bool(self._ask(self._renew, [lease.name], [lease.token, self._milliseconds]))
        except RedisError:
            is_ours = asked_at < self._held.get(lease, asked_at)
            lease.is_lost = not is_ours
            return
        lease.is_lost = not is_ours
        with self._wake:
            is_held = lease in self._held
            if is_held and is_ours:
                self._held[lease] = asked_at + self._seconds
        if not is_held and is_ours:  # it was given back meanwhile, perhaps before it was renewed
            with suppress(RedisError):
                self._ask(self._give_back, [lease.name], [lease.token])
