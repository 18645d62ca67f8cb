"""Bodies of the provider that were set aside, for the platform team."""

from typing import Final

import msgspec

from relay.api.call import Call, done, found
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.orphan_inputs import AccountIdText
from relay.api.queries import PageQuery
from relay.domain.errors import AlreadySettled
from relay.domain.orphans import QuarantineBody, QuarantineReprocessed, QuarantineView
from relay.domain.provider import BodyKind
from relay.services.admin.quarantine import with_bytes

_ENCODER: Final = msgspec.json.Encoder()


class QuarantineQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bodies."""

    kind: BodyKind | None = None
    account_id: AccountIdText | None = None


async def list_quarantine(call: Call) -> Answer:
    """Bodies in quarantine, newest first."""
    query = call.query(QuarantineQuery)
    position, limit = page_of("quarantine", query)
    page = await call.services.store.quarantined(
        kind=query.kind, account_id=query.account_id, position=position, limit=limit
    )
    return page_answer("quarantine", page.data, page.next_position, path=call.path, query=call.raw_query)


async def get_quarantined(call: Call) -> Answer:
    """One body with its bytes."""
    body = await call.services.store.set_aside(call.parameter("raw_id"))
    return found(None if body is None else with_bytes(body), "body")


async def reprocess_quarantined(call: Call) -> Answer:
    """Read it again."""
    use = call.key_use(b"")
    raw_id = call.parameter("raw_id")
    with call.services.in_flight.enter(use):
        return done(await call.services.quarantine_admin.reprocess(raw_id, call.actor, use, _ENCODER.encode))


async def dismiss_quarantined(call: Call) -> Answer:
    """Say that nobody needs it."""
    use = call.key_use(b"")
    raw_id = call.parameter("raw_id")
    with call.services.in_flight.enter(use):
        return done(await call.services.quarantine_admin.dismiss(raw_id, call.actor, use, _ENCODER.encode))


OPERATIONS: Final = (
    Operation(
        id="listQuarantine",
        method="GET",
        path="/v1/admin/quarantine",
        tag="Platform",
        summary="List bodies that could not be read, newest first",
        scope="admin",
        run=list_quarantine,
        query=QuarantineQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[QuarantineView], headers=("Link",)),),
    ),
    Operation(
        id="getQuarantined",
        method="GET",
        path="/v1/admin/quarantine/{raw_id}",
        tag="Platform",
        summary="Look into a body that could not be read",
        description="Also one that has left the quarantine, as long as its bytes are kept.",
        scope="admin",
        run=get_quarantined,
        answers=(Respond(status=200, description="The body, with its bytes.", body=QuarantineBody),),
    ),
    Operation(
        id="reprocessQuarantined",
        method="POST",
        path="/v1/admin/quarantine/{raw_id}/reprocess",
        tag="Platform",
        summary="Read a body again",
        description="With the code of this release. What was applied when it came is not applied again. When all of it "
        "can be read, the body leaves the quarantine: `state` is `applied`; otherwise it stays, and `why` says for "
        "what.",
        scope="admin",
        run=reprocess_quarantined,
        creates=True,
        answers=(
            Respond(status=200, description="Done.", body=QuarantineReprocessed, headers=("Idempotent-Replayed",)),
        ),
        refusals=(AlreadySettled,),
    ),
    Operation(
        id="dismissQuarantined",
        method="POST",
        path="/v1/admin/quarantine/{raw_id}/dismiss",
        tag="Platform",
        summary="Say that nobody needs a body",
        description="It leaves the quarantine; its bytes are kept as long as those of bodies that were applied.",
        scope="admin",
        run=dismiss_quarantined,
        creates=True,
        answers=(Respond(status=200, description="The body.", body=QuarantineView, headers=("Idempotent-Replayed",)),),
        refusals=(AlreadySettled,),
    ),
)
