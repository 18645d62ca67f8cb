"""Replicas on one database: who lives, who leads, and what becomes of the work of the dead."""

import time
from typing import Final

from relay.ports import Held, Standing, Store
from tests.store.builders import ACCEPTED, NOT_SENT, attempt_record, mobiles, work_of
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

A: Final = b"replica1"
B: Final = b"replica2"
C: Final = b"replica3"
TTL_MS: Final = 60_000
"""Longer than a test takes on a busy machine."""


def claim_of(replica: bytes) -> bytes:
    """A claim of this replica."""
    return replica + b"a claim."


async def join(store: Store, replica: bytes) -> Standing:
    standing = await store.beat(replica, name=replica.decode(), ttl_ms=TTL_MS, join=True)
    assert standing is not None
    return standing


async def beat(store: Store, replica: bytes) -> Standing | None:
    return await store.beat(replica, name=replica.decode(), ttl_ms=TTL_MS, join=False)


def over(database: Database, replica: bytes) -> None:
    """The replica's time is over, as if it had given no sign of life for so long."""
    # In the text, because engines differ in how they mark parameters.
    database.execute(f"UPDATE replicas SET expires_ms = 1 WHERE name = '{replica.decode()}'")  # noqa: S608 - see above


def seen(standing: Standing | None) -> tuple[tuple[bytes, ...], bool]:
    """Who lives, and whether this one leads."""
    assert standing is not None
    return standing.replicas, standing.leads


async def test_the_first_to_join_leads_and_each_later_one_sees_those_before(store: Store) -> None:
    assert seen(await join(store, B)) == ((B,), True)
    assert seen(await join(store, A)) == ((A, B), False)
    assert seen(await beat(store, B)) == ((A, B), True)
    assert seen(await beat(store, A)) == ((A, B), False)


async def test_two_stores_on_one_database_see_each_other(database: Database) -> None:
    async with database.open() as one, database.open() as other:
        assert seen(await join(one, A)) == ((A,), True)
        assert seen(await join(other, B)) == ((A, B), False)
        assert seen(await beat(one, A)) == ((A, B), True)


async def test_the_time_is_the_databases(store: Store) -> None:
    before_ms = int(time.time() * 1000)
    standing = await join(store, A)
    after_ms = int(time.time() * 1000)

    # The same machine's, to the millisecond that either rounds away.
    assert before_ms - 1 <= standing.now_ms <= after_ms + 1


async def test_a_join_that_is_made_again_changes_nothing(store: Store) -> None:
    await join(store, A)

    assert seen(await join(store, A)) == ((A,), True)


async def test_who_is_not_there_is_told_so_and_does_not_come_back_by_itself(store: Store) -> None:
    assert await beat(store, A) is None
    assert seen(await join(store, B)) == ((B,), True)


async def test_a_replica_whose_time_is_over_is_buried_by_the_next_beat_and_its_duty_goes_over(
    store: Store, database: Database
) -> None:
    await join(store, A)
    await join(store, B)
    over(database, A)

    assert seen(await beat(store, B)) == ((B,), True)
    assert await beat(store, A) is None


async def test_a_duty_that_nobody_renewed_goes_over(store: Store, database: Database) -> None:
    await join(store, A)
    await join(store, B)
    database.execute("UPDATE duties SET until_ms = 1")

    assert seen(await beat(store, B)) == ((A, B), True)
    assert seen(await beat(store, A)) == ((A, B), False)


async def test_a_replica_whose_own_time_was_over_buries_nobody_and_keeps_what_it_has(
    store: Store, database: Database
) -> None:
    await join(store, A)
    await join(store, B)
    over(database, A)
    over(database, B)

    # The database was away for both: whoever comes first must not take the other for dead.
    assert seen(await beat(store, B)) == ((A, B), False)
    assert seen(await beat(store, A)) == ((A, B), True)


async def test_who_joins_buries_nobody(store: Store, database: Database) -> None:
    await join(store, A)
    over(database, A)

    assert seen(await join(store, B)) == ((A, B), False)
    assert seen(await beat(store, B)) == ((B,), True)


async def test_who_leaves_is_gone_at_once_with_its_duty(store: Store) -> None:
    await join(store, A)
    await join(store, B)

    await store.leave(A)

    assert seen(await beat(store, B)) == ((B,), True)
    assert await beat(store, A) is None


