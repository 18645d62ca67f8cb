"""The story that `relay demo` tells: what has to happen, in the words of its timeline, and whether it was seen."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from relay.cli.subscriber import Subscriber, Webhook
from relay.domain.numbers import last_two

DELIVERED: Final = "13800130001"
UNDELIVERED: Final = "13800130002"
REPORTED_TWICE: Final = "13800130008"
EXTENSION: Final = "88"

STEPS: Final[dict[str, str]] = {
    "set up": "team, key and webhook endpoint are made",
    "accepted": "the message is answered 202",
    "submitted": "signed webhook: the provider has the three numbers",
    "delivered": "signed webhook: …01 is delivered",
    "undelivered": "signed webhook: …02 could not be delivered",
    "delivered once": "signed webhook: …08 is delivered",
    "repeated": "the second report of …08 came and changed nothing",
    "inbound": "signed webhook: a message came in",
    "settled": "the message's counts are right, and every event came once",
}
"""Every step, in the order in which it is usually seen."""

_POLL_S: Final = 0.05


class Timeline:
    """Says what happened, with the seconds since the start; knows which steps are still missing."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._began = time.monotonic()
        self.missing = dict(STEPS)
        self._changed = asyncio.Event()

    def note(self, text: str) -> None:
        """One line of the timeline."""
        self._say(f"{time.monotonic() - self._began:7.3f} s  {text}")

    def saw(self, step: str, text: str) -> None:
        """A step happened."""
        self.note(text)
        self.missing.pop(step, None)
        self._changed.set()

    async def wait_for(self, *steps: str) -> None:
        """Returns when all of these have happened."""
        while any(step in self.missing for step in steps):
            self._changed.clear()
            await self._changed.wait()


class Story:
    """One message to three numbers and one answer, through the REST API alone, as a team would do it."""

    def __init__(self, timeline: Timeline, gateway: httpx.AsyncClient, sandbox: httpx.AsyncClient) -> None:
        """``gateway`` carries the admin key; ``sandbox`` reaches the sandbox's control plane."""
        self._timeline = timeline
        self._gateway = gateway
        self._sandbox = sandbox
        self._team: dict[str, str] = {}
        self._webhooks: list[Webhook] = []

    async def tell(self) -> None:
        """Returns when every step was seen; raises httpx.HTTPError when the gateway refuses one."""
        async with Subscriber(self._hear) as subscriber:
            await self._set_up(subscriber)
            message_id = await self._send()
            await self._timeline.wait_for("submitted", "delivered", "undelivered", "delivered once")
            await self._wait_for_repetition(message_id)
            await self._answer()
            await self._timeline.wait_for("inbound")
            await self._settle(message_id)

    async def _set_up(self, subscriber: Subscriber) -> None:
        team = await self._post("/v1/admin/teams", {"name": "demo", "signature": "【演示】", "extensions": [EXTENSION]})
        scopes = ["messages:send", "messages:read", "events:read", "webhooks:manage", "balance:read"]
        key = await self._post("/v1/admin/keys", {"team_id": team["id"], "scopes": scopes, "mode": "test"})
        self._team = {"authorization": f"Bearer {key['secret']}"}
        endpoint = await self._post("/v1/webhook-endpoints", {"url": subscriber.url}, self._team)
        subscriber.secret = endpoint["secret"]
        self._timeline.saw("set up", f"made: team demo, its test key, webhook endpoint {subscriber.url}")

    async def _send(self) -> str:
        numbers = [DELIVERED, UNDELIVERED, REPORTED_TWICE]
        body = {"to": numbers, "text": "您的验证码是 246810", "category": "otp", "extension": EXTENSION}
        message = await self._post("/v1/messages", body, self._team)
        shown = ", ".join(_masked(number) for number in numbers)
        self._timeline.saw("accepted", f"202 for message {message['id']} to {shown}")
        return str(message["id"])

    async def _answer(self) -> None:
        """Somebody answers: the provider's side of an inbound message."""
        self._timeline.note(f"{_masked(DELIVERED)} answers; the provider calls back")
        order = {"mobile": DELIVERED, "content": "收到", "extNo": EXTENSION}
        answer = await self._sandbox.post("/control/inbound", json=order)
        answer.raise_for_status()

    def _hear(self, webhook: Webhook) -> None:
        self._webhooks.append(webhook)
        event = webhook.payload.get("type", "?")
        if not webhook.verified:
            self._timeline.note(f"webhook {event} with a WRONG signature")
            return
        data = webhook.payload["data"]
        match event:
            case "inbound.received":
                self._timeline.saw("inbound", f"webhook {event}: from {_masked(data['from'])}, signature verified")
            case _:
                self._hear_message(str(event), data)

    def _hear_message(self, event: str, data: dict[str, Any]) -> None:
        for change in data.get("recipients", []):
            says = f"webhook {event}: {_masked(change['to'])} {change['status']}"
            if change["provider_status"]:
                says += f" ({change['provider_status']})"
            step = _step_of(change["to"], change["status"])
            says += ", signature verified"
            if step is None:
                self._timeline.note(says)
            else:
                self._timeline.saw(step, says)

    async def _wait_for_repetition(self, message_id: str) -> None:
        path = f"/v1/messages/{message_id}/recipients"
        while True:
            rows = (await self._get(path))["data"]
            row = next(row for row in rows if row["to"] == REPORTED_TWICE)
            if len(row["reports"]) == 2:
                break
            await asyncio.sleep(_POLL_S)
        if row["status"] == "delivered":
            says = f"{_masked(REPORTED_TWICE)} was reported twice; the second report is kept and changed nothing"
            self._timeline.saw("repeated", says)

    async def _settle(self, message_id: str) -> None:
        counts = (await self._get(f"/v1/messages/{message_id}"))["counts"]
        ids = [webhook.webhook_id for webhook in self._webhooks]
        told = [
            (change["to"], change["status"])
            for webhook in self._webhooks
            for change in webhook.payload["data"].get("recipients", [])
        ]
        right = counts == {"delivered": 2, "undelivered": 1}
        once = len(ids) == len(set(ids)) and len(told) == len(set(told))
        verified = all(webhook.verified for webhook in self._webhooks)
        if right and once and verified:
            self._timeline.saw("settled", f"{len(ids)} webhooks, each once, all signatures right; counts {counts}")
        else:
            self._timeline.note(f"{len(ids)} webhooks, {len(set(ids))} different ones; counts {counts}")

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self._gateway.get(path, headers=self._team)
        answer.raise_for_status()
        decoded: dict[str, Any] = answer.json()
        return decoded

    async def _post(
        self, path: str, body: Mapping[str, object], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = await self._gateway.post(path, json=body, headers=headers)
        answer.raise_for_status()
        decoded: dict[str, Any] = answer.json()
        return decoded


def _step_of(to: str, status: str) -> str | None:
    match last_two(to), status:
        case _, "submitted":
            return "submitted"
        case "01", "delivered":
            return "delivered"
        case "02", "undelivered":
            return "undelivered"
        case "08", "delivered":
            return "delivered once"
        case _:
            return None


def _masked(number: str) -> str:
    return f"{'*' * 9}{last_two(number)}"
