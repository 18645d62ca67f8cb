"""Reports and inbound messages as the provider pushes them: once, in any shape, answered 200."""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.conftest import Log, OpenWorld
from tests.flow.world import World, as_json, plain_client, until

MOBILE = "13800131234"
TIMES = "2026-11-23 09:30:00"
SILENT = SandboxSettings(report_delay_ms=600_000)
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Push = tuple[bytes, str, dict[str, Any]]


def row_of(task: str, **other: object) -> dict[str, object]:
    """A report as documented."""
    return {"sendId": task, "mobile": MOBILE, "times": TIMES, "status": "DELIVRD", **other}


SHAPES: dict[str, Callable[[str], Push]] = {
    "as documented": lambda task: (as_json(row_of(task)), JSON, {}),
    "JSON list": lambda task: (as_json([row_of(task)]), JSON, {}),
    "list under a key": lambda task: (as_json({"list": [row_of(task)]}), JSON, {}),
    "JSON of no stated type": lambda task: (as_json(row_of(task)), "text/plain", {}),
    "form": lambda task: (urlencode(row_of(task)).encode(), FORM, {}),
    "form field that holds JSON": lambda task: (urlencode({"data": as_json([row_of(task)])}).encode(), FORM, {}),
    "GB18030": lambda task: (as_json(row_of(task, remark="送达")).decode().encode("gb18030"), JSON, {}),
    "GET query": lambda task: (b"", "", {"method": "GET", "params": row_of(task)}),
    "+86": lambda task: (as_json(row_of(task, mobile=f"+86{MOBILE}")), JSON, {}),
    "86": lambda task: (as_json(row_of(task, mobile=f"86{MOBILE}")), JSON, {}),
    "0086": lambda task: (as_json(row_of(task, mobile=f"0086{MOBILE}")), JSON, {}),
    "number as a number": lambda task: (as_json(row_of(task, mobile=int(MOBILE))), JSON, {}),
    "masked": lambda task: (as_json(row_of(task, mobile="138****1234")), JSON, {}),
    "unreadable time": lambda task: (as_json(row_of(task, times="soon")), JSON, {}),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_report_in_any_shape_is_answered_200_and_delivers(shape: str, worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        message = await world.send(MOBILE, wait=10)
        body, media_type, more = SHAPES[shape](message["submissions"][0]["task_id"])

        answer = await world.call_back("report", body, media_type, **more)

        assert (answer.status_code, answer.json()["code"]) == (200, "00")
        (recipient,) = await world.recipients(message["id"])
        assert (recipient["status"], recipient["final"]) == ("delivered", True)
        (report,) = recipient["reports"]
        assert (report["source"], report["status"]) == ("push", "DELIVRD")
        assert len(await world.events("message.delivered")) == 1
        assert world.rows("SELECT state FROM raw_bodies") == [("applied",)]


async def test_a_repeated_report_changes_nothing_and_is_kept(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        message = await world.send(MOBILE, wait=10)
        body = as_json(row_of(message["submissions"][0]["task_id"]))

        answers = await asyncio.gather(*(world.call_back("report", body, JSON) for _ in range(5)))

        assert [answer.status_code for answer in answers] == [200] * 5
        assert len(await world.events("message.delivered")) == 1
        assert (await world.message(message["id"]))["counts"] == {"delivered": 1}
        assert world.rows("SELECT COUNT(*) FROM reports") == [(5,)]
        assert await world.metric("relay_callbacks_total", kind="report", result="stored") == 5


async def test_a_report_that_contradicts_the_first_is_kept_counted_and_told(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        message = await world.send(MOBILE, wait=10)
        task = message["submissions"][0]["task_id"]

        await world.report(task, MOBILE, "DELIVRD")
        await world.report(task, MOBILE, "UNDELIV")
        await world.report(task, MOBILE, "UNDELIV")

        (recipient,) = await world.recipients(message["id"])
        assert recipient["status"] == "delivered"
        assert [report["status"] for report in recipient["reports"]] == ["DELIVRD", "UNDELIV", "UNDELIV"]
        told = [event["type"] for event in await world.events()]
        assert told == ["message.submitted", "message.delivered", "message.report_conflict"]
        assert [event["data"]["sequence"] for event in await world.events()] == [1, 2, 3]
        assert await world.metric("relay_report_conflicts_total") == 1


async def test_a_report_before_the_answer_delivers_and_the_answer_takes_nothing_back(world: World) -> None:
    # Numbers ending in 0007: the sandbox reports before it answers.
    message = await world.send("13800130007")

    message = await world.message_when(message["id"], "delivered")

    assert message["counts"] == {"delivered": 1}
    await until(lambda: world.rows("SELECT 1 FROM submissions WHERE status = 'submitted'"))
    assert (await world.message(message["id"]))["counts"] == {"delivered": 1}
    assert [event["type"] for event in await world.events()] == ["message.delivered"]


async def test_the_sandboxs_own_double_report_is_one_event(world: World) -> None:
    message = await world.send("13800130008")

    await world.message_when(message["id"], "delivered")
    await until(lambda: world.rows("SELECT COUNT(*) FROM reports GROUP BY submission HAVING COUNT(*) = 2"))

    assert len(await world.events("message.delivered")) == 1


async def test_a_report_under_an_unknown_task_is_kept_as_an_orphan(world: World) -> None:
    pushed = await world.report("f" * 32, MOBILE)

    assert pushed == [200]
    assert world.rows("SELECT kind, task_id, mobile_text, content, resolved_ms FROM orphans") == [
        ("report", "f" * 32, MOBILE, "DELIVRD", None)
    ]
    assert await world.events() == []


async def test_an_orphan_is_matched_when_the_provider_answers_with_that_task_id(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT, new_id=lambda: "0042-their-own")) as world:
        world.fault(call="send", answered_task_id="own")
        # Numbers ending in 0007: the report comes first, under an id that only the answer will tell us.
        message = await world.send("13800130007")

        message = await world.message_when(message["id"], "delivered")

        assert message["submissions"][0]["task_id"] == "0042-their-own"
        ((task, resolved_ms),) = world.rows("SELECT task_id, resolved_ms FROM orphans")
        assert (task, resolved_ms is None) == ("0042-their-own", False)
        assert len(await world.events("message.delivered")) == 1


async def test_reports_under_either_task_id_find_the_message(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT, new_id=lambda: "their-own")) as world:
        world.fault(call="send", answered_task_id="own")
        message = await world.send([MOBILE, "13800131235"], wait=10)

        await world.report("their-own", MOBILE)
        await world.report(message["submissions"][0]["id"].removeprefix("sub_"), "13800131235")

        assert (await world.message(message["id"]))["counts"] == {"delivered": 2}


GARBAGE = random.Random(7).randbytes(1_000_000)  # noqa: S311 - made-up noise, the same every time


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (GARBAGE, JSON),
        (GARBAGE, FORM),
        (b"[" * 1_000_000, JSON),
        (b'{"a":' * 200_000, JSON),
        (b"&" * 1_000_000, FORM),
        (b'{"sendId": "x", "mobile": "1380013', JSON),
        (b"", JSON),
        (b"hello", "multipart/form-data; boundary=x"),
        (as_json({"mobile": None, "status": None}), JSON),
    ],
    ids=["noise", "noise as form", "deep list", "deep object", "ampersands", "torn", "empty", "multipart", "nulls"],
)
@pytest.mark.parametrize("kind", ["report", "mo"])
async def test_what_cannot_be_read_is_answered_200_and_kept_in_quarantine(
    kind: str, content: bytes, media_type: str, world: World
) -> None:
    answer = await world.call_back(kind, content, media_type)

    assert answer.status_code == 200
    assert world.rows("SELECT kind, state, body FROM raw_bodies") == [(kind, "quarantined", content)]
    assert await world.metric("relay_callbacks_total", kind=kind, result="quarantined") == 1
    assert await world.metric("relay_unreadable_bodies_total", kind=kind) == 1