async def test_what_a_dead_replica_was_sending_is_unconfirmed_at_the_next_sweep_and_no_others_is(
    world: World, database: Database
) -> None:
    store = world.store
    await join(store, A)
    now_ms = (await join(store, B)).now_ms
    of_dead = await world.accept(mobiles(1), status="queued", due_ms=now_ms, created_ms=now_ms)
    (dead,) = await world.claim(now_ms=now_ms, claim=claim_of(A))
    of_living = await world.accept(mobiles(1), status="queued", due_ms=now_ms, created_ms=now_ms)
    await world.claim(now_ms=now_ms, claim=claim_of(B))
    over(database, A)

    standing = await beat(store, B)
    assert standing is not None
    await world.sweep(standing.now_ms)

    assert [await world.counts(of_dead), await world.counts(of_living)] == [{"unconfirmed": 1}, {"submitting": 1}]
    # It comes back, and changes nothing.
    assert (await world.finish(dead, ACCEPTED)).fenced
    assert (await world.finish(dead, NOT_SENT)).fenced
    assert await world.counts(of_dead) == {"unconfirmed": 1}


async def test_what_a_replica_that_left_had_not_finished_is_unconfirmed_at_the_next_sweep(world: World) -> None:
    now_ms = (await join(world.store, A)).now_ms
    message = await world.accept(mobiles(1), status="queued", due_ms=now_ms, created_ms=now_ms)
    await world.claim(now_ms=now_ms, claim=claim_of(A))

    await world.store.leave(A)
    standing = await join(world.store, B)
    await world.sweep(standing.now_ms)

    assert await world.counts(message) == {"unconfirmed": 1}


async def test_an_outcome_that_is_known_before_the_sweep_still_counts(world: World, database: Database) -> None:
    await join(world.store, A)
    now_ms = (await join(world.store, B)).now_ms
    message = await world.accept(mobiles(1), status="queued", due_ms=now_ms, created_ms=now_ms)
    (work,) = await world.claim(now_ms=now_ms, claim=claim_of(A))
    over(database, A)
    await beat(world.store, B)

    finished = await world.finish(work, ACCEPTED)

    assert (finished.fenced, await world.counts(message)) == (False, {"submitted": 1})


async def test_deliveries_of_a_dead_replica_are_free_and_it_cannot_finish_or_release_them(
    world: World, database: Database
) -> None:
    store = world.store
    now_ms = (await join(store, A)).now_ms
    await join(store, B)
    endpoint = await world.endpoint()
    message = await world.accept(mobiles(2), created_ms=now_ms)
    await world.finish(work_of(message), ACCEPTED, now_ms=now_ms)
    (dead,) = await world.lease((endpoint, 9), now_ms=now_ms, claim=claim_of(A))
    assert await world.lease((endpoint, 9), now_ms=now_ms, claim=claim_of(B)) == []
    over(database, A)

    await beat(store, B)
    (taken,) = await world.lease((endpoint, 9), now_ms=now_ms, claim=claim_of(B))

    assert (taken.id, taken.attempt) == (dead.id, 1)
    assert (await store.finish_delivery(dead, attempt_record(dead, 200, at_ms=now_ms))).fenced
    await store.release_deliveries([dead])
    assert await world.lease((endpoint, 9), now_ms=now_ms, claim=claim_of(B)) == []
    assert not (await store.finish_delivery(taken, attempt_record(taken, 200, at_ms=now_ms))).fenced


async def test_what_is_held_is_told_by_account_endpoint_and_replica(world: World) -> None:
    now_ms = (await join(world.store, A)).now_ms
    endpoint = await world.endpoint()
    message = await world.accept(mobiles(1), mobiles(1, 1), mobiles(1, 2), created_ms=now_ms)
    await world.finish(work_of(message, 0), ACCEPTED, now_ms=now_ms)
    await world.finish(work_of(message, 1), NOT_SENT, now_ms=now_ms, retry_due_ms=now_ms)
    await world.finish(work_of(message, 2), NOT_SENT, now_ms=now_ms, retry_due_ms=now_ms)
    await world.claim(1, now_ms=now_ms, claim=claim_of(A))
    await world.claim(1, now_ms=now_ms, claim=claim_of(C))
    await world.lease((endpoint, 9), now_ms=now_ms, claim=claim_of(B))

    held = await world.store.held()

    expected = [
        Held(key=world.account.id, replica=A, number=1),
        Held(key=world.account.id, replica=C, number=1),
        Held(key=endpoint.view.id, replica=B, number=1),
    ]
    assert sorted(held, key=repr) == sorted(expected, key=repr)
