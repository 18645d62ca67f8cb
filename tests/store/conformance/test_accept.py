"""Accepting a message."""

import asyncio

import pytest

from relay.domain.errors import BodyInvalid, IdempotencyKeyReused, QuotaExceeded, StoreError, Withheld
from relay.domain.extensions import Lease
from relay.domain.messages import MessageView, RecipientView, RefusedNumber, SubmissionView
from relay.domain.teams import RecipientLimit
from relay.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, instant
from relay.ports import Quota, Replay, Stored
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, REFUSED, UNCONFIRMED, entry, idempotency, mobiles, task_of, work_of
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

QUOTA = Quota(day="2026-11-18", units=100, ends_in_s=3600.0)
ANSWER = b'{"id":"msg_1","text":"made-up secret text"}'


@pytest.mark.parametrize("extension", ["888", "10888"])
async def test_an_extension_that_leads_to_another_team_is_refused(world: World, extension: str) -> None:
    await world.store.create_team(builders.team(name="other", extensions=("888",)), entry=entry(), idempotency=None)
    with pytest.raises(BodyInvalid) as caught:
        await world.accept([13800130001], extension=extension)
    assert [error.pointer for error in caught.value.errors] == ["/extension"]


async def test_an_extension_of_the_team_or_of_nobody_is_taken(world: World) -> None:
    own = builders.team(name="own", extensions=("10888", "7"))
    await world.store.create_team(own, entry=entry(), idempotency=None)
    await world.store.create_team(builders.team(name="other", extensions=("888",)), entry=entry(), idempotency=None)
    for extension in ("10888", "7", "17", "88", "8"):
        await world.accept([13800130001], team_id=own.id, extension=extension)


async def test_an_extension_is_looked_at_on_the_account_that_takes_the_message(world: World) -> None:
    apart = await world.add_account()
    theirs = builders.team(name="theirs", extensions=("888",), accounts=(apart,))
    both = builders.team(accounts=(world.account.id, apart))
    for team in (theirs, both):
        await world.store.create_team(team, entry=entry(), idempotency=None)
    await world.accept([13800130001], team_id=both.id, extension="888")
    with pytest.raises(BodyInvalid) as caught:
        await world.accept([13800130001], team_id=both.id, account_id=apart, extension="888")
    assert "theirs" not in str(caught.value)
    assert await world.store.leases_of("10888") == [Lease(extension="888", account_id=apart, team_id=theirs.id)]


async def test_what_was_accepted_is_seen_whole(world: World) -> None:
    message = await world.accept(
        [13800130002, 13800130001], [13800130003], extension="88", category="otp", segments=2, send_at_ms=NOW_MS + 5
    )
    first, second = message.submissions
    assert await world.view(message) == MessageView(
        id=message.id,
        status="submitting",
        text="【示例】你好",
        erased=False,
        to_count=3,
        segments=2,
        units=6,
        refused=[RefusedNumber(to="123", reason="malformed")],
        counts={"submitting": 3},
        reference="order 7",
        metadata={"shop": "3"},
        extension="88",
        category="otp",
        on_unconfirmed="hold",
        created_at=instant(NOW_MS),
        send_at=instant(NOW_MS + 5),
        expires_at=instant(NOW_MS + DAY_MS),
        submissions=[
            SubmissionView(
                id=part.id,
                task_id=task_of(message, index),
                account_id=world.account.id,
                status="submitting",
                code=None,
                provider_message=None,
                waiting_for=None,
            )
            for index, part in enumerate((first, second))
        ],
    )
    assert await world.recipients(message, limit=2) == [
        RecipientView(
            to=to,
            status="submitting",
            final=False,
            reason=None,
            provider_status=None,
            submitted_at=None,
            final_at=None,
            segments=2,
            reports=[],
        )
        for to in ("13800130001", "13800130002", "13800130003")
    ]


async def test_accepting_makes_no_event(world: World) -> None:
    message = await world.accept(mobiles(1))
    assert await world.told(message) == []


async def test_what_starts_later_is_counted_by_its_own_status(world: World) -> None:
    queued = await world.accept(mobiles(2), status="queued")
    scheduled = await world.accept(mobiles(3), status="scheduled", due_ms=NOW_MS + 1)
    assert await world.counts(queued) == {"queued": 2}
    assert await world.counts(scheduled) == {"scheduled": 3}


async def test_a_repeated_request_gets_the_first_answer_and_stores_nothing(world: World) -> None:
    use = idempotency(world.team.id, answer=ANSWER)
    first, second = world.draft(mobiles(1)), world.draft(mobiles(1))
    assert await world.try_accept(first, idempotency=use, quota=QUOTA) == Stored()
    changed = idempotency(world.team.id, status=500, answer=b"not this one")
    assert await world.try_accept(second, idempotency=changed, quota=QUOTA) == Replay(status=202, answer=ANSWER)
    assert await world.store.message(world.team.id, second.id) is None
    assert await world.store.find_replay(use.scope, use.key, use.fingerprint) == Replay(status=202, answer=ANSWER)


