"""The one composition root: everything is made and joined here, and nowhere else.

``Gateway`` is the whole product in one process. Tests, the CLI and ``serve`` all enter by this door; what differs
between them (clock, provider, poster) is passed in.
"""

import asyncio
import contextlib
import gc
import hashlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from zoneinfo import ZoneInfo

import httpx
import structlog
import uvicorn

import relay
from relay import provider as providers
from relay.api.app import create_app
from relay.api.services import ApiServices, ApiSettings
from relay.config import Settings
from relay.console import create_console
from relay.domain.accounts import SANDBOX_URL, Account
from relay.domain.errors import ConfigError, StoreInUse
from relay.domain.ids import AccountId
from relay.ports import Clock, Entropy, Poster, Provider, Store
from relay.provider.sandbox import AccountSettings, Sandbox, SandboxServer, SandboxSettings
from relay.services.accept import Accept
from relay.services.accounts import AccountBook
from relay.services.administer import Administer
from relay.services.authenticate import Authenticate
from relay.services.balance import Balances
from relay.services.deliver import Deliver, Lanes
from relay.services.idempotency import InFlight
from relay.services.limits import TeamRates
from relay.services.poll import Poll
from relay.services.pull import Pull
from relay.services.readiness import Readiness
from relay.services.receive import Apply, Receive
from relay.services.slots import Gates
from relay.services.submit import Submit
from relay.services.subscribe import Subscribe
from relay.services.wait import Wait
from relay.store.migrate import migrate_sqlite
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.spool import Spool
from relay.store.sqlite import FileLock, SqliteDriver
from relay.store.store import ScriptStore
from relay.system import SystemClock, SystemEntropy
from relay.telemetry.metrics import Metrics
from relay.transport import Transport
from relay.webhooks import EgressPolicy, WebhookPoster
from relay.workers.aftermath import Aftermath
from relay.workers.deliver import DeliverWorker
from relay.workers.pull import PullWorker
from relay.workers.submit import SubmitWorker
from relay.workers.supervisor import Supervisor
from relay.workers.upkeep import Upkeep

PROVIDER: Final = "form_v1"
SANDBOX_ACCOUNT: Final = "sandbox"
GC_THRESHOLD: Final = (50_000, 20, 50)
"""After start-up little of what is made forms cycles; the default of 700 scans young objects for nothing."""

log = structlog.get_logger("relay")


