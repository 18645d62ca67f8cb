"""What the caller of POST /v1/messages is promised: answers, replays, waiting, and many numbers at once."""

import asyncio
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from relay.domain.numbers import mask_of
from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.world import Limits, World, until

MOBILE = "13800131234"
SILENT = SandboxSettings(report_delay_ms=600_000)


async def test_an_accepted_message_is_answered_202_with_its_location(world: World) -> None:
    answer = await world.api.post(
        "/v1/messages", json={"to": MOBILE, "text": "hello", "reference": "order-77", "metadata": {"order": "77"}}
    )

    message = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/messages/{message['id']}")
    assert (message["to_count"], message["segments"], message["units"]) == (1, 1, 1)
    await world.message_when(message["id"], "delivered")
    for event in await world.events():
        assert (event["data"]["reference"], event["data"]["metadata"]) == ("order-77", {"order": "77"})


async def test_prefer_wait_answers_200_with_the_outcome_of_every_submission(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=200, times=None)

        answer = await world.api.post(
            "/v1/messages", json={"to": [MOBILE, "13800231234"], "text": "hello"}, headers={"prefer": "wait=20"}
        )

        assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=20")
        # The two numbers share a mask: two submissions.
        assert [submission["status"] for submission in answer.json()["submissions"]] == ["submitted"] * 2
        assert answer.json()["counts"] == {"submitted": 2}


