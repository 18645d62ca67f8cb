"""Two gateways on one database: limits that they keep together, and what the one does when the other is gone."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from relay.domain.messages import SubmissionWork
from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.conftest import Log, OpenWorld
from tests.flow.opening import joined
from tests.flow.world import Limits, World, until, until_shown

SILENT = SandboxSettings(report_delay_ms=600_000)
TTL: Final[dict[str, Any]] = {"replica_ttl_s": 2}


@contextlib.asynccontextmanager
async def street(worlds: OpenWorld, **settings: Any) -> AsyncIterator[tuple[World, World]]:
    """The gateway that leads, and one that joined it and has its share."""
    async with worlds(replicas=True, **TTL, **settings) as one, joined(one, **TTL) as two:
        await until_shown(lambda: two.metric("relay_replicas"), lambda number: number == 2)
        membership = two.gateway._membership
        assert membership is not None
        await until(lambda: membership.share("any", 2))
        yield one, two


async def die(world: World) -> None:
    """As after kill -9: nothing runs any more, and nobody is told."""
    gateway = world.gateway
    await gateway._supervisor.stop()
    gateway.submit.stopping = gateway.deliver.stopping = True
    for running in (gateway.submit._running, gateway.deliver._running):
        await running.drain(0)


async def by_each(metric: str, *worlds: World) -> list[float]:
    """What each has counted, the least first; of calls to the provider the sends."""
    labels = {"call": "send"} if "upstream" in metric else {}
    return sorted([await world.metric(metric, **labels) for world in worlds])


async def go_on(world: World) -> None:
    """Its submit worker, which had stopped, runs again."""
    world.gateway.submit.stopping = False
    await world.gateway.submit.run()


async def test_connections_hold_over_both_also_while_one_joins(worlds: OpenWorld) -> None:
    async with worlds(replicas=True, limits=Limits(connections=4), sandbox=Sandbox(SILENT), **TTL) as one:
        # Longer than it takes to join: what began before must end first.
        one.fault(call="send", delay_ms=5000, times=None)
        # The question for the balance is a call of its own, which comes once a minute.
        await until(lambda: one.counts.get("calls_queryBalance"))
        for number in range(4):
            await one.send(f"1380013{3000 + number}")
        await until(lambda: one.counts.get("calls_send") == 4)
        async with joined(one, **TTL) as two:
            for number in range(4):
                await two.send(f"1380013{4000 + number}")

            await until(lambda: len(one.sends) == 8, seconds=60.0)

            assert one.counts["peak_in_flight"] == 4
            assert len({mobile for record in one.sends for mobile in record.mobiles}) == 8
            await until_shown(lambda: by_each("relay_upstream_requests_total", one, two), lambda sent: sum(sent) == 8)
            assert min(await by_each("relay_upstream_requests_total", one, two)) > 0


async def test_what_waits_goes_out_by_whoever_has_a_share(worlds: OpenWorld) -> None:
    async with street(worlds, limits=Limits(connections=1), sandbox=Sandbox(SILENT)) as (one, two):
        for number in range(4):
            await one.send(f"1380013{3000 + number}")
            await two.send(f"1380013{4000 + number}")

        await until(lambda: len(one.sends) == 8)

        await until_shown(lambda: by_each("relay_upstream_requests_total", one, two), lambda sent: sent == [0, 8])


async def test_what_a_dead_gateway_was_sending_is_unconfirmed_and_what_waited_goes_out(worlds: OpenWorld) -> None:
    async with street(worlds, limits=Limits(connections=2), sandbox=Sandbox(SILENT)) as (one, two):
        one.fault(call="send", drop="hold", times=1)
        held = await one.send("13800133001")
        await until(lambda: one.counts.get("calls_send") == 1)
        # The one slot of this gateway is taken, and the other one may not take what waits yet.
        two.gateway.submit.stopping = True
        waiting = await one.send("13800133002")
        await die(one)
        again = asyncio.create_task(go_on(two))

        assert (await two.message_when(held["id"], "unconfirmed"))["counts"] == {"unconfirmed": 1}
        await two.message_when(waiting["id"], "submitted")
        again.cancel()
        await until_shown(lambda: two.metric("relay_leader"), lambda leads: leads == 1)
        assert await two.metric("relay_replicas") == 1


async def test_only_one_pulls_and_the_other_takes_over_when_it_leaves(worlds: OpenWorld, log: Log) -> None:
    limits = Limits(pull_reports=True, pull_interval_s=1.0, timeout_s=1.0, pushes=False)
    async with street(worlds, limits=limits, sandbox=Sandbox(SandboxSettings(report_delay_ms=0))) as (one, two):
        pulls = "relay_upstream_requests_total"
        await until_shown(lambda: one.metric(pulls, call="report"), lambda number: number >= 2)
        assert await two.metric(pulls, call="report") == 0

        await one.gateway.stop()
        message = await two.send("13800133001")

        await two.message_when(message["id"], "delivered")
        assert await two.metric(pulls, call="report") > 0
        assert log.of("leadership.gained")


async def test_webhooks_are_made_once_each_and_within_the_endpoints_limit(worlds: OpenWorld) -> None:
    async with street(worlds, sandbox=Sandbox(SILENT)) as (one, two):
        await one.add_endpoint("/hook", event_types=["message.submitted"], max_in_flight=1)

        await asyncio.gather(
            *(world.send(f"1380013{index:04}") for index, world in enumerate([one, two] * 10, start=3000))
        )

        hooks = await one.hooks_when("/hook", 20)
        await until(lambda: one.rows("SELECT COUNT(*) FROM deliveries") == [(0,)])
        assert len({hook.headers["webhook-id"] for hook in hooks}) == len(hooks) == 20
        await until_shown(lambda: by_each("relay_delivery_attempts_total", one, two), lambda made: made == [0, 20])


async def test_a_gateway_that_was_paused_sends_nothing_that_others_took_and_goes_on_as_a_new_one(
    worlds: OpenWorld, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(worlds, sandbox=Sandbox(SILENT)) as (one, two):
        submit, held = one.gateway.submit, list[SubmissionWork]()
        # Paused after the commit that marks it, before the first byte; and it gives no sign of life.
        with monkeypatch.context() as paused:
            paused.setattr(submit, "start", held.append)
            await until_shown(lambda: send_one(one), lambda _: held)
            silence(one)
        work, sent = held[0], len(one.sends)
        await two.message_when(work.message_id, "unconfirmed")

        submit.start(work)

        (line,) = await until(lambda: [line for line in log.of("submission.attempted") if line["why"]])
        assert (line["outcome"], line["why"], line["fenced"]) == ("not_sent", "lease", True)
        assert (len(one.sends), (await two.message(work.message_id))["status"]) == (sent, "unconfirmed")
        assert await one.metric("relay_leases_lost_total", work="submission") == 1
        membership = one.gateway._membership
        assert membership is not None
        assert (await membership.beat()).lost
        assert not membership.owns(work.claim)


async def send_one(world: World) -> None:
    """A message, whoever sends it: where its account's rate was another's a moment ago, the other one."""
    await world.send("13800133001")
    await asyncio.sleep(0.2)


def silence(world: World) -> None:
    """It beats no more."""
    for task in world.gateway._supervisor._tasks:
        if task.get_name() == "relay-beats":
            task.cancel()


async def test_a_teams_rate_is_kept_by_both_together_and_the_headers_tell_of_the_share(worlds: OpenWorld) -> None:
    async with street(worlds) as (one, two):
        _, here = await one.add_team("hasty", requests_per_s=0.01)
        _, fast = await one.add_team("fast", requests_per_s=5)
        there = two.keep(two.client(one.secrets["live key of hasty"]))
        beside = two.keep(two.client(one.secrets["live key of fast"]))

        began_s = time.monotonic()
        answers = await asyncio.gather(*(client.get("/v1/messages") for client in [fast, beside] * 10))
        took_s = time.monotonic() - began_s
        slow = [(await client.get("/v1/messages")).status_code for client in (here, there, here, there)]

        assert sum(answer.status_code == 200 for answer in answers) <= 5 * math.ceil(took_s)
        policies = {answer.headers["ratelimit-policy"] for answer in answers}
        assert policies <= {'"requests";q=2;w=1', '"requests";q=3;w=1'}
        assert slow == [200, 200, 429, 429]
