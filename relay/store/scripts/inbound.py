"""Applying inbound messages: pairing pushed and pulled copies, finding the team, telling it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.events import InboundReceived
from relay.domain.extensions import leads_to
from relay.domain.ids import AccountId, InboundId, MessageId, RawId, first_id, raw_bytes
from relay.domain.numbers import Mask, mask_of
from relay.domain.provider import InboundRow, RawBody, Reading
from relay.domain.times import HOUR_MS, instant, instant_or_none
from relay.ports import ReceivedBody
from relay.store.script import Db, Script
from relay.store.scripts import raw as raws
from relay.store.scripts.emit import Effects, emit
from relay.store.scripts.extensions import leading
from relay.store.scripts.reports import effects_of
from relay.store.scripts.spans import spans
from relay.store.scripts.suppressions import opt_out

LAST_SENDER_MS: Final = 72 * HOUR_MS
"""An answer without a known extension belongs to the team that sent to this number within this time."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Whose inbound message it is. ``extension``: the team's own, when one was found."""

    team: bytes
    matched_by: str
    extension: str | None
    message: bytes | None


def receive(
    db: Db, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[InboundRow]
) -> Script[ReceivedBody]:
    """See ``relay.ports.Store.receive_inbound``."""
    effects = Effects()
    account = raw_bytes(account_id)
    if not (yield from raws.begin(db, account, raw_id, raw, reading)):
        return raws.received(raw_id, {}, quarantined=False, effects=effects_of(effects))
    results = yield from apply_rows(db, effects, account, raw_id, raw, reading.rows, raw.received_ms)
    return raws.received(raw_id, results, quarantined=reading.unreadable > 0, effects=effects_of(effects))


def apply_rows(
    db: Db, effects: Effects, account: bytes, raw_id: RawId, raw: RawBody, rows: Sequence[InboundRow], now_ms: int
) -> Script[dict[str, int]]:
    """These rows of a body become inbound messages or orphans, and events; how many did what."""
    results: Counter[str] = Counter()
    for row in rows:
        if (yield from _is_twin(db, account, raw, row)):
            results["twin"] += 1
            continue
        match = yield from match_of(db, account, raw, row)
        if match is None:
            yield from _orphan(db, account, raw_id, raw, row)
            results["orphaned"] += 1
            continue
        yield from store_inbound(db, effects, account, raw_id, raw, row, match, now_ms)
        results["matched"] += 1
        if row.opt_out is not None:
            # A number that is masked cannot be suppressed: people must see that it happens.
            results["opted_out" if row.mobile is not None else "opt_out_masked"] += 1
    return dict(results)


def _is_twin(db: Db, account: bytes, raw: RawBody, row: InboundRow) -> Script[bool]:
    """True when the other way (push, pull) has brought this very message already.

    Inbound messages have no id. Decision: a row is a copy only of a row that came by the other way, with the same text,
    time, extension and number (or mask), and each row is the copy of one row at most; so two equal texts that came by
    one way stay two. Without a time nothing is dropped.
    """
    if row.raw_time is None:
        return False
    mask = row.mask if row.mobile is None else mask_of(row.mobile)
    digest = _digest(row, mask)
    twin = yield from db.row("inbound.twin", account=account, digest=digest, source=raw.source, mobile=row.mobile)
    if twin is not None:
        yield from db.put("inbound.pair", id=twin[0])
        return True
    yield from db.put(
        "inbound.note",
        account=account,
        digest=digest,
        mobile=row.mobile,
        source=raw.source,
        received_ms=raw.received_ms,
    )
    return False


def _digest(row: InboundRow, mask: Mask | None) -> bytes:
    who = row.mobile_text if mask is None else f"{mask[0]}*{mask[1]:04}"
    return hashlib.sha256(
        "\0".join((who, row.raw_time or "", row.extension or "", row.text)).encode("utf-8", "replace")
    ).digest()


