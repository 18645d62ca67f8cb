"""Accepting a message: idempotency, quota, message, submissions and recipients in one transaction."""

from collections import Counter
from typing import Any

import msgspec

from relay.domain.errors import BodyInvalid, FieldError, QuotaExceeded, Refusal, Withheld
from relay.domain.extensions import leads_away
from relay.domain.ids import raw_bytes
from relay.domain.messages import MessageDraft
from relay.domain.states import PRIORITY
from relay.domain.teams import RecipientLimit
from relay.ports import Idempotency, Quota, Replay, Stored
from relay.store.script import Db, Script
from relay.store.scripts import extensions, guards
from relay.store.scripts import idempotency as keys
from relay.store.sealing import KeyRing

_encode = msgspec.json.encode


def accept(
    db: Db,
    ring: KeyRing,
    draft: MessageDraft,
    *,
    claim: bytes,
    lease_until_ms: int,
    quota: Quota | None,
    limit: RecipientLimit | None,
    repeat_window_ms: int,
    idempotency: Idempotency | None,
) -> Script[Stored | Replay]:
    """See ``relay.ports.Store.accept``."""
    team = raw_bytes(draft.team_id)
    try:
        yield from _check(db, team, draft, quota, limit, repeat_window_ms)
    except (Refusal, Withheld):
        # What the first request took may be what this one lacks.
        replay = yield from keys.replay_or_none(db, ring, idempotency)
        if replay is None:
            raise
        return replay
    replay = yield from keys.take(db, ring, idempotency)
    if replay is not None:
        if quota is not None:
            yield from db.put("quota.give_back", team=team, day=quota.day, units=draft.units)
        return replay
    message = raw_bytes(draft.id)
    yield from db.put(
        "messages.insert",
        id=message,
        team=team,
        api_key=raw_bytes(draft.key_id),
        mode=draft.mode,
        text=draft.text,
        extension=draft.extension,
        reference=draft.reference,
        metadata=_encode(draft.metadata).decode(),
        category=draft.category,
        on_unconfirmed=draft.on_unconfirmed,
        created_ms=draft.created_ms,
        send_at_ms=draft.send_at_ms,
        expires_ms=draft.expires_ms,
        segments=draft.segments,
        to_count=draft.to_count,
        refused=_encode(draft.refused).decode(),
        quota_day=None if quota is None else quota.day,
    )
    yield from _insert_submissions(db, draft, message, claim, lease_until_ms)
    return Stored()


def _check(
    db: Db,
    team: bytes,
    draft: MessageDraft,
    quota: Quota | None,
    limit: RecipientLimit | None,
    repeat_window_ms: int,
) -> Script[None]:
    """Raises what the message is refused for; nothing was written then. Reserves the quota, last."""
    if draft.extension is not None:
        yield from _check_extension(db, draft, draft.extension)
    yield from guards.check(db, draft, limit=limit, repeat_window_ms=repeat_window_ms)
    if quota is not None:
        taken = yield from db.row("quota.reserve", team=team, day=quota.day, units=draft.units, most=quota.units)
        if taken is None:
            raise QuotaExceeded(
                f"The team has {quota.units} units a day; less than the {draft.units} of this message are left.",
                retry_after_s=quota.ends_in_s,
            )


def _insert_submissions(db: Db, draft: MessageDraft, message: bytes, claim: bytes, lease_until_ms: int) -> Script[None]:
    counts: Counter[str] = Counter()
    submissions: list[tuple[Any, ...]] = []
    priority = PRIORITY[draft.category]
    for submission in draft.submissions:
        started = submission.status == "submitting"
        counts[submission.status] += len(submission.mobiles)
        submissions.append(
            (
                raw_bytes(submission.id),
                message,
                raw_bytes(submission.account_id),
                submission.status,
                priority,
                submission.due_ms,
                draft.expires_ms,
                1 if started else 0,
                claim if started else None,
                lease_until_ms if started else None,
                draft.created_ms,
                len(submission.mobiles),
            )
        )
    yield from db.put(
        "states.insert",
        message=message,
        n_scheduled=counts["scheduled"],
        n_queued=counts["queued"],
        n_submitting=counts["submitting"],
    )
    yield from db.many("submissions.insert", submissions)
    for submission, row in zip(draft.submissions, submissions, strict=True):
        key = row[0]
        # Sorted, because the primary key is: appending to one leaf is several times cheaper than scattering.
        yield from db.many("recipients.insert", [(key, mobile) for mobile in sorted(submission.mobiles)])


def _check_extension(db: Db, draft: MessageDraft, extension: str) -> Script[None]:
    """Answers go to whoever has leased the extension, or the longest end of it: it must not be another team.

    Decision: on the account that it waits at; it goes over no other on which that is so (``services.routing``). The
    answer does not say who has it; that somebody has cannot be hidden from who may send with what nobody has leased.
    """
    leases = yield from extensions.leading(db, extension)
    for account_id in {submission.account_id for submission in draft.submissions}:
        if leads_away(leases, account_id, draft.team_id):
            raise BodyInvalid(
                "The extension is not the team's.",
                errors=(FieldError(pointer="/extension", detail="is not one that answers to this team come to"),),
            )
