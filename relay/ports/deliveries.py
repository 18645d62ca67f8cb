"""What subscribers are told, as the store keeps it; parts of ``relay.ports.Store``."""

from typing import Protocol

from relay.domain.endpoints import DeliveryDetail, DeliveryStatus, DeliveryView, DeliveryWork, Endpoint, EndpointView
from relay.domain.ids import EndpointId, TeamId
from relay.ports.values import AttemptRecord, FinishedDelivery, Idempotency, NewEndpoint, Page, Replay, Stored


class DeliveryStore(Protocol):
    """Events and their deliveries."""

    async def event(self, team_id: TeamId, event_id: str) -> bytes | None:
        """The payload bytes of an event."""

    async def events(
        self, team_id: TeamId, *, position: str | None, limit: int, event_types: tuple[str, ...]
    ) -> Page[bytes]:
        """Payloads in commit order, oldest first. ``next_position`` is always set, also behind the newest event."""

    async def claim_deliveries(
        self, rooms: list[tuple[EndpointId, int]], *, claim: bytes, now_ms: int, lease_until_ms: int
    ) -> list[DeliveryWork]:
        """Lease up to the stated number of due deliveries of each endpoint, oldest first."""

    async def due_endpoints(self, now_ms: int) -> list[EndpointId]:
        """Endpoints that are enabled, not paused, and have a due delivery that nobody has leased, or whose lease has
        ended."""

    async def next_delivery_due_ms(self, now_ms: int) -> int | None:
        """When the next delivery that is not yet due becomes due, or a lease or a pause ends; None when none will."""

    async def finish_delivery(self, work: DeliveryWork, record: AttemptRecord) -> FinishedDelivery:
        """Store the attempt and what follows: history, the next due time, or an endpoint switched off."""

    async def release_deliveries(self, works: list[DeliveryWork]) -> None:
        """Give back leases whose attempts are not made: each delivery that its claim still holds is due again for
        whoever claims it, as it was before."""

    async def delivery(self, team_id: TeamId, delivery_id: str) -> DeliveryDetail | None:
        """One delivery with its attempts."""

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
        """Newest first."""


class EndpointStore(Protocol):
    """Where deliveries go."""

    async def create_endpoint(self, new: NewEndpoint, idempotency: Idempotency | None) -> Stored | Replay:
        """Store an endpoint."""

    async def endpoint_view(self, team_id: TeamId, endpoint_id: str) -> EndpointView | None:
        """One endpoint."""

    async def endpoint_views(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[EndpointView]:
        """Newest first."""

    async def delete_endpoint(self, team_id: TeamId, endpoint_id: str, now_ms: int) -> bool:
        """Delete an endpoint; its pending deliveries end as ``discarded``. False when there is none."""

    async def load_endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        """What the deliver worker needs, secrets in clear; None when it was deleted."""


class Straight(Protocol):
    """The deliver worker of this process, as the store sees it while it stores a delivery. Called from the store's own
    thread: it reads, never waits."""

    @property
    def claim(self) -> bytes:
        """What the delivery that is being stored is claimed with, if it is handed over."""

    def lease_until_ms(self, now_ms: int) -> int:
        """Until when a delivery that is handed over now is leased."""

    def takes(self, endpoint_id: EndpointId) -> bool:
        """Whether a delivery to this endpoint can be started by this process at once."""
