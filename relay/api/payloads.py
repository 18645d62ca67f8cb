"""Events as receivers read them: one Struct per event type, told apart by ``type``. For the document and for tests; the
bytes themselves are made once, by ``relay.domain.events.encode``."""

from datetime import datetime
from typing import Final

import msgspec

from relay.domain.events import (
    BalanceLow,
    EndpointDisabled,
    EndpointTest,
    EventType,
    InboundReceived,
    MessageChange,
)
from relay.domain.ids import EventId


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    id: EventId
    timestamp: datetime


class MessageSubmittedEvent(_Event, frozen=True, kw_only=True, tag="message.submitted"):
    """The provider accepted these recipients."""

    data: MessageChange


class MessageDeliveredEvent(_Event, frozen=True, kw_only=True, tag="message.delivered"):
    """These recipients have the message."""

    data: MessageChange


class MessageFailedEvent(_Event, frozen=True, kw_only=True, tag="message.failed"):
    """These recipients will not get the message; `status` says how it ended."""

    data: MessageChange


class MessageCanceledEvent(_Event, frozen=True, kw_only=True, tag="message.canceled"):
    """These recipients were canceled before anything was sent."""

    data: MessageChange


class MessageUnconfirmedEvent(_Event, frozen=True, kw_only=True, tag="message.unconfirmed"):
    """It is unknown whether the provider has these recipients; not final."""

    data: MessageChange


class MessageReportConflictEvent(_Event, frozen=True, kw_only=True, tag="message.report_conflict"):
    """A later report contradicts the first; the first stands."""

    data: MessageChange


class InboundReceivedEvent(_Event, frozen=True, kw_only=True, tag="inbound.received"):
    """Somebody sent a text to the team."""

    data: InboundReceived


class BalanceLowEvent(_Event, frozen=True, kw_only=True, tag="balance.low"):
    """The balance of a prepaid account fell to its threshold or below."""

    data: BalanceLow


class EndpointDisabledEvent(_Event, frozen=True, kw_only=True, tag="endpoint.disabled"):
    """A webhook endpoint was switched off."""

    data: EndpointDisabled


class EndpointTestEvent(_Event, frozen=True, kw_only=True, tag="endpoint.test"):
    """Somebody asked for a test webhook."""

    data: EndpointTest


Event = (
    MessageSubmittedEvent
    | MessageDeliveredEvent
    | MessageFailedEvent
    | MessageCanceledEvent
    | MessageUnconfirmedEvent
    | MessageReportConflictEvent
    | InboundReceivedEvent
    | BalanceLowEvent
    | EndpointDisabledEvent
    | EndpointTestEvent
)

EVENT_PAYLOADS: Final[dict[EventType, type[_Event]]] = {
    "message.submitted": MessageSubmittedEvent,
    "message.delivered": MessageDeliveredEvent,
    "message.failed": MessageFailedEvent,
    "message.canceled": MessageCanceledEvent,
    "message.unconfirmed": MessageUnconfirmedEvent,
    "message.report_conflict": MessageReportConflictEvent,
    "inbound.received": InboundReceivedEvent,
    "balance.low": BalanceLowEvent,
    "endpoint.disabled": EndpointDisabledEvent,
    "endpoint.test": EndpointTestEvent,
}
