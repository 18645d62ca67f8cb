"""Marks of keys, who has which, and sealing anew what an older key sealed."""

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import Final

import msgspec
import pytest

from relay.domain.audit import COMMAND, AuditFilter
from relay.domain.errors import KeyRingError
from relay.domain.keyring import KeyRingStanding
from relay.ports import Idempotency, Replay, SealedBatch, SealedPosition, Store
from relay.services.admin.keyring import KeyRingAdmin
from relay.services.admin.rotation import Rotation
from relay.store.live_ring import LiveRing
from relay.store.ring_files import EditedRing, RingSource
from relay.store.sealed import KEPT, SEALED, answer_place, fallback_place
from relay.store.sealing import KeyRing, write_key
from relay.system import SystemClock, SystemEntropy
from tests.store import builders
from tests.store.builders import PASSWORD_MD5, entry, idempotency
from tests.store.conformance.engines import RING, Database, SqliteDatabase

OLD: Final = bytes(32)
NEW: Final = bytes([1] * 32)
OTHER: Final = bytes([2] * 32)
ADDED: Final = KeyRing({"k1": OLD, "k2": NEW})
TURNED: Final = KeyRing({"k2": NEW, "k1": OLD})
ALONE: Final = KeyRing({"k2": NEW})
ANSWERS: Final = SealedPosition(column=4, after=("", ""))


async def filled(store: Store, answers: int = 7) -> list[Idempotency]:
    """A value of every sealed column that the store writes, and so many answers."""
    account, team = builders.account(), builders.team()
    await store.create_account(account, callback_token="token", entry=entry(), idempotency=None)
    await store.create_team(team, entry=entry(), idempotency=None)
    await store.create_endpoint(builders.endpoint(team.id, headers={"X-Api-Key": "theirs"}), None)
    uses = [idempotency("admin", f"key {number}", answer=b"answer %d" % number) for number in range(answers)]
    for use in uses:
        await store.add_audit(entry(), use)
    return uses


async def walked(store: Store, limit: int = 3) -> SealedBatch:
    """One walk, in small steps."""
    total = SealedBatch(counts={}, next_position=None)
    position: SealedPosition | None = None
    while True:
        batch = await store.reseal(position, limit)
        for table, by_key in batch.counts.items():
            for key_id, number in by_key.items():
                own = total.counts.setdefault(table, {})
                own[key_id] = own.get(key_id, 0) + number
        total = msgspec.structs.replace(
            total,
            stale=total.stale + batch.stale,
            resealed=total.resealed + batch.resealed,
            unreadable=total.unreadable + batch.unreadable,
        )
        position = batch.next_position
        if position is None:
            return total


def activated(standing: KeyRingStanding) -> dict[str, bool]:
    return {mark.key_id: mark.activated_ms is not None for mark in standing.marks}


async def test_every_sealed_column_of_the_schema_is_walked_or_keeps_its_key(store: Store, database: Database) -> None:
    await filled(store)
    listed = {
        True: "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c",
        False: "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'",
    }
    columns = database.execute(listed[isinstance(database, SqliteDatabase)])
    sealed = {(table, column) for table, column in columns if column.endswith("sealed")}
    assert sealed == KEPT | {(column.table, column.column) for column in SEALED}


async def test_the_keys_of_a_new_database_have_been_in_use_and_later_ones_wait(database: Database) -> None:
    async with database.open() as store:
        await store.admit_key_ring()
        assert activated(await store.key_ring()) == {"k1": True}
    async with database.open(ring=ADDED) as store:
        await store.admit_key_ring()
        standing = await store.key_ring()
        assert activated(standing) == {"k1": True, "k2": False}
        assert (standing.active, standing.pending) == ("k1", "k2")
    async with database.open(ring=TURNED) as store:
        await store.admit_key_ring()
        assert await store.activate_key("k2", entry())
        assert not await store.activate_key("k2", entry())
        assert (await store.key_ring()).pending is None
        assert len((await store.audit(AuditFilter(), position=None, limit=10)).data) == 1


