"""Numbers that a message does not go to: who has opted out, who has just got the same text."""

import asyncio

import msgspec
import pytest

from relay.domain.audit import AuditFilter
from relay.domain.errors import AlreadyExists, Withheld
from relay.domain.ids import SuppressionId, TeamId
from relay.domain.messages import MessageDraft
from relay.domain.suppressions import Suppression, SuppressionSource
from relay.domain.teams import RecipientLimit
from relay.domain.times import DAY_MS, MINUTE_MS
from relay.ports import Idempotency, Quota, Replay, Stored
from tests.store import builders
from tests.store.builders import NOW_MS, REFUSED, entry, idempotency, mobiles, new_id, work_of
from tests.store.conformance.world import World

WINDOW_MS = MINUTE_MS
QUOTA = Quota(day="2026-11-18", units=100, ends_in_s=3600.0)
ONE, TWO, THREE = mobiles(3)
STRANGERS = TeamId("team_" + "f" * 32)


def suppression(team_id: TeamId, mobile: int, source: SuppressionSource = "api") -> Suppression:
    return Suppression(
        id=SuppressionId(new_id("sup_")),
        team_id=team_id,
        mobile=mobile,
        source=source,
        keyword=None,
        created_ms=NOW_MS,
    )


async def suppress(world: World, *numbers: int, team_id: TeamId | None = None) -> list[Suppression]:
    made = [suppression(team_id or world.team.id, mobile) for mobile in numbers]
    for one in made:
        assert await world.store.add_suppression(one, entry=entry(), idempotency=None) == Stored()
    return made


async def withheld(world: World, message: MessageDraft, **guards: object) -> dict[int, str]:
    """The numbers that it may not go to; then nothing of it was stored."""
    try:
        await world.try_accept(message, **guards)  # type: ignore[arg-type] # each is what it is called
    except Withheld as found:
        assert await world.store.message(message.team_id, message.id) is None
        return dict(found.numbers)
    return {}


# -- opt-outs --------------------------------------------------------------------------------------------------------


async def test_marketing_does_not_go_to_who_has_opted_out_of_it_and_all_else_does(world: World) -> None:
    await suppress(world, ONE, THREE)
    await suppress(world, TWO, team_id=STRANGERS)

    marketing = world.draft([ONE, TWO], [THREE], category="marketing")
    assert await withheld(world, marketing) == {ONE: "suppressed", THREE: "suppressed"}
    for category in ("otp", "notice"):
        assert await withheld(world, world.draft([ONE], category=category)) == {}
    assert await withheld(world, world.draft([ONE], category="marketing", team_id=TeamId("team_" + "e" * 32))) == {}


async def test_of_10000_numbers_those_that_opted_out_are_found(world: World) -> None:
    everyone = mobiles(10_000)
    out = everyone[7::2500]
    await suppress(world, *out)

    message = world.draft(*(everyone[start : start + 2500] for start in range(0, 10_000, 2500)), category="marketing")

    assert await withheld(world, message) == dict.fromkeys(out, "suppressed")


async def test_what_is_withheld_costs_no_quota_and_no_key_and_a_kept_answer_comes_first(world: World) -> None:
    use = idempotency(world.team.id)
    first = world.draft([ONE], category="marketing")
    assert await world.try_accept(first, idempotency=use) == Stored()
    await suppress(world, ONE)

    again = world.draft([ONE], category="marketing")
    assert await world.try_accept(again, idempotency=use) == Replay(status=202, answer=use.answer)
    other = idempotency(world.team.id, "key 2")
    with pytest.raises(Withheld):
        await world.try_accept(world.draft([ONE], category="marketing"), quota=QUOTA, idempotency=other)
    assert await world.store.find_replay(other.scope, other.key, other.fingerprint) is None
    assert await world.try_accept(world.draft(mobiles(100)), quota=QUOTA, idempotency=other) == Stored()