@dataclass(frozen=True, kw_only=True)
class Running:
    """A gateway that takes requests. ``url`` and ``sandbox_url`` are reachable from this machine."""

    url: str
    services: ApiServices
    sandbox_url: str | None


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What is outside the process, for tests to replace."""

    clock: Clock
    entropy: Entropy
    provider: Provider | None = None
    poster: Poster | None = None


def system() -> Outside:
    """The real outside."""
    return Outside(clock=SystemClock(), entropy=SystemEntropy())


class Gateway:
    """All parts, joined. ``start`` begins the work that goes on by itself, ``stop`` ends it in order."""

    def __init__(self, settings: Settings, store: ScriptStore, lanes: Lanes, outside: Outside) -> None:
        clock, entropy = outside.clock, outside.entropy
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
        provider = outside.provider or providers.find(PROVIDER)(
            self._client(Transport(max_connections=settings.submit_max_in_flight_total))
        )
        poster = outside.poster or WebhookPoster(
            self._client(Transport(permit=egress.permits, max_connections=settings.delivery_max_in_flight_total)),
            clock=clock,
            egress=egress,
            version=relay.__version__,
        )
        self.accounts = AccountBook(store, clock, sandbox_for_live=development)
        gates = Gates(clock)
        wait = Wait(store, clock)
        poll = Poll(store, clock)
        balances = Balances(store, provider, self.accounts, clock)
        deliver = Deliver(store, poster, clock, entropy, timeout_s=settings.delivery_timeout_s)
        self.deliver = DeliverWorker(
            store,
            deliver,
            lanes,
            clock,
            entropy,
            self.metrics,
            max_in_flight_total=settings.delivery_max_in_flight_total,
        )
        aftermath = Aftermath(self.deliver, poll, wait, self.metrics)
        self.deliver.set_going = aftermath
        apply = Apply(store, provider, aftermath)
        self.submit = SubmitWorker(
            store,
            Submit(store, provider, self.accounts, clock, entropy),
            self.accounts,
            gates,
            clock,
            entropy,
            self.metrics,
            lease_s=settings.lease_s,
            set_going=aftermath,
            settled=aftermath.settled,
        )
        self.pull = PullWorker(
            Pull(store, provider, apply, self.spool, clock, entropy), self.accounts, clock, self.metrics
        )
        self.upkeep = Upkeep(
            store,
            self.accounts,
            balances,
            apply,
            self.spool,
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
        self.services = ApiServices(
            authenticate=Authenticate(store, clock),
            rates=TeamRates(clock),
            accept=Accept(
                store,
                self.accounts,
                gates,
                self.submit,
                clock,
                entropy,
                lease_s=settings.lease_s,
                ttl_s=settings.message_ttl_s,
                quota_zone=ZoneInfo(settings.quota_timezone),
            ),
            wait=wait,
            receive=Receive(apply, self.accounts, self.spool, entropy),
            administer=Administer(store, self.accounts, clock, entropy),
            subscribe=Subscribe(store, egress, clock, entropy, self.deliver.changed),
            poll=poll,
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
        self._supervisor = Supervisor(clock, self.metrics)

    def _client(self, transport: Transport) -> httpx.AsyncClient:
        client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)
        self._clients.append(client)
        return client

    async def recover(self) -> None:
        """Before anything is started: end the leases of the process that died, and know the accounts."""
        await self.spool.start()
        left = await self.store.recover(self.clock.now_ms())
        if left:
            log.warning("submissions.left_by_dead_process", submissions=left)
        await self.accounts.refresh()

    def start(self) -> None:
        """Begin the loops."""
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
        ):
            self._supervisor.keep(name, loop)

    async def stop(self, drain_s: float) -> None:
        """Finish what runs, within ``drain_s``; then let go of everything."""
        cut = await asyncio.gather(self.submit.drain(drain_s), self.deliver.drain(drain_s))
        await self._supervisor.stop()
        for client in self._clients:
            await client.aclose()
        await self.spool.close()
        await self.store.close()
        log.info("gateway.stopped", submissions_cut=cut[0], deliveries_cut=cut[1])


# -- the store -------------------------------------------------------------------------------------------------------


def sqlite_path(settings: Settings) -> Path:
    """The file of an embedded database. Raises ConfigError for another engine."""
    prefix = "sqlite:///"
    if not settings.database_url.startswith(prefix):
        raise ConfigError("RELAY_DATABASE_URL: this release stores in SQLite only: sqlite:///path/relay.db")
    return Path(settings.database_url.removeprefix(prefix))


def migrate(settings: Settings) -> str:
    """Bring the database to this release's schema; the revision. Raises StoreInUse while a gateway serves from it."""
    path = sqlite_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        return migrate_sqlite(path)
    finally:
        lock.release()


def load_key_ring(settings: Settings) -> KeyRing:
    """The key ring of this installation; made in development. Raises KeyRingError."""
    return KeyRing.load(
        value=settings.keyring or None,
        file=None,
        data_dir=Path(settings.data_dir),
        create=settings.env == "development",
    )


