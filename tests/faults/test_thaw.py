"""What one of two replicas was doing when it stood still for so long that the other took it for dead, at named
instants: once it goes on, it sends and changes nothing that is not its own any more, and loses nothing that is."""

import pytest

from relay.provider.sandbox import Fault
from tests.faults.conftest import OpenWorld
from tests.faults.forwarder import Doorstep
from tests.faults.gateway_process import GatewayProcess
from tests.faults.polling import until
from tests.faults.replicas import SETTINGS, SOON_S, WITHIN_S, Claims, leader_and_other, on
from tests.faults.world import LATE, World


async def finds_out(world: World, thawed: GatewayProcess) -> None:
    """Wait until it knows that its submission is not its own any more."""

    async def knows() -> bool:
        return await thawed.metric("relay_leases_lost_total", work="submission") == 1

    await until(knows, WITHIN_S, "it finds out that it was taken for dead", world.told)


@pytest.mark.parametrize("choice", ["hold", "resend"])
async def test_before_the_first_byte_it_does_not_send(
    open_world: OpenWorld, database: str, claims: Claims, choice: str
) -> None:
    async with (
        Doorstep() as doorstep,
        # The time-out of connecting is a quarter of it, and is not to help here.
        open_world(
            replicas=on(database), settings=SETTINGS, account={"base_url": doorstep.url, "timeout_s": 120}
        ) as world,
    ):
        doorstep.leads_to(world.provider.port)
        sent = await world.send(world.numbers.plain(), on_unconfirmed=choice)
        frozen = await claims.submitter(sent, world)

        await frozen.freeze()
        taken_over = {"hold": ("unconfirmed", 1), "resend": ("submitting", 2)}[choice]
        await until(lambda: claims.submission(sent) == taken_over, SOON_S, "the other takes it over", world.told)
        await doorstep.open()
        frozen.thaw()

        await finds_out(world, frozen)
        # The other one's attempt, if it makes one, comes to its end.
        ended = {"hold": ("unconfirmed", 1), "resend": ("submitted", 2)}[choice]
        await until(lambda: claims.submission(sent) == ended, WITHIN_S, "the other has sent it", world.told)
        sends = {"hold": 0, "resend": 1}[choice]
        counts = world.sandbox.ledger.counts
        assert (counts["calls_send"], counts["sends"], counts["duplicates"]) == (sends, sends, 0)


async def test_after_the_provider_has_answered_it_changes_nothing(
    open_world: OpenWorld, database: str, claims: Claims
) -> None:
    async with open_world(replicas=on(database), settings=SETTINGS, report_delay_ms=LATE) as world:
        number = world.numbers.plain()
        world.sandbox.faults.add(Fault(call="send", mobile=number, delay_ms=1500))
        sent = await world.send(number)
        frozen = await claims.submitter(sent, world)
        await world.has_reached_the_provider(number)

        await frozen.freeze()
        await until(lambda: world.sandbox.ledger.sends_to(number)[0].answered, WITHIN_S, "the provider has answered")
        doubt = ("unconfirmed", 1)
        await until(lambda: claims.submission(sent) == doubt, SOON_S, "the other takes it for what it is", world.told)
        frozen.thaw()

        await finds_out(world, frozen)
        assert claims.submission(sent) == doubt
        assert await world.report(sent["submissions"][0]["task_id"], number) == 200
        assert await world.status(sent["id"]) == "delivered"
        told = [event["type"] for event in await world.events() if event["data"].get("message_id") == sent["id"]]
        # Of the doubt the sweep tells a second after it came, which may be too late.
        assert told in (["message.delivered"], ["message.unconfirmed", "message.delivered"])


async def test_what_it_had_pulled_is_applied(open_world: OpenWorld, database: str) -> None:
    async with open_world(
        replicas=on(database),
        settings=SETTINGS,
        account={"pull_reports": True, "pull_interval_s": 1},
        report_delay_ms=LATE,
    ) as world:
        frozen, other = await leader_and_other(world)
        number = world.numbers.plain()
        sent = await world.send(number)
        await world.has_status(sent["id"], "submitted")
        world.sandbox.faults.add(Fault(call="report", delay_ms=1000))
        world.sandbox.release(world.sandbox.ledger.sends_to(number)[0], early=False)
        # The provider gives a row away once: it is in an answer that has not come yet.
        await until(lambda: world.sandbox.ledger.pulled_of(number) != [], WITHIN_S, "the report is pulled", world.told)

        await frozen.freeze()

        async def other_leads() -> bool:
            return await other.metric("relay_leader") == 1

        await until(other_leads, SOON_S, "the other leads", world.told)
        frozen.thaw()

        await world.has_status(sent["id"], "delivered", within_s=WITHIN_S)
        assert len(world.sandbox.ledger.pulled_of(number)) == 1
