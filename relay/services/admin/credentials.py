"""Changing an account's credentials: what the provider has taken replaces what it took before."""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.accounts import Account, AccountView, Credentials, view_of
from relay.domain.audit import Actor
from relay.domain.errors import (
    BodyInvalid,
    CredentialsRefused,
    FieldError,
    NotFound,
    PreconditionFailed,
    ProviderUnreachable,
)
from relay.domain.ids import AccountId
from relay.domain.provider import Balance, BalanceUnknown
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Entropy, Provider, Replay, SecretReader, Store
from relay.services.accounts import AccountBook
from relay.services.admin.account_requests import NewCredentials
from relay.services.admin.accounts import without_old_fallback
from relay.services.admin.auditing import Auditor
from relay.services.admin.passwords import given_md5
from relay.services.idempotency import KeyUse

LONGEST_FALLBACK_S: Final = 7 * 86_400
_DONE_STATUS: Final = 200
_TRIES: Final = 5
_ASKED_AGAIN: Final = 2
_AGAIN_S: Final = 1.0
_REFUSALS: Final = frozenset({"http_401", "http_403"})


class CredentialsAdmin:
    """Rotates credentials. ``provider`` uses the very credentials that it is given: no fall-back behind them."""

    def __init__(
        self,
        store: Store,
        accounts: AccountBook,
        provider: Provider,
        secrets: SecretReader,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._provider = provider
        self._secrets = secrets
        self._clock = clock
        self._auditor = Auditor(clock, entropy)

    async def rotate(
        self,
        account_id: AccountId,
        wanted: NewCredentials,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[AccountView], bytes],
    ) -> bytes | Replay:
        """Ask for the balance with the new credentials; when that succeeds they are stored, and the ones before are the
        fall-back. Raises NotFound, BodyInvalid, CredentialsRefused and ProviderUnreachable: then nothing has changed.
        """
        if not 0 <= wanted.fallback_s <= LONGEST_FALLBACK_S:
            raise BodyInvalid(
                "The fall-back cannot last so long.",
                errors=(FieldError(pointer="/fallback_s", detail=f"0..{LONGEST_FALLBACK_S} seconds"),),
            )
        if use is not None:
            # Before the provider is asked: it may say something else by now.
            replay = await self._store.find_replay(use.scope, use.key, use.fingerprint)
            if replay is not None:
                return replay
        password_md5 = await given_md5(wanted, self._secrets)
        for _ in range(_TRIES):
            before = await self._accounts.reread(account_id)
            stored = await self._store.account(account_id)
            if before is None or stored is None:
                raise NotFound("There is no such account.")
            if before.version != stored.version:
                continue
            new = Credentials(account=wanted.account or before.account, password_md5=password_md5)
            await self._prove(before.with_credentials(new))
            after = self._rotated(stored, before, new, wanted)
            answer = render(view_of(after))
            try:
                kept = await self._store.change_account(
                    after,
                    entry=self._auditor.entry(actor, "account.credentials_rotated", account_id, _detail(before, after)),
                    idempotency=None if use is None else use.answered(_DONE_STATUS, answer, self._clock.now_ms()),
                )
            except PreconditionFailed:
                # It was changed meanwhile: what was proved may be of an account that is no more.
                continue
            await self._accounts.refresh()
            return kept if isinstance(kept, Replay) else answer
        raise PreconditionFailed("The account is changed by others all the time.")

    def _rotated(self, stored: Account, before: Account, new: Credentials, wanted: NewCredentials) -> Account:
        """``before`` is ``stored`` as it was in use: with the password that its reference says."""
        now_ms = self._clock.now_ms()
        after = msgspec.structs.replace(stored.with_credentials(new), password_ref=wanted.password_ref)
        if new == before.credentials:
            # A repeated rotation must not make the new credentials their own fall-back.
            return without_old_fallback(after, now_ms)
        return without_old_fallback(
            msgspec.structs.replace(
                after, fallback=before.credentials, fallback_until_ms=now_ms + wanted.fallback_s * SECOND_MS
            ),
            now_ms,
        )

    async def _prove(self, account: Account) -> None:
        """A balance is to be had with these very credentials. Raises CredentialsRefused, ProviderUnreachable."""
        answer = await self._provider.balance(account)
        for _ in range(_ASKED_AGAIN):
            if isinstance(answer, BalanceUnknown) and _is_busy(account, answer):
                # The sends that go on take their share of the provider's rate: that says nothing about credentials.
                await self._clock.sleep(_AGAIN_S)
                answer = await self._provider.balance(account)
        if isinstance(answer, Balance):
            return
        if answer.why in _REFUSALS or (answer.why == "refused" and not _is_busy(account, answer)):
            raise CredentialsRefused(
                "The provider refuses a queryBalance with these credentials; nothing was changed.",
                provider_code=answer.code or answer.why,
                provider_message=answer.message,
            )
        raise ProviderUnreachable(f"There is no balance to be had ({answer.why}); nothing was changed.")


def _is_busy(account: Account, answer: BalanceUnknown) -> bool:
    rule = account.codes.get(answer.code or answer.why)
    return answer.why == "http_429" or (rule is not None and rule.code_class in ("throttled", "busy"))


def _detail(before: Account, after: Account) -> dict[str, object]:
    """For the audit: nothing of the password, nor where it came from but for its name."""
    return {
        "account_changed": before.account != after.account,
        "password_ref": after.password_ref,
        "fallback_until_ms": after.fallback_until_ms,
    }
