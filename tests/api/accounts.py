"""What the tests of accounts share."""

from typing import Any, Final

ACCOUNT: Final = {"name": "main", "base_url": "https://sms.example.com", "account": "main", "password": "top-secret-9"}


async def made(gateway: Any, **more: Any) -> tuple[str, dict[str, Any]]:
    """Path and body of a new account."""
    answer = await gateway.admin.post("/v1/admin/accounts", json=ACCOUNT | more)
    assert answer.status_code == 201, answer.text
    assert answer.headers["etag"] == '"1"'
    return answer.headers["location"], answer.json()


async def audited(gateway: Any, action: str) -> list[dict[str, Any]]:
    """Details of what was audited, newest first."""
    entries = (await gateway.admin.get("/v1/admin/audit?limit=200")).json()["data"]
    return [entry["detail"] for entry in entries if entry["action"] == action]
