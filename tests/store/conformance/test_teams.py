"""Teams as they are changed and deleted."""

import msgspec
import pytest

from relay.domain.errors import AlreadyExists, InUse
from relay.domain.extensions import EVERYWHERE
from relay.domain.quotas import QuotaDay
from relay.domain.teams import Team, hash_secret
from relay.domain.times import DAY_MS, SECOND_MS
from relay.ports import Quota
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, REFUSED, entry, inbound, mobiles, report, task_of, work_of
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

TODAY = QuotaDay(name="2026-11-18", starts_ms=NOW_MS - DAY_MS // 2, ends_ms=NOW_MS + DAY_MS // 2)
QUOTA = Quota(day=TODAY.name, units=100, ends_in_s=60.0)


async def _change(world: World, before: Team, **changes: object) -> bool:
    after = msgspec.structs.replace(before, **changes)
    return await world.store.update_team(before, after, day=TODAY, entry=entry())


async def _now(world: World) -> Team:
    team = await world.store.team(world.team.id)
    assert team is not None
    return team


async def test_a_change_of_what_is_not_there_any_more_does_nothing(world: World) -> None:
    assert await _change(world, world.team, requests_per_s=1.0, extensions=("7", "8"))
    assert not await _change(world, world.team, signature=None, extensions=())
    changed = msgspec.structs.replace(world.team, requests_per_s=1.0, extensions=("7", "8"), version=2)
    assert await _now(world) == changed
    assert await _change(world, changed, extensions=("8",))
    assert await world.store.taken_extensions(1, EVERYWHERE) == {"8"}


async def test_a_change_that_takes_what_others_have_changes_nothing(world: World) -> None:
    await world.store.create_team(builders.team(name="other", extensions=("7",)), entry=entry(), idempotency=None)
    for taken in ({"name": "other"}, {"extensions": ("6", "7")}):
        with pytest.raises(AlreadyExists):
            await _change(world, world.team, requests_per_s=1.0, **taken)
    assert await _now(world) == world.team
    assert await world.store.taken_extensions(1, EVERYWHERE) == {"7"}


async def test_a_first_quota_counts_what_was_accepted_that_day_and_can_still_be_sent(world: World) -> None:
    await world.accept(mobiles(1), created_ms=TODAY.starts_ms - 1)
    await world.accept(mobiles(3), created_ms=TODAY.starts_ms, segments=2)
    await world.finish(work_of(await world.accept(mobiles(5))), REFUSED)
    assert await world.store.units_used(world.team.id, TODAY, counted=False) == 6
    assert await _change(world, world.team, quota_units_per_day=100)
    await world.try_accept(world.draft(mobiles(1)), quota=QUOTA)
    assert await world.store.units_used(world.team.id, TODAY, counted=True) == 7


@pytest.mark.parametrize("state", ["scheduled", "queued", "submitting", "submitted"])
async def test_a_team_with_messages_that_are_not_final_stays(world: World, state: str) -> None:
    message = await world.accept(mobiles(1), status="submitting" if state == "submitted" else state)  # type: ignore[arg-type] # a recipient's
    if state == "submitted":
        await world.finish(work_of(message), ACCEPTED)
    await world.store.create_key(builders.key(world.team.id, "secret"), entry=entry(), idempotency=None)
    with pytest.raises(InUse):
        await world.store.delete_team(world.team, now_ms=NOW_MS, entry=entry())
    assert await _now(world) == world.team
    assert await world.store.find_principal(hash_secret("secret")) is not None


async def test_a_deleted_team_leaves_its_messages_alone(world: World, database: Database) -> None:
    await world.endpoint()
    new = await world.endpoint()
    other = builders.team(name="other")
    await world.store.create_team(other, entry=entry(), idempotency=None)
    await world.accept(mobiles(1), team_id=other.id)
    message = await world.accept(mobiles(1))
    await world.finish(work_of(message), ACCEPTED)
    await world.report(report(task_of(message), mobiles(1)[0]))
    assert (
        await world.store.delete_team(msgspec.structs.replace(world.team, version=2), now_ms=1, entry=entry()) is None
    )

    gone = await world.store.delete_team(world.team, now_ms=NOW_MS + SECOND_MS, entry=entry())

    assert gone is not None
    assert (len(gone), new.view.id in gone) == (2, True)
    assert await world.counts(message) == {"delivered": 1}
    assert await world.store.team(world.team.id) is None
    assert [team.id for team in (await world.store.teams(position=None, limit=9)).data] == [other.id]
    assert database.execute("SELECT status FROM delivery_history") == [("discarded",)] * 4
    again = builders.team(name=world.team.name)
    await world.store.create_team(again, entry=entry(), idempotency=None)
    assert (await world.store.endpoint_views(world.team.id, position=None, limit=9)).data == []
    # Its message was the last to this number, and what answers it is nobody's now.
    assert await world.hear(inbound(mobiles(1)[0]), now_ms=NOW_MS + SECOND_MS) == {"orphaned": 1}
