"""The provider accounts in memory, with their credentials."""

import asyncio
from collections.abc import Callable

import msgspec

from relay.domain.accounts import SANDBOX_URL, Account, CallbackToken
from relay.domain.ids import AccountId
from relay.domain.teams import hash_secret
from relay.ports import Clock, SecretReader, Store
from relay.services.references import References

_MISS_INTERVAL_S = 1.0


class AccountBook:
    """All accounts, and the hashes of all callback tokens, as of the last ``refresh``.

    Kept in memory because both are needed while the store is away: a callback must find its account to be spooled.
    """

    def __init__(
        self, store: Store, clock: Clock, *, sandbox_for_live: bool, secrets: SecretReader | None = None
    ) -> None:
        """``sandbox_for_live``: whether a live key may use the sandbox when there is no other account (development).
        ``secrets`` reads passwords that are references; without it they are what they were when last stored."""
        self._store = store
        self._clock = clock
        self.sandbox_for_live = sandbox_for_live
        self._references = None if secrets is None else References(secrets, clock)
        self._accounts: dict[AccountId, Account] = {}
        self._tokens: dict[bytes, CallbackToken] = {}
        self._local_tokens: dict[bytes, CallbackToken] = {}
        self._asked_s = float("-inf")
        self._looking: asyncio.Future[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self.sandbox_url: str | None = None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every refresh that changed something."""
        self._listeners.append(listener)

    async def refresh(self) -> None:
        """Read all from the store, and every password that is a reference from where it stands."""
        accounts = {account.id: await self._resolved(account) for account in await self._store.accounts()}
        self._tokens = await self._store.callback_tokens() | self._local_tokens
        self._take(accounts)

    async def reread(self, account_id: AccountId) -> Account | None:
        """One account as it is now; None when there is none. Raises StoreError."""
        account = await self._store.account(account_id)
        others = {known.id: known for known in self._accounts.values() if known.id != account_id}
        if account is None:
            self._take(others)
            return None
        self._take(others | {account_id: await self._resolved(account)})
        return self.get(account_id)

    def _take(self, accounts: dict[AccountId, Account]) -> None:
        for account_id, account in accounts.items():
            known = self._accounts.get(account_id)
            # What was asked for earlier may be answered later.
            if known is not None and known.version > account.version:
                accounts[account_id] = known
        # By their ids: oldest first.
        accounts = dict(sorted(accounts.items()))
        if accounts != self._accounts:
            self._accounts = accounts
            for listener in self._listeners:
                listener()

    async def _resolved(self, account: Account) -> Account:
        return account if self._references is None else await self._references.resolve(account)

    @property
    def unreadable(self) -> dict[AccountId, str]:
        """Accounts whose password cannot be read from where it stands now, and why: the last known one is used."""
        faults = {} if self._references is None else self._references.faults
        return {account_id: why for account_id, why in faults.items() if account_id in self._accounts}

    def has_expired(self) -> bool:
        """Whether a fall-back or a callback token is kept whose time is over."""
        now_ms = self._clock.now_ms()
        return any(
            account.fallback_until_ms is not None and account.fallback_until_ms <= now_ms
            for account in self._accounts.values()
        ) or any(not token.is_live(now_ms) for token in self._tokens.values())

    def add_local_token(self, token: str, account_id: AccountId) -> None:
        """A callback token that is good in this process only."""
        self._local_tokens[hash_secret(token)] = CallbackToken(account_id=account_id, created_ms=self._clock.now_ms())
        self._tokens = self._tokens | self._local_tokens

    def all(self) -> list[Account]:
        """Every account, oldest first."""
        return list(self._accounts.values())

    def get(self, account_id: AccountId) -> Account | None:
        """One account, its ``base_url`` ready to be called."""
        account = self._accounts.get(account_id)
        return None if account is None else self.reachable(account)

    def reachable(self, account: Account) -> Account:
        """The account with a ``base_url`` that can be called: where the embedded sandbox listens now, if it is that."""
        if account.base_url != SANDBOX_URL or self.sandbox_url is None:
            return account
        return msgspec.structs.replace(account, base_url=self.sandbox_url)

    async def by_token(self, token: str) -> Account | None:
        """Whose callback token this is; None when it is nobody's, or its time is over."""
        key = hash_secret(token)
        if key not in self._tokens:
            await self.look_again()
        found = self._tokens.get(key)
        if found is None or not found.is_live(self._clock.now_ms()):
            return None
        return self._accounts.get(found.account_id)

    async def look_again(self) -> None:
        """Another process may have made what is missed here. The store is asked at most once a second, whoever asks for
        nothing; all who miss something meanwhile wait for the one answer."""
        now_s = self._clock.monotonic_s()
        if self._looking is None or now_s - self._asked_s >= _MISS_INTERVAL_S:
            self._asked_s = now_s
            self._looking = asyncio.ensure_future(self.refresh())
        await asyncio.shield(self._looking)
