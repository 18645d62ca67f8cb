"""API keys, for the platform team."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.call import Call, created, done, found
from relay.api.exchange import Answer
from relay.api.inputs import END
from relay.api.key_inputs import (
    KeyCreated,
    KeyInput,
    KeyPatchInput,
    KeyRotated,
    KeyRotationInput,
    key_change,
    key_request,
    key_rotation,
)
from relay.api.lists import ListOf, page_answer, page_of
from relay.api.operations import Operation, Respond
from relay.api.queries import PageQuery
from relay.domain.errors import AlreadySettled, NotFound
from relay.domain.keys import KEY_PATTERN, KeyView

_ENCODER: Final = msgspec.json.Encoder()


class KeysQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys."""

    team_id: Annotated[str, Meta(pattern=rf"^team_[0-9a-f]{{32}}{END}")] | None = None
    include_revoked: Annotated[bool, Meta(description="`true`: those that were revoked, too.")] = False


def _render(view: KeyView, secret: str) -> bytes:
    return _ENCODER.encode(KeyCreated(**msgspec.structs.asdict(view), secret=secret))


def _render_rotated(view: KeyView, secret: str, old: KeyView) -> bytes:
    assert old.expires_at is not None  # noqa: S101 - it has just got an end
    rotated = KeyRotated(
        **msgspec.structs.asdict(view), secret=secret, replaces=old.id, replaced_expires_at=old.expires_at
    )
    return _ENCODER.encode(rotated)


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
    page = await call.services.store.keys(
        team_id=query.team_id, position=position, limit=limit, include_revoked=query.include_revoked
    )
    views = [call.services.authenticate.with_last_use(view) for view in page.data]
    return page_answer("keys", views, page.next_position, path=call.path, query=call.raw_query)


async def get_key(call: Call) -> Answer:
    """One key, without its secret."""
    view = await call.services.store.key(call.parameter("key_id"))
    return found(None if view is None else call.services.authenticate.with_last_use(view), "key")


async def change_key(call: Call) -> Answer:
    """Change name or expiry."""
    wanted, _ = await call.json(KeyPatchInput)
    change = key_change(wanted, call.services.clock.now_ms())
    view = await call.services.keys_admin.change_key(call.parameter("key_id"), change, call.actor)
    return found(call.services.authenticate.with_last_use(view), "key")


async def revoke_key(call: Call) -> Answer:
    """End a key."""
    use = call.key_use(b"")
    with call.services.in_flight.enter(use):
        return done(
            await call.services.keys_admin.revoke_key(call.parameter("key_id"), call.actor, use, _ENCODER.encode)
        )


async def rotate_key(call: Call) -> Answer:
    """Make a new key in place of an old one."""
    wanted, body = await call.json(KeyRotationInput)
    rotation = key_rotation(wanted, call.services.clock.now_ms())
    use = call.key_use(body)
    with call.services.in_flight.enter(use):
        made = await call.services.keys_admin.rotate_key(
            call.parameter("key_id"), rotation, call.actor, use, _render_rotated
        )
        return created(call, made, under="/v1/admin/keys")


OPERATIONS: Final = (
    Operation(
        id="createKey",
        method="POST",
        path="/v1/admin/keys",
        tag="Platform",
        summary="Make an API key",
        description="`secret` is shown this once and stored as a hash. It reads `rk_live_`, `rk_test_` or `rk_admin_` "
        f"and 49 letters and digits, so that scanners find one that leaked: `{KEY_PATTERN}`; the last six are a "
        "CRC-32, in base 62 (0-9, A-Z, a-z), of all before them. `relay keys check` tells which key it is. What a key "
        "with mode `test` sends goes to the sandbox account, whatever accounts its team has; without a sandbox it is "
        "refused.",
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
    Operation(
        id="changeKey",
        method="PATCH",
        path="/v1/admin/keys/{key_id}",
        tag="Platform",
        summary="Change the name or the expiry of an API key",
        description="What it may do, its team and its mode are fixed. A key that was revoked or has expired stays so.",
        scope="admin",
        run=change_key,
        body=KeyPatchInput,
        body_examples={"name": {"name": "deployment"}, "expiry": {"expires_at": "2035-01-31T00:00:00Z"}},
        answers=(Respond(status=200, description="The key.", body=KeyView),),
        refusals=(AlreadySettled,),
    ),
    Operation(
        id="revokeKey",
        method="POST",
        path="/v1/admin/keys/{key_id}/revoke",
        tag="Platform",
        summary="Revoke an API key",
        description="It works no more: on this replica at once, on every other within 5 seconds, also for whoever "
        "waits for events with it. It stays in the list. To do it again changes nothing. Every key can be revoked, "
        "the last platform key too: `relay keys create --scope admin` makes a new one.",
        scope="admin",
        run=revoke_key,
        creates=True,
        answers=(Respond(status=200, description="Revoked.", body=KeyView, headers=("Idempotent-Replayed",)),),
    ),
    Operation(
        id="rotateKey",
        method="POST",
        path="/v1/admin/keys/{key_id}/rotate",
        tag="Platform",
        summary="Replace an API key by a new one",
        description="The new key has the same team, scopes, mode and name; its `secret` is shown this once. The old "
        "one goes on for `overlap_s`, and never longer than it would have.",
        scope="admin",
        run=rotate_key,
        body=KeyRotationInput,
        body_examples={"a day": {}, "an hour": {"overlap_s": 3600}},
        creates=True,
        answers=(
            Respond(
                status=201, description="The new key.", body=KeyRotated, headers=("Location", "Idempotent-Replayed")
            ),
        ),
        refusals=(AlreadySettled,),
    ),
)
