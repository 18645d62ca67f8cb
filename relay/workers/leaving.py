"""Submissions that leave an account which takes nothing."""

from collections import Counter
from typing import Final

import structlog

from relay.domain.accounts import Account
from relay.domain.ids import AccountId
from relay.ports import Clock, Store
from relay.services.accounts import AccountBook
from relay.services.reroute import Reroute
from relay.telemetry.metrics import Metrics

LOOK_S: Final = 1.0
"""How often it is looked whether another account can take what waits."""

log = structlog.get_logger("relay")


class Leaving:
    """Moves what waits, and tells of what moved and of what stays."""

    def __init__(self, store: Store, reroute: Reroute, accounts: AccountBook, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._reroute = reroute
        self._accounts = accounts
        self._clock = clock
        self._metrics = metrics
        self._due_s: dict[AccountId, float] = {}

    async def leave(self, account: Account) -> tuple[float, bool]:
        """Seconds until it is worth another look, and whether something has moved. Asked too soon, it does nothing: the
        worker looks around with every submission that ends anywhere."""
        now_s = self._clock.monotonic_s()
        wait_s = self._due_s.get(account.id, now_s) - now_s
        if wait_s > 0:
            return wait_s, False
        done = await self._reroute.leave(account)
        for to, number in Counter(to for _, to in done.moved).items():
            self.tell(account, to, number)
            log.info("submissions.moved", account_id=account.id, to_account_id=to, submissions=number)
        if done.more:
            return 0.0, True
        self._due_s[account.id] = now_s + LOOK_S
        self._metrics.waiting_on(account.name, await self._store.waiting_on(account.id, self._clock.now_ms()))
        return LOOK_S, bool(done.moved)

    def tell(self, account: Account, to: AccountId, number: int = 1) -> None:
        """Count what went from ``account`` to another one."""
        other = self._accounts.get(to)
        self._metrics.failed_over(account.name, to if other is None else other.name, number)

    def stay(self, account: Account) -> None:
        """The account takes what comes: nothing waits because of it."""
        if self._due_s.pop(account.id, None) is not None:
            self._metrics.waiting_on(account.name, 0)
