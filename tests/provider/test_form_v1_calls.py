"""Pulls and balances: what goes out, and what each answer or failure comes to. And finding a provider by name."""

import json
from urllib.parse import parse_qs

import httpx
import pytest

from relay.domain.errors import ConfigError
from relay.domain.provider import Balance, BalanceUnknown, NotSent, Pulled, PullFailed
from relay.ports import Provider
from relay.provider import PROVIDERS, find
from relay.provider.form_v1 import FormV1
from relay.transport import Transport
from tests.provider.form_v1_builders import PASSWORD_MD5, account, raw, work
from tests.transport.servers import Exchange, resolve_to, serving


def adapter(answer: httpx.Response, seen: list[httpx.Request] | None = None) -> FormV1:
    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return answer

    return FormV1(httpx.AsyncClient(transport=httpx.MockTransport(handle)))


@pytest.mark.parametrize(("kind", "path"), [("report", "/api/v1/report"), ("mo", "/api/v1/mo")])
async def test_a_pull_asks_with_the_credentials_alone_and_keeps_every_byte(kind: str, path: str) -> None:
    seen: list[httpx.Request] = []
    answer = httpx.Response(200, content=b"\xff{", headers={"Content-Type": "application/json;charset=GBK"})
    pulled = await adapter(answer, seen).pull(account(), kind)
    assert pulled == Pulled(body=b"\xff{", content_type="application/json;charset=GBK", http_status=200)
    assert seen[0].url.path == path
    assert parse_qs(seen[0].content.decode()) == {"account": ["demo"], "pwd": [PASSWORD_MD5]}


@pytest.mark.parametrize("status", [204, 302, 404, 429, 500])
async def test_a_pull_that_was_answered_is_pulled_whatever_the_status(status: int) -> None:
    pulled = await adapter(httpx.Response(status, content=b"x")).pull(account(), "report")
    assert pulled == Pulled(body=b"x", content_type="", http_status=status)


async def test_a_pull_that_provably_did_not_start_drained_nothing() -> None:
    async with httpx.AsyncClient(transport=Transport(resolve=resolve_to())) as client:
        assert await FormV1(client).pull(account(), "mo") == PullFailed(why="dns", sent=False)


ROW = '{"sendId":"a","mobile":"13800131234","status":"DELIVRD"}'


