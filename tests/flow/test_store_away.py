"""Promise 3: a callback answered 200 is never lost, also while the database is away."""

import asyncio
import contextlib
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

from relay.provider.sandbox import Sandbox, SandboxSettings
from relay.store.script import Db, Script
from tests.flow.conftest import Log, OpenWorld
from tests.flow.hooks import Hook, Reply
from tests.flow.opening import reopened
from tests.flow.world import Limits, World, as_json, until

SILENT = SandboxSettings(report_delay_ms=600_000)
JSON = "application/json"


@contextlib.contextmanager
def locked(world: World) -> Iterator[None]:
    """Somebody else writes to the database and does not end."""
    with contextlib.closing(sqlite3.connect(world.directory / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


@contextlib.contextmanager
def full(world: World) -> Iterator[None]:
    """The database's log cannot grow: writes beyond its present end fail, as on a full disk. Smaller files can grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size_bytes = (world.directory / "relay.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def ready(world: World, number: int) -> list[dict[str, Any]]:
    """So many messages that the provider has accepted and not yet reported on; a webhook endpoint beside."""
    await world.add_endpoint("/hook", event_types=["message.delivered", "message.failed", "inbound.received"])
    return await asyncio.gather(*(world.send(f"1380013{3000 + index}", wait=20) for index in range(number)))


def report_of(message: dict[str, Any], index: int, status: str = "DELIVRD") -> bytes:
    """The report on one of them."""
    task = message["submissions"][0]["task_id"]
    return as_json({"sendId": task, "mobile": f"1380013{3000 + index}", "status": status})


def told(hooks: list[Hook]) -> list[tuple[str, str]]:
    """Who was told to be what, sorted."""
    events = [hook.event["data"] for hook in hooks]
    return sorted((row["to"], row["status"]) for data in events for row in data.get("recipients", []))


async def test_while_the_database_is_locked_callbacks_are_spooled_and_applied_once_afterwards(
    worlds: OpenWorld, log: Log
) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        messages = await ready(world, 20)
        with locked(world):
            calls = [
                world.call_back("report", report_of(message, index), JSON) for index, message in enumerate(messages)
            ]
            calls.append(
                world.call_back("mo", as_json({"mobile": "13800131234", "content": "收到", "extNo": "101"}), JSON)
            )
            calls.append(world.call_back("report", b"\xff garbage", JSON))
            send = world.api.post(
                "/v1/messages", json={"to": "13800131234", "text": "x"}, headers={"idempotency-key": "k"}
            )
            refused, *answers = await asyncio.gather(send, *calls)
            assert [answer.status_code for answer in answers] == [200] * 22
            assert (refused.status_code, refused.json()["retryable"]) == (503, True)
            assert refused.headers["retry-after"]
            assert world.gateway.spool.depth == 22

        hooks = await world.hooks_when("/hook", 21)
        await until(lambda: world.gateway.spool.depth == 0)
        assert told(hooks) == [(f"1380013{3000 + index}", "delivered") for index in range(20)]
        assert [hook.type for hook in hooks].count("inbound.received") == 1
        states = dict(world.rows("SELECT state, COUNT(*) FROM raw_bodies GROUP BY state"))
        assert states == {"applied": 21, "quarantined": 1}
        assert world.rows("SELECT COUNT(*) FROM reports") == [(20,)]
        assert await world.metric("relay_callbacks_total", result="spooled") == 22
        await until(lambda: sum(line["bodies"] for line in log.of("spool.replayed")) == 22)
        # What was refused was not stored: its key is free.
        assert (await world.send("13800131234", "x", key="k"))["to_count"] == 1


async def test_while_the_disk_of_the_database_is_full_callbacks_are_spooled_and_applied_in_order(
    worlds: OpenWorld,
) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        messages = await ready(world, 10)
        with full(world):
            for index, message in enumerate(messages):
                for status in ("UNDELIV", "DELIVRD"):
                    answer = await world.call_back("report", report_of(message, index, status), JSON)
                    assert answer.status_code == 200
            assert world.gateway.spool.depth == 20
            assert (await world.api.get("/v1/messages")).status_code == 200

        hooks = await world.hooks_when("/hook", 10)
        await until(lambda: world.gateway.spool.depth == 0)
        # In order: the first report of each counts, the second contradicts it.
        assert told(hooks) == [(f"1380013{3000 + index}", "undelivered") for index in range(10)]
        bodies = [row[0] for row in world.rows("SELECT body FROM raw_bodies ORDER BY rowid")]
        assert bodies == [
            report_of(message, index, status)
            for index, message in enumerate(messages)
            for status in ("UNDELIV", "DELIVRD")
        ]
        assert len(await world.events("message.report_conflict")) == 10


async def test_a_report_that_comes_during_a_replay_does_not_overtake_the_one_that_waits(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        messages = await ready(world, 20)
        with locked(world):
            # Many in front, so that the replay takes its time.
            fillers = [report_of(messages[0], number + 100) for number in range(600)]
            for start in range(0, len(fillers), 50):
                await asyncio.gather(*(world.call_back("report", body, JSON) for body in fillers[start : start + 50]))
            for index, message in enumerate(messages):
                await world.call_back("report", report_of(message, index, "UNDELIV"), JSON)
            assert world.gateway.spool.depth == 620

        answers = []
        for index, message in enumerate(messages):
            started_s = time.monotonic()
            answers.append((await world.call_back("report", report_of(message, index), JSON)).status_code)
            assert time.monotonic() - started_s < 1.0

        await until(lambda: not world.gateway.spool.waiting)
        assert answers == [200] * 20
        assert told(await world.hooks_when("/hook", 20)) == [(f"1380013{3000 + n}", "undelivered") for n in range(20)]
        assert len(await world.events("message.report_conflict")) == 20
        assert await world.metric("relay_spool_replayed_total") >= 620
        # In order again without the spool once it is empty.
        stored = await world.metric("relay_callbacks_total", result="stored")
        assert (await world.call_back("report", report_of(messages[0], 0), JSON)).status_code == 200
        assert await world.metric("relay_callbacks_total", result="stored") == stored + 1


async def test_while_the_database_hangs_callbacks_are_answered_in_time_and_applied_once(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT), callback_store_timeout_s=0.2) as world:
        messages = await ready(world, 5)
        goes_on = threading.Event()

        def hang(db: Db) -> Script[None]:
            goes_on.wait()
            yield from db.run("raw.forget", id=b"nothing")

        hanging = asyncio.create_task(world.gateway.store._driver.write(hang))
        try:
            started_s = time.monotonic()
            calls = (
                world.call_back("report", report_of(message, index), JSON) for index, message in enumerate(messages)
            )
            answers = await asyncio.gather(*calls)
            assert [answer.status_code for answer in answers] == [200] * 5
            assert time.monotonic() - started_s < 5.0
            assert world.gateway.spool.depth == 5
        finally:
            goes_on.set()

        # The late writes and the replay say the same.
        await hanging
        await until(lambda: not world.gateway.spool.waiting)
        assert len(await world.events("message.delivered")) == 5
        assert world.rows("SELECT COUNT(*) FROM reports") == world.rows("SELECT COUNT(*) FROM raw_bodies") == [(5,)]
        assert len(told(await world.hooks_when("/hook", 5))) == 5


async def test_what_was_spooled_survives_the_end_of_the_process(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        (message,) = await ready(world, 1)
        with full(world):
            assert (await world.call_back("report", report_of(message, 0), JSON)).status_code == 200
            await world.gateway.stop()

    async with reopened(world) as again:
        await again.message_when(message["id"], "delivered")
        assert again.gateway.spool.depth == 0


async def test_the_outcome_of_a_send_is_stored_once_the_database_is_back(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=1000)
        message = await world.send("13800131234")
        await until(lambda: world.sends)
        with full(world):
            await until(lambda: world.sends[0].answered)
            await asyncio.sleep(0.3)
            assert (await world.message(message["id"]))["status"] == "submitting"

        await world.message_when(message["id"], "submitted")
        assert world.counts["calls_send"] == 1


async def test_a_pulled_body_is_spooled_when_it_cannot_be_stored(worlds: OpenWorld) -> None:
    limits = Limits(pull_reports=True, pushes=False)
    async with worlds(limits=limits, sandbox=Sandbox(SandboxSettings(report_delay_ms=600_000))) as world:
        message = await world.send("13800131234", wait=20)
        with full(world):
            await world.report(message["submissions"][0]["task_id"], "13800131234")
            await until(lambda: world.counts.get("report_rows_pulled"))
            await until(lambda: world.gateway.spool.depth >= 1)

        await world.message_when(message["id"], "delivered")
        (recipient,) = await world.recipients(message["id"])
        assert [report["source"] for report in recipient["reports"]] == ["pull"]


async def test_a_webhook_that_was_sent_while_the_database_was_away_is_not_sent_again(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.hooks.script("/hook", Reply(delay_s=0.3))
        (message,) = await ready(world, 1)
        await world.report(message["submissions"][0]["task_id"], "13800133000")
        await world.hooks_when("/hook", 1)
        with full(world):
            await asyncio.sleep(0.6)

        await until(lambda: world.rows("SELECT 1 FROM delivery_history WHERE status = 'delivered'"))
        assert len(world.hooks.on("/hook")) == 1


async def test_readyz_tells_that_the_replica_drains(world: World) -> None:
    async with world.client("") as anybody:
        assert (await anybody.get("/readyz")).status_code == 200
        world.gateway.services.readiness.draining = True

        assert (await anybody.get("/readyz")).status_code == 503
        assert (await anybody.get("/livez")).status_code == 200
        refused = await world.api.post("/v1/messages", json={"to": "13800131234", "text": "x"})
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