async def test_a_ring_that_opens_nothing_of_the_database_is_refused(database: Database) -> None:
    async with database.open() as store:
        await store.admit_key_ring()
    async with database.open(ring=KeyRing({"k9": OTHER})) as store:
        with pytest.raises(KeyRingError, match=r"^the key ring lacks 'k1', which sealed values in this database: put "):
            await store.admit_key_ring()
    async with database.open(ring=KeyRing({"k1": OTHER})) as store:
        with pytest.raises(KeyRingError, match=r"^the key 'k1' of the key ring is not the one that sealed this"):
            await store.admit_key_ring()


async def test_a_database_from_before_the_marks_is_checked_by_its_values(database: Database) -> None:
    async with database.open() as store:
        await filled(store)
    for ring, words in ((KeyRing({"k9": OTHER}), "'k1', which is not in"), (KeyRing({"k1": OTHER}), "does not open")):
        async with database.open(ring=ring) as store:
            with pytest.raises(KeyRingError, match=words):
                await store.admit_key_ring()
            assert (await store.key_ring()).marks == ()
    async with database.open() as store:
        await store.admit_key_ring()


async def test_a_key_may_be_missing_only_when_it_seals_nothing(database: Database) -> None:
    async with database.open(ring=ADDED) as store:
        await store.admit_key_ring()
        await filled(store)
    async with database.open(ring=ALONE) as store:
        with pytest.raises(KeyRingError, match="lacks 'k1'"):
            await store.admit_key_ring()
    async with database.open(ring=TURNED) as store:
        await store.admit_key_ring()
        await walked(store)
    async with database.open(ring=ALONE) as store:
        await store.admit_key_ring()
        assert len(await store.accounts()) == 1


async def test_everything_is_sealed_anew_and_reads_as_before(database: Database) -> None:
    async with database.open() as store:
        uses = await filled(store)
        (account,) = await store.accounts()
        key = bytes.fromhex(account.id.removeprefix("acct_"))
        before = PASSWORD_MD5[::-1].encode() + b"the account before"
        database.execute("UPDATE accounts SET fallback_sealed = ?", RING.seal(before, place=fallback_place(key)))
        (account,) = await store.accounts()
    async with database.open(ring=TURNED) as store:
        done = await walked(store)
        assert (done.stale, done.resealed, done.unreadable) == (11, 11, 0)
        assert done.counts == {"accounts": {"k1": 2}, "endpoints": {"k1": 2}, "idempotency": {"k1": 7}}
        again = await walked(store, limit=2)
        assert (again.stale, again.resealed) == (0, 0)
        assert again.counts == {"accounts": {"k2": 2}, "endpoints": {"k2": 2}, "idempotency": {"k2": 7}}
    async with database.open(ring=ALONE) as store:
        assert await store.accounts() == [account]
        assert account.password_md5 == PASSWORD_MD5
        for use in uses:
            assert await store.find_replay(use.scope, use.key, use.fingerprint) == Replay(
                status=use.status, answer=use.answer
            )
        (sealed,) = database.execute("SELECT fallback_sealed FROM accounts")[0]
        assert ALONE.open(bytes(sealed), place=fallback_place(key)) == before


async def test_what_does_not_open_is_told_and_holds_nobody_up(database: Database) -> None:
    async with database.open() as store:
        await filled(store, answers=3)
    database.execute("UPDATE idempotency SET answer_sealed = ? WHERE key = 'key 1'", RING.seal(b"moved", place="else"))
    database.execute("UPDATE idempotency SET answer_sealed = ? WHERE key = 'key 2'", b"nothing that was sealed")
    async with database.open(ring=TURNED) as store:
        done = await walked(store, limit=1)
        assert (done.stale, done.resealed, done.unreadable) == (6, 4, 2)
        assert done.counts["idempotency"] == {"k1": 2, "?": 1}


