"""What the API is given: the use cases, plain reads, and settings."""

from dataclasses import dataclass

import msgspec

from relay.ports import Clock, Store
from relay.services.accept import Accept
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
from relay.services.authenticate import Authenticate
from relay.services.balance import Balances
from relay.services.erase import Erase
from relay.services.idempotency import InFlight
from relay.services.limits import TeamRates
from relay.services.poll import Poll
from relay.services.readiness import Readiness
from relay.services.receive import Receive
from relay.services.routing import Routing
from relay.services.subscribe import Subscribe
from relay.services.wait import Wait


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiServices:
    """The use cases that handlers call. ``store`` is for plain reads only."""

    authenticate: Authenticate
    rates: TeamRates
    accept: Accept
    wait: Wait
    receive: Receive
    accounts_admin: AccountsAdmin
    account_credentials: CredentialsAdmin
    account_tokens: CallbackTokensAdmin
    account_probe: Probe
    teams_admin: TeamsAdmin
    extensions_admin: ExtensionsAdmin
    keys_admin: KeysAdmin
    suppressions_admin: SuppressionsAdmin
    orphans_admin: OrphansAdmin
    quarantine_admin: QuarantineAdmin
    key_ring_admin: KeyRingAdmin
    erase: Erase
    subscribe: Subscribe
    poll: Poll
    routing: Routing
    balances: Balances
    readiness: Readiness
    store: Store
    in_flight: InFlight
    clock: Clock


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``public_url``: scheme and host under which the provider reaches us, without a slash at the end; None: taken from
    the request that asks. ``body_bytes`` holds 10,000 numbers several times over; ``callback_bytes`` is generous,
    because a callback comes once. ``development`` and ``version`` are for pages that are still to come."""

    public_url: str | None = None
    body_bytes: int = 2 * 1024 * 1024
    callback_bytes: int = 16 * 1024 * 1024
    development: bool = False
    version: str = "0"
