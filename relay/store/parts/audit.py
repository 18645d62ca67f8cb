"""The audit in the store."""

from relay.domain.audit import AuditEntry, AuditFilter, AuditView
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store.parts.part import Part
from relay.store.scripts import audit


class AuditPart(Part):
    """See ``relay.ports.platform.AuditStore``."""

    async def add_audit(self, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        return await self._driver.write(lambda db: audit.add_once(db, self._ring, entry, idempotency))

    async def audit(self, filters: AuditFilter, *, position: str | None, limit: int) -> Page[AuditView]:
        return await self._driver.read(lambda db: audit.entries(db, filters, position, limit))

    async def audit_from(self, filters: AuditFilter, *, position: str | None, limit: int) -> Page[AuditView]:
        return await self._driver.read(lambda db: audit.entries_from(db, filters, position, limit))
