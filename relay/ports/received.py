"""What the provider says, as the store keeps it, a part of ``relay.ports.Store``; and where that goes meanwhile."""

from collections.abc import Awaitable
from typing import Protocol

from relay.domain.ids import AccountId, RawId, TeamId
from relay.domain.messages import InboundView
from relay.domain.provider import InboundRow, RawBody, Reading, ReportRow
from relay.ports.values import Page, PendingRaw, ReadBody, ReceivedBody


class ReceivedStore(Protocol):
    """Bodies of callbacks and pulls, and what they did."""

    async def store_raw(self, account_id: AccountId, raw: RawBody, raw_id: RawId) -> None:
        """Keep a pulled body before anybody parses it. It is ``pending_raw`` until it was applied."""

    async def pending_raw(self, limit: int) -> list[PendingRaw]:
        """Bodies that were stored but not applied, oldest first."""

    async def receive_reports(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[ReportRow]
    ) -> ReceivedBody:
        """Raw body, reports, recipient states, events and deliveries in one transaction. A ``raw_id`` that was applied
        before changes nothing."""

    async def receive_inbound(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[InboundRow]
    ) -> ReceivedBody:
        """The same for inbound messages."""

    async def receive_in_turn(self, bodies: list[ReadBody]) -> list[ReceivedBody]:
        """What these two do, for each body in this order, all of it in one transaction."""

    async def quarantine(self, account_id: AccountId, raw_id: RawId, raw: RawBody, why: str) -> None:
        """Keep a body that cannot be applied."""

    async def inbound(self, team_id: TeamId, inbound_id: str) -> InboundView | None:
        """One received message."""

    async def inbound_list(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[InboundView]:
        """Newest first."""


class Spool(Protocol):
    """Where bodies go while the store cannot be written."""

    @property
    def waiting(self) -> bool:
        """Bodies wait in it, or are being written: what comes now goes behind them."""

    async def turn(self, within_s: float) -> bool:
        """Whether what comes now may go to the store, because nothing waits. While a replay gets on and few bodies are
        left, its end is waited for, up to ``within_s``: otherwise, as long as others come all the time, the spool would
        never be empty."""

    def append(self, item: PendingRaw) -> Awaitable[None]:
        """Its place in the order is that of the call; it is on disk when what is returned is done. That raises
        SpoolUnavailable when even this fails."""
