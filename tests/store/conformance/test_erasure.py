"""Erasing one number wherever it stands: all of it goes, nothing else does, and what is not final is left."""

from typing import Any, Final

import msgspec
import pytest

from relay.domain.erasure import ERASURE_STAGES, ErasureStage
from relay.domain.messages import RefusedNumber
from relay.domain.numbers import mask_of
from relay.domain.provider import SendOutcome
from relay.domain.times import DAY_MS
from tests.store.builders import (
    ACCEPTED,
    NOT_SENT,
    NOW_MS,
    REFUSED,
    UNCONFIRMED,
    attempt_record,
    inbound,
    mobiles,
    raw_body,
    raw_id,
    reading,
    report,
    task_of,
    work_of,
)
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

MOBILE, OTHER = mobiles(2)
LATER_MS: Final = NOW_MS + 2 * DAY_MS

Counts = dict[ErasureStage, int]


async def _erase(
    world: World, mobile: int = MOBILE, *, limit: int = 500, now_ms: int = LATER_MS
) -> tuple[Counts, Counts]:
    """All stages to their ends: what was erased, what was left."""
    erased: Counts = {}
    left: Counts = {}
    for stage in ERASURE_STAGES:
        position: str | None = None
        while True:
            batch = await world.store.erase_number(stage, mobile, position=position, now_ms=now_ms, limit=limit)
            for counts, number in ((erased, batch.erased), (left, batch.left_open)):
                if number:
                    counts[stage] = counts.get(stage, 0) + number
            position = batch.next_position
            if position is None:
                break
    return erased, left


async def _deliver(world: World, *numbers: int, **changes: Any) -> Any:
    message = await world.accept(numbers, **changes)
    await world.finish(work_of(message), ACCEPTED)
    await world.report(*(report(task_of(message), mobile) for mobile in numbers))
    return message


async def test_a_number_that_is_nowhere_leaves_everything_as_it_is(world: World) -> None:
    message = await _deliver(world, OTHER)
    before = (await world.view(message), await world.recipients(message), await world.events())

    assert await _erase(world) == ({}, {})

    assert (await world.view(message), await world.recipients(message), await world.events()) == before


async def test_it_goes_from_recipients_and_their_reports_and_the_others_stay(world: World, database: Database) -> None:
    message = await _deliver(world, MOBILE, OTHER)

    erased, left = await _erase(world)

    assert (erased, left) == ({"events": 2, "recipients": 1}, {})
    assert [(found.to, found.status, len(found.reports)) for found in await world.recipients(message)] == [
        ("erased", "delivered", 1),
        (str(OTHER), "delivered", 1),
    ]
    view = await world.view(message)
    assert (view.text, view.erased, view.counts) == (message.text, False, {"delivered": 2})
    assert database.execute("SELECT COUNT(*) FROM reports WHERE mobile > 0") == [(1,)]


async def test_two_numbers_of_one_message_are_erased_one_after_the_other(world: World) -> None:
    message = await _deliver(world, MOBILE, OTHER)

    for mobile in (OTHER, MOBILE):
        erased, _ = await _erase(world, mobile)
        assert erased == {"events": 2, "recipients": 1}

    assert [(found.to, len(found.reports)) for found in await world.recipients(message)] == [("erased", 1)] * 2


async def test_the_text_goes_when_nobody_else_got_it(world: World) -> None:
    message = await _deliver(world, MOBILE)

    await _erase(world)

    view = await world.view(message)
    assert (view.text, view.erased) == ("", True)


async def test_it_goes_from_events_and_a_delivery_that_waits_is_of_the_erased_one(world: World) -> None:
    endpoint = await world.endpoint()
    await _deliver(world, MOBILE, OTHER)
    await world.hear(inbound(MOBILE, "my name is"))

    await _erase(world)

    events = await world.events()
    assert [[change["to"] for change in event["data"]["recipients"]] for event in events[:2]] == [
        ["erased", str(OTHER)],
        ["erased", str(OTHER)],
    ]
    assert (events[2]["data"]["from"], events[2]["data"]["text"]) == ("erased", "")
    works = sorted(await world.lease((endpoint, 10), now_ms=LATER_MS), key=lambda work: work.event_id)
    assert [msgspec.json.decode(work.payload) for work in works] == events