async def test_the_readable_rows_of_a_half_broken_list_count_and_the_body_is_quarantined(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        message = await world.send(MOBILE, wait=10)
        good = row_of(message["submissions"][0]["task_id"])

        answer = await world.call_back("report", as_json([good, {"who": "knows"}]), JSON)

        assert answer.status_code == 200
        assert (await world.message(message["id"]))["status"] == "delivered"
        assert world.rows("SELECT state FROM raw_bodies") == [("quarantined",)]


async def test_rows_of_many_messages_in_one_body_are_all_applied(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        mobiles = [f"1380013{number}" for number in range(3000, 3050)]
        messages = await asyncio.gather(*(world.send(mobile, wait=10) for mobile in mobiles))
        rows = [
            row_of(message["submissions"][0]["task_id"], mobile=mobile)
            for message, mobile in zip(messages, mobiles, strict=True)
        ]

        await world.call_back("report", as_json(rows), JSON)

        assert len(await world.events("message.delivered")) == 50
        assert await world.metric("relay_callback_rows_total", kind="report", result="applied") == 50


async def test_an_unknown_token_gets_404_and_is_counted(world: World) -> None:
    async with plain_client(base_url=world.url) as stranger:
        answers = [await stranger.post(f"/callbacks/{'0' * 48}/{kind}", content=b"{}") for kind in ("report", "mo")]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert await world.metric("relay_callbacks_total", result="unknown_token") == 2
    assert world.rows("SELECT * FROM raw_bodies") == []


async def test_callbacks_are_taken_from_allowed_addresses_only_behind_the_stated_proxies(
    world: World, log: Log
) -> None:
    created = await world.admin.post(
        "/v1/admin/accounts",
        json={
            "name": "guarded",
            "base_url": world.provider.url,
            "account": "guarded",
            "password": "guarded-password",
            "callback_allow": ["203.0.113.0/24"],
            "callback_proxies": 1,
            "pull_reports": False,
            "pull_inbound": False,
        },
    )
    world.account = created.json()
    body = as_json(row_of("f" * 32))

    async def status(forwarded_for: str | None) -> int:
        headers = {} if forwarded_for is None else {"x-forwarded-for": forwarded_for}
        async with plain_client(headers=headers) as client:
            return (await client.post(world.account["callback_urls"]["report"], content=body)).status_code

    assert await status("203.0.113.9") == 200
    assert await status("198.51.100.1, 203.0.113.9") == 200
    assert await status("203.0.113.9, 198.51.100.1") == 403
    assert await status(None) == 403
    assert await world.metric("relay_callbacks_total", result="address_not_allowed") == 2
    assert world.rows("SELECT COUNT(*) FROM raw_bodies") == [(2,)]
