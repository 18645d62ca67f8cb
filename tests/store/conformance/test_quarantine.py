"""Bodies that were set aside are read again, and what was applied before is not applied twice."""

from typing import Any

import msgspec
import pytest

from relay.domain.errors import AlreadySettled, NotFound
from relay.domain.ids import RawId
from relay.domain.orphans import QuarantineReprocessed, QuarantineView
from relay.domain.provider import BodyKind, RawBody
from relay.domain.times import DAY_MS, instant
from relay.ports import PendingRaw, ReadBody, ReadInbound, ReadReports, Told
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, inbound, mobiles, raw_body, reading, report, task_of, work_of
from tests.store.conformance.engines import Database
from tests.store.conformance.test_orphans import telling
from tests.store.conformance.world import World

NUMBERS = mobiles(3)
LATER_MS = NOW_MS + DAY_MS


async def _reprocess(world: World, own: RawId, raw: RawBody, rows: Any, unreadable: int = 0) -> QuarantineReprocessed:
    item = PendingRaw(id=own, account_id=world.account.id, raw=raw)
    read = reading(rows, unreadable)
    body: ReadBody = (
        ReadReports(item=item, reading=read) if raw.kind == "report" else ReadInbound(item=item, reading=read)
    )
    told = await world.store.reprocess_body(body, now_ms=LATER_MS, telling=telling("quarantine.reprocessed"))
    assert isinstance(told, Told)
    return told.outcome


async def _listed(world: World, kind: BodyKind | None = None) -> list[QuarantineView]:
    return (await world.store.quarantined(kind=kind, account_id=None, position=None, limit=10)).data


async def test_inbound_rows_that_were_applied_when_it_came_are_not_doubled(world: World) -> None:
    await world.accept(NUMBERS)
    own, raw = builders.raw_id(), raw_body("mo", body=b"half")
    twice, other = inbound(NUMBERS[0], "same", raw_time=None), inbound(NUMBERS[1], "other", raw_time=None)
    await world.store.receive_inbound(world.account.id, own, raw, reading([twice, other], unreadable=2))

    first = await _reprocess(world, own, raw, [twice, twice, other], unreadable=1)
    second = await _reprocess(world, own, raw, [twice, twice, other, inbound(NUMBERS[2], "late", raw_time=None)])

    assert (first.state, first.rows, first.already_applied, first.unreadable) == ("quarantined", {"matched": 1}, 2, 1)
    assert (second.state, second.rows, second.already_applied) == ("applied", {"matched": 1}, 3)
    texts = [view.text for view in (await world.store.inbound_list(world.team.id, position=None, limit=10)).data]
    assert sorted(texts) == ["late", "other", "same", "same"]
    assert len(await world.events()) == 4


async def test_reports_that_were_applied_when_it_came_are_not_shown_twice(world: World) -> None:
    message = await world.accept(NUMBERS[:2])
    await world.finish(work_of(message), ACCEPTED)
    own, raw = builders.raw_id(), raw_body(body=b"half")
    known, unknown = report(task_of(message), NUMBERS[0]), report("nobody's", NUMBERS[1])
    await world.store.receive_reports(world.account.id, own, raw, reading([known, unknown], unreadable=1))

    done = await _reprocess(world, own, raw, [known, unknown, report(task_of(message), NUMBERS[1])])

    assert (done.rows, done.already_applied) == ({"applied": 1}, 2)
    assert [len(found.reports) for found in await world.recipients(message)] == [1, 1]
    assert await world.counts(message) == {"delivered": 2}
    orphans = await world.store.orphans(kind=None, account_id=None, status=None, position=None, limit=10)
    assert len(orphans.data) == 1
    await world.check_books(message)


async def test_all_of_a_body_that_broke_our_code_is_applied_once_it_no_longer_does(
    world: World, database: Database
) -> None:
    message = await world.accept(NUMBERS[:1])
    await world.finish(work_of(message), ACCEPTED)
    own, raw = builders.raw_id(), raw_body(source="pull", body=b"strange")
    await world.store.quarantine(world.account.id, own, raw, "it broke our code: KeyError")
    kept = await world.store.keep_set_aside(own, "it broke our code: TypeError", telling=telling())
    assert isinstance(kept, Told)

    done = await _reprocess(world, own, raw, [report(task_of(message), NUMBERS[0])])

    assert (kept.outcome.state, kept.outcome.why) == ("quarantined", "it broke our code: TypeError")
    assert (done.state, done.rows, done.why) == ("applied", {"applied": 1}, "it broke our code: TypeError")
    assert await world.counts(message) == {"delivered": 1}
    assert await _listed(world) == []
    found = await world.store.set_aside(own)
    assert found is not None
    assert (found.view.state, found.item.raw) == ("applied", raw)
    with pytest.raises(AlreadySettled):
        await _reprocess(world, own, raw, [report(task_of(message), NUMBERS[0])])


async def test_what_is_in_quarantine_is_listed_and_what_never_was_is_not_shown(world: World) -> None:
    reports, texts, applied = builders.raw_id(), builders.raw_id(), builders.raw_id()
    await world.store.quarantine(world.account.id, reports, raw_body(body=b"garbage"), "why 1")
    await world.store.quarantine(world.account.id, texts, raw_body("mo"), "why 2")
    await world.store.receive_reports(world.account.id, applied, raw_body(), reading([]))

    view = QuarantineView(
        id=reports,
        account_id=world.account.id,
        kind="report",
        source="push",
        state="quarantined",
        why="why 1",
        content_type="application/json",
        size_bytes=7,
        received_at=instant(NOW_MS),
    )
    assert [found.id for found in await _listed(world)] == [texts, reports]
    assert await _listed(world, "report") == [view]
    assert await world.store.set_aside(applied) is None
    with pytest.raises(NotFound):
        await world.store.dismiss_body(applied, now_ms=NOW_MS, telling=telling())


async def test_a_dismissed_body_leaves_the_quarantine_and_goes_with_the_raw_bodies(
    world: World, database: Database
) -> None:
    kept, gone = builders.raw_id(), builders.raw_id()
    for own in (kept, gone):
        await world.store.quarantine(world.account.id, own, raw_body(body=b"garbage"), "why")
    # Retention walks past what is in quarantine.
    await world.store.retire("raw", before_ms=LATER_MS, now_ms=LATER_MS, limit=100)

    told = await world.store.dismiss_body(gone, now_ms=LATER_MS, telling=telling("quarantine.dismissed"))

    assert isinstance(told, Told)
    assert told.outcome.state == "dismissed"
    with pytest.raises(AlreadySettled, match="dismissed already"):
        await world.store.dismiss_body(gone, now_ms=LATER_MS, telling=telling())
    found = await world.store.set_aside(gone)
    assert found is not None
    assert found.item.raw.body == b"garbage"
    await world.store.retire("raw", before_ms=LATER_MS, now_ms=LATER_MS, limit=100)
    assert await world.store.set_aside(gone) is None
    assert [view.id for view in await _listed(world)] == [kept]


async def test_rows_of_a_body_that_an_older_release_set_aside_are_not_known(world: World, database: Database) -> None:
    own = builders.raw_id()
    await world.store.receive_inbound(world.account.id, own, raw_body("mo"), reading([], unreadable=1))
    noted = await world.store.set_aside(own)
    database.execute("UPDATE raw_bodies SET applied = NULL")

    found = await world.store.set_aside(own)

    assert noted is not None
    assert found == msgspec.structs.replace(noted, applied_unknown=True)
