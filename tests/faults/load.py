"""What goes on while gateways are killed: teams send, mobiles write, a team polls, each asking one gateway after the
other. All of it remembers what was answered, because that is what must be accounted for afterwards."""

import asyncio
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Final

import httpx

from relay.provider.sandbox import Fault
from tests.faults.polling import until
from tests.faults.world import BLACKLISTED, EARLY, EXPIRED, SILENT, TWICE, UNDELIVERED, Json, World

SENDERS: Final = 6
RETRY_S: Final = 0.02
LONGEST_RETRY_S: Final = 0.32
_FATES: Final = (UNDELIVERED, EXPIRED, SILENT, BLACKLISTED, EARLY, EARLY, TWICE, TWICE)


@dataclass(kw_only=True)
class Sent:
    """One request that a team made. ``message_id`` None: no 2xx came; ``tries``: how often it was made."""

    numbers: list[str]
    key: str | None
    message_id: str | None = None
    tries: int = 0


class Load:
    """Runs between ``start`` and ``finish``. ``finish`` needs a gateway that serves: what was begun is ended there."""

    def __init__(self, world: World, random: Random, *, balanced: bool = False) -> None:
        """``balanced``: teams ask whichever gateway the load balancer picks."""
        self.sent: list[Sent] = []
        self.inbound: dict[str, int | None] = {}
        """Text of an inbound message, and how its callback was answered (None: not at all)."""
        self.events: list[Json] = []
        """As a team saw them that went on with its cursor through every restart."""
        self.cut_off: list[str] = []
        """Of sends that may have arrived and were not answered: why."""
        self.world = world
        self._random = random
        self._turns = cycle([world.api] if balanced else world.apis)
        self._cursor: str | None = None
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        workers = [*(self._send(number) for number in range(SENDERS)), self._write(), self._poll()]
        self._tasks = [asyncio.create_task(worker) for worker in workers]

    async def goes_on(self, messages: int, within_s: float) -> None:
        """Wait until so many more messages are accepted."""
        enough = len(self.accepted) + messages
        await until(lambda: len(self.accepted) >= enough, within_s, f"{messages} more messages are accepted")

    def check(self) -> None:
        """Fails if a part of the load has broken."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def finish(self) -> None:
        """End what was begun; every request with an Idempotency-Key has its answer then."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def read_on(self) -> None:
        """The team has seen every event that there is."""
        while await self._read_events("0"):
            pass

    async def cancel(self) -> None:
        """End at once, whatever was begun."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def accepted(self) -> list[Sent]:
        """What was answered 2xx."""
        return [sent for sent in self.sent if sent.message_id is not None]

    async def _send(self, sender: int) -> None:
        while not self._stopping.is_set():
            sent = Sent(numbers=self._numbers(), key=None)
            if self._random.random() < 0.85:
                sent.key = f"sender-{sender}-{len(self.sent)}"
            self._disturb(sent.numbers[0])
            self.sent.append(sent)
            await self._request(sent)
            await asyncio.sleep(self._random.uniform(0.0, 0.06))

    def _numbers(self) -> list[str]:
        numbers = self.world.numbers
        draw = self._random.random()
        if draw < 0.5:
            return [numbers.plain()]
        if draw < 0.8:
            return [numbers.fated(self._random.choice(_FATES))]
        if draw < 0.9:
            # The same ending twice means the same mask twice: two submissions, which need not fare alike.
            ending = self._random.choice(_FATES)
            return [numbers.fated(ending), numbers.fated(ending), numbers.plain()]
        return [numbers.plain() for _ in range(self._random.randint(2, 40))]

    def _disturb(self, number: str) -> None:
        """Some submissions are slow at the provider, so that kills meet them under way; a few end in doubt."""
        draw = self._random.random()
        faults = self.world.sandbox.faults
        if draw < 0.35:
            faults.add(Fault(call="send", mobile=number, delay_ms=self._random.randint(5, 400)))
        elif draw < 0.38:
            faults.add(Fault(call="send", mobile=number, drop="after_read", accept=True))
        elif draw < 0.41:
            faults.add(Fault(call="send", mobile=number, status=502, accept=self._random.random() < 0.5))

    async def _request(self, sent: Sent) -> None:
        """Until it is answered; a request without a key is made once, as nobody could tell a second one from it."""
        headers = {} if sent.key is None else {"idempotency-key": sent.key}
        if self._random.random() < 0.1:
            headers["prefer"] = "wait=1"
        pause_s = RETRY_S
        while True:
            sent.tries += 1
            try:
                answer = await next(self._turns).post(
                    "/v1/messages", json={"to": sent.numbers, "text": "hello"}, headers=headers
                )
            except (httpx.ConnectError, httpx.ConnectTimeout):
                answer = None
            except httpx.TransportError as error:
                self.cut_off.append(repr(error))
                answer = None
            if answer is not None and answer.status_code in (200, 202):
                sent.message_id = answer.json()["id"]
                return
            # 409: the first try runs still; 503: the store was away. Everything else is wrong.
            assert answer is None or answer.status_code in (409, 503), answer.text + self.world.told()
            if sent.key is None:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)

    async def _write(self) -> None:
        while not self._stopping.is_set():
            text = f"inbound {len(self.inbound)}"
            self.inbound[text] = None
            self.inbound[text] = await self.world.inbound(self.world.numbers.plain(), text)
            await asyncio.sleep(self._random.uniform(0.0, 0.1))

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            if await self._read_events("1") is None:
                await asyncio.sleep(RETRY_S)

    async def _read_events(self, wait_s: str) -> int | None:
        """How many came; None when there was no answer."""
        query = {"limit": "50", "wait": wait_s} | ({} if self._cursor is None else {"cursor": self._cursor})
        try:
            answer = await next(self._turns).get("/v1/events", params=query)
        except httpx.TransportError:
            return None
        assert answer.status_code in (200, 503), answer.text + self.world.told()
        if answer.status_code == 503:
            return None
        page = answer.json()
        self.events += page["data"]
        self._cursor = page["next_cursor"]
        return len(page["data"])
