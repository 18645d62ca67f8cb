"""Every attempt at /send ends in exactly one of four outcomes: provider/contract.md 3, row by row."""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest

from relay.domain.accounts import Account
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, NotSent, NotSentWhy, Refused, SendOutcome, Unconfirmed
from relay.provider.form_v1 import FormV1
from relay.transport import Transport
from tests.provider.form_v1_builders import PASSWORD_MD5, TASK, account, work
from tests.transport.servers import Exchange, Handle, resolve_to, serving

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


async def send(answer: Answer, to: Account | None = None, what: SubmissionWork | None = None) -> SendOutcome:
    def handle(request: httpx.Request) -> httpx.Response:
        return answer if isinstance(answer, httpx.Response) else answer(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        return await FormV1(client, now_s=lambda: 1_000_000_000.0).send(to or account(), what or work())


def ok(body: object, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return httpx.Response(status, content=content, headers=headers)


def accepted(task_id: str | None = None, code: str = "00", message: str | None = "成功") -> Accepted:
    return Accepted(task_id=task_id, code=code, message=message)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "00", "data": {"taskId": TASK}, "message": "成功"}, accepted()),
        ({"code": "0", "data": {"taskId": TASK}, "message": "成功"}, accepted(code="0")),
        ({"code": 0, "data": {"taskId": TASK}, "message": "成功"}, accepted(code="0")),
        ({"code": "00", "data": {"taskId": "b681"}, "message": "成功"}, accepted("b681")),
        ({"code": "00", "data": {"taskId": 123}, "message": "成功"}, accepted("123")),
        ({"code": "00", "data": {"taskId": "00123"}, "message": "成功"}, accepted("00123")),
        (b'{"code":"00","data":{"taskId":12345678901234567890123}}', accepted("12345678901234567890123", message=None)),
        (b'{"code":"00","data":{"taskId":1e30}}', accepted("1e30", message=None)),
        ({"code": "00", "data": {"taskId": ""}, "message": "成功"}, accepted()),
        ({"code": "00", "data": {"taskId": None}, "message": "成功"}, accepted()),
        ({"code": "00", "data": {}, "message": "成功"}, accepted()),
        ({"code": "00", "data": None, "message": "成功"}, accepted()),
        ({"code": "00", "data": "", "message": "成功"}, accepted()),
        ({"code": "00", "data": "success", "message": "成功"}, accepted()),
        ({"code": "00", "message": "成功"}, accepted()),
        ({"code": "00"}, accepted(message=None)),
        ({"code": "00", "data": '{"taskId": "b681"}', "message": "成功"}, accepted("b681")),
        ({"code": "00", "data": [{"taskId": "b681"}], "message": "成功"}, accepted("b681")),
        (b'\xef\xbb\xbf{"code":"00"}', accepted(message=None)),
        ('{"code":"00","message":"成功"}'.encode("gb18030"), accepted()),
        (b'"{\\"code\\":\\"00\\"}"', accepted(message=None)),
    ],
)
async def test_a_success_code_is_accepted(body: object, expected: Accepted) -> None:
    assert await send(ok(body)) == expected


@pytest.mark.parametrize("body", [b"", b"ok", b"<html>", b"[]", b"null", b'{"code":"00"', {"code": None}, {"code": ""},
                                  {"code": True}, {"code": False}, {"code": []}, {"data": {"taskId": TASK}}, ["00"],
                                  b"[" * 50_000])  # fmt: skip
@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_a_2xx_that_cannot_be_read_is_unconfirmed(body: object, status: int) -> None:
    assert await send(ok(body, status)) == Unconfirmed(why="unreadable", http_status=status)


@pytest.mark.parametrize("status", [100, 300, 301, 302, 304, 307, 308, 500, 502, 503, 504, 599, 600])
@pytest.mark.parametrize("code", ["00", "11", "21", None])
async def test_other_statuses_are_unconfirmed_whatever_the_body_says(status: int, code: str | None) -> None:
    body = {"code": code} if code else b"<html>"
    answer = ok(body, status, {"Location": "http://other.example/", "Retry-After": "5"})
    assert await send(answer) == Unconfirmed(why="http_status", http_status=status)


@pytest.mark.parametrize("status", [400, 401, 404, 405, 413, 422, 451])
async def test_a_4xx_without_a_code_is_a_definite_refusal(status: int) -> None:
    expected = Refused(code=f"http_{status}", message=None, reason="other", scope="task")
    assert await send(ok(b"<html>", status)) == expected


async def test_a_4xx_without_a_code_can_be_listed_in_the_table() -> None:
    expected = NotSent(why="code", code="http_403", message=None, reason="ip", scope="account")
    assert await send(ok(b"<html>", 403)) == expected


async def test_a_4xx_with_a_code_goes_by_its_code() -> None:
    expected = Refused(code="21", message="bad", reason="content", scope="task")
    assert await send(ok({"code": "21", "message": "bad"}, 400)) == expected


