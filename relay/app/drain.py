"""A clean stop, in this order, all of it within ``drain_s``:

1. Announced: /readyz answers 503, requests for new work are refused with 503 and Retry-After, long polls end with what
   is known, every answer closes its connection. Callbacks are taken as ever, because the provider makes each of them
   once.
2. At once, deliveries that were not started are free in the store, for other replicas. Nothing more is claimed.
3. What is under way is finished. The listener stays open until then, and for ``drain_announce_s`` at least.
4. The listener is closed; the requests that came last are finished.
5. The loops, the spool and the store. A store that does not answer is not waited for: the other replicas miss our sign
   of life soon enough.

What is not finished in time is cut off, and so is everything when a second signal comes.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from relay.app.gateway import Gateway
from relay.app.listening import Server

LAST_S: Final = 3.0
"""So much of ``drain_s`` (half of it, if that is less) belongs to steps 4 and 5: a callback that came last must still
be stored and answered."""
LEAVE_S: Final = 1.0
"""So much of that (a tenth of ``drain_s``, if that is less) belongs to step 5, which has this long at least."""

log = structlog.get_logger("relay")


class StopSignals:
    """SIGTERM and SIGINT: the first asks for a stop, every later one for haste."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._hurried = asyncio.Event()

    def take(self) -> None:
        """One has come."""
        (self._hurried if self.asked.is_set() else self.asked).set()

    async def patiently(self, work: Coroutine[Any, Any, object], until_s: float) -> None:
        """Wait until ``work`` is done, the event loop's time is ``until_s``, or haste is asked for."""
        left_s = max(0.0, until_s - asyncio.get_running_loop().time())
        waits = [asyncio.create_task(work), asyncio.create_task(self._hurried.wait())]
        await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def drain(gateway: Gateway, server: Server, signals: StopSignals) -> None:
    """Stop; when it returns everything has ended."""
    settings = gateway.settings
    now_s = asyncio.get_running_loop().time()
    end_s = now_s + settings.drain_s - min(LEAVE_S, settings.drain_s / 10)
    gateway.withdraw()
    log.info("gateway.draining", drain_s=settings.drain_s, requests=len(server.requests))
    finished = _finished(gateway, server, settings.drain_announce_s)
    await signals.patiently(finished, now_s + settings.drain_s - min(LAST_S, settings.drain_s / 2))
    server.close()
    await signals.patiently(server.ended(), end_s)
    cut = server.cut()
    if cut:
        log.warning("requests.cut", requests=cut)
    await server.ended()
    await signals.patiently(gateway.idle(), end_s)
    try:
        async with asyncio.timeout(LEAVE_S):
            await gateway.stop(0.0)
    except TimeoutError:
        log.warning("gateway.not_waited_for")


async def _finished(gateway: Gateway, server: Server, announce_s: float) -> None:
    requests = server.requests
    await asyncio.sleep(announce_s)
    if requests:
        # Before the rest: such a request may still store a message, which is then submitted.
        await asyncio.wait(requests)
    await gateway.idle()
