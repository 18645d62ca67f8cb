"""``Gateway``: all parts of the product in one process, joined."""

import asyncio
import contextlib
import os
import platform
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import httpx
import structlog

import relay
from relay import provider as providers
from relay.api.app import create_app
from relay.api.services import ApiServices, ApiSettings
from relay.app.stores import is_embedded, make_hints, make_store, prepared
from relay.config import Settings
from relay.console import create_console
from relay.domain.errors import StoreError
from relay.domain.retention import Keeping
from relay.domain.suppressions import OptOutWords
from relay.ports import Clock, Entropy, Hints, Poster, Provider, Store
from relay.services.accept import Accept
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
from relay.services.apply import Apply
from relay.services.authenticate import Authenticate
from relay.services.balance import Balances
from relay.services.credentials import LiveCredentials
from relay.services.deliver import Deliver, Lanes
from relay.services.erase import Erase
from relay.services.idempotency import InFlight
from relay.services.limits import TeamRates
from relay.services.membership import Alone, Members, Membership
from relay.services.poll import Poll
from relay.services.pull import Pull
from relay.services.readiness import Readiness
from relay.services.receive import Receive
from relay.services.reroute import Reroute
from relay.services.routing import Routing
from relay.services.slots import Gates
from relay.services.submit import Submit
from relay.services.subscribe import Subscribe
from relay.services.wait import Wait
from relay.store.spool import Spool
from relay.store.store import ScriptStore
from relay.system import SharedClock, SharedEntropy, SystemClock, SystemEntropy, SystemSecrets
from relay.telemetry.metrics import Metrics
from relay.transport import Transport
from relay.webhooks import EgressPolicy, WebhookPoster
from relay.workers.aftermath import Aftermath
from relay.workers.breakers import BreakerWatch
from relay.workers.credentials import CredentialsTold
from relay.workers.deliver import DeliverWorker
from relay.workers.hints import Hearing, Silent
from relay.workers.key_uses import KeyUses
from relay.workers.keyring import KeyRingWorker
from relay.workers.leaving import Leaving
from relay.workers.membership import MembershipWorker
from relay.workers.pull import PullWorker
from relay.workers.retention import Retention
from relay.workers.submit import SubmitWorker
from relay.workers.supervisor import Supervisor
from relay.workers.upkeep import Upkeep

PROVIDER: Final = "form_v1"

