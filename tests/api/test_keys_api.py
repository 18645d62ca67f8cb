"""API keys: changed, revoked, rotated; when they were used last."""

import asyncio
from typing import Any

import msgspec
import pytest

from relay.services.authenticate import FRESH_S, Authenticate
from tests.store import builders

KEYS = "/v1/admin/keys"
DAY_S = 86_400


async def _make(gateway: Any, **body: object) -> dict[str, Any]:
    wanted = {"team_id": gateway.team_id, "scopes": ["messages:read", "events:read"]} | body
    made = await gateway.admin.post(KEYS, json=wanted)
    assert made.status_code == 201, made.text
    key: dict[str, Any] = made.json()
    return key


async def _status(gateway: Any, key: dict[str, Any]) -> int:
    return int((await gateway.with_key(key["secret"]).get("/v1/messages")).status_code)


def _shown(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "secret"}


# -- change ----------------------------------------------------------------------------------------------------------


async def test_name_and_expiry_can_be_changed_and_cleared(gateway: Any) -> None:
    key = await _make(gateway, name="first", expires_at="2027-01-01T00:00:00Z")
    path = f"{KEYS}/{key['id']}"

    renamed = await gateway.admin.patch(path, json={"name": "second"})
    merged = await gateway.admin.patch(
        path, content=b'{"expires_at":null,"name":null}', headers={"content-type": "application/merge-patch+json"}
    )

    assert renamed.json() == _shown(key) | {"name": "second"}
    assert merged.json() == _shown(key) | {"name": None, "expires_at": None}
    assert (await gateway.admin.get(path)).json() == merged.json()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"scopes": ["messages:send"]}, "/scopes"),
        ({"mode": "live"}, "/mode"),
        ({"name": ""}, "/name"),
    ],
)
async def test_what_a_key_may_do_cannot_be_changed(gateway: Any, body: dict[str, object], pointer: str) -> None:
    key = await _make(gateway)

    answer = await gateway.admin.patch(f"{KEYS}/{key['id']}", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_shorter_life_counts_at_once(gateway: Any) -> None:
    key = await _make(gateway)
    assert await _status(gateway, key) == 200
    await gateway.admin.patch(f"{KEYS}/{key['id']}", json={"expires_at": "2026-11-18T11:06:41Z"})
    assert await _status(gateway, key) == 200

    gateway.clock.ms += 1000

    assert await _status(gateway, key) == 401
    late = await gateway.admin.patch(f"{KEYS}/{key['id']}", json={"expires_at": None})
    assert (late.status_code, late.json()["code"]) == (409, "already_settled")


# -- revoke ----------------------------------------------------------------------------------------------------------


async def test_a_revoked_key_is_let_in_no_more_and_stays_revoked(gateway: Any) -> None:
    key = await _make(gateway)
    assert await _status(gateway, key) == 200
    path = f"{KEYS}/{key['id']}"

    revoked = await gateway.admin.post(f"{path}/revoke")
    gateway.clock.ms += 1000
    again = await gateway.admin.post(f"{path}/revoke")

    assert await _status(gateway, key) == 401
    assert (revoked.status_code, revoked.json()["revoked_at"]) == (200, "2026-11-18T11:06:40Z")
    assert (again.status_code, again.json()["revoked_at"]) == (200, "2026-11-18T11:06:40Z")
    entries = (await gateway.admin.get("/v1/admin/audit", params={"target": key["id"]})).json()["data"]
    assert [(found["action"], found["detail"]) for found in entries][:-1] == [
        ("key.revoked", {"before": {"revoked_at": None}, "after": {"revoked_at": "2026-11-18T11:06:40Z"}})
    ]
    for late in (gateway.admin.post(f"{path}/rotate", json={}), gateway.admin.patch(path, json={"name": "x"})):
        assert (await late).json()["code"] == "already_settled"


async def test_another_replica_lets_a_revoked_key_in_for_less_than_five_seconds(gateway: Any) -> None:
    key = await _make(gateway)
    other = Authenticate(gateway.store, gateway.clock)
    await other.principal(key["secret"])
    await gateway.admin.post(f"{KEYS}/{key['id']}/revoke")
    await other.principal(key["secret"])

    gateway.clock.ms += int(FRESH_S * 1000) + 1

    assert FRESH_S < 5
    with pytest.raises(Exception, match="known and not expired"):
        await other.principal(key["secret"])


async def test_an_answer_of_the_store_that_is_older_than_a_revocation_is_not_kept(gateway: Any) -> None:
    key = await _make(gateway)
    authenticate = gateway.services.authenticate
    find = gateway.store.find_principal

    async def slow(key_hash: bytes) -> object:
        found = await find(key_hash)
        await gateway.admin.post(f"{KEYS}/{key['id']}/revoke")
        return found

    admin = gateway.admin.headers["authorization"].removeprefix("Bearer ")
    await authenticate.principal(admin)
    gateway.store.find_principal = slow
    await authenticate.principal(key["secret"])
    gateway.store.find_principal = find

    assert await _status(gateway, key) == 401


async def test_who_waits_for_events_with_a_revoked_key_is_sent_away(gateway: Any) -> None:
    key = await _make(gateway)
    looked, look = asyncio.Event(), gateway.store.events

    async def watched(*args: Any, **kwargs: Any) -> object:
        looked.set()
        return await look(*args, **kwargs)

    gateway.store.events = watched
    waiting = asyncio.create_task(gateway.with_key(key["secret"]).get("/v1/events?wait=30"))
    await looked.wait()

    await gateway.admin.post(f"{KEYS}/{key['id']}/revoke")
    gateway.services.poll.events_stored()

    async with asyncio.timeout(10):
        assert (await waiting).status_code == 401


async def test_every_key_can_be_revoked_the_last_platform_key_by_itself_too(gateway: Any) -> None:
    keys = (await gateway.admin.get(KEYS)).json()["data"]
    own = next(key["id"] for key in keys if key["scopes"] == ["admin"])

    assert (await gateway.admin.post(f"{KEYS}/{own}/revoke")).status_code == 200
    assert (await gateway.admin.get(KEYS)).status_code == 401


async def test_revoked_keys_are_listed_only_when_asked_for(gateway: Any) -> None:
    key = await _make(gateway)
    before = (await gateway.admin.get(KEYS)).json()["data"]
    await gateway.admin.post(f"{KEYS}/{key['id']}/revoke")

    for team in ({}, {"team_id": gateway.team_id}):
        live = (await gateway.admin.get(KEYS, params=team)).json()["data"]
        every = (await gateway.admin.get(KEYS, params=team | {"include_revoked": "true"})).json()["data"]
        assert key["id"] not in {found["id"] for found in live}
        assert key["id"] in {found["id"] for found in every}
    assert len(before) == len(every) + 1
    assert (await gateway.admin.get(KEYS, params={"include_revoked": "1"})).status_code == 422


# -- rotate ----------------------------------------------------------------------------------------------------------


async def test_a_rotated_key_goes_on_for_the_overlap_and_the_new_one_may_do_the_same(gateway: Any) -> None:
    key = await _make(gateway, name="shop", mode="test")

    rotated = await gateway.admin.post(f"{KEYS}/{key['id']}/rotate", json={"overlap_s": 3600})

    new = rotated.json()
    assert rotated.status_code == 201
    assert rotated.headers["location"] == f"{KEYS}/{new['id']}"
    same = ("team_id", "scopes", "mode", "name", "expires_at")
    assert {name: new[name] for name in same} == {name: key[name] for name in same}
    assert (new["replaces"], new["replaced_expires_at"]) == (key["id"], "2026-11-18T12:06:40Z")
    assert new["secret"] not in (key["secret"], (await gateway.admin.get(rotated.headers["location"])).text)
    gateway.clock.ms += 3600 * 1000 - 1
    assert [await _status(gateway, each) for each in (key, new)] == [200, 200]
    gateway.clock.ms += 1
    assert [await _status(gateway, each) for each in (key, new)] == [401, 200]


async def test_without_a_word_the_overlap_is_a_day_and_it_can_be_none(gateway: Any) -> None:
    key, other = await _make(gateway), await _make(gateway)

    usual = await gateway.admin.post(f"{KEYS}/{key['id']}/rotate", json={})
    none = await gateway.admin.post(f"{KEYS}/{other['id']}/rotate", json={"overlap_s": 0})

    assert usual.json()["replaced_expires_at"] == "2026-11-19T11:06:40Z"
    assert [await _status(gateway, each) for each in (key, other, none.json())] == [200, 401, 200]
    for overlap_s in (-1, 30 * DAY_S + 1):
        answer = await gateway.admin.post(f"{KEYS}/{key['id']}/rotate", json={"overlap_s": overlap_s})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/overlap_s")


async def test_a_key_never_lives_longer_for_being_rotated(gateway: Any) -> None:
    key = await _make(gateway, expires_at="2026-11-18T12:06:40Z")
    gateway.clock.ms += 60_000

    usual = (await gateway.admin.post(f"{KEYS}/{key['id']}/rotate", json={})).json()
    said = (await gateway.admin.post(f"{KEYS}/{key['id']}/rotate", json={"expires_at": None})).json()

    assert usual["replaced_expires_at"] == key["expires_at"]
    assert usual["expires_at"] == "2026-11-18T12:07:40Z"
    assert said["expires_at"] is None


async def test_a_key_that_lives_as_long_as_can_be_written_is_rotated_all_the_same(gateway: Any) -> None:
    key = await _make(gateway, expires_at="9999-12-31T23:59:59Z")
    gateway.clock.ms += 60_000

    rotated = await gateway.admin.post(f"{KEYS}/{key['id']}/rotate", json={})

    assert (rotated.status_code, rotated.json()["expires_at"]) == (201, "9999-12-31T23:59:59.999000Z")


async def test_a_repeated_rotation_shows_the_same_secret_also_when_the_old_key_is_over(gateway: Any) -> None:
    key = await _make(gateway)
    path, headers = f"{KEYS}/{key['id']}/rotate", {"idempotency-key": "once"}

    first = await gateway.admin.post(path, json={"overlap_s": 0}, headers=headers)
    again = await gateway.admin.post(path, json={"overlap_s": 0}, headers=headers)
    other = await gateway.admin.post(path, json={"overlap_s": 1}, headers=headers)

    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")
    assert again.headers["location"] == first.headers["location"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_change_by_somebody_else_in_between_is_not_lost(gateway: Any) -> None:
    key = await _make(gateway)
    find = gateway.store.key

    async def overtaken(key_id: str) -> object:
        view = await find(key_id)
        gateway.store.key = find
        await gateway.admin.patch(f"{KEYS}/{key_id}", json={"name": "meanwhile"})
        return view

    gateway.store.key = overtaken
    rotated = await gateway.admin.post(f"{KEYS}/{key['id']}/rotate", json={})

    assert rotated.json()["name"] == "meanwhile"


# -- last use --------------------------------------------------------------------------------------------------------


async def test_the_last_use_is_seen_at_once_here_and_by_others_once_it_is_stored(gateway: Any) -> None:
    key = await _make(gateway)
    path = f"{KEYS}/{key['id']}"
    assert (await gateway.admin.get(path)).json()["last_used_at"] is None

    gateway.clock.ms += 1500
    await _status(gateway, key)
    gateway.clock.ms += 10_000

    seen = "2026-11-18T11:06:41.500000Z"
    assert (await gateway.admin.get(path)).json()["last_used_at"] == seen
    assert (
        next(each for each in (await gateway.admin.get(KEYS)).json()["data"] if each["id"] == key["id"])["last_used_at"]
        == seen
    )
    assert (await gateway.store.key(key["id"])).last_used_at is None
    await gateway.services.authenticate.note_uses()
    assert (await gateway.store.key(key["id"])).last_used_at.isoformat() == "2026-11-18T11:06:41.500000+00:00"


async def test_who_is_turned_away_has_not_used_the_key(gateway: Any) -> None:
    key = await _make(gateway)
    await gateway.admin.post(f"{KEYS}/{key['id']}/revoke")

    await _status(gateway, key)

    assert (await gateway.admin.get(f"{KEYS}/{key['id']}")).json()["last_used_at"] is None


def test_the_view_of_a_key_holds_no_secret(gateway: Any) -> None:
    fields = msgspec.structs.fields(builders.key(None, "s").view.__class__)

    assert {"secret", "hash"} & {field.name for field in fields} == set()
