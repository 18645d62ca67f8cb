"""Teams, for the platform team."""

from typing import Final

import msgspec

from relay.api.call import Call, created, found
from relay.api.exchange import Answer
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.api.team_inputs import TeamInput, TeamPatchInput, team_patch, team_request
from relay.domain.errors import AlreadyExists, InUse
from relay.domain.quotas import TeamUsage
from relay.domain.teams import TeamView, view_of

_ENCODER: Final = msgspec.json.Encoder()


async def create_team(call: Call) -> Answer:
    """Add a team."""
    wanted, body = await call.json(TeamInput)
    request = team_request(wanted)
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        return created(call, await call.services.teams_admin.create_team(request, call.actor, use, _ENCODER.encode))


async def list_teams(call: Call) -> Answer:
    """Teams, newest first."""
    position, limit = page_of("teams", call.query(PageQuery))
    page = await call.services.store.teams(position=position, limit=limit)
    views = [view_of(team) for team in page.data]
    return page_answer("teams", views, page.next_position, path=call.path, query=call.raw_query)


async def get_team(call: Call) -> Answer:
    """One team."""
    team = await call.services.store.team(call.parameter("team_id"))
    return found(None if team is None else view_of(team), "team", 0 if team is None else team.version)


async def update_team(call: Call) -> Answer:
    """Change a team."""
    wanted, _ = await call.json(TeamPatchInput)
    patch = team_patch(wanted)
    view, version = await call.services.teams_admin.update_team(
        call.parameter("team_id"), patch, call.if_match, call.actor
    )
    return found(view, "team", version)


async def delete_team(call: Call) -> Answer:
    """Delete a team with its keys, extensions and endpoints."""
    await call.services.teams_admin.delete_team(call.parameter("team_id"), call.if_match, call.actor)
    return Answer(204, b"")


async def get_usage(call: Call) -> Answer:
    """What a team used of its quota today."""
    return found(await call.services.teams_admin.usage(call.parameter("team_id")), "team")


OPERATIONS: Final = (
    Operation(
        id="createTeam",
        method="POST",
        path="/v1/admin/teams",
        tag="Platform",
        summary="Add a team",
        scope="admin",
        run=create_team,
        body=TeamInput,
        body_examples={
            "plain": {"name": "orders"},
            "limited": {
                "name": "orders",
                "signature": "【示例】",
                "extensions": ["101"],
                "quota_units_per_day": 100000,
                "requests_per_s": 50,
                "recipient_limits": {"otp": {"per_minute": 1, "per_day": 10}},
            },
        },
        creates=True,
        answers=(
            Respond(status=201, description="Created.", body=TeamView, headers=("Location", "Idempotent-Replayed")),
        ),
        refusals=(AlreadyExists,),
    ),
    Operation(
        id="listTeams",
        method="GET",
        path="/v1/admin/teams",
        tag="Platform",
        summary="List teams, newest first",
        scope="admin",
        run=list_teams,
        query=PageQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[TeamView], headers=("Link",)),),
    ),
    Operation(
        id="getTeam",
        method="GET",
        path="/v1/admin/teams/{team_id}",
        tag="Platform",
        summary="Look up a team",
        scope="admin",
        run=get_team,
        answers=(Respond(status=200, description="The team.", body=TeamView, headers=("ETag",)),),
    ),
    Operation(
        id="updateTeam",
        method="PATCH",
        path="/v1/admin/teams/{team_id}",
        tag="Platform",
        summary="Change a team",
        description="Effective on every replica within 5 seconds. Extensions that the list does not name are released; "
        "when the accounts change, what is leased goes along. A quota counts what was accepted earlier that day.",
        scope="admin",
        run=update_team,
        body=TeamPatchInput,
        body_examples={
            "quota": {"quota_units_per_day": 200000},
            "without a signature": {"signature": None},
            "limits": {"recipient_limits": {"otp": {"per_hour": 3}, "marketing": None}},
        },
        versioned=True,
        answers=(Respond(status=200, description="As it is now.", body=TeamView, headers=("ETag",)),),
        refusals=(AlreadyExists,),
    ),
    Operation(
        id="deleteTeam",
        method="DELETE",
        path="/v1/admin/teams/{team_id}",
        tag="Platform",
        summary="Delete a team",
        description="Refused while any of its messages is not final. Its keys are revoked, its extensions released, "
        "its webhook endpoints deleted; its name is free again. Its messages stay for as long as those of others.",
        scope="admin",
        run=delete_team,
        versioned=True,
        answers=(Respond(status=204, description="Deleted."),),
        refusals=(InUse,),
    ),
    Operation(
        id="getTeamUsage",
        method="GET",
        path="/v1/admin/teams/{team_id}/usage",
        tag="Platform",
        summary="What a team used of its quota today",
        scope="admin",
        run=get_usage,
        answers=(Respond(status=200, description="Today's use.", body=TeamUsage),),
    ),
)
