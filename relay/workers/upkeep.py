"""Small loops that keep things in order.

Sweep, balances and left bodies run in the process that leads, and stop at once when it no longer does; the others run
in every process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

import structlog

from relay.domain.ids import AccountId, MessageId, RawId
from relay.domain.provider import Balance
from relay.domain.times import SECOND_MS
from relay.ports import Clock, PendingRaw, Store, StoredEffects
from relay.services.accounts import AccountBook
from relay.services.apply import AWAY, AppliedBody, Apply
from relay.services.balance import Balances
from relay.services.membership import Members
from relay.telemetry.metrics import Metrics

_SWEEP_BATCH: Final = 500
_RAW_BATCH: Final = 100
_ACCOUNTS_S: Final = 5.0
_LEFT_S: Final = 5.0
_SPOOL_S: Final = 0.5
_GAUGES_S: Final = 5.0
_LOOK_S: Final = 1.0

log = structlog.get_logger("relay")


class ReplayableSpool(Protocol):
    """What the upkeep needs of the spool."""

    @property
    def depth(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def oldest_ms(self) -> int | None: ...

    @property
    def set_aside(self) -> int: ...

    async def replay(self, apply: Callable[[list[PendingRaw]], Awaitable[Collection[RawId]]]) -> int:
        """Apply what waits, oldest first; how many. ``apply`` names what can never be applied."""


class Upkeep:
    """The loops; each method runs for ever."""

    def __init__(
        self,
        store: Store,
        accounts: AccountBook,
        balances: Balances,
        apply: Apply,
        spool: ReplayableSpool,
        members: Members,
        clock: Clock,
        metrics: Metrics,
        *,
        set_going: Callable[[StoredEffects], None],
        settled: Callable[[MessageId], None],
        sweep_interval_s: float,
        told_after_s: float,
        no_report_after_s: float,
        balance_interval_s: float,
        idempotency_keep_s: float,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._balances = balances
        self._apply = apply
        self._spool = spool
        self._members = members
        self._clock = clock
        self._metrics = metrics
        self._set_going = set_going
        self._settled = settled
        self._sweep_interval_s = sweep_interval_s
        self._told_after_ms = int(told_after_s * SECOND_MS)
        self._no_report_after_ms = int(no_report_after_s * SECOND_MS)
        self._balance_interval_s = balance_interval_s
        self._keep_ms = int(idempotency_keep_s * SECOND_MS)
        self._set_aside = 0
        self._unreadable: dict[AccountId, str] = {}

    async def sweep(self) -> None:
        """End what waited too long."""
        while True:
            more = True
            while more and self._members.leads():
                more = await self.sweep_once()
            await self._clock.sleep(self._sweep_interval_s)

    async def sweep_once(self) -> bool:
        """One batch; True when there may be more."""
        now_ms = self._clock.now_ms()
        swept = await self._store.sweep(
            now_ms,
            told_after_ms=self._told_after_ms,
            no_report_after_ms=self._no_report_after_ms,
            forget_keys_before_ms=now_ms - self._keep_ms,
            limit=_SWEEP_BATCH,
        )
        self._set_going(swept.effects)
        for message_id in swept.settled:
            self._settled(message_id)
        if swept.settled:
            log.info(
                "sweep.done",
                expired=swept.expired,
                lapsed=swept.lapsed,
                told_unconfirmed=swept.told_unconfirmed,
                no_report=swept.no_report,
            )
        return swept.more

    async def accounts(self) -> None:
        """See accounts that another process has changed, and passwords that stand elsewhere; erase what has expired."""
        while True:
            await self._accounts.refresh()
            self._tell_of_passwords()
            if self._accounts.has_expired() and self._members.leads():
                await self._store.forget_expired(self._clock.now_ms())
            await self._clock.sleep(_ACCOUNTS_S)

    def _tell_of_passwords(self) -> None:
        unreadable = self._accounts.unreadable
        for account_id, why in unreadable.items():
            if self._unreadable.get(account_id) != why:
                # The last known one is used; a restart would not know a newer one than the database.
                log.warning("account.password_unreadable", account_id=account_id, why=why)
        for account_id in self._unreadable.keys() - unreadable.keys():
            log.info("account.password_read", account_id=account_id)
        self._unreadable = unreadable

    async def balances(self) -> None:
        """Ask every account for its balance: at once when it is new, then now and then."""
        due_s: dict[AccountId, float] = {}
        shown: dict[AccountId, str] = {}
        while True:
            if not self._members.leads():
                # Whoever leads now knows better; and should we lead again, we ask at once.
                self._metrics.forget_balances()
                due_s.clear()
                shown.clear()
                await self._clock.sleep(_LOOK_S)
                continue
            names = {account.id: account.name for account in self._accounts.all() if not account.disabled}
            for account_id, name in shown.items():
                if names.get(account_id) != name:
                    # It is gone, switched off, or called otherwise now: an old balance must alarm nobody.
                    self._metrics.forget_balance(name)
            shown = names
            now_s = self._clock.monotonic_s()
            wanted = [account_id for account_id in names if due_s.get(account_id, now_s) <= now_s]
            # Side by side: one provider's silence delays no other.
            await asyncio.gather(*(self._ask_balance(account_id) for account_id in wanted))
            due_s.update(dict.fromkeys(wanted, now_s + self._balance_interval_s))
            await self._clock.sleep(min(_LOOK_S, self._balance_interval_s))

    async def _ask_balance(self, account_id: AccountId) -> None:
        account = self._accounts.get(account_id)
        if account is None or account.disabled:
            return
        asked = await self._balances.ask(account)
        known = isinstance(asked.answer, Balance)
        self._metrics.upstream_called(account.name, "queryBalance", "accepted" if known else "failed", asked.seconds)
        if asked.effects is not None:
            self._set_going(asked.effects)
        if isinstance(asked.answer, Balance):
            self._metrics.balance(account.name, asked.answer.amount, asked.answer.prepaid, asked.days_left)
        else:
            log.warning("balance.unknown", account_id=account.id, code=asked.answer.code, why=asked.answer.why)

    async def left_bodies(self) -> None:
        """Apply bodies that were pulled and stored, but not applied before their process died."""
        while True:
            pending = await self._store.pending_raw(_RAW_BATCH) if self._members.leads() else []
            for item in pending:
                if not self._members.leads():
                    break
                result = await self._apply.apply(item)
                self._count(item, result)
                log.info(
                    "body.applied_late", raw_id=item.id, kind=item.raw.kind, result=result.result, rows=result.rows
                )
            if len(pending) < _RAW_BATCH:
                await self._clock.sleep(_LEFT_S)

    async def spool(self) -> None:
        """Apply what was spooled, once the store is back; and tell of the spool while it is not, too."""
        while True:
            self._tell_of_spool()
            # By its size, not its depth: damage alone is to be set aside as well.
            if self._spool.size_bytes:
                await self._replay()
            await self._clock.sleep(_SPOOL_S)

    async def _replay(self) -> None:
        replayed = 0

        async def apply(items: list[PendingRaw]) -> list[RawId]:
            nonlocal replayed
            refused = await self._apply_spooled(items)
            replayed += len(items) - len(refused)
            self._tell_of_spool()
            return refused

        try:
            await self._spool.replay(apply)
        except AWAY as error:
            self._metrics.spool_replay_failed()
            log.warning("spool.waits", depth=self._spool.depth, reason=str(error))
        if replayed:
            log.info("spool.replayed", bodies=replayed, depth=self._spool.depth)
        self._tell_of_spool()

    async def _apply_spooled(self, items: list[PendingRaw]) -> list[RawId]:
        refused: list[RawId] = []
        for item, result in zip(items, await self._apply.apply_in_turn(items), strict=True):
            self._count(item, result)
            if result.result == "set_aside":
                refused.append(item.id)
                log.error("spool.body_refused", raw_id=item.id, account_id=item.account_id, kind=item.raw.kind)
        self._metrics.spool_replayed(len(items) - len(refused))
        return refused

    def _count(self, item: PendingRaw, result: AppliedBody) -> None:
        for row_result, number in result.rows.items():
            self._metrics.callback_rows(item.raw.kind, row_result, number)
        if result.result == "quarantined":
            self._metrics.unreadable(item.raw.kind)

    def _tell_of_spool(self) -> None:
        spool = self._spool
        oldest_ms = spool.oldest_ms
        age_ms = 0 if oldest_ms is None else max(0, self._clock.now_ms() - oldest_ms)
        self._metrics.spool(spool.depth, spool.size_bytes, age_ms / SECOND_MS)
        found, self._set_aside = spool.set_aside - self._set_aside, spool.set_aside
        if found:
            self._metrics.spool_set_aside(found)
            log.error("spool.set_aside", pieces=found)

    async def gauges(self) -> None:
        """Queue depths, and what waits for a person, for the metrics."""
        while True:
            now_ms = self._clock.now_ms()
            for queue in await self._store.queue_depths(now_ms):
                self._metrics.queue(queue.queue, queue.depth, queue.oldest_due_age_s)
            self._metrics.set_aside(await self._store.open_orphans(), await self._store.in_quarantine())
            await self._clock.sleep(_GAUGES_S)
