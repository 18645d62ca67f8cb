"""What the use cases and the workers of one gateway share, and what is outside of it."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

import relay
from relay import provider as providers
from relay.app.stores import is_embedded, make_hints
from relay.config import Settings
from relay.domain.suppressions import OptOutWords
from relay.ports import Clock, Entropy, Hints, Poster, Provider, Store
from relay.services.accounts import AccountBook
from relay.services.admin.keyring import KeyRingAdmin
from relay.services.authenticate import Authenticate
from relay.services.balance import Balances
from relay.services.credentials import LiveCredentials
from relay.services.deliver import Lanes
from relay.services.membership import Alone, Members, Membership
from relay.services.poll import Poll
from relay.services.routing import Routing
from relay.services.slots import Gates
from relay.services.wait import Wait
from relay.store.spool import Spool
from relay.store.store import ScriptStore
from relay.system import SharedClock, SharedEntropy, SystemClock, SystemEntropy, SystemSecrets
from relay.telemetry.metrics import Metrics
from relay.transport import Transport
from relay.webhooks import EgressPolicy, WebhookPoster
from relay.workers.credentials import CredentialsTold
from relay.workers.hints import Silent

PROVIDER: Final = "form_v1"


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


class Parts:
    """What use cases and workers work with. Nothing of it runs by itself."""

    def __init__(
        self, settings: Settings, store: ScriptStore, lanes: Lanes, entropy: SharedEntropy, outside: Outside
    ) -> None:
        """``store`` and ``lanes`` were made with ``entropy``."""
        shared = SharedClock(outside.clock)
        clock: Clock = shared
        self.settings = settings
        self.development = settings.env == "development"
        self.store = store
        self.lanes = lanes
        self.clock = clock
        self.entropy = entropy
        self.metrics = Metrics()
        self.spool = Spool(Path(settings.data_dir) / "spool")
        self.clients: list[httpx.AsyncClient] = []
        self.egress = EgressPolicy(
            allow_loopback=self.development,
            allow_cidrs=settings.egress_allow_cidrs,
            allow_host_suffixes=settings.egress_allow_host_suffixes,
        )
        # With the credentials that it is given, and with no others: for those who try credentials.
        self.straight = outside.provider or providers.find(PROVIDER)(
            self._client(Transport(max_connections=settings.submit_max_in_flight_total))
        )
        self.poster = outside.poster or WebhookPoster(
            self._client(Transport(permit=self.egress.permits, max_connections=settings.delivery_max_in_flight_total)),
            clock=clock,
            egress=self.egress,
            version=relay.__version__,
        )
        self.secrets = SystemSecrets(settings.secret_dirs)
        self.accounts = AccountBook(store, clock, sandbox_for_live=self.development, secrets=self.secrets)
        self.provider = LiveCredentials(self.straight, self.accounts, clock, CredentialsTold(clock))
        self.membership = _membership(settings, store, outside, shared, entropy)
        self.members: Members = self.membership or Alone(entropy)
        lanes.members = self.members
        self.replica_hints = make_hints(settings, clock, entropy.new_id("hints_"))
        self.hints: Hints = self.replica_hints or Silent()
        self.gates = Gates(clock, self.members, entropy)
        self.routing = Routing(store, self.accounts, self.gates, clock)
        self.wait = Wait(store, clock)
        self.poll = Poll(store, clock)
        self.balances = Balances(store, self.provider, self.routing, self.members, clock)
        self.opt_out_words = OptOutWords(settings.opt_out_keywords)
        self.authenticate = Authenticate(store, clock)
        self.key_ring_admin = KeyRingAdmin(store, clock, entropy)

    def _client(self, transport: Transport) -> httpx.AsyncClient:
        client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)
        self.clients.append(client)
        return client


def process_name() -> str:
    """By what people find this process: its host and its number there."""
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
        name=process_name(),
        ttl_s=settings.replica_ttl_s,
        arrival_s=settings.lease_s,
        tell_ahead=tell_ahead,
    )