async def test_prefer_wait_answers_after_its_time_with_what_is_known(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", drop="hold")
        started_s = time.monotonic()

        message = await world.send(MOBILE, wait=1)

        assert 1.0 <= time.monotonic() - started_s < 3.0
        assert message["status"] == "submitting"


async def test_prefer_wait_answers_at_once_for_an_unconfirmed_outcome(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", drop="after_read")

        message = await world.send(MOBILE, wait=20)

        assert message["status"] == "unconfirmed"


async def test_a_replay_is_the_first_answer_byte_by_byte_and_sends_nothing(world: World) -> None:
    body = b'{"to":"13800131234","text":"hello"}'
    headers = {"content-type": "application/json", "idempotency-key": "order-77"}

    first = await world.api.post("/v1/messages", content=body, headers=headers)
    await world.message_when(first.json()["id"], "delivered")
    again = await world.api.post("/v1/messages", content=body, headers=headers)
    quoted = await world.api.post("/v1/messages", content=body, headers=headers | {"idempotency-key": '"order-77"'})

    for replay in (again, quoted):
        assert (replay.status_code, replay.content) == (first.status_code, first.content)
        assert replay.headers["idempotent-replayed"] == "true"
        assert replay.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert world.counts["sends"] == 1


async def test_a_replay_of_a_call_that_waited_is_what_it_was_answered_then(world: World) -> None:
    headers = {"idempotency-key": "k", "prefer": "wait=10"}
    body = {"to": MOBILE, "text": "hello"}

    first = await world.api.post("/v1/messages", json=body, headers=headers)
    again = await world.api.post("/v1/messages", json=body, headers=headers)

    assert (again.status_code, again.content) == (200, first.content)
    assert first.json()["submissions"][0]["status"] == "submitted"


async def test_a_key_with_another_body_is_422_and_belongs_to_its_team_alone(world: World) -> None:
    _, other = await world.add_team("others")
    headers = {"idempotency-key": "k"}
    await world.api.post("/v1/messages", json={"to": MOBILE, "text": "one"}, headers=headers)

    reused = await world.api.post("/v1/messages", json={"to": MOBILE, "text": "two"}, headers=headers)
    elsewhere = await other.post("/v1/messages", json={"to": MOBILE, "text": "two"}, headers=headers)

    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert (elsewhere.status_code, elsewhere.headers.get("idempotent-replayed")) == (202, None)


async def test_fifty_equal_calls_at_once_make_one_message(world: World) -> None:
    async def call() -> tuple[int, bytes, str | None]:
        answer = await world.api.post(
            "/v1/messages", json={"to": MOBILE, "text": "hello"}, headers={"idempotency-key": "k"}
        )
        return answer.status_code, answer.content, answer.headers.get("retry-after")

    answers = await asyncio.gather(*(call() for _ in range(50)))

    accepted = [content for status, content, _ in answers if status == 202]
    refused = [retry_after for status, _, retry_after in answers if status == 409]
    assert len(accepted) + len(refused) == 50
    assert len(set(accepted)) == 1
    assert all(refused)
    assert world.rows("SELECT COUNT(*) FROM messages") == [(1,)]
    await until(lambda: world.counts.get("sends"))
    assert world.counts["sends"] == 1


@pytest.mark.parametrize(
    "refused",
    [
        {"to": MOBILE},
        {"to": "12345", "text": "hello"},
        {"to": MOBILE, "text": "hello", "expires_at": "2020-01-01T00:00:00Z"},
        {"to": MOBILE, "text": "hello", "colour": "red"},
    ],
    ids=["no text", "no number left", "already expired", "unknown field"],
)
async def test_a_4xx_does_not_consume_the_key(refused: dict[str, object], world: World) -> None:
    headers = {"idempotency-key": "k"}

    first = await world.api.post("/v1/messages", json=refused, headers=headers)
    then = await world.api.post("/v1/messages", json={"to": MOBILE, "text": "hello"}, headers=headers)

    assert first.status_code == 422
    assert then.status_code == 202


async def test_a_caller_that_goes_away_leaves_its_message_to_be_sent(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=300)
        call = asyncio.create_task(world.send(MOBILE, wait=20, key="k"))
        await until(lambda: world.sends)

        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        await until(lambda: world.rows("SELECT 1 FROM submissions WHERE status = 'submitted'"))
        assert world.counts["sends"] == 1


@pytest.mark.parametrize("number", [3000, 10_000])
async def test_thousands_of_numbers_are_answered_in_well_under_a_second(number: int, worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        drawn = random.Random(11).sample(range(10**8), number)  # noqa: S311 - the same numbers every time
        to = [f"138{digits:08}" for digits in drawn if digits % 10_000 > 8]
        started_s = time.monotonic()

        message = await world.send([*to, to[0], "12345", "+86 " + to[1]][:10_000])

        assert time.monotonic() - started_s < 0.9
        assert message["to_count"] == len(to)
        reasons = Counter(entry["reason"] for entry in message["refused"])
        assert reasons == {"duplicate": 2, "malformed": 1}
        await world.message_when(message["id"], "submitted")
        chunks = [[int(mobile) for mobile in record.mobiles] for record in world.sends]
        assert sorted(mobile for chunk in chunks for mobile in chunk) == sorted(map(int, to))
        assert all(len(chunk) <= 3000 for chunk in chunks)
        assert all(len({mask_of(mobile) for mobile in chunk}) == len(chunk) for chunk in chunks)
        events = await world.events("message.submitted")
        assert sum(len(event["data"]["recipients"]) for event in events) == len(to)
        assert max(len(event["data"]["recipients"]) for event in events) <= 500
        sequence = [event["data"]["sequence"] for event in events]
        assert sequence == list(range(1, len(events) + 1))


async def test_a_refused_submission_of_three_thousand_is_six_events(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", refuse={"code": "77"})

        message = await world.send([f"1380013{number:04}" for number in range(1000, 4000)])

        await world.message_when(message["id"], "failed")
        sizes = [len(event["data"]["recipients"]) for event in await world.events("message.failed")]
        assert sizes == [500] * 6


async def test_the_teams_signature_is_put_in_front_and_counted(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        _, api = await world.add_team("signed", signature="【示例】")

        message = await world.send(MOBILE, "字" * 67, api=api)

        await until(lambda: world.sends)
        assert world.sends[0].content == "【示例】" + "字" * 67
        assert (message["segments"], world.sends[0].segments) == (2, 2)
        refused = await api.post("/v1/messages", json={"to": MOBILE, "text": "【别人】hello"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/text")


async def test_a_quota_is_kept_and_what_the_provider_refused_is_given_back(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        _, api = await world.add_team("small", quota_units_per_day=3)
        world.fault(call="send", refuse={"code": "77"})
        await world.send([MOBILE, "13800131235"], api=api, wait=10)

        await world.send([MOBILE, "13800131235", "13800131236"], api=api, wait=10)
        over = await api.post("/v1/messages", json={"to": MOBILE, "text": "hello"})

        assert (over.status_code, over.json()["code"]) == (429, "quota_exceeded")
        assert 0 < int(over.headers["retry-after"]) <= 86_400
        assert world.counts["sends"] == 1
        never = await api.post("/v1/messages", json={"to": [f"1380013123{number}" for number in range(4)], "text": "x"})
        assert (never.status_code, never.json()["code"], never.json()["retryable"]) == (422, "quota_too_small", False)


async def test_a_message_for_later_is_scheduled_and_sent_when_its_time_has_come(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()

        message = await world.send(MOBILE, send_at=at)
        assert message["status"] == "scheduled"
        clock.move(3600)
        world.gateway.submit.wake(world.gateway.accounts.all()[0].id)
        assert (await world.message(message["id"]))["status"] == "scheduled"
        assert world.sends == []
        clock.move(3601)

        await world.message_when(message["id"], "delivered")
        assert world.counts["sends"] == 1


async def test_what_was_not_submitted_before_it_expires_fails(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, limits=Limits(connections=1), sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", drop="hold", accept=True, times=None)
        await world.send("13800131235")
        message = await world.send(MOBILE, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())

        clock.move(3601)
        message = await world.message_when(message["id"], "failed")

        (recipient,) = await world.recipients(message["id"])
        assert (recipient["reason"], recipient["final"]) == ("expired", True)
        (event,) = await world.events("message.failed")
        assert event["data"]["recipients"][0]["reason"] == "expired"
        assert [record.mobiles for record in world.sends] == [["13800131235"]]
