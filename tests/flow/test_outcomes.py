"""What becomes of a submission when the provider does not simply say yes."""

import asyncio
from typing import Any

import pytest

from relay.provider.sandbox import Sandbox, SandboxServer, SandboxSettings
from tests.flow.conftest import Log, OpenWorld
from tests.flow.opening import reopened
from tests.flow.world import THROTTLED, Limits, World, as_json, until

# Ends in digits to which the sandbox gives no fate of their own: delivered.
MOBILE = "13800131234"


def silent() -> Sandbox:
    """A provider whose own reports come in ten minutes: those of the test come first."""
    return Sandbox(SandboxSettings(report_delay_ms=600_000))


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"drop": "hold"}, "read_timeout"),
        ({"drop": "after_read"}, "connection_lost"),
        ({"drop": "mid_answer"}, "connection_lost"),
        ({"status": 502}, "http_status"),
        ({"status": 500}, "http_status"),
        ({"body": "broken_json"}, "unreadable"),
        ({"body": "html"}, "unreadable"),
        ({"body": "empty"}, "unreadable"),
    ],
    ids=lambda value: "-".join(f"{key}={word}" for key, word in value.items()) if isinstance(value, dict) else value,
)
async def test_what_may_have_arrived_is_not_sent_again_and_a_late_report_delivers_it(
    fault: dict[str, Any], why: str, worlds: OpenWorld, log: Log
) -> None:
    async with worlds(limits=Limits(timeout_s=1.0), sandbox=silent()) as world:
        world.fault(call="send", accept=True, **fault)

        message = await world.send(MOBILE)
        message = await world.message_when(message["id"], "unconfirmed")

        (line,) = await log.when("submission.attempted")
        assert (line["outcome"], line["why"], line["attempt"]) == ("unconfirmed", why, 1)
        await world.report(message["submissions"][0]["task_id"], MOBILE)
        await world.message_when(message["id"], "delivered")
        assert [record.mobiles for record in world.sends] == [[MOBILE]]
        assert world.counts["calls_send"] == 1
        assert [event["type"] for event in await world.events()] == ["message.delivered"]


async def test_a_submission_left_unconfirmed_is_asked_for_by_nobody_while_it_waits(worlds: OpenWorld) -> None:
    async with worlds(sandbox=silent()) as world:
        world.fault(call="send", drop="after_read")

        message = await world.send(MOBILE)
        await world.message_when(message["id"], "unconfirmed")
        other = await world.send("13800131235", wait=10)

        assert other["status"] == "submitted"
        assert world.counts["calls_send"] == 2
        assert [record.mobiles for record in world.sends] == [["13800131235"]]


async def test_a_refused_connection_is_tried_again_with_the_same_task_id_and_sent_once(worlds: OpenWorld) -> None:
    async with worlds() as world:
        port = world.provider.port
        await world.provider.__aexit__()
        message = await world.send(MOBILE)
        await until(lambda: world.rows("SELECT 1 FROM submissions WHERE status = 'queued' AND attempt > 0"))

        async with SandboxServer(world.provider.sandbox, port=port):
            message = await world.message_when(message["id"], "delivered")

        assert [record.task_id for record in world.sends] == [message["submissions"][0]["id"].removeprefix("sub_")]
        assert world.counts["calls_send"] == 1
        await world.provider.__aenter__()


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"status": 429}, "http_429"),
        ({"refuse": {"code": THROTTLED, "message": "请求过于频繁"}}, "code"),
        ({"drop": "before_read"}, "connection_lost"),
    ],
    ids=["429", "retryable code", "dropped before it was read"],
)
async def test_only_what_was_provably_turned_away_is_tried_again(
    fault: dict[str, Any], why: str, worlds: OpenWorld, log: Log
) -> None:
    async with worlds(sandbox=silent()) as world:
        world.fault(call="send", **fault)

        message = await world.send(MOBILE)

        if why == "connection_lost":
            # Our bytes were written: nobody can know that the other side did not read them.
            await world.message_when(message["id"], "unconfirmed")
            assert world.sends == []
            return
        message = await world.message_when(message["id"], "submitted")
        lines = await log.when("submission.attempted", 2)
        assert [(line["outcome"], line["why"]) for line in lines] == [("not_sent", why), ("accepted", None)]
        assert [record.task_id for record in world.sends] == [message["submissions"][0]["task_id"]]
        assert world.counts["calls_send"] == 2


async def test_a_throttled_submission_waits_as_long_as_the_provider_asked(worlds: OpenWorld, log: Log) -> None:
    async with worlds(sandbox=silent()) as world:
        world.fault(call="send", status=429, headers={"retry-after": "2"})

        message = await world.send(MOBILE)
        await until(lambda: log.of("submission.attempted"))

        assert 1.5 <= log.of("submission.attempted")[0]["next_due_in_s"] <= 2.5
        assert (await world.message(message["id"]))["status"] == "queued"


