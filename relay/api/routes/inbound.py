"""Messages that the team received."""

from typing import Final

from relay.api.call import Call, found
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.messages import InboundView


async def list_inbound(call: Call) -> Answer:
    """Received messages, newest first."""
    position, limit = page_of("inbound", call.query(PageQuery))
    page = await call.services.store.inbound_list(call.team.id, position=position, limit=limit)
    return page_answer("inbound", page.data, page.next_position, path=call.path, query=call.raw_query)


async def get_inbound(call: Call) -> Answer:
    """One received message."""
    return found(await call.services.store.inbound(call.team.id, call.parameter("inbound_id")), "inbound message")


OPERATIONS: Final = (
    Operation(
        id="listInbound",
        method="GET",
        path="/v1/inbound",
        tag="Inbound",
        summary="List received messages, newest first",
        scope="messages:read",
        run=list_inbound,
        query=PageQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[InboundView], headers=("Link",)),),
    ),
    Operation(
        id="getInbound",
        method="GET",
        path="/v1/inbound/{inbound_id}",
        tag="Inbound",
        summary="Look up a received message",
        scope="messages:read",
        run=get_inbound,
        answers=(Respond(status=200, description="The received message.", body=InboundView),),
    ),
)
