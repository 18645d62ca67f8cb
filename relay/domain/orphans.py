"""What matched nobody, and what could not be read: as the platform team sees it and deals with it."""

from datetime import datetime
from typing import Literal

import msgspec

from relay.domain.ids import AccountId, InboundId, MessageId, OrphanId, RawId, TeamId
from relay.domain.provider import BodyKind, BodySource

OrphanStatus = Literal["open", "resolved"]
RawState = Literal["quarantined", "applied", "dismissed"]


class OrphanResolution(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an orphan. `matched`: it found its owner by the usual rules, later; `assigned`: somebody said
    whose it is; `dismissed`: it is nobody's. `result`: what a report did, as `applied`, `repeated`, `conflict` or
    `noted`."""

    how: Literal["matched", "assigned", "dismissed"]
    team_id: TeamId | None = None
    inbound_id: InboundId | None = None
    message_id: MessageId | None = None
    result: str | None = None


class OrphanView(msgspec.Struct, frozen=True, kw_only=True):
    """A report whose task nobody knows (`kind` `report`: `task_id` and `provider_status` are the provider's words), or
    an inbound message that belongs to no team (`mo`: `text`, and `to_extension` as the provider named it).
    `provider_time` is the provider's own text. `erased`: its time is over or its number was erased."""

    id: OrphanId
    account_id: AccountId
    kind: BodyKind
    source: BodySource
    status: OrphanStatus
    number: str
    text: str | None
    to_extension: str | None
    task_id: str | None
    provider_status: str | None
    provider_time: str | None
    occurred_at: datetime | None
    received_at: datetime
    raw_id: RawId
    resolved_at: datetime | None
    resolution: OrphanResolution | None
    erased: bool


class OrphanReprocessed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an orphan was matched by the usual rules, and what it is now."""

    matched: bool
    orphan: OrphanView


class OrphansReprocessed(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: how many open orphans were looked at, and how many of them were matched. `next_cursor` goes into the
    next call; null: there is no more."""

    examined: int
    matched: int
    next_cursor: str | None


class QuarantineView(msgspec.Struct, frozen=True, kw_only=True):
    """A body of the provider that was set aside, and `why`. `state` `applied`: it was read since."""

    id: RawId
    account_id: AccountId
    kind: BodyKind
    source: BodySource
    state: RawState
    why: str
    content_type: str
    size_bytes: int
    received_at: datetime


class QuarantineBody(QuarantineView, frozen=True, kw_only=True):
    """The same with what came: the bytes, the query string of a GET callback, and the bytes as a text, as far as they
    can be read as one (UTF-8, else GB18030)."""

    body_base64: str
    query: str
    text: str


class QuarantineReprocessed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body that was read again. `rows` counts those that were applied now by what they did;
    `already_applied` those that had been before; `unreadable` the parts that still cannot be read."""

    id: RawId
    state: RawState
    why: str
    rows: dict[str, int]
    already_applied: int
    unreadable: int
