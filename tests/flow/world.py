"""The whole gateway on a socket, the provider's sandbox on another, a team with its keys, and its webhook server."""

import asyncio
import contextlib
import json
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from relay.app import Gateway
from relay.domain.accounts import CodeRule
from relay.domain.audit import COMMAND
from relay.domain.teams import TEAM_SCOPES
from relay.provider.sandbox import AccountSettings, Fault, SandboxServer, SendRecord
from relay.services.requests import KeyRequest
from tests.flow.hooks import Hook, Hooks

T = TypeVar("T")
DEADLINE_S: Final = 20.0
"""Generous: it is met in milliseconds, but not when the machine is busy with something else."""
PASSWORD: Final = "interface-password-Zq7"
THROTTLED: Final = "08"
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CODES: Final = {THROTTLED: CodeRule(code_class="throttled", retryable=True, scope="account")}


async def until_shown(
    ask: Callable[[], Awaitable[T]], accept: Callable[[T], object] = bool, *, seconds: float = DEADLINE_S
) -> T:
    """What ``ask`` gives, once it is accepted; fails at the deadline, showing what it gave last."""
    deadline_s = time.monotonic() + seconds
    while True:
        shown = await ask()
        if accept(shown):
            return shown
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {seconds} s; last seen: {shown!r}")
        await asyncio.sleep(0.005)


async def until(look: Callable[[], T], accept: Callable[[T], object] = bool, *, seconds: float = DEADLINE_S) -> T:
    """The same for what can be seen without asking."""

    async def ask() -> T:
        return look()

    return await until_shown(ask, accept, seconds=seconds)


def plain_client(**settings: Any) -> httpx.AsyncClient:
    """A client for loopback: loading the authorities of the world for TLS takes 25 ms each time."""
    transport = httpx.AsyncHTTPTransport(verify=_NO_TLS, limits=httpx.Limits(max_connections=200))
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=DEADLINE_S * 2, **settings)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How a world's provider account differs from the usual one."""

    requests_per_s: float = 1000.0
    connections: int = 64
    timeout_s: float = 30.0
    pull_reports: bool = False
    pull_inbound: bool = False
    pull_interval_s: float = 1.0
    pushes: bool = True


