"""What a team may send: the public schema of request bodies, and how a body becomes a request of the services."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from relay.domain.endpoints import EndpointView
from relay.domain.errors import BodyInvalid, FieldError
from relay.domain.events import EventType
from relay.domain.states import Category, OnUnconfirmed
from relay.domain.times import LATEST_MS, to_ms
from relay.services.requests import EndpointRequest, SendRequest

# `$` alone would let a final newline through in Python; `$(?!\n)` means the same in Python and in ECMA 262.
END: Final = r"$(?!\n)"
Extension = Annotated[
    str,
    Meta(
        pattern=rf"^[1-9][0-9]{{0,19}}{END}",
        description="1 to 20 digits, no leading zero.",
        examples=["101"],
        extra={"expected": "1 to 20 digits, no leading zero"},
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S", extra={"expected": "more than blanks"})]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset.", examples=["2026-11-23T09:30:00Z"])]
Number = Annotated[
    str,
    Meta(
        max_length=64,
        description="A mainland mobile number; blanks, dashes and +86, 86 or 0086 in front are understood.",
        examples=["13800130001"],
    ),
]
EventFamily = Literal["message.*", "inbound.*", "balance.*", "endpoint.*"]
EventWanted = Literal[EventType, EventFamily]


class MessageInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to one or many numbers."""

    to: Annotated[
        Number | Annotated[list[Number], Meta(min_length=1, max_length=10_000)],
        Meta(description="One number, or 1 to 10,000. Those that cannot be sent to are listed as `refused`."),
    ]
    text: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description="The text, without the team's signature, which is put in front.",
            examples=["您的验证码是 482913，五分钟内有效。"],
        ),
    ]
    extension: Annotated[Extension | None, Meta(description="Where answers go to: one that the team has leased.")] = (
        None
    )
    reference: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="Your own name for it; echoed.")
    ] = None
    metadata: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=512)]],
        Meta(max_length=20, description="Up to 20 pairs of texts, echoed in answers and events."),
    ] = {}
    send_at: Annotated[Instant | None, Meta(description="Not before this time; a time that has passed means now.")] = (
        None
    )
    expires_at: Annotated[Instant | None, Meta(description="What is not submitted by then fails.")] = None
    category: Annotated[
        Category,
        Meta(description="`otp` goes before `notice`, `notice` before `marketing`. That goes to nobody who opted out."),
    ] = "notice"
    on_unconfirmed: Annotated[
        OnUnconfirmed,
        Meta(
            description="When it is unknown whether the provider has a submission: wait for a report (`hold`), send "
            "again at the risk of a second SMS (`resend`), or give up (`fail`)."
        ),
    ] = "hold"


class EndpointInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook endpoint."""

    url: Annotated[
        str,
        Meta(
            max_length=2048,
            pattern=rf"^https?://[^\s]+{END}",
            description="Where events are posted to.",
            examples=["https://orders.example.com/hooks/sms"],
            extra={"expected": "an address that begins with https:// or http://"},
        ),
    ]
    event_types: Annotated[
        list[EventWanted], Meta(max_length=32, description="Empty: all. `message.*` means the whole family.")
    ] = []
    extensions: Annotated[
        list[Extension], Meta(max_length=100, description="Only events of these extensions; empty: all.")
    ] = []
    description: Annotated[str, Meta(max_length=256)] | None = None
    headers: Annotated[
        dict[
            Annotated[str, Meta(pattern=rf"^[A-Za-z0-9!#$%&'*+.^_`|~-]{{1,64}}{END}")],
            Annotated[str, Meta(pattern=rf"^[!-~]([ -~]{{0,1022}}[!-~])?{END}")],
        ],
        Meta(max_length=20, description="Sent with every webhook, such as Authorization."),
    ] = {}
    max_in_flight: Annotated[int, Meta(ge=1, le=256, description="Webhooks that may be under way at once.")] = 16


class EndpointCreated(EndpointView, frozen=True, kw_only=True):
    """The endpoint, and this once its signing secret."""

    secret: str


def refuse(*errors: FieldError) -> BodyInvalid:
    """What a schema cannot say is wrong."""
    places = "one place" if len(errors) == 1 else f"{len(errors)} places"
    return BodyInvalid(f"The body breaks its schema in {places}.", errors=errors)


def wrong(pointer: str, detail: str) -> FieldError:
    """One error."""
    return FieldError(pointer=pointer, detail=detail)


def moment_ms(moment: datetime | None) -> int | None:
    """Milliseconds of a time; None stays None."""
    return None if moment is None else to_ms(moment)


def send_request(wanted: MessageInput) -> SendRequest:
    """The request in a body. Raises BodyInvalid for a blank text and for times that cannot be.

    Nothing here asks what time it is: a replay is answered as the first time, also when `expires_at` has passed. That
    it is still to come is for ``Accept`` to check, after it looked for a replay.
    """
    send_at_ms, expires_ms = moment_ms(wanted.send_at), moment_ms(wanted.expires_at)
    errors: list[FieldError] = []
    if not wanted.text.strip():
        errors.append(wrong("/text", "The text is blank."))
    if send_at_ms is not None and not 0 <= send_at_ms <= LATEST_MS:
        errors.append(wrong("/send_at", "This time is out of range."))
    if expires_ms is not None and not (send_at_ms or 0) < expires_ms <= LATEST_MS:
        errors.append(wrong("/expires_at", "This time must be later than send_at and than now."))
    if errors:
        raise refuse(*errors)
    return SendRequest(
        to=[wanted.to] if isinstance(wanted.to, str) else wanted.to,
        text=wanted.text,
        extension=wanted.extension,
        reference=wanted.reference,
        metadata=wanted.metadata,
        category=wanted.category,
        on_unconfirmed=wanted.on_unconfirmed,
        send_at_ms=send_at_ms,
        expires_ms=expires_ms,
    )


def endpoint_request(wanted: EndpointInput) -> EndpointRequest:
    """The request in a body."""
    return EndpointRequest(
        url=wanted.url,
        event_types=list(wanted.event_types),
        extensions=wanted.extensions,
        description=wanted.description,
        headers=wanted.headers,
        max_in_flight=wanted.max_in_flight,
    )


def repeated(field: str, values: Sequence[str]) -> list[FieldError]:
    """An error for every value that is in the list a second time."""
    seen: set[str] = set()
    errors: list[FieldError] = []
    for index, value in enumerate(values):
        if value in seen:
            errors.append(wrong(f"/{field}/{index}", "This is in the list already."))
        seen.add(value)
    return errors