async def test_it_goes_from_inbound_messages_and_from_texts_that_others_sent(world: World) -> None:
    await _deliver(world, MOBILE, OTHER)
    await world.hear(inbound(MOBILE, "private"), inbound(OTHER, f"ask +86{MOBILE}"))

    erased, _ = await _erase(world)

    assert erased["inbound"] == 2
    heard = (await world.store.inbound_list(world.team.id, position=None, limit=10)).data
    assert [(found.from_, found.text, found.erased) for found in heard] == [
        (str(OTHER), "ask erased", False),
        ("erased", "", True),
    ]


async def test_a_late_copy_of_an_erased_inbound_message_is_still_a_copy(world: World, database: Database) -> None:
    await _deliver(world, MOBILE)
    await world.hear(inbound(MOBILE, "private"))

    erased, _ = await _erase(world)

    assert erased["pairs"] == 1
    assert database.execute("SELECT mobile FROM inbound_seen") == [(None,)]
    assert await world.hear(inbound(MOBILE, "private"), source="pull") == {"twin": 1}


async def test_it_goes_from_orphans_once_they_cannot_be_adopted_any_more(world: World, database: Database) -> None:
    await world.hear(inbound(MOBILE, "private"))
    await world.report(report("0" * 32, MOBILE), report("0" * 32, OTHER))

    assert await _erase(world, now_ms=NOW_MS + 2) == ({"orphans": 1, "pairs": 1}, {"orphans": 1})
    assert await _erase(world) == ({"orphans": 1}, {})

    rows = database.execute("SELECT mobile_text, content FROM orphans ORDER BY id")
    assert rows == [("erased", ""), ("erased", ""), (str(OTHER), "DELIVRD")]


@pytest.mark.parametrize("written", [str(MOBILE), f"+86{MOBILE}", "138 0013-0000", f"0086{MOBILE}x"])
async def test_it_goes_from_refused_numbers_however_they_were_written(world: World, written: str) -> None:
    refused = [RefusedNumber(to=written, reason="duplicate"), RefusedNumber(to="12", reason="malformed")]
    message = await _deliver(world, OTHER, refused=refused)

    erased, _ = await _erase(world)

    assert erased == {"messages": 1}
    (struck, kept) = (await world.view(message)).refused
    assert (struck.to.removesuffix("x"), struck.reason, kept) == ("erased", "duplicate", refused[1])


async def test_it_goes_from_texts_references_and_metadata(world: World) -> None:
    message = await _deliver(
        world, OTHER, text=f"call {MOBILE}", reference=f"for {MOBILE}", metadata={"tel": f"86{MOBILE}", "shop": "3"}
    )

    erased, _ = await _erase(world)

    view = await world.view(message)
    assert erased == {"events": 2, "messages": 1}
    assert (view.text, view.reference, view.metadata) == ("call erased", "for erased", {"tel": "erased", "shop": "3"})


async def test_it_goes_from_what_the_provider_and_subscribers_answered(world: World, database: Database) -> None:
    endpoint = await world.endpoint()
    message = await world.accept([MOBILE, OTHER])
    await world.finish(work_of(message), msgspec.structs.replace(REFUSED, message=f"bad number {MOBILE}"))
    (work,) = await world.lease((endpoint, 1))
    record = msgspec.structs.replace(attempt_record(work, 200), answer=b'{"echo":"%d"}' % MOBILE)
    await world.store.finish_delivery(work, record)

    erased, _ = await _erase(world)

    assert erased == {"events": 1, "attempts": 1, "recipients": 1}
    assert (await world.view(message)).submissions[0].provider_message == "bad number erased"
    detail = await world.store.delivery(world.team.id, work.id)
    assert detail is not None
    assert detail.attempts[0].answer == '{"echo":"erased"}'


