"""State changes and the events that tell of them: the one place where both happen."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from relay.domain.endpoints import DeliveryWork, matches
from relay.domain.events import (
    MAX_RECIPIENTS,
    TYPE_OF_STATUS,
    EventData,
    EventType,
    MessageChange,
    RecipientChange,
    encode,
)
from relay.domain.ids import DeliveryId, EndpointId, EventId, MessageId, SubmissionId, raw_bytes
from relay.domain.states import FINAL, STATUSES, RecipientStatus
from relay.domain.times import instant
from relay.store.script import Db, Row, Script

_NO_MOVE: Final[dict[str, int]] = dict.fromkeys(STATUSES, 0)
_STRINGS: Final = msgspec.json.Decoder(list[str])
_METADATA: Final = msgspec.json.Decoder(dict[str, str])


class SubmissionRow(msgspec.Struct, kw_only=True):
    """A submission as a script works on it, with what its events need of the message. Mutable: a script may apply
    several reports to one."""

    id: bytes
    message: bytes
    account: bytes
    status: RecipientStatus
    attempt: int
    maybe_sent: int
    claim: bytes | None
    n_open: int
    team: bytes
    reference: str | None
    metadata: dict[str, str]
    extension: str | None
    on_unconfirmed: str
    segments: int
    quota_day: str | None
    told: int
    since_ms: int
    lease_until_ms: int | None
    expires_ms: int

    @property
    def submission_id(self) -> SubmissionId:
        """As the outside names it."""
        return SubmissionId("sub_" + self.id.hex())

    @property
    def message_id(self) -> MessageId:
        """As the outside names it."""
        return MessageId("msg_" + self.message.hex())


class Effects(msgspec.Struct, kw_only=True):
    """What a transaction sets going once it is committed."""

    deliveries: list[DeliveryWork] = msgspec.field(default_factory=list)
    recipients_by_status: dict[RecipientStatus, int] = msgspec.field(default_factory=dict)
    segments_by_status: dict[RecipientStatus, int] = msgspec.field(default_factory=dict)
    events_by_type: dict[EventType, int] = msgspec.field(default_factory=dict)
    endpoints: dict[bytes, list[Row]] = msgspec.field(default_factory=dict)


def read_submission(row: Row) -> SubmissionRow:
    """From the columns of ``submissions.find``."""
    return SubmissionRow(
        id=bytes(row[0]),
        message=bytes(row[1]),
        account=bytes(row[2]),
        status=row[3],
        attempt=row[4],
        maybe_sent=row[5],
        claim=None if row[6] is None else bytes(row[6]),
        n_open=row[7],
        team=bytes(row[8]),
        reference=row[9],
        metadata=_METADATA.decode(row[10]) if row[10] != "{}" else {},
        extension=row[11],
        on_unconfirmed=row[12],
        segments=row[13],
        quota_day=row[14],
        told=row[15],
        since_ms=row[16],
        lease_until_ms=row[17],
        expires_ms=row[18],
    )


def find_submission(db: Db, submission: bytes) -> Script[SubmissionRow | None]:
    """The submission with this id, held: it stays as it is until the transaction changes it."""
    yield from db.hold(submission)
    row = yield from db.row("submissions.find", id=submission)
    return None if row is None else read_submission(row)


def find_submissions(db: Db, submissions: Sequence[bytes]) -> Script[list[SubmissionRow]]:
    """``find_submission`` for many at once: those that there are."""
    if not submissions:
        return []
    yield from db.hold(*submissions)
    rows = yield from db.each("submissions.find", [{"id": submission} for submission in submissions])
    return [read_submission(row) for row in rows]


def open_mobiles(db: Db, row: SubmissionRow) -> Script[list[int]]:
    """The numbers of a submission that no report has spoken of yet, in order."""
    if row.n_open == 0:
        return []
    rows = yield from db.rows("recipients.open", submission=row.id)
    return [found[0] for found in rows]


def changes(
    mobiles: Sequence[int],
    status: RecipientStatus,
    *,
    reason: str | None,
    provider_status: str | None,
    occurred_ms: int,
) -> list[RecipientChange]:
    """The same change for many numbers."""
    at = instant(occurred_ms)
    final = status in FINAL
    return [
        RecipientChange(
            to=str(mobile), status=status, reason=reason, provider_status=provider_status, final=final, occurred_at=at
        )
        for mobile in mobiles
    ]


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients of a message that go from one status to another (``deltas``, which sum to 0), and what is told of it:
    each entry of ``told`` is an event, or several, for one tells of 500 recipients at most."""

    row: SubmissionRow
    deltas: Mapping[RecipientStatus, int]
    told: Sequence[tuple[EventType, list[RecipientChange]]]
    occurred_at: datetime

    def events(self) -> list[tuple[EventType, list[RecipientChange]]]:
        """One entry for each event."""
        return [
            (event_type, recipients[start : start + MAX_RECIPIENTS])
            for event_type, recipients in self.told
            for start in range(0, len(recipients), MAX_RECIPIENTS)
        ]


