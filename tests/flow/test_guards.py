"""Numbers that a message does not go to: opt-outs, repeated texts and limits per number, from end to end."""

import asyncio
from typing import Any

import httpx
import pytest

from relay.domain.times import instant
from relay.provider.sandbox import Sandbox, SandboxServer, SandboxSettings
from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.opening import add_embedded_sandbox
from tests.flow.world import Limits, World

ONE, TWO, THREE = "13800131001", "13800131002", "13800131003"


async def post(api: httpx.AsyncClient, to: list[str], key: str | None = None, **more: Any) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await api.post("/v1/messages", json={"to": to, "text": "hello", **more}, headers=headers)


async def suppress(world: World, *numbers: str) -> None:
    answer = await world.api.post("/v1/suppressions/import", json={"numbers": list(numbers)})
    assert (answer.status_code, answer.json()["added"]) == (200, len(numbers))


@pytest.mark.parametrize("extension", ["101", ""])
@pytest.mark.parametrize("word", ["ＴＤ。", " 退订 "])
async def test_who_answers_with_an_opt_out_word_gets_notices_and_no_marketing(
    world: World, word: str, extension: str
) -> None:
    await world.send(ONE, category="marketing")
    _, other = await world.add_team("others")
    await world.add_endpoint("/hook", event_types=["inbound.received"])

    assert await world.answer_back(ONE, word, extension) == [200]

    (hook,) = await world.hooks_when("/hook", 1)
    assert (hook.event["data"]["text"], hook.event["data"]["opted_out"]) == (word, True)
    marketing = await post(world.api, [ONE, "+86 " + TWO], category="marketing")
    assert (marketing.status_code, marketing.json()["to_count"]) == (202, 1)
    assert marketing.json()["refused"] == [{"to": ONE, "reason": "suppressed"}]
    alone = await post(world.api, [ONE], category="marketing")
    assert (alone.status_code, alone.json()["code"]) == (422, "no_recipient_left")
    assert alone.json()["errors"] == [{"pointer": "/to/0", "detail": "suppressed"}]
    for category in ("notice", "otp"):
        assert (await post(world.api, [ONE], category=category)).status_code == 202
    assert (await post(other, [ONE], category="marketing")).status_code == 202
    (listed,) = (await world.api.get("/v1/suppressions")).json()["data"]
    assert (listed["number"], listed["source"], listed["keyword"]) == (
        ONE,
        "inbound",
        word.strip(" 。").replace("ＴＤ", "TD"),
    )
    assert await world.metric("relay_callback_rows_total", kind="mo", result="opted_out") == 1


async def test_a_text_that_only_holds_a_word_opts_nobody_out(worlds: OpenWorld) -> None:
    async with worlds(opt_out_keywords="STOP") as world:
        for text in ("Not", "TD", "please stop"):
            await world.answer_back(ONE, text, "101")
        assert (await post(world.api, [ONE], category="marketing")).status_code == 202

        await world.answer_back(ONE, "stop!", "101")

        assert (await post(world.api, [ONE], category="marketing")).status_code == 422


async def test_what_a_test_key_sends_is_withheld_like_all_else(worlds: OpenWorld) -> None:
    async with worlds() as world, SandboxServer(Sandbox(SandboxSettings(report_delay_ms=0))) as inside:
        await add_embedded_sandbox(world, inside)
        test = await world.add_key(world.team["id"], "orders", mode="test")
        await suppress(world, ONE)

        assert (await post(test, [ONE], category="marketing")).json()["code"] == "no_recipient_left"


async def test_of_10000_numbers_the_refused_are_listed_as_they_were_written_and_in_their_order(world: World) -> None:
    numbers = [str(13_800_130_000 + index) for index in range(9_996)]
    await suppress(world, numbers[4], numbers[9_000])
    written = [*numbers, "nobody", numbers[0], "+86" + numbers[4], "86-" + numbers[9_001]]

    answer = await post(world.api, written, category="marketing")

    assert answer.status_code == 202
    assert answer.json()["to_count"] == 9_994
    assert answer.json()["refused"] == [
        {"to": numbers[4], "reason": "suppressed"},
        {"to": numbers[9_000], "reason": "suppressed"},
        {"to": "nobody", "reason": "malformed"},
        {"to": numbers[0], "reason": "duplicate"},
        {"to": "+86" + numbers[4], "reason": "duplicate"},
        {"to": "86-" + numbers[9_001], "reason": "duplicate"},
    ]
    shown = (await world.api.get(answer.headers["location"])).json()
    assert (shown["refused"], shown["to_count"]) == (answer.json()["refused"], 9_994)


