"""Opt-outs in the store."""

from collections.abc import Callable, Sequence

from relay.domain.audit import AuditEntry
from relay.domain.ids import TeamId, raw_bytes
from relay.domain.suppressions import Suppression
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import suppressions as scripts


class SuppressionsPart(Part):
    """See ``relay.ports.platform.SuppressionStore``."""

    async def add_suppression(
        self, suppression: Suppression, *, entry: AuditEntry, idempotency: Idempotency | None
    ) -> Stored | Replay:
        return await self._driver.write(
            lambda db: scripts.add(db, self._ring, suppression, entry, idempotency),
            turns.add_suppressions([suppression], idempotency),
        )

    async def add_suppressions(
        self,
        suppressions: Sequence[Suppression],
        *,
        entry: AuditEntry,
        idempotency: Idempotency | None,
        render: Callable[[int], bytes],
    ) -> int | Replay:
        return await self._driver.write(
            lambda db: scripts.add_all(db, self._ring, suppressions, entry, idempotency, render),
            turns.add_suppressions(suppressions, idempotency),
        )

    async def remove_suppression(self, suppression_id: str, *, entry: AuditEntry) -> bool:
        return await self._driver.write(lambda db: scripts.remove(db, raw_bytes(suppression_id), entry))

    async def suppression(self, suppression_id: str) -> Suppression | None:
        return await self._driver.read(lambda db: scripts.find(db, raw_bytes(suppression_id)))

    async def suppression_of(self, team_id: TeamId, mobile: int) -> Suppression | None:
        return await self._driver.read(lambda db: scripts.of_number(db, raw_bytes(team_id), mobile))

    async def suppressions(
        self, *, team_id: str | None, mobile: int | None, position: str | None, limit: int
    ) -> Page[Suppression]:
        team = None if team_id is None else raw_bytes(team_id)
        return await self._driver.read(lambda db: scripts.page(db, team, mobile, position, limit))