async def test_a_key_used_with_another_request_is_refused_and_stores_nothing(world: World) -> None:
    await world.try_accept(world.draft(mobiles(1)), idempotency=idempotency(world.team.id))
    other = idempotency(world.team.id, fingerprint=b"request 2")
    second = world.draft(mobiles(1))
    with pytest.raises(IdempotencyKeyReused):
        await world.try_accept(second, idempotency=other)
    with pytest.raises(IdempotencyKeyReused):
        await world.store.find_replay(other.scope, other.key, other.fingerprint)
    assert await world.store.message(world.team.id, second.id) is None


async def test_the_same_key_of_another_team_is_another_key(world: World) -> None:
    await world.try_accept(world.draft(mobiles(1)), idempotency=idempotency(world.team.id))
    assert await world.try_accept(world.draft(mobiles(1)), idempotency=idempotency("team_other")) == Stored()
    assert await world.store.find_replay("admin", "key 1", b"request 1") is None


async def test_two_requests_with_one_key_at_once_store_one_message(world: World) -> None:
    drafts = [world.draft(mobiles(1)) for _ in range(8)]
    results = await asyncio.gather(
        *(world.try_accept(message, idempotency=idempotency(world.team.id)) for message in drafts)
    )
    assert sorted(type(result).__name__ for result in results) == ["Replay"] * 7 + ["Stored"]
    found = [await world.store.message(world.team.id, message.id) for message in drafts]
    assert sum(view is not None for view in found) == 1


async def test_a_kept_answer_replaces_the_first_one(world: World) -> None:
    use = idempotency(world.team.id)
    await world.try_accept(world.draft(mobiles(1)), idempotency=use)
    await world.store.keep_answer(idempotency(world.team.id, status=201, answer=b"later"))
    assert await world.store.find_replay(use.scope, use.key, use.fingerprint) == Replay(status=201, answer=b"later")


async def test_an_answer_is_kept_only_for_the_request_that_has_the_key(world: World) -> None:
    use = idempotency(world.team.id)
    await world.try_accept(world.draft(mobiles(1)), idempotency=use)
    await world.store.keep_answer(idempotency(world.team.id, fingerprint=b"request 2", answer=b"forged"))
    assert await world.store.find_replay(use.scope, use.key, use.fingerprint) == Replay(status=202, answer=use.answer)


async def test_the_kept_answer_is_sealed_on_disk(world: World, database: Database) -> None:
    await world.try_accept(world.draft(mobiles(1)), idempotency=idempotency(world.team.id, answer=ANSWER))
    assert ANSWER not in database.stored_bytes()
    assert b"made-up secret text" not in database.stored_bytes()


async def test_idempotency_keys_are_forgotten_when_they_are_old(world: World) -> None:
    for index in range(3):
        use = idempotency(world.team.id, f"key {index}", created_ms=NOW_MS + index)
        await world.try_accept(world.draft(mobiles(1)), idempotency=use)
    await world.sweep(NOW_MS, forget_keys_before_ms=NOW_MS + 2)
    left = [await world.store.find_replay(world.team.id, f"key {index}", b"request 1") for index in range(3)]
    assert [replay is not None for replay in left] == [False, False, True]


async def test_a_sweep_that_forgot_as_many_keys_as_it_may_says_that_there_is_more(world: World) -> None:
    for index in range(3):
        use = idempotency(world.team.id, f"key {index}")
        await world.try_accept(world.draft(mobiles(1)), idempotency=use)
    assert [(await world.sweep(NOW_MS, limit=2, forget_keys_before_ms=NOW_MS + 1)).more for _ in range(2)] == [
        True,
        False,
    ]


# -- quota -----------------------------------------------------------------------------------------------------------


async def _units_left(world: World) -> int:
    """Found by taking them, one by one."""
    taken = 0
    while True:
        try:
            await world.try_accept(world.draft(mobiles(1)), quota=QUOTA)
        except QuotaExceeded:
            return taken
        taken += 1


