"""What is around the gateway processes: a provider, a team and its key, a webhook receiver; numbers to send to."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx

from relay import app
from relay.cli.keys import issue
from relay.config import load
from relay.provider.sandbox import Sandbox, SandboxServer, SandboxSettings
from relay.services.admin.keys import KeysAdmin
from relay.services.requests import KeyRequest
from relay.system import SystemClock, SystemEntropy
from tests.faults.forwarder import Forwarder
from tests.faults.gateway_process import GatewayProcess
from tests.faults.nursery import Nursery
from tests.faults.polling import until
from tests.faults.receiver import Receiver

EXTENSION: Final = "88"
Json = dict[str, Any]

DELIVERED, UNDELIVERED, EXPIRED, SILENT, BLACKLISTED, EARLY, TWICE = 1, 2, 3, 4, 6, 7, 8
"""The last four digits that decide a number's fate; see relay/provider/sandbox."""
ANSWER_S: Final = 40.0
DEFAULT_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20)
LATE: Final = 600_000
"""A report delay that no test waits for: the reports are pushed by the test itself."""


class Numbers:
    """Numbers of which no two are equal, so that one that is sent to twice stands out."""

    def __init__(self) -> None:
        self._plain = count(1)
        self._fated = count(1)

    def plain(self) -> str:
        """One that is delivered like any other."""
        number = next(self._plain)
        # Last four digits 1000..9999: none of them means anything to the sandbox.
        return f"138{number // 9000:04}{1000 + number % 9000}"

    def fated(self, ending: int) -> str:
        """One with a fate of its own."""
        number = next(self._fated)
        assert number < 10_000
        return f"139{number:04}{ending:04}"


@dataclass(kw_only=True)
class World:
    """The gateways and their neighbours. ``api`` carries the team's key to whichever gateway the load balancer picks,
    as the provider's callbacks go; ``apis`` to each of them. ``control`` leads to the provider's levers."""

    gateways: list[GatewayProcess]
    provider: SandboxServer
    receiver: Receiver
    balancer: Forwarder
    api: httpx.AsyncClient
    apis: list[httpx.AsyncClient]
    control: httpx.AsyncClient
    numbers: Numbers = field(default_factory=Numbers)

    @property
    def gateway(self) -> GatewayProcess:
        """The only one."""
        (gateway,) = self.gateways
        return gateway

    @property
    def sandbox(self) -> Sandbox:
        """The provider's state."""
        return self.provider.sandbox

    async def send(self, to: str | list[str], *, text: str = "hello", **fields: object) -> Json:
        """Send a message; as it was answered."""
        answer = await self.api.post("/v1/messages", json={"to": to, "text": text, **fields})
        assert answer.status_code in (200, 202), answer.text
        made: Json = answer.json()
        return made

    async def recipients(self, message_id: str) -> list[Json]:
        """What became of each number of a message."""
        return [found async for found in self.pages(f"/v1/messages/{message_id}/recipients")]

    async def status(self, message_id: str) -> str:
        """The one word for a message."""
        answer = await self.api.get(f"/v1/messages/{message_id}")
        assert answer.status_code == 200, answer.text
        status: str = answer.json()["status"]
        return status

    async def has_status(self, message_id: str, status: str, within_s: float = 10.0) -> None:
        """Wait until the message has come to ``status``."""

        async def holds() -> bool:
            return await self.status(message_id) == status

        await until(holds, within_s, f"message {message_id} becomes {status}", self.told)

    async def has_reached_the_provider(self, number: str, within_s: float = 10.0) -> None:
        """Wait until the provider has booked a send to ``number``."""
        await until(lambda: self.sandbox.ledger.sends_to(number) != [], within_s, "the provider has the send")

    async def events(self) -> list[Json]:
        """All events so far, in order."""
        return [event async for event in self.pages("/v1/events")]

    async def pages(self, path: str) -> AsyncIterator[Json]:
        """Every entry of a list."""
        cursor: str | None = None
        while True:
            query = {"limit": "200"} | ({} if cursor is None else {"cursor": cursor})
            answer = await self.api.get(path, params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            for entry in page["data"]:
                yield entry
            cursor = page["next_cursor"]
            if not page["has_more"]:
                return

    @property
    def report_url(self) -> str:
        """Where the provider pushes reports."""
        url = self.sandbox.accounts["sandbox"].settings.report_url
        assert url is not None, "this account is pulled"
        return url

    async def report(self, task_id: str, mobile: str, status: str = "DELIVRD") -> int | None:
        """The provider pushes one report now; how it was answered, None when it was not."""
        return await self._order("/control/reports", sendId=task_id, mobile=mobile, status=status)

    async def inbound(self, mobile: str, content: str) -> int | None:
        """A mobile writes to the team; how the callback was answered, None when it was not."""
        return await self._order("/control/inbound", mobile=mobile, content=content, extNo=EXTENSION)

    def told(self) -> str:
        """The last callbacks and log lines, for whoever looks into a failure."""
        callbacks = "\n".join(str(record) for record in list(self.sandbox.ledger.callbacks)[-10:])
        return "\n".join([callbacks, *(gateway.tail() for gateway in self.gateways)])

    async def _order(self, path: str, **order: str) -> int | None:
        answer = await self.control.post(path, json=order)
        assert answer.status_code == 201, answer.text
        pushed: list[list[int | None]] = answer.json()["pushed"]
        return pushed[0][0]


@asynccontextmanager
async def open_world(
    nursery: Nursery,
    directory: Path,
    *,
    replicas: Sequence[Mapping[str, str]] = ({},),
    started: int | None = None,
    account: Json | None = None,
    endpoint: Json | None = None,
    settings: Mapping[str, str] | None = None,
    report_delay_ms: int = 30,
    callback_keep_alive_s: float = 5.0,
    answer_s: float = ANSWER_S,
) -> AsyncIterator[World]:
    """A world in which everything runs and nothing was sent. ``replicas``: for each gateway, of which ``started`` run
    (None: all), the settings that are its own; ``settings``: of all. ``account``, ``endpoint``: fields of the provider
    account and of the webhook endpoint. ``answer_s``: how long the team waits for an answer. All processes end with
    it."""
    ring = f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(Receiver())
        sandbox = Sandbox(SandboxSettings(report_delay_ms=report_delay_ms, callback_keep_alive_s=callback_keep_alive_s))
        provider = await stack.enter_async_context(SandboxServer(sandbox))
        gateways = [
            GatewayProcess(nursery, directory / str(number), **{"keyring": ring, **(settings or {}), **own})
            for number, own in enumerate(replicas, start=1)
        ]
        stack.push_async_callback(_see_them_gone, gateways, receiver, provider)
        balancer = await stack.enter_async_context(Forwarder(*(gateway.port for gateway in gateways)))
        admin_key = await _admin_key(gateways[0])
        for gateway in gateways[:started]:
            await gateway.start()
        for gateway in gateways[:started]:
            await gateway.ready()
        async with _client(gateways[0].url, admin_key) as admin:
            team_key = await _team(admin, provider, balancer.url, account or {})

        # Each request on a connection of its own: a load balancer takes those to a living gateway.
        alone = httpx.Limits(max_keepalive_connections=0)
        api = await stack.enter_async_context(_client(balancer.url, team_key, answer_s, alone))
        wanted = {"url": receiver.url, "max_in_flight": 8, **(endpoint or {})}
        receiver.secret = (await _create(api, "/v1/webhook-endpoints", **wanted))["secret"]
        yield World(
            gateways=gateways,
            provider=provider,
            receiver=receiver,
            balancer=balancer,
            api=api,
            apis=[await stack.enter_async_context(_client(gateway.url, team_key, answer_s)) for gateway in gateways],
            control=await stack.enter_async_context(_client(provider.url, "")),
        )


async def _see_them_gone(gateways: list[GatewayProcess], receiver: Receiver, provider: SandboxServer) -> None:
    """The gateways end before their neighbours, as they would go on calling them; and their last connections are closed
    on this side too, those also that nobody had accepted yet."""
    for gateway in gateways:
        gateway.close()
    receiver.held.set()
    for url in (httpx.URL(receiver.url), httpx.URL(provider.url)):
        # Connections are accepted in order: once this one has come and gone, all before it have come.
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
    await until(lambda: receiver.connections == provider.connections == 0, 10, "all connections are closed")


def _client(url: str, key: str, answer_s: float = ANSWER_S, limits: httpx.Limits = DEFAULT_LIMITS) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=answer_s, limits=limits)


