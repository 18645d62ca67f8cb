"""The provider accounts in memory, with their credentials."""

import asyncio
from collections.abc import Callable

import msgspec

from relay.domain.accounts import SANDBOX_URL, Account
from relay.domain.ids import AccountId
from relay.domain.teams import hash_secret
from relay.ports import Clock, Store

_MISS_INTERVAL_S = 1.0


class AccountBook:
    """All accounts, and the hashes of all callback tokens, as of the last ``refresh``.

    Kept in memory because both are needed while the store is away: a callback must find its account to be spooled.
    """

    def __init__(self, store: Store, clock: Clock, *, sandbox_for_live: bool) -> None:
        """``sandbox_for_live``: whether a live key may use the sandbox when there is no other account (development)."""
        self._store = store
        self._clock = clock
        self.sandbox_for_live = sandbox_for_live
        self._accounts: dict[AccountId, Account] = {}
        self._tokens: dict[bytes, AccountId] = {}
        self._local_tokens: dict[bytes, AccountId] = {}
        self._asked_s = float("-inf")
        self._looking: asyncio.Future[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self.sandbox_url: str | None = None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every refresh that changed something."""
        self._listeners.append(listener)

    async def refresh(self) -> None:
        """Read all from the store."""
        accounts = {account.id: account for account in await self._store.accounts()}
        self._tokens = await self._store.callback_tokens() | self._local_tokens
        if accounts != self._accounts:
            self._accounts = accounts
            for listener in self._listeners:
                listener()

    def add_local_token(self, token: str, account_id: AccountId) -> None:
        """A callback token that is good in this process only."""
        self._local_tokens[hash_secret(token)] = account_id
        self._tokens = self._tokens | self._local_tokens

    def all(self) -> list[Account]:
        """Every account, oldest first."""
        return list(self._accounts.values())

    def get(self, account_id: AccountId) -> Account | None:
        """One account, its ``base_url`` ready to be called."""
        account = self._accounts.get(account_id)
        if account is None or account.base_url != SANDBOX_URL or self.sandbox_url is None:
            return account
        return _at(account, self.sandbox_url)

    async def by_token(self, token: str) -> Account | None:
        """Whose callback token this is."""
        key = hash_secret(token)
        if key not in self._tokens:
            await self.look_again()
        account_id = self._tokens.get(key)
        return None if account_id is None else self._accounts.get(account_id)

    async def look_again(self) -> None:
        """Another process may have made what is missed here. The store is asked at most once a second, whoever asks for
        nothing; all who miss something meanwhile wait for the one answer."""
        now_s = self._clock.monotonic_s()
        if self._looking is None or now_s - self._asked_s >= _MISS_INTERVAL_S:
            self._asked_s = now_s
            self._looking = asyncio.ensure_future(self.refresh())
        await asyncio.shield(self._looking)


def _at(account: Account, base_url: str) -> Account:
    return msgspec.structs.replace(account, base_url=base_url)
