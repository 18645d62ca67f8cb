"""Balances in the store."""

from relay.domain.accounts import Account, BalanceView
from relay.domain.ids import AccountId
from relay.domain.provider import Balance
from relay.ports import StoredEffects
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import balances


class BalancesPart(Part):
    """See ``relay.ports.platform.BalanceStore``."""

    async def keep_balance(self, account: Account, balance: Balance, now_ms: int) -> StoredEffects:
        return await self._driver.write(
            lambda db: balances.keep_balance(db, account, balance, now_ms), turns.keep_balance(account.id)
        )

    async def balances(self, account_ids: tuple[AccountId, ...]) -> list[BalanceView]:
        return await self._driver.read(lambda db: balances.balances(db, account_ids))

    async def all_balances(self) -> list[BalanceView]:
        return await self._driver.read(balances.all_balances)
