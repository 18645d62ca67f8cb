"""API keys as they change: in one transaction, and only if nobody came between."""

import msgspec

from relay.domain.audit import AuditFilter
from relay.domain.teams import hash_secret
from relay.domain.times import instant
from relay.ports import Stored
from tests.store import builders
from tests.store.builders import NOW_MS, entry, idempotency
from tests.store.conformance.world import World


async def test_a_key_is_changed_with_its_successor_and_its_entry(world: World) -> None:
    old, new = builders.key(world.team.id, "old"), builders.key(world.team.id, "new")
    await world.store.create_key(old, entry=entry(), idempotency=None)
    after = msgspec.structs.replace(old.view, name="renamed", expires_at=instant(NOW_MS + 5))
    told = msgspec.structs.replace(entry(), action="key.rotated")

    changed = await world.store.change_key(old.view, after, successor=new, entry=told, idempotency=idempotency("admin"))

    assert changed == Stored()
    assert await world.store.key(old.view.id) == after
    assert await world.store.find_key(hash_secret("new")) == new.view
    principal = await world.store.find_principal(old.hash)
    assert principal is not None
    assert principal.expires_ms == NOW_MS + 5
    entries = await world.store.audit(AuditFilter(action="key.*"), position=None, limit=10)
    assert [found.id for found in entries.data] == [told.id]


async def test_a_change_of_what_is_not_so_any_more_changes_nothing(world: World) -> None:
    old, new = builders.key(world.team.id, "old"), builders.key(world.team.id, "new")
    await world.store.create_key(old, entry=entry(), idempotency=None)
    revoked = msgspec.structs.replace(old.view, revoked_at=instant(NOW_MS))
    assert await world.store.change_key(old.view, revoked, entry=entry()) == Stored()

    late = await world.store.change_key(
        old.view, old.view, successor=new, entry=entry(), idempotency=idempotency("admin")
    )

    assert late is None
    assert await world.store.key(old.view.id) == revoked
    assert await world.store.find_principal(old.hash) is None
    assert await world.store.find_key(hash_secret("old")) == revoked
    assert await world.store.find_key(hash_secret("new")) is None
    assert await world.store.find_replay("admin", "key 1", b"request 1") is None


async def test_the_latest_use_counts_whoever_tells_of_it_last(world: World) -> None:
    keys = [builders.key(world.team.id, f"key {number}") for number in range(2)]
    for key in keys:
        await world.store.create_key(key, entry=entry(), idempotency=None)
    first, second = (key.view.id for key in keys)

    await world.store.note_key_uses({first: NOW_MS + 2, second: NOW_MS})
    await world.store.note_key_uses({first: NOW_MS + 1, second: NOW_MS + 3})

    used = [(await world.store.key(key_id)) for key_id in (first, second)]
    assert [view and view.last_used_at for view in used] == [instant(NOW_MS + 2), instant(NOW_MS + 3)]
