"""A sandbox on a socket, a client of it, and a customer's server that takes its callbacks: all real."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped, unused-ignore]  # has no types of its own
import pytest

from relay.provider.sandbox import Sandbox, SandboxServer, SandboxSettings

DEADLINE_S = 5.0


@pytest.fixture
def pwd() -> str:
    """What the default account authenticates with."""
    return md5(b"sandbox-password").hexdigest()  # noqa: S324 - the provider's documented scheme


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    """An open sandbox whose reports come due at once."""
    async with SandboxServer(Sandbox(SandboxSettings(report_delay_ms=0))) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client that waits for no answer longer than the deadline."""
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as opened:
        yield opened


@pytest.fixture
def call(server: SandboxServer, client: httpx.AsyncClient, pwd: str) -> Callable[..., Awaitable[httpx.Response]]:
    """`call("send", mobiles=…)`: one call with the default account's credentials."""

    def post(name: str, **fields: str) -> Awaitable[httpx.Response]:
        form = {"account": "sandbox", "pwd": pwd, **fields}
        return client.post(f"{server.url}/api/v1/{name}", data=form)

    return post


@pytest.fixture
def control(server: SandboxServer, client: httpx.AsyncClient) -> Callable[..., Awaitable[httpx.Response]]:
    """`control("PUT", "accounts/name", {…})`: one request to the control plane."""

    def request(method: str, path: str, body: object = None) -> Awaitable[httpx.Response]:
        content = b"" if body is None else json.dumps(body).encode()
        return client.request(method, f"{server.url}/control/{path}", content=content)

    return request


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """`await until(lambda: …)`: returns once it is true; fails at the deadline."""

    async def poll(true: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not true():  # noqa: ASYNC110 - what is polled is another program's state
                await asyncio.sleep(0.002)

    return poll


@pytest.fixture
def received() -> "asyncio.Queue[httpx.Request]":
    """The callbacks that the customer's server got, in order."""
    return asyncio.Queue()


@pytest.fixture
async def customer(received: "asyncio.Queue[httpx.Request]") -> AsyncIterator[str]:
    """The URL of a customer's server: answers 200, under /500 it answers 500, under /rude it hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int({name.lower(): value for name, value in headers.items()}.get("content-length", "0"))
        body = await reader.readexactly(length)
        received.put_nowait(httpx.Request(method, f"http://customer{target}", headers=headers, content=body))
        if not target.startswith("/rude"):
            status = "500 Broken" if target.startswith("/500") else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"


@pytest.fixture
def next_callback(received: "asyncio.Queue[httpx.Request]") -> Callable[[], Awaitable[httpx.Request]]:
    """The next callback that the customer got; fails at the deadline."""

    async def take() -> httpx.Request:
        async with asyncio.timeout(DEADLINE_S):
            return await received.get()

    return take


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The hand-written description of the provider's API."""
    path = Path(__file__).parents[3] / "openapi" / "provider.json"
    parsed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return parsed


@pytest.fixture
def conforms(document: dict[str, Any]) -> Callable[[str, object], None]:
    """`conforms("SendAnswer", value)`: fails unless the value is what the description says."""

    def check(schema: str, value: object) -> None:
        rooted = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
        jsonschema.Draft202012Validator(rooted).validate(value)

    return check
