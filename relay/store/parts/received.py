"""Callbacks and pulled bodies in the store."""

from relay.domain.ids import AccountId, RawId, TeamId, raw_bytes
from relay.domain.messages import InboundView
from relay.domain.provider import InboundRow, RawBody, Reading, ReportRow
from relay.ports import Page, PendingRaw, ReadBody, ReceivedBody
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import inbound, reports, views
from relay.store.scripts import raw as raws
from relay.store.scripts import receive as receiving


class ReceivedPart(Part):
    """See ``relay.ports.received.ReceivedStore``."""

    async def store_raw(self, account_id: AccountId, raw: RawBody, raw_id: RawId) -> None:
        await self._driver.write(lambda db: raws.store(db, raw_bytes(account_id), raw_id, raw, "pending", None))

    async def pending_raw(self, limit: int) -> list[PendingRaw]:
        return await self._driver.read(lambda db: raws.pending(db, limit))

    async def receive_reports(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[ReportRow]
    ) -> ReceivedBody:
        return await self._driver.write(
            lambda db: reports.receive(db, account_id, raw_id, raw, reading), turns.receive_reports(reading)
        )

    async def receive_inbound(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[InboundRow]
    ) -> ReceivedBody:
        return await self._driver.write(
            lambda db: inbound.receive(db, account_id, raw_id, raw, reading), turns.receive_inbound(account_id, reading)
        )

    async def receive_in_turn(self, bodies: list[ReadBody]) -> list[ReceivedBody]:
        return await self._driver.write(lambda db: receiving.in_turn(db, bodies), turns.receive_in_turn(bodies))

    async def quarantine(self, account_id: AccountId, raw_id: RawId, raw: RawBody, why: str) -> None:
        await self._driver.write(lambda db: raws.quarantine(db, raw_bytes(account_id), raw_id, raw, why))

    async def inbound(self, team_id: TeamId, inbound_id: str) -> InboundView | None:
        return await self._driver.read(lambda db: views.inbound(db, raw_bytes(team_id), raw_bytes(inbound_id)))

    async def inbound_list(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[InboundView]:
        return await self._driver.read(lambda db: views.inbound_list(db, raw_bytes(team_id), position, limit))
