"""The poster against real servers on loopback that do everything wrong."""

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
from standardwebhooks import Webhook

from relay.domain.endpoints import AttemptErrorClass, Endpoint, write_secret
from relay.domain.errors import NothingSent, NothingSentWhy
from relay.domain.ids import EndpointId, TeamId
from relay.domain.times import to_ms
from relay.ports import Poster, PostResult
from relay.transport import Transport
from relay.webhooks import EgressPolicy, WebhookPoster
from relay.webhooks.signing import verify

NOW_S = 1_795_392_000
BODY = '{"id":"evt_1","text":"【示例】您好"}'.encode()
SECRET = write_secret(bytes(32))
OLDER = write_secret(bytes(range(32)))
PATIENT_S = 30.0
SHORT_S = 0.2


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request; whether another one may come on this connection."""


class StillClock:
    """A clock that stands at NOW_S and takes 7 ms per look at its monotonic half."""

    def __init__(self) -> None:
        self.looks = 0

    def now_ms(self) -> int:
        return NOW_S * 1000

    def monotonic_s(self) -> float:
        self.looks += 1
        return self.looks * 0.007

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the poster does not sleep")


def endpoint(url: str, **changes: object) -> Endpoint:
    made = Endpoint(
        id=EndpointId("ep_" + "0" * 32),
        team_id=TeamId("team_" + "0" * 32),
        url=url,
        event_types=(),
        extensions=(),
        headers={},
        max_in_flight=4,
        secrets=(SECRET,),
        status="enabled",
        paused_until_ms=None,
    )
    return msgspec.structs.replace(made, **changes)


class Receiver:
    """A server that reads one request, keeps its raw head and body, and lets ``answer`` do the rest."""

    def __init__(self, answer: Answer) -> None:
        self.url = ""
        self.answer = answer
        self.requests: list[tuple[bytes, dict[str, str], bytes]] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:-2]]
                headers = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(headers["content-length"]))
                self.requests.append((head, headers, body))
                self.asked.set()
                if not await self.answer(reader, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.hung_up.set()
            writer.close()


@asynccontextmanager
async def receiver(answer: Answer) -> AsyncIterator[Receiver]:
    found = Receiver(answer)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=1"
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def posting(
    transport: httpx.AsyncBaseTransport | None = None, egress: EgressPolicy | None = None
) -> AsyncIterator[Poster]:
    async with httpx.AsyncClient(transport=transport or httpx.AsyncHTTPTransport(), trust_env=False) as client:
        policy = egress or EgressPolicy(allow_loopback=True)
        made: Poster = WebhookPoster(client, clock=StillClock(), egress=policy, version="1.2.3")
        yield made


def says(answer: bytes) -> Answer:
    async def write(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        await writer.drain()
        return b"content-length" in answer.lower()

    return write


def drips(start: bytes, drop: bytes) -> Answer:
    async def write(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)

    return write


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
    """Until the other side hangs up."""
    await reader.read()
    return False


async def posted(answer: Answer, timeout_s: float = PATIENT_S, **changes: object) -> tuple[PostResult, Receiver]:
    async with receiver(answer) as there, posting() as poster:
        found = await poster.post(endpoint(there.url, **changes), "evt_1", BODY, NOW_S, timeout_s)
    return found, there


def result(
    status: int | None = None,
    error: AttemptErrorClass | None = None,
    answer: bytes = b"",
    retry_after_s: float | None = None,
) -> PostResult:
    return PostResult(status=status, error=error, answer=answer, duration_ms=7, retry_after_s=retry_after_s)


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def test_a_webhook_arrives_as_the_standard_says() -> None:
    found, there = await posted(says(OK), secrets=(SECRET, OLDER), headers={"X-Team": "billing"})
    assert found == result(200, None, b"ok")
    [(head, headers, body)] = there.requests
    assert head.startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
    assert body == BODY
    signature = headers.pop("webhook-signature")
    assert headers == {
        "host": there.url.split("/")[2],
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "user-agent": "relay/1.2.3",
        "accept-encoding": "identity",
        "webhook-id": "evt_1",
        "webhook-timestamp": str(NOW_S),
        "x-team": "billing",
    }
    for secret in (SECRET, OLDER):
        assert verify([secret], {**headers, "webhook-signature": signature}, body, NOW_S)


async def test_the_reference_library_accepts_what_arrives() -> None:
    async with receiver(says(OK)) as there, posting() as poster:
        await poster.post(endpoint(there.url), "evt_1", BODY, int(time.time()), PATIENT_S)
    [(_, headers, body)] = there.requests
    assert Webhook(SECRET).verify(body, headers) == msgspec.json.decode(BODY)


async def test_headers_of_the_team_cannot_replace_or_smuggle_anything() -> None:
    added = {
        "Webhook-Id": "evt_2",
        "WEBHOOK-SIGNATURE": "v1,x",
        "content-type": "text/plain",
        "User-Agent": "other",
        "Host": "internal",
        "Content-Length": "0",
        "Transfer-Encoding": "chunked",
        "accept-encoding": "gzip",
        "x-bad": "a\r\nx-smuggled: b",
        "x-ü": "a",
        "x-good": "yes",
    }
    _, there = await posted(says(OK), headers=added)
    [(head, headers, _)] = there.requests
    assert headers["webhook-id"] == "evt_1"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "relay/1.2.3"
    assert headers["host"].startswith("127.0.0.1:")
    assert headers["x-good"] == "yes"
    assert {"x-bad", "x-smuggled", "transfer-encoding"}.isdisjoint(headers)
    assert head.lower().count(b"content-length:") == head.lower().count(b"webhook-id:") == 1


async def test_a_whole_answer_leaves_the_connection_for_the_next_webhook() -> None:
    async with receiver(says(OK)) as there, posting() as poster:
        for _ in range(3):
            assert await poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, PATIENT_S) == result(200, None, b"ok")
    assert (there.connections, len(there.requests)) == (1, 3)


@pytest.mark.parametrize("status", [300, 400, 404, 410, 429, 500, 503])
async def test_an_answer_that_is_not_2xx_is_a_status(status: int) -> None:
    found, _ = await posted(says(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nno" % status))
    assert found == result(status, "status", b"no")


@pytest.mark.parametrize(
    "location", [b"http://169.254.169.254/latest", b"/again", b"http://[::1", b"http://a:99999999/", b"\xff", b""]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_only_its_status_wherever_it_points(status: int, location: bytes) -> None:
    answer = b"HTTP/1.1 %d X\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, location)
    found, there = await posted(says(answer))
    assert found == result(status, "status")
    assert len(there.requests) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"120", 120.0),
        (b"Mon, 23 Nov 2026 00:01:30 GMT", 90.0),
        (b"9999999", 86_400.0),
        (b"-1", None),
        (b"soon", None),
        (b"\xff", None),
        (b"Sun, 22 Nov 2026 00:01:30 GMT", None),
    ],
)
async def test_retry_after_is_read_in_both_forms(value: bytes, seconds: float | None) -> None:
    found, _ = await posted(says(b"HTTP/1.1 503 X\r\nretry-after: %s\r\ncontent-length: 0\r\n\r\n" % value))
    assert found == result(503, "status", b"", seconds)


@pytest.mark.parametrize(("size", "kept", "connections"), [(4096, 4096, 1), (16_384, 4096, 1), (200_000, 4096, 2)])
async def test_the_answer_is_read_up_to_16_kib_and_kept_up_to_4(size: int, kept: int, connections: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    async with receiver(says(answer)) as there, posting() as poster:
        for _ in range(2):
            assert await poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, PATIENT_S) == result(
                200, None, b"x" * kept
            )
    assert there.connections == connections


async def test_an_endless_answer_is_cut_off_and_hung_up_on() -> None:
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with receiver(endless) as there, posting() as poster:
        assert await poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, PATIENT_S) == result(200, None, b"x" * 4096)
        await asyncio.wait_for(there.hung_up.wait(), PATIENT_S)


class Endless(httpx.AsyncByteStream):
    """A body without end that knows whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    async def aclose(self) -> None:
        self.is_closed = True


