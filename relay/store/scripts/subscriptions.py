"""Endpoints, events and deliveries: creating, reading, deleting."""

import re
from typing import Any, Final

import msgspec

from relay.domain.endpoints import (
    AttemptView,
    DeliveryDetail,
    DeliveryStatus,
    DeliveryView,
    Endpoint,
    EndpointView,
)
from relay.domain.ids import AttemptId, DeliveryId, EndpointId, EventId, TeamId, first_id, raw_bytes
from relay.domain.times import MINUTE_MS, instant, instant_or_none, to_ms
from relay.ports import Idempotency, NewEndpoint, Page, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import idempotency as keys
from relay.store.scripts.views import before
from relay.store.sealed import headers_place as _headers_place
from relay.store.sealed import secrets_place as _secrets_place
from relay.store.sealing import KeyRing

_STRINGS: Final = msgspec.json.Decoder(list[str])
_HEADERS: Final = msgspec.json.Decoder(dict[str, str])
_CREDENTIAL: Final = re.compile(r"auth|key|token|secret|cookie|password|signature", re.IGNORECASE)
_encode = msgspec.json.encode
DISCARDED_AT_ONCE: Final = 2_000
"""Deliveries that one commit ends with their endpoint: others wait for it meanwhile."""
LAST_ID_MS: Final = 2**48 - 1
BESIDE_MS: Final = MINUTE_MS
"""The deliveries of an event are made with it: their ids are of its time, within what a clock may be set back."""


