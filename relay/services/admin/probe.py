"""Asking an account's provider on purpose: how fast it is, what is left, and whether it drops repeated taskIds."""

from collections.abc import Callable
from statistics import median
from typing import Annotated, Final, Literal

import msgspec

from relay.domain.accounts import Account
from relay.domain.audit import Actor
from relay.domain.errors import CredentialsRefused, NotFound, ProviderUnreachable
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId, task_id
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, Balance, BalanceUnknown, NotSent, Refused, SendOutcome, Unconfirmed
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Entropy, Provider, Replay, Store, StoredEffects
from relay.services.accounts import AccountBook
from relay.services.admin.account_requests import DedupCheck
from relay.services.admin.auditing import Auditor
from relay.services.idempotency import KeyUse

_CALLS: Final = 3
_DONE_STATUS: Final = 200
_NOBODY: Final = "0" * 32

DedupVerdict = Literal["deduplicated", "refused", "accepted", "undecided"]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds that `queryBalance` took, over `calls` calls that were answered."""

    calls: int
    min: int
    median: int
    max: int


class SendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one send, with the provider's own words."""

    outcome: Literal["accepted", "refused", "not_sent", "unconfirmed"]
    code: str | None
    message: str | None


class DedupView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the provider drops a second send with the same taskId. `deduplicated`: the second was refused with a code
    that the account's table lists as `duplicate`. `refused`: with another code; if its words say so, list it as
    `duplicate` and set `task_id_dedup`. `accepted`: both were taken, which proves nothing: see whether the phone gets
    one SMS or two. `undecided`: the first was not accepted, or nobody knows what became of one of them. The reports of
    both come as orphans under `task_id`, and can be dismissed there."""

    verdict: DedupVerdict
    task_id: str
    first: SendAnswer
    second: SendAnswer | None


class ProbeView(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider answered. `balance` is a decimal number of SMS."""

    account_id: AccountId
    balance: str
    prepaid: bool
    latency_ms: Latency
    dedup: Annotated[DedupView | None, msgspec.Meta(description="Only when it was asked for.")]


class Probe:
    """The use case; ``provider`` uses the account's credentials and no fall-back."""

    def __init__(
        self,
        store: Store,
        accounts: AccountBook,
        provider: Provider,
        set_going: Callable[[StoredEffects], None],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """``set_going`` is called with what it set going that the balance is low."""
        self._set_going = set_going
        self._store = store
        self._accounts = accounts
        self._provider = provider
        self._clock = clock
        self._entropy = entropy
        self._auditor = Auditor(clock, entropy)

    async def probe(
        self,
        account_id: AccountId,
        check: DedupCheck | None,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[ProbeView], bytes],
    ) -> bytes | Replay:
        """Ask, and write it into the audit. ``check`` costs up to two SMS. A disabled account is probed, too. Raises
        NotFound, CredentialsRefused, ProviderUnreachable."""
        if use is not None:
            # Before the provider is asked: what it answers costs money.
            replay = await self._store.find_replay(use.scope, use.key, use.fingerprint)
            if replay is not None:
                return replay
        account = await self._accounts.reread(account_id)
        if account is None:
            raise NotFound("There is no such account.")
        balance, latency = await self._ask(account)
        dedup = None if check is None else await self._check_dedup(account, check)
        view = ProbeView(
            account_id=account_id,
            balance=balance.amount,
            prepaid=balance.prepaid,
            latency_ms=latency,
            dedup=dedup,
        )
        self._set_going(await self._store.keep_balance(account, balance, self._clock.now_ms()))
        answer = render(view)
        detail = None if dedup is None else {"task_id": dedup.task_id, "verdict": dedup.verdict}
        stored = await self._store.add_audit(
            self._auditor.entry(actor, "account.probed", account_id, {"dedup": detail}),
            None if use is None else use.answered(_DONE_STATUS, answer, self._clock.now_ms()),
        )
        return stored if isinstance(stored, Replay) else answer

    async def _ask(self, account: Account) -> tuple[Balance, Latency]:
        times: list[int] = []
        balances: list[Balance] = []
        for _ in range(_CALLS):
            started_s = self._clock.monotonic_s()
            answer = await self._provider.balance(account)
            if isinstance(answer, BalanceUnknown):
                raise _no_balance(answer)
            times.append(round((self._clock.monotonic_s() - started_s) * SECOND_MS))
            balances.append(answer)
        return balances[-1], Latency(calls=len(times), min=min(times), median=round(median(times)), max=max(times))

    async def _check_dedup(self, account: Account, check: DedupCheck) -> DedupView:
        work = SubmissionWork(
            id=SubmissionId(self._entropy.new_id("sub_")),
            message_id=MessageId(f"msg_{_NOBODY}"),
            team_id=TeamId(f"team_{_NOBODY}"),
            account_id=account.id,
            text=check.text,
            extension=None,
            mobiles=[check.mobile],
            # Both times: a duplicate is to be told as one.
            attempt=1,
            claim=b"",
            lease_until_ms=0,
            category="notice",
            on_unconfirmed="hold",
            accepted_ms=self._clock.now_ms(),
        )
        first = await self._provider.send(account, work)
        second = await self._provider.send(account, work) if isinstance(first, Accepted) else None
        return DedupView(
            verdict=_verdict(second),
            task_id=task_id(work.id),
            first=_said(first),
            second=None if second is None else _said(second),
        )


def _verdict(second: SendOutcome | None) -> DedupVerdict:
    match second:
        case Accepted():
            return "accepted"
        case Refused():
            return "deduplicated" if second.reason == "duplicate" else "refused"
        case _:
            return "undecided"


def _said(outcome: SendOutcome) -> SendAnswer:
    match outcome:
        case Accepted():
            return SendAnswer(outcome="accepted", code=outcome.code, message=outcome.message)
        case Refused():
            return SendAnswer(outcome="refused", code=outcome.code, message=outcome.message)
        case NotSent():
            return SendAnswer(outcome="not_sent", code=outcome.code or outcome.why, message=outcome.message)
        case Unconfirmed():
            return SendAnswer(outcome="unconfirmed", code=outcome.why, message=None)


def _no_balance(answer: BalanceUnknown) -> CredentialsRefused | ProviderUnreachable:
    if answer.why == "refused":
        return CredentialsRefused(
            "The provider refuses a queryBalance.", provider_code=answer.code or "", provider_message=answer.message
        )
    return ProviderUnreachable(f"There is no balance to be had ({answer.why}).")