async def test_the_rest_of_an_answer_is_let_go_before_the_result_is_given() -> None:
    body = Endless()
    async with posting(httpx.MockTransport(lambda request: httpx.Response(200, stream=body))) as poster:
        await poster.post(endpoint("http://10.0.0.1/"), "evt_1", BODY, NOW_S, PATIENT_S)
        assert body.is_closed


async def test_a_gzip_bomb_is_kept_as_it_came() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    found, _ = await posted(says(head + bomb))
    assert found == result(200, None, bomb[:4096])


async def test_an_answer_that_lies_about_its_encoding_is_still_an_answer() -> None:
    found, _ = await posted(says(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"))
    assert found == result(200, None, b"abc")


@pytest.mark.parametrize(
    "answer",
    [
        silence,
        drips(b"", b"H"),
        drips(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"),
        drips(b"HTTP/1.1 200 OK\r\n\r\n", b"."),
        drips(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n.\r\n"),
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshort"[:-1]),
    ],
    ids=["silence", "drips status", "drips headers", "drips body", "drips chunks", "waits in body"],
)
async def test_one_deadline_ends_everything(answer: Answer) -> None:
    async def then_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await answer(reader, writer)
        return await silence(reader, writer)

    started_s = time.monotonic()
    async with receiver(then_silence) as there, posting() as poster:
        assert await poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, SHORT_S) == result(None, "timeout")
        assert time.monotonic() - started_s < PATIENT_S / 2
        await asyncio.wait_for(there.hung_up.wait(), PATIENT_S)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-lengths: 2",
        b"SSH-2.0-OpenSSH_9.7\r\n\r\n",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"\0\xff" * 100 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 1_000_000,
    ],
    ids=["nothing", "status line", "half a header", "ssh", "no status", "bytes", "no chunk", "huge header"],
)
async def test_what_is_not_http_is_a_protocol_error(answer: bytes) -> None:
    async def write(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        await writer.drain()
        return False

    found, _ = await posted(write)
    assert found == result(None, "protocol")


async def test_a_body_that_breaks_off_is_no_answer() -> None:
    async def write(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
        await writer.drain()
        return False

    found, _ = await posted(write)
    assert found == result(None, "protocol")


async def test_nobody_listening_is_a_connect_error() -> None:
    async with receiver(silence) as there:
        pass
    async with posting() as poster:
        assert await poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, PATIENT_S) == result(None, "connect")


async def test_no_cookie_is_kept_or_sent() -> None:
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    async with receiver(says(answer)) as there, httpx.AsyncClient(trust_env=False) as client:
        policy = EgressPolicy(allow_loopback=True)
        poster = WebhookPoster(client, clock=StillClock(), egress=policy, version="1")
        for _ in range(2):
            await poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, PATIENT_S)
        assert len(client.cookies) == 0
    assert "cookie" not in there.requests[1][1]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://169.254.169.254/", "nonsense", "http://[::1", ""])
async def test_a_url_that_the_policy_closes_is_not_called(url: str) -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise AssertionError("called")

    async with posting(httpx.MockTransport(unreachable), EgressPolicy(allow_loopback=False)) as poster:
        assert await poster.post(endpoint(url), "evt_1", BODY, NOW_S, PATIENT_S) == result(None, "refused_address")


class Failed(NothingSent, httpx.ConnectTimeout):
    """As the transport raises it: ours and httpx's at once."""

    def __init__(self, why: NothingSentWhy) -> None:
        httpx.ConnectTimeout.__init__(self, why)
        self.why = why


@pytest.mark.parametrize(
    ("exc", "error"),
    [
        (Failed("dns"), "dns"),
        (Failed("refused_address"), "refused_address"),
        (Failed("connect"), "connect"),
        (Failed("tls"), "tls"),
        (Failed("pool_timeout"), "timeout"),
        (httpx.ConnectError(""), "connect"),
        (httpx.ConnectTimeout(""), "timeout"),
        (httpx.ReadTimeout(""), "timeout"),
        (httpx.WriteTimeout(""), "timeout"),
        (httpx.PoolTimeout(""), "timeout"),
        (httpx.ReadError(""), "protocol"),
        (httpx.WriteError(""), "protocol"),
        (httpx.CloseError(""), "protocol"),
        (httpx.RemoteProtocolError(""), "protocol"),
        (httpx.LocalProtocolError(""), "protocol"),
        (httpx.DecodingError(""), "protocol"),
        (ConnectionResetError(), "protocol"),
        (TimeoutError(), "timeout"),
        (ssl.SSLError(), "tls"),
    ],
    ids=repr,
)
async def test_every_failure_has_its_class(exc: Exception, error: AttemptErrorClass | None) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise exc

    async with posting(httpx.MockTransport(fail)) as poster:
        assert await poster.post(endpoint("http://10.0.0.1/"), "evt_1", BODY, NOW_S, PATIENT_S) == result(None, error)


async def test_a_cancelled_post_is_cancelled_and_hangs_up() -> None:
    async with receiver(silence) as there, posting() as poster:
        task = asyncio.create_task(poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, PATIENT_S))
        await there.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(there.hung_up.wait(), PATIENT_S)


async def test_what_is_not_ours_any_more_is_not_posted_and_is_no_attempt() -> None:
    async def unreachable(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        assert await reader.read() == b""
        return False

    async with receiver(unreachable) as there, posting(Transport()) as poster:
        with pytest.raises(NothingSent) as caught:
            await poster.post(endpoint(there.url), "evt_1", BODY, NOW_S, PATIENT_S, lambda: False)
    assert caught.value.why == "lease"


async def test_a_mistake_of_ours_is_not_taken_for_the_receivers() -> None:
    async with posting(httpx.MockTransport(lambda request: httpx.Response(200))) as poster:
        with pytest.raises(ValueError, match="signing secret"):
            await poster.post(endpoint("http://10.0.0.1/", secrets=("whsec_!",)), "evt_1", BODY, NOW_S, PATIENT_S)


def test_the_clock_of_these_tests_stands_where_their_dates_assume() -> None:
    assert to_ms(datetime(2026, 11, 23, tzinfo=UTC)) == NOW_S * 1000