def create_endpoint(
    db: Db, ring: KeyRing, new: NewEndpoint, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """Store an endpoint; its headers and its secret are sealed."""
    replay = yield from keys.take(db, ring, idempotency)
    if replay is not None:
        return replay
    view = new.view
    key = raw_bytes(view.id)
    yield from db.put(
        "endpoints.insert",
        id=key,
        team=raw_bytes(new.team_id),
        url=view.url,
        event_types=_encode(view.event_types).decode(),
        extensions=_encode(view.extensions).decode(),
        description=view.description,
        headers_sealed=ring.seal(_encode(view.headers), place=_headers_place(key)),
        secrets_sealed=ring.seal(_encode([new.secret]), place=_secrets_place(key)),
        max_in_flight=view.max_in_flight,
        status=view.status,
        created_ms=to_ms(view.created_at),
    )
    return Stored()


def load_endpoint(db: Db, ring: KeyRing, endpoint: bytes) -> Script[Endpoint | None]:
    """With secrets in clear, for the deliver worker."""
    row = yield from db.row("endpoints.load", id=endpoint)
    if row is None:
        return None
    key = bytes(row[0])
    return Endpoint(
        id=EndpointId("ep_" + key.hex()),
        team_id=TeamId("team_" + bytes(row[1]).hex()),
        url=row[2],
        event_types=tuple(_STRINGS.decode(row[3])),
        extensions=tuple(_STRINGS.decode(row[4])),
        headers=_HEADERS.decode(ring.open(bytes(row[5]), place=_headers_place(key))),
        secrets=tuple(_STRINGS.decode(ring.open(bytes(row[6]), place=_secrets_place(key)))),
        max_in_flight=row[7],
        status=row[8],
        paused_until_ms=row[9],
    )


def _view(ring: KeyRing, row: Row) -> EndpointView:
    key = bytes(row[0])
    headers = _HEADERS.decode(ring.open(bytes(row[5]), place=_headers_place(key)))
    return EndpointView(
        id=EndpointId("ep_" + key.hex()),
        url=row[1],
        event_types=_STRINGS.decode(row[2]),
        extensions=_STRINGS.decode(row[3]),
        description=row[4],
        headers=hide_credentials(headers),
        max_in_flight=row[6],
        status=row[7],
        disabled_reason=row[8],
        paused_until=instant_or_none(row[9]),
        created_at=instant(row[10]),
    )


def hide_credentials(headers: dict[str, str]) -> dict[str, str]:
    """Custom headers as they may be shown: values of credential-like names read ``***``."""
    return {name: "***" if _CREDENTIAL.search(name) else value for name, value in headers.items()}


def endpoint_view(db: Db, ring: KeyRing, team: bytes, endpoint: bytes) -> Script[EndpointView | None]:
    """One endpoint."""
    row = yield from db.row("endpoints.view", id=endpoint, team=team)
    return None if row is None else _view(ring, row)


def endpoint_views(db: Db, ring: KeyRing, team: bytes, position: str | None, limit: int) -> Script[Page[EndpointView]]:
    """Newest first."""
    rows = yield from db.rows("endpoints.list", team=team, before=before(position), most=limit + 1)
    return Page(
        data=[_view(ring, row) for row in rows[:limit]],
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )


def delete_endpoint(db: Db, team: bytes, endpoint: bytes, now_ms: int) -> Script[bool]:
    """The endpoint is gone, and what was pending for it is history; what is more than one commit takes, with the next
    sweeps."""
    changed = yield from db.run("endpoints.delete", id=endpoint, team=team, now_ms=now_ms)
    if not changed:
        return False
    yield from discard_of_endpoint(db, endpoint, now_ms)
    return True


def discard_of_endpoint(db: Db, endpoint: bytes, now_ms: int) -> Script[bool]:
    """What is pending for a deleted endpoint ends as ``discarded``; True when there may be more of it.

    Decision: each row is history by what was deleted, not by a look at it before, because another process may lease or
    store one between the two.
    """
    yield from db.run("deliveries.free_of_endpoint", endpoint=endpoint)
    rows = yield from db.rows("deliveries.take_of_endpoint", endpoint=endpoint, most=DISCARDED_AT_ONCE)
    ended: list[tuple[Any, ...]] = [
        (key, of_endpoint, event, team, "discarded", attempt, created_ms, now_ms)
        for key, of_endpoint, event, team, attempt, created_ms in rows
    ]
    yield from db.many("history.insert", ended)
    return len(rows) == DISCARDED_AT_ONCE


def event(db: Db, team: bytes, event_id: bytes) -> Script[bytes | None]:
    """Its payload."""
    row = yield from db.row("events.view", id=event_id, team=team)
    return None if row is None else bytes(row[0])


def events(db: Db, team: bytes, position: str | None, limit: int, event_types: tuple[str, ...]) -> Script[Page[bytes]]:
    """In commit order: positions of one team are given in the order of commits, so none is skipped."""
    after = int(position or 0)
    if event_types:
        rows = yield from db.rows(
            "events.list_of_types", team=team, after=after, types=_encode(event_types).decode(), most=limit
        )
        if len(rows) < limit:
            # Nothing of these types lies behind: the poller need not read over the others again.
            last = yield from db.row("events.last_position", team=team)
            after = max(after, (last[0] if last is not None else None) or 0)
    else:
        rows = yield from db.rows("events.list", team=team, after=after, most=limit)
    if rows:
        after = max(after, rows[-1][0]) if len(rows) < limit else rows[-1][0]
    return Page(data=[bytes(row[1]) for row in rows], next_position=str(after))


def _delivery(row: Row) -> dict[str, object]:
    return {
        "id": DeliveryId("dlv_" + bytes(row[0]).hex()),
        "endpoint_id": EndpointId("ep_" + bytes(row[1]).hex()),
        "event_id": EventId("evt_" + bytes(row[2]).hex()),
        "event_type": row[3],
        "status": row[4],
        "attempt_count": row[5],
        "next_attempt_at": instant_or_none(row[6]),
        "created_at": instant(row[7]),
        "finished_at": instant_or_none(row[8]),
    }


def delivery(db: Db, team: bytes, delivery_id: bytes) -> Script[DeliveryDetail | None]:
    """One delivery with its attempts."""
    row = yield from db.row("deliveries.view", id=delivery_id, team=team)
    if row is None:
        row = yield from db.row("history.view", id=delivery_id, team=team)
    if row is None:
        return None
    attempts = yield from db.rows("attempts.of_delivery", delivery=delivery_id)
    views = [
        AttemptView(
            id=AttemptId("att_" + bytes(found[0]).hex()),
            number=found[1],
            at=instant(found[2]),
            duration_ms=found[3],
            status=found[4],
            error=found[5],
            outcome=found[6],
            answer=bytes(found[7]).decode("utf-8", "replace"),
        )
        for found in attempts
    ]
    return DeliveryDetail(**_delivery(row), attempts=views)  # type: ignore[arg-type] # the keys are those of the Struct


def deliveries(
    db: Db,
    team: bytes,
    *,
    endpoint: bytes | None,
    event: bytes | None,
    status: DeliveryStatus | None,
    position: str | None,
    limit: int,
) -> Script[Page[DeliveryView]]:
    """Newest first, over what is pending and what is history."""
    rows: list[Row] = []
    first, last = b"", before(position)
    if event is not None:
        at_ms = int.from_bytes(event[:6])
        first, last = first_id(at_ms - BESIDE_MS), min(last, first_id(min(at_ms + BESIDE_MS, LAST_ID_MS)))
    bound = {
        "team": team,
        "before": last,
        "after": first,
        "endpoint": endpoint,
        "event": event,
        "most": limit + 1,
    }
    if status in (None, "pending"):
        rows += yield from db.rows("deliveries.list", **bound)
    if status != "pending":
        rows += yield from db.rows("history.list", **bound, status=status)
    rows.sort(key=lambda row: bytes(row[0]), reverse=True)
    return Page(
        data=[DeliveryView(**_delivery(row)) for row in rows[:limit]],  # type: ignore[arg-type] # as above
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )
