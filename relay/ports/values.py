"""What goes in and out of the ports: values of no adapter."""

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import msgspec

from relay.domain.audit import AuditEntry
from relay.domain.endpoints import AttemptErrorClass, AttemptOutcome, DeliveryWork, EndpointView
from relay.domain.events import EventType
from relay.domain.ids import AccountId, EndpointId, MessageId, RawId, TeamId
from relay.domain.keys import KeyView
from relay.domain.orphans import QuarantineView
from relay.domain.provider import InboundRow, RawBody, Reading, ReportRow
from relay.domain.states import RecipientStatus

T = TypeVar("T")

MaySend = Callable[[], bool]
"""Asked right before the first byte of a request is written, which may be long after the call began. False: nothing is
written, and the call comes to "not sent", ``lease``."""


def always() -> bool:
    """``MaySend`` for what is nobody else's."""
    return True


class PostResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one webhook POST came to. ``status`` None when no answer came (then ``error`` says why); ``answer`` is the
    first 4 KiB of the body; ``retry_after_s`` from the answer's Retry-After, either form."""

    status: int | None
    error: AttemptErrorClass | None
    answer: bytes
    duration_ms: int
    retry_after_s: float | None


class Idempotency(msgspec.Struct, frozen=True, kw_only=True):
    """One use of an Idempotency-Key. ``scope`` is the team's id or ``admin``; ``fingerprint`` a hash of the request;
    ``status`` and ``answer`` are what a replay gets."""

    scope: str
    key: str
    fingerprint: bytes
    status: int
    answer: bytes
    created_ms: int


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """``units`` per ``day`` (ISO date in the quota's time zone), which ends in ``ends_in_s``."""

    day: str
    units: int
    ends_in_s: float


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The same request was answered before: this status, these bytes."""

    status: int
    answer: bytes


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """It is stored now."""


class StoredEffects(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction set going: deliveries leased to this process, to be started now; and, to be counted,
    recipients and segments that came to each status, and events."""

    deliveries: tuple[DeliveryWork, ...]
    recipients_by_status: dict[RecipientStatus, int]
    segments_by_status: dict[RecipientStatus, int]
    events_by_type: dict[EventType, int]


class FinishedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """``fenced``: the claim was no longer ours, nothing changed. ``status`` is the submission's afterwards.
    ``moved_to``: the account that it waits at now, when that is another one."""

    fenced: bool
    status: RecipientStatus
    message_id: MessageId
    retry_due_ms: int | None
    effects: StoredEffects
    moved_to: AccountId | None = None


class ReceivedBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a body of reports or inbound messages did. ``results`` counts rows: ``applied`` ``repeated`` ``conflict``
    ``noted`` (not final) ``orphaned`` for reports, ``matched`` ``twin`` ``orphaned`` for inbound; of the matched ones
    ``opted_out`` are opt-outs, and so would be ``opt_out_masked``, whose numbers nobody knows."""

    raw_id: RawId
    results: dict[str, int]
    quarantined: bool
    effects: StoredEffects


class PendingRaw(msgspec.Struct, frozen=True, kw_only=True):
    """A raw body that was stored but not yet applied."""

    id: RawId
    account_id: AccountId
    raw: RawBody


class ReadReports(msgspec.Struct, frozen=True, kw_only=True):
    """A body and the reports in it."""

    item: PendingRaw
    reading: Reading[ReportRow]


class ReadInbound(msgspec.Struct, frozen=True, kw_only=True):
    """A body and the inbound messages in it."""

    item: PendingRaw
    reading: Reading[InboundRow]


ReadBody = ReadReports | ReadInbound


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished attempt, to be stored. ``next_due_ms`` only with outcome ``retry``; ``pause_until_ms`` pauses the
    whole endpoint."""

    at_ms: int
    duration_ms: int
    status: int | None
    error: AttemptErrorClass | None
    answer: bytes
    outcome: AttemptOutcome
    next_due_ms: int | None
    pause_until_ms: int | None


class FinishedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """``fenced``: the claim was no longer ours. ``disabled``: this attempt switched the endpoint off."""

    fenced: bool
    disabled: bool
    effects: StoredEffects


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one sweep did; call again while ``more``."""

    expired: int
    lapsed: int
    told_unconfirmed: int
    no_report: int
    more: bool
    settled: tuple[MessageId, ...]
    effects: StoredEffects


class Trimmed(msgspec.Struct, frozen=True, kw_only=True):
    """A submission without the numbers that have opted out since it was accepted. ``fenced``: it is no longer whose it
    was. ``mobiles``: those to send to; none: it has ended as ``failed``."""

    fenced: bool
    mobiles: list[int]
    effects: StoredEffects


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """What one batch of a kind did. ``more``: call again. ``overdue_ms``: when the oldest row came that should be gone
    and is not, as far as this batch tells; None when all are."""

    rows: int
    more: bool
    overdue_ms: int | None


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What one batch of an erasure did. ``left_open``: rows that hold the number and must stay as they are for now,
    because they are not final or not applied. ``next_position`` None: the stage has ended."""

    erased: int
    left_open: int
    next_position: str | None


HintTopic = Literal["events", "deliveries", "submissions", "settled"]
"""``events`` were stored; ``deliveries`` or ``submissions`` wait for whoever has room; a message was ``settled``."""


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list, with the position after its last row (None when there is no more)."""

    data: list[T]
    next_position: str | None


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages to list; None leaves a thing open. ``created_after`` is exclusive, ``created_before`` too."""

    status: str | None = None
    reference: str | None = None
    to: int | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be stored: its view and the SHA-256 of its secret."""

    view: KeyView
    hash: bytes


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint to be stored: its view with the headers in clear, and its signing secret."""

    team_id: TeamId
    view: EndpointView
    secret: str


class Telling(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """How the outcome of a change is told: its entry in the audit (None: none), and the answer, which is kept under
    ``idempotency``. Both are called in the transaction, maybe more than once."""

    entry: Callable[[T], AuditEntry | None]
    answer: Callable[[T], bytes]
    idempotency: Idempotency | None


class Told(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a change came to, the answer to it, and what it set going."""

    outcome: T
    answer: bytes
    effects: StoredEffects


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was set aside, to be read again. ``applied_unknown``: a release before this one applied parts of it
    and did not note which."""

    view: QuarantineView
    item: PendingRaw
    applied_unknown: bool


class SealedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Where a walk over all sealed values stands: in which column, and behind which primary key."""

    column: int
    after: tuple[bytes | str, ...]


class SealedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk over sealed values saw: how many there are, by table and key id; how many were ``stale``, which is
    sealed by another key than the active one, how many of these are ``resealed`` now, and how many do not open.
    ``next_position``: None at the end."""

    counts: dict[str, dict[str, int]]
    stale: int = 0
    resealed: int = 0
    unreadable: int = 0
    next_position: SealedPosition | None


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits in one queue, and how long the oldest row has been due (0 when none is)."""

    queue: str
    depth: int
    oldest_due_age_s: float


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a replica stands after a beat. ``now_ms`` by the database's clock; ``replicas``: the ids of all that live,
    sorted; ``leads``: whether it has the duty that only one may have."""

    now_ms: int
    replicas: tuple[bytes, ...]
    leads: bool


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """So much work of one account (submissions) or endpoint (deliveries) is leased by one replica."""

    key: AccountId | EndpointId
    replica: bytes
    number: int
