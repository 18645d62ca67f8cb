"""API keys, for the platform team."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.call import Call, created, found
from relay.api.exchange import Answer
from relay.api.inputs import END
from relay.api.key_inputs import KeyCreated, KeyInput, key_request
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.errors import NotFound
from relay.domain.teams import KeyView

_ENCODER: Final = msgspec.json.Encoder()


class KeysQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys."""

    team_id: Annotated[str, Meta(pattern=rf"^team_[0-9a-f]{{32}}{END}")] | None = None


def _render(view: KeyView, secret: str) -> bytes:
    return _ENCODER.encode(KeyCreated(**msgspec.structs.asdict(view), secret=secret))


async def create_key(call: Call) -> Answer:
    """Make a key; its secret is shown this once."""
    wanted, body = await call.json(KeyInput)
    request = key_request(wanted, call.services.clock.now_ms())
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        return created(call, await call.services.keys_admin.create_key(request, call.actor, use, _render))


async def list_keys(call: Call) -> Answer:
    """Keys, newest first."""
    query = call.query(KeysQuery)
    position, limit = page_of("keys", query)
    page = await call.services.store.keys(team_id=query.team_id, position=position, limit=limit)
    return page_answer("keys", page.data, page.next_position, path=call.path, query=call.raw_query)


async def get_key(call: Call) -> Answer:
    """One key, without its secret."""
    return found(await call.services.store.key(call.parameter("key_id")), "key")


OPERATIONS: Final = (
    Operation(
        id="createKey",
        method="POST",
        path="/v1/admin/keys",
        tag="Platform",
        summary="Make an API key",
        description="`secret` is shown this once and stored as a hash.",
        scope="admin",
        run=create_key,
        body=KeyInput,
        body_examples={
            "team": {
                "team_id": "team_0193a1b2c3d47e8f9a0b1c2d3e4f5a6b",
                "scopes": ["messages:send", "messages:read"],
                "mode": "test",
            },
            "platform": {"scopes": ["admin"], "name": "deployment"},
        },
        creates=True,
        answers=(
            Respond(status=201, description="Created.", body=KeyCreated, headers=("Location", "Idempotent-Replayed")),
        ),
        refusals=(NotFound,),
    ),
    Operation(
        id="listKeys",
        method="GET",
        path="/v1/admin/keys",
        tag="Platform",
        summary="List API keys, newest first",
        scope="admin",
        run=list_keys,
        query=KeysQuery,
        answers=(Respond(status=200, description="One page.", body=ListOf[KeyView], headers=("Link",)),),
    ),
    Operation(
        id="getKey",
        method="GET",
        path="/v1/admin/keys/{key_id}",
        tag="Platform",
        summary="Look up an API key",
        scope="admin",
        run=get_key,
        answers=(Respond(status=200, description="The key, without its secret.", body=KeyView),),
    ),
)
