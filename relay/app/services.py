"""The use cases of the API, made of a gateway's parts."""

from zoneinfo import ZoneInfo

from relay.api.services import ApiServices
from relay.app.parts import Parts
from relay.app.workers import Workers
from relay.services.accept import Accept
from relay.services.admin.accounts import AccountsAdmin
from relay.services.admin.callback_tokens import CallbackTokensAdmin
from relay.services.admin.credentials import CredentialsAdmin
from relay.services.admin.extensions import ExtensionsAdmin
from relay.services.admin.keys import KeysAdmin
from relay.services.admin.orphans import OrphansAdmin
from relay.services.admin.probe import Probe
from relay.services.admin.quarantine import QuarantineAdmin
from relay.services.admin.suppressions import SuppressionsAdmin
from relay.services.admin.teams import TeamsAdmin
from relay.services.erase import Erase
from relay.services.idempotency import InFlight
from relay.services.limits import TeamRates
from relay.services.readiness import Readiness
from relay.services.receive import Receive
from relay.services.subscribe import Subscribe


def make_services(parts: Parts, workers: Workers) -> ApiServices:
    """What handlers call. ``workers`` take up what a request leaves to be done."""
    settings, store, clock, entropy = parts.settings, parts.store, parts.clock, parts.entropy
    return ApiServices(
        authenticate=parts.authenticate,
        rates=TeamRates(clock, parts.members),
        accept=Accept(
            store,
            parts.routing,
            parts.gates,
            parts.members,
            workers.submit,
            clock,
            entropy,
            lease_s=settings.lease_s,
            ttl_s=settings.message_ttl_s,
            quota_zone=ZoneInfo(settings.quota_timezone),
        ),
        wait=parts.wait,
        receive=Receive(
            workers.apply, parts.accounts, parts.spool, entropy, store_timeout_s=settings.callback_store_timeout_s
        ),
        accounts_admin=AccountsAdmin(store, parts.accounts, parts.secrets, clock, entropy),
        account_credentials=CredentialsAdmin(store, parts.accounts, parts.straight, parts.secrets, clock, entropy),
        account_tokens=CallbackTokensAdmin(store, parts.accounts, clock, entropy),
        account_probe=Probe(store, parts.accounts, parts.straight, workers.aftermath, clock, entropy),
        teams_admin=TeamsAdmin(
            store,
            parts.accounts,
            clock,
            entropy,
            quota_zone=ZoneInfo(settings.quota_timezone),
            gone=workers.deliver.changed,
        ),
        extensions_admin=ExtensionsAdmin(store, parts.accounts, clock, entropy),
        keys_admin=KeysAdmin(store, clock, entropy, changed=parts.authenticate.forget),
        suppressions_admin=SuppressionsAdmin(store, clock, entropy),
        orphans_admin=OrphansAdmin(store, workers.aftermath, clock, entropy, parts.opt_out_words),
        quarantine_admin=QuarantineAdmin(store, parts.provider, workers.aftermath, clock, entropy, parts.opt_out_words),
        key_ring_admin=parts.key_ring_admin,
        erase=Erase(store, clock, entropy),
        subscribe=Subscribe(store, parts.egress, clock, entropy, workers.deliver.changed),
        poll=parts.poll,
        routing=parts.routing,
        balances=parts.balances,
        readiness=Readiness(store),
        store=store,
        in_flight=InFlight(),
        clock=clock,
    )
