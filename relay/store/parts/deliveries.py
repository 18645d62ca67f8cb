"""Events, deliveries and endpoints in the store."""

from relay.domain.endpoints import DeliveryDetail, DeliveryStatus, DeliveryView, DeliveryWork, Endpoint, EndpointView
from relay.domain.ids import EndpointId, TeamId, raw_bytes
from relay.ports import AttemptRecord, FinishedDelivery, Idempotency, NewEndpoint, Page, Replay, Stored
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import deliver, subscriptions


class DeliveriesPart(Part):
    """See ``relay.ports.deliveries.DeliveryStore``."""

    async def event(self, team_id: TeamId, event_id: str) -> bytes | None:
        return await self._driver.read(lambda db: subscriptions.event(db, raw_bytes(team_id), raw_bytes(event_id)))

    async def events(
        self, team_id: TeamId, *, position: str | None, limit: int, event_types: tuple[str, ...]
    ) -> Page[bytes]:
        return await self._driver.read(
            lambda db: subscriptions.events(db, raw_bytes(team_id), position, limit, event_types)
        )

    async def claim_deliveries(
        self, rooms: list[tuple[EndpointId, int]], *, claim: bytes, now_ms: int, lease_until_ms: int
    ) -> list[DeliveryWork]:
        return await self._driver.write(
            lambda db: deliver.claim(db, rooms, claim=claim, now_ms=now_ms, lease_until_ms=lease_until_ms),
            turns.CLAIM,
        )

    async def due_endpoints(self, now_ms: int) -> list[EndpointId]:
        return await self._driver.read(lambda db: deliver.due_endpoints(db, now_ms))

    async def next_delivery_due_ms(self, now_ms: int) -> int | None:
        return await self._driver.read(lambda db: deliver.next_due_ms(db, now_ms))

    async def finish_delivery(self, work: DeliveryWork, record: AttemptRecord) -> FinishedDelivery:
        return await self._driver.write(lambda db: deliver.finish(db, work, record), turns.finish_delivery(work))

    async def release_deliveries(self, works: list[DeliveryWork]) -> None:
        await self._driver.write(lambda db: deliver.release(db, works))

    async def delivery(self, team_id: TeamId, delivery_id: str) -> DeliveryDetail | None:
        return await self._driver.read(
            lambda db: subscriptions.delivery(db, raw_bytes(team_id), raw_bytes(delivery_id))
        )

    async def deliveries(
        self,
        team_id: TeamId,
        *,
        endpoint_id: str | None,
        event_id: str | None,
        status: DeliveryStatus | None,
        position: str | None,
        limit: int,
    ) -> Page[DeliveryView]:
        return await self._driver.read(
            lambda db: subscriptions.deliveries(
                db,
                raw_bytes(team_id),
                endpoint=None if endpoint_id is None else raw_bytes(endpoint_id),
                event=None if event_id is None else raw_bytes(event_id),
                status=status,
                position=position,
                limit=limit,
            )
        )


class EndpointsPart(Part):
    """See ``relay.ports.deliveries.EndpointStore``."""

    async def create_endpoint(self, new: NewEndpoint, idempotency: Idempotency | None) -> Stored | Replay:
        return await self._driver.write(lambda db: subscriptions.create_endpoint(db, self._ring, new, idempotency))

    async def endpoint_view(self, team_id: TeamId, endpoint_id: str) -> EndpointView | None:
        return await self._driver.read(
            lambda db: subscriptions.endpoint_view(db, self._ring, raw_bytes(team_id), raw_bytes(endpoint_id))
        )

    async def endpoint_views(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[EndpointView]:
        return await self._driver.read(
            lambda db: subscriptions.endpoint_views(db, self._ring, raw_bytes(team_id), position, limit)
        )

    async def delete_endpoint(self, team_id: TeamId, endpoint_id: str, now_ms: int) -> bool:
        return await self._driver.write(
            lambda db: subscriptions.delete_endpoint(db, raw_bytes(team_id), raw_bytes(endpoint_id), now_ms)
        )

    async def load_endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        return await self._driver.read(lambda db: subscriptions.load_endpoint(db, self._ring, raw_bytes(endpoint_id)))
