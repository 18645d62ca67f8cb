"""API keys in the store."""

from collections.abc import Mapping

from relay.domain.audit import AuditEntry
from relay.domain.ids import KeyId, raw_bytes
from relay.domain.keys import KeyView
from relay.domain.teams import Principal
from relay.ports import Idempotency, NewKey, Page, Replay, Stored
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import keys


class KeysPart(Part):
    """See ``relay.ports.platform.KeyStore``."""

    async def create_key(self, new: NewKey, *, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        return await self._driver.write(lambda db: keys.create_key(db, self._ring, new, entry, idempotency))

    async def key(self, key_id: str) -> KeyView | None:
        return await self._driver.read(lambda db: keys.key(db, raw_bytes(key_id)))

    async def change_key(
        self,
        before: KeyView,
        after: KeyView,
        *,
        successor: NewKey | None = None,
        entry: AuditEntry,
        idempotency: Idempotency | None = None,
    ) -> Stored | Replay | None:
        return await self._driver.write(
            lambda db: keys.change_key(db, self._ring, before, after, successor, entry, idempotency),
            turns.change(before.id),
        )

    async def find_key(self, key_hash: bytes) -> KeyView | None:
        return await self._driver.read(lambda db: keys.find_key(db, key_hash))

    async def keys(
        self, *, team_id: str | None, position: str | None, limit: int, include_revoked: bool = False
    ) -> Page[KeyView]:
        team = None if team_id is None else raw_bytes(team_id)
        return await self._driver.read(
            lambda db: keys.key_list(db, team, position, limit, include_revoked=include_revoked)
        )

    async def note_key_uses(self, uses: Mapping[KeyId, int]) -> None:
        await self._driver.write(lambda db: keys.note_uses(db, uses))

    async def find_principal(self, key_hash: bytes) -> Principal | None:
        return await self._driver.read(lambda db: keys.find_principal(db, key_hash))
