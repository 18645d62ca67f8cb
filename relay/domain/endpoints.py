"""Webhook endpoints: what they subscribe to, and the work of delivering to them."""

import base64
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from relay.domain.ids import AttemptId, DeliveryId, EndpointId, EventId, TeamId

EndpointStatus = Literal["enabled", "disabled"]
DisabledReason = Literal["manual", "gone", "failing"]
DeliveryStatus = Literal["pending", "delivered", "exhausted", "discarded", "expired"]
"""``discarded``: its endpoint was deleted first. ``expired``: it was still pending when its event came to its end."""
AttemptOutcome = Literal["delivered", "retry", "exhausted", "gone"]
AttemptErrorClass = Literal["refused_address", "dns", "connect", "tls", "timeout", "protocol", "status"]

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the public prefix of Standard Webhooks secrets, not a secret
SECRET_BYTES: Final = 32
ANSWER_KEPT_BYTES: Final = 4096


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber's address with its live secrets in clear, newest first: lives in memory only, never encoded.

    ``event_types`` empty = all; ``message.*`` matches a family. ``extensions`` empty = all. ``headers`` are added to
    every request.
    """

    id: EndpointId
    team_id: TeamId
    url: str
    event_types: tuple[str, ...]
    extensions: tuple[str, ...]
    headers: dict[str, str]
    max_in_flight: int
    secrets: tuple[str, ...]
    status: EndpointStatus
    paused_until_ms: int | None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Endpoint({self.id})"


class DeliveryWork(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that this process has leased: attempt number ``attempt`` (from 1) is to be made now.

    ``payload`` holds exactly the bytes to sign and send. ``claim`` fences the finish.
    """

    id: DeliveryId
    endpoint_id: EndpointId
    event_id: EventId
    event_type: str
    payload: bytes
    attempt: int
    claim: bytes
    lease_until_ms: int
    event_created_ms: int


def write_secret(random: bytes) -> str:
    """A signing secret as Standard Webhooks writes it: ``whsec_`` + base64 of 24 to 64 bytes."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def matches(event_types: Iterable[str], extensions: Iterable[str], event_type: str, extension: str | None) -> bool:
    """Whether an endpoint with these filters wants an event of this type and extension (None: it has none)."""
    wanted = tuple(event_types)
    if wanted and event_type not in wanted and f"{event_type.partition('.')[0]}.*" not in wanted:
        return False
    allowed = tuple(extensions)
    return not allowed or (extension is not None and extension in allowed)


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook endpoint as the API shows it. Values of ``headers`` that look like credentials read ``***``."""

    id: EndpointId
    url: str
    event_types: list[str]
    extensions: list[str]
    description: str | None
    headers: dict[str, str]
    max_in_flight: int
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    paused_until: datetime | None
    created_at: datetime


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. ``status`` is the HTTP status, None when no answer came; ``answer`` the first 4 KiB of its body."""

    id: AttemptId
    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: AttemptErrorClass | None
    outcome: AttemptOutcome
    answer: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint. ``attempt_count`` counts finished attempts; ``next_attempt_at`` None when
    the delivery has ended."""

    id: DeliveryId
    endpoint_id: EndpointId
    event_id: EventId
    event_type: str
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class DeliveryDetail(DeliveryView, frozen=True, kw_only=True):
    """A delivery with every attempt, oldest first."""

    attempts: list[AttemptView]
