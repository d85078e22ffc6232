"""Accounts in a Redis or Valkey server, shared by machines: one script per step."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.cost.budgets.base import Balance
from langchain_llmops.cost.budgets.limit import MOST
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.storage.redis_clients import RedisClients

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

    from langchain_llmops.cost.budgets.base import Hold

__all__ = ["RedisBudgetStore"]

# An account is one hash: its figures, and a field for each open hold. Numbers in Lua
# have 53 bits, so the server adds (64 bits) and texts are compared, longer is more.
_LIBRARY: Final = """
local account, hold, amount, limit = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local function more(a, b) return #a > #b or (#a == #b and a > b) end
local function minus(a) return a == '0' and a or '-' .. a end
local function figure(name) return redis.call('hget', account, name) or '0' end
local function add(name, by)
  redis.call('hincrby', account, name, by)
  if more(figure(name), limit) then
    return true
  end
end
local function figures(done)
  return {done, figure('used'), figure('held'), figure('unsettled')}
end
"""
_RESERVE: Final = f"""{_LIBRARY}
if redis.call('hexists', account, hold) == 0 then
  if more(amount, limit) then
    return figures(0)
  elseif add('used', amount) then
    redis.call('hincrby', account, 'used', minus(amount))
    return figures(0)
  end
  redis.call('hincrby', account, 'held', amount)
  redis.call('hset', account, hold, amount .. ':' .. ARGV[4])
  if ARGV[5] ~= '' then
    redis.call('pexpire', account, ARGV[5])
  end
end
return figures(1)
"""
_SETTLE: Final = f"""{_LIBRARY}
local held = redis.call('hget', account, hold)
if not held then
  return figures(0)
end
held = minus(string.match(held, '%d+'))
redis.call('hdel', account, hold)
redis.call('hincrby', account, 'held', held)
redis.call('hincrby', account, 'used', held)
for _, name in ipairs(ARGV[4] == '1' and {{'used', 'unsettled'}} or {{'used'}}) do
  if add(name, amount) then
    redis.call('hset', account, name, limit)
  end
end
return figures(1)
"""


class RedisBudgetStore:
    """Keep a budget in a Redis or Valkey server that processes and machines share.

    A reservation and a settlement are one round trip each, of a script that the server
    runs whole. An account is one key, which expires a day after its window. The server
    must not evict budgets: give it `maxmemory-policy noeviction`, and caches that it
    may evict a server of their own.

    Safe across threads, forks and event loops; the asynchronous side is native. Own
    connections with a deadline are used, with the address and credentials of `client`.

    Args:
        client: A `redis.Redis`, a `redis.asyncio.Redis`, or a URL; of one server.
        prefix: What every key begins with.
        timeout_s: Seconds that an operation may take.
        clock: Seconds since the epoch.

    Raises:
        MissingExtraError: `redis` is not installed.
        ConfigurationError: There is no server behind `client`, or `timeout_s` is not
            positive.

    Example:
        ```python
        from langchain_llmops import Budget, RedisBudgetStore

        store = RedisBudgetStore("redis://localhost:6379/0")
        budget = Budget(limit_usd=5, store=store)
        ```
    """

    def __init__(
        self,
        client: Redis | AsyncRedis | str,
        *,
        prefix: str = "llmops:budget:",
        timeout_s: float = 0.25,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(
                f"timeout_s={timeout_s!r} must be positive seconds, e.g. 0.25"
            )
        self._clients = RedisClients(
            client, timeout_s=timeout_s, feature="RedisBudgetStore"
        )
        self._prefix = prefix
        self._clock = clock

    def reserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold an amount if it fits: whether it did, and the balance after that."""
        return _result(self._run(_RESERVE, hold, *self._claim(hold, limit)))

    async def areserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold as `reserve` does, within `timeout_s`."""
        return _result(await self._arun(_RESERVE, hold, *self._claim(hold, limit)))

    def settle(self, hold: Hold, amount: int, *, unsettled: bool) -> Balance | None:
        """Put what was used in the place of a hold; 0 releases it."""
        done, balance = _result(self._run(_SETTLE, hold, amount, MOST, int(unsettled)))
        return balance if done else None

    async def asettle(
        self, hold: Hold, amount: int, *, unsettled: bool
    ) -> Balance | None:
        """Settle as `settle` does, within `timeout_s`."""
        done, balance = _result(
            await self._arun(_SETTLE, hold, amount, MOST, int(unsettled))
        )
        return balance if done else None

    def balance(self, key: str, now: float) -> Balance:
        """Return the balance of an account; an unknown one is empty."""
        client: Any = self._clients.threads
        return _balance(client.hgetall(self._prefix + key), now)

    async def abalance(self, key: str, now: float) -> Balance:
        """Return what `balance` returns, within `timeout_s`."""
        async with self._clients.turn() as client:
            found: Any = client.hgetall(self._prefix + key)
            return _balance(await found, now)

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self._clients.close()

    def _claim(self, hold: Hold, limit: int) -> tuple[int | str | float, ...]:
        left = hold.forget_at - self._clock()
        expires: int | str = "" if math.isinf(left) else max(1, math.ceil(left * 1000))
        return hold.amount, limit, hold.expires_at, expires

    def _run(self, script: str, hold: Hold, *args: float | str) -> Any:
        client: Any = self._clients.threads
        return client.eval(script, 1, self._prefix + hold.key, f"h:{hold.id}", *args)

    async def _arun(self, script: str, hold: Hold, *args: float | str) -> Any:
        async with self._clients.turn() as client:
            run: Any = client.eval
            return await run(script, 1, self._prefix + hold.key, f"h:{hold.id}", *args)


def _result(answer: Any) -> tuple[bool, Balance]:
    done, used, held, unsettled = answer
    balance = Balance(used=int(used), held=int(held), unsettled=int(unsettled))
    return bool(done), balance


def _balance(fields: dict[bytes, bytes], now: float) -> Balance:
    holds = (raw.split(b":") for name, raw in fields.items() if name[:2] == b"h:")
    return Balance(
        used=int(fields.get(b"used", 0)),
        held=int(fields.get(b"held", 0)),
        unsettled=int(fields.get(b"unsettled", 0)),
        overdue=sum(int(amount) for amount, until in holds if float(until) <= now),
    )
