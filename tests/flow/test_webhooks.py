"""Events on their way to a team's webhook server."""

import asyncio
import contextlib
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import msgspec
import pytest
from standardwebhooks import Webhook

from relay.domain.endpoints import Endpoint, write_secret
from relay.domain.retry import DELIVERY_SCHEDULE_MS
from relay.ports import Clock, MaySend, PostResult, always
from relay.provider.sandbox import Sandbox, SandboxSettings
from relay.transport import Transport
from relay.webhooks import EgressPolicy, WebhookPoster
from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.hooks import Hook, Reply
from tests.flow.world import World, until, until_shown

MOBILE = "13800131234"
SILENT = SandboxSettings(report_delay_ms=600_000)


def verified(secret: str, hook: Hook) -> Any:
    """The payload, checked as a subscriber would: with the public library."""
    return Webhook(secret).verify(hook.body, hook.headers)


async def deliveries(world: World, **query: str) -> list[dict[str, Any]]:
    """What the team sees of its deliveries, newest first."""
    return [row async for row in world.pages("/v1/deliveries", **query)]


async def attempts(world: World, delivery_id: str) -> list[dict[str, Any]]:
    """Every attempt of a delivery."""
    answer = await world.api.get(f"/v1/deliveries/{delivery_id}")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["attempts"]
    return found


async def attempted(world: World, number: int) -> None:
    """So many attempts are stored, and told in the log."""
    await until(lambda: len(world.rows("SELECT 1 FROM attempts")) == number)
    attempts_told = "relay_delivery_attempts_total"
    await until_shown(lambda: world.metric(attempts_told), lambda told: told == number)


async def test_webhooks_verify_with_the_public_library_and_carry_the_polled_bytes(world: World) -> None:
    endpoint = await world.add_endpoint("/hook", headers={"x-tenant": "orders"})

    await world.send(MOBILE)
    hooks = await world.hooks_when("/hook", 2)

    assert {verified(endpoint["secret"], hook)["type"] for hook in hooks} == {"message.submitted", "message.delivered"}
    for hook in hooks:
        assert hook.headers["webhook-id"] == hook.event["id"]
        assert hook.headers["x-tenant"] == "orders"
        assert hook.body == (await world.api.get(f"/v1/events/{hook.event['id']}")).content


class TwoSecrets:
    """The real poster; every endpoint has a second secret, as after a rotation."""

    def __init__(self, clock: Clock, older: str) -> None:
        egress = EgressPolicy(allow_loopback=True)
        self._transport = Transport(permit=egress.permits)
        self._older = older
        self._poster = WebhookPoster(
            httpx.AsyncClient(transport=self._transport), clock=clock, egress=egress, version="test"
        )

    async def post(
        self,
        endpoint: Endpoint,
        webhook_id: str,
        body: bytes,
        timestamp_s: int,
        timeout_s: float,
        may_send: MaySend = always,
    ) -> PostResult:
        two = msgspec.structs.replace(endpoint, secrets=(*endpoint.secrets, self._older))
        return await self._poster.post(two, webhook_id, body, timestamp_s, timeout_s, may_send)

    async def aclose(self) -> None:
        await self._transport.aclose()


async def test_while_two_secrets_live_either_of_them_verifies(worlds: OpenWorld) -> None:
    clock, older = MovableClock(), write_secret(bytes(range(32)))
    poster = TwoSecrets(clock, older)
    async with worlds(clock=clock, poster=poster) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.delivered"])

        await world.send(MOBILE)
        (hook,) = await world.hooks_when("/hook", 1)

        assert len(hook.headers["webhook-signature"].split(" ")) == 2
        assert verified(endpoint["secret"], hook) == verified(older, hook)
    await poster.aclose()


async def test_a_failing_endpoint_is_tried_again_on_the_schedule_until_it_is_exhausted(
    worlds: OpenWorld, log: Log
) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.submitted"])
        world.hooks.script("/hook", Reply(status=500, body=b"ouch" * 2000))
        await world.send(MOBILE)

        for number, delay_ms in enumerate(DELIVERY_SCHEDULE_MS, 1):
            await attempted(world, number)
            line = (await log.when("delivery.attempted", number))[-1]
            assert (line["outcome"], line["attempt"], line["status"]) == ("retry", number, 500)
            assert delay_ms / 1000 <= line["next_due_in_s"] <= delay_ms / 1000 * 1.2 + 0.1
            clock.move(delay_ms / 1000 * 0.9)
            world.gateway.deliver.changed(endpoint["id"])
            assert len(world.hooks.on("/hook")) == number
            clock.move(delay_ms / 1000 * 0.31)
            world.gateway.deliver.changed(endpoint["id"])
        await attempted(world, 13)

        (delivery,) = await deliveries(world)
        assert (delivery["status"], delivery["attempt_count"], delivery["next_attempt_at"]) == ("exhausted", 13, None)
        made = await attempts(world, delivery["id"])
        assert [attempt["outcome"] for attempt in made] == ["retry"] * 12 + ["exhausted"]
        assert {attempt["answer"] for attempt in made} == {"ouch" * 1024}
        hooks = world.hooks.on("/hook")
        assert len({(hook.headers["webhook-id"], hook.body) for hook in hooks}) == 1
        assert await world.metric("relay_delivery_attempts_total", outcome="retry") == 12


