"""Callbacks reach the customer once, on time, in the documented shape or in the one that a fault orders."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import httpx
import pytest

from relay.provider.sandbox import Fault, SandboxServer, SandboxSettings

Call = Callable[..., Awaitable[httpx.Response]]
Conforms = Callable[[str, object], None]
NextCallback = Callable[[], Awaitable[httpx.Request]]
Until = Callable[[Callable[[], object]], Awaitable[None]]

NOW_S = 1555063028.0
REPORT = {"sendId": "t", "mobile": "13800130001", "status": "DELIVRD", "times": "2019-04-12 17:57:08"}
INBOUND = {"mobile": "13800130001", "content": "端午节快乐", "extNo": "106910", "times": "2019-04-12 17:57:08"}


@pytest.fixture
def pushing(server: SandboxServer, customer: str) -> SandboxServer:
    """The sandbox with an account that is pushed to, at a fixed time."""
    server.sandbox.change_account(
        "sandbox", {"report_url": f"{customer}/report?key=1", "mo_url": f"{customer}/mo", "port": "1069"}
    )
    server.sandbox.now_s = lambda: NOW_S
    return server


async def test_a_report_is_pushed_as_documented_and_waits_for_no_pull(
    pushing: SandboxServer, call: Call, next_callback: NextCallback, conforms: Conforms, until: Until
) -> None:
    await call("send", taskId="t", mobiles="13800130001", content="x")
    callback = await next_callback()
    assert (callback.method, callback.url.raw_path) == ("POST", b"/report?key=1")
    assert callback.headers["content-type"] == "application/json"
    assert json.loads(callback.content) == REPORT
    conforms("PushedReport", json.loads(callback.content))
    await until(lambda: pushing.sandbox.ledger.callbacks)
    record = pushing.sandbox.ledger.callbacks_to("13800130001")[0]
    assert (record.rows_of, record.send_ids, record.statuses) == ("report", ("t",), ("DELIVRD",))
    assert (record.http_status, record.error) == (200, None)
    assert (await call("report")).json()["data"] == []


async def test_an_inbound_message_is_pushed_as_documented_behind_the_accounts_port(
    pushing: SandboxServer, control: Call, next_callback: NextCallback, conforms: Conforms
) -> None:
    answer = await control("POST", "inbound", {"mobile": "13800130001", "content": "端午节快乐", "extNo": "10"})
    assert (answer.status_code, answer.json()) == (201, {"pushed": [[200]]})
    body = json.loads((await next_callback()).content)
    assert body == INBOUND
    conforms("PushedInbound", body)


@pytest.mark.parametrize(("mode", "pushed", "queued"), [("push", 1, 0), ("pull", 0, 1), ("both", 1, 1)])
async def test_the_mode_says_which_ways_rows_go(
    pushing: SandboxServer, control: Call, mode: str, pushed: int, queued: int
) -> None:
    await control("PUT", "accounts/sandbox", {"report_mode": mode, "mo_mode": mode})
    for path, row in (("reports", {"sendId": "t"}), ("inbound", {"content": "TD"})):
        answer = await control("POST", path, {"mobile": "13800130001", **row})
        assert answer.json() == {"pushed": [[200] * pushed]}
    account = pushing.sandbox.accounts["sandbox"]
    assert (len(account.reports), len(account.inbound)) == (queued, queued)


async def test_a_callback_is_made_once_whatever_the_answer_and_the_ledger_keeps_it(
    pushing: SandboxServer, control: Call, customer: str, received: "asyncio.Queue[httpx.Request]"
) -> None:
    for url in (f"{customer}/500", f"{customer}/rude", "http://127.0.0.1:1/", "nonsense"):
        await control("PUT", "accounts/sandbox", {"report_url": url})
        await control("POST", "reports", {"sendId": "t", "mobile": "13800130001"})
    results = [(record.http_status, record.error) for record in pushing.sandbox.ledger.callbacks]
    assert results == [
        (500, None),
        (None, "RemoteProtocolError"),
        (None, "ConnectError"),
        (None, "UnsupportedProtocol"),
    ]
    assert received.qsize() == 2
    assert pushing.sandbox.ledger.counts["callbacks_failed"] == 4


async def test_the_report_of_0007_arrives_before_the_answer(
    pushing: SandboxServer, call: Call, received: "asyncio.Queue[httpx.Request]"
) -> None:
    pushing.sandbox.settings = SandboxSettings(report_delay_ms=60_000)
    await call("send", mobiles="13800130001,13800130007", content="x")
    assert [json.loads(received.get_nowait().content)["mobile"] for _ in range(received.qsize())] == ["13800130007"]


async def test_the_report_of_0008_arrives_twice_and_that_of_0004_never(
    pushing: SandboxServer, call: Call, until: Until, received: "asyncio.Queue[httpx.Request]"
) -> None:
    await call("send", mobiles="13800130004,13800130008", content="x")
    await until(lambda: received.qsize() == 2 and pushing.courier.pending == 0)
    bodies = [json.loads(received.get_nowait().content) for _ in range(2)]
    assert bodies[0] == bodies[1]
    assert bodies[0]["mobile"] == "13800130008"


async def test_reports_come_no_earlier_than_the_delay(
    pushing: SandboxServer, call: Call, next_callback: NextCallback
) -> None:
    pushing.sandbox.settings = SandboxSettings(report_delay_ms=80)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await call("send", mobiles="13800130001", content="x")
    await next_callback()
    assert loop.time() - began_s >= 0.08


async def test_no_more_callbacks_are_in_flight_than_the_setting_allows(
    server: SandboxServer, call: Call, until: Until
) -> None:
    open_now = peak = answered = 0
    gate = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, peak, answered
        await reader.readuntil(b"}")
        open_now += 1
        peak = max(peak, open_now)
        await gate.wait()
        open_now, answered = open_now - 1, answered + 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server.sandbox.settings = SandboxSettings(report_delay_ms=0, callbacks_in_flight=3)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.sandbox.change_account("sandbox", {"report_url": f"http://127.0.0.1:{port}/"})
        await call("send", mobiles=",".join(f"138001310{number:02}" for number in range(20)), content="x")
        await until(lambda: open_now == 3)
        gate.set()
        await until(lambda: server.courier.pending == 0)
    assert (peak, answered) == (3, 20)


def _json_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("json", _json_of),
        ("json_list", lambda request: _json_of(request)[0]),
        ("wrapped_list", lambda request: _json_of(request)["list"][0]),
        ("form", lambda request: dict(parse_qsl(request.content.decode()))),
        ("form_json", lambda request: json.loads(parse_qs(request.content.decode())["data"][0])[0]),
        ("query", lambda request: {name: request.url.params[name] for name in REPORT}),
    ],
)
async def test_a_callback_may_come_in_every_shape(
    pushing: SandboxServer,
    control: Call,
    next_callback: NextCallback,
    shape: Any,
    read: Callable[[httpx.Request], object],
) -> None:
    pushing.sandbox.faults.add(Fault(call="callback", callback=shape))
    await control("POST", "reports", {"sendId": "t", "mobile": "13800130001"})
    callback = await next_callback()
    assert callback.method == ("GET" if shape == "query" else "POST")
    assert callback.url.params["key"] == "1"
    assert read(callback) == REPORT


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("json", lambda request: json.loads(request.content.decode("gb18030"))),
        ("form", lambda request: dict(parse_qsl(request.content.decode(), encoding="gb18030"))),
        ("query", lambda request: dict(parse_qsl(request.url.query.decode(), encoding="gb18030"))),
    ],
)
async def test_a_callback_may_be_gb18030(
    pushing: SandboxServer,
    control: Call,
    next_callback: NextCallback,
    shape: Any,
    read: Callable[[httpx.Request], object],
) -> None:
    pushing.sandbox.faults.add(Fault(call="callback", callback=shape, encoding="gb18030"))
    await control("POST", "inbound", {"mobile": "13800130001", "content": "端午节快乐", "extNo": "10"})
    assert read(await next_callback()) == INBOUND


async def test_rows_in_callbacks_are_masked_prefixed_and_dated_as_the_fault_says(
    pushing: SandboxServer, control: Call, next_callback: NextCallback
) -> None:
    pushing.sandbox.faults.add(Fault(call="callback", mask=True, prefix="86", times_format="compact"))
    await control("POST", "reports", {"sendId": "t", "mobile": "13800130001"})
    assert _json_of(await next_callback()) == {**REPORT, "mobile": "86138****0001", "times": "20190412175708"}


async def test_rows_of_one_send_may_be_joined_repeated_or_lost(
    pushing: SandboxServer, call: Call, until: Until, received: "asyncio.Queue[httpx.Request]"
) -> None:
    faults = pushing.sandbox.faults
    faults.add(Fault(call="callback", copies=0, mobile="13800131001"))
    faults.add(Fault(call="callback", copies=2, task_id="t", mobile="13800131002"))
    faults.add(Fault(call="callback", callback="json_list", rows=2, rows_of="report"))
    pushing.sandbox.settings = SandboxSettings(report_delay_ms=0, callbacks_in_flight=1)
    await call("send", taskId="t", mobiles=",".join(f"1380013100{number}" for number in range(1, 6)), content="x")
    await until(lambda: received.qsize() == 4 and pushing.courier.pending == 0)
    bodies = [_json_of(received.get_nowait()) for _ in range(4)]
    mobiles = [[row["mobile"] for row in body] if isinstance(body, list) else body["mobile"] for body in bodies]
    assert mobiles == ["13800131002", "13800131002", ["13800131003", "13800131004"], "13800131005"]


async def test_a_fault_delays_one_callback_and_no_other(
    pushing: SandboxServer, call: Call, next_callback: NextCallback
) -> None:
    pushing.sandbox.faults.add(Fault(call="callback", delay_ms=60_000, mobile="13800131001"))
    await call("send", mobiles="13800131001,13800131002", content="x")
    assert _json_of(await next_callback())["mobile"] == "13800131002"
    assert pushing.courier.pending >= 1