log = structlog.get_logger("relay")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What is outside the process, for tests to replace. ``replicas``: whether other processes use the same database;
    None: as the settings say, SQLite has one process, every other engine several."""

    clock: Clock
    entropy: Entropy
    provider: Provider | None = None
    poster: Poster | None = None
    replicas: bool | None = None


def system() -> Outside:
    """The real outside."""
    return Outside(clock=SystemClock(), entropy=SystemEntropy())


class Gateway:
    """All parts, joined. ``start`` begins the work that goes on by itself, ``stop`` ends it in order."""

    def __init__(
        self, settings: Settings, store: ScriptStore, lanes: Lanes, entropy: SharedEntropy, outside: Outside
    ) -> None:
        """``store`` and ``lanes`` were made with ``entropy``."""
        shared = SharedClock(outside.clock)
        clock: Clock = shared
        development = settings.env == "development"
        self.settings = settings
        self.store = store
        self.clock = clock
        self.metrics = Metrics()
        self.spool = Spool(Path(settings.data_dir) / "spool")
        self._clients: list[httpx.AsyncClient] = []
        egress = EgressPolicy(
            allow_loopback=development,
            allow_cidrs=settings.egress_allow_cidrs,
            allow_host_suffixes=settings.egress_allow_host_suffixes,
        )
        straight = outside.provider or providers.find(PROVIDER)(
            self._client(Transport(max_connections=settings.submit_max_in_flight_total))
        )
        poster = outside.poster or WebhookPoster(
            self._client(Transport(permit=egress.permits, max_connections=settings.delivery_max_in_flight_total)),
            clock=clock,
            egress=egress,
            version=relay.__version__,
        )
        secrets = SystemSecrets(settings.secret_dirs)
        self.accounts = AccountBook(store, clock, sandbox_for_live=development, secrets=secrets)
        provider = LiveCredentials(straight, self.accounts, clock, CredentialsTold(clock))
        self._membership = _membership(settings, store, outside, shared, entropy)
        members: Members = self._membership or Alone(entropy)
        lanes.members = members
        self._hints = make_hints(settings, clock, entropy.new_id("hints_"))
        hints: Hints = self._hints or Silent()
        gates = Gates(clock, members, entropy)
        routing = Routing(store, self.accounts, gates, clock)
        wait = Wait(store, clock)
        poll = Poll(store, clock)
        balances = Balances(store, provider, routing, members, clock)
        deliver = Deliver(store, poster, members, clock, entropy, timeout_s=settings.delivery_timeout_s)
        self.deliver = DeliverWorker(
            store,
            deliver,
            lanes,
            clock,
            self.metrics,
            max_in_flight_total=settings.delivery_max_in_flight_total,
        )
        aftermath = Aftermath(self.deliver, poll, wait, hints, self.metrics)
        self.deliver.set_going = aftermath
        opt_out_words = OptOutWords(settings.opt_out_keywords)
        apply = Apply(store, provider, aftermath, opt_out_words)
        self.submit = SubmitWorker(
            store,
            Submit(store, provider, self.accounts, gates, routing, members, clock, entropy),
            self.accounts,
            gates,
            BreakerWatch(gates, balances, clock, self.metrics),
            Leaving(store, Reroute(store, routing, clock), self.accounts, clock, self.metrics),
            members,
            clock,
            self.metrics,
            lease_s=settings.lease_s,
            set_going=aftermath,
            settled=aftermath.settled,
            hints=hints,
        )
        if self._hints is not None:
            self._hints.heard = Hearing(self.submit, self.deliver, poll, wait)
        self.pull = PullWorker(
            Pull(store, provider, apply, self.spool, members, clock, entropy),
            self.accounts,
            members,
            clock,
            self.metrics,
        )
        self.upkeep = Upkeep(
            store,
            self.accounts,
            balances,
            apply,
            self.spool,
            members,
            clock,
            self.metrics,
            set_going=aftermath,
            settled=aftermath.settled,
            sweep_interval_s=settings.sweep_interval_s,
            told_after_s=settings.unconfirmed_event_after_s,
            no_report_after_s=settings.no_report_after_s,
            balance_interval_s=settings.balance_interval_s,
            idempotency_keep_s=settings.idempotency_keep_s,
        )
        self.retention = Retention(
            store,
            clock,
            self.metrics,
            Keeping(
                content_days=settings.retention_content_days,
                messages_days=settings.retention_messages_days,
                events_days=settings.retention_events_days,
                deliveries_days=settings.retention_deliveries_days,
                raw_days=settings.retention_raw_days,
            ),
            interval_s=settings.retention_interval_s,
            leads=members.leads,
        )
        authenticate = Authenticate(store, clock)
        self.key_uses = KeyUses(authenticate, clock)
        key_ring_admin = KeyRingAdmin(store, clock, entropy)
        self.key_ring = KeyRingWorker(
            store, key_ring_admin, members, clock, entropy, self.metrics, name=_process_name()
        )
        self.services = ApiServices(
            authenticate=authenticate,
            rates=TeamRates(clock, members),
            accept=Accept(
                store,
                routing,
                gates,
                members,
                self.submit,
                clock,
                entropy,
                lease_s=settings.lease_s,
                ttl_s=settings.message_ttl_s,
                quota_zone=ZoneInfo(settings.quota_timezone),
            ),
            wait=wait,
            receive=Receive(
                apply, self.accounts, self.spool, entropy, store_timeout_s=settings.callback_store_timeout_s
            ),
            accounts_admin=AccountsAdmin(store, self.accounts, secrets, clock, entropy),
            account_credentials=CredentialsAdmin(store, self.accounts, straight, secrets, clock, entropy),
            account_tokens=CallbackTokensAdmin(store, self.accounts, clock, entropy),
            account_probe=Probe(store, self.accounts, straight, aftermath, clock, entropy),
            teams_admin=TeamsAdmin(
                store,
                self.accounts,
                clock,
                entropy,
                quota_zone=ZoneInfo(settings.quota_timezone),
                gone=self.deliver.changed,
            ),
            extensions_admin=ExtensionsAdmin(store, self.accounts, clock, entropy),
            keys_admin=KeysAdmin(store, clock, entropy, changed=authenticate.forget),
            suppressions_admin=SuppressionsAdmin(store, clock, entropy),
            orphans_admin=OrphansAdmin(store, aftermath, clock, entropy, opt_out_words),
            quarantine_admin=QuarantineAdmin(store, provider, aftermath, clock, entropy, opt_out_words),
            key_ring_admin=key_ring_admin,
            erase=Erase(store, clock, entropy),
            subscribe=Subscribe(store, egress, clock, entropy, self.deliver.changed),
            poll=poll,
            routing=routing,
            balances=balances,
            readiness=Readiness(store),
            store=store,
            in_flight=InFlight(),
            clock=clock,
        )
        self.app = create_app(
            self.services,
            metrics=self.metrics,
            settings=ApiSettings(
                public_url=settings.public_url or None,
                body_bytes=settings.max_body_bytes,
                callback_bytes=settings.max_callback_bytes,
                development=development,
                version=relay.__version__,
            ),
            mounts={"/console": create_console()},
        )
        self._beats = None if self._membership is None else MembershipWorker(self._membership, clock, self.metrics)
        self._supervisor = Supervisor(clock, self.metrics)
        self._stopped = False

    def _client(self, transport: Transport) -> httpx.AsyncClient:
        client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)
        self._clients.append(client)
        return client

    async def recover(self) -> None:
        """Before anything is started: end the leases of the process that died, or join the replicas that do so for each
        other; and know the accounts."""
        await self.spool.start()
        await self.store.check()
        # Before the others count on this process, and before it answers anybody.
        await self.key_ring.start()
        if self._beats is not None:
            await self._beats.start()
        else:
            left = await self.store.recover(self.clock.now_ms())
            if left:
                log.warning("submissions.left_by_dead_process", submissions=left)
            self.metrics.membership(1, leads=True)
        await self.accounts.refresh()

    def start(self) -> None:
        """Begin the loops."""
        if self._beats is not None:
            self._supervisor.keep("beats", self._beats.run)
        if self._hints is not None:
            self._supervisor.keep("hints", self._hints.run)
        for name, loop in (
            ("submit", self.submit.run),
            ("deliver", self.deliver.run),
            ("pull", self.pull.run),
            ("sweep", self.upkeep.sweep),
            ("balances", self.upkeep.balances),
            ("left_bodies", self.upkeep.left_bodies),
            ("spool", self.upkeep.spool),
            ("accounts", self.upkeep.accounts),
            ("gauges", self.upkeep.gauges),
            ("key_ring", self.key_ring.run),
            ("reencrypt", self.key_ring.reencrypt),
            ("retention", self.retention.run),
            ("key_uses", self.key_uses.run),
        ):
            self._supervisor.keep(name, loop)

    def withdraw(self) -> None:
        """A stop begins: new work is refused, nobody waits any longer for what may come, nothing more is claimed, and
        what was not started is given back. What is under way goes on. Once is enough, twice does no harm."""
        self.services.readiness.draining = True
        self.services.poll.drain()
        self.services.wait.drain()
        for worker in (self.submit, self.deliver, self.pull):
            worker.withdraw()

    async def idle(self) -> None:
        """Until no submission, delivery or pull is under way."""
        await asyncio.gather(self.submit.idle(), self.deliver.idle(), self.pull.idle())

    async def stop(self, left_s: float | None = None) -> None:
        """Withdraw; finish what runs, within ``left_s`` (None: ``drain_s`` of the settings); then let go of everything.
        Once is enough, twice does no harm."""
        if self._stopped:
            return
        self._stopped = True
        self.withdraw()
        drain_s = self.settings.drain_s if left_s is None else left_s
        cut = await asyncio.gather(self.submit.drain(drain_s), self.deliver.drain(drain_s), self.pull.drain(drain_s))
        await self._supervisor.stop()
        if self._beats is not None:
            # After the drain: until here the others must not take what runs, or our share of a limit.
            await self._beats.stop()
        await self.key_ring.stop()
        for client in self._clients:
            await client.aclose()
        await self.spool.close()
        with contextlib.suppress(StoreError):
            await self.services.authenticate.note_uses()
        await self.store.close()
        log.info("gateway.stopped", submissions_cut=cut[0], deliveries_cut=cut[1], pulls_cut=cut[2])


def _process_name() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _membership(
    settings: Settings, store: Store, outside: Outside, clock: SharedClock, entropy: SharedEntropy
) -> Membership | None:
    """What this process is among its replicas; None when it has none."""
    if not (not is_embedded(settings) if outside.replicas is None else outside.replicas):
        return None

    def tell_ahead(milliseconds: int) -> None:
        clock.set_ahead(milliseconds)
        entropy.set_ahead(milliseconds)

    return Membership(
        store,
        outside.clock,
        outside.entropy,
        name=_process_name(),
        ttl_s=settings.replica_ttl_s,
        arrival_s=settings.lease_s,
        tell_ahead=tell_ahead,
    )


@contextlib.asynccontextmanager
async def open_gateway(settings: Settings, outside: Outside | None = None) -> AsyncIterator[Gateway]:
    """A gateway on its own database, recovered and not yet started; stopped at the end. Raises StoreInUse,
    StoreUnavailable, KeyRingError, ConfigError."""
    outside = outside or system()
    with prepared(settings):
        entropy = SharedEntropy(outside.entropy)
        lanes = Lanes(entropy, lane_max=settings.delivery_lane_max, lease_s=settings.lease_s)
        gateway = Gateway(settings, make_store(settings, entropy, lanes), lanes, entropy, outside)
        try:
            await gateway.recover()
            yield gateway
        finally:
            await gateway.stop()
