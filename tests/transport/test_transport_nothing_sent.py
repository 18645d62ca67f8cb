"""Failures before the first byte: NothingSent, and an httpx connect or pool error at once."""

import asyncio
import socket

import httpx
import pytest

from relay.domain.errors import NothingSent
from relay.transport import IPAddress, Transport
from relay.transport.network import ConnectFailed, PinnedBackend, resolve_by_system
from tests.transport.certificates import Certificates
from tests.transport.servers import Exchange, answer, resolve_to, serving


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def fail(transport: Transport, url: str, limit: httpx.Timeout | float = 5.0) -> Exception:
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=limit) as client:
        with pytest.raises(httpx.TransportError) as caught:
            await client.post(url, content=b"mobiles=13800131234")
    return caught.value


def assert_unsent(error: Exception, why: str, kind: type[Exception]) -> None:
    assert isinstance(error, NothingSent)
    assert (error.why, isinstance(error, kind)) == (why, True)


async def test_a_refused_connect_sent_nothing() -> None:
    error = await fail(Transport(), f"http://127.0.0.1:{free_port()}/")
    assert_unsent(error, "connect", httpx.ConnectError)
    assert isinstance(error, httpx.ConnectError)
    assert error.request.url.host == "127.0.0.1"


async def test_a_name_that_does_not_resolve_sent_nothing() -> None:
    async def resolve(host: str, port: int) -> list[IPAddress]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert_unsent(await fail(Transport(resolve=resolve), "http://sms.example/"), "dns", httpx.ConnectError)


async def test_a_name_without_addresses_sent_nothing() -> None:
    assert_unsent(await fail(Transport(resolve=resolve_to()), "http://sms.example/"), "dns", httpx.ConnectError)


async def test_a_name_that_the_system_cannot_even_write_sent_nothing() -> None:
    assert_unsent(await fail(Transport(), f"http://{'x' * 70}.example/"), "dns", httpx.ConnectError)


async def test_a_resolver_that_hangs_sent_nothing() -> None:
    async def resolve(host: str, port: int) -> list[IPAddress]:
        await asyncio.Event().wait()
        return []

    error = await fail(Transport(resolve=resolve), "http://sms.example/", httpx.Timeout(5, connect=0.05))
    assert_unsent(error, "dns", httpx.ConnectTimeout)


async def test_a_connect_that_nobody_takes_times_out_and_sent_nothing() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        try:
            for _ in range(4):  # the backlog of a listener that never accepts
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                fillers.append(filler)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            error = await fail(Transport(), url, httpx.Timeout(5, connect=0.1))
        finally:
            for filler in fillers:
                filler.close()
    assert_unsent(error, "connect", httpx.ConnectTimeout)


async def test_a_denied_address_is_never_connected_to() -> None:
    async with serving(answer) as server:
        error = await fail(Transport(permit=lambda address: False), f"http://127.0.0.1:{server.port}/")
        assert_unsent(error, "refused_address", httpx.ConnectError)
        assert server.connections == 0


async def test_a_unix_socket_is_refused() -> None:
    with pytest.raises(ConnectFailed, match="refused_address"):
        await PinnedBackend(None, resolve_by_system).connect_unix_socket("/run/socket")


async def test_a_certificate_that_nobody_trusts_sent_nothing(certificates: Certificates) -> None:
    async with serving(answer, certificates.server) as server:
        transport = Transport(resolve=resolve_to("127.0.0.1"))
        error = await fail(transport, f"https://sms.example:{server.port}/")
        assert_unsent(error, "tls", httpx.ConnectError)
        assert server.requests == []


async def test_a_certificate_for_another_name_sent_nothing(certificates: Certificates) -> None:
    async with serving(answer, certificates.server) as server:
        transport = Transport(resolve=resolve_to("127.0.0.1"), verify=certificates.client)
        error = await fail(transport, f"https://other.example:{server.port}/")
        assert_unsent(error, "tls", httpx.ConnectError)
        assert server.requests == []


async def test_a_handshake_that_nobody_answers_times_out_and_sent_nothing() -> None:
    async def say_nothing(exchange: Exchange) -> None:
        await exchange.reader.read(1 << 16)

    async with serving(say_nothing) as server:
        error = await fail(Transport(), f"https://127.0.0.1:{server.port}/", httpx.Timeout(5, connect=0.1))
    assert_unsent(error, "tls", httpx.ConnectTimeout)


async def test_a_connection_dropped_in_the_handshake_sent_nothing() -> None:
    async def drop(exchange: Exchange) -> None:
        await exchange.reader.read(1)
        exchange.drop()

    async with serving(drop) as server:
        assert_unsent(await fail(Transport(), f"https://127.0.0.1:{server.port}/"), "tls", httpx.ConnectError)


async def test_a_full_pool_sent_nothing_and_recovers() -> None:
    release = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        if not await exchange.read():
            exchange.drop()
            return
        await release.wait()
        await exchange.answer()

    async with serving(wait) as server:
        url = f"http://127.0.0.1:{server.port}/"
        async with httpx.AsyncClient(transport=Transport(max_connections=1), timeout=5.0) as client:
            first = asyncio.create_task(client.post(url))
            await server.arrived(1)
            with pytest.raises(httpx.PoolTimeout) as caught:
                await client.post(url, timeout=httpx.Timeout(5, pool=0.05))
            assert_unsent(caught.value, "pool_timeout", httpx.PoolTimeout)
            assert len(server.requests) == 1
            release.set()
            assert (await first).text == "ok"
            assert (await client.post(url)).text == "ok"


async def test_cancelled_requests_give_their_places_back() -> None:
    async def hang(exchange: Exchange) -> None:
        request = await exchange.read()
        if not request:
            exchange.drop()
        elif b"/hang" in request:
            await exchange.reader.read(1)
        else:
            await exchange.answer()

    async with serving(hang) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(transport=Transport(max_connections=2), timeout=5.0) as client:
            tasks = [asyncio.create_task(client.post(f"{url}/hang")) for _ in range(8)]
            await server.arrived(2)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in ended} == {asyncio.CancelledError}
            answers = await asyncio.gather(*(client.post(url) for _ in range(4)))
            assert [answered.text for answered in answers] == ["ok"] * 4


async def test_a_request_cancelled_in_its_handshake_leaves_no_connection_behind() -> None:
    greeted, closed = asyncio.Event(), asyncio.Event()

    async def watch(exchange: Exchange) -> None:
        while await exchange.reader.read(1 << 16):
            greeted.set()
        closed.set()
        exchange.drop()

    async with serving(watch) as server, httpx.AsyncClient(transport=Transport()) as client:
        calling = asyncio.create_task(client.post(f"https://127.0.0.1:{server.port}/"))
        await greeted.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await asyncio.wait_for(closed.wait(), timeout=5)
