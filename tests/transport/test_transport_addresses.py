"""Which address is connected to, and what works."""

from ipaddress import IPv4Address
from typing import Final

import httpx

from relay.transport import IPAddress, Transport
from relay.transport.network import resolve_by_system
from tests.transport.certificates import Certificates
from tests.transport.servers import Exchange, answer, resolve_to, serving

EVERY_LOOPBACK: Final = "0.0.0.0"  # noqa: S104 - no address less has all of 127.0.0.0/8, and nobody knows the port


async def test_the_second_address_is_tried_when_the_first_refuses() -> None:
    transport = Transport(resolve=resolve_to("127.0.0.2", "127.0.0.1"))
    async with serving(answer) as server, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(f"http://sms.example:{server.port}/")).text == "127.0.0.1"


async def test_only_permitted_addresses_are_tried() -> None:
    asked: list[IPAddress] = []

    def permit(address: IPAddress) -> bool:
        asked.append(address)
        return address == IPv4Address("127.0.0.2")

    transport = Transport(resolve=resolve_to("127.0.0.1", "127.0.0.2"), permit=permit)
    async with serving(answer, host=EVERY_LOOPBACK) as server, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(f"http://sms.example:{server.port}/")).text == "127.0.0.2"
    assert asked == [IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2")]


async def test_a_name_is_resolved_once_a_connection_so_that_it_cannot_change_its_mind_after_the_check() -> None:
    answers: list[list[IPAddress]] = [[IPv4Address("127.0.0.1")], [IPv4Address("127.0.0.2")]]

    async def rebind(host: str, port: int) -> list[IPAddress]:
        return answers.pop(0)

    transport = Transport(resolve=rebind, permit=lambda address: address == IPv4Address("127.0.0.1"))
    async with serving(answer, host=EVERY_LOOPBACK) as server, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(f"http://sms.example:{server.port}/")).text == "127.0.0.1"
    assert len(answers) == 1


async def test_every_spelling_of_an_address_is_judged_as_the_address_that_it_is() -> None:
    seen: list[str] = []

    def permit(address: IPAddress) -> bool:
        seen.append(str(address))
        return False

    async with httpx.AsyncClient(transport=Transport(permit=permit)) as client:
        for host in ("127.1", "0x7f.1", "2130706433", "[::1]"):
            try:
                await client.get(f"http://{host}:1/")
            except httpx.ConnectError:
                continue
    assert seen == ["127.0.0.1", "127.0.0.1", "127.0.0.1", "::1"]


async def test_tls_names_and_verifies_the_host_of_the_url(certificates: Certificates) -> None:
    transport = Transport(resolve=resolve_to("127.0.0.1"), verify=certificates.client)
    async with serving(answer, certificates.server) as server, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(f"https://sms.example:{server.port}/")).text == "127.0.0.1"
        assert server.names == ["sms.example"]


async def test_a_kept_connection_is_used_again() -> None:
    async with serving(answer) as server, httpx.AsyncClient(transport=Transport()) as client:
        for _ in range(3):
            answered = await client.post(f"http://127.0.0.1:{server.port}/a?b=c", content=b"body")
            assert (answered.status_code, answered.http_version) == (200, "HTTP/1.1")
        assert server.requests == [1, 1, 1]


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    async def redirect(exchange: Exchange) -> None:
        if not await exchange.read():
            exchange.drop()
            return
        exchange.writer.write(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
        await exchange.writer.drain()

    async with serving(redirect) as server, httpx.AsyncClient(transport=Transport()) as client:
        assert (await client.get(f"http://127.0.0.1:{server.port}/")).status_code == 302
        assert len(server.requests) == 1


async def test_the_system_resolver_gives_each_address_once() -> None:
    assert await resolve_by_system("127.0.0.1", 80) == [IPv4Address("127.0.0.1")]
