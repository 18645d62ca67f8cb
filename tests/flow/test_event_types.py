"""Every event type, and what causes it."""

from collections.abc import Awaitable, Callable

import pytest

from relay.domain.events import EVENT_TYPES, EventType
from relay.provider.sandbox import Sandbox, SandboxSettings
from relay.provider.sandbox.accounts import AccountSettings
from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.hooks import Reply
from tests.flow.world import World

MOBILE = "13800131234"
Cause = Callable[[World, MovableClock], Awaitable[None]]


async def _is_accepted(world: World, clock: MovableClock) -> None:
    await world.send(MOBILE, wait=10)


async def _is_reported(world: World, clock: MovableClock) -> None:
    message = await world.send(MOBILE, wait=10)
    await world.report(message["submissions"][0]["task_id"], MOBILE)


async def _is_refused(world: World, clock: MovableClock) -> None:
    world.fault(call="send", refuse={"code": "77"})
    await world.send(MOBILE, wait=10)


async def _is_lost(world: World, clock: MovableClock) -> None:
    world.fault(call="send", drop="after_read")
    await world.send(MOBILE, wait=10)
    clock.move(16 * 60)


async def _is_contradicted(world: World, clock: MovableClock) -> None:
    await _is_reported(world, clock)
    await world.report(world.sends[0].task_id, MOBILE, "UNDELIV")


async def _is_answered(world: World, clock: MovableClock) -> None:
    await world.answer_back(MOBILE, "收到", "101")


async def _is_gone(world: World, clock: MovableClock) -> None:
    await world.add_endpoint("/gone", event_types=["message.*"])
    world.hooks.script("/gone", Reply(status=410))
    await world.send(MOBILE)


async def _is_low(world: World, clock: MovableClock) -> None:
    world.provider.sandbox.put_account("small", AccountSettings(password="secret", balance=9))
    created = await world.admin.post(
        "/v1/admin/accounts",
        json={
            "name": "small",
            "base_url": world.provider.url,
            "account": "small",
            "password": "secret",
            "low_balance": 10,
        },
    )
    assert created.status_code == 201


CAUSES: dict[EventType, Cause] = {
    "message.submitted": _is_accepted,
    "message.delivered": _is_reported,
    "message.failed": _is_refused,
    "message.unconfirmed": _is_lost,
    "message.report_conflict": _is_contradicted,
    "inbound.received": _is_answered,
    "balance.low": _is_low,
    "endpoint.disabled": _is_gone,
}
NOT_YET: dict[EventType, str] = {
    "message.canceled": "POST /v1/messages/{id}/cancel",
    "endpoint.test": "POST /v1/webhook-endpoints/{id}/test",
}
"""Types whose cause no operation of this release has; each names what will cause it."""


def test_every_event_type_has_a_cause_here() -> None:
    assert CAUSES.keys() | NOT_YET.keys() == set(EVENT_TYPES)
    assert not CAUSES.keys() & NOT_YET.keys()


@pytest.mark.parametrize("event_type", CAUSES)
async def test_each_event_type_is_caused_polled_and_delivered(event_type: EventType, worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SandboxSettings(report_delay_ms=600_000))) as world:
        await world.add_endpoint("/hook", event_types=[event_type])

        await CAUSES[event_type](world, clock)

        (hook,) = await world.hooks_when("/hook", 1)
        assert hook.event["type"] == event_type
        assert await world.events(event_type) == [hook.event]
        assert await world.metric("relay_events_total", type=event_type) == 1
