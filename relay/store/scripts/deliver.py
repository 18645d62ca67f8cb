"""Leasing deliveries, and storing what became of each attempt."""

from typing import Final

from relay.domain.endpoints import DeliveryWork
from relay.domain.events import EndpointDisabled
from relay.domain.ids import DeliveryId, EndpointId, EventId, raw_bytes
from relay.domain.times import DAY_MS, instant_or_none
from relay.ports import AttemptRecord, FinishedDelivery
from relay.store.script import Db, Row, Script
from relay.store.scripts.emit import Effects, emit
from relay.store.scripts.reports import effects_of

FAILING_FOR_MS: Final = 5 * DAY_MS
"""An endpoint that fails for so long without a success is switched off."""


def claim(
    db: Db, rooms: list[tuple[EndpointId, int]], *, claim: bytes, now_ms: int, lease_until_ms: int
) -> Script[list[DeliveryWork]]:
    """See ``relay.ports.Store.claim_deliveries``."""
    yield from db.run("deliveries.free_lapsed", now_ms=now_ms)
    works: list[DeliveryWork] = []
    for endpoint_id, room in rooms:
        rows = yield from db.rows("deliveries.due", endpoint=raw_bytes(endpoint_id), now_ms=now_ms, most=room)
        yield from db.many("deliveries.lease", [(claim, lease_until_ms, row[0]) for row in rows])
        works += [
            DeliveryWork(
                id=DeliveryId("dlv_" + bytes(delivery).hex()),
                endpoint_id=endpoint_id,
                event_id=EventId("evt_" + bytes(event).hex()),
                event_type=event_type,
                payload=bytes(payload),
                attempt=attempt + 1,
                claim=claim,
                lease_until_ms=lease_until_ms,
                event_created_ms=event_created_ms,
            )
            for delivery, event, attempt, event_type, payload, event_created_ms in rows
        ]
    return works


def due_endpoints(db: Db, now_ms: int) -> Script[list[EndpointId]]:
    """See ``relay.ports.Store.due_endpoints``."""
    rows = yield from db.rows("endpoints.with_due", now_ms=now_ms)
    return [EndpointId("ep_" + bytes(row[0]).hex()) for row in rows]


def next_due_ms(db: Db, now_ms: int) -> Script[int | None]:
    """See ``relay.ports.Store.next_delivery_due_ms``."""
    endpoints = yield from db.rows("endpoints.next_due", now_ms=now_ms)
    times = [max(due_ms, paused_until_ms or 0) for paused_until_ms, due_ms in endpoints if due_ms is not None]
    lapse = yield from db.row("deliveries.next_lapse", now_ms=now_ms)
    if lapse is not None and lapse[0] is not None:
        times.append(lapse[0])
    return min(times, default=None)


def finish(db: Db, work: DeliveryWork, record: AttemptRecord) -> Script[FinishedDelivery]:
    """See ``relay.ports.Store.finish_delivery``."""
    effects = Effects()
    delivery = raw_bytes(work.id)
    row = yield from db.row("deliveries.find_leased", id=delivery)
    if row is None or row[0] is None or bytes(row[0]) != work.claim:
        return FinishedDelivery(fenced=True, disabled=False, effects=effects_of(effects))
    _, endpoint, event, team, attempt, created_ms, status, failing_since_ms, _, _ = row
    number = attempt + 1
    yield from db.put(
        "attempts.insert",
        id=raw_bytes(db.new_id("att_")),
        delivery=delivery,
        number=number,
        at_ms=record.at_ms,
        duration_ms=record.duration_ms,
        status=record.status,
        error=record.error,
        outcome=record.outcome,
        answer=record.answer,
    )
    disabled = False
    if record.outcome in ("delivered", "exhausted"):
        yield from db.put("deliveries.delete", id=delivery)
        yield from db.put(
            "history.insert",
            id=delivery,
            endpoint=endpoint,
            event=event,
            team=team,
            status=record.outcome,
            attempt=number,
            created_ms=created_ms,
            finished_ms=record.at_ms + record.duration_ms,
        )
    else:
        due_ms = record.at_ms if record.next_due_ms is None else record.next_due_ms
        yield from db.put("deliveries.retry", id=delivery, attempt=number, due_ms=due_ms)
    if record.outcome == "delivered":
        if failing_since_ms is not None:
            yield from db.put("endpoints.mend", id=endpoint)
    else:
        disabled = yield from _note_failure(db, effects, row, record, enabled=status == "enabled")
    return FinishedDelivery(fenced=False, disabled=disabled, effects=effects_of(effects))


def release(db: Db, works: list[DeliveryWork]) -> Script[None]:
    """See ``relay.ports.Store.release_deliveries``."""
    yield from db.many("deliveries.release", [(raw_bytes(work.id), work.claim) for work in works])


def _note_failure(db: Db, effects: Effects, row: Row, record: AttemptRecord, *, enabled: bool) -> Script[bool]:
    endpoint, team, failing_since_ms = row[1], row[3], row[7]
    yield from db.put("endpoints.note_failure", id=endpoint, at_ms=record.at_ms, pause_until_ms=record.pause_until_ms)
    gone = record.outcome == "gone"
    failing = failing_since_ms is not None and record.at_ms - failing_since_ms >= FAILING_FOR_MS
    if not enabled or not (gone or failing):
        return False
    reason = "gone" if gone else "failing"
    if not (yield from db.run("endpoints.disable", id=endpoint, reason=reason)):
        # Another process found the same at the same time, and has told of it.
        return False
    data = EndpointDisabled(
        endpoint_id="ep_" + bytes(endpoint).hex(), reason=reason, failing_since=instant_or_none(failing_since_ms)
    )
    # The endpoint itself is off: its team is told at its other endpoints, and by GET /v1/events.
    yield from emit(
        db,
        effects,
        "endpoint.disabled",
        data,
        team=bytes(team),
        message=None,
        extension=None,
        now_ms=record.at_ms + record.duration_ms,
        skip_endpoint=bytes(endpoint),
    )
    return True
