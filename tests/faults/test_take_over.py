"""What one of two replicas was doing when it died, at named instants: the other goes on with it soon."""

from relay.provider.sandbox import Fault
from tests.faults.conftest import OpenWorld
from tests.faults.polling import until
from tests.faults.replicas import SETTINGS, SOON_S, WITHIN_S, Claims, leader_and_other, on
from tests.faults.world import LATE, World


async def test_when_the_leader_is_killed_the_other_pulls_and_sweeps(open_world: OpenWorld, database: str) -> None:
    async with open_world(
        replicas=on(database),
        settings=SETTINGS,
        # Who takes over waits until the other's last call must have ended.
        account={"pull_reports": True, "pull_interval_s": 1, "timeout_s": 1},
        report_delay_ms=LATE,
    ) as world:
        leader, other = await leader_and_other(world)
        reported, doubtful = world.numbers.plain(), world.numbers.plain()
        world.sandbox.faults.add(Fault(call="send", mobile=doubtful, drop="after_read", accept=True))
        sent = await world.send(reported)
        await world.has_status(sent["id"], "submitted")

        await leader.kill()
        world.sandbox.release(world.sandbox.ledger.sends_to(reported)[0], early=False)
        unsure = await world.send(doubtful)

        await world.has_status(sent["id"], "delivered", within_s=SOON_S)
        await until(lambda: _is_told(world, unsure["id"], "message.unconfirmed"), SOON_S, "the sweep tells", world.told)
        assert await other.metric("relay_leader") == 1


async def _is_told(world: World, message_id: str, event_type: str) -> bool:
    told = [event["type"] for event in await world.events() if event["data"].get("message_id") == message_id]
    return event_type in told


async def test_what_a_dead_replica_was_sending_is_in_doubt_and_what_waited_goes_out_by_the_other(
    open_world: OpenWorld, database: str, claims: Claims
) -> None:
    async with open_world(
        replicas=on(database), settings=SETTINGS, account={"connections": 2}, report_delay_ms=LATE
    ) as world:
        await leader_and_other(world)
        # Each replica has one of the two connections, and the provider answers neither.
        under_way = []
        for number in (world.numbers.plain(), world.numbers.plain()):
            world.sandbox.faults.add(Fault(call="send", mobile=number, drop="hold", accept=True))
            under_way.append(await world.send(number))
            await world.has_reached_the_provider(number, WITHIN_S)
        waiting = [await world.send(world.numbers.plain()) for _ in range(3)]
        assert [await world.status(message["id"]) for message in waiting] == ["queued"] * 3

        dead = await claims.submitter(under_way[0], world)
        await dead.kill()

        for message in waiting:
            await world.has_status(message["id"], "submitted", within_s=SOON_S)
        await world.has_status(under_way[0]["id"], "unconfirmed", within_s=SOON_S)
        assert await world.status(under_way[1]["id"]) == "submitting"
        assert len(world.sandbox.ledger.sends) == 5
        assert list(world.sandbox.ledger.duplicates) == []


async def test_webhooks_of_a_dead_replica_come_from_the_other(
    open_world: OpenWorld, database: str, claims: Claims
) -> None:
    async with open_world(replicas=on(database), settings=SETTINGS, report_delay_ms=LATE) as world:
        world.receiver.held.clear()
        for _ in range(6):
            await world.send(world.numbers.plain())

        async def all_there() -> bool:
            return len(await world.events()) == 6

        await until(all_there, WITHIN_S, "each message has its event", world.told)
        await until(lambda: world.receiver.read.total() > 0, WITHIN_S, "the receiver has read a webhook", world.told)

        dead = await claims.deliverer(world)
        await dead.kill()
        world.receiver.held.set()

        await until(lambda: len(world.receiver.times) == 6, SOON_S, "all of them are delivered", world.told)
