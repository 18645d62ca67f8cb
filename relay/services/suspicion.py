"""Whether a refusal is about the credentials, or about the message: the provider documents no code that says so."""

import asyncio
from collections.abc import Sequence
from typing import Final

from relay.domain.accounts import Account, Credentials
from relay.domain.ids import AccountId
from relay.domain.provider import Balance
from relay.ports import Clock, MaySend, Provider

GRACE_S: Final = 600.0
"""How long messages wait for credentials that were good once: so long an administrator takes, who first changes the
password at the provider and then here. After it their refusals are what they are."""
_FRESH_S: Final = 1.0
"""How long an answer stands for what the provider would answer now."""
_CLEARED_S: Final = 60.0
"""How long a code that came while the credentials were good is not asked about again."""


class Suspicion:
    """Asks for the balance, which takes nothing but credentials: refused with the same code, they are the reason.

    Decision: only for credentials that were accepted before, by this process; others are wrong from the beginning, and
    whoever sends by them should see that at once.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._worked: dict[AccountId, Credentials] = {}
        self._cleared_until_s: dict[tuple[AccountId, str], float] = {}
        self._refused_since_s: dict[AccountId, float] = {}
        self._refused: dict[AccountId, tuple[Credentials, str, float]] = {}
        self._asking: dict[AccountId, asyncio.Lock] = {}

    def worked(self, account: Account) -> None:
        """The provider has taken the account's credentials."""
        known = self._worked.get(account.id)
        if known is None or known.password_md5 != account.password_md5 or known.account != account.account:
            self._worked[account.id] = account.credentials
        if self._refused_since_s:
            self._refused_since_s.pop(account.id, None)

    async def is_about(self, tried: Sequence[Account], code: str, may_send: MaySend) -> bool:
        """Whether ``code``, which all of ``tried`` got (one account, each with other credentials), refuses credentials
        that were good before, and does so for no longer than ``GRACE_S``."""
        account = tried[0]
        if self._worked.get(account.id) not in [one.credentials for one in tried]:
            return False
        # One question at a time: whoever waits here is answered by the one before.
        async with self._asking.setdefault(account.id, asyncio.Lock()):
            if self._clock.monotonic_s() < self._cleared_until_s.get((account.id, code), float("-inf")):
                return False
            if not self._was_refused(account, code) and not await self._ask(account, code, may_send):
                return False
        now_s = self._clock.monotonic_s()
        return now_s - self._refused_since_s.setdefault(account.id, now_s) < GRACE_S

    def _was_refused(self, account: Account, code: str) -> bool:
        credentials, refused_code, at_s = self._refused.get(account.id, (None, "", float("-inf")))
        fresh = self._clock.monotonic_s() - at_s < _FRESH_S
        return fresh and credentials == account.credentials and refused_code == code

    async def _ask(self, account: Account, code: str, may_send: MaySend) -> bool:
        answer = await self._provider.balance(account, may_send)
        now_s = self._clock.monotonic_s()
        if isinstance(answer, Balance):
            self._cleared_until_s = {
                key: until_s for key, until_s in self._cleared_until_s.items() if until_s > now_s
            } | {(account.id, code): now_s + _CLEARED_S}
            return False
        if code not in (answer.code, answer.why):
            # It says nothing of credentials: as it was.
            return account.id in self._refused_since_s
        self._refused[account.id] = (account.credentials, code, now_s)
        return True
