"""Messages on their way in (drafts), at work (submissions), and as the API shows them (views)."""

from datetime import datetime
from typing import Literal

import msgspec

from relay.domain.breakers import WaitingFor
from relay.domain.errors import WithheldWhy
from relay.domain.ids import AccountId, InboundId, KeyId, MessageId, SubmissionId, TeamId
from relay.domain.states import Category, MessageStatus, OnUnconfirmed, RecipientStatus, ReportSource
from relay.domain.teams import Mode

RefusedWhy = Literal["malformed", "duplicate", WithheldWhy]


class RefusedNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A number that was not accepted, as the caller wrote it. `malformed`: it is no mobile number. `duplicate`: it is
    in the list already. `suppressed`: it has opted out of the team's marketing. `repeated`: this very text went to it
    within the team's window for repeated texts. `recipient_limit`: it has had as much of this category as the team's
    limit allows."""

    to: str
    reason: RefusedWhy


class SubmissionDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk of a message that is about to be stored. ``status`` is scheduled, queued or submitting; the last means
    that the process that stores it has a slot for it and starts as soon as it is committed."""

    id: SubmissionId
    account_id: AccountId
    mobiles: list[int]
    status: RecipientStatus
    due_ms: int


class MessageDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A message about to be stored. ``text`` is what goes upstream, signature included; ``segments`` per number."""

    id: MessageId
    team_id: TeamId
    key_id: KeyId
    mode: Mode
    text: str
    extension: str | None
    reference: str | None
    metadata: dict[str, str]
    category: Category
    on_unconfirmed: OnUnconfirmed
    created_ms: int
    send_at_ms: int | None
    expires_ms: int
    segments: int
    refused: list[RefusedNumber]
    submissions: list[SubmissionDraft]

    @property
    def to_count(self) -> int:
        """Numbers accepted."""
        return sum(len(submission.mobiles) for submission in self.submissions)

    @property
    def units(self) -> int:
        """Segments x numbers: what quota and balance count."""
        return self.segments * self.to_count


class SubmissionWork(msgspec.Struct, frozen=True, kw_only=True):
    """One submission that this process has leased and marked ``submitting``: it is to be sent now, once.

    ``attempt`` counts from 1. ``claim`` fences the finish; nothing is sent once ``lease_until_ms`` has come.
    """

    id: SubmissionId
    message_id: MessageId
    team_id: TeamId
    account_id: AccountId
    text: str
    extension: str | None
    mobiles: list[int]
    attempt: int
    claim: bytes
    lease_until_ms: int
    category: Category
    on_unconfirmed: OnUnconfirmed
    accepted_ms: int


class SubmissionView(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream call's worth of a message. ``task_id`` is the provider's own when it answered with another one.
    ``code`` and ``provider_message``: what the provider said last. ``waiting_for``: what it waits for besides its turn;
    ``account``: its own takes nothing now, or did not take it the last time, and no other one has taken it yet."""

    id: SubmissionId
    task_id: str
    account_id: AccountId
    status: RecipientStatus
    code: str | None
    provider_message: str | None
    waiting_for: WaitingFor | None


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A message. ``counts`` holds recipients per status, without zeros; ``units`` = ``segments`` x ``to_count``.
    ``erased``: its time is over or its number was erased, so that ``text`` is empty and erased numbers read
    "erased"."""

    id: MessageId
    status: MessageStatus
    text: str
    erased: bool
    to_count: int
    segments: int
    units: int
    refused: list[RefusedNumber]
    counts: dict[RecipientStatus, int]
    reference: str | None
    metadata: dict[str, str]
    extension: str | None
    category: Category
    on_unconfirmed: OnUnconfirmed
    created_at: datetime
    send_at: datetime | None
    expires_at: datetime
    submissions: list[SubmissionView]


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """One report as it came. ``time`` is the provider's own text, not interpreted."""

    source: ReportSource
    status: str
    time: str | None
    received_at: datetime


class RecipientView(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a message. ``reason`` is the normalised class, ``provider_status`` the raw code. ``to`` reads
    "erased" once the number was erased."""

    to: str
    status: RecipientStatus
    final: bool
    reason: str | None
    provider_status: str | None
    submitted_at: datetime | None
    final_at: datetime | None
    segments: int
    reports: list[ReportView]


class InboundView(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A received message. ``matched_by``: ``extension``, ``suffix``, ``last_sender``, or ``assigned`` by the platform
    team. ``erased``: its time is over or its number was erased, so that ``from`` reads "erased" and ``text`` is
    empty."""

    id: InboundId
    from_: str
    to_extension: str | None
    text: str
    erased: bool
    received_at: datetime
    occurred_at: datetime | None
    matched_by: str
    message_id: MessageId | None
