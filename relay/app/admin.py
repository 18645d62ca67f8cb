"""The platform team's use cases for one short command, beside a running gateway."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import httpx

from relay import provider as providers
from relay.app.parts import PROVIDER
from relay.app.stores import open_store
from relay.config import Settings
from relay.domain.ids import EndpointId
from relay.domain.suppressions import OptOutWords
from relay.ports import Store, StoredEffects
from relay.services.accounts import AccountBook
from relay.services.admin.accounts import AccountsAdmin
from relay.services.admin.callback_tokens import CallbackTokensAdmin
from relay.services.admin.credentials import CredentialsAdmin
from relay.services.admin.extensions import ExtensionsAdmin
from relay.services.admin.keyring import KeyRingAdmin
from relay.services.admin.keys import KeysAdmin
from relay.services.admin.orphans import OrphansAdmin
from relay.services.admin.probe import Probe
from relay.services.admin.quarantine import QuarantineAdmin
from relay.services.admin.suppressions import SuppressionsAdmin
from relay.services.admin.teams import TeamsAdmin
from relay.services.erase import Erase
from relay.system import SystemClock, SystemEntropy, SystemSecrets
from relay.transport import Transport


@dataclass(frozen=True, kw_only=True, slots=True)
class Admin:
    """What commands call. ``store`` is for plain reads only."""

    store: Store
    accounts: AccountsAdmin
    account_credentials: CredentialsAdmin
    account_tokens: CallbackTokensAdmin
    account_probe: Probe
    teams: TeamsAdmin
    extensions: ExtensionsAdmin
    keys: KeysAdmin
    suppressions: SuppressionsAdmin
    orphans: OrphansAdmin
    quarantine: QuarantineAdmin
    key_ring: KeyRingAdmin
    erase: Erase


@contextlib.asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Admin]:
    """On a migrated database. A running gateway sees within seconds what is changed here. Raises StoreUnavailable,
    KeyRingError."""
    clock, entropy = SystemClock(), SystemEntropy()
    secrets = SystemSecrets(settings.secret_dirs)
    opt_out_words = OptOutWords(settings.opt_out_keywords)
    client = httpx.AsyncClient(transport=Transport(), trust_env=False, follow_redirects=False)
    async with client, open_store(settings) as store:
        provider = providers.find(PROVIDER)(client)
        accounts = AccountBook(store, clock, sandbox_for_live=False, secrets=secrets)
        await accounts.refresh()
        yield Admin(
            store=store,
            accounts=AccountsAdmin(store, accounts, secrets, clock, entropy),
            account_credentials=CredentialsAdmin(store, accounts, provider, secrets, clock, entropy),
            account_tokens=CallbackTokensAdmin(store, accounts, clock, entropy),
            account_probe=Probe(store, accounts, provider, _left_to_the_gateway, clock, entropy),
            teams=TeamsAdmin(
                store, accounts, clock, entropy, quota_zone=ZoneInfo(settings.quota_timezone), gone=_nobody_to_tell
            ),
            extensions=ExtensionsAdmin(store, accounts, clock, entropy),
            keys=KeysAdmin(store, clock, entropy),
            suppressions=SuppressionsAdmin(store, clock, entropy),
            orphans=OrphansAdmin(store, _left_to_the_gateway, clock, entropy, opt_out_words),
            quarantine=QuarantineAdmin(store, provider, _left_to_the_gateway, clock, entropy, opt_out_words),
            key_ring=KeyRingAdmin(store, clock, entropy),
            erase=Erase(store, clock, entropy),
        )


def _nobody_to_tell(_: EndpointId) -> None:
    """A running gateway finds out by itself that an endpoint is gone."""


def _left_to_the_gateway(effects: StoredEffects) -> None:
    """A command starts no deliveries: a running gateway finds them."""
