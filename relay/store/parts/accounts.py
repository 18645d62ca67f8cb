"""Provider accounts in the store."""

from relay.domain.accounts import Account
from relay.domain.audit import AuditEntry
from relay.domain.ids import AccountId
from relay.ports import Idempotency, Replay, Stored
from relay.store.parts.part import Part
from relay.store.scripts import accounts


class AccountsPart(Part):
    """See ``relay.ports.platform.AccountStore``."""

    async def create_account(
        self, account: Account, *, callback_token: str, entry: AuditEntry, idempotency: Idempotency | None
    ) -> Stored | Replay:
        return await self._driver.write(
            lambda db: accounts.create_account(db, self._ring, account, callback_token, entry, idempotency)
        )

    async def accounts(self) -> list[Account]:
        return await self._driver.read(lambda db: accounts.accounts(db, self._ring))

    async def callback_tokens(self) -> dict[bytes, AccountId]:
        return await self._driver.read(accounts.callback_tokens)
