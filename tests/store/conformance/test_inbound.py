"""Inbound messages: whose they are, and that each is told once."""

import pytest

from relay.domain.ids import AccountId, TeamId
from relay.domain.messages import InboundView
from relay.domain.provider import BodySource, InboundRow
from relay.domain.teams import Team
from relay.domain.times import HOUR_MS, SECOND_MS, instant
from tests.store import builders
from tests.store.builders import NOW_MS, entry, inbound, mobiles
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

MOBILE = mobiles(1)[0]
OCCURRED_MS = NOW_MS - 2 * SECOND_MS


async def _team(world: World, *extensions: str, accounts: tuple[AccountId, ...] = ()) -> Team:
    team = builders.team(extensions=extensions, accounts=accounts)
    await world.store.create_team(team, entry=entry(), idempotency=None)
    return team


async def _heard(world: World, team_id: TeamId) -> list[InboundView]:
    return (await world.store.inbound_list(team_id, position=None, limit=10)).data


async def test_an_answer_to_a_leased_extension_belongs_to_its_team(world: World) -> None:
    team = await _team(world, "8801", "8802")
    message = await world.accept([MOBILE], team_id=team.id)
    await world.accept([MOBILE])
    assert await world.hear(inbound(MOBILE, "TD 好", extension="8801")) == {"matched": 1}
    (view,) = await _heard(world, team.id)
    assert view == InboundView(
        id=view.id,
        from_=str(MOBILE),
        to_extension="8801",
        text="TD 好",
        erased=False,
        received_at=instant(NOW_MS),
        occurred_at=instant(OCCURRED_MS),
        matched_by="extension",
        message_id=message.id,
    )
    assert await world.store.inbound(team.id, view.id) == view
    (event,) = await world.events(team.id)
    assert event == {
        "id": event["id"],
        "type": "inbound.received",
        "timestamp": "2026-11-18T11:06:40Z",
        "data": {
            "id": view.id,
            "from": str(MOBILE),
            "to_extension": "8801",
            "text": "TD 好",
            "received_at": "2026-11-18T11:06:40Z",
            "occurred_at": "2026-11-18T11:06:38Z",
            "matched_by": "extension",
            "message_id": message.id,
            "opted_out": False,
        },
    }
    assert await world.events() == []


async def test_a_full_port_belongs_to_the_longest_extension_that_it_ends_in(world: World) -> None:
    short, long = await _team(world, "01"), await _team(world, "8801")
    await world.hear(inbound(MOBILE, extension="10690008801"))
    assert [(view.matched_by, view.to_extension) for view in await _heard(world, long.id)] == [("suffix", "8801")]
    assert await _heard(world, short.id) == []


async def test_a_whole_extension_goes_before_a_suffix(world: World) -> None:
    exact, suffix = await _team(world, "8801"), await _team(world, "801")
    await world.hear(inbound(MOBILE, extension="8801"))
    assert [view.matched_by for view in await _heard(world, exact.id)] == ["extension"]
    assert await _heard(world, suffix.id) == []


async def test_a_lease_holds_on_its_accounts_alone(world: World) -> None:
    other = await world.add_account()
    here = await _team(world, "8801", accounts=(world.account.id,))
    there = await _team(world, "8801", accounts=(other,))
    everywhere = await _team(world, "01")
    for extension, account_id in (("8801", None), ("8801", other), ("8801", builders.account().id), ("68801", other)):
        await world.hear(inbound(MOBILE, extension=extension), account_id=account_id)
    found = {
        team.name: [(view.matched_by, view.to_extension) for view in await _heard(world, team.id)]
        for team in (here, there, everywhere)
    }
    assert found == {
        here.name: [("extension", "8801")],
        there.name: [("suffix", "8801"), ("extension", "8801")],
        everywhere.name: [("suffix", "01")],
    }


async def test_answers_to_a_released_extension_go_to_the_last_sender_or_to_nobody(world: World) -> None:
    team = await _team(world, "8801")
    await world.store.release_extension(team.id, "8801", None, entry=entry())
    sent = await world.accept([MOBILE])
    assert await world.hear(inbound(MOBILE, "one", extension="8801")) == {"matched": 1}
    assert [view.message_id for view in await _heard(world, world.team.id)] == [sent.id]
    await world.finish(builders.work_of(sent), builders.REFUSED)
    await world.accept([MOBILE], team_id=team.id, status="submitting")
    assert await world.hear(inbound(MOBILE, "two", extension="8801")) == {"matched": 1}
    assert [view.text for view in await _heard(world, team.id)] == ["two"]
    assert await world.hear(inbound(MOBILE + 1, "three", extension="8801")) == {"orphaned": 1}


@pytest.mark.parametrize("extension", [None, "99"])
async def test_an_answer_without_a_known_extension_belongs_to_the_last_sender(
    world: World, extension: str | None
) -> None:
    other = await _team(world)
    await world.accept([MOBILE], team_id=other.id)
    last = await world.accept([MOBILE])
    await world.accept([MOBILE], team_id=other.id, account_id=builders.account().id)
    assert await world.hear(inbound(MOBILE, extension=extension)) == {"matched": 1}
    assert [(view.matched_by, view.message_id) for view in await _heard(world, world.team.id)] == [
        ("last_sender", last.id)
    ]
    assert await _heard(world, other.id) == []


