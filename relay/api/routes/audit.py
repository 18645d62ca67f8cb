"""The audit, for the platform team: page by page, and as JSON Lines."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.call import Call
from relay.api.exchange import Answer, Streamed
from relay.api.inputs import END, Instant, moment_ms
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.audit import AuditAction, AuditFamily, AuditFilter, AuditView
from relay.ports import Page

JSON_LINES: Final = "application/x-ndjson"
_EXPORT_PAGE: Final = 500
_ENCODER: Final = msgspec.json.Encoder()


_Action = Annotated[
    AuditAction | AuditFamily | None, Meta(description="One action, or a family of them such as `key.*`.")
]
_Actor = Annotated[Annotated[str, Meta(max_length=64)] | None, Meta(description="The id of a key, `cli` or `system`.")]
_Target = Annotated[Annotated[str, Meta(max_length=200)] | None, Meta(description="What was acted upon, mostly an id.")]
_Moment = Annotated[Instant | None, Meta(description="Exclusive.")]


class AuditQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries, and which page of them."""

    action: _Action = None
    actor: _Actor = None
    target: _Target = None
    after: _Moment = None
    before: _Moment = None


class AuditExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries."""

    action: _Action = None
    actor: _Actor = None
    target: _Target = None
    after: _Moment = None
    before: _Moment = None
    after_id: Annotated[
        Annotated[str, Meta(pattern=rf"^aud_[0-9a-f]{{32}}{END}")] | None,
        Meta(description="The last entry that you have: what comes behind it."),
    ] = None


def _filters(query: AuditQuery | AuditExportQuery) -> AuditFilter:
    return AuditFilter(
        action=query.action,
        actor=query.actor,
        target=query.target,
        after_ms=moment_ms(query.after),
        before_ms=moment_ms(query.before),
    )


async def list_audit(call: Call) -> Answer:
    """Entries, newest first."""
    query = call.query(AuditQuery)
    position, limit = page_of("audit", query)
    page = await call.services.store.audit(_filters(query), position=position, limit=limit)
    return page_answer("audit", page.data, page.next_position, path=call.path, query=call.raw_query)


async def export_audit(call: Call) -> Streamed:
    """Entries, oldest first, one JSON object a line, as many as there are."""
    query = call.query(AuditExportQuery)
    filters = _filters(query)
    position = None if query.after_id is None else query.after_id.removeprefix("aud_")
    # Before the answer begins: what fails now is answered as a problem.
    first = await call.services.store.audit_from(filters, position=position, limit=_EXPORT_PAGE)
    return Streamed(_lines(call, filters, first), JSON_LINES.encode())


async def _lines(call: Call, filters: AuditFilter, page: Page[AuditView]) -> AsyncIterator[bytes]:
    yield _ENCODER.encode_lines(page.data)
    while page.next_position is not None:
        page = await call.services.store.audit_from(filters, position=page.next_position, limit=_EXPORT_PAGE)
        yield _ENCODER.encode_lines(page.data)


OPERATIONS: Final = (
    Operation(
        id="listAudit",
        method="GET",
        path="/v1/admin/audit",
        tag="Platform",
        summary="List who did what, newest first",
        description="Everything that changes something under `/v1/admin`, or by a command on the machine, leaves an "
        "entry in the same transaction; what was refused changed nothing, and leaves none. Entries are never changed "
        "and never deleted: the database refuses both. `from_address` is the other end of the connection, which is a "
        "proxy where there is one.",
        scope="admin",
        run=list_audit,
        query=AuditQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[AuditView], headers=("Link",)),),
    ),
    Operation(
        id="exportAudit",
        method="GET",
        path="/v1/admin/audit.jsonl",
        tag="Platform",
        summary="Export who did what, oldest first, as JSON Lines",
        description="One entry a line, each as the list shows it, all that the filters leave. To go on where the last "
        "export ended, give the `id` of its last line as `after_id`; with several replicas, an entry may become "
        "visible a moment after a later one, so begin a minute before with `after` instead, and drop the ids that "
        "you have. An answer that breaks off ends without its last chunk.",
        scope="admin",
        run=export_audit,
        query=AuditExportQuery,
        answers=(Respond(status=200, description="All of them, a line each.", body=AuditView, media_type=JSON_LINES),),
    ),
)
