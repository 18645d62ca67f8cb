"""What waits for a writer, and what becomes of it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from relay.domain.errors import StoreError
from relay.store.script import Db, Script, Turn

MAX_BATCH: Final = 64
MAX_WEIGHT: Final = 20_000
"""Rows in one commit, about; a script that writes more has a commit of its own."""


class Job(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A script, and who waits for it."""

    script: Callable[[Db], Script[Any]]
    turn: Turn
    future: "asyncio.Future[Any]"


class Outcome(NamedTuple):
    """What a script has returned, or raised."""

    job: Job
    result: Any
    error: BaseException | None


class Queue:
    """Scripts in the order in which they came."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, job: Job) -> None:
        """The last in the queue."""
        self._jobs.append(job)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()

    async def next(self) -> list[Job]:
        """What goes into one commit, in the order of their turns; nothing when all is done."""
        while not self._jobs:
            if self._ended:
                return []
            self._changed.clear()
            await self._changed.wait()
        jobs = [self._jobs.popleft()]
        weight = jobs[0].turn.weight
        while self._jobs and not jobs[0].turn.alone and not self._jobs[0].turn.alone:
            weight += self._jobs[0].turn.weight
            if len(jobs) == MAX_BATCH or weight > MAX_WEIGHT:
                break
            jobs.append(self._jobs.popleft())
        jobs.sort(key=lambda job: (job.turn.place, job.turn.order))
        return jobs


def deliver(outcomes: Sequence[Outcome]) -> None:
    """Tell those who wait; whoever gave up is left alone, and what was committed stays committed."""
    for job, result, error in outcomes:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)


def failures(jobs: Sequence[Job], error: BaseException) -> list[Outcome]:
    """All have failed by it. One exception each: an exception object that several tasks raise mixes up their
    tracebacks."""
    return [Outcome(job, None, _copy(error)) for job in jobs]


def _copy(error: BaseException) -> BaseException:
    if not isinstance(error, StoreError):
        return error
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
