"""Events to poll: the same bytes that webhooks carry."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.call import Call
from relay.api.exchange import Answer
from relay.api.guard import admit_again
from relay.api.inputs import EventWanted
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.payloads import Event
from relay.api.preferences import LONGEST_WAIT_S
from relay.api.queries import PageQuery
from relay.domain.errors import NotFound


class EventsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events."""

    event_types: Annotated[list[EventWanted], Meta(max_length=32, description="Empty: all.")] = msgspec.field(
        default_factory=list
    )
    wait: Annotated[
        int, Meta(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for an event when there is none yet.")
    ] = 0


async def list_events(call: Call) -> Answer:
    """Events in commit order, oldest first; the cursor is always there, to go on from."""
    query = call.query(EventsQuery)
    position, limit = page_of("events", query)
    page = await call.services.poll.events(
        call.team.id,
        position=position,
        limit=limit,
        event_types=tuple(query.event_types),
        wait_s=float(query.wait),
        # Not so for `Prefer: wait`, which tells of what was accepted while the key was good.
        still_allowed=lambda: admit_again(call),
    )
    data = [msgspec.Raw(payload) for payload in page.data]
    return page_answer(
        "events", data, page.next_position, path=call.path, query=call.raw_query, has_more=len(data) == limit
    )


async def get_event(call: Call) -> Answer:
    """One event."""
    payload = await call.services.store.event(call.team.id, call.parameter("event_id"))
    if payload is None:
        raise NotFound("There is no such event.")
    return Answer(200, payload)


OPERATIONS: Final = (
    Operation(
        id="listEvents",
        method="GET",
        path="/v1/events",
        tag="Events",
        summary="Poll events, oldest first",
        description="Keep `next_cursor` and come back with it: no event is skipped, none comes twice. `next_cursor` is "
        "always there; `has_more` says that the next page can be had at once.",
        scope="events:read",
        run=list_events,
        query=EventsQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[Event], headers=("Link",)),),
    ),
    Operation(
        id="getEvent",
        method="GET",
        path="/v1/events/{event_id}",
        tag="Events",
        summary="Look up an event",
        scope="events:read",
        run=get_event,
        answers=(Respond(status=200, description="The event, byte by byte as webhooks carry it.", body=Event),),
    ),
)
