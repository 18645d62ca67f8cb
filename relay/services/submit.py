"""One attempt of one submission: sent once, its outcome stored."""

import msgspec

from relay.domain.ids import AccountId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import NotSent, SendOutcome
from relay.domain.retry import submit_delay_ms
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Entropy, FinishedSubmission, Provider, Store
from relay.services.accounts import AccountBook
from relay.services.membership import Members
from relay.services.persist import until_stored
from relay.services.routing import Routing
from relay.services.slots import Gates


class SubmitAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt came to. ``seconds``: the provider's part of it."""

    outcome: SendOutcome
    finished: FinishedSubmission
    account_name: str
    seconds: float


class Submit:
    """The use case of the submit worker."""

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: AccountBook,
        gates: Gates,
        routing: Routing,
        members: Members,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._provider = provider
        self._accounts = accounts
        self._gates = gates
        self._routing = routing
        self._members = members
        self._clock = clock
        self._entropy = entropy

    async def attempt(self, work: SubmissionWork) -> SubmitAttempt:
        """Send once, if it is still ours, and store the outcome, however long the store is away: the knowledge exists
        nowhere else. The slot that was taken for it begins here, and is the caller's to end."""
        account = self._accounts.get(work.account_id)
        started_s = self._clock.monotonic_s()
        if account is None:
            raise LookupError(f"account {work.account_id} is not known")
        gate = self._gates.of(account)
        begun = gate.begin()

        def may_send() -> bool:
            return self._clock.now_ms() < work.lease_until_ms and self._members.owns(work.claim)

        outcome: SendOutcome = NotSent(why="lease")
        if may_send():
            # Asked again before the first byte: it may be a long way there.
            outcome = await self._provider.send(account, work, may_send)
        gate.breaker.learn(begun, outcome)
        seconds = self._clock.monotonic_s() - started_s
        now_ms = self._clock.now_ms()
        jitter = self._entropy.jitter()
        resend = work.on_unconfirmed == "resend" or account.task_id_dedup

        async def store() -> FinishedSubmission:
            move_to, delay_ms = await self._next(work, outcome, jitter)
            return await self._store.finish_submission(
                work, outcome, now_ms=now_ms, retry_due_ms=now_ms + delay_ms, resend=resend, move_to=move_to
            )

        finished = await until_stored(self._clock, store)
        return SubmitAttempt(outcome=outcome, finished=finished, account_name=account.name, seconds=seconds)

    async def _next(self, work: SubmissionWork, outcome: SendOutcome, jitter: float) -> tuple[AccountId | None, int]:
        """The account for the next attempt, None for the same one, and the milliseconds until it."""
        if not isinstance(outcome, NotSent) or outcome.why == "lease":
            # A lost lease is ours, and says nothing about the account.
            return None, submit_delay_ms(work.attempt, jitter)
        onward = await self._routing.onward(work)
        delay_ms = submit_delay_ms(onward.rounds, jitter)
        if onward.account_id is not None:
            return onward.account_id, 0 if onward.at_once else delay_ms
        if outcome.retry_after_s is not None:
            delay_ms = max(delay_ms, int(outcome.retry_after_s * SECOND_MS))
        return None, delay_ms
