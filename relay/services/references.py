"""Passwords that are references: ``file:/run/secrets/…`` and ``env:NAME``, read again and again."""

import hashlib
from typing import Final

import msgspec

from relay.domain.accounts import Account, Credentials
from relay.domain.errors import SecretUnreadable
from relay.domain.ids import AccountId
from relay.domain.times import HOUR_MS
from relay.ports import Clock, SecretReader

FALLBACK_MS: Final = HOUR_MS
"""How long the password that stood there before is a fall-back."""


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    reference: str
    password_md5: str
    before_md5: str | None = None
    before_until_ms: int = 0


class References:
    """What the references of all accounts said last, and before."""

    def __init__(self, secrets: SecretReader, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock
        self._held: dict[AccountId, _Held] = {}
        self.faults: dict[AccountId, str] = {}
        """Why an account's reference cannot be read now."""

    async def resolve(self, account: Account) -> Account:
        """The account with the password that stands at its reference now, the one before as fall-back. While it cannot
        be read: the last known one."""
        reference = account.password_ref
        if reference is None:
            self._held.pop(account.id, None)
            self.faults.pop(account.id, None)
            return account
        held = self._held.get(account.id)
        if held is None or held.reference != reference:
            held = _Held(reference=reference, password_md5=account.password_md5)
        held = await self._read(account.id, held)
        self._held[account.id] = held
        resolved = msgspec.structs.replace(account, password_md5=held.password_md5)
        if held.before_md5 is None or held.before_until_ms <= self._clock.now_ms():
            return resolved
        before = Credentials(account=account.account, password_md5=held.before_md5)
        return msgspec.structs.replace(resolved, fallback=before, fallback_until_ms=held.before_until_ms)

    async def _read(self, account_id: AccountId, held: _Held) -> _Held:
        try:
            found = password_md5(await self._secrets.read(held.reference))
        except SecretUnreadable as error:
            self.faults[account_id] = str(error)
            return held
        self.faults.pop(account_id, None)
        if found == held.password_md5:
            return held
        return _Held(
            reference=held.reference,
            password_md5=found,
            before_md5=held.password_md5,
            before_until_ms=self._clock.now_ms() + FALLBACK_MS,
        )


def password_md5(password: str) -> str:
    """What the provider wants of a password: its MD5 in lower-case hex (provider documentation, "authorization"). It is
    the provider's own scheme, and not a way to keep passwords."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
