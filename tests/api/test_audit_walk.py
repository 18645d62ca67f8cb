"""Everything that an administrator can change leaves an entry in the audit; a new operation is walked by itself."""

import json
from typing import Any

import pytest

from relay.api.operations import Operation
from relay.api.table import OPERATIONS
from tests.api.samples import ACCOUNT, ask

CHANGES = [operation for operation in OPERATIONS if operation.scope == "admin" and operation.method != "GET"]
SECRETS = (ACCOUNT["password"], "rk_live_", "rk_test_", "rk_admin_", "13800130001")


async def _entries(gateway: Any, request_id: str) -> list[dict[str, Any]]:
    exported = (await gateway.admin.get("/v1/admin/audit.jsonl")).text.splitlines()
    return [entry for line in exported if (entry := json.loads(line))["request_id"] == request_id]


@pytest.mark.parametrize("operation", CHANGES, ids=lambda operation: operation.id)
async def test_a_change_is_in_the_audit(gateway: Any, operation: Operation) -> None:
    examples: list[str | None] = list(operation.body_examples) or [None]
    assert operation.body is None or operation.body_examples, f"{operation.id} has no body_examples to walk with"
    for number, example in enumerate(examples):
        answer = await ask(gateway, operation, example, **{"x-request-id": f"walk-{number}"})

        assert answer.is_success, f"{operation.id} {example}: {answer.text}"
        entries = await _entries(gateway, f"walk-{number}")
        assert entries, f"{operation.id} changes something and is not in the audit"
        for entry in entries:
            assert entry["actor"].startswith("key_")
            assert entry["from_address"] == "127.0.0.1"
            hints_apart = json.dumps(entry).replace('"hint": "rk_', "")
            assert not [secret for secret in SECRETS if secret in hints_apart]


async def test_what_was_refused_is_not_in_the_audit(gateway: Any) -> None:
    headers = {"x-request-id": "refused"}
    nothing = f"key_{'0' * 32}"

    for path, body in (
        ("/v1/admin/teams", {"name": "orders"}),
        ("/v1/admin/keys", {"scopes": ["messages:read"]}),
        (f"/v1/admin/keys/{nothing}/revoke", None),
        (f"/v1/admin/keys/{nothing}/rotate", {}),
    ):
        answer = await gateway.admin.post(path, json=body, headers=headers)
        assert answer.is_client_error

    assert await _entries(gateway, "refused") == []
