"""Messages: send, look up, list."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.call import REPLAYED, Call, found, location
from relay.api.exchange import Answer, Headers
from relay.api.inputs import Instant, MessageInput, moment_ms, send_request
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.preferences import read_wait
from relay.api.queries import PageQuery, query_wrong
from relay.domain.errors import (
    NoAccount,
    NoRecipientLeft,
    NotFound,
    QuotaExceeded,
    RecipientLimitExceeded,
    StoreUnavailable,
)
from relay.domain.messages import MessageView, RecipientView
from relay.domain.numbers import read_mobile
from relay.domain.states import MessageStatus
from relay.ports import MessageFilter, Replay
from relay.services.accept import AcceptedMessage
from relay.services.idempotency import KeyUse

_ENCODER: Final = msgspec.json.Encoder()


class MessagesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages."""

    status: MessageStatus | None = None
    reference: Annotated[str, Meta(max_length=128)] | None = None
    to: Annotated[str | None, Meta(description="A number, in any way of writing it.")] = None
    created_after: Annotated[Instant | None, Meta(description="Exclusive.")] = None
    created_before: Annotated[Instant | None, Meta(description="Exclusive.")] = None


async def create_message(call: Call) -> Answer:
    """Accept a message: stored when it is answered."""
    wanted, body = await call.json(MessageInput)
    services = call.services
    request = send_request(wanted)
    use = call.key_use(body)
    with services.in_flight.enter(use):
        result = await services.accept.send(call.principal, request, use, _ENCODER.encode)
        if isinstance(result, Replay):
            return Answer(result.status, result.answer, [location(call, result.answer), REPLAYED])
        call.metrics.message_accepted(request.category)
        headers: Headers = [(b"location", f"{call.path}/{result.view.id}".encode())]
        wait_s = read_wait(call.header(b"prefer"))
        if wait_s is None:
            return Answer(202, result.answer, headers)
        return await _waited(call, result, use, wait_s, headers)


async def _waited(call: Call, accepted: AcceptedMessage, use: KeyUse | None, wait_s: int, headers: Headers) -> Answer:
    services = call.services
    try:
        view = services.routing.explain(await services.wait.settled(call.team.id, accepted.view.id, wait_s))
        body = _ENCODER.encode(view)
        if use is not None:
            await services.store.keep_answer(use.answered(200, body, services.clock.now_ms()))
    except StoreUnavailable:
        # It is accepted: an error now would make the caller send it a second time.
        return Answer(202, accepted.answer, headers)
    return Answer(200, body, [*headers, (b"preference-applied", b"wait=%d" % wait_s)])


async def list_messages(call: Call) -> Answer:
    """Messages of the team, newest first."""
    query = call.query(MessagesQuery)
    position, limit = page_of("messages", query)
    to = None if query.to is None else read_mobile(query.to)
    if query.to is not None and to is None:
        raise query_wrong("to", "This is not a mobile number.")
    filters = MessageFilter(
        status=query.status,
        reference=query.reference,
        to=to,
        created_after_ms=moment_ms(query.created_after),
        created_before_ms=moment_ms(query.created_before),
    )
    page = await call.services.store.messages(call.team.id, filters, position=position, limit=limit)
    data = [call.services.routing.explain(view) for view in page.data]
    return page_answer("messages", data, page.next_position, path=call.path, query=call.raw_query)


async def get_message(call: Call) -> Answer:
    """One message with its counts."""
    view = await call.services.store.message(call.team.id, call.parameter("message_id"))
    return found(None if view is None else call.services.routing.explain(view), "message")


async def list_recipients(call: Call) -> Answer:
    """What became of each number."""
    message_id = call.parameter("message_id")
    query = call.query(PageQuery)
    name = f"recipients {message_id}"
    position, limit = page_of(name, query)
    page = await call.services.store.recipients(call.team.id, message_id, position=position, limit=limit)
    if page is None:
        raise NotFound("There is no such message.")
    return page_answer(name, page.data, page.next_position, path=call.path, query=call.raw_query)


OPERATIONS: Final = (
    Operation(
        id="createMessage",
        method="POST",
        path="/v1/messages",
        tag="Messages",
        summary="Send a text to one or many numbers",
        description="The message is stored durably when this is answered. Numbers that are malformed, suppressed or "
        "twice in the list do not fail the others; they are listed as `refused`.",
        scope="messages:send",
        run=create_message,
        body=MessageInput,
        body_examples={
            "one": {"to": "13800130001", "text": "您的验证码是 482913。", "category": "otp"},
            "many": {
                "to": ["13800130001", "13800130002"],
                "text": "Your order has left.",
                "reference": "order-77",
                "metadata": {"order": "77"},
            },
        },
        creates=True,
        prefers_wait=True,
        answers=(
            Respond(status=202, description="Accepted.", body=MessageView, headers=("Location", "Idempotent-Replayed")),
            Respond(
                status=200,
                description="Accepted, and waited for as `Prefer: wait` asked: what is known by now.",
                body=MessageView,
                headers=("Location", "Preference-Applied", "Idempotent-Replayed"),
            ),
        ),
        refusals=(NoRecipientLeft, NoAccount, QuotaExceeded, RecipientLimitExceeded),
    ),
    Operation(
        id="listMessages",
        method="GET",
        path="/v1/messages",
        tag="Messages",
        summary="List messages, newest first",
        scope="messages:read",
        run=list_messages,
        query=MessagesQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[MessageView], headers=("Link",)),),
    ),
    Operation(
        id="getMessage",
        method="GET",
        path="/v1/messages/{message_id}",
        tag="Messages",
        summary="Look up a message",
        scope="messages:read",
        run=get_message,
        answers=(Respond(status=200, description="The message.", body=MessageView),),
    ),
    Operation(
        id="listRecipients",
        method="GET",
        path="/v1/messages/{message_id}/recipients",
        tag="Messages",
        summary="List what became of each number",
        scope="messages:read",
        run=list_recipients,
        query=PageQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[RecipientView], headers=("Link",)),),
    ),
)
