"""One writer: group commit after group commit on a connection of its own, and what happens when one of them fails."""

import asyncio
from collections.abc import Sequence
from typing import Final, NoReturn

from relay.domain.errors import StoreError, StoreUnavailable
from relay.store.postgres.batch import Batch, Transaction
from relay.store.postgres.connections import Connections, Session
from relay.store.postgres.failures import (
    Broken,
    is_broken_constraint,
    is_contention,
    is_locked,
    is_lost,
    is_slow,
    translated,
)
from relay.store.postgres.jobs import Job, Outcome, Queue, deliver, failures
from relay.store.postgres.settle import in_doubt, was_committed
from relay.store.postgres.statements import Statements
from relay.store.script import Db

TRIES: Final = 8
"""How often a script that is alone in its transaction is run before contention counts as a failure."""
IMPATIENT_S: Final = 0.05
"""How long a script waits for a lock while others wait behind it."""
LONGEST_DOUBT_S: Final = 60.0
"""How long a server that stopped while it committed is waited for. Longer than a restart or a failover usually takes;
what was claimed would hardly be begun any more after that."""
_FIRST_PAUSE_S: Final = 0.005


class _Undone(Exception):
    """Nothing happened: ``cause`` is what a script raised, or what PostgreSQL said."""

    def __init__(self, cause: Exception, *, foreign: bool) -> None:
        super().__init__()
        self.cause = cause
        self.foreign = foreign


class _Lost(Exception):
    """Nothing happened: the connection went away."""