async def _admin_key(gateway: GatewayProcess) -> str:
    """What `relay migrate` and `relay keys create --scope admin` do, without another process."""
    settings = load(gateway.environ)
    await asyncio.to_thread(app.migrate, settings)
    clock = SystemClock()
    async with app.open_store(settings) as store:
        _, secret = await issue(
            KeysAdmin(store, clock, SystemEntropy()), KeyRequest(team_id=None, scopes=["admin"], name="tests")
        )
    return secret


async def _team(admin: httpx.AsyncClient, provider: SandboxServer, gateway_url: str, fields: Json) -> str:
    """A provider account whose callbacks come to the gateway, a team, and its key."""
    account = await _create(
        admin,
        "/v1/admin/accounts",
        **{
            "name": "provider",
            "base_url": provider.url,
            "account": "sandbox",
            "password": "sandbox-password",
            "requests_per_s": 1000,
            "connections": 8,
            "pull_reports": False,
            "pull_inbound": False,
            **fields,
        },
    )
    if not fields.get("pull_reports"):
        paths = {kind: httpx.URL(url).path for kind, url in account["callback_urls"].items()}
        provider.sandbox.change_account(
            "sandbox", {"report_url": gateway_url + paths["report"], "mo_url": gateway_url + paths["mo"]}
        )
    team = await _create(admin, "/v1/admin/teams", name="team", accounts=[account["id"]], extensions=[EXTENSION])
    scopes = ["messages:send", "messages:read", "events:read", "webhooks:manage"]
    key = await _create(admin, "/v1/admin/keys", team_id=team["id"], scopes=scopes)
    secret: str = key["secret"]
    return secret


async def _create(admin: httpx.AsyncClient, path: str, **body: object) -> Json:
    answer = await admin.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made
