"""Balances in the store."""

from relay.domain.accounts import BalanceView
from relay.domain.ids import AccountId, raw_bytes
from relay.domain.provider import Balance
from relay.store.parts.part import Part
from relay.store.scripts import balances


class BalancesPart(Part):
    """See ``relay.ports.platform.BalanceStore``."""

    async def keep_balance(self, account_id: AccountId, balance: Balance, now_ms: int) -> None:
        await self._driver.write(lambda db: balances.keep_balance(db, raw_bytes(account_id), balance, now_ms))

    async def balances(self, account_ids: tuple[AccountId, ...]) -> list[BalanceView]:
        return await self._driver.read(lambda db: balances.balances(db, account_ids))