async def test_raw_bodies_that_hold_it_are_emptied_and_keep_their_state(world: World, database: Database) -> None:
    with_it = b'{"mobile":"+86%d","content":"hi"}' % MOBILE
    longer = b'{"id":"9%d"}' % MOBILE
    for body in (with_it, b'{"mobile":"%d"}' % OTHER, longer):
        await world.store.receive_reports(world.account.id, raw_id(), raw_body(body=body), reading([]))
    await world.store.quarantine(world.account.id, raw_id(), raw_body(body=with_it), "why")

    assert await _erase(world) == ({"raw_bodies": 2}, {})

    assert [
        (state, bytes(body)) for state, body in database.execute("SELECT state, body FROM raw_bodies ORDER BY id")
    ] == [
        ("applied", b""),
        ("applied", b'{"mobile":"%d"}' % OTHER),
        ("applied", longer),
        ("quarantined", b""),
    ]


async def test_a_masked_number_is_taken_for_it_only_beside_its_own_task(world: World, database: Database) -> None:
    message = await _deliver(world, MOBILE)
    stranger = await _deliver(world, OTHER)
    first, last = mask_of(MOBILE)
    bodies = [
        f'{{"taskId":"{task_of(about)}","mobile":"{first}****{last:04}"}}'.encode() for about in (message, stranger)
    ]
    for body in bodies:
        await world.store.receive_reports(world.account.id, raw_id(), raw_body(body=body), reading([]))

    erased, _ = await _erase(world)

    assert erased["raw_bodies"] == 1
    kept = [bytes(row[0]) for row in database.execute("SELECT body FROM raw_bodies WHERE body <> ''")]
    assert bodies[0] not in kept
    assert bodies[1] in kept


async def test_a_body_that_is_not_applied_yet_is_left(world: World) -> None:
    own, raw = raw_id(), raw_body(source="pull", body=b"%d" % MOBILE)
    await world.store.store_raw(world.account.id, raw, own)

    assert await _erase(world) == ({}, {"raw_bodies": 1})
    assert (await world.store.pending_raw(1))[0].raw == raw

    await world.store.receive_reports(world.account.id, own, raw_body(), reading([]))
    assert await _erase(world) == ({"raw_bodies": 1}, {})


@pytest.mark.parametrize("outcome", [ACCEPTED, UNCONFIRMED, NOT_SENT], ids=lambda outcome: type(outcome).__name__)
async def test_what_may_still_be_sent_or_told_of_is_left_and_goes_when_it_is_final(
    world: World, outcome: SendOutcome
) -> None:
    message = await world.accept([MOBILE, OTHER], text=f"hello {MOBILE}")
    await world.finish(work_of(message), outcome)

    _, left = await _erase(world)

    assert left == {"messages": 1, "recipients": 1}
    assert (await world.view(message)).text == message.text
    received = await world.report(report(task_of(message), MOBILE), report(task_of(message), OTHER))
    assert received.results == {"applied": 2}

    erased, left = await _erase(world)
    assert (erased["recipients"], erased["messages"], left) == (1, 1, {})
    assert await world.statuses(message) == {"erased": "delivered", str(OTHER): "delivered"}


async def test_a_second_erasure_finds_nothing(world: World) -> None:
    await world.endpoint()
    await _deliver(world, MOBILE, text=f"hello {MOBILE}", refused=[RefusedNumber(to=str(MOBILE), reason="duplicate")])
    await world.hear(inbound(MOBILE))
    first, _ = await _erase(world)
    assert first

    assert await _erase(world) == ({}, {})


async def test_small_batches_do_what_one_large_one_does(world: World) -> None:
    messages = [await _deliver(world, MOBILE) for _ in range(5)]
    await world.hear(*(inbound(MOBILE, f"text {number}") for number in range(3)))

    erased, _ = await _erase(world, limit=2)

    assert erased == {"events": 13, "inbound": 3, "pairs": 3, "recipients": 5}
    assert [(await world.view(message)).erased for message in messages] == [True] * 5


async def test_nothing_of_it_is_left_on_the_disk(engine: Any) -> None:
    database = engine.new()
    async with database.open() as store:
        world = World(store)
        await world.start()
        await world.endpoint()
        await _deliver(world, MOBILE, OTHER, text=f"hello {MOBILE}", reference=str(MOBILE))
        await world.hear(inbound(MOBILE, "unmistakable"))
        await store.receive_reports(world.account.id, raw_id(), raw_body(body=b"%d" % MOBILE), reading([]))
        assert await _erase(world)
    stored = database.stored_bytes()
    assert str(MOBILE).encode() not in stored
    assert b"unmistakable" not in stored
