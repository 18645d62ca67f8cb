"""Pulls: one puller per account and kind over all replicas, which asks again at once while rows come."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from relay.domain.accounts import Account
from relay.domain.ids import AccountId
from relay.domain.provider import BodyKind
from relay.domain.times import SECOND_MS
from relay.ports import Clock
from relay.services.accounts import AccountBook
from relay.services.membership import Members
from relay.services.pull import Pull, PullResult
from relay.telemetry.metrics import Metrics

_LOOK_S: Final = 1.0
_INTERVALS: Final[dict[BodyKind, int]] = {"report": 1, "mo": 3}
"""How many of an account's intervals lie between two pulls. Source: assumption of the provider contract, section 2, "do
pulls drain?": at least 10 s for reports and 30 s for inbound messages, so the default interval is 10 s."""

log = structlog.get_logger("relay")


class PullWorker:
    """Pulls for every account that wants it."""

    def __init__(self, pull: Pull, accounts: AccountBook, members: Members, clock: Clock, metrics: Metrics) -> None:
        self._pull = pull
        self._accounts = accounts
        self._members = members
        self._clock = clock
        self._metrics = metrics
        self._due_s: dict[tuple[AccountId, BodyKind], float] = {}
        self._ended_s: dict[tuple[AccountId, BodyKind], float] = {}
        self._rounds: dict[tuple[AccountId, BodyKind], asyncio.Task[None]] = {}
        self.stopping = False

    async def run(self) -> None:
        """Ask each account when its interval has passed; one account's silence delays no other."""
        running = self._rounds
        try:
            while not self.stopping:
                now_s = self._clock.monotonic_s()
                leads = self._members.leads()
                for key in self._wanted():
                    if not leads:
                        # Whoever leads now may begin to pull until the moment when we do, and then waits for an answer.
                        self._due_s[key] = now_s + max(self._interval_s(*key), self._timeout_s(key[0]))
                        self._ended_s.pop(key, None)
                    task = running.get(key)
                    if task is not None and task.done():
                        del running[key]
                        # Raises what broke it, so that the supervisor tells.
                        task.result()
                        task = None
                    if key in self._ended_s:
                        # Each time: the interval may be another one by now.
                        self._due_s[key] = self._ended_s[key] + self._interval_s(*key)
                    if task is None and self._due_s.get(key, now_s) <= now_s:
                        running[key] = asyncio.create_task(self._round(*key))
                await self._clock.sleep(min(_LOOK_S, self._wait_s(now_s)))
            await self.idle()
        except asyncio.CancelledError:
            for task in running.values():
                task.cancel()
            raise
        finally:
            # Decision: one that broke cuts off no other, because the provider has forgotten the rows that are on their
            # way. Cancelling this wait cancels them.
            ends = await asyncio.gather(*running.values(), return_exceptions=True)
            running.clear()
            for end in ends:
                if isinstance(end, Exception):
                    log.error("pull.broke", exc_info=end)

    def withdraw(self) -> None:
        """Pull nothing more. What was asked for goes on: the rows of its answer exist nowhere else."""
        self.stopping = True

    async def idle(self) -> None:
        """Until no pull is under way."""
        if self._rounds:
            await asyncio.wait(self._rounds.values())

    async def drain(self, seconds: float) -> int:
        """Pull nothing more; wait for what was asked for. How many are left, to be cut off with the loop."""
        self.withdraw()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.idle()
        return sum(not task.done() for task in self._rounds.values())

    def _wanted(self) -> list[tuple[AccountId, BodyKind]]:
        kinds: tuple[BodyKind, ...] = ("report", "mo")
        return [(account.id, kind) for account in self._accounts.all() for kind in kinds if _pulls(account, kind)]

    def _interval_s(self, account_id: AccountId, kind: BodyKind) -> float:
        account = self._accounts.get(account_id)
        return _LOOK_S if account is None else account.pull_interval_s * _INTERVALS[kind]

    def _timeout_s(self, account_id: AccountId) -> float:
        account = self._accounts.get(account_id)
        return 0.0 if account is None else account.timeout_s

    def _wait_s(self, now_s: float) -> float:
        return max(0.01, min((due_s - now_s for due_s in self._due_s.values() if due_s > now_s), default=_LOOK_S))

    async def _round(self, account_id: AccountId, kind: BodyKind) -> None:
        """Pull while rows come, then note when to ask again."""
        try:
            while self._members.leads():
                # Each time: it may have been switched off, or have other credentials by now.
                account = self._accounts.get(account_id)
                if account is None or not _pulls(account, kind):
                    return
                result = await self._pull.once(account, kind)
                self._tell(account_id, account.name, kind, result)
                if result.outcome != "rows" or self.stopping:
                    return
        finally:
            self._ended_s[account_id, kind] = self._clock.monotonic_s()
            self._due_s[account_id, kind] = self._ended_s[account_id, kind] + self._interval_s(account_id, kind)

    def _tell(self, account_id: AccountId, name: str, kind: BodyKind, result: PullResult) -> None:
        self._metrics.upstream_called(name, kind, result.outcome, result.seconds)
        for row_result, number in result.rows.items():
            self._metrics.callback_rows(kind, row_result, number)
        if result.quarantined:
            self._metrics.unreadable(kind)
        write = log.debug if result.outcome == "empty" else log.info
        write(
            "pull.done",
            account_id=account_id,
            kind=kind,
            outcome=result.outcome,
            rows=result.rows,
            detail=result.detail,
            duration_ms=round(result.seconds * SECOND_MS),
        )


def _pulls(account: Account, kind: BodyKind) -> bool:
    return not account.disabled and (account.pull_reports if kind == "report" else account.pull_inbound)