def move(db: Db, effects: Effects, moves: Sequence[Move], received_ms: int) -> Script[None]:
    """Count the recipients of messages under their new statuses and emit the events, which go on from the number of
    their message's last one."""
    events = [moved.events() for moved in moves]
    counted = yield from db.each(
        "states.move", [_counts(moved, len(told)) for moved, told in zip(moves, events, strict=True) if told]
    )
    sequences = iter(counted)
    for moved, told in zip(moves, events, strict=True):
        if told:
            message, last = next(sequences)
            if message != moved.row.message:
                raise LookupError(f"message {moved.row.message_id} has no state")
            yield from _tell(db, effects, moved, told, last - len(told) + 1, received_ms)
        elif moved.deltas:
            yield from db.put("states.move", **_counts(moved, 0))
        for status, number in moved.deltas.items():
            if number > 0:
                segments = number * moved.row.segments
                effects.recipients_by_status[status] = effects.recipients_by_status.get(status, 0) + number
                effects.segments_by_status[status] = effects.segments_by_status.get(status, 0) + segments


def _counts(moved: Move, events: int) -> dict[str, object]:
    return {"message": moved.row.message, "events": events, **_NO_MOVE, **dict(moved.deltas.items())}


def _tell(
    db: Db,
    effects: Effects,
    moved: Move,
    told: Sequence[tuple[EventType, list[RecipientChange]]],
    first: int,
    received_ms: int,
) -> Script[None]:
    received_at = instant(received_ms)
    for sequence, (event_type, recipients) in enumerate(told, first):
        data = MessageChange(
            message_id=moved.row.message_id,
            reference=moved.row.reference,
            metadata=moved.row.metadata,
            sequence=sequence,
            occurred_at=moved.occurred_at,
            received_at=received_at,
            recipients=recipients,
        )
        yield from emit(
            db,
            effects,
            event_type,
            data,
            team=moved.row.team,
            message=moved.row.message,
            extension=moved.row.extension,
            now_ms=received_ms,
        )


def settle(
    db: Db,
    effects: Effects,
    row: SubmissionRow,
    status: RecipientStatus,
    *,
    now_ms: int,
    tell: bool = True,
    reason: str | None = None,
    code: str | None = None,
    provider_message: str | None = None,
    provider_task_id: str | None = None,
) -> Script[None]:
    """Bring a submission, and with it every recipient that no report has spoken of, to ``status``; with its events when
    ``tell``."""
    mobiles = (yield from open_mobiles(db, row)) if tell else []
    yield from db.put(
        "submissions.settle",
        id=row.id,
        status=status,
        now_ms=now_ms,
        told=1 if tell else 0,
        provider_task_id=provider_task_id,
        code=code,
        provider_message=provider_message,
        reason=reason,
        submitted_ms=now_ms if status == "submitted" else None,
        final_ms=now_ms if status in FINAL else None,
    )
    told: list[tuple[EventType, list[RecipientChange]]] = []
    event_type = TYPE_OF_STATUS.get(status)
    if mobiles and event_type is not None:
        raw = code if status == "failed" else None
        told = [(event_type, changes(mobiles, status, reason=reason, provider_status=raw, occurred_ms=now_ms))]
    deltas: dict[RecipientStatus, int] = {}
    if row.status != status:
        deltas = {row.status: -row.n_open, status: row.n_open}
    yield from move(db, effects, [Move(row=row, deltas=deltas, told=told, occurred_at=instant(now_ms))], now_ms)
    row.status = status


def emit(
    db: Db,
    effects: Effects,
    event_type: EventType,
    data: EventData,
    *,
    team: bytes,
    message: bytes | None,
    extension: str | None,
    now_ms: int,
    skip_endpoint: bytes | None = None,
) -> Script[EventId]:
    """Store an event and one delivery for every endpoint of the team that wants it."""
    event_id = EventId(db.new_id("evt_"))
    payload = encode(event_id, event_type, now_ms, data)
    key = raw_bytes(event_id)
    yield from db.put(
        "events.insert", id=key, team=team, message=message, type=event_type, payload=payload, created_ms=now_ms
    )
    effects.events_by_type[event_type] = effects.events_by_type.get(event_type, 0) + 1
    endpoints = effects.endpoints.get(team)
    if endpoints is None:
        endpoints = yield from db.rows("endpoints.of_team", team=team)
        effects.endpoints[team] = endpoints
    rows: list[tuple[Any, ...]] = []
    for endpoint, event_types, extensions, status, paused_until_ms in endpoints:
        if endpoint == skip_endpoint:
            continue
        if not matches(_STRINGS.decode(event_types), _STRINGS.decode(extensions), event_type, extension):
            continue
        delivery_id = DeliveryId(db.new_id("dlv_"))
        endpoint_id = EndpointId("ep_" + bytes(endpoint).hex())
        straight = db.straight
        claim: bytes | None = None
        lease_until_ms: int | None = None
        runs = status == "enabled" and (paused_until_ms is None or paused_until_ms <= now_ms)
        if runs and straight is not None and straight.takes(endpoint_id):
            claim = straight.claim
            lease_until_ms = straight.lease_until_ms(now_ms)
            effects.deliveries.append(
                DeliveryWork(
                    id=delivery_id,
                    endpoint_id=endpoint_id,
                    event_id=event_id,
                    event_type=event_type,
                    payload=payload,
                    attempt=1,
                    claim=claim,
                    lease_until_ms=lease_until_ms,
                    event_created_ms=now_ms,
                )
            )
        rows.append((raw_bytes(delivery_id), bytes(endpoint), key, team, now_ms, claim, lease_until_ms))
    yield from db.many("deliveries.insert", rows)
    return event_id