async def test_an_inbound_word_opts_out_once_and_the_first_time_stands(world: World) -> None:
    await world.accept([ONE], category="marketing")
    heard = builders.inbound(ONE, "TD", opt_out="TD")
    later = builders.inbound(ONE, "退订", raw_time=None, opt_out="退订")

    assert await world.hear(heard) == {"matched": 1, "opted_out": 1}
    assert await world.hear(later, now_ms=NOW_MS + 1) == {"matched": 1, "opted_out": 1}

    (found,) = (await world.store.suppressions(team_id=None, mobile=ONE, position=None, limit=10)).data
    assert (found.team_id, found.source, found.keyword, found.created_ms) == (world.team.id, "inbound", "TD", NOW_MS)
    assert [event["data"]["opted_out"] for event in await world.events()] == [True, True]
    assert await withheld(world, world.draft([ONE], category="marketing")) == {ONE: "suppressed"}


async def test_who_opts_out_under_a_mask_is_counted_and_not_suppressed(world: World) -> None:
    team = builders.team(name="masked", extensions=("8801",))
    await world.store.create_team(team, entry=entry(), idempotency=None)
    row = msgspec.structs.replace(builders.inbound(ONE, "TD", masked=True), extension="8801", opt_out="TD")

    assert await world.hear(row) == {"matched": 1, "opt_out_masked": 1}

    assert (await world.store.suppressions(team_id=None, mobile=None, position=None, limit=10)).data == []
    (event,) = await world.events(team.id)
    assert event["data"]["opted_out"] is False


async def test_a_number_is_added_once_and_may_be_added_again_when_it_was_removed(world: World) -> None:
    (first,) = await suppress(world, ONE)
    with pytest.raises(AlreadyExists):
        await suppress(world, ONE)
    assert await world.store.suppression_of(world.team.id, ONE) == first

    assert await world.store.remove_suppression(first.id, entry=entry())
    assert not await world.store.remove_suppression(first.id, entry=entry())
    assert await world.store.suppression(first.id) is None
    assert await withheld(world, world.draft([ONE], category="marketing")) == {}
    await suppress(world, ONE)


async def test_an_import_adds_what_is_not_there_and_its_repetition_nothing(world: World) -> None:
    async def run(*numbers: int, use: Idempotency | None = None) -> int | Replay:
        return await world.store.add_suppressions(
            [suppression(world.team.id, mobile, "import") for mobile in numbers],
            entry=entry(),
            idempotency=use,
            render=lambda added: b"added %d" % added,
        )

    (first,) = await suppress(world, ONE)
    use = idempotency(world.team.id, answer=b"")
    assert await run(ONE, TWO, THREE, use=use) == 2
    assert await run(ONE, TWO, THREE) == 0
    assert await world.store.suppression_of(world.team.id, ONE) == first
    second = await world.store.suppression_of(world.team.id, TWO)
    assert second is not None
    await world.store.remove_suppression(second.id, entry=entry())
    assert await run(ONE, TWO, THREE, use=use) == Replay(status=202, answer=b"added 2")
    assert await world.store.suppression_of(world.team.id, TWO) is None
    newest = (await world.store.audit(AuditFilter(), position=None, limit=5)).data
    assert {"added": 2} in [found.detail for found in newest]


async def test_imports_and_answers_at_once_leave_one_opt_out_for_each_number(world: World) -> None:
    numbers = mobiles(40)
    await world.accept(numbers, category="marketing")

    async def imports() -> object:
        return await world.store.add_suppressions(
            [suppression(world.team.id, mobile, "import") for mobile in numbers],
            entry=entry(),
            idempotency=None,
            render=lambda added: b"",
        )

    async def answers(mobile: int) -> object:
        row = builders.inbound(mobile, "TD", opt_out="TD")
        return await world.hear(row)

    await asyncio.gather(imports(), *map(answers, numbers), imports())

    page = await world.store.suppressions(team_id=world.team.id, mobile=None, position=None, limit=100)
    assert sorted(found.mobile for found in page.data) == sorted(numbers)