def _make_store(settings: Settings, entropy: Entropy, lanes: Lanes | None) -> ScriptStore:
    ring = load_key_ring(settings)
    db = Db(Queries.load("sqlite"), entropy, lanes)
    return ScriptStore(SqliteDriver(sqlite_path(settings), db, reader_threads=settings.reader_threads), ring)


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The store for one short command, beside a running gateway too: SQLite lets several processes write in turn, and
    such a command keeps nothing in memory that another would have to know."""
    path = sqlite_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path)
    except StoreInUse:
        lock = None
    try:
        if lock is not None:
            migrate_sqlite(path)
        store = _make_store(settings, SystemEntropy(), None)
        try:
            await store.check()
            yield store
        finally:
            await store.close()
    finally:
        if lock is not None:
            lock.release()


@contextlib.asynccontextmanager
async def open_gateway(settings: Settings, outside: Outside | None = None) -> AsyncIterator[Gateway]:
    """A gateway on its own database, recovered and not yet started. Raises StoreInUse, KeyRingError, ConfigError."""
    outside = outside or system()
    path = sqlite_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        migrate_sqlite(path)
        lanes = Lanes(outside.entropy, lane_max=settings.delivery_lane_max, lease_s=settings.lease_s)
        gateway = Gateway(settings, _make_store(settings, outside.entropy, lanes), lanes, outside)
        await gateway.recover()
        yield gateway
    finally:
        lock.release()


# -- serving ---------------------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to us: a drain comes before its end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, *, announce: Callable[[Running], Awaitable[None]] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. ``announce`` is called once requests are taken."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_gateway(settings) as gateway:
        server = _Server(
            uvicorn.Config(
                gateway.app,
                host=settings.host,
                port=settings.port,
                http="httptools",
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                server_header=False,
                # The peer's own address is what callback allow-lists begin with; see relay/domain/peers.py.
                proxy_headers=False,
                log_config=None,
                backlog=2048,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, int(settings.drain_s)),
            )
        )
        async with _EmbeddedSandbox(gateway) as sandbox:
            serving = asyncio.create_task(server.serve())
            try:
                url = await _url_once_started(server, serving, settings)
                await sandbox.connect(url)
                gateway.start()
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLD)
                log.info("gateway.started", url=url, sandbox_url=sandbox.url, version=relay.__version__)
                if announce is not None:
                    await announce(Running(url=url, services=gateway.services, sandbox_url=sandbox.url))
                stop = asyncio.create_task(stopping.wait())
                await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
                stop.cancel()
            finally:
                gateway.services.readiness.draining = True
                server.should_exit = True
                await asyncio.gather(serving, return_exceptions=True)
                await gateway.stop(settings.drain_s)
    return 0


async def _url_once_started(server: uvicorn.Server, serving: "asyncio.Task[None]", settings: Settings) -> str:
    while not server.started:
        if serving.done():
            # uvicorn has told why on the log, and left by SystemExit.
            serving.exception()
            raise ConfigError(f"RELAY_HOST/RELAY_PORT: {settings.host}:{settings.port} cannot be listened on")
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _EmbeddedSandbox:
    """The sandbox provider inside this process, on a loopback port of its own: where test keys lead."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._wanted = gateway.settings.sandbox == "embedded"
        self._server: SandboxServer | None = None

    @property
    def url(self) -> str | None:
        """Where it is reached."""
        return None if self._server is None else self._server.url

    async def __aenter__(self) -> Self:
        if self._wanted:
            await self._ensure_account()
            delay_ms = self._gateway.settings.sandbox_report_delay_ms
            self._server = SandboxServer(Sandbox(SandboxSettings(report_delay_ms=delay_ms)))
            await self._server.__aenter__()
            self._gateway.accounts.sandbox_url = self._server.url
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            await self._server.__aexit__(*exc_info)

    async def connect(self, gateway_url: str) -> None:
        """Tell the sandbox where its callbacks go."""
        if self._server is None:
            return
        account = self._account()
        if account is None:
            return
        # For this process only: the sandbox calls nobody else, so the token is in no database.
        token = SystemEntropy().token(24).hex()
        self._gateway.accounts.add_local_token(token, account.id)
        self._server.sandbox.put_account(
            SANDBOX_ACCOUNT,
            AccountSettings(
                report_url=f"{gateway_url}/callbacks/{token}/report", mo_url=f"{gateway_url}/callbacks/{token}/mo"
            ),
        )

    def _account(self) -> Account | None:
        return next((account for account in self._gateway.accounts.all() if account.sandbox), None)

    async def _ensure_account(self) -> None:
        if self._account() is not None:
            return
        entropy = SystemEntropy()
        account = sandbox_account(AccountId(entropy.new_id("acct_")), self._gateway.clock.now_ms())
        # Nobody knows this token: the account's callbacks come by the one of ``connect``.
        await self._gateway.store.create_account(account, callback_token=entropy.token(24).hex(), idempotency=None)
        await self._gateway.accounts.refresh()


def sandbox_account(account_id: AccountId, now_ms: int) -> Account:
    """The account of the embedded sandbox: its limits are the machine's, and it pushes, so nothing is pulled."""
    return Account(
        id=account_id,
        name=SANDBOX_ACCOUNT,
        base_url=SANDBOX_URL,
        account=SANDBOX_ACCOUNT,
        password_md5=hashlib.md5(AccountSettings().password.encode(), usedforsecurity=False).hexdigest(),
        pwd_case="lower",
        max_mobiles=3000,
        requests_per_s=1000.0,
        connections=64,
        timeout_s=30.0,
        pull_reports=False,
        pull_inbound=False,
        pull_interval_s=30.0,
        callback_allow=(),
        callback_proxies=0,
        weight=1,
        task_id_dedup=False,
        codes={},
        sandbox=True,
        disabled=False,
        created_ms=now_ms,
    )
