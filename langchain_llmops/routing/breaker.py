"""`CircuitBreaker`: keep calls away from candidates that fail, and notice recovery."""

from __future__ import annotations

import math
import random
import time
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import circuit as circuits
from langchain_llmops.routing.breaker_store import CircuitNews
from langchain_llmops.routing.breaker_sync import BreakerSync
from langchain_llmops.routing.circuit import CLOSED, Circuit, CircuitRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.breaker_store import BreakerStore
    from langchain_llmops.routing.circuit import ErrorClass
    from langchain_llmops.routing.failures import Failure

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """Keep calls away from a candidate that fails, until a probe is answered.

    Failures count by class of error (down or slow; rate-limited; access denied), and
    open the circuit after `failures` in a row or after about every second one. While it
    is open, one call is let through each time that the open time is over: the probe. An
    answer to it closes the circuit. A `Retry-After` opens the circuit at the first
    failure, for as long as the provider asks. A bad request, an overlong prompt or a
    cancelled call say nothing about a candidate, and count nowhere.

    A router asks a candidate in spite of its open circuit where there is no other: a
    breaker never makes a call impossible.

    Safe across threads and event loops; no method waits for anything. Costs under 1 µs
    per call while all is well. With a store, what opens or closes here does so in other
    processes within a second; a lost store leaves each process to itself, which is
    logged once and counted in `store_errors`.

    Args:
        failures: How many failures in a row open a circuit.
        open_s: Seconds that it is open at first; each further time twice as long, and
            ten times where access is denied, less up to 5 % by chance.
        max_open_s: At most so long, and so the longest time until a recovery is seen.
        slow_after_s: Seconds to the first token from which an answer counts as a
            failure; `None`: three times what 95 % of the candidate's recent calls take,
            and half a second at least. If it stays slow, that becomes the usual.
        store: Where processes share what they know.
        clock: Seconds that only go up.
        chance: The source of the jitter.

    Raises:
        ConfigurationError: A figure is not positive, or `open_s` is over `max_open_s`.

    Example:
        ```python
        from langchain_llmops import CircuitBreaker
        from langchain_llmops.routing import classify

        breaker = CircuitBreaker(failures=2)
        for _ in range(2):
            began = breaker.admit("gpt-4o")
            breaker.failed("gpt-4o", classify(TimeoutError()), began)
        print(breaker.is_open("gpt-4o"), breaker.admit("gpt-4o"))
        #> True None
        ```
    """

    def __init__(
        self,
        *,
        failures: int = 3,
        open_s: float = 1.0,
        max_open_s: float = 1.9,
        slow_after_s: float | None = None,
        store: BreakerStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Chance = random.random,
    ) -> None:
        if type(failures) is not int or failures < 1:
            raise ConfigurationError(f"failures={failures!r}: give a whole number >= 1")
        times = {"open_s": open_s, "max_open_s": max_open_s}
        if slow_after_s is not None:
            times["slow_after_s"] = slow_after_s
        for name, seconds in times.items():
            if not 0 < seconds < math.inf:
                raise ConfigurationError(f"{name}={seconds!r}: give positive seconds")
        if open_s > max_open_s:
            raise ConfigurationError(
                f"open_s={open_s!r} is over max_open_s={max_open_s!r}: lower the one "
                "or raise the other"
            )
        self.slow_after_s = slow_after_s
        self.clock = clock
        self._rules = CircuitRules(
            failures=failures, open_s=open_s, max_open_s=max_open_s
        )
        self._chance = chance
        # Who is as good as new is absent.
        self._circuits: dict[str, Circuit] = {}
        self._lock = Lock()
        self._sync = None if store is None else BreakerSync(store, self._heard)

    @property
    def failures(self) -> int:
        """How many failures in a row open a circuit."""
        return self._rules.failures

    @property
    def store_errors(self) -> int:
        """How often the store has failed."""
        return 0 if self._sync is None else self._sync.errors

    def with_store(self, store: BreakerStore) -> CircuitBreaker:
        """Return a breaker with the same settings that shares through a store."""
        return CircuitBreaker(
            failures=self._rules.failures,
            open_s=self._rules.open_s,
            max_open_s=self._rules.max_open_s,
            slow_after_s=self.slow_after_s,
            store=store,
            clock=self.clock,
            chance=self._chance,
        )

    def is_open(self, name: str) -> bool:
        """Return whether calls are kept away from a candidate now."""
        circuit = self._circuits.get(name)
        if circuit is None or circuit.why is None:
            return False
        return self.clock() < circuit.until

    def is_due(self, name: str) -> bool:
        """Return whether a candidate's next call would be a probe."""
        circuit = self._circuits.get(name)
        if circuit is None or circuit.why is None:
            return False
        return self.clock() >= circuit.until

    def is_closed(self, name: str) -> bool:
        """Return whether a candidate's circuit is closed: calls go as usual."""
        circuit = self._circuits.get(name)
        return circuit is None or circuit.why is None

    def admit(self, name: str, *, forced: bool = False) -> float | None:
        """Let a call begin: the time, which its outcome is told with; `None` if not.

        Args:
            name: The candidate.
            forced: Let it begin in any case, since there is no other candidate.
        """
        now = self.clock()
        if self._sync is not None:
            self._sync.used(name)
        if name not in self._circuits:
            return now
        with self._lock:
            circuit = self._circuits.get(name, CLOSED)
            if circuit.why is None:
                after = circuits.begun(circuit)
            elif now < circuit.until:
                return now if forced else None
            else:
                after = circuits.probed(
                    circuit, self._rules, now=now, chance=self._chance()
                )
            self._put(name, circuit, after)
        return now

    def answered(self, name: str, began: float) -> bool:
        """Note the first token of a call; return whether that closed the circuit."""
        if name not in self._circuits:
            return False
        with self._lock:
            circuit = self._circuits.get(name, CLOSED)
            after = circuits.answered(circuit, self._rules, began=began)
            self._put(name, circuit, after)
        return circuit is not after

    def failed(self, name: str, failure: Failure, began: float) -> None:
        """Note how a call failed, before its first token or after."""
        why = circuits.class_of(failure.kind)
        if why is None:
            self.released(name, began)
        else:
            self._fail(name, why, failure.retry_after_s)

    def was_slow(self, name: str) -> None:
        """Note a first token that came too late: a failure, though the call goes on."""
        self._fail(name, "sick", None)

    def released(self, name: str, began: float) -> None:
        """Note that a call ended without a verdict: was it a probe, another may go."""
        if name not in self._circuits:
            return
        with self._lock:
            circuit = self._circuits.get(name, CLOSED)
            self._put(name, circuit, circuits.released(circuit, began=began))

    def close(self) -> None:
        """Share nothing with the store any more; what is known stays."""
        if self._sync is not None:
            self._sync.close()

    def _fail(self, name: str, why: ErrorClass, retry_after_s: float | None) -> None:
        now = self.clock()
        with self._lock:
            circuit = self._circuits.get(name, CLOSED)
            after = circuits.failed(
                circuit,
                self._rules,
                why,
                now=now,
                chance=self._chance(),
                retry_after_s=retry_after_s,
            )
            self._put(name, circuit, after)

    def _put(self, name: str, before: Circuit, after: Circuit) -> None:
        """Keep a circuit, and tell the other processes what concerns them."""
        if after is CLOSED:
            self._circuits.pop(name, None)
        else:
            self._circuits[name] = after
        if self._sync is None:
            return
        if (before.why, before.until) != (after.why, after.until):
            self._sync.tell(
                name,
                CircuitNews(
                    id=token_hex(8),
                    why=after.why,
                    open_for_s=max(0.0, after.until - self.clock()),
                    level=after.level,
                ),
            )

    def _heard(self, news: Mapping[str, CircuitNews]) -> None:
        """Take over what other processes have found out."""
        now = self.clock()
        with self._lock:
            for name, latest in news.items():
                after = circuits.adopted(
                    self._circuits.get(name, CLOSED),
                    self._rules,
                    latest.why,
                    level=latest.level,
                    open_for_s=latest.open_for_s,
                    now=now,
                )
                if after is CLOSED:
                    self._circuits.pop(name, None)
                else:
                    self._circuits[name] = after