async def test_opt_outs_are_listed_newest_first_by_team_and_by_number(world: World) -> None:
    own = await suppress(world, ONE, TWO, THREE)
    (theirs,) = await suppress(world, TWO, team_id=STRANGERS)

    async def listed(team_id: TeamId | None, mobile: int | None, limit: int) -> list[Suppression]:
        found: list[Suppression] = []
        position: str | None = None
        while True:
            page = await world.store.suppressions(team_id=team_id, mobile=mobile, position=position, limit=limit)
            found += page.data
            position = page.next_position
            if position is None:
                return found

    for limit in (1, 2, 10):
        assert await listed(None, None, limit) == [theirs, *reversed(own)]
        assert await listed(world.team.id, None, limit) == [*reversed(own)]
        assert await listed(None, TWO, limit) == [theirs, own[1]]
        assert await listed(world.team.id, TWO, limit) == [own[1]]
        assert await listed(STRANGERS, ONE, limit) == []


# -- repeated texts --------------------------------------------------------------------------------------------------


async def test_the_same_text_goes_to_a_number_once_within_the_window(world: World) -> None:
    await world.accept([ONE, TWO])
    last = NOW_MS + WINDOW_MS - 1

    repeated = await withheld(world, world.draft([ONE, THREE], created_ms=last), repeat_window_ms=WINDOW_MS)
    assert repeated == {ONE: "repeated"}
    for other in (
        world.draft([ONE], created_ms=last, text="【示例】再见"),
        world.draft([ONE], created_ms=last + 1),
        world.draft([ONE], created_ms=last, team_id=STRANGERS),
        world.draft([ONE], created_ms=last, mode="test"),
    ):
        assert await withheld(world, other, repeat_window_ms=WINDOW_MS) == {}


async def test_without_a_window_and_after_a_refusal_a_text_may_be_repeated(world: World) -> None:
    await world.finish(work_of(await world.accept([ONE])), REFUSED)
    assert await withheld(world, world.draft([ONE]), repeat_window_ms=WINDOW_MS) == {}
    await world.accept([ONE])


async def test_a_text_may_be_scheduled_for_every_day_and_not_twice_for_one(world: World) -> None:
    async def schedule(days: int) -> dict[int, str]:
        at_ms = NOW_MS + days * DAY_MS
        message = world.draft([ONE], status="scheduled", due_ms=at_ms, send_at_ms=at_ms)
        return await withheld(world, message, repeat_window_ms=WINDOW_MS)

    assert [await schedule(days) for days in (1, 2, 2)] == [{}, {}, {ONE: "repeated"}]


async def test_of_equal_texts_at_once_one_is_accepted(world: World) -> None:
    results = await asyncio.gather(
        *(world.try_accept(world.draft([ONE]), repeat_window_ms=WINDOW_MS) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Stored"] + ["Withheld"] * 7


async def test_what_a_test_key_sent_counts_for_test_keys_alone(world: World) -> None:
    once = RecipientLimit(per_day=1)
    await world.accept([ONE], mode="test")

    assert await withheld(world, world.draft([ONE], mode="test"), limit=once) == {ONE: "recipient_limit"}
    assert await withheld(world, world.draft([ONE]), limit=once) == {}


async def test_a_number_is_withheld_for_the_first_reason_that_holds(world: World) -> None:
    await world.accept([ONE, TWO], category="marketing")
    await world.accept([THREE], category="marketing", text="【示例】再见")
    await suppress(world, ONE)
    found = await withheld(
        world,
        world.draft([ONE, TWO, THREE], category="marketing"),
        repeat_window_ms=WINDOW_MS,
        limit=RecipientLimit(per_day=1),
    )
    assert found == {ONE: "suppressed", TWO: "repeated", THREE: "recipient_limit"}
