"""Calls to the provider survive a change of credentials.

Whoever calls has read an account some time ago. Meanwhile its credentials may have been rotated here, or at the
provider. A definite refusal says that nothing was accepted and nothing drained, so the same call may be made again with
the other credentials: those that are stored now, then the fall-back. The provider documents no code for a wrong
password (provider/contract.md 2, "codes"), so every refusal is doubted whose code the account's table does not explain.
What was accepted at once costs nothing.
"""

from collections.abc import Callable
from typing import Final, Literal

from relay.domain.accounts import Account, Credentials
from relay.domain.errors import StoreError
from relay.domain.ids import AccountId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import (
    Accepted,
    Balance,
    BalanceUnknown,
    BodyKind,
    InboundRow,
    NotSent,
    Pulled,
    PullFailed,
    RawBody,
    Reading,
    Refused,
    ReportRow,
    SendOutcome,
)
from relay.ports import Clock, MaySend, Provider, always
from relay.services.accounts import AccountBook
from relay.services.suspicion import Suspicion

CredentialsUse = Literal["newer", "fallback", "refused"]
"""Which credentials a call that was refused was good with; ``refused``: with none."""
_SHORT_BYTES: Final = 4096
"""A refusal of a pull is a short answer: no longer one is read twice."""


class LiveCredentials:
    """A ``Provider`` over another one. ``told`` hears which credentials were good when the first were not."""

    def __init__(
        self,
        provider: Provider,
        accounts: AccountBook,
        clock: Clock,
        told: Callable[[AccountId, CredentialsUse], None] = lambda _account_id, _use: None,
    ) -> None:
        self._provider = provider
        self._accounts = accounts
        self._clock = clock
        self._told = told
        self._suspicion = Suspicion(provider, clock)

    async def send(self, account: Account, work: SubmissionWork, may_send: MaySend = always) -> SendOutcome:
        """Submit, once more with other credentials where the first were refused. Credentials that were good until now
        and are refused for everything are being changed: then it is to be tried again later."""
        outcome = await self._provider.send(account, work, may_send)
        if isinstance(outcome, Accepted):
            self._suspicion.worked(account)
            return outcome
        code = _refusal(outcome)
        if code is None or not _is_doubtful(account, code):
            return outcome
        tried = [account]
        for other, use in await self._others(account):
            if not may_send():
                return outcome
            again = await self._provider.send(other, work, may_send)
            again_code = _refusal(again)
            if again_code is None or not _is_doubtful(other, again_code):
                if isinstance(again, Accepted):
                    self._suspicion.worked(other)
                self._told(account.id, use)
                return again
            tried.append(other)
        if isinstance(outcome, Refused) and await self._suspicion.is_about(tried, code, may_send):
            self._told(account.id, "refused")
            return NotSent(why="code", code=code, message=outcome.message, reason="auth", scope="account")
        return outcome

    async def pull(self, account: Account, kind: BodyKind, may_send: MaySend = always) -> Pulled | PullFailed:
        """Pull, once more with other credentials where the first were refused: then nothing was drained."""
        pulled = await self._provider.pull(account, kind, may_send)
        code = self._pull_refusal(kind, pulled)
        if code is None or not _is_doubtful(account, code):
            return pulled
        for other, use in await self._others(account):
            if not may_send():
                break
            again = await self._provider.pull(other, kind, may_send)
            if self._pull_refusal(kind, again) is None:
                self._told(account.id, use)
                return again
        return pulled

    async def balance(self, account: Account, may_send: MaySend = always) -> Balance | BalanceUnknown:
        """Ask for the balance, once more with other credentials where the first were refused."""
        answer = await self._provider.balance(account, may_send)
        if isinstance(answer, Balance):
            self._suspicion.worked(account)
            return answer
        if answer.why != "refused" or not _is_doubtful(account, answer.code or ""):
            return answer
        for other, use in await self._others(account):
            if not may_send():
                break
            again = await self._provider.balance(other, may_send)
            if isinstance(again, Balance):
                self._suspicion.worked(other)
                self._told(account.id, use)
                return again
        return answer

    def read_reports(self, raw: RawBody) -> Reading[ReportRow]:
        """As the provider does."""
        return self._provider.read_reports(raw)

    def read_inbound(self, raw: RawBody) -> Reading[InboundRow]:
        """As the provider does."""
        return self._provider.read_inbound(raw)

    async def _others(self, account: Account) -> list[tuple[Account, CredentialsUse]]:
        """The account as it is now, with each credentials but those of ``account`` that may be good."""
        try:
            now = await self._accounts.reread(account.id)
        except StoreError:
            now = self._accounts.get(account.id)
        if now is None or now.disabled:
            return []
        offers: list[tuple[Credentials | None, CredentialsUse]] = [
            (now.credentials, "newer"),
            (now.live_fallback(self._clock.now_ms()), "fallback"),
        ]
        return [
            (now.with_credentials(credentials), use)
            for credentials, use in offers
            if credentials is not None and credentials != account.credentials
        ]

    def _pull_refusal(self, kind: BodyKind, pulled: Pulled | PullFailed) -> str | None:
        """The code of an answer that says no and holds no rows."""
        if isinstance(pulled, PullFailed) or len(pulled.body) > _SHORT_BYTES:
            return None
        raw = RawBody(
            kind=kind, source="pull", content_type=pulled.content_type, query=b"", body=pulled.body, received_ms=0
        )
        try:
            reading = self.read_reports(raw) if kind == "report" else self.read_inbound(raw)
        except Exception:
            # Decision: caught whatever it is, as in apply.py, because this body comes once: a mistake of ours in
            # reading it must not keep it from being stored; whoever applies it then tells of the mistake.
            return None
        return reading.code if reading.refused and not reading.rows else None


def _refusal(outcome: SendOutcome) -> str | None:
    """The code of a definite no of the provider; None for everything else."""
    if isinstance(outcome, Refused):
        return outcome.code
    return outcome.code if isinstance(outcome, NotSent) and outcome.why == "code" else None


def _is_doubtful(account: Account, code: str) -> bool:
    """Whether this code may be about credentials, by the account's table."""
    rule = account.codes.get(code)
    return rule is None or rule.code_class == "auth"
