"""One attempt of one submission: sent once, its outcome stored."""

import msgspec

from relay.domain.ids import AccountId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import NotSent, SendOutcome
from relay.domain.retry import SUBMIT_LONGEST_MS, submit_delay_ms
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Entropy, FinishedSubmission, Provider, Store, StoredEffects, Trimmed
from relay.services.accounts import AccountBook
from relay.services.membership import Members
from relay.services.persist import until_stored
from relay.services.routing import Routing
from relay.services.slots import Gates


class SubmitAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt came to. ``outcome`` None: there was nobody left to send to. ``withheld``: what it has set going
    that some numbers have opted out. ``seconds``: the provider's part of it."""

    outcome: SendOutcome | None
    finished: FinishedSubmission
    account_name: str
    seconds: float
    withheld: StoredEffects | None = None


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
        nowhere else. The slot that was taken for it begins here, and is the caller's to end. Marketing goes to nobody
        who has opted out by now."""
        account = self._accounts.get(work.account_id)
        if account is None:
            raise LookupError(f"account {work.account_id} is not known")
        gate = self._gates.of(account)
        begun = gate.begin()
        trimmed = await self._trim(work)
        if trimmed is not None and not trimmed.mobiles:
            return _not_attempted(work, trimmed, account.name)
        if trimmed is not None:
            work = msgspec.structs.replace(work, mobiles=trimmed.mobiles)
        answers_stay = await until_stored(self._clock, lambda: self._routing.answers_stay(work))
        started_s = self._clock.monotonic_s()

        def may_send() -> bool:
            return self._clock.now_ms() < work.lease_until_ms and self._members.owns(work.claim)

        outcome: SendOutcome = NotSent(why="lease")
        if not answers_stay:
            # It goes to another account, or waits until its time is over, like all that no account can take.
            outcome = NotSent(why="extension")
        elif may_send():
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
        return SubmitAttempt(
            outcome=outcome,
            finished=finished,
            account_name=account.name,
            seconds=seconds,
            withheld=None if trimmed is None else trimmed.effects,
        )

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
            asked_ms = int(outcome.retry_after_s * SECOND_MS)
            # Another account may take it long before this one wants to be asked again.
            delay_ms = max(delay_ms, min(asked_ms, SUBMIT_LONGEST_MS) if onward.later else asked_ms)
        return None, delay_ms

    async def _trim(self, work: SubmissionWork) -> Trimmed | None:
        """What is left of marketing when somebody has opted out since it was accepted; None when nobody has."""
        if work.category != "marketing":
            return None
        if not await until_stored(self._clock, lambda: self._store.suppressed(work.team_id, work.mobiles)):
            return None
        return await until_stored(self._clock, lambda: self._store.withhold_suppressed(work, self._clock.now_ms()))


def _not_attempted(work: SubmissionWork, trimmed: Trimmed, account_name: str) -> SubmitAttempt:
    finished = FinishedSubmission(
        fenced=trimmed.fenced,
        status="submitting" if trimmed.fenced else "failed",
        message_id=work.message_id,
        retry_due_ms=None,
        effects=trimmed.effects,
    )
    outcome = NotSent(why="lease") if trimmed.fenced else None
    return SubmitAttempt(outcome=outcome, finished=finished, account_name=account_name, seconds=0.0)
