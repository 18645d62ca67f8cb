"""The API over real services and a real SQLite file; only provider, submit worker and clock are stand-ins."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest

from relay.api.app import create_app
from relay.api.services import ApiServices, ApiSettings
from relay.domain.accounts import SANDBOX_URL, Account, Credentials
from relay.domain.audit import COMMAND
from relay.domain.errors import SecretUnreadable, SpoolUnavailable
from relay.domain.ids import AccountId, EndpointId, KeyId, TeamId
from relay.domain.keys import KeyView, write_key
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, Balance, BalanceUnknown, RawBody, Reading, SendOutcome
from relay.domain.teams import TEAM_SCOPES, Mode, Scope, hash_secret
from relay.domain.times import instant, instant_or_none
from relay.ports import Idempotency, NewKey, PendingRaw, Provider, StoredEffects
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
from relay.services.erase import Erase
from relay.services.idempotency import InFlight
from relay.services.limits import TeamRates
from relay.services.membership import Alone
from relay.services.poll import Poll
from relay.services.readiness import Readiness
from relay.services.receive import Receive
from relay.services.requests import AccountRequest, TeamRequest
from relay.services.routing import Routing
from relay.services.slots import Gates
from relay.services.subscribe import Subscribe
from relay.services.wait import Wait
from relay.store.migrate import migrate_sqlite
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.sqlite import SqliteDriver
from relay.store.store import ScriptStore
from relay.system import SystemEntropy
from relay.telemetry.metrics import Metrics
from relay.webhooks.egress import EgressPolicy
from tests.store.builders import entry

CHINA = timezone(timedelta(hours=8))
NOW_MS = 1_795_000_000_000


class MovedClock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


class BreakableStore(ScriptStore):
    """The real store; while ``broken`` is set, plain reads, callbacks and erasures raise it."""

    broken: Exception | None = None

    async def messages(self, *args: Any, **kwargs: Any) -> Any:
        if self.broken is not None:
            raise self.broken
        return await super().messages(*args, **kwargs)

    async def receive_reports(self, *args: Any, **kwargs: Any) -> Any:
        if self.broken is not None:
            raise self.broken
        return await super().receive_reports(*args, **kwargs)

    async def erase_number(self, *args: Any, **kwargs: Any) -> Any:
        if self.broken is not None:
            raise self.broken
        return await super().erase_number(*args, **kwargs)

    async def keep_answer(self, idempotency: Idempotency) -> None:
        if self.broken is not None:
            raise self.broken
        await super().keep_answer(idempotency)


class GivenSecrets:
    """What stands at references, by these."""

    def __init__(self) -> None:
        self.lines = {"file:/run/secrets/sms-password": "from the file"}

    async def read(self, reference: str) -> str:
        if reference not in self.lines:
            raise SecretUnreadable("it is not there")
        return self.lines[reference]


class SilentProvider:
    """Keeps what it was given to read, and finds no rows in it. Asked for a balance or to send it gives the next of its
    answers, else that all is well, and keeps with which credentials it was asked."""

    def __init__(self) -> None:
        self.read: list[RawBody] = []
        self.balances: list[Balance | BalanceUnknown] = []
        self.outcomes: list[SendOutcome] = []
        self.asked: list[Credentials] = []
        self.sent: list[SubmissionWork] = []

    async def balance(self, account: Account, may_send: object = None) -> Balance | BalanceUnknown:
        self.asked.append(account.credentials)
        return self.balances.pop(0) if self.balances else Balance(amount="100", prepaid=True)

    async def send(self, account: Account, work: SubmissionWork, may_send: object = None) -> SendOutcome:
        self.sent.append(work)
        return self.outcomes.pop(0) if self.outcomes else Accepted(task_id=None, code="00", message=None)

    def read_reports(self, raw: RawBody) -> Reading[Any]:
        self.read.append(raw)
        return Reading(rows=(), unreadable=0, ignored_fields=0)

    read_inbound = read_reports


class Submissions:
    """Keeps what was started."""

    def __init__(self) -> None:
        self.started: list[SubmissionWork] = []

    def start(self, work: SubmissionWork) -> None:
        self.started.append(work)

    def wake(self, account_id: object) -> None:
        pass


class FullSpool:
    """A spool that is as unavailable as the store."""

    waiting = False

    async def turn(self, within_s: float) -> bool:
        return True

    async def append(self, item: PendingRaw) -> None:
        raise SpoolUnavailable("the spool is full")


class Gateway:
    """An API, its clients, and what stands around it."""

    def __init__(self, path: Path) -> None:
        """``path`` is a migrated database."""
        self.clock = MovedClock()
        self.entropy = SystemEntropy()
        ring = KeyRing({"k1": bytes(32)})
        db = Db(Queries.load("sqlite"), self.entropy, None)
        self.store = BreakableStore(SqliteDriver(path, db), ring)
        self.secrets = GivenSecrets()
        self.accounts = AccountBook(self.store, self.clock, sandbox_for_live=True, secrets=self.secrets)
        self.provider = SilentProvider()
        self.submissions = Submissions()
        self.set_going: list[StoredEffects] = []
        self.metrics = Metrics()
        self.gone: list[EndpointId] = []
        store, clock, entropy = self.store, self.clock, self.entropy
        provider = cast(Provider, self.provider)
        members = Alone(entropy)
        self.gates = gates = Gates(clock, members, entropy)
        routing = Routing(store, self.accounts, gates, clock)
        egress = EgressPolicy(allow_loopback=False)
        authenticate = Authenticate(store, clock)
        self.services = ApiServices(
            authenticate=authenticate,
            rates=TeamRates(clock, members),
            accept=Accept(
                store,
                routing,
                gates,
                members,
                self.submissions,
                clock,
                entropy,
                lease_s=60.0,
                ttl_s=86_400.0,
                quota_zone=CHINA,
            ),
            wait=Wait(store, clock),
            receive=Receive(
                Apply(store, provider, lambda _: None), self.accounts, FullSpool(), entropy, store_timeout_s=5.0
            ),
            accounts_admin=AccountsAdmin(store, self.accounts, self.secrets, clock, entropy),
            account_credentials=CredentialsAdmin(store, self.accounts, provider, self.secrets, clock, entropy),
            account_tokens=CallbackTokensAdmin(store, self.accounts, clock, entropy),
            account_probe=Probe(store, self.accounts, provider, self.set_going.append, clock, entropy),
            teams_admin=TeamsAdmin(store, self.accounts, clock, entropy, quota_zone=CHINA, gone=self.gone.append),
            extensions_admin=ExtensionsAdmin(store, self.accounts, clock, entropy),
            keys_admin=KeysAdmin(store, clock, entropy, changed=authenticate.forget),
            suppressions_admin=SuppressionsAdmin(store, clock, entropy),
            orphans_admin=OrphansAdmin(store, self.set_going.append, clock, entropy),
            quarantine_admin=QuarantineAdmin(store, provider, self.set_going.append, clock, entropy),
            key_ring_admin=KeyRingAdmin(store, clock, entropy),
            erase=Erase(store, clock, entropy),
            subscribe=Subscribe(store, egress, clock, entropy, lambda _: None),
            poll=Poll(store, clock),
            routing=routing,
            balances=Balances(store, provider, routing, members, clock),
            readiness=Readiness(store),
            store=store,
            in_flight=InFlight(),
            clock=clock,
        )
        self.app = create_app(self.services, metrics=self.metrics, settings=ApiSettings())
        self.account_id = AccountId("")
        self.team_id = TeamId("")
        self.token = ""
        self.client = self.with_key("")
        self.admin = self.with_key("")

    async def start(self) -> None:
        """A sandbox account, a team without limits, and a client for each side."""

        def render(view: object, token: str) -> bytes:
            self.token = token
            return b'{"id":""}'

        await self.services.accounts_admin.create_account(
            AccountRequest(name="sandbox", base_url=SANDBOX_URL, account="sandbox", password="sandbox"),
            COMMAND,
            None,
            render,
        )
        self.account_id = self.accounts.all()[0].id
        self.team_id = await self.team("orders")
        self.client = self.with_key(await self.key(self.team_id, TEAM_SCOPES))
        self.admin = self.with_key(await self.key(None, ("admin",)))

    async def team(self, name: str, requests_per_s: float | None = None) -> TeamId:
        """Add a team."""
        made = await self.services.teams_admin.create_team(
            TeamRequest(name=name, requests_per_s=requests_per_s), COMMAND, None, msgspec.json.encode
        )
        assert isinstance(made, bytes)
        return TeamId(msgspec.json.decode(made)["id"])

    async def key(
        self, team_id: TeamId | None, scopes: tuple[Scope, ...], mode: Mode = "live", expires_ms: int | None = None
    ) -> str:
        """Add a key; its secret."""
        secret = write_key("admin" if team_id is None else mode, self.entropy.token(32))
        view = KeyView(
            id=KeyId(self.entropy.new_id("key_")),
            team_id=team_id,
            name=None,
            hint=secret[:12],
            scopes=list(scopes),
            mode=mode,
            created_at=instant(self.clock.now_ms()),
            expires_at=instant_or_none(expires_ms),
            last_used_at=None,
            revoked_at=None,
        )
        await self.store.create_key(NewKey(view=view, hash=hash_secret(secret)), entry=entry(), idempotency=None)
        return secret

    def with_key(self, secret: str, app: Any = None) -> httpx.AsyncClient:
        """A client that carries this key; "" for none."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=cast(Any, app or self.app)),
            base_url="http://relay.test",
            headers={"authorization": f"Bearer {secret}"} if secret else {},
        )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("api") / "relay.db"
    migrate_sqlite(path)
    return path


@pytest.fixture
async def gateway(tmp_path: Path, empty_database: Path) -> AsyncIterator[Gateway]:
    """A gateway with one team, one account, and nothing sent yet."""
    gateway = Gateway(Path(shutil.copy(empty_database, tmp_path)))
    await gateway.start()
    yield gateway
    await gateway.store.close()
