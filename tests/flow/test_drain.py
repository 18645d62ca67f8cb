"""A stop, seen from outside while it goes on: refused, given back, answered early; callbacks are taken as ever."""

import asyncio
import time
from datetime import UTC, datetime

import httpx

from relay.domain.ids import AccountId
from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.hooks import Reply
from tests.flow.world import World, as_json, until

SILENT = SandboxSettings(report_delay_ms=600_000)
JSON = "application/json"
SOON_S = 5.0
"""Less than any wait that is asked for here."""


async def test_new_work_is_refused_and_every_answer_closes_its_connection(world: World) -> None:
    message = await world.send("13800131234", wait=10)
    assert "connection" not in (await world.api.get("/v1/messages")).headers
    world.gateway.withdraw()

    refused = await world.api.post("/v1/messages", json={"to": "13800131235", "text": "x"})
    read = await world.api.get(f"/v1/messages/{message['id']}")
    ready = await world.api.get("/readyz")

    assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert int(refused.headers["retry-after"]) >= 1
    assert (read.status_code, ready.status_code) == (200, 503)
    assert [answer.headers["connection"] for answer in (refused, read, ready)] == ["close"] * 3


async def test_a_refused_request_is_read_to_its_end_so_that_its_sender_sees_the_answer(world: World) -> None:
    world.gateway.withdraw()
    url = httpx.URL(world.url)
    body = as_json({"to": "13800131234", "text": "x" * 1_900_000})
    head = f"POST /v1/messages HTTP/1.1\r\nhost: relay\r\ncontent-length: {len(body)}\r\ncontent-type: {JSON}\r\n"
    secret = world.api.headers["authorization"]

    # By hand: a good client reads the answer before it minds that it cannot send the rest.
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"{head}authorization: {secret}\r\n\r\n".encode())
    for start in range(0, len(body), 100_000):
        writer.write(body[start : start + 100_000])
        await writer.drain()
        await asyncio.sleep(0.005)
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"draining"' in answer


async def test_who_waits_is_answered_with_what_is_known(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", drop="hold", accept=True)
        cursor = (await world.api.get("/v1/events")).json()["next_cursor"]
        started_s = time.monotonic()
        polled = asyncio.create_task(world.api.get("/v1/events", params={"cursor": cursor, "wait": "30"}))
        sent = asyncio.create_task(world.send("13800131234", wait=30))
        await until(lambda: world.sends)
        assert not polled.done()

        world.gateway.withdraw()

        page, message = await polled, await sent
        again = await world.api.get("/v1/events", params={"cursor": cursor, "wait": "30"})
        assert time.monotonic() - started_s < SOON_S
        assert (page.status_code, page.json()["data"]) == (200, [])
        assert again.json()["next_cursor"] == page.json()["next_cursor"]
        assert message["status"] == "submitting"


async def test_a_callback_is_taken_and_its_event_waits_for_another_process(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        await world.add_endpoint("/hook", event_types=["message.delivered"])
        message = await world.send("13800131234", wait=10)
        world.gateway.withdraw()

        pushed = await world.report(message["submissions"][0]["task_id"], "13800131234")

        assert pushed == [200]
        assert len(await world.events("message.delivered")) == 1
        assert world.rows("SELECT claim FROM deliveries") == [(None,)]
        assert world.hooks.on("/hook") == []


async def test_what_waits_in_memory_is_given_back_at_once_and_what_runs_is_finished(
    worlds: OpenWorld, log: Log
) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.hooks.script("/hook", Reply(delay_s=1.0))
        await world.add_endpoint("/hook", event_types=["message.submitted"])
        for number in range(5):
            await world.send(f"1380013{3000 + number}", wait=10)
        await world.hooks_when("/hook", 1)
        leased = "SELECT COUNT(*) FROM deliveries WHERE claim IS NOT NULL"
        assert world.rows(leased) == [(5,)]

        world.gateway.withdraw()

        await until(lambda: world.rows(leased) == [(1,)], seconds=0.9)
        assert [line["deliveries"] for line in await log.when("deliveries.given_back")] == [4]
        await world.gateway.idle()
        assert world.rows("SELECT claim FROM deliveries") == [(None,)] * 4
        assert world.rows("SELECT status FROM delivery_history") == [("delivered",)]
        assert len(world.hooks.on("/hook")) == 1


async def test_what_waits_for_a_slot_of_the_process_is_given_back_too(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT), delivery_max_in_flight_total=1) as world:
        world.hooks.script("/slow", Reply(delay_s=1.0))
        for path in ("/slow", "/slow", "/slow"):
            await world.add_endpoint(path, event_types=["message.submitted"])
        await world.send("13800131234", wait=10)
        await world.hooks_when("/slow", 1)

        world.gateway.withdraw()

        await until(lambda: len(world.rows("SELECT 1 FROM deliveries WHERE claim IS NULL")) == 2, seconds=0.9)
        await world.gateway.idle()
        assert (len(world.hooks.on("/slow")), world.hooks.peak["/slow"]) == (1, 1)


async def test_nothing_that_waits_in_the_store_is_submitted_any_more(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        later = datetime.fromtimestamp(clock.now_ms() / 1000 + 60, UTC).isoformat()
        await world.send("13800131234", send_at=later)
        world.gateway.withdraw()

        clock.move(120)
        world.gateway.submit.wake(AccountId(world.account["id"]))
        await asyncio.sleep(0.2)
        await world.gateway.idle()

        assert world.sends == []
        assert world.rows("SELECT status FROM submissions") == [("scheduled",)]
