"""The audit, for the platform team."""

from typing import Final

from relay.api.call import Call
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.audit import AuditView


async def list_audit(call: Call) -> Answer:
    """Entries, newest first."""
    position, limit = page_of("audit", call.query(PageQuery))
    page = await call.services.store.audit(position=position, limit=limit)
    return page_answer("audit", page.data, page.next_position, path=call.path, query=call.raw_query)


OPERATIONS: Final = (
    Operation(
        id="listAudit",
        method="GET",
        path="/v1/admin/audit",
        tag="Platform",
        summary="List who did what, newest first",
        description="Entries are added and never changed. So far erasures are audited.",
        scope="admin",
        run=list_audit,
        query=PageQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[AuditView], headers=("Link",)),),
    ),
)
