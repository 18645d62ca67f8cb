"""Failures after the first byte: plain httpx exceptions, never NothingSent, and never a second request."""

import asyncio
import inspect
import os
import ssl

import httpcore
import httpx
import pytest

from relay.domain.errors import NothingSent
from relay.transport import Transport
from relay.transport.failures import HTTPX_OF, translate
from relay.transport.network import (
    CURRENT_REQUEST,
    ConnectFailed,
    ConnectTimedOut,
    PinnedBackend,
    WatchedStream,
    Written,
    resolve_by_system,
)
from relay.transport.pool import ConnectionPool
from tests.transport.certificates import Certificates
from tests.transport.servers import Exchange, Handle, Server, resolve_to, serving


async def drop_before_reading(exchange: Exchange) -> None:
    await exchange.reader.read(1)  # the kernel has the rest: closing with it unread resets the connection
    exchange.server.count(exchange.connection)
    exchange.drop()


async def drop_after_reading(exchange: Exchange) -> None:
    await exchange.read()
    exchange.drop()


async def drop_in_the_head(exchange: Exchange) -> None:
    await exchange.read()
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await exchange.writer.drain()
    exchange.drop()


async def drop_in_the_body(exchange: Exchange) -> None:
    await exchange.read()
    exchange.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{"code":')
    await exchange.writer.drain()
    exchange.drop()


async def answer_nonsense(exchange: Exchange) -> None:
    await exchange.read()
    exchange.writer.write(b"SMTP ready\r\n\r\n")
    await exchange.writer.drain()
    exchange.drop()


async def never_answer(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.reader.read(1)


@pytest.mark.parametrize(
    ("handle", "kinds"),
    [
        (drop_before_reading, (httpx.ReadError, httpx.RemoteProtocolError)),
        (drop_after_reading, (httpx.RemoteProtocolError, httpx.ReadError)),
        (drop_in_the_head, (httpx.RemoteProtocolError,)),
        (drop_in_the_body, (httpx.RemoteProtocolError,)),
        (answer_nonsense, (httpx.RemoteProtocolError,)),
        (never_answer, (httpx.ReadTimeout,)),
    ],
)
@pytest.mark.parametrize("size", [20, 5_000_000], ids=["small", "large"])
async def test_what_fails_after_the_first_byte_is_lost_and_not_repeated(
    handle: Handle, kinds: tuple[type[Exception], ...], size: int
) -> None:
    async with (
        serving(handle) as server,
        httpx.AsyncClient(transport=Transport(), timeout=httpx.Timeout(5, read=0.2)) as client,
    ):
        with pytest.raises(httpx.TransportError) as caught:
            await client.post(f"http://127.0.0.1:{server.port}/", content=b"x" * size)
        assert not isinstance(caught.value, NothingSent)
        assert isinstance(caught.value, kinds)
        assert server.requests == [1]


async def post_twice(server: Server, client: httpx.AsyncClient) -> httpx.Response | httpx.TransportError:
    url = f"http://127.0.0.1:{server.port}/"
    assert (await client.post(url)).text == "ok"
    try:
        return await client.post(url)
    except httpx.TransportError as error:
        return error


async def test_a_kept_connection_closed_after_the_second_request_was_read_is_lost_not_unsent() -> None:
    async def once(exchange: Exchange) -> None:
        await exchange.read()
        if len(exchange.server.requests) == 1:
            await exchange.answer()
        else:
            exchange.drop()

    async with serving(once) as server, httpx.AsyncClient(transport=Transport()) as client:
        error = await post_twice(server, client)
        assert isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
        assert not isinstance(error, NothingSent)
        assert server.requests == [1, 1]  # the kept connection, once; no third request anywhere


async def test_a_kept_connection_reset_at_the_first_byte_is_lost_not_unsent() -> None:
    async def once(exchange: Exchange) -> None:
        if not exchange.server.requests:
            await exchange.read()
            await exchange.answer()
        else:
            await drop_before_reading(exchange)

    async with serving(once) as server, httpx.AsyncClient(transport=Transport()) as client:
        error = await post_twice(server, client)
        assert isinstance(error, httpx.TransportError)
        assert not isinstance(error, NothingSent)
        assert server.requests == [1, 1]


async def test_a_connection_that_closes_while_it_is_reused_never_leads_to_two_requests() -> None:
    async def close_at_once(exchange: Exchange) -> None:
        if await exchange.read():
            await exchange.answer()
            exchange.writer.close()  # the FIN races with the next request

    async with serving(close_at_once) as server, httpx.AsyncClient(transport=Transport()) as client:
        url = f"http://127.0.0.1:{server.port}/"
        calls = [client.post(url, content=b"x") for _ in range(200)]
        results = [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
        answered = sum(isinstance(result, httpx.Response) for result in results)
        assert not any(isinstance(result, NothingSent) for result in results)
        assert answered <= len(server.requests) <= 200


async def test_a_connection_kept_longer_than_allowed_is_not_used_again() -> None:
    async def keep(exchange: Exchange) -> None:
        if await exchange.read():
            await exchange.answer()
        else:
            exchange.drop()

    async with serving(keep) as server, httpx.AsyncClient(transport=Transport(keepalive_s=0.0)) as client:
        answer = await post_twice(server, client)
        assert isinstance(answer, httpx.Response)
        assert server.requests == [1, 2]


def test_a_refused_connect_after_a_write_is_no_proof() -> None:
    written = Written()
    written.happened = True
    errors: tuple[Exception, ...] = (ConnectFailed("connect"), ConnectTimedOut("connect"), httpcore.PoolTimeout())
    results = [translate(error, written) for error in errors]
    assert [type(result) for result in results] == [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout]


async def test_a_write_is_noted_even_when_it_fails() -> None:
    class Broken(httpcore.AsyncNetworkStream):
        async def write(
            self,
            buffer: bytes,
            timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        ) -> None:
            raise ssl.SSLError("broken")

    written = Written()
    token = CURRENT_REQUEST.set(written)
    with pytest.raises(httpcore.WriteError):
        await WatchedStream(Broken()).write(b"POST")
    CURRENT_REQUEST.reset(token)
    assert written.happened


async def test_a_pool_that_tries_again_after_a_write_cannot_make_it_unsent() -> None:
    class Repeating(httpcore.AsyncHTTPConnection):
        """What httpcore does not do today: a lost request is tried again on a new connection."""

        async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
            try:
                return await super().handle_async_request(request)
            except httpcore.RemoteProtocolError:
                refused = PinnedBackend(lambda address: False, resolve_by_system)
                again = httpcore.AsyncHTTPConnection(request.url.origin, network_backend=refused)
                return await again.handle_async_request(request)

    class RepeatingPool(ConnectionPool):
        def take(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
            return Repeating(origin, network_backend=PinnedBackend(None, resolve_by_system))

    transport = Transport()
    transport._pool = RepeatingPool(
        keepalive_s=1.0, ssl_context=ssl.create_default_context(), network_backend=httpcore.AnyIOBackend()
    )
    async with serving(drop_after_reading) as server, httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.post(f"http://127.0.0.1:{server.port}/")
        assert not isinstance(caught.value, NothingSent)
        assert server.requests == [1]


def test_a_connect_error_that_is_not_ours_is_no_proof() -> None:
    assert type(translate(httpcore.ConnectError("?"), Written())) is httpx.ConnectError
    assert type(translate(httpcore.ConnectTimeout("?"), Written())) is httpx.ConnectTimeout


def test_every_exception_of_httpcore_is_mapped() -> None:
    exceptions = {
        value
        for value in vars(httpcore).values()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__.startswith("httpcore")
    }
    assert exceptions == set(HTTPX_OF)
    for exception in exceptions:
        assert isinstance(translate(exception("x"), Written()), httpx.TransportError)


async def test_a_broken_record_in_tls_is_a_read_error(certificates: Certificates) -> None:
    async def garble(exchange: Exchange) -> None:
        await exchange.read()
        wire = exchange.writer.get_extra_info("socket").fileno()
        os.write(wire, b"\x17\x03\x03\x00\x20" + b"x" * 32)  # around the TLS layer, onto the wire
        await exchange.reader.read(1)

    transport = Transport(resolve=resolve_to("127.0.0.1"), verify=certificates.client)
    async with serving(garble, certificates.server) as server, httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ReadError) as caught:
            await client.post(f"https://sms.example:{server.port}/", timeout=2)
        assert not isinstance(caught.value, NothingSent)


async def test_cancellation_passes_as_cancellation() -> None:
    async with serving(never_answer) as server, httpx.AsyncClient(transport=Transport()) as client:
        task = asyncio.create_task(client.post(f"http://127.0.0.1:{server.port}/"))
        await server.arrived(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
