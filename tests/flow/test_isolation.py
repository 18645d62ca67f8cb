"""Two teams: nothing of the one is seen, changed or inferred by the other, on any route that there is."""

import re
from typing import Any, Final

import httpx
import pytest

from relay.api.operations import Operation
from relay.api.table import OPERATIONS
from tests.flow.hooks import Reply
from tests.flow.world import World, until

MOBILE: Final = "13800131234"
REFERENCE: Final = "order of the first team"
EXTENSION: Final = "101"
SAMPLES: Final[dict[str, tuple[str, str]]] = {
    "message_id": ("msg_", "SELECT id FROM messages"),
    "inbound_id": ("in_", "SELECT id FROM inbound"),
    "event_id": ("evt_", "SELECT id FROM events"),
    "endpoint_id": ("ep_", "SELECT id FROM endpoints"),
    "delivery_id": ("dlv_", "SELECT id FROM deliveries UNION ALL SELECT id FROM delivery_history"),
    "suppression_id": ("sup_", "SELECT id FROM suppressions"),
    "account_id": ("acct_", "SELECT id FROM accounts"),
    "team_id": ("team_", "SELECT id FROM teams WHERE name = 'orders'"),
    "key_id": ("key_", "SELECT id FROM api_keys"),
}
"""How to find what the first team has of each kind of path parameter; a new kind must have a line here."""
WORDS: Final[dict[str, list[str]]] = {
    "to": [MOBILE],
    "number": [MOBILE],
    "reference": [REFERENCE],
    "extension": [EXTENSION],
}
"""Values of filters that are no ids."""
SHARED: Final = frozenset({"getBalance"})
"""Lists that are not empty for a new team: balances are of accounts, which teams share."""
NOT_OF_A_TEAM: Final = frozenset(
    {"accounts", "alembic_version", "audit", "balances", "balance_samples", "callback_tokens", "duties", "idempotency"}
    | {"replicas", "sqlite_sequence"}
)

TEAM_OPERATIONS: Final = [operation for operation in OPERATIONS if operation.scope not in (None, "admin")]
BY_ID: Final = [operation for operation in TEAM_OPERATIONS if "{" in operation.path]
LISTS: Final = [operation for operation in TEAM_OPERATIONS if operation.method == "GET" and "{" not in operation.path]
ADMIN: Final = [operation for operation in OPERATIONS if operation.scope == "admin"]


def parameters(operation: Operation) -> list[str]:
    """The names of its path parameters."""
    return re.findall(r"{(\w+)}", operation.path)


async def live_through_everything(world: World) -> dict[str, list[str]]:
    """One of everything that a team can own; the ids by parameter. Then nothing goes on by itself any more."""
    await world.add_endpoint("/hook")
    await world.add_endpoint("/failing", event_types=["message.submitted"])
    world.hooks.script("/failing", Reply(status=500))
    message = await world.send(MOBILE, reference=REFERENCE, extension=EXTENSION, key="key-of-the-first")
    await world.message_when(message["id"], "delivered")
    await world.answer_back(MOBILE, "TD", EXTENSION)
    await world.hooks_when("/hook", 3)
    await until(lambda: len(world.rows("SELECT 1 FROM attempts")) == 4)
    await world.gateway._supervisor.stop()
    found = {
        name: [prefix + row[0].hex() for row in world.rows(sql)]  # what a person with the file sees
        for name, (prefix, sql) in SAMPLES.items()
    }
    assert all(found.values())
    return found