@pytest.mark.parametrize("status", [400, 403, 429])
async def test_a_4xx_that_says_success_contradicts_itself_and_is_unconfirmed(status: int) -> None:
    assert await send(ok({"code": "00"}, status)) == Unconfirmed(why="http_status", http_status=status)


@pytest.mark.parametrize("status", [408, 499])
async def test_a_time_out_told_by_a_proxy_is_unconfirmed(status: int) -> None:
    assert await send(ok(b"", status)) == Unconfirmed(why="http_status", http_status=status)


@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": "9" * 400}, 365 * 86_400.0),
        ({"Retry-After": "Sun, 09 Sep 2001 01:47:00 GMT"}, 20.0),
        ({"Retry-After": "Sun, 09 Sep 2001 01:46:00 GMT"}, 0.0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 365 * 86_400.0),
        ({"Retry-After": "Sun, 09 Sep 2001 99:99:99 GMT"}, None),
        ({"Retry-After": "Sun, 09 Sep 2001 02:00:05 GMT", "Date": "Sun, 09 Sep 2001 02:00:00 GMT"}, 5.0),
        ({"Retry-After": "Sun, 09 Sep 2001 01:47:00 GMT", "Date": "today"}, 20.0),
    ],
)
async def test_429_was_not_sent_and_says_when(headers: dict[str, str], retry_after_s: float | None) -> None:
    raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    outcome = await send(httpx.Response(429, headers=raw_headers))
    assert outcome == NotSent(why="http_429", reason="throttled", retry_after_s=retry_after_s)


async def test_429_keeps_the_providers_own_words() -> None:
    expected = NotSent(why="http_429", code="99", message="慢一点", reason="throttled")
    assert await send(ok({"code": 99, "message": "慢一点"}, 429)) == expected


@pytest.mark.parametrize(
    ("code", "attempt", "expected"),
    [
        ("11", 1, NotSent(why="code", code="11", message="m", reason="throttled")),
        (11, 1, NotSent(why="code", code="11", message="m", reason="throttled")),
        ("12", 5, NotSent(why="code", code="12", message="m", reason="balance", scope="account")),
        ("21", 1, Refused(code="21", message="m", reason="content", scope="task")),
        ("31", 1, Refused(code="31", message="m", reason="duplicate", scope="task")),
        ("31", 2, Accepted(task_id=None, code="31", message="m")),
        ("32", 1, Refused(code="32", message="m", reason="duplicate", scope="task")),
        ("32", 2, Accepted(task_id=None, code="32", message="m")),
        ("unheard", 1, Refused(code="unheard", message="m", reason="other", scope="task")),
        ("000", 1, Refused(code="000", message="m", reason="other", scope="task")),
        (-1, 1, Refused(code="-1", message="m", reason="other", scope="task")),
    ],
)
async def test_a_code_is_read_by_the_accounts_table(code: object, attempt: int, expected: SendOutcome) -> None:
    assert await send(ok({"code": code, "message": "m"}), what=work(attempt=attempt)) == expected


async def test_the_wait_that_comes_with_a_retryable_code_is_kept() -> None:
    expected = NotSent(why="code", code="11", message=None, reason="throttled", retry_after_s=3.0)
    assert await send(ok({"code": "11"}, headers={"Retry-After": "3"})) == expected


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (httpx.ReadTimeout("x"), "read_timeout"),
        (httpx.WriteTimeout("x"), "read_timeout"),
        (httpx.ConnectTimeout("x"), "read_timeout"),
        (httpx.PoolTimeout("x"), "read_timeout"),
        (httpx.ConnectError("x"), "connection_lost"),
        (httpx.ReadError("x"), "connection_lost"),
        (httpx.WriteError("x"), "connection_lost"),
        (httpx.RemoteProtocolError("x"), "connection_lost"),
        (httpx.LocalProtocolError("x"), "connection_lost"),
        (httpx.UnsupportedProtocol("x"), "connection_lost"),
        (httpx.ProxyError("x"), "connection_lost"),
        (httpx.DecodingError("x"), "unreadable"),
    ],
)
async def test_an_exception_whose_name_says_not_sent_is_no_proof(fault: httpx.HTTPError, why: str) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise fault

    outcome = await send(handle)
    assert isinstance(outcome, Unconfirmed)
    assert outcome.why == why


async def test_the_request_is_the_documented_form() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return ok({"code": "00"})

    await send(handle, account(base_url="http://sms.example/prefix/", account="a&b"))
    (request,) = seen
    assert (request.method, str(request.url)) == ("POST", "http://sms.example/prefix/api/v1/send")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert b"mobiles=13800131234%2C13800135678&" in request.content
    assert parse_qs(request.content.decode(), strict_parsing=True) == {
        "account": ["a&b"],
        "pwd": [PASSWORD_MD5],
        "taskId": [TASK],
        "mobiles": ["13800131234,13800135678"],
        "content": ["【示例】验证码 1234 & more"],
        "extNo": ["10"],
    }