class World:
    """A running gateway and everything around it. See ``tests/flow/opening.py``."""

    def __init__(self, directory: Path, gateway: Gateway, url: str, provider: SandboxServer, hooks: Hooks) -> None:
        self.directory = directory
        self.gateway = gateway
        self.url = url
        self.provider = provider
        self.hooks = hooks
        self.secrets: dict[str, str] = {}
        """Everything secret that was made, by what it is."""
        self.account: dict[str, Any] = {}
        self.team: dict[str, Any] = {}
        self.admin = self.client("")
        self.api = self.client("")
        self._clients: list[httpx.AsyncClient] = []

    # -- who ---------------------------------------------------------------------------------------------------------

    def client(self, key: str) -> httpx.AsyncClient:
        """A client of the API that carries this key."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return plain_client(base_url=self.url, headers=headers)

    async def settle_in(self, limits: Limits) -> None:
        """The first platform key, the provider account, a team and its key."""
        # `relay keys create --scope admin` does this.
        key = await self.gateway.services.keys_admin.create_key(
            KeyRequest(team_id=None, scopes=["admin"]), COMMAND, None, lambda view, secret: secret.encode()
        )
        assert isinstance(key, bytes)
        self.secrets["admin key"] = key.decode()
        self.admin = self.keep(self.client(key.decode()))
        self.account = await self.add_account("provider", "sandbox", limits)
        self.team, self.api = await self.add_team("orders", extensions=["101"])

    async def add_account(self, name: str, account: str, limits: Limits) -> dict[str, Any]:
        """A provider account of ours, made by the admin API, and the other side of it at the sandbox."""
        created = await self.admin.post(
            "/v1/admin/accounts",
            json={
                "name": name,
                "base_url": self.provider.url,
                "account": account,
                "password": PASSWORD,
                "codes": msgspec.to_builtins(CODES),
                **{key: value for key, value in msgspec.to_builtins(limits).items() if key != "pushes"},
            },
        )
        assert created.status_code == 201, created.text
        made: dict[str, Any] = created.json()
        urls = made["callback_urls"]
        self.secrets["password"] = PASSWORD
        self.secrets[f"callback token of {name}"] = urlsplit(urls["report"]).path.split("/")[2]
        pushed = {"report_url": urls["report"], "mo_url": urls["mo"]} if limits.pushes else {}
        self.provider.sandbox.put_account(account, AccountSettings(password=PASSWORD, **pushed))
        return made

    async def add_team(self, name: str, **settings: object) -> tuple[dict[str, Any], httpx.AsyncClient]:
        """A team and a client with a live key of all its scopes."""
        created = await self.admin.post("/v1/admin/teams", json={"name": name, **settings})
        assert created.status_code == 201, created.text
        team: dict[str, Any] = created.json()
        return team, await self.add_key(team["id"], name)

    async def add_key(self, team_id: str, name: str, mode: str = "live") -> httpx.AsyncClient:
        """A client with a new key of this team."""
        created = await self.admin.post(
            "/v1/admin/keys", json={"team_id": team_id, "scopes": list(TEAM_SCOPES), "mode": mode}
        )
        assert created.status_code == 201, created.text
        self.secrets[f"{mode} key of {name}"] = created.json()["secret"]
        return self.keep(self.client(created.json()["secret"]))

    def keep(self, client: httpx.AsyncClient) -> httpx.AsyncClient:
        """Close it when the world ends."""
        self._clients.append(client)
        return client

    async def aclose(self) -> None:
        """Close every client."""
        for client in (*self._clients, self.admin, self.api):
            await client.aclose()

    # -- messages ----------------------------------------------------------------------------------------------------

    async def send(self, to: str | list[str], text: str = "您的验证码是 482913", **more: Any) -> dict[str, Any]:
        """A message that was accepted. ``key``, ``wait`` become headers, the rest the body."""
        headers = {}
        if "key" in more:
            headers["idempotency-key"] = more.pop("key")
        if "wait" in more:
            headers["prefer"] = f"wait={more.pop('wait')}"
        api: httpx.AsyncClient = more.pop("api", self.api)
        answer = await api.post("/v1/messages", json={"to": to, "text": text, **more}, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        message: dict[str, Any] = answer.json()
        return message

    async def message(self, message_id: str) -> dict[str, Any]:
        """The message as it is now."""
        answer = await self.api.get(f"/v1/messages/{message_id}")
        assert answer.status_code == 200, answer.text
        message: dict[str, Any] = answer.json()
        return message

    async def message_when(self, message_id: str, status: str) -> dict[str, Any]:
        """The message once it has come to this status."""
        return await until_shown(lambda: self.message(message_id), lambda message: message["status"] == status)

    async def recipients(self, message_id: str) -> list[dict[str, Any]]:
        """Every recipient of a message, over all pages."""
        return [row async for row in self.pages(f"/v1/messages/{message_id}/recipients", limit=200)]

    async def pages(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Every row of a list."""
        cursor: str | None = None
        while True:
            answer = await self.api.get(path, params={**query, **({"cursor": cursor} if cursor else {})})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            for row in page["data"]:
                yield row
            cursor = page["next_cursor"]
            if not page["has_more"]:
                return

    async def events(self, *types: str) -> list[dict[str, Any]]:
        """The team's events of these types (none: all), in commit order."""
        return [event async for event in self.pages("/v1/events", limit=200, event_types=",".join(types))]

    async def events_when(self, number: int, *types: str) -> list[dict[str, Any]]:
        """The team's events of these types once there are so many."""
        return await until_shown(lambda: self.events(*types), lambda events: len(events) >= number)

    async def add_endpoint(self, path: str, **settings: Any) -> dict[str, Any]:
        """An endpoint at this path of the webhook server, with its secret."""
        created = await self.api.post("/v1/webhook-endpoints", json={"url": self.hooks.url(path), **settings})
        assert created.status_code == 201, created.text
        endpoint: dict[str, Any] = created.json()
        self.secrets[f"secret of {path}"] = endpoint["secret"]
        return endpoint

    async def hooks_when(self, path: str, number: int) -> list[Hook]:
        """What came to this path once it is so much."""
        await until(lambda: len(self.hooks.on(path)) >= number)
        return self.hooks.on(path)

    # -- the provider's side -----------------------------------------------------------------------------------------

    @property
    def sends(self) -> list[SendRecord]:
        """Every send that the provider booked."""
        return list(self.provider.sandbox.ledger.sends)

    @property
    def counts(self) -> dict[str, int]:
        """The provider's own counts."""
        return dict(self.provider.sandbox.ledger.counts)

    def fault(self, **rule: Any) -> None:
        """The next call goes wrong like this."""
        self.provider.sandbox.faults.add(msgspec.convert(rule, Fault))

    async def report(self, task_id: str, mobile: str, status: str = "DELIVRD", **more: Any) -> list[int | None]:
        """The provider reports now; the HTTP statuses of its callbacks."""
        return await self._control("reports", sendId=task_id, mobile=mobile, status=status, **more)

    async def answer_back(self, mobile: str, content: str, ext_no: str = "", **more: Any) -> list[int | None]:
        """Somebody sends an inbound message now; the HTTP statuses of its callbacks."""
        return await self._control("inbound", mobile=mobile, content=content, extNo=ext_no, **more)

    async def _control(self, what: str, **order: Any) -> list[int | None]:
        async with plain_client() as client:
            answer = await client.post(f"{self.provider.url}/control/{what}", json=order)
        assert answer.status_code == 201, answer.text
        pushed: list[int | None] = answer.json()["pushed"][0]
        return pushed

    async def call_back(self, kind: str, content: bytes = b"", media_type: str = "", **more: Any) -> httpx.Response:
        """A callback with these very bytes."""
        headers = {"content-type": media_type} if media_type else {}
        url = self.url + urlsplit(self.account["callback_urls"][kind]).path
        async with plain_client() as client:
            return await client.request(more.pop("method", "POST"), url, content=content, headers=headers, **more)

    # -- what is stored ----------------------------------------------------------------------------------------------

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What a person with access to the database file would see."""
        with contextlib.closing(sqlite3.connect(f"file:{self.directory / 'relay.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    async def metric(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 when it is not there."""
        text = (await self.admin.get("/metrics")).text
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        values = [
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.partition("{")[0].partition(" ")[0] == name and all(label in line for label in wanted)
        ]
        return sum(values)


def as_json(value: object) -> bytes:
    """JSON as a provider writes it."""
    return json.dumps(value, ensure_ascii=False).encode()
