"""Carries callbacks to customers: after a delay, several at once but not more than stated, each exactly once."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Final

import httpx

from relay.provider.sandbox.callbacks import Callback
from relay.provider.sandbox.ledger import CallbackRecord, SendRecord
from relay.provider.sandbox.sandbox import Sandbox

_END_S: Final = 0.5
"""Within which callbacks that are under way end at a stop."""


class Courier:
    """The timers and the HTTP client of one sandbox. Belongs to the loop that first uses it; close it there."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._client: httpx.AsyncClient | None = None
        self._waiting: deque[Callback] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._urgent: set[asyncio.Task[list[int | None]]] = set()

    @property
    def pending(self) -> int:
        """Sends and callbacks that wait for their time or their turn, and requests in flight."""
        return len(self._timers) + len(self._waiting) + len(self._workers) + len(self._urgent)

    def release_later(self, record: SendRecord) -> None:
        """The reports of the send come due after the sandbox's report delay."""
        self._after(self._sandbox.settings.report_delay_ms, partial(self._release, record))

    async def release_now(self, record: SendRecord) -> list[int | None]:
        """The early reports of the send: pushed before this returns."""
        return await self.push_now(self._sandbox.release(record, early=True))

    def push(self, callbacks: Sequence[Callback]) -> None:
        """Puts callbacks in line."""
        for callback in callbacks:
            if callback.delay_ms:
                self._after(callback.delay_ms, partial(self._enqueue, callback))
            else:
                self._waiting.append(callback)
        self._start_workers()

    async def push_now(self, callbacks: Sequence[Callback]) -> list[int | None]:
        """Makes callbacks one after the other, ahead of those in line; their HTTP statuses (None = no answer)."""
        if not callbacks:
            return []
        # A task of its own: aclose() ends it without cancelling the request that waits here.
        task = asyncio.get_running_loop().create_task(self._post_in_turn(callbacks))
        self._urgent.add(task)
        task.add_done_callback(self._urgent.discard)
        await asyncio.wait([task])
        return [] if task.cancelled() else task.result()

    async def aclose(self) -> None:
        """Nothing is under way afterwards: it ends, or is ended. What waited is never made, as with a provider that is
        switched off."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        tasks = [*self._workers, *self._urgent]
        if tasks:
            # A connection that is being made is left open by httpx when it is cancelled.
            await asyncio.wait(tasks, timeout=_END_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _post_in_turn(self, callbacks: Sequence[Callback]) -> list[int | None]:
        statuses: list[int | None] = []
        for callback in callbacks:
            await asyncio.sleep(callback.delay_ms / 1000)
            statuses.append(await self._post(callback))
        return statuses

    def _release(self, record: SendRecord) -> None:
        self.push(self._sandbox.release(record, early=False))

    def _after(self, delay_ms: int, due: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            due()

        timer = asyncio.get_running_loop().call_later(delay_ms / 1000, fire)
        self._timers.add(timer)

    def _enqueue(self, callback: Callback) -> None:
        self._waiting.append(callback)
        self._start_workers()

    def _start_workers(self) -> None:
        wanted = min(len(self._waiting), self._sandbox.settings.callbacks_in_flight)
        for _ in range(wanted - len(self._workers)):
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._post(self._waiting.popleft())
        finally:
            # Here, not when the loop comes to tell of the end: what is put in line between the two would find a worker
            # that works no more, and wait for the next one.
            if (task := asyncio.current_task()) is not None:
                self._workers.discard(task)

    async def _post(self, callback: Callback) -> int | None:
        sandbox = self._sandbox
        if self._client is None:
            limits = httpx.Limits(
                max_connections=sandbox.settings.callbacks_in_flight + 4,
                keepalive_expiry=sandbox.settings.callback_keep_alive_s,
            )
            timeout = httpx.Timeout(sandbox.settings.callback_timeout_s)
            self._client = httpx.AsyncClient(trust_env=False, limits=limits, timeout=timeout)
        at_s, started = sandbox.now_s(), perf_counter()
        http_status: int | None = None
        error: str | None = None
        try:
            headers = {"content-type": callback.media_type} if callback.media_type else {}
            answer = await self._client.request(callback.method, callback.url, content=callback.body, headers=headers)
            http_status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = type(failure).__name__
        sandbox.ledger.record_callback(
            CallbackRecord(
                rows_of=callback.rows_of,
                account=callback.account,
                send_ids=callback.send_ids,
                mobiles=callback.mobiles,
                statuses=callback.statuses,
                at_s=at_s,
                duration_ms=round((perf_counter() - started) * 1000),
                http_status=http_status,
                error=error,
            )
        )
        return http_status
