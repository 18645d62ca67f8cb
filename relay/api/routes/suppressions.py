"""Opt-outs: numbers that get no marketing, for the teams and for the platform team."""

from typing import Final

import msgspec

from relay.api.call import REPLAYED, Call, created, found, location
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.suppression_inputs import (
    OwnSuppressionImportInput,
    OwnSuppressionInput,
    OwnSuppressionQuery,
    SuppressionImportInput,
    SuppressionInput,
    SuppressionQuery,
    number_wanted,
)
from relay.domain.ids import TeamId
from relay.domain.suppressions import ImportedSuppressions, SuppressionView, view_of
from relay.ports import Replay

_ENCODER: Final = msgspec.json.Encoder()


async def list_own(call: Call) -> Answer:
    """Opt-outs of the team, newest first."""
    query = call.query(OwnSuppressionQuery)
    return await _list(call, call.team.id, query)


async def list_all(call: Call) -> Answer:
    """Opt-outs, newest first."""
    query = call.query(SuppressionQuery)
    return await _list(call, query.team_id, query)


async def get_own(call: Call) -> Answer:
    """One opt-out of the team."""
    return await _get(call, call.team.id)


async def get_any(call: Call) -> Answer:
    """One opt-out."""
    return await _get(call, None)


async def add_own(call: Call) -> Answer:
    """The team's marketing does not go there any more."""
    wanted, body = await call.json(OwnSuppressionInput)
    return await _add(call, call.team.id, wanted.number, body)


async def add_any(call: Call) -> Answer:
    """A team's marketing does not go there any more."""
    wanted, body = await call.json(SuppressionInput)
    return await _add(call, TeamId(wanted.team_id), wanted.number, body)


async def import_own(call: Call) -> Answer:
    """The same for many numbers."""
    wanted, body = await call.json(OwnSuppressionImportInput)
    return await _import(call, call.team.id, wanted.numbers, body)


async def import_any(call: Call) -> Answer:
    """The same for many numbers."""
    wanted, body = await call.json(SuppressionImportInput)
    return await _import(call, TeamId(wanted.team_id), wanted.numbers, body)


async def remove_own(call: Call) -> Answer:
    """The number may get the team's marketing again."""
    suppression_id, team_id = call.parameter("suppression_id"), call.team.id
    await call.services.suppressions_admin.remove(suppression_id, call.actor, team_id=team_id)
    return Answer(204, b"")


async def remove_any(call: Call) -> Answer:
    """The number may get the team's marketing again."""
    await call.services.suppressions_admin.remove(call.parameter("suppression_id"), call.actor)
    return Answer(204, b"")


async def _list(call: Call, team_id: str | None, query: OwnSuppressionQuery) -> Answer:
    position, limit = page_of("suppressions", query)
    page = await call.services.store.suppressions(
        team_id=team_id, mobile=number_wanted(query), position=position, limit=limit
    )
    views = [view_of(suppression) for suppression in page.data]
    return page_answer("suppressions", views, page.next_position, path=call.path, query=call.raw_query)


async def _get(call: Call, team_id: TeamId | None) -> Answer:
    suppression = await call.services.store.suppression(call.parameter("suppression_id"))
    shown = suppression is not None and team_id in (None, suppression.team_id)
    return found(view_of(suppression) if suppression is not None and shown else None, "suppression")


async def _add(call: Call, team_id: TeamId, number: str, body: bytes) -> Answer:
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        added = await call.services.suppressions_admin.add(team_id, number, call.actor, use, _ENCODER.encode)
    if isinstance(added, Replay):
        return created(call, added)
    if added.is_new:
        return created(call, added.answer)
    return Answer(200, added.answer, [location(call, added.answer)])


async def _import(call: Call, team_id: TeamId, numbers: list[str], body: bytes) -> Answer:
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        done = await call.services.suppressions_admin.add_all(team_id, numbers, call.actor, use, _ENCODER.encode)
    if isinstance(done, Replay):
        return Answer(done.status, done.answer, [REPLAYED])
    return Answer(200, done)


