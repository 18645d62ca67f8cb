"""Who opts out while a message waits."""

import pytest

from relay.ports import Quota
from tests.store import builders
from tests.store.builders import ACCEPTED, NOT_SENT, NOW_MS, mobiles, task_of, work_of
from tests.store.conformance.test_guards import suppress
from tests.store.conformance.world import World

ONE, TWO, THREE = mobiles(3)
QUOTA = Quota(day="2026-11-18", units=6, ends_in_s=3600.0)


async def test_who_has_opted_out_by_now_fails_and_the_others_are_sent_to(world: World) -> None:
    message = world.draft([ONE, TWO, THREE], category="marketing", segments=2)
    await world.try_accept(message, quota=QUOTA)
    await suppress(world, TWO)

    assert await world.store.suppressed(world.team.id, [ONE, TWO, THREE]) == [TWO]
    trimmed = await world.store.withhold_suppressed(work_of(message), NOW_MS)
    assert (trimmed.fenced, trimmed.mobiles) == (False, [ONE, THREE])
    assert trimmed.effects.recipients_by_status == {"failed": 1}
    # Twice is once.
    assert (await world.store.withhold_suppressed(work_of(message), NOW_MS)).mobiles == [ONE, THREE]

    assert await world.counts(message) == {"submitting": 2, "failed": 1}
    assert await world.told(message) == [("message.failed", 1, [(str(TWO), "failed", "suppressed", None)])]
    await world.finish(work_of(message), NOT_SENT)
    (again,) = await world.claim(now_ms=NOW_MS + 1000)
    assert again.mobiles == [ONE, THREE]
    await world.finish(again, ACCEPTED)
    await world.report(builders.report(task_of(message), ONE))
    assert await world.statuses(message) == {str(ONE): "delivered", str(TWO): "failed", str(THREE): "submitted"}
    await world.check_books(message)
    # What it would have cost is free again.
    assert await world.try_accept(world.draft([ONE], segments=2), quota=QUOTA)


async def test_a_submission_that_nobody_is_left_of_has_failed(world: World) -> None:
    message = world.draft([ONE, TWO], category="marketing", segments=3)
    await world.try_accept(message, quota=QUOTA)
    await suppress(world, ONE, TWO)

    trimmed = await world.store.withhold_suppressed(work_of(message), NOW_MS)

    assert (trimmed.fenced, trimmed.mobiles) == (False, [])
    view = await world.view(message)
    assert (view.status, view.counts, view.submissions[0].status) == ("failed", {"failed": 2}, "failed")
    assert [recipient.reason for recipient in await world.recipients(message)] == ["suppressed"] * 2
    await world.check_books(message)
    assert (await world.finish(work_of(message), ACCEPTED)).fenced
    assert await world.try_accept(world.draft([ONE, TWO], segments=3), quota=QUOTA)


@pytest.mark.parametrize("why", ["another has it", "it may have been sent"])
async def test_what_is_not_ours_or_may_have_been_sent_is_left(world: World, why: str) -> None:
    message = await world.accept([ONE], category="marketing", on_unconfirmed="resend")
    work = work_of(message)
    if why == "another has it":
        work = work_of(message, claim=b"another")
    else:
        await world.finish(work, builders.UNCONFIRMED)
        (work,) = await world.claim(now_ms=NOW_MS + 1000)
    await suppress(world, ONE)

    trimmed = await world.store.withhold_suppressed(work, NOW_MS + 1000)

    assert (trimmed.fenced, trimmed.mobiles) == ((True, []) if why == "another has it" else (False, [ONE]))
    assert await world.counts(message) == {"submitting": 1}
