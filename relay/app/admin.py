"""The platform team's use cases for one short command, beside a running gateway."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from relay.app.stores import open_store
from relay.config import Settings
from relay.ports import Store
from relay.services.accounts import AccountBook
from relay.services.admin.accounts import AccountsAdmin
from relay.services.admin.keyring import KeyRingAdmin
from relay.services.admin.keys import KeysAdmin
from relay.services.admin.teams import TeamsAdmin
from relay.system import SystemClock, SystemEntropy


@dataclass(frozen=True, kw_only=True, slots=True)
class Admin:
    """What commands call. ``store`` is for plain reads only."""

    store: Store
    accounts: AccountsAdmin
    teams: TeamsAdmin
    keys: KeysAdmin
    key_ring: KeyRingAdmin


@contextlib.asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Admin]:
    """On a migrated database. A running gateway sees within seconds what is changed here. Raises StoreUnavailable,
    KeyRingError."""
    clock, entropy = SystemClock(), SystemEntropy()
    async with open_store(settings) as store:
        accounts = AccountBook(store, clock, sandbox_for_live=False)
        await accounts.refresh()
        yield Admin(
            store=store,
            accounts=AccountsAdmin(store, accounts, clock, entropy),
            teams=TeamsAdmin(store, accounts, clock, entropy),
            keys=KeysAdmin(store, clock, entropy),
            key_ring=KeyRingAdmin(store, clock, entropy),
        )