class _InDoubt(Exception):
    """Nobody could tell in time whether ``transaction`` is committed."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__()
        self.transaction = transaction


class Writer:
    """Commits what is queued."""

    def __init__(self, connections: Connections, statements: Statements, db: Db, *, timeout_s: float) -> None:
        """``timeout_s``: see ``PostgresDriver``."""
        self._connections = connections
        self._statements = statements
        self._db = db
        self._timeout_s = timeout_s
        self._session: Session | None = None
        self._doubts: set[asyncio.Task[None]] = set()

    async def run(self, queue: Queue) -> None:
        """Until the queue has ended and is empty."""
        try:
            while jobs := await queue.next():
                await self._serve(jobs)
            if self._session is not None:
                await self._session.close()
        finally:
            self._drop()
            for doubt in self._doubts:
                doubt.cancel()

    async def _serve(self, jobs: list[Job]) -> None:
        try:
            await self._commit(jobs)
        except Exception as error:
            # A loop that breaks by a mistake of ours would leave everybody waiting for ever.
            self._drop()
            deliver(failures(jobs, error))

    async def _commit(self, jobs: list[Job]) -> None:
        if len(jobs) == 1:
            outcome = await self._alone(jobs[0], self._timeout_s / 2)
            if outcome is not None:
                deliver([outcome])
            return
        try:
            # Who shares a commit waits for half as long: the others wait for it.
            outcomes = await self._until_committed(jobs, self._timeout_s / 4)
        except _Undone:
            await self._one_by_one(jobs)
        except StoreError as error:
            deliver(failures(jobs, error))
        else:
            deliver(outcomes)

    async def _one_by_one(self, jobs: Sequence[Job]) -> None:
        """First who need not wait for a lock, then who must. Once one has waited in vain nobody does: whoever asks
        again will see whether anything has changed."""
        late: list[Job] = []
        for place, job in enumerate(jobs):
            outcome = await self._alone(job, IMPATIENT_S)
            if outcome is None:
                continue
            if is_slow(_foreign(outcome)):
                # Not a lock: the server is too slow for any of us.
                late += jobs[place:]
                break
            if is_locked(_foreign(outcome)):
                late.append(job)
            else:
                deliver([outcome])
        for place, job in enumerate(late):
            outcome = await self._alone(job, self._timeout_s / 2)
            if outcome is None:
                continue
            deliver([outcome])
            if outcome.error is not None and (is_slow(_foreign(outcome)) or is_locked(_foreign(outcome))):
                deliver(failures(late[place + 1 :], outcome.error))
                break

    async def _alone(self, job: Job, lock_s: float) -> Outcome | None:
        """What became of a script that shares its commit with no other; None when it will be told later."""
        pause_s = _FIRST_PAUSE_S
        for tried in range(1, TRIES + 1):
            try:
                outcomes = await self._until_committed([job], lock_s)
            except StoreError as error:
                return Outcome(job, None, error)
            except _Undone as undone:
                if not undone.foreign:
                    return Outcome(job, None, undone.cause)
                outcome = Outcome(job, None, translated(undone.cause))
                # A key that is still taken when all others have committed is the script's own mistake.
                if not is_contention(undone.cause) or (is_broken_constraint(undone.cause) and tried > 1):
                    break
            else:
                return outcomes[0] if outcomes else None
            await asyncio.sleep(pause_s)
            pause_s *= 2
        return outcome

    async def _until_committed(self, jobs: list[Job], lock_s: float) -> list[Outcome]:
        """The outcomes of all; none when they will be told later. Raises _Undone, or StoreUnavailable: nothing happened
        (but see ``in_doubt``)."""
        if self._session is not None and self._session.is_open:
            try:
                return await self._try(self._session, jobs, lock_s)
            except _Lost:
                # It broke while it lay idle, in all likelihood, as after a restart of the server: a new one may do.
                pass
        self._session = await self._connections.session()
        try:
            return await self._try(self._session, jobs, lock_s)
        except _Lost as lost:
            raise translated(lost.__cause__ or lost) from lost.__cause__

    async def _try(self, session: Session, jobs: list[Job], lock_s: float) -> list[Outcome]:
        batch = Batch(session, self._statements)
        try:
            await batch.begin(opening(self._timeout_s, lock_s) + self._connections.local, [job.turn for job in jobs])
            outcomes = [await self._run(batch, job) for job in jobs]
            transaction = await batch.finish()
        except Broken as broken:
            await self._broke(session, _cause(broken))
        except Exception as error:
            await self._undo(session)
            raise error if isinstance(error, _Undone) else _Undone(error, foreign=False) from error
        try:
            await self._end(session, transaction)
        except _InDoubt as doubt:
            self._tell_later(outcomes, doubt.transaction)
            return []
        return outcomes

    def _tell_later(self, outcomes: list[Outcome], transaction: Transaction) -> None:
        """Once the server is back, while others go on: what was committed must be started by whoever waits for it,
        because nobody else knows that it was not started yet."""
        doubt = asyncio.create_task(self._told_later(outcomes, transaction))
        self._doubts.add(doubt)
        doubt.add_done_callback(self._doubts.discard)

    async def _told_later(self, outcomes: list[Outcome], transaction: Transaction) -> None:
        jobs = [outcome.job for outcome in outcomes]
        try:
            committed = await was_committed(transaction, self._connections, LONGEST_DOUBT_S)
            if committed:
                deliver(outcomes)
            elif committed is not None:
                deliver(failures(jobs, StoreUnavailable("PostgreSQL went away before it committed")))
        except StoreUnavailable as error:
            deliver(failures(jobs, error))
        finally:
            # Whoever was told is not told again.
            deliver(failures(jobs, in_doubt()))

    async def _broke(self, session: Session, error: Exception) -> NoReturn:
        if is_lost(error):
            self._drop()
            raise _Lost from error
        await self._undo(session)
        raise _Undone(error, foreign=True) from error

    async def _end(self, session: Session, transaction: Transaction | None) -> None:
        try:
            done = await session.execute("COMMIT")
        except Broken as broken:
            error = _cause(broken)
            # Nothing to commit, nothing to lose.
            if transaction is None or not is_lost(error):
                await self._broke(session, error)
            self._drop()
            committed = await was_committed(transaction, self._connections, 2 * self._timeout_s)
            if committed is None:
                raise _InDoubt(transaction) from error
            if not committed:
                raise _Lost from error
        else:
            if done != "COMMIT":
                # What PostgreSQL answers to the COMMIT of a transaction that had failed.
                raise _Undone(StoreError(f"the commit came to a {done}"), foreign=False)

    async def _run(self, batch: Batch, job: Job) -> Outcome:
        try:
            return Outcome(job, await batch.run(job.script, self._db), None)
        except Broken:
            raise
        except Exception as error:
            if batch.wrote:
                # What it did is to be undone, and with it what its neighbours did.
                raise _Undone(error, foreign=False) from error
            return Outcome(job, None, error)

    async def _undo(self, session: Session) -> None:
        try:
            await session.execute("ROLLBACK")
        except Broken:
            self._drop()

    def _drop(self) -> None:
        if self._session is not None:
            self._session.drop()
            self._session = None


def opening(timeout_s: float, lock_s: float) -> str:
    """What a transaction that writes begins with."""
    return (
        f"BEGIN; SET LOCAL statement_timeout = {int(timeout_s * 1000)}; SET LOCAL lock_timeout = {int(lock_s * 1000)}; "
        # A process that is stopped in the middle (SIGSTOP, a frozen machine) must not hold its locks for ever.
        f"SET LOCAL idle_in_transaction_session_timeout = {int(timeout_s * 1000)}; "
        # Whatever the server's default is: with it off, a crash takes commits that were answered.
        "SET LOCAL synchronous_commit = on"
    )


def _cause(broken: Broken) -> Exception:
    cause = broken.__cause__
    return cause if isinstance(cause, Exception) else broken


def _foreign(outcome: Outcome) -> BaseException | None:
    return None if outcome.error is None else outcome.error.__cause__
