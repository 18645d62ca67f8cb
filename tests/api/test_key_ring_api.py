"""What the platform team sees of the key ring."""

from typing import Any


async def test_the_key_ring_is_shown_by_ids_and_counts_alone(gateway: Any) -> None:
    await gateway.services.store.admit_key_ring()

    answer = await gateway.admin.get("/v1/admin/keyring")

    assert answer.status_code == 200
    body = answer.json()
    (key,) = body["keys"]
    assert (body["active"], body["stale_values"], body["gateways"]) == ("k1", 0, [])
    assert (key["id"], key["active"], key["present"]) == ("k1", True, True)
    assert key["values"] == {"accounts": 1}
    assert key["created_at"] == key["activated_at"]
