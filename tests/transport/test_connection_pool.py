"""The pool: the last connection first, none that is dead, none kept for ever."""

import asyncio

import httpx

from relay.transport import Transport
from tests.transport.servers import Exchange, answer, serving


async def test_the_connection_that_was_used_last_is_used_next() -> None:
    async with serving(answer) as server, httpx.AsyncClient(transport=Transport()) as client:
        url = f"http://127.0.0.1:{server.port}/"
        await asyncio.gather(*(client.get(url) for _ in range(3)))
        assert sorted(server.requests) == [1, 2, 3]
        last = server.requests[-1]
        await client.get(url)
        await client.get(url)
        assert server.connections == 3
        assert len(set(server.requests[3:])) == 1
        assert last in (1, 2, 3)


async def test_origins_do_not_share_connections() -> None:
    async with serving(answer) as one, serving(answer) as other, httpx.AsyncClient(transport=Transport()) as client:
        for server in (one, other, one, other):
            await client.get(f"http://127.0.0.1:{server.port}/")
        assert (one.connections, other.connections) == (1, 1)


async def test_an_idle_connection_is_closed_although_nobody_asks_its_origin_again() -> None:
    closed = asyncio.Event()

    async def watch(exchange: Exchange) -> None:
        if await exchange.read():
            await exchange.answer()
        else:
            closed.set()
            exchange.drop()

    async with serving(watch) as server, httpx.AsyncClient(transport=Transport(keepalive_s=0.05)) as client:
        await client.get(f"http://127.0.0.1:{server.port}/")
        async with asyncio.timeout(5):
            await closed.wait()


async def test_a_connection_that_the_server_closed_while_idle_is_not_used_again() -> None:
    async def once(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.answer()
        exchange.writer.close()
        await exchange.writer.wait_closed()

    async with serving(once) as server, httpx.AsyncClient(transport=Transport()) as client:
        for _ in range(3):
            assert (await client.get(f"http://127.0.0.1:{server.port}/")).status_code == 200
            # The server's FIN is on its way; until it is here the connection is alive as far as anybody can tell.
            async with asyncio.timeout(5):
                while not _is_seen_closed(client):  # noqa: ASYNC110 - nothing tells of a FIN that has come
                    await asyncio.sleep(0)
        assert server.requests == [1, 2, 3]


async def test_an_answer_that_is_not_read_to_its_end_costs_the_connection() -> None:
    async with serving(answer) as server, httpx.AsyncClient(transport=Transport()) as client:
        url = f"http://127.0.0.1:{server.port}/"
        async with client.stream("GET", url):
            pass
        await client.get(url)
        assert server.connections == 2


async def test_closing_the_client_closes_idle_connections() -> None:
    closed = asyncio.Event()

    async def watch(exchange: Exchange) -> None:
        if await exchange.read():
            await exchange.answer()
        else:
            closed.set()
            exchange.drop()

    async with serving(watch) as server:
        async with httpx.AsyncClient(transport=Transport()) as client:
            await client.get(f"http://127.0.0.1:{server.port}/")
        async with asyncio.timeout(5):
            await closed.wait()


def _is_seen_closed(client: httpx.AsyncClient) -> bool:
    transport = client._transport
    assert isinstance(transport, Transport)
    return all(connection.has_expired() for kept in transport._pool._idle.values() for connection in kept)