async def test_an_attempt_is_recorded_with_its_answer_and_a_success_ends_the_delivery(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.submitted"])
        world.hooks.script("/hook", Reply(status=500, body=b"not yet"), Reply(status=302), Reply(status=204))
        await world.send(MOBILE)

        for number in (1, 2):
            await attempted(world, number)
            clock.move(60)
            world.gateway.deliver.changed(endpoint["id"])

        found = await until_shown(lambda: deliveries(world, status="delivered"))
        made = await attempts(world, found[0]["id"])
        assert [(attempt["number"], attempt["status"], attempt["error"], attempt["outcome"]) for attempt in made] == [
            (1, 500, "status", "retry"),
            (2, 302, "status", "retry"),
            (3, 204, None, "delivered"),
        ]
        assert made[0]["answer"] == "not yet"


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_pauses_the_whole_endpoint_and_it_goes_on_afterwards(form: str, worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.submitted"], max_in_flight=1)
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
        value = "600" if form == "seconds" else later
        world.hooks.script("/hook", Reply(status=503, headers={"retry-after": value}), Reply())
        await world.send(MOBILE)
        await until(lambda: world.rows("SELECT 1 FROM endpoints WHERE paused_until_ms IS NOT NULL"))
        await world.send("13800131235", wait=10)

        for _ in range(5):
            clock.move(100)
            world.gateway.deliver.changed(endpoint["id"])
            assert await world.metric("relay_delivery_attempts_total") == 1
        shown = (await world.api.get(f"/v1/webhook-endpoints/{endpoint['id']}")).json()
        assert shown["paused_until"] is not None
        clock.move(120)
        world.gateway.deliver.changed(endpoint["id"])

        await world.hooks_when("/hook", 3)
        found = await until_shown(lambda: deliveries(world, status="delivered"), lambda rows: len(rows) == 2)
        assert sorted(row["attempt_count"] for row in found) == [1, 2]


async def test_what_waited_in_memory_when_a_pause_began_is_sent_after_it(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.submitted"], max_in_flight=1)
        world.hooks.script("/hook", Reply(status=429, headers={"retry-after": "30"}, delay_s=0.3), Reply())
        for index in range(10):
            await world.send(f"138001320{index:02}")
        await until(lambda: world.rows("SELECT 1 FROM endpoints WHERE paused_until_ms IS NOT NULL"))
        assert len(world.hooks.on("/hook")) == 1

        clock.move(200)
        world.gateway.deliver.changed(endpoint["id"])

        await world.hooks_when("/hook", 11)
        found = await until_shown(lambda: deliveries(world, status="delivered"), lambda rows: len(rows) == 10)
        assert len({row["event_id"] for row in found}) == 10


async def test_a_410_disables_the_endpoint_and_tells_the_team_at_its_others(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        gone = await world.add_endpoint("/gone", event_types=["message.*"])
        await world.add_endpoint("/other", event_types=["endpoint.disabled"])
        world.hooks.script("/gone", Reply(status=410))
        await world.send(MOBILE)

        (hook,) = await world.hooks_when("/other", 1)
        await world.send("13800131235", wait=10)

        assert (hook.event["data"]["endpoint_id"], hook.event["data"]["reason"]) == (gone["id"], "gone")
        shown = (await world.api.get(f"/v1/webhook-endpoints/{gone['id']}")).json()
        assert (shown["status"], shown["disabled_reason"]) == ("disabled", "gone")
        assert len(world.hooks.on("/gone")) == 1
        # Stored while disabled: nothing is lost.
        pending = await deliveries(world, endpoint_id=gone["id"], status="pending")
        assert len(pending) == 2


async def test_an_endpoint_that_fails_for_five_days_is_disabled(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.*"])
        world.hooks.script("/hook", Reply(status=500))
        await world.send(MOBILE)
        await until(lambda: world.rows("SELECT 1 FROM attempts"))

        clock.move(5 * 86_400)
        world.gateway.deliver.changed(endpoint["id"])

        (event,) = await world.events_when(1, "endpoint.disabled")
        assert (event["data"]["endpoint_id"], event["data"]["reason"]) == (endpoint["id"], "failing")


async def test_no_more_webhooks_are_under_way_than_the_endpoint_allows(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        await world.add_endpoint("/three", event_types=["message.submitted"], max_in_flight=3)
        world.hooks.script("/three", Reply(delay_s=0.03))

        await asyncio.gather(*(world.send(f"138001320{index:02}") for index in range(40)))

        await world.hooks_when("/three", 40)
        assert world.hooks.peak["/three"] == 3


@pytest.mark.parametrize(
    "reply", [Reply(delay_s=20.0), Reply(delay_s=None), Reply(status=500)], ids=["slow", "dead", "500"]
)
async def test_a_bad_endpoint_delays_no_other(reply: Reply, worlds: OpenWorld, log: Log) -> None:
    async with worlds(sandbox=Sandbox(SILENT), delivery_timeout_s=25) as world:
        await world.add_endpoint("/bad", event_types=["message.submitted"], max_in_flight=256)
        await world.add_endpoint("/good", event_types=["message.submitted"])
        world.hooks.script("/bad", reply)
        await asyncio.gather(*(world.send(f"13800132{index:03}") for index in range(100)))
        await until(lambda: world.hooks.on("/bad"))

        started_s = time.monotonic()
        await asyncio.gather(*(world.send(f"13800133{index:03}") for index in range(50)))
        await world.hooks_when("/good", 150)

        assert time.monotonic() - started_s < 10.0
        assert len({hook.headers["webhook-id"] for hook in world.hooks.on("/good")}) == 150


async def test_many_dead_endpoints_together_delay_no_other(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT), delivery_timeout_s=25, delivery_max_in_flight_total=64) as world:
        for index in range(12):
            await world.add_endpoint(f"/dead/{index}", event_types=["message.submitted"])
            world.hooks.script(f"/dead/{index}", Reply(delay_s=None))
        await world.add_endpoint("/good", event_types=["message.submitted"])

        started_s = time.monotonic()
        await asyncio.gather(*(world.send(f"138001320{index:02}") for index in range(20)))
        await world.hooks_when("/good", 20)

        assert time.monotonic() - started_s < 10.0
        assert {world.hooks.peak[f"/dead/{index}"] for index in range(12)} == {1}


async def test_an_answer_that_never_comes_is_a_time_out_and_is_tried_again(worlds: OpenWorld, log: Log) -> None:
    async with worlds(sandbox=Sandbox(SILENT), delivery_timeout_s=0.2) as world:
        await world.add_endpoint("/hook", event_types=["message.submitted"])
        world.hooks.script("/hook", Reply(delay_s=None))

        await world.send(MOBILE)

        (line,) = await until(lambda: log.of("delivery.attempted"))
        assert (line["outcome"], line["status"], line["error"]) == ("retry", None, "timeout")


async def test_a_delivery_whose_process_lost_its_lease_is_made_again(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.submitted"])
        # Not started here, and then leased as to a process that stalls for longer than the lease.
        world.gateway.deliver.stopping = True
        await world.send(MOBILE, wait=10)
        await until(lambda: world.rows("SELECT 1 FROM deliveries WHERE claim IS NULL"))
        lease_until_ms = clock.now_ms() + 60_000
        with contextlib.closing(sqlite3.connect(world.directory / "relay.db", isolation_level=None)) as other:
            other.execute("UPDATE deliveries SET claim = x'01', lease_until_ms = ?", (lease_until_ms,))
        world.gateway.deliver.stopping = False

        clock.move(120)
        world.gateway.deliver.changed(endpoint["id"])

        await world.hooks_when("/hook", 1)


async def test_what_an_endpoint_asked_for_is_all_that_it_gets(world: World) -> None:
    await world.add_endpoint("/delivered", event_types=["message.delivered"])
    await world.add_endpoint("/family", event_types=["message.*"])
    await world.add_endpoint("/101", extensions=["101"])
    await world.add_endpoint("/all")

    await world.send(MOBILE, extension="101")
    await world.hooks_when("/101", 2)
    await world.send("13800131235")
    await world.answer_back(MOBILE, "收到", "101")

    await world.hooks_when("/all", 5)
    await world.hooks_when("/101", 3)
    await world.hooks_when("/family", 4)
    await world.hooks_when("/delivered", 2)
    assert sorted(hook.type for hook in world.hooks.on("/101")) == [
        "inbound.received",
        "message.delivered",
        "message.submitted",
    ]
    assert {hook.type for hook in world.hooks.on("/delivered")} == {"message.delivered"}
    assert {hook.type for hook in world.hooks.on("/family")} == {"message.delivered", "message.submitted"}


async def test_a_deleted_endpoint_gets_nothing_more_and_its_deliveries_are_discarded(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        endpoint = await world.add_endpoint("/hook", event_types=["message.*"])
        world.hooks.script("/hook", Reply(status=500))
        await world.send(MOBILE)
        await until(lambda: world.rows("SELECT 1 FROM attempts"))

        assert (await world.api.delete(f"/v1/webhook-endpoints/{endpoint['id']}")).status_code == 204
        await world.send("13800131235", wait=10)

        assert [row["status"] for row in await deliveries(world)] == ["discarded"]
        assert len(world.hooks.on("/hook")) == 1


async def test_a_webhook_to_loopback_is_refused_in_production(worlds: OpenWorld) -> None:
    ring = "k1:" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
    async with worlds(env="production", keyring=ring) as world:
        refused = await world.api.post("/v1/webhook-endpoints", json={"url": world.hooks.url("/hook")})

        assert (refused.status_code, refused.json()["code"]) == (422, "endpoint_refused")
