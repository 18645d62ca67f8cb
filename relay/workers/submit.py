"""Submissions on their way to the provider."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from relay.domain.accounts import Account
from relay.domain.ids import AccountId, MessageId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, NotSent, Refused, SendOutcome, Unconfirmed
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Hints, Store, StoredEffects
from relay.services.accounts import AccountBook
from relay.services.membership import Members
from relay.services.slots import Gates
from relay.services.submit import Submit, SubmitAttempt
from relay.telemetry.metrics import Metrics
from relay.workers.breakers import BreakerWatch
from relay.workers.leaving import Leaving
from relay.workers.running import Running

IDLE_S: Final = 1.0
"""How often the store is asked although nothing says that work waits: another process may have left some."""
MOST_AT_ONCE: Final = 64

log = structlog.get_logger("relay")


class SubmitWorker:
    """Starts what was just stored, and claims what waited, was put back, or was left by a dead process."""

    def __init__(
        self,
        store: Store,
        submit: Submit,
        accounts: AccountBook,
        gates: Gates,
        breakers: BreakerWatch,
        leaving: Leaving,
        members: Members,
        clock: Clock,
        metrics: Metrics,
        *,
        lease_s: float,
        set_going: Callable[[StoredEffects], None],
        settled: Callable[[MessageId], None],
        hints: Hints,
    ) -> None:
        self._store = store
        self._submit = submit
        self._accounts = accounts
        self._gates = gates
        self._breakers = breakers
        self._leaving = leaving
        self._members = members
        self._clock = clock
        self._metrics = metrics
        self._lease_s = lease_s
        self._set_going = set_going
        self._settled = settled
        self._hints = hints
        self._event = asyncio.Event()
        self._pumping = asyncio.Lock()
        self._running = Running()
        self.stopping = False

    def start(self, work: SubmissionWork) -> None:
        """Send it now; its slot is taken."""
        self._running.start(self._attempt(work))

    def wake(self, account_id: AccountId) -> None:
        """Something of this account waits in the store, for whoever has a slot."""
        self._event.set()
        self._hints.tell("submissions")

    def look(self) -> None:
        """Another replica says that submissions wait in the store."""
        self._event.set()

    async def run(self) -> None:
        """Claim and start, for ever."""
        while not self.stopping:
            self._event.clear()
            wait_s = IDLE_S
            async with self._pumping:
                for account in self._accounts.all():
                    if not self.stopping:
                        wait_s = min(wait_s, await self._pump(account))
            try:
                await asyncio.wait_for(self._event.wait(), max(wait_s, 0.001))
            except TimeoutError:
                continue

    def withdraw(self) -> None:
        """Claim nothing more; what runs goes on, and so does what a request that is under way still stores."""
        self.stopping = True
        self._event.set()

    async def idle(self) -> None:
        """Until no submission is under way."""
        async with self._pumping:
            # What was being claimed is running now, and waited for like the rest.
            pass
        await self._running.idle()

    async def drain(self, seconds: float) -> int:
        """Claim nothing more, wait for what runs. How many were cut off (they end as unconfirmed)."""
        self.withdraw()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.idle()
        await self._breakers.drain(0.0)
        return await self._running.drain(0.0)

    async def _pump(self, account: Account) -> float:
        """Start what is due and has a slot. Seconds until there may be more to do."""
        gate = self._gates.of(account)
        self._breakers.look(account)
        takes = not account.disabled and gate.breaker.width() != 0
        if takes:
            self._leaving.stay(account)
        now_ms = self._clock.now_ms()
        due_ms = await self._store.next_submission_due_ms(account.id)
        if due_ms is None:
            gate.backlog = False
            return IDLE_S
        if due_ms > now_ms:
            gate.backlog = False
            return (due_ms - now_ms) / SECOND_MS
        gate.backlog = True
        if not takes:
            return await self._leave(account)
        taken = 0
        while taken < MOST_AT_ONCE and not self.stopping and gate.take():
            taken += 1
        if taken:
            started = 0
            try:
                works = await self._store.claim_submissions(
                    account.id,
                    taken,
                    claim=self._members.claim(),
                    now_ms=now_ms,
                    lease_until_ms=now_ms + int((self._lease_s + account.timeout_s) * SECOND_MS),
                )
                started = len(works)
            finally:
                for _ in range(taken - started):
                    gate.give_back()
            for work in works:
                self.start(work)
            gate.backlog = started == taken
            if not gate.backlog:
                return 0.0 if started else IDLE_S
        wait_s = gate.wait_s()
        return IDLE_S if wait_s is None else wait_s

    async def _leave(self, account: Account) -> float:
        """Bring what is due to accounts that take it. Seconds until there may be more to do."""
        wait_s, moved = await self._leaving.leave(account)
        if moved:
            # Their own accounts were perhaps looked at before.
            self._event.set()
            self._hints.tell("submissions")
        return wait_s

    async def _attempt(self, work: SubmissionWork) -> None:
        account = self._accounts.get(work.account_id)
        try:
            attempt = await self._submit.attempt(work)
        except Exception:
            # The lease ends by itself, and the sweep then takes the submission for what it is: unconfirmed.
            log.exception("submission.broke", submission_id=work.id, message_id=work.message_id)
            return
        finally:
            if account is not None:
                gate = self._gates.of(account)
                gate.end()
                self._breakers.look(account)
                if gate.backlog:
                    self._event.set()
        if attempt.withheld is not None:
            self._set_going(attempt.withheld)
        self._set_going(attempt.finished.effects)
        self._settled(work.message_id)
        if attempt.finished.retry_due_ms is not None:
            self._event.set()
        if account is not None and attempt.finished.moved_to is not None:
            self._leaving.tell(account, attempt.finished.moved_to)
        self._tell(work, attempt)

    def _tell(self, work: SubmissionWork, attempt: SubmitAttempt) -> None:
        if attempt.outcome is None:
            log.info(
                "submission.withheld", submission_id=work.id, message_id=work.message_id, recipients=len(work.mobiles)
            )
            return
        outcome, code, why = describe(attempt.outcome)
        if why not in ("lease", "extension"):
            self._metrics.upstream_called(attempt.account_name, "send", outcome, attempt.seconds)
        if why == "lease" or attempt.finished.fenced:
            self._metrics.lease_lost("submission")
        due_ms = attempt.finished.retry_due_ms
        log.info(
            "submission.attempted",
            submission_id=work.id,
            message_id=work.message_id,
            team_id=work.team_id,
            account_id=work.account_id,
            category=work.category,
            attempt=work.attempt,
            recipients=len(work.mobiles),
            outcome=outcome,
            code=code,
            why=why,
            status=attempt.finished.status,
            fenced=attempt.finished.fenced,
            moved_to=attempt.finished.moved_to,
            duration_ms=round(attempt.seconds * SECOND_MS),
            next_due_in_s=None if due_ms is None else round((due_ms - self._clock.now_ms()) / SECOND_MS, 1),
        )


def describe(outcome: SendOutcome) -> tuple[str, str | None, str | None]:
    """Outcome, the provider's code, and why, in the words of metrics and logs."""
    match outcome:
        case Accepted():
            return "accepted", outcome.code, None
        case Refused():
            return "refused", outcome.code, outcome.reason
        case NotSent():
            return "not_sent", outcome.code, outcome.why
        case Unconfirmed():
            return "unconfirmed", None, outcome.why