@pytest.mark.parametrize("written", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"])
async def test_a_pull_whose_answer_is_lost_may_have_drained_rows(written: bytes) -> None:
    async def drop(exchange: Exchange) -> None:
        await exchange.read()
        exchange.writer.write(written)
        await exchange.writer.drain()
        exchange.drop()

    async with serving(drop) as server, httpx.AsyncClient(transport=Transport()) as client:
        failed = await FormV1(client).pull(account(base_url=f"http://127.0.0.1:{server.port}"), "report")
    assert failed == PullFailed(why="connection_lost", sent=True)


@pytest.mark.parametrize("hang", [True, False])
async def test_half_of_a_pulled_body_is_kept_and_its_whole_rows_are_read(hang: bool) -> None:
    half = f'{{"code":"00","data":[{ROW},{ROW[:20]}'.encode()

    async def break_off(exchange: Exchange) -> None:
        await exchange.read()
        exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + half)
        await exchange.writer.drain()
        if hang:
            await exchange.reader.read(1)
        exchange.drop()

    async with serving(break_off) as server, httpx.AsyncClient(transport=Transport()) as client:
        to = account(base_url=f"http://127.0.0.1:{server.port}", timeout_s=0.4)
        pulled = await FormV1(client).pull(to, "report")
    assert pulled == Pulled(body=half, content_type="", http_status=200)
    reading = adapter(httpx.Response(500)).read_reports(raw(half, "pull"))
    assert ([row.task_id for row in reading.rows], reading.unreadable) == (["a"], 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"balance": 200000, "payment": 0, "paymentName": "预付"}, Balance(amount="200000", prepaid=True)),
        ({"balance": 200000, "payment": 1, "paymentName": "后付"}, Balance(amount="200000", prepaid=False)),
        ({"balance": "200000", "payment": "0"}, Balance(amount="200000", prepaid=True)),
        ({"balance": 12.5, "payment": 0}, Balance(amount="12.5", prepaid=True)),
        ({"balance": "0.10", "payment": 0}, Balance(amount="0.10", prepaid=True)),
        ({"balance": -3, "payment": 0}, Balance(amount="-3", prepaid=True)),
        ({"balance": 2e5, "payment": 0}, Balance(amount="200000.0", prepaid=True)),
        ({"balance": "2E+5", "payment": 0}, Balance(amount="200000", prepaid=True)),
        ({"BALANCE": 5, "PAYMENT": 0}, Balance(amount="5", prepaid=True)),
        ({"balance": 5, "paymentName": "预付"}, Balance(amount="5", prepaid=True)),
        ({"balance": 5}, Balance(amount="5", prepaid=False)),
        ({"account": {"balance": 5, "payment": 0}}, Balance(amount="5", prepaid=True)),
        ([{"balance": 5, "payment": 0}], Balance(amount="5", prepaid=True)),
        (json.dumps({"balance": 5, "payment": 0}), Balance(amount="5", prepaid=True)),
        ({"balance": {"balance": 5, "payment": 0}}, Balance(amount="5", prepaid=True)),
        (5, Balance(amount="5", prepaid=False)),
        ("5", Balance(amount="5", prepaid=False)),
        *(
            (data, BalanceUnknown(code="00", why="unreadable"))
            for data in (None, "", [], {}, {"balance": None}, {"balance": "many"}, {"balance": "1e999999999"},
                         {"balance": True}, {"balance": "٣"}, {"total": 5}, "2,000", [1, 2])
        ),
    ],
)  # fmt: skip
async def test_a_balance_is_read_in_every_shape(data: object, expected: Balance | BalanceUnknown) -> None:
    content = json.dumps({"code": "00", "data": data, "message": "成功"}).encode()
    assert await adapter(httpx.Response(200, content=content)).balance(account()) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(200, content=b'{"code":"99"}'), BalanceUnknown(code="99", why="refused")),
        (httpx.Response(500, content=b'{"code":"99"}'), BalanceUnknown(code="99", why="refused")),
        (httpx.Response(503, content=b'{"code":"00","data":5}'), BalanceUnknown(code="00", why="http_503")),
        (httpx.Response(429), BalanceUnknown(code=None, why="http_429")),
        (httpx.Response(200, content=b"ok"), BalanceUnknown(code=None, why="unreadable")),
        (httpx.Response(200, content=b'{"data":5}'), BalanceUnknown(code=None, why="unreadable")),
    ],
)
async def test_an_answer_without_a_balance_says_why(answer: httpx.Response, expected: BalanceUnknown) -> None:
    assert await adapter(answer).balance(account()) == expected


async def test_a_balance_that_could_not_be_asked_for_says_why() -> None:
    async with httpx.AsyncClient(transport=Transport(permit=lambda address: False)) as client:
        unknown = await FormV1(client).balance(account(base_url="http://127.0.0.1"))
    assert unknown == BalanceUnknown(code=None, why="refused_address")


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_provider_that_has_a_name_is_found(name: str) -> None:
    provider: Provider = find(name)(httpx.AsyncClient())
    for method in ("send", "pull", "balance", "read_reports", "read_inbound"):
        assert callable(getattr(provider, method))


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match="form_v1"):
        find("form_v9")


async def test_nothing_is_asked_of_the_provider_by_who_may_not_any_more() -> None:
    async def unreachable(exchange: Exchange) -> None:
        assert await exchange.read() == b""
        exchange.drop()

    async with serving(unreachable) as server, httpx.AsyncClient(transport=Transport()) as client:
        to, provider = account(base_url=f"http://127.0.0.1:{server.port}"), FormV1(client)
        outcomes = (
            await provider.send(to, work(), lambda: False),
            await provider.pull(to, "report", lambda: False),
            await provider.balance(to, lambda: False),
        )
    assert outcomes == (
        NotSent(why="lease"),
        PullFailed(why="lease", sent=False),
        BalanceUnknown(code=None, why="lease"),
    )