async def test_200_sends_at_once_against_100_units_get_exactly_100(world: World) -> None:
    results = await asyncio.gather(
        *(world.try_accept(world.draft(mobiles(1)), quota=QUOTA) for _ in range(200)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["QuotaExceeded"] * 100 + ["Stored"] * 100


async def test_quota_counts_segments_times_numbers(world: World) -> None:
    assert await world.try_accept(world.draft(mobiles(49), segments=2), quota=QUOTA) == Stored()
    with pytest.raises(QuotaExceeded):
        await world.try_accept(world.draft(mobiles(3)), quota=QUOTA)
    assert await _units_left(world) == 2


async def test_a_message_larger_than_the_whole_quota_is_refused_at_once(world: World) -> None:
    with pytest.raises(QuotaExceeded):
        await world.try_accept(world.draft(mobiles(101)), quota=QUOTA)
    assert await _units_left(world) == 100


async def test_every_day_and_every_team_has_a_quota_of_its_own(world: World) -> None:
    other = world.draft(mobiles(100), team_id=type(world.team.id)("team_" + "f" * 32))
    assert await world.try_accept(world.draft(mobiles(100)), quota=QUOTA) == Stored()
    assert await world.try_accept(other, quota=QUOTA) == Stored()
    assert (
        await world.try_accept(world.draft(mobiles(100)), quota=Quota(day="2026-11-19", units=100, ends_in_s=3600.0))
        == Stored()
    )


async def test_a_refused_accept_stores_nothing_and_its_key_can_be_used_again(world: World) -> None:
    use = idempotency(world.team.id)
    message = world.draft(mobiles(101))
    with pytest.raises(QuotaExceeded):
        await world.try_accept(message, quota=QUOTA, idempotency=use)
    assert await world.store.message(world.team.id, message.id) is None
    assert await world.store.find_replay(use.scope, use.key, use.fingerprint) is None
    assert await world.try_accept(world.draft(mobiles(1)), quota=QUOTA, idempotency=use) == Stored()


async def test_what_the_provider_refused_costs_no_quota(world: World) -> None:
    message = world.draft(mobiles(30), mobiles(20, 30), segments=2)
    await world.try_accept(message, quota=QUOTA)
    await world.finish(work_of(message, 0), REFUSED)
    await world.finish(work_of(message, 1), ACCEPTED)
    assert await _units_left(world) == 60


async def test_what_expired_unsent_costs_no_quota(world: World) -> None:
    message = world.draft(mobiles(100), status="queued")
    await world.try_accept(message, quota=QUOTA)
    await world.sweep(message.expires_ms)
    assert await _units_left(world) == 100


async def test_what_may_have_been_sent_costs_its_quota(world: World) -> None:
    message = world.draft(mobiles(99), on_unconfirmed="fail")
    await world.try_accept(message, quota=QUOTA)
    await world.finish(work_of(message), UNCONFIRMED)
    assert await world.counts(message) == {"failed": 99}
    assert await _units_left(world) == 1


# -- recipient limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "span_ms"),
    [
        (RecipientLimit(per_minute=1), MINUTE_MS),
        (RecipientLimit(per_hour=1), HOUR_MS),
        (RecipientLimit(per_day=1), DAY_MS),
        (RecipientLimit(per_minute=5, per_hour=1), HOUR_MS),
    ],
)
async def test_a_number_gets_no_more_of_a_category_than_its_limit(
    world: World, limit: RecipientLimit, span_ms: int
) -> None:
    await world.accept(mobiles(2))
    last = NOW_MS + span_ms - 1
    with pytest.raises(Withheld) as caught:
        await world.try_accept(world.draft(mobiles(2, 1), created_ms=last), limit=limit)
    assert caught.value.numbers == {mobiles(2)[1]: "recipient_limit"}
    assert caught.value.retry_after_s == 0.001
    assert await world.try_accept(world.draft(mobiles(1, 2), created_ms=last), limit=limit) == Stored()
    assert await world.try_accept(world.draft(mobiles(1, 1), created_ms=last + 1), limit=limit) == Stored()


async def test_a_limit_counts_only_its_team_its_category_and_what_was_not_refused(world: World) -> None:
    await world.accept(mobiles(1), category="otp")
    await world.accept(mobiles(1), team_id=type(world.team.id)("team_" + "f" * 32))
    await world.finish(work_of(await world.accept(mobiles(1))), REFUSED)
    limit = RecipientLimit(per_day=1)
    assert await world.try_accept(world.draft(mobiles(1)), limit=limit) == Stored()
    with pytest.raises(Withheld):
        await world.try_accept(world.draft(mobiles(1)), limit=limit)


async def test_two_sends_to_one_number_at_once_do_not_both_pass_the_limit(world: World) -> None:
    results = await asyncio.gather(
        *(world.try_accept(world.draft(mobiles(1)), limit=RecipientLimit(per_minute=3)) for _ in range(10)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Stored"] * 3 + ["Withheld"] * 7


async def test_a_limit_refusal_takes_no_quota(world: World) -> None:
    await world.accept(mobiles(1))
    with pytest.raises(Withheld):
        await world.try_accept(world.draft(mobiles(2)), quota=QUOTA, limit=RecipientLimit(per_day=1))
    assert await _units_left(world) == 100


# -- size ------------------------------------------------------------------------------------------------------------


async def test_10000_recipients_are_one_message(world: World) -> None:
    everyone = mobiles(10_000)
    message = await world.accept(everyone[:3000], everyone[3000:6000], everyone[6000:9000], everyone[9000:])
    assert await world.counts(message) == {"submitting": 10_000}
    assert [recipient.to for recipient in await world.recipients(message)] == [str(mobile) for mobile in everyone]


async def test_an_accept_that_fails_half_way_stores_nothing(world: World) -> None:
    first = await world.accept(mobiles(1))
    broken = world.draft(mobiles(2))
    broken.submissions.append(first.submissions[0])
    use = idempotency(world.team.id)
    with pytest.raises(StoreError):
        await world.try_accept(broken, quota=QUOTA, idempotency=use)
    assert await world.store.message(world.team.id, broken.id) is None
    assert await world.store.find_replay(use.scope, use.key, use.fingerprint) is None
    assert await world.counts(first) == {"submitting": 1}
    assert await _units_left(world) == 100
