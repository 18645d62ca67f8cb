"""Reports and inbound messages that matched nobody, for the platform team."""

from typing import Final

import msgspec

from relay.api.call import Call, done, found
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of, write_cursor
from relay.api.operations import Operation, Respond
from relay.api.orphan_inputs import (
    BATCH,
    AccountIdText,
    OrphanAssignmentInput,
    OrphanBatchInput,
    orphan_assignment,
    orphan_batch,
)
from relay.api.queries import PageQuery
from relay.domain.errors import AlreadySettled
from relay.domain.orphans import OrphanReprocessed, OrphansReprocessed, OrphanStatus, OrphanView
from relay.domain.provider import BodyKind
from relay.services.admin.orphans import OrphanTally

_ENCODER: Final = msgspec.json.Encoder()


class OrphansQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orphans."""

    kind: BodyKind | None = None
    account_id: AccountIdText | None = None
    status: OrphanStatus | None = None


async def list_orphans(call: Call) -> Answer:
    """Orphans, newest first."""
    query = call.query(OrphansQuery)
    position, limit = page_of("orphans", query)
    page = await call.services.store.orphans(
        kind=query.kind, account_id=query.account_id, status=query.status, position=position, limit=limit
    )
    return page_answer("orphans", page.data, page.next_position, path=call.path, query=call.raw_query)


async def get_orphan(call: Call) -> Answer:
    """One orphan."""
    return found(await call.services.store.orphan(call.parameter("orphan_id")), "orphan")


async def assign_orphan(call: Call) -> Answer:
    """Say whose it is."""
    wanted, body = await call.json(OrphanAssignmentInput)
    request = orphan_assignment(wanted)
    use = call.key_use(body)
    orphan_id = call.parameter("orphan_id")
    with call.services.in_flight.enter(use):
        return done(await call.services.orphans_admin.assign(orphan_id, request, call.actor, use, _ENCODER.encode))


async def reprocess_orphan(call: Call) -> Answer:
    """Match it again."""
    use = call.key_use(b"")
    orphan_id = call.parameter("orphan_id")
    with call.services.in_flight.enter(use):
        return done(await call.services.orphans_admin.reprocess(orphan_id, call.actor, use, _ENCODER.encode))


async def reprocess_orphans(call: Call) -> Answer:
    """Match many again."""
    wanted, body = await call.json(OrphanBatchInput)
    batch = orphan_batch(wanted)
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        return done(await call.services.orphans_admin.reprocess_some(batch, call.actor, use, _render_tally))


async def dismiss_orphan(call: Call) -> Answer:
    """Say that it is nobody's."""
    use = call.key_use(b"")
    orphan_id = call.parameter("orphan_id")
    with call.services.in_flight.enter(use):
        return done(await call.services.orphans_admin.dismiss(orphan_id, call.actor, use, _ENCODER.encode))


def _render_tally(tally: OrphanTally) -> bytes:
    position = tally.next_position
    return _ENCODER.encode(
        OrphansReprocessed(
            examined=tally.examined,
            matched=tally.matched,
            next_cursor=None if position is None else write_cursor(BATCH, position),
        )
    )


OPERATIONS: Final = (
    Operation(
        id="listOrphans",
        method="GET",
        path="/v1/admin/orphans",
        tag="Platform",
        summary="List what matched nobody, newest first",
        scope="admin",
        run=list_orphans,
        query=OrphansQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[OrphanView], headers=("Link",)),),
    ),
    Operation(
        id="getOrphan",
        method="GET",
        path="/v1/admin/orphans/{orphan_id}",
        tag="Platform",
        summary="Look up an orphan",
        scope="admin",
        run=get_orphan,
        answers=(Respond(status=200, description="The orphan.", body=OrphanView),),
    ),
    Operation(
        id="assignOrphan",
        method="POST",
        path="/v1/admin/orphans/{orphan_id}/assign",
        tag="Platform",
        summary="Say whose an orphan is",
        description="An inbound message becomes one of the team, with `matched_by` `assigned`, and the team is told of "
        "it by `inbound.received`. A report is applied to the recipient of its number, as if it had come for it. It "
        "can be done once.",
        scope="admin",
        run=assign_orphan,
        body=OrphanAssignmentInput,
        body_examples={"inbound message": {"team_id": "team_0193a1b2c3d47e8f9a0b1c2d3e4f5a6b"}},
        creates=True,
        answers=(Respond(status=200, description="The orphan.", body=OrphanView, headers=("Idempotent-Replayed",)),),
        refusals=(AlreadySettled,),
    ),
    Operation(
        id="reprocessOrphan",
        method="POST",
        path="/v1/admin/orphans/{orphan_id}/reprocess",
        tag="Platform",
        summary="Match an orphan again",
        description="By the usual rules, as of when it came, with what is known now: an extension that was leased "
        "since, a task that was learned since. `matched` says whether that found anybody.",
        scope="admin",
        run=reprocess_orphan,
        creates=True,
        answers=(Respond(status=200, description="Done.", body=OrphanReprocessed, headers=("Idempotent-Replayed",)),),
        refusals=(AlreadySettled,),
    ),
    Operation(
        id="dismissOrphan",
        method="POST",
        path="/v1/admin/orphans/{orphan_id}/dismiss",
        tag="Platform",
        summary="Say that an orphan is nobody's",
        scope="admin",
        run=dismiss_orphan,
        creates=True,
        answers=(Respond(status=200, description="The orphan.", body=OrphanView, headers=("Idempotent-Replayed",)),),
        refusals=(AlreadySettled,),
    ),
    Operation(
        id="reprocessOrphans",
        method="POST",
        path="/v1/admin/orphans/reprocess",
        tag="Platform",
        summary="Match open orphans again, a batch at a time",
        description="Newest first. Go on with `next_cursor` until it is null.",
        scope="admin",
        run=reprocess_orphans,
        body=OrphanBatchInput,
        body_examples={"all": {}, "inbound messages": {"kind": "mo", "limit": 50}},
        creates=True,
        answers=(Respond(status=200, description="Done.", body=OrphansReprocessed, headers=("Idempotent-Replayed",)),),
    ),
)
