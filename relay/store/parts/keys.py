"""API keys in the store."""

from relay.domain.audit import AuditEntry
from relay.domain.ids import raw_bytes
from relay.domain.teams import KeyView, Principal
from relay.ports import Idempotency, NewKey, Page, Replay, Stored
from relay.store.parts.part import Part
from relay.store.scripts import keys


class KeysPart(Part):
    """See ``relay.ports.platform.KeyStore``."""

    async def create_key(self, new: NewKey, *, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        return await self._driver.write(lambda db: keys.create_key(db, self._ring, new, entry, idempotency))

    async def key(self, key_id: str) -> KeyView | None:
        return await self._driver.read(lambda db: keys.key(db, raw_bytes(key_id)))

    async def keys(self, *, team_id: str | None, position: str | None, limit: int) -> Page[KeyView]:
        return await self._driver.read(
            lambda db: keys.key_list(db, None if team_id is None else raw_bytes(team_id), position, limit)
        )

    async def find_principal(self, key_hash: bytes) -> Principal | None:
        return await self._driver.read(lambda db: keys.find_principal(db, key_hash))