async def test_the_last_sender_is_remembered_for_72_hours(world: World) -> None:
    await world.accept([MOBILE])
    until = NOW_MS + 72 * HOUR_MS
    assert await world.hear(inbound(MOBILE, "one"), now_ms=until) == {"matched": 1}
    assert await world.hear(inbound(MOBILE, "two"), now_ms=until + 1) == {"orphaned": 1}


async def test_what_has_not_been_sent_yet_makes_no_last_sender(world: World) -> None:
    other = await _team(world)
    sent = await world.accept([MOBILE])
    await world.accept([MOBILE], team_id=other.id, status="scheduled", due_ms=NOW_MS + HOUR_MS)
    assert await world.hear(inbound(MOBILE)) == {"matched": 1}
    assert [view.message_id for view in await _heard(world, world.team.id)] == [sent.id]


async def test_an_answer_that_belongs_to_nobody_is_kept_as_an_orphan(world: World, database: Database) -> None:
    await world.accept([MOBILE])
    masked = inbound(MOBILE, masked=True, raw_time="a time")
    assert await world.hear(inbound(MOBILE + 1, "hello", extension="7"), masked) == {"orphaned": 2}
    assert await _heard(world, world.team.id) == []
    assert database.execute("SELECT kind, mobile_text, content, extension, raw_time FROM orphans ORDER BY id") == [
        ("mo", str(MOBILE + 1), "hello", "7", "2026-11-18 11:30:00"),
        ("mo", "138****0000", "TD", None, "a time"),
    ]


@pytest.mark.parametrize(("first", "second"), [("push", "pull"), ("pull", "push")])
@pytest.mark.parametrize("masked", [False, True])
async def test_the_pushed_and_the_pulled_copy_are_one_message(
    world: World, first: BodySource, second: BodySource, masked: bool
) -> None:
    team = await _team(world, "88")
    copies = [inbound(MOBILE, extension="88"), inbound(MOBILE, extension="88", masked=masked)]
    if first == "pull":
        copies.reverse()
    assert await world.hear(copies[0], source=first) == {"matched": 1}
    assert await world.hear(copies[1], source=second) == {"twin": 1}
    assert len(await world.events(team.id)) == 1


async def test_copies_of_orphans_are_kept_once(world: World, database: Database) -> None:
    assert await world.hear(inbound(MOBILE)) == {"orphaned": 1}
    assert await world.hear(inbound(MOBILE), source="pull") == {"twin": 1}
    assert database.execute("SELECT COUNT(*) FROM orphans") == [(1,)]


@pytest.mark.parametrize("source", ["push", "pull"])
async def test_the_same_text_twice_by_one_way_stays_two(world: World, source: BodySource) -> None:
    await world.accept([MOBILE])
    assert await world.hear(inbound(MOBILE), inbound(MOBILE), source=source) == {"matched": 2}
    assert await world.hear(inbound(MOBILE), source=source) == {"matched": 1}


async def test_each_message_has_one_copy_at_most(world: World) -> None:
    await world.accept([MOBILE])
    await world.hear(inbound(MOBILE), inbound(MOBILE))
    assert await world.hear(inbound(MOBILE), inbound(MOBILE), inbound(MOBILE), source="pull") == {
        "twin": 2,
        "matched": 1,
    }
    assert await world.hear(inbound(MOBILE)) == {"twin": 1}


async def test_a_message_without_a_time_is_never_taken_for_a_copy(world: World) -> None:
    await world.accept([MOBILE])
    for source in ("push", "pull"):
        row = inbound(MOBILE, raw_time=None, occurred_ms=None)
        assert await world.hear(row, source=source) == {"matched": 1}


@pytest.mark.parametrize(
    "other",
    [
        inbound(MOBILE, "TD!"),
        inbound(MOBILE, raw_time="2026-11-18 11:30:01"),
        inbound(MOBILE, extension="1"),
        inbound(MOBILE + 1),
        inbound(MOBILE + 10_000),
    ],
)
async def test_what_differs_in_anything_is_no_copy(world: World, other: InboundRow) -> None:
    await world.accept([MOBILE, MOBILE + 1, MOBILE + 10_000])
    await world.hear(inbound(MOBILE))
    assert await world.hear(other, source="pull") == {"matched": 1}


async def test_a_copy_at_another_account_is_another_message(world: World) -> None:
    team = await _team(world, "88")
    await world.hear(inbound(MOBILE, extension="88"))
    row = inbound(MOBILE, extension="88")
    assert await world.hear(row, source="pull", account_id=builders.account().id) == {"matched": 1}
    assert len(await _heard(world, team.id)) == 2


async def test_received_messages_are_listed_newest_first_page_by_page(world: World) -> None:
    await world.accept([MOBILE])
    await world.hear(*(inbound(MOBILE, text) for text in ("1", "2", "3")))
    first = await world.store.inbound_list(world.team.id, position=None, limit=2)
    second = await world.store.inbound_list(world.team.id, position=first.next_position, limit=2)
    assert [[view.text for view in page.data] for page in (first, second)] == [["3", "2"], ["1"]]
    assert second.next_position is None
