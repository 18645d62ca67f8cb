"""Balances: asked of the provider now and then, answered from what is known."""

import msgspec

from relay.domain.accounts import Account, BalanceView
from relay.domain.provider import Balance, BalanceUnknown
from relay.domain.teams import Principal
from relay.ports import Clock, Provider, Store, StoredEffects, always
from relay.services.membership import Members
from relay.services.routing import Routing


class BalanceAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What one call brought. ``days_left``: see ``BalanceView``; ``effects``: what keeping it has set going."""

    answer: Balance | BalanceUnknown
    seconds: float
    days_left: float | None = None
    effects: StoredEffects | None = None


class Balances:
    """The use cases around the balance."""

    def __init__(self, store: Store, provider: Provider, routing: Routing, members: Members, clock: Clock) -> None:
        self._store = store
        self._provider = provider
        self._routing = routing
        self._members = members
        self._clock = clock

    async def of_team(self, principal: Principal) -> list[BalanceView]:
        """Last known balances of the accounts that this key may use, in their order."""
        usable = self._routing.usable_by(principal)
        return await self._store.balances(tuple(account.id for account in usable))

    async def probe(self, account: Account) -> BalanceAsked:
        """Ask the provider, to see whether the account works; any process may, and nothing is remembered."""
        started_s = self._clock.monotonic_s()
        answer = await self._provider.balance(account, always)
        return BalanceAsked(answer=answer, seconds=self._clock.monotonic_s() - started_s)

    async def of_all(self) -> list[BalanceView]:
        """Last known balances of all accounts, oldest account first."""
        return await self._store.all_balances()

    async def ask(self, account: Account) -> BalanceAsked:
        """Ask the provider and remember the answer."""
        started_s = self._clock.monotonic_s()
        answer = await self._provider.balance(account, self._members.leads)
        seconds = self._clock.monotonic_s() - started_s
        if not isinstance(answer, Balance):
            return BalanceAsked(answer=answer, seconds=seconds)
        effects = await self._store.keep_balance(account, answer, self._clock.now_ms())
        kept = await self._store.balances((account.id,))
        left = kept[0].days_left if kept else None
        return BalanceAsked(answer=answer, seconds=seconds, days_left=left, effects=effects)
