"""The audit: read back as it was written, filtered, and kept by the database itself."""

import sqlite3

import asyncpg
import msgspec
import pytest

from relay.domain.audit import AuditEntry, AuditFilter, AuditView
from relay.domain.ids import raw_bytes
from relay.domain.times import instant
from relay.ports import Store
from tests.store.builders import NOW_MS, entry
from tests.store.conformance.engines import Database

REFUSED = (sqlite3.IntegrityError, asyncpg.RaiseError)


async def _add(store: Store, **changes: object) -> AuditEntry:
    made = msgspec.structs.replace(entry(), **changes)
    await store.add_audit(made, None)
    return made


async def _found(store: Store, **filters: object) -> list[str]:
    page = await store.audit(msgspec.convert(filters, AuditFilter), position=None, limit=10)
    return [view.id for view in page.data]


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
async def test_the_database_refuses_to_change_or_delete_an_entry(store: Store, database: Database, change: str) -> None:
    made = await _add(store, detail={"after": {"name": "shop"}})

    with pytest.raises(REFUSED, match="append-only"):
        database.execute(change)

    assert (await store.audit(AuditFilter(), position=None, limit=10)).data == [
        AuditView(
            id=made.id,
            at=instant(NOW_MS),
            actor="cli",
            action="team.created",
            target="a test",
            detail={"after": {"name": "shop"}},
            from_address=None,
            request_id=None,
        )
    ]


async def test_entries_are_found_by_what_who_whom_and_when(store: Store) -> None:
    actor = msgspec.structs.replace(entry().actor, name="key_1")
    first = await _add(store, action="key.created", actor=actor, at_ms=NOW_MS)
    second = await _add(store, action="key.revoked", target="key_2", at_ms=NOW_MS + 1)
    third = await _add(store, action="keyring.rotated", target="key_2", at_ms=NOW_MS + 2)

    assert await _found(store) == [third.id, second.id, first.id]
    assert await _found(store, action="key.*") == [second.id, first.id]
    assert await _found(store, action="key.revoked") == [second.id]
    assert await _found(store, actor="key_1") == [first.id]
    assert await _found(store, target="key_2") == [third.id, second.id]
    assert await _found(store, after_ms=NOW_MS) == [third.id, second.id]
    assert await _found(store, after_ms=NOW_MS, before_ms=NOW_MS + 2) == [second.id]


async def test_entries_are_exported_oldest_first_page_by_page(store: Store) -> None:
    ids = [(await _add(store, action="key.created")).id for _ in range(3)]
    await _add(store)
    filters = AuditFilter(action="key.*")

    first = await store.audit_from(filters, position=None, limit=2)
    rest = await store.audit_from(filters, position=first.next_position, limit=2)
    behind = await store.audit_from(filters, position=raw_bytes(ids[0]).hex(), limit=2)

    assert [[view.id for view in page.data] for page in (first, rest, behind)] == [ids[:2], ids[2:], ids[1:]]
    assert rest.next_position is None
