"""What an operation is: its code and its specification in one value. Routes and document are both made of it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec

from relay.api.call import Call
from relay.api.exchange import Answer, Streamed
from relay.api.problems import InternalError
from relay.api.queries import NoQuery
from relay.domain.errors import (
    BodyInvalid,
    BodyTooLarge,
    BodyUnreadable,
    Draining,
    IdempotencyKeyInUse,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    MediaTypeUnsupported,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    QueryInvalid,
    RateExceeded,
    RelayError,
    ScopeMissing,
    StoreUnavailable,
    Unauthenticated,
)
from relay.domain.teams import Scope

Tag = Literal["Messages", "Inbound", "Balance", "Webhooks", "Events", "Callbacks", "Platform", "Operations"]
JSON: Final = "application/json"


class Respond(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is no problem. ``body``: its type, None for no body or one that is not JSON. ``headers``: names
    of headers that are described in the document, beside those that every answer has."""

    status: int
    description: str
    body: Any = None
    media_type: str = JSON
    headers: tuple[str, ...] = ()
    example: Any = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    ``scope`` None: no key is asked for. ``creates``: takes an Idempotency-Key, and is refused while draining.
    ``versioned``: takes If-Match.
    ``refusals``: what this operation can refuse beside what follows from the rest (see ``refusals_of``).
    ``documented`` False: not an API call, such as a page for people.
    """

    id: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    tag: Tag
    summary: str
    description: str = ""
    scope: Scope | None
    run: Callable[[Call], Awaitable[Answer | Streamed]]
    query: type[msgspec.Struct] = NoQuery
    body: type[msgspec.Struct] | None = None
    any_body: bool = False
    any_query: bool = False
    creates: bool = False
    versioned: bool = False
    prefers_wait: bool = False
    reads_store: bool = True
    answers: tuple[Respond, ...]
    refusals: tuple[type[RelayError], ...] = ()
    documented: bool = True
    body_examples: dict[str, Any] = {}


def refusals_of(operation: Operation) -> tuple[type[RelayError], ...]:
    """Every kind of problem that the operation can answer, each once."""
    kinds: list[type[RelayError]] = list(operation.refusals)
    if operation.scope is not None:
        kinds += [Unauthenticated, ScopeMissing, NotAcceptable]
        if operation.scope != "admin":
            kinds.append(RateExceeded)
    if "{" in operation.path:
        kinds.append(NotFound)
    if not operation.any_query:
        kinds.append(QueryInvalid)
    if operation.body is not None:
        kinds += [BodyUnreadable, BodyTooLarge, MediaTypeUnsupported, BodyInvalid]
    if operation.versioned:
        kinds.append(PreconditionFailed)
    if operation.any_body:
        kinds.append(BodyTooLarge)
    if operation.creates:
        kinds += [IdempotencyKeyInvalid, IdempotencyKeyInUse, IdempotencyKeyReused, Draining]
    if operation.reads_store:
        kinds.append(StoreUnavailable)
    return tuple(dict.fromkeys([*kinds, InternalError]))
