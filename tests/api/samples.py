"""A request to any operation: ids of things that there are in its path, and one of its own examples as its body."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from relay.api.operations import Operation
from relay.domain.ids import AccountId, RawId
from tests.store import builders

Gateway = Any
"""``conftest.Gateway``, which no test imports."""

ACCOUNT: Final = {"base_url": "https://sms.example.com", "account": "main", "password": "top-secret-9"}


async def _made(gateway: Gateway, path: str, body: dict[str, object], *, team: bool = False) -> str:
    answer = await (gateway.client if team else gateway.admin).post(path, json=body)
    assert answer.status_code in (201, 202), answer.text
    return str(answer.json()["id"])


async def _account(gateway: Gateway) -> str:
    return await _made(gateway, "/v1/admin/accounts", ACCOUNT | {"name": gateway.entropy.new_id("account ")})


async def _team(gateway: Gateway) -> str:
    return await _made(gateway, "/v1/admin/teams", {"name": gateway.entropy.new_id("team "), "signature": "【示例】"})


async def _key(gateway: Gateway) -> str:
    return await _made(gateway, "/v1/admin/keys", {"team_id": gateway.team_id, "scopes": ["messages:read"]})


async def _endpoint(gateway: Gateway) -> str:
    return await _made(gateway, "/v1/webhook-endpoints", {"url": "https://hooks.example.com/"}, team=True)


async def _message(gateway: Gateway) -> str:
    return await _made(gateway, "/v1/messages", {"to": "13800130001", "text": "hello"}, team=True)


async def _orphan(gateway: Gateway) -> str:
    account_id = AccountId(await _account(gateway))
    number = int(gateway.entropy.new_id("")[-3:], 16)
    row = builders.inbound(13_800_131_000 + number, raw_time=None)
    await gateway.store.receive_inbound(
        account_id, gateway.entropy.new_id("raw_"), builders.raw_body("mo"), builders.reading([row])
    )
    page = await gateway.store.orphans(kind=None, account_id=account_id, status="open", position=None, limit=1)
    return str(page.data[0].id)


async def _set_aside(gateway: Gateway) -> str:
    raw_id = RawId(gateway.entropy.new_id("raw_"))
    await gateway.store.quarantine(
        AccountId(await _account(gateway)), raw_id, builders.raw_body(body=b"\xff"), "it broke our code: KeyError"
    )
    return raw_id


async def _suppression(gateway: Gateway) -> str:
    number = f"1380013{int(gateway.entropy.new_id('')[-3:], 16):04}"
    return await _made(gateway, "/v1/suppressions", {"number": number}, team=True)


async def _leased(gateway: Gateway) -> str:
    team_id = await _team(gateway)
    extension = str(1000 + int(gateway.entropy.new_id("")[-3:], 16))
    answer = await gateway.admin.post("/v1/admin/extensions", json={"team_id": team_id, "extension": extension})
    assert answer.status_code == 201, answer.text
    return f"/v1/admin/teams/{team_id}/extensions/{extension}"


async def _disabled(gateway: Gateway) -> str:
    account_id = await _account(gateway)
    assert (await gateway.admin.post(f"/v1/admin/accounts/{account_id}/disable")).status_code == 200
    return f"/v1/admin/accounts/{account_id}/enable"


async def _callback_token(gateway: Gateway) -> str:
    path = f"/v1/admin/accounts/{await _account(gateway)}/callback-tokens"
    (token,) = (await gateway.admin.get(path)).json()["data"]
    return f"{path}/{token['id']}"


SAMPLES: Final[dict[str, Callable[[Gateway], Awaitable[str]]]] = {
    "account_id": _account,
    "endpoint_id": _endpoint,
    "key_id": _key,
    "message_id": _message,
    "orphan_id": _orphan,
    "raw_id": _set_aside,
    "suppression_id": _suppression,
    "team_id": _team,
}
"""Makes a thing of each kind that a path may name."""

PATHS: Final[dict[str, Callable[[Gateway], Awaitable[str]]]] = {
    "enableAccount": _disabled,
    "releaseExtension": _leased,
    "revokeAccountCallbackToken": _callback_token,
}
"""The whole path, by operation id, where its parameters belong together or the thing must be in some state."""


async def path_of(gateway: Gateway, operation: Operation) -> str:
    """A path of the operation, with ids of things that there are."""
    if operation.id in PATHS:
        return await PATHS[operation.id](gateway)
    parts = []
    for part in operation.path.split("/"):
        name = part.strip("{}")
        if part != name:
            assert name in SAMPLES, f"tests/api/samples.py: say in SAMPLES how a {name} is made"
            part = await SAMPLES[name](gateway)
        parts.append(part)
    return "/".join(parts)


async def ask(gateway: Gateway, operation: Operation, example: str | None, **headers: str) -> httpx.Response:
    """The answer to the example of that name, or to no body."""
    client = gateway.admin if operation.scope == "admin" else gateway.client
    path = await path_of(gateway, operation)
    body = None if example is None else dict(operation.body_examples[example])
    for name in ("team_id", "account_id"):
        if body is not None and isinstance(body.get(name), str):
            body[name] = gateway.team_id if name == "team_id" else await _account(gateway)
    if body is not None and operation.path.startswith("/v1/admin/") and "name" in body:
        body["name"] = f"{body['name']} {gateway.entropy.new_id('')}"
    answer: httpx.Response = await client.request(operation.method, path, json=body, headers=headers)
    return answer
