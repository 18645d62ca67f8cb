"""Faults on order: each does what its rule says, to whom it says, as often as it says."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from relay.provider.sandbox import Fault, Refusal, SandboxServer
from relay.provider.sandbox.answers import HTML_PAGE

Call = Callable[..., Awaitable[httpx.Response]]
Until = Callable[[Callable[[], object]], Awaitable[None]]

SEND = {"mobiles": "13800130001", "content": "x"}
BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)


def order(server: SandboxServer, **fault: Any) -> None:
    server.sandbox.faults.add(Fault(**fault))


@pytest.mark.parametrize("drop", ["before_read", "after_read"])
async def test_a_dropped_send_is_not_booked_unless_accepted(server: SandboxServer, call: Call, drop: Any) -> None:
    order(server, call="send", drop=drop)
    with pytest.raises(BROKEN):
        await call("send", **SEND)
    assert list(server.sandbox.ledger.sends) == []
    assert (await call("send", **SEND)).json()["code"] == "00"


@pytest.mark.parametrize("drop", ["after_read", "mid_answer"])
async def test_an_accepted_send_is_booked_and_reported_though_its_answer_is_lost(
    server: SandboxServer, call: Call, drop: Any, until: Until
) -> None:
    order(server, call="send", drop=drop, accept=True)
    with pytest.raises(BROKEN):
        await call("send", **SEND)
    await until(lambda: server.sandbox.accounts["sandbox"].reports)
    assert [send.answered for send in server.sandbox.ledger.sends_to("13800130001")] == [False]


async def test_before_read_drops_although_no_byte_of_the_body_has_come(server: SandboxServer) -> None:
    order(server, call="send", drop="before_read")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /api/v1/send HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_after_read_waits_for_the_last_byte_of_the_request(server: SandboxServer, until: Until) -> None:
    order(server, call="send", drop="after_read")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /api/v1/send HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na")
    await until(lambda: server.sandbox.ledger.counts["calls_send"] == 1)
    assert server.connections == 1
    assert server.sandbox.faults.view() != []
    writer.write(b"b")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_half_an_answer_promises_more_than_it_brings(server: SandboxServer) -> None:
    order(server, call="send", drop="mid_answer", body="html")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /api/v1/send HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"content-length: %d" % len(HTML_PAGE) in head
    assert body == HTML_PAGE[: len(HTML_PAGE) // 2]


async def test_a_held_call_gets_no_answer(server: SandboxServer, client: httpx.AsyncClient, pwd: str) -> None:
    order(server, call="queryBalance", drop="hold")
    with pytest.raises(httpx.ReadTimeout):
        await client.post(f"{server.url}/api/v1/queryBalance", data={"account": "sandbox", "pwd": pwd}, timeout=0.05)


@pytest.mark.parametrize("status", [404, 429, 500, 502])
@pytest.mark.parametrize("accept", [True, False])
async def test_a_status_takes_the_place_of_the_answer(
    server: SandboxServer, call: Call, status: int, accept: bool
) -> None:
    order(server, call="send", status=status, accept=accept, headers={"retry-after": "1"})
    answer = await call("send", **SEND)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "1")
    assert answer.headers["content-type"] == "text/html;charset=UTF-8"
    assert [send.answered for send in server.sandbox.ledger.sends] == [False] * accept


@pytest.mark.parametrize(
    ("body", "text"), [("broken_json", '{"code":"00","data":{[{"sendId":'), ("empty", ""), ("html", "<html>")]
)
async def test_a_body_takes_the_place_of_the_answer_with_200(
    server: SandboxServer, call: Call, body: Any, text: str
) -> None:
    order(server, call="send", body=body)
    answer = await call("send", **SEND)
    assert answer.status_code == 200
    assert answer.text[: len(text) or None] == text


async def test_a_refusal_on_order_has_any_code_and_message(server: SandboxServer, call: Call) -> None:
    order(server, call="send", refuse=Refusal(code=1008, message="敏感词"))
    assert (await call("send", **SEND)).json() == {"code": 1008, "data": None, "message": "敏感词"}
    assert list(server.sandbox.ledger.sends) == []


async def test_a_delayed_send_is_booked_before_it_is_answered(
    server: SandboxServer, client: httpx.AsyncClient, pwd: str
) -> None:
    order(server, call="send", delay_ms=60_000)
    form = {"account": "sandbox", "pwd": pwd, **SEND}
    with pytest.raises(httpx.ReadTimeout):
        await client.post(f"{server.url}/api/v1/send", data=form, timeout=0.05)
    assert [send.answered for send in server.sandbox.ledger.sends] == [False]


async def test_a_short_delay_ends_in_the_answer(server: SandboxServer, call: Call) -> None:
    order(server, call="send", delay_ms=30)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    assert (await call("send", **SEND)).json()["code"] == "00"
    assert loop.time() - began_s >= 0.03


@pytest.mark.parametrize("code", ["0", 0])
async def test_success_may_be_spelled_otherwise(server: SandboxServer, call: Call, code: Any) -> None:
    order(server, call="send", code=code)
    assert (await call("send", **SEND)).json()["code"] == code


@pytest.mark.parametrize(
    ("shape", "send_data", "report_data", "left"),
    [
        ("list", [{"taskId": "t"}], ["a", "b"], 0),
        ("object", {"taskId": "t"}, "a", 1),
        ("wrapped_list", {"list": [{"taskId": "t"}]}, {"list": ["a", "b"]}, 0),
        ("json_text", '[{"taskId":"t"}]', '["a","b"]', 0),
        ("null", None, None, 2),
        ("empty_text", "", "", 2),
        ("missing", "missing", "missing", 2),
    ],
)
async def test_data_comes_in_every_shape_and_a_pull_drains_what_it_carries(
    server: SandboxServer, call: Call, until: Until, shape: Any, send_data: object, report_data: object, left: int
) -> None:
    order(server, call="send", data=shape)
    order(server, call="report", data=shape)
    sent = (await call("send", taskId="t", mobiles="13800130001,13800130002", content="x")).json()
    assert sent.get("data", "missing") == send_data
    queue = server.sandbox.accounts["sandbox"].reports
    await until(lambda: len(queue) == 2)

    pulled = json.loads((await call("report")).text)
    rows = {"13800130001": "a", "13800130002": "b"}

    def names(data: Any) -> Any:
        match data:
            case str() if data.startswith("["):
                return json.dumps(names(json.loads(data)), separators=(",", ":"))
            case list():
                return [rows[row["mobile"]] for row in data]
            case {"list": wrapped}:
                return {"list": names(wrapped)}
            case {"mobile": mobile}:
                return rows[mobile]
            case _:
                return data

    assert names(pulled.get("data", "missing")) == report_data
    assert len(queue) == left


async def test_an_answer_may_carry_an_id_of_the_providers_own(server: SandboxServer, call: Call, until: Until) -> None:
    order(server, call="send", answered_task_id="own")
    answered = (await call("send", taskId="t", **SEND)).json()["data"]["taskId"]
    assert answered != "t"
    await until(lambda: server.sandbox.accounts["sandbox"].reports)
    assert (await call("report")).json()["data"][0]["sendId"] == answered
    assert (await call("send", taskId="t", **SEND)).json()["code"] == "07"


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ({"mask": True}, {"mobile": "138****0001"}),
        ({"prefix": "+86"}, {"mobile": "+8613800130001"}),
        ({"prefix": "0086", "mask": True}, {"mobile": "0086138****0001"}),
        ({"times_format": "iso"}, {"times": "2019-04-12T17:57:08+08:00"}),
        ({"times_format": "slashes"}, {"times": "2019/04/12 17:57:08"}),
        ({"times_format": "compact"}, {"times": "20190412175708"}),
        ({"times_format": "epoch_s"}, {"times": 1555063028}),
        ({"times_format": "epoch_ms"}, {"times": 1555063028500}),
        ({"times_format": "empty"}, {"times": ""}),
        ({"times_format": "null"}, {"times": None}),
        ({"times_format": "garbage"}, {"times": "昨天下午"}),
    ],
)
async def test_pulled_rows_are_written_as_the_fault_says(
    server: SandboxServer, call: Call, control: Call, style: dict[str, Any], expected: dict[str, object]
) -> None:
    server.sandbox.now_s = lambda: 1555063028.5
    order(server, call="report", **style)
    await control("POST", "reports", {"sendId": "t", "mobile": "13800130001"})
    row = (await call("report")).json()["data"][0]
    assert row == {"sendId": "t", "status": "DELIVER", "mobile": "13800130001", "extNo": "", "times": row["times"]} | (
        expected
    )


async def test_pulled_rows_may_have_no_time_and_come_several_times(
    server: SandboxServer, call: Call, control: Call
) -> None:
    order(server, call="mo", times_format="missing", copies=2)
    await control("POST", "inbound", {"mobile": "13800130001", "content": "TD"})
    assert (await call("mo")).json()["data"] == [{"mobile": "13800130001", "content": "TD", "extNo": ""}] * 2


@pytest.mark.parametrize(("accept", "left"), [(True, 0), (False, 1)])
async def test_a_pull_whose_answer_is_lost_has_drained_only_if_it_was_accepted(
    server: SandboxServer, call: Call, control: Call, accept: bool, left: int
) -> None:
    order(server, call="report", drop="after_read", accept=accept)
    await control("POST", "reports", {"sendId": "t", "mobile": "13800130001"})
    with pytest.raises(BROKEN):
        await call("report")
    assert len(server.sandbox.accounts["sandbox"].reports) == left


async def test_a_fault_meets_only_the_calls_that_it_names(server: SandboxServer, call: Call) -> None:
    server.sandbox.change_account("other", {})
    order(server, call="send", status=500, times=None, account="other", mobile="13800130002", task_id="t2")
    near_misses = [
        {"account": "other", "mobiles": "13800130001", "taskId": "t2"},
        {"account": "other", "mobiles": "13800130002", "taskId": "t3"},
        {"account": "sandbox", "mobiles": "13800130002", "taskId": "t4"},
    ]
    for fields in near_misses:
        assert (await call("send", content="x", **fields)).status_code == 200
    for _ in range(2):
        hit = await call("send", content="x", account="other", mobiles="13800130001,13800130002", taskId="t2")
        assert hit.status_code == 500
    server.sandbox.faults.clear()
    assert (await call("send", content="x", account="other", mobiles="13800130002", taskId="t5")).status_code == 200


async def test_faults_are_used_up_oldest_first(server: SandboxServer, call: Call) -> None:
    order(server, call="queryBalance", status=500, times=2)
    order(server, call="queryBalance", status=502)
    assert [(await call("queryBalance")).status_code for _ in range(4)] == [500, 500, 502, 200]


@pytest.mark.parametrize(
    "fault",
    [
        {"call": "report", "mobile": "13800130001"},
        {"call": "send", "drop": "before_read", "accept": True},
        {"call": "send", "drop": "before_read", "account": "sandbox"},
        {"call": "callback", "status": 500},
    ],
)
def test_a_fault_that_could_never_happen_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"narrow|dropped before|no answer"):
        Fault(**fault)
