"""The provider's calls over a real connection, held to the hand-written description; and the server's own manners."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from relay.provider.sandbox import Code, Sandbox, SandboxServer, SandboxSettings, create_app, serve
from relay.provider.sandbox.app import CALLS
from relay.provider.sandbox.codes import MESSAGES

Call = Callable[..., Awaitable[httpx.Response]]
Conforms = Callable[[str, object], None]
Until = Callable[[Callable[[], object]], Awaitable[None]]


def test_the_description_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_the_description_names_exactly_the_calls_that_are_served(document: dict[str, Any]) -> None:
    assert {path: item["post"]["operationId"] for path, item in document["paths"].items()} == CALLS


def test_every_example_in_the_description_conforms(document: dict[str, Any], conforms: Conforms) -> None:
    operations = [*document["paths"].values(), *document["webhooks"].values()]
    checked = 0
    for operation in operations:
        sent = next(iter(operation["post"]["requestBody"]["content"].values()))
        answered = operation["post"]["responses"]["200"].get("content", {}).get("application/json")
        for described in filter(None, (sent, answered)):
            if "example" in described:
                reference = described["schema"].get("$ref") or described["schema"]["oneOf"][0]["$ref"]
                conforms(reference.rpartition("/")[2], described["example"])
                checked += 1
    assert checked == 7


def test_every_code_has_a_message() -> None:
    assert set(MESSAGES) == set(Code)


async def test_the_answers_of_all_calls_conform_to_the_description(
    server: SandboxServer, call: Call, conforms: Conforms, until: Until, control: Call
) -> None:
    form = {"taskId": "abc", "mobiles": "13800130001,13800130002", "content": "【示例】hello + 100%", "extNo": "10"}
    conforms("SendForm", {"account": "sandbox", "pwd": "0" * 32, **form})
    sent = await call("send", **form)
    assert (sent.status_code, sent.headers["content-type"]) == (200, "application/json;charset=UTF-8")
    assert sent.json() == {"code": "00", "data": {"taskId": "abc"}, "message": "成功"}
    conforms("SendAnswer", sent.json())
    assert server.sandbox.ledger.sends[0].content == "【示例】hello + 100%"

    await until(lambda: server.sandbox.accounts["sandbox"].reports)
    reports = (await call("report")).json()
    conforms("ReportAnswer", reports)
    assert [(row["sendId"], row["status"], row["extNo"]) for row in reports["data"]] == [
        ("abc", "DELIVER", "10"),
        ("abc", "UNDELIV", "10"),
    ]
    await control("POST", "inbound", [{"mobile": "13800130001", "content": "TD", "extNo": "10"}])
    inbound = (await call("mo")).json()
    conforms("InboundAnswer", inbound)
    assert [(row["content"], row["extNo"]) for row in inbound["data"]] == [("TD", 10)]

    balance = (await call("queryBalance")).json()
    conforms("BalanceAnswer", balance)
    conforms("Refusal", (await call("queryBalance", pwd="wrong")).json())
    for name, schema in (("report", "ReportAnswer"), ("mo", "InboundAnswer")):
        empty = (await call(name)).json()
        conforms(schema, empty)
        assert empty["data"] == []


async def test_three_thousand_numbers_go_in_one_form(server: SandboxServer, call: Call) -> None:
    mobiles = ",".join(f"1380013{number}" for number in range(1000, 4000))
    assert (await call("send", mobiles=mobiles, content="x")).json()["code"] == "00"
    assert server.sandbox.ledger.counts["recipients"] == 3000


async def test_a_body_that_is_no_form_has_no_account(server: SandboxServer, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{server.url}/api/v1/queryBalance", json={"account": "sandbox"})
    assert (answer.status_code, answer.json()["code"]) == (200, Code.AUTH)


async def test_only_post_is_spoken_and_only_documented_paths_exist(
    server: SandboxServer, client: httpx.AsyncClient
) -> None:
    assert (await client.get(f"{server.url}/api/v1/send")).status_code == 405
    assert (await client.post(f"{server.url}/api/v2/send")).status_code == 404


async def test_a_body_too_long_is_refused_before_it_is_kept(server: SandboxServer, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{server.url}/api/v1/send", content=b"x" * 1_000_001)
    assert answer.status_code == 413


async def test_a_request_cut_short_is_not_carried_out(server: SandboxServer, pwd: str, until: Until) -> None:
    body = f"account=sandbox&pwd={pwd}&mobiles=13800130001&content=x".encode()
    head = f"POST /api/v1/send HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body) + 1}\r\n"
    head += "content-type: application/x-www-form-urlencoded\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode() + body)
    await writer.drain()
    await until(lambda: server.sandbox.ledger.counts["calls_send"] == 1)
    writer.close()
    await until(lambda: server.connections == 0)
    assert list(server.sandbox.ledger.sends) == []


async def test_the_answer_of_0005_never_comes_but_the_send_is_booked_and_reported(
    server: SandboxServer, client: httpx.AsyncClient, call: Call, pwd: str, until: Until
) -> None:
    form = {"account": "sandbox", "pwd": pwd, "mobiles": "13800130001,13800130005", "content": "x", "taskId": "t"}
    held = asyncio.ensure_future(client.post(f"{server.url}/api/v1/send", data=form))
    await until(lambda: len(server.sandbox.accounts["sandbox"].reports) == 2)
    assert not held.done()
    held.cancel()
    await asyncio.wait([held])
    await until(lambda: server.connections == 0)
    reports = (await call("report")).json()["data"]
    assert [(row["mobile"], row["status"]) for row in reports] == [
        ("13800130001", "DELIVER"),
        ("13800130005", "DELIVER"),
    ]
    assert [send.answered for send in server.sandbox.ledger.sends_to("13800130005")] == [False]


async def test_the_report_of_0007_waits_before_the_answer_does(server: SandboxServer, call: Call) -> None:
    server.sandbox.settings = SandboxSettings(report_delay_ms=60_000)
    await call("send", mobiles="13800130001,13800130007", content="x")
    reports = (await call("report")).json()["data"]
    assert [row["mobile"] for row in reports] == ["13800130007"]
    assert [send.answered for send in server.sandbox.ledger.sends_to("13800130007")] == [True]


async def test_the_server_closes_at_once_with_held_requests_and_timers_under_way(
    caplog: pytest.LogCaptureFixture, pwd: str, until: Until
) -> None:
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(trust_env=False) as client:
        async with SandboxServer(Sandbox(SandboxSettings(report_delay_ms=60_000))) as server:
            form = {"account": "sandbox", "pwd": pwd, "mobiles": "13800130005", "content": "x"}
            held = asyncio.ensure_future(client.post(f"{server.url}/api/v1/send", data=form, timeout=None))
            await until(lambda: server.courier.pending == 1)
            began_s = loop.time()
        assert loop.time() - began_s < 0.5
        await asyncio.wait([held])
        assert isinstance(held.exception(), httpx.ReadError | httpx.RemoteProtocolError)
    assert caplog.records == []


async def test_several_servers_run_in_one_process_and_touch_neither_logging_nor_signals() -> None:
    loggers = [logging.getLogger(name) for name in ("", "uvicorn", "uvicorn.access", "uvicorn.error")]
    before = [(logger.level, list(logger.handlers), logger.propagate) for logger in loggers]
    handler = signal.getsignal(signal.SIGINT)
    async with SandboxServer() as one, SandboxServer() as other:
        assert one.url != other.url
        assert signal.getsignal(signal.SIGINT) is handler
    assert [(logger.level, list(logger.handlers), logger.propagate) for logger in loggers] == before
    with pytest.raises(RuntimeError):
        _ = one.url


async def test_serve_runs_until_a_signal_and_tells_its_address(pwd: str, client: httpx.AsyncClient) -> None:
    started: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.ensure_future(serve(port=0, started=started.put_nowait))
    async with asyncio.timeout(5):
        url = await started.get()
        answer = await client.post(f"{url}/api/v1/queryBalance", data={"account": "sandbox", "pwd": pwd})
        assert answer.json()["code"] == "00"
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_the_app_also_runs_under_another_server(pwd: str) -> None:
    transport = httpx.ASGITransport(app=create_app(Sandbox()))  # type: ignore[arg-type]  # two spellings of ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        answer = await client.post("/api/v1/queryBalance", data={"account": "sandbox", "pwd": pwd})
    assert answer.json()["code"] == "00"