_ADDED: Final = (
    Respond(status=201, description="Added.", body=SuppressionView, headers=("Location", "Idempotent-Replayed")),
    Respond(status=200, description="It was there; the first one stands.", body=SuppressionView, headers=("Location",)),
)
_IMPORTED: Final = (
    Respond(
        status=200,
        description="What became of the numbers.",
        body=ImportedSuppressions,
        headers=("Idempotent-Replayed",),
    ),
)
_PAGE: Final = (Respond(status=200, description="One page.", body=ListOf[SuppressionView], headers=("Link",)),)
_ONE: Final = (Respond(status=200, description="The opt-out.", body=SuppressionView),)
_REMOVED: Final = (Respond(status=204, description="Removed."),)
_WHAT: Final = (
    "What the team sends as `marketing` does not go to the number any more, and lists it under `refused` as "
    "`suppressed`; other categories do. Numbers that answer with an opt-out word (T, TD, N, R, 退订, 退訂, 拒收, "
    "unless the operator chose others) are added by themselves. An opt-out stays when the number is erased: without it "
    "the next list would reach the number again."
)
_MANY: Final = "All numbers or none are stored; the same call again adds nothing twice."
_TEAM_EXAMPLE: Final = "team_0199a1b2c3d47e8f9a0b1c2d3e4f5a6b"

OPERATIONS: Final = (
    Operation(
        id="listSuppressions",
        method="GET",
        path="/v1/suppressions",
        tag="Messages",
        summary="List numbers that get no marketing, newest first",
        scope="messages:read",
        run=list_own,
        query=OwnSuppressionQuery,
        answers=_PAGE,
    ),
    Operation(
        id="addSuppression",
        method="POST",
        path="/v1/suppressions",
        tag="Messages",
        summary="Send no more marketing to a number",
        description=_WHAT,
        scope="messages:send",
        run=add_own,
        body=OwnSuppressionInput,
        body_examples={"number": {"number": "13800130001"}},
        creates=True,
        answers=_ADDED,
    ),
    Operation(
        id="importSuppressions",
        method="POST",
        path="/v1/suppressions/import",
        tag="Messages",
        summary="Send no more marketing to many numbers",
        description=_MANY,
        scope="messages:send",
        run=import_own,
        body=OwnSuppressionImportInput,
        body_examples={"numbers": {"numbers": ["13800130001", "13800130002"]}},
        creates=True,
        answers=_IMPORTED,
    ),
    Operation(
        id="getSuppression",
        method="GET",
        path="/v1/suppressions/{suppression_id}",
        tag="Messages",
        summary="Look up an opt-out",
        scope="messages:read",
        run=get_own,
        answers=_ONE,
    ),
    Operation(
        id="removeSuppression",
        method="DELETE",
        path="/v1/suppressions/{suppression_id}",
        tag="Messages",
        summary="Send marketing to a number again",
        scope="messages:send",
        run=remove_own,
        answers=_REMOVED,
    ),
    Operation(
        id="listAllSuppressions",
        method="GET",
        path="/v1/admin/suppressions",
        tag="Platform",
        summary="List numbers that get no marketing, newest first",
        scope="admin",
        run=list_all,
        query=SuppressionQuery,
        answers=_PAGE,
    ),
    Operation(
        id="addSuppressionOfTeam",
        method="POST",
        path="/v1/admin/suppressions",
        tag="Platform",
        summary="Send no more marketing of a team to a number",
        description=_WHAT,
        scope="admin",
        run=add_any,
        body=SuppressionInput,
        body_examples={"number": {"team_id": _TEAM_EXAMPLE, "number": "13800130001"}},
        creates=True,
        answers=_ADDED,
    ),
    Operation(
        id="importSuppressionsOfTeam",
        method="POST",
        path="/v1/admin/suppressions/import",
        tag="Platform",
        summary="Send no more marketing of a team to many numbers",
        description=_MANY,
        scope="admin",
        run=import_any,
        body=SuppressionImportInput,
        body_examples={"numbers": {"team_id": _TEAM_EXAMPLE, "numbers": ["13800130001", "13800130002"]}},
        creates=True,
        answers=_IMPORTED,
    ),
    Operation(
        id="getSuppressionOfTeam",
        method="GET",
        path="/v1/admin/suppressions/{suppression_id}",
        tag="Platform",
        summary="Look up an opt-out",
        scope="admin",
        run=get_any,
        answers=_ONE,
    ),
    Operation(
        id="removeSuppressionOfTeam",
        method="DELETE",
        path="/v1/admin/suppressions/{suppression_id}",
        tag="Platform",
        summary="Send marketing of a team to a number again",
        scope="admin",
        run=remove_any,
        answers=_REMOVED,
    ),
)