@pytest.mark.parametrize("extension", [None, ""])
async def test_no_extension_is_no_field(extension: str | None) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert b"extNo" not in request.content
        return ok({"code": "00"})

    assert await send(handle, what=work(extension=extension)) == accepted(message=None)


async def test_the_password_hash_goes_in_the_case_of_the_account() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert f"pwd={PASSWORD_MD5.upper()}&".encode() in request.content
        return ok({"code": "00"})

    assert await send(handle, account(pwd_case="upper")) == accepted(message=None)


@pytest.mark.parametrize("base_url", ["", "sms.example", "http://", "http://sms.example:port"])
async def test_a_base_url_that_is_none_was_provably_not_sent_to(base_url: str) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request)

    assert await send(handle, account(base_url=base_url)) == NotSent(why="connect")


# Connection faults, over real sockets.


async def send_over_wire(handle: Handle, timeout_s: float = 5.0) -> tuple[SendOutcome, int]:
    async with serving(handle) as server, httpx.AsyncClient(transport=Transport(), trust_env=False) as client:
        to = account(base_url=f"http://127.0.0.1:{server.port}", timeout_s=timeout_s)
        return await FormV1(client).send(to, work()), len(server.requests)


async def reset_at_the_first_byte(exchange: Exchange) -> None:
    await exchange.reader.read(1)
    exchange.server.count(exchange.connection)
    exchange.drop()


async def reset_after_reading(exchange: Exchange) -> None:
    await exchange.read()
    exchange.drop()


async def break_off_in_the_body(exchange: Exchange) -> None:
    await exchange.read()
    exchange.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"code":"00"}')
    await exchange.writer.drain()
    exchange.drop()


async def never_answer(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.reader.read(1)


async def answer_byte_by_byte(exchange: Exchange) -> None:
    await exchange.read()
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    while not exchange.writer.is_closing():
        exchange.writer.write(b" ")
        await exchange.writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("handle", "why"),
    [
        (reset_at_the_first_byte, "connection_lost"),
        (reset_after_reading, "connection_lost"),
        (break_off_in_the_body, "connection_lost"),
        (never_answer, "read_timeout"),
        (answer_byte_by_byte, "read_timeout"),
    ],
)
async def test_what_is_lost_after_the_first_byte_is_unconfirmed_and_sent_once(handle: Handle, why: str) -> None:
    outcome, requests = await send_over_wire(handle, timeout_s=0.3)
    assert isinstance(outcome, Unconfirmed)
    assert (outcome.why, requests) == (why, 1)


async def test_an_answer_over_the_wire_is_accepted() -> None:
    async def accept(exchange: Exchange) -> None:
        if await exchange.read():
            await exchange.answer(b'{"code":"00"}')
        else:
            exchange.drop()

    assert await send_over_wire(accept) == (accepted(message=None), 1)


@pytest.mark.parametrize(
    ("transport", "url", "why"),
    [
        (Transport(resolve=resolve_to()), "http://sms.example", "dns"),
        (Transport(permit=lambda address: False), "http://127.0.0.1", "refused_address"),
        (Transport(), "http://127.0.0.1:1", "connect"),
    ],
)
async def test_what_fails_before_the_first_byte_was_not_sent(transport: Transport, url: str, why: NotSentWhy) -> None:
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        assert await FormV1(client).send(account(base_url=url), work()) == NotSent(why=why)


async def test_a_handshake_that_hangs_ends_as_not_sent_before_the_total_time_out() -> None:
    async def say_nothing(exchange: Exchange) -> None:
        await exchange.reader.read(1 << 16)

    async with serving(say_nothing) as server, httpx.AsyncClient(transport=Transport()) as client:
        to = account(base_url=f"https://127.0.0.1:{server.port}", timeout_s=0.4)
        assert await FormV1(client).send(to, work()) == NotSent(why="tls")


async def test_a_full_pool_ends_as_not_sent_before_the_total_time_out() -> None:
    async with serving(never_answer) as server, httpx.AsyncClient(transport=Transport(max_connections=1)) as client:
        to = account(base_url=f"http://127.0.0.1:{server.port}", timeout_s=0.4)
        first = asyncio.create_task(FormV1(client).send(to, work()))
        await server.arrived(1)
        assert await FormV1(client).send(to, work()) == NotSent(why="pool_timeout")
        assert await first == Unconfirmed(why="read_timeout")
        assert len(server.requests) == 1


async def test_cancellation_is_not_swallowed() -> None:
    async with serving(never_answer) as server, httpx.AsyncClient(transport=Transport()) as client:
        sending = asyncio.create_task(FormV1(client).send(account(base_url=f"http://127.0.0.1:{server.port}"), work()))
        await server.arrived(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