def match_of(db: Db, account: bytes, raw: RawBody, row: InboundRow) -> Script[Match | None]:
    """Whose it is; None when nobody's."""
    sent = _sent_before(raw.received_ms)
    if row.extension is not None:
        lease = leads_to((yield from leading(db, row.extension)), AccountId("acct_" + account.hex()))
        if lease is not None:
            team, whole = raw_bytes(lease.team_id), lease.extension == row.extension
            return Match(
                team=team,
                matched_by="extension" if whole else "suffix",
                extension=lease.extension,
                message=(yield from _last_message(db, row, team, sent)),
            )
    if row.mobile is None:
        return None
    last = yield from db.row("messages.last_to", mobile=row.mobile, account=account, **sent)
    if last is None or (yield from db.row("teams.find", id=last[1])) is None:
        # Nobody would see what is given to a team that was deleted.
        return None
    return Match(team=bytes(last[1]), matched_by="last_sender", extension=row.extension, message=bytes(last[0]))


def assigned_to(db: Db, team: bytes, raw: RawBody, row: InboundRow) -> Script[Match]:
    """Somebody says that it is this team's."""
    message = yield from _last_message(db, row, team, _sent_before(raw.received_ms))
    return Match(team=team, matched_by="assigned", extension=row.extension, message=message)


def _sent_before(received_ms: int) -> dict[str, object]:
    since_ms = received_ms - LAST_SENDER_MS
    return {"spans": spans(since_ms, received_ms), "since_id": first_id(since_ms)}


def _last_message(db: Db, row: InboundRow, team: bytes, sent: dict[str, object]) -> Script[bytes | None]:
    if row.mobile is None:
        return None
    found = yield from db.row("messages.last_of_team_to", mobile=row.mobile, team=team, **sent)
    return None if found is None else bytes(found[0])


def store_inbound(
    db: Db, effects: Effects, account: bytes, raw_id: RawId, raw: RawBody, row: InboundRow, match: Match, now_ms: int
) -> Script[InboundId]:
    """It becomes an inbound message of the team, which is told of it now; and an opt-out when it says so."""
    opted_out = False
    if row.opt_out is not None and row.mobile is not None:
        opted_out = True
        yield from opt_out(db, match.team, row.mobile, row.opt_out, raw.received_ms)
    inbound_id = InboundId(db.new_id("in_"))
    sender = row.mobile_text if row.mobile is None else str(row.mobile)
    yield from db.put(
        "inbound.insert",
        id=raw_bytes(inbound_id),
        team=match.team,
        account=account,
        mobile_text=sender,
        extension=match.extension,
        text=row.text,
        occurred_ms=row.occurred_ms,
        received_ms=raw.received_ms,
        matched_by=match.matched_by,
        message=match.message,
        raw=raw_bytes(raw_id),
    )
    data = InboundReceived(
        id=inbound_id,
        from_=sender,
        to_extension=match.extension,
        text=row.text,
        received_at=instant(raw.received_ms),
        occurred_at=instant_or_none(row.occurred_ms),
        matched_by=match.matched_by,
        message_id=None if match.message is None else MessageId("msg_" + match.message.hex()),
        opted_out=opted_out,
    )
    yield from emit(
        db,
        effects,
        "inbound.received",
        data,
        team=match.team,
        message=match.message,
        extension=match.extension,
        now_ms=now_ms,
    )
    return inbound_id


def _orphan(db: Db, account: bytes, raw_id: RawId, raw: RawBody, row: InboundRow) -> Script[None]:
    yield from db.put(
        "orphans.insert",
        id=raw_bytes(db.new_id("orph_")),
        account=account,
        kind="mo",
        source=raw.source,
        task_id=None,
        mobile_text=row.mobile_text,
        content=row.text,
        extension=row.extension,
        raw_time=row.raw_time,
        occurred_ms=row.occurred_ms,
        received_ms=raw.received_ms,
        raw=raw_bytes(raw_id),
    )
