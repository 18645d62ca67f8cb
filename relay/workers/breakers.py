"""Circuit breakers at work: told of, and probed."""

from typing import Final

import structlog

from relay.domain.accounts import Account
from relay.domain.breakers import BreakerState
from relay.domain.ids import AccountId
from relay.domain.provider import Balance
from relay.domain.times import SECOND_MS
from relay.ports import Clock
from relay.services.balance import Balances
from relay.services.breaker import Breaker
from relay.services.slots import Gates
from relay.telemetry.metrics import Metrics
from relay.workers.running import Running

log = structlog.get_logger("relay")

_NEW: Final[tuple[BreakerState, int]] = ("closed", 0)


class BreakerWatch:
    """Looks at a breaker whenever something may have changed it."""

    def __init__(self, gates: Gates, balances: Balances, clock: Clock, metrics: Metrics) -> None:
        self._gates = gates
        self._balances = balances
        self._clock = clock
        self._metrics = metrics
        self._known: dict[AccountId, tuple[BreakerState, int]] = {}
        self._probing: set[AccountId] = set()
        self._running = Running()

    def look(self, account: Account) -> None:
        """Tell of what is new; ask for the balance where that is the probe, one call at a time."""
        breaker = self._gates.of(account).breaker
        now = breaker.state(), breaker.openings
        before = self._known.get(account.id)
        if now != before:
            self._known[account.id] = now
            self._metrics.breaker(account.name, breaker.state())
            self._tell(account, breaker, *(before or _NEW))
        if not account.disabled and account.id not in self._probing and breaker.wants_balance():
            self._probing.add(account.id)
            self._running.start(self._probe(account, breaker))

    def _tell(self, account: Account, breaker: Breaker, state: BreakerState, openings: int) -> None:
        if breaker.openings > openings:
            self._metrics.breaker_opened(account.name, breaker.reason or "other", breaker.openings - openings)
            probe_ms = breaker.next_probe_ms() or self._clock.now_ms()
            log.warning(
                "account.breaker_opened",
                account_id=account.id,
                reason=breaker.reason,
                next_probe_in_s=round((probe_ms - self._clock.now_ms()) / SECOND_MS, 1),
            )
        elif breaker.state() != state:
            log.info("account.breaker_changed", account_id=account.id, state=breaker.state(), before=state)

    async def _probe(self, account: Account, breaker: Breaker) -> None:
        try:
            asked = await self._balances.probe(account)
            known = isinstance(asked.answer, Balance)
            self._metrics.upstream_called(
                account.name, "queryBalance", "accepted" if known else "failed", asked.seconds
            )
            breaker.learn_balance(asked.answer)
        finally:
            self._probing.discard(account.id)
        self.look(account)

    async def drain(self, seconds: float) -> None:
        """Wait for probes that run, no longer than this."""
        await self._running.drain(seconds)
