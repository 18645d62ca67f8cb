"""Rounds of one fault under load, and the audit after them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from tests.faults.audit import Findings, audit
from tests.faults.conftest import Tell
from tests.faults.gateway_process import GatewayProcess
from tests.faults.load import Load
from tests.faults.polling import until
from tests.faults.world import World

IN_START_UP: Final = 0.2
"""Share of kills that may hit a gateway which has not come up yet."""
INSTANT_S: Final = 0.5
"""Within which a fault comes."""
SENDS: Final = 5
"""So many more have reached the provider before: a replica that has just joined has no share in its limits yet, and
what is not under way cannot be hit."""
SENDS_WITHIN_S: Final = 30.0


def rounds(usual: int) -> int:
    """How many; FAULTS_ROUNDS sets it."""
    return int(os.environ.get("FAULTS_ROUNDS") or usual)


async def endure(load: Load, number: int, fault: Callable[[], Awaitable[None]], tell: Tell) -> Findings:
    """``fault`` under load, so many times; then every gateway serves, the load ends, and nothing is wrong."""
    started_s = time.monotonic()
    load.start()
    try:
        for _ in range(number):
            await fault()
            load.check()
        for gateway in load.world.gateways:
            await gateway.ready()
        await load.finish()
    finally:
        await load.cancel()
    ended_s = time.monotonic()
    findings = await audit(load.world, load)
    tell(f"{number} rounds in {ended_s - started_s:.0f} s, audit {time.monotonic() - ended_s:.0f} s: {findings}")
    return findings


async def kill_at_a_random_instant(world: World, gateway: GatewayProcess, random: Random) -> None:
    """Kill what runs, or starts; then begin to start the next one."""
    if random.random() >= IN_START_UP:
        await gateway.ready()
        await at_a_random_instant(world, random)
    else:
        await asyncio.sleep(random.uniform(0.0, INSTANT_S))
    await gateway.kill()
    await gateway.start()


async def at_a_random_instant(world: World, random: Random) -> None:
    """While messages are sent."""
    sends = world.sandbox.ledger.sends
    enough = len(sends) + SENDS
    await until(lambda: len(sends) >= enough, SENDS_WITHIN_S, f"{SENDS} more sends reach the provider", world.told)
    await asyncio.sleep(random.uniform(0.0, INSTANT_S))
