"""The platform team's use cases for one short command, beside a running gateway."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from relay.app.stores import open_store
from relay.config import Settings
from relay.domain.ids import EndpointId
from relay.ports import Store
from relay.services.accounts import AccountBook
from relay.services.admin.accounts import AccountsAdmin
from relay.services.admin.extensions import ExtensionsAdmin
from relay.services.admin.keys import KeysAdmin
from relay.services.admin.suppressions import SuppressionsAdmin
from relay.services.admin.teams import TeamsAdmin
from relay.system import SystemClock, SystemEntropy


@dataclass(frozen=True, kw_only=True, slots=True)
class Admin:
    """What commands call. ``store`` is for plain reads only."""

    store: Store
    accounts: AccountsAdmin
    teams: TeamsAdmin
    extensions: ExtensionsAdmin
    keys: KeysAdmin
    suppressions: SuppressionsAdmin


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
            teams=TeamsAdmin(
                store, accounts, clock, entropy, quota_zone=ZoneInfo(settings.quota_timezone), gone=_nobody_to_tell
            ),
            extensions=ExtensionsAdmin(store, accounts, clock, entropy),
            keys=KeysAdmin(store, clock, entropy),
            suppressions=SuppressionsAdmin(store, clock, entropy),
        )


def _nobody_to_tell(_: EndpointId) -> None:
    """A running gateway finds out by itself that an endpoint is gone."""
