"""Leased extensions, for the platform team."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.call import REPLAYED, Call
from relay.api.exchange import Answer
from relay.api.inputs import END, Extension
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import NoQuery, PageQuery
from relay.domain.errors import AlreadyExists, InUse, NotFound
from relay.domain.extensions import LONGEST, ExtensionView
from relay.domain.ids import AccountId, TeamId
from relay.ports import Replay
from relay.services.requests import LeaseRequest

_ENCODER: Final = msgspec.json.Encoder()
_TeamRef = Annotated[str, Meta(pattern=rf"^team_[0-9a-f]{{32}}{END}")]
_AccountRef = Annotated[str, Meta(pattern=rf"^acct_[0-9a-f]{{32}}{END}")]


class LeaseInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An extension to be leased."""

    team_id: _TeamRef
    account_id: Annotated[
        _AccountRef | None, Meta(description="On this account alone; null: on all that the team uses.")
    ] = None
    extension: Annotated[
        Extension | None,
        Meta(description="Null: the lowest free one, as wide as the accounts say, or else of 4 digits."),
    ] = None


class ExtensionsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which extensions."""

    team_id: _TeamRef | None = None
    account_id: Annotated[_AccountRef | None, Meta(description="Those that hold on this account.")] = None
    extension: Extension | None = None


class ReleaseQuery(NoQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it is released."""

    account_id: Annotated[
        _AccountRef | None, Meta(description="On this account alone; without it wherever the team has leased it.")
    ] = None


def lease_request(wanted: LeaseInput) -> LeaseRequest:
    """The request in a body."""
    return LeaseRequest(
        team_id=TeamId(wanted.team_id),
        account_id=None if wanted.account_id is None else AccountId(wanted.account_id),
        extension=wanted.extension,
    )


async def lease_extension(call: Call) -> Answer:
    """Lease an extension to a team."""
    wanted, body = await call.json(LeaseInput)
    request = lease_request(wanted)
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        done = await call.services.extensions_admin.lease(request, call.actor, use, _ENCODER.encode)
    return Answer(done.status, done.answer, [REPLAYED]) if isinstance(done, Replay) else Answer(201, done)


async def list_extensions(call: Call) -> Answer:
    """Leased extensions, in order."""
    query = call.query(ExtensionsQuery)
    position, limit = page_of("extensions", query)
    page = await call.services.store.extensions(
        team_id=query.team_id,
        account_id=None if query.account_id is None else AccountId(query.account_id),
        extension=query.extension,
        position=position,
        limit=limit,
    )
    return page_answer("extensions", page.data, page.next_position, path=call.path, query=call.raw_query)


async def release_extension(call: Call) -> Answer:
    """Give an extension back."""
    team_id, extension = call.parameter("team_id"), call.parameter("extension")
    account_id = call.query(ReleaseQuery).account_id
    if not extension.isascii() or not extension.isdigit() or len(extension) > LONGEST:
        raise NotFound("There is no such extension.")
    await call.services.extensions_admin.release(
        team_id, extension, None if account_id is None else AccountId(account_id), call.actor
    )
    return Answer(204, b"")


OPERATIONS: Final = (
    Operation(
        id="leaseExtension",
        method="POST",
        path="/v1/admin/extensions",
        tag="Platform",
        summary="Lease an extension to a team",
        description="Answers to it go to the team. On each account it is one team's alone.",
        scope="admin",
        run=lease_extension,
        body=LeaseInput,
        body_examples={
            "the next free one": {"team_id": "team_019ab3f0c5d27a4e8f1b2c3d4e5f6071"},
            "this very one": {"team_id": "team_019ab3f0c5d27a4e8f1b2c3d4e5f6071", "extension": "1017"},
        },
        creates=True,
        answers=(Respond(status=201, description="Leased.", body=ExtensionView, headers=("Idempotent-Replayed",)),),
        refusals=(AlreadyExists, InUse),
    ),
    Operation(
        id="listExtensions",
        method="GET",
        path="/v1/admin/extensions",
        tag="Platform",
        summary="List leased extensions",
        description="In the order of their digits as text.",
        scope="admin",
        run=list_extensions,
        query=ExtensionsQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[ExtensionView], headers=("Link",)),),
    ),
    Operation(
        id="releaseExtension",
        method="DELETE",
        path="/v1/admin/teams/{team_id}/extensions/{extension}",
        tag="Platform",
        summary="Release an extension of a team",
        description="From then on answers to it go by a shorter extension that its number ends in, or to the last "
        "sender, and others may lease it.",
        scope="admin",
        run=release_extension,
        query=ReleaseQuery,
        answers=(Respond(status=204, description="Released."),),
    ),
)