async def test_a_value_that_changes_while_it_is_sealed_anew_stays_as_it_was_changed(database: Database) -> None:
    async with database.open() as first:
        (use,) = await filled(first, answers=1)
    changed = TURNED.seal(b"changed meanwhile", place=answer_place(use.scope, use.key))

    def token(size_bytes: int) -> bytes:
        # Random bytes are drawn between the reading and the writing.
        database.execute("UPDATE idempotency SET answer_sealed = ?", changed)
        return bytes(size_bytes)

    async with database.open(ring=KeyRing({"k2": NEW, "k1": OLD}, token)) as second:
        done = await second.reseal(ANSWERS, 10)
        assert (done.stale, done.resealed, done.unreadable) == (1, 0, 0)
        replay = await second.find_replay(use.scope, use.key, use.fingerprint)
        assert replay == Replay(status=use.status, answer=b"changed meanwhile")


async def test_gateways_that_live_say_what_they_have(database: Database) -> None:
    async with database.open() as first, database.open(ring=TURNED) as second:
        await first.tell_key_ring(b"one     ", "host:1")
        await second.tell_key_ring(b"two     ", "host:2")
        await second.tell_key_ring(b"two     ", "host:2")
        holders = (await first.key_ring()).holders
        assert [(holder.name, holder.key_ids, holder.active) for holder in holders] == [
            ("host:1", ("k1",), "k1"),
            ("host:2", ("k2", "k1"), "k2"),
        ]
        await first.leave_key_ring(b"one     ")
        database.execute("UPDATE key_ring_holders SET seen_ms = seen_ms - 31000")
        assert (await first.key_ring()).holders == ()
        await first.tell_key_ring(b"three   ", "host:3")
        assert database.execute("SELECT name FROM key_ring_holders") == [("host:3",)]


async def test_a_mark_goes_once_and_is_told(store: Store) -> None:
    await store.admit_key_ring()
    for _ in range(2):
        await store.forget_key("k1", entry())
    assert (await store.key_ring()).marks == ()
    assert len((await store.audit(AuditFilter(), position=None, limit=10)).data) == 1


async def test_replicas_that_seal_all_the_time_notice_nothing_of_a_rotation(database: Database, tmp_path: Path) -> None:
    (tmp_path / "keyring").touch(mode=0o600)
    (tmp_path / "keyring").write_text(write_key("k1", OLD))
    source = RingSource(value=None, file=None, data_dir=tmp_path, create=False)
    async with contextlib.AsyncExitStack() as opened:
        stores = [await opened.enter_async_context(database.open(ring=LiveRing(source))) for _ in range(3)]
        for store in stores:
            await store.admit_key_ring()
        uses, running = await filled(stores[0]), True

        async def follow(number: int) -> None:
            while running:
                await stores[number].follow_key_ring()
                await stores[number].tell_key_ring(b"replica%d" % number, f"replica {number}")
                await asyncio.sleep(0.02)

        async def seal(number: int) -> None:
            for turn in itertools.count():
                if not running:
                    return
                use = idempotency("admin", f"of {number} in turn {turn}", answer=b"%d" % turn)
                await stores[number].add_audit(entry(), use)
                uses.append(use)
                await assert_replayed(stores[1 - number], uses[turn * 7 % len(uses)])
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(work(number)) for number in (0, 1) for work in (follow, seal)]
        rotation = Rotation(
            stores[2],
            admin_of(stores[2]),
            EditedRing(source),
            COMMAND,
            wait_s=10,
            tell=lambda _: None,
            watch=lambda _: None,
        )
        done = await rotation.run()
        await rotation.remove("k1")
        running = False
        await asyncio.gather(*tasks)
        assert (done.removable, done.unreadable) == (["k1"], 0)
    ring = KeyRing.parse(source.read())
    assert ring.key_ids == (done.active,)
    async with database.open(ring=ring) as store:
        await store.admit_key_ring()
        assert len(await store.accounts()) == 1
        for use in uses:
            await assert_replayed(store, use)
        assert (await admin_of(store).count()).keys() == {"accounts", "endpoints", "idempotency"}
        assert (await admin_of(store).view()).stale_values == 0


def admin_of(store: Store) -> KeyRingAdmin:
    return KeyRingAdmin(store, SystemClock(), SystemEntropy())


async def assert_replayed(store: Store, use: Idempotency) -> None:
    replay = await store.find_replay(use.scope, use.key, use.fingerprint)
    assert replay == Replay(status=use.status, answer=use.answer)