def all_rows(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is stored of teams."""
    names = [name for (name,) in world.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    kept = sorted(set(names) - NOT_OF_A_TEAM)
    return {name: world.rows(f"SELECT * FROM {name}") for name in kept}  # noqa: S608 - the database's own names


def paths(operation: Operation, ids: dict[str, list[str]]) -> list[str]:
    """The operation on each thing of the first team."""
    found = [operation.path]
    for name in parameters(operation):
        found = [path.replace(f"{{{name}}}", value) for path in found for value in ids[name]]
    return found


def nowhere(operation: Operation) -> str:
    """The operation on what does not exist."""
    return re.sub(r"{(\w+)}", lambda name: SAMPLES[name[1]][0] + "0" * 31 + "1", operation.path)


async def ask(client: httpx.AsyncClient, operation: Operation, path: str) -> httpx.Response:
    """The call that the document gives as an example."""
    body: Any = next(iter(operation.body_examples.values()), None)
    return await client.request(operation.method, path, json=body)


def told(answer: httpx.Response) -> tuple[int, dict[str, Any], list[str]]:
    """All that an answer tells, but for the path and the id of the request itself."""
    body = answer.json()
    return answer.status_code, body | {"instance": "", "request_id": ""}, sorted(answer.headers)


async def test_what_another_team_has_is_answered_as_what_does_not_exist(world: World) -> None:
    ids = await live_through_everything(world)
    _, stranger = await world.add_team("strangers")
    before = all_rows(world)

    for operation in BY_ID:
        missing = told(await ask(stranger, operation, nowhere(operation)))
        assert missing[0] == 404, operation.id
        for path in paths(operation, ids):
            assert told(await ask(stranger, operation, path)) == missing, (operation.id, path)

    assert all_rows(world) == before
    # They are there, and the routes work: for the team itself.
    for operation in sorted(BY_ID, key=lambda operation: operation.method == "DELETE"):
        for path in paths(operation, ids):
            answer = await ask(world.api, operation, path)
            assert answer.status_code in ({200} if operation.method == "GET" else {200, 201, 202, 204, 409, 422}), path


async def test_every_kind_of_thing_that_a_path_can_name_is_walked() -> None:
    assert {name for operation in BY_ID for name in parameters(operation)} <= set(SAMPLES)


async def test_lists_and_their_filters_find_nothing_of_another_team(world: World) -> None:
    ids = await live_through_everything(world)
    _, stranger = await world.add_team("strangers")
    values = {**ids, **WORDS}

    for operation in LISTS:
        fields = operation.query.__struct_fields__
        assert {name for name in fields if name.endswith("_id")} <= set(ids), operation.id
        filters = [{name: value} for name in fields for value in values.get(name, ())]
        for query in [{}, *filters]:
            answer = await stranger.get(operation.path, params=query)
            assert answer.status_code == 200, (operation.id, query)
            if operation.id not in SHARED:
                assert answer.json()["data"] == [], (operation.id, query)
            assert (await world.api.get(operation.path, params=query)).json()["data"] != [], (operation.id, query)


async def test_a_cursor_of_one_team_shows_another_nothing_of_it(world: World) -> None:
    await live_through_everything(world)
    await world.send("13800131235")
    await world.answer_back(MOBILE, "again", EXTENSION)
    _, stranger = await world.add_team("strangers")
    await stranger.post("/v1/messages", json={"to": "13800131236", "text": "hello"})

    tried = 0
    for operation in [operation for operation in LISTS if "cursor" in operation.query.__struct_fields__]:
        cursor = (await world.api.get(operation.path, params={"limit": 1})).json()["next_cursor"]
        if cursor is not None:
            tried += 1
            answer = await stranger.get(operation.path, params={"cursor": cursor})
            theirs = {row["id"] async for row in world.pages(operation.path)}
            assert theirs.isdisjoint(row["id"] for row in answer.json()["data"]), operation.id
    assert tried >= 5


@pytest.mark.parametrize("who", ["nobody", "a team"])
async def test_what_is_the_platforms_is_refused_alike_whether_or_not_it_exists(world: World, who: str) -> None:
    ids = await live_through_everything(world)
    client = world.api if who == "a team" else world.keep(world.client(""))
    before = all_rows(world)

    for operation in ADMIN:
        refused = told(await ask(client, operation, re.sub(r"{(\w+)}", "none", operation.path)))
        assert refused[0] == (403 if who == "a team" else 401), operation.id
        known = {name: ids.get(name, [EXTENSION]) for name in parameters(operation)}
        for path in paths(operation, known):
            assert told(await ask(client, operation, path)) == refused, (operation.id, path)

    assert all_rows(world) == before


async def test_a_platform_key_is_no_key_of_a_team(world: World) -> None:
    ids = await live_through_everything(world)

    for operation in TEAM_OPERATIONS:
        for path in paths(operation, ids):
            assert (await ask(world.admin, operation, path)).status_code == 403, (operation.id, path)


async def test_an_idempotency_key_and_a_reference_are_each_teams_own(world: World) -> None:
    await live_through_everything(world)
    _, stranger = await world.add_team("strangers")

    body = {"to": MOBILE, "text": "您的验证码是 482913", "reference": REFERENCE}
    answer = await stranger.post("/v1/messages", json=body, headers={"idempotency-key": "key-of-the-first"})

    assert (answer.status_code, "idempotent-replayed" in answer.headers) == (202, False)
    listed = (await stranger.get("/v1/messages", params={"reference": REFERENCE})).json()["data"]
    assert [message["id"] for message in listed] == [answer.json()["id"]]


@pytest.mark.parametrize("extension", [EXTENSION, f"7{EXTENSION}"])
async def test_the_extension_of_another_team_is_refused_without_a_word_of_whose_it_is(
    world: World, extension: str
) -> None:
    _, stranger = await world.add_team("strangers")

    answer = await stranger.post("/v1/messages", json={"to": MOBILE, "text": "hello", "extension": extension})

    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, ["/extension"])
    assert [word for word in (world.team["id"], world.team["name"], EXTENSION) if word in answer.text] == []
