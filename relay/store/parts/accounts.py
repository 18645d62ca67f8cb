"""Provider accounts in the store."""

from relay.domain.accounts import Account, CallbackToken
from relay.domain.audit import AuditEntry
from relay.domain.ids import AccountId, raw_bytes
from relay.ports import Idempotency, Replay, Stored
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import accounts, callback_tokens


class AccountsPart(Part):
    """See ``relay.ports.platform.AccountStore``."""

    async def create_account(
        self, account: Account, *, callback_token: str, entry: AuditEntry, idempotency: Idempotency | None
    ) -> Stored | Replay:
        return await self._driver.write(
            lambda db: accounts.create_account(db, self._ring, account, callback_token, entry, idempotency),
            turns.ACCOUNTS,
        )

    async def change_account(
        self, account: Account, *, entry: AuditEntry, idempotency: Idempotency | None = None
    ) -> Stored | Replay:
        return await self._driver.write(
            lambda db: accounts.change_account(db, self._ring, account, entry, idempotency), turns.ACCOUNTS
        )

    async def delete_account(
        self, account_id: AccountId, *, version: int | None, entry: AuditEntry, now_ms: int
    ) -> None:
        await self._driver.write(
            lambda db: accounts.delete_account(db, self._ring, account_id, version, entry, now_ms), turns.DELETE_ACCOUNT
        )

    async def forget_expired(self, now_ms: int) -> None:
        await self._driver.write(lambda db: accounts.forget_expired(db, now_ms), turns.ACCOUNTS)

    async def accounts(self) -> list[Account]:
        return await self._driver.read(lambda db: accounts.accounts(db, self._ring))

    async def account(self, account_id: AccountId) -> Account | None:
        return await self._driver.read(lambda db: accounts.account(db, self._ring, raw_bytes(account_id)))

    async def callback_tokens(self) -> dict[bytes, CallbackToken]:
        return await self._driver.read(callback_tokens.tokens)

    async def callback_tokens_of(self, account_id: AccountId) -> dict[bytes, CallbackToken]:
        return await self._driver.read(lambda db: callback_tokens.of_account(db, raw_bytes(account_id)))

    async def rotate_callback_token(
        self,
        account_id: AccountId,
        token: str,
        *,
        now_ms: int,
        expires_ms: int,
        entry: AuditEntry,
        idempotency: Idempotency | None,
    ) -> Stored | Replay:
        return await self._driver.write(
            lambda db: callback_tokens.rotate(
                db,
                self._ring,
                account_id,
                token,
                now_ms=now_ms,
                expires_ms=expires_ms,
                entry=entry,
                idempotency=idempotency,
            ),
            turns.ACCOUNTS,
        )

    async def revoke_callback_token(self, account_id: AccountId, token_id: str, *, entry: AuditEntry) -> bool:
        return await self._driver.write(
            lambda db: callback_tokens.revoke(db, raw_bytes(account_id), token_id, entry), turns.ACCOUNTS
        )
