import json
import time

import httpx
import pytest

from relay.cli.subscriber import Subscriber, Webhook
from relay.domain.endpoints import write_secret
from relay.webhooks.signing import Signer

SECRET = write_secret(b"0" * 32)
PAYLOAD = {"type": "message.delivered", "data": {}}


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    now_s = int(time.time())
    signature = Signer().sign([secret], "evt_1", now_s, body)
    return {"webhook-id": "evt_1", "webhook-timestamp": str(now_s), "webhook-signature": signature}


async def test_a_signed_webhook_is_heard_and_answered() -> None:
    heard: list[Webhook] = []
    body = json.dumps(PAYLOAD).encode()
    async with Subscriber(heard.append) as subscriber, httpx.AsyncClient(trust_env=False) as client:
        subscriber.secret = SECRET
        statuses = [(await client.post(subscriber.url, content=body, headers=signed(body))).status_code for _ in "ab"]

    assert statuses == [200, 200]
    assert heard == [Webhook(webhook_id="evt_1", verified=True, payload=PAYLOAD)] * 2


@pytest.mark.parametrize("secret", [None, write_secret(b"1" * 32)])
async def test_a_webhook_with_another_secret_is_refused(secret: str | None) -> None:
    heard: list[Webhook] = []
    body = json.dumps(PAYLOAD).encode()
    async with Subscriber(heard.append) as subscriber, httpx.AsyncClient(trust_env=False) as client:
        subscriber.secret = secret
        answer = await client.post(subscriber.url, content=body, headers=signed(body))

    assert (answer.status_code, [webhook.verified for webhook in heard]) == (401, [False])
