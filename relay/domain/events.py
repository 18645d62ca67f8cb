"""Events: one Struct per payload shape; the encoded bytes are what is signed, stored and sent."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from relay.domain.ids import AccountId, EventId, InboundId, MessageId
from relay.domain.states import RecipientStatus
from relay.domain.times import instant

EventType = Literal[
    "message.submitted",
    "message.delivered",
    "message.failed",
    "message.canceled",
    "message.unconfirmed",
    "message.report_conflict",
    "inbound.received",
    "balance.low",
    "endpoint.disabled",
    "endpoint.test",
]
EVENT_TYPES: Final[tuple[EventType, ...]] = (
    "message.submitted",
    "message.delivered",
    "message.failed",
    "message.canceled",
    "message.unconfirmed",
    "message.report_conflict",
    "inbound.received",
    "balance.low",
    "endpoint.disabled",
    "endpoint.test",
)
MAX_RECIPIENTS: Final = 500
"""Recipients in one event; more of them make more events."""

TYPE_OF_STATUS: Final[dict[RecipientStatus, EventType]] = {
    "submitted": "message.submitted",
    "delivered": "message.delivered",
    "undelivered": "message.failed",
    "expired": "message.failed",
    "rejected": "message.failed",
    "no_report": "message.failed",
    "failed": "message.failed",
    "canceled": "message.canceled",
    "unconfirmed": "message.unconfirmed",
}
"""Statuses that are not here make no event: they are steps inside the gateway."""


class RecipientChange(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient that came to ``status``. ``occurred_at``: when the provider says so, else when we knew."""

    to: str
    status: RecipientStatus
    reason: str | None
    provider_status: str | None
    final: bool
    occurred_at: datetime


class MessageChange(msgspec.Struct, frozen=True, kw_only=True):
    """1 to 500 recipients of one message that came to the same status in one commit.

    ``sequence`` counts the message's events from 1 without gaps.
    """

    message_id: MessageId
    reference: str | None
    metadata: dict[str, str]
    sequence: int
    occurred_at: datetime
    received_at: datetime
    recipients: list[RecipientChange]


class InboundReceived(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A text that somebody sent to one of the team's extensions, or in answer to the team's last message.

    `opted_out`: it is an opt-out word, and the number gets no marketing from the team any more.
    """

    id: InboundId
    from_: str
    to_extension: str | None
    text: str
    received_at: datetime
    occurred_at: datetime | None
    matched_by: str
    message_id: MessageId | None
    opted_out: bool


class BalanceLow(msgspec.Struct, frozen=True, kw_only=True):
    """A prepaid account fell to its threshold or below (both in SMS). It is told once, until the balance has been
    above it again. `days_left`: how long it lasts at the rate of the last seven days, null while too
    little is known."""

    account_id: AccountId
    account_name: str
    balance: str
    threshold: str
    days_left: float | None
    as_of: datetime


class EndpointDisabled(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint was switched off: it answered 410 (``gone``), or failed for five days (``failing``)."""

    endpoint_id: str
    reason: str
    failing_since: datetime | None


class EndpointTest(msgspec.Struct, frozen=True, kw_only=True):
    """What the test button sends."""

    endpoint_id: str
    note: str


EventData = MessageChange | InboundReceived | BalanceLow | EndpointDisabled | EndpointTest


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    id: EventId
    type: EventType
    timestamp: datetime
    data: EventData


_ENCODER: Final = msgspec.json.Encoder()


def encode(event_id: EventId, event_type: EventType, created_ms: int, data: EventData) -> bytes:
    """The payload ``{"id", "type", "timestamp", "data"}`` as UTF-8 JSON: these very bytes are stored, signed, sent."""
    return _ENCODER.encode(_Envelope(id=event_id, type=event_type, timestamp=instant(created_ms), data=data))
