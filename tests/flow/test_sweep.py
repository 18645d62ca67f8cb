"""What waits too long: told after 15 minutes, given up after 72 hours."""

from datetime import timedelta

import msgspec

from relay.domain.accounts import Account
from relay.domain.ids import AccountId
from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.world import World, until, until_shown
from tests.store.builders import entry

MOBILE = "13800131234"
SILENT = SandboxSettings(report_delay_ms=600_000)
MINUTES_15 = timedelta(minutes=15).total_seconds()
HOURS_72 = timedelta(hours=72).total_seconds()


async def swept(world: World) -> None:
    """A whole sweep has run since this was called."""
    while await world.gateway.upkeep.sweep_once():
        pass


async def test_an_unconfirmed_message_is_told_after_fifteen_minutes_once(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", drop="after_read")
        message = await world.send(MOBILE, wait=10)

        clock.move(MINUTES_15 - 60)
        await swept(world)
        assert await world.events() == []
        clock.move(120)
        (event,) = await world.events_when(1)
        clock.move(MINUTES_15)
        await swept(world)

        assert event["type"] == "message.unconfirmed"
        (told,) = event["data"]["recipients"]
        assert (told["to"], told["status"], told["final"]) == (MOBILE, "unconfirmed", False)
        assert len(await world.events()) == 1
        assert (await world.message(message["id"]))["status"] == "unconfirmed"


async def test_an_unconfirmed_message_that_was_reported_in_time_is_not_told(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", drop="after_read", accept=True)
        message = await world.send(MOBILE, wait=10)
        await world.report(message["submissions"][0]["task_id"], MOBILE)

        clock.move(MINUTES_15 * 2)
        await swept(world)

        assert [event["type"] for event in await world.events()] == ["message.delivered"]


async def test_a_silent_recipient_becomes_no_report_after_72_hours_and_a_later_report_upgrades_it(
    worlds: OpenWorld,
) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        message = await world.send([MOBILE, "13800131235"], wait=10)
        task = message["submissions"][0]["task_id"]
        await world.report(task, "13800131235")

        clock.move(HOURS_72 - 60)
        await swept(world)
        assert (await world.message(message["id"]))["counts"] == {"delivered": 1, "submitted": 1}
        clock.move(120)
        message = await until_shown(
            lambda: world.message(message["id"]), lambda seen: seen["counts"] == {"delivered": 1, "no_report": 1}
        )
        (recipient,) = [row for row in await world.recipients(message["id"]) if row["to"] == MOBILE]
        assert (recipient["status"], recipient["final"]) == ("no_report", True)
        assert [report["source"] for report in recipient["reports"]] == ["sweep"]
        await world.report(task, MOBILE, "UNDELIV")

        assert (await world.message(message["id"]))["counts"] == {"delivered": 1, "undelivered": 1}
        told = [(event["type"], event["data"]["recipients"][0]["status"]) for event in await world.events()]
        assert told == [
            ("message.submitted", "submitted"),
            ("message.delivered", "delivered"),
            ("message.failed", "no_report"),
            ("message.failed", "undelivered"),
        ]


async def test_an_unconfirmed_message_without_a_report_becomes_no_report(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", drop="after_read")
        message = await world.send(MOBILE, wait=10)

        clock.move(HOURS_72 + 60)

        await world.message_when(message["id"], "no_report")


async def test_what_was_stuck_while_it_was_sent_is_unconfirmed_when_its_lease_ends(worlds: OpenWorld, log: Log) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=1500)
        message = await world.send(MOBILE)
        await until(lambda: world.sends)

        clock.move(600)
        await world.message_when(message["id"], "unconfirmed")
        # The answer comes after all: its claim is no longer ours, so it changes nothing, and the report decides.
        (line,) = await until(lambda: log.of("submission.attempted"))
        assert (line["outcome"], line["fenced"], line["status"]) == ("accepted", True, "unconfirmed")
        assert (await world.message(message["id"]))["status"] == "unconfirmed"
        await world.report(message["submissions"][0]["task_id"], MOBILE)

        await world.message_when(message["id"], "delivered")
        assert world.counts["calls_send"] == 1


async def test_an_idempotency_key_is_kept_for_its_time_and_then_forgotten(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, idempotency_keep_s=86_400) as world:
        first = await world.send(MOBILE, key="k")
        await world.message_when(first["id"], "delivered")
        clock.move(86_400 - 120)
        await swept(world)
        assert (await world.send(MOBILE, key="k"))["id"] == first["id"]

        clock.move(240)
        await swept(world)

        assert (await world.send(MOBILE, key="k"))["id"] != first["id"]


async def test_an_account_of_another_process_is_seen(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        known = world.gateway.accounts.all()[0]
        await world.gateway.store.create_account(
            _renamed(known, "acct_" + "1" * 32), callback_token="t" * 48, entry=entry(), idempotency=None
        )
        assert len(world.gateway.accounts.all()) == 1

        clock.move(10)

        await until(lambda: len(world.gateway.accounts.all()) == 2)


def _renamed(account: Account, account_id: str) -> Account:
    return msgspec.structs.replace(account, id=AccountId(account_id), name="second")