async def test_a_replay_shows_what_was_answered_before_the_number_opted_out(world: World) -> None:
    first = await post(world.api, [ONE], key="campaign", category="marketing")
    await suppress(world, ONE)

    again = await post(world.api, [ONE], key="campaign", category="marketing")

    assert (again.status_code, again.content) == (202, first.content)
    refused = await post(world.api, [ONE], key="another", category="marketing")
    assert refused.status_code == 422
    # A refusal does not use the key up.
    assert (await post(world.api, [ONE], key="another")).status_code == 202


async def test_a_message_fits_the_quota_without_the_numbers_that_are_withheld(world: World) -> None:
    team, api = await world.add_team("small", quota_units_per_day=1)
    added = await world.admin.post("/v1/admin/suppressions", json={"team_id": team["id"], "number": ONE})
    assert added.status_code == 201

    both = await post(api, [ONE, TWO], category="marketing")

    assert (both.status_code, both.json()["units"]) == (202, 1)
    assert (await post(api, [THREE], category="marketing")).json()["code"] == "quota_exceeded"
    assert (await post(api, [TWO, THREE], category="marketing")).json()["code"] == "quota_too_small"


async def test_of_two_equal_sends_at_once_within_the_window_one_goes_out(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        _, api = await world.add_team("careful", dedupe_window_s=60)

        answers = await asyncio.gather(*(post(api, [ONE], category="marketing") for _ in range(4)))

        assert sorted(answer.status_code for answer in answers) == [202, 422, 422, 422]
        mixed = await post(api, [ONE, TWO])
        assert mixed.json()["refused"] == [{"to": ONE, "reason": "repeated"}]
        assert (await post(api, [ONE], text="good bye")).status_code == 202
        assert (await post(world.api, [ONE])).status_code == 202
        clock.move(61)
        assert (await post(api, [ONE])).status_code == 202


async def test_a_number_over_its_limit_is_refused_and_the_others_go(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        _, api = await world.add_team("limited", recipient_limits={"marketing": {"per_minute": 1}})
        assert (await post(api, [ONE], category="marketing")).status_code == 202
        clock.move(20)

        both = await post(api, [TWO, ONE, "nobody"], category="marketing")
        again = await post(api, ["nobody", ONE, TWO], category="marketing")

        assert both.json()["refused"] == [
            {"to": ONE, "reason": "recipient_limit"},
            {"to": "nobody", "reason": "malformed"},
        ]
        assert (again.status_code, again.json()["code"]) == (429, "recipient_limit_exceeded")
        # Until the first of them may have one more.
        assert 38 <= int(again.headers["retry-after"]) <= 40
        clock.move(40)
        assert (await post(api, [ONE, TWO], category="marketing")).json()["refused"] == []


async def test_a_limit_and_an_opt_out_together_are_no_reason_to_try_again(world: World) -> None:
    team, api = await world.add_team("limited", recipient_limits={"marketing": {"per_day": 1}})
    await post(api, [ONE], category="marketing")
    await world.admin.post("/v1/admin/suppressions", json={"team_id": team["id"], "number": TWO})

    answer = await post(api, [ONE, TWO], category="marketing")

    assert (answer.status_code, answer.json()["code"]) == (422, "no_recipient_left")
    assert [error["detail"] for error in answer.json()["errors"]] == ["recipient_limit", "suppressed"]


async def test_what_is_withheld_takes_no_connection_of_the_account(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(connections=2)) as world:
        await suppress(world, ONE)
        for _ in range(5):
            assert (await post(world.api, [ONE], category="marketing")).status_code == 422

        for text in ("one", "two"):
            sent = await post(world.api, [ONE, TWO], text=text, category="marketing")
            assert sent.json()["status"] == "submitting"
            await world.message_when(sent.json()["id"], "delivered")


async def test_a_scheduled_message_does_not_go_to_who_has_opted_out_in_between(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        await world.add_endpoint("/hook", event_types=["message.failed"])
        at = instant(clock.now_ms() + 3_600_000).isoformat()
        some = await post(world.api, [ONE, TWO], category="marketing", send_at=at)
        none = await post(world.api, [ONE], category="marketing", send_at=at, text="good bye")
        await world.answer_back(ONE, "TD", "101")

        clock.move(3601)

        await world.message_when(some.json()["id"], "completed")
        await world.message_when(none.json()["id"], "failed")
        assert [record.mobiles for record in world.sends] == [[TWO]]
        told = [hook.event["data"]["recipients"] for hook in await world.hooks_when("/hook", 2)]
        assert [[(one["to"], one["status"], one["reason"]) for one in recipients] for recipients in told] == [
            [(ONE, "failed", "suppressed")]
        ] * 2