async def test_a_definite_refusal_fails_the_message_with_the_providers_own_words(world: World) -> None:
    world.fault(call="send", refuse={"code": "77", "message": "内容违规"})

    message = await world.send(MOBILE, wait=10)

    assert (message["status"], message["counts"]) == ("failed", {"failed": 1})
    assert (message["submissions"][0]["code"], message["submissions"][0]["provider_message"]) == ("77", "内容违规")
    (event,) = await world.events()
    (told,) = event["data"]["recipients"]
    assert (event["type"], told["status"], told["provider_status"]) == ("message.failed", "failed", "77")
    assert world.sends == []


async def test_on_unconfirmed_resend_sends_it_again_and_fail_gives_it_up(worlds: OpenWorld) -> None:
    async with worlds(sandbox=silent()) as world:
        world.fault(call="send", drop="after_read")
        resent = await world.send(MOBILE, on_unconfirmed="resend")
        await world.message_when(resent["id"], "submitted")
        assert (world.counts["calls_send"], len(world.sends)) == (2, 1)

        world.fault(call="send", drop="after_read", accept=True)
        given_up = await world.send("13800131235", on_unconfirmed="fail")
        await world.message_when(given_up["id"], "failed")
        assert (world.counts["calls_send"], len(world.sends)) == (3, 2)


async def test_a_resend_is_taken_for_success_when_the_provider_knows_the_task_already(worlds: OpenWorld) -> None:
    async with worlds(sandbox=silent()) as world:
        # The provider's own code for a repeated taskId, as an operator lists it.
        created = await world.admin.post(
            "/v1/admin/accounts",
            json={
                "name": "strict",
                "base_url": world.provider.url,
                "account": "sandbox",
                "password": world.secrets["password"],
                "codes": {"07": {"class": "duplicate"}},
                "pull_reports": False,
                "pull_inbound": False,
            },
        )
        _, api = await world.add_team("strict", accounts=[created.json()["id"]])
        world.fault(call="send", drop="after_read", accept=True)

        message = await world.send(MOBILE, on_unconfirmed="resend", api=api)

        await until(lambda: world.rows("SELECT 1 FROM submissions WHERE status = 'submitted'"))
        assert message["submissions"][0]["task_id"] == world.sends[0].task_id
        assert (len(world.sends), world.counts["duplicates"]) == (1, 1)


async def test_a_stop_waits_for_what_is_being_sent_and_stores_its_outcome(worlds: OpenWorld) -> None:
    async with worlds(sandbox=silent()) as world:
        world.fault(call="send", delay_ms=300)
        await world.send(MOBILE)
        await until(lambda: world.sends)

        cut = await world.gateway.submit.drain(10.0)

        assert cut == 0
        assert world.rows("SELECT status FROM submissions") == [("submitted",)]


async def test_what_a_dead_process_was_sending_is_unconfirmed_after_the_restart_and_what_waited_runs(
    worlds: OpenWorld,
) -> None:
    sandbox = silent()
    async with worlds(limits=Limits(connections=1), sandbox=sandbox) as world:
        world.fault(call="send", drop="hold", accept=True, times=None)
        held = await world.send(MOBILE)
        waiting = await world.send("13800131235")
        await until(lambda: world.sends)
        # Cut off with no time to end: as after a crash, the mark `submitting` is all that is left.
        await world.gateway.submit.drain(0.0)
        assert world.rows("SELECT status FROM submissions ORDER BY id") == [("submitting",), ("queued",)]

    sandbox.faults.clear()
    async with reopened(world) as again:
        await again.message_when(waiting["id"], "submitted")
        await again.message_when(held["id"], "unconfirmed")
        report = {"sendId": held["submissions"][0]["task_id"], "mobile": MOBILE, "status": "DELIVRD"}
        await again.call_back("report", as_json(report), "application/json")
        await again.message_when(held["id"], "delivered")
    assert [record.mobiles for record in sandbox.ledger.sends] == [[MOBILE], ["13800131235"]]


async def test_two_hundred_sends_at_once_are_each_sent_once_and_delivered_once(world: World) -> None:
    mobiles = [f"1380013{number:04}" for number in range(2000, 2200)]

    await asyncio.gather(*(world.send(mobile) for mobile in mobiles))

    events = await world.events_when(200, "message.delivered")
    assert sorted(event["data"]["recipients"][0]["to"] for event in events) == mobiles
    assert sorted(record.mobiles[0] for record in world.sends) == mobiles
    assert world.counts["calls_send"] == 200
