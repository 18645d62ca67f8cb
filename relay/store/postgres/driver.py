"""The PostgreSQL driver: group commit as on SQLite, but by several writers in several processes.

Whatever queued while a writer's last commit ran goes into its next one. PostgreSQL runs READ COMMITTED; what a script
reads and then relies on is locked first (``Turn``, ``Db.hold``, FOR UPDATE in sql/postgres). Locks are taken in one
order where that can be foreseen; where it cannot, PostgreSQL finds the deadlock, all is undone, and each script runs
again alone.

Decision: two writers, not one, because a writer that waits for a lock of another process, or for the disk, would hold
up everybody; not many, because each commit's fsync then holds fewer scripts.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

from relay.domain.errors import StoreError, StoreUnavailable
from relay.store.postgres.batch import Batch, Statements, Types, read_types
from relay.store.postgres.connections import Connection, Connections, close
from relay.store.postgres.failures import is_broken_constraint, is_contention, is_lost, translated
from relay.store.queries import Queries
from relay.store.script import ANY_TURN, Db, Script, Turn

T = TypeVar("T")

MAX_BATCH: Final = 64
MAX_WEIGHT: Final = 20_000
"""Rows in one commit, about; a script that writes more has a commit of its own."""
TRIES: Final = 8
"""How often a script that is alone in its transaction is run before contention counts as a failure."""
_FIRST_PAUSE_S: Final = 0.005
_LOOK_AGAIN_S: Final = 0.05

_ERRORS: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    script: Callable[[Db], Script[Any]]
    turn: Turn
    future: "asyncio.Future[Any]"


_Outcome = tuple[_Job, Any, BaseException | None]


class _Apart(Exception):
    """All is undone, and the scripts must run one by one: one of them broke, or they were in somebody's way."""


class _Lost(Exception):
    """The connection went away before COMMIT was sent, so nothing happened."""


class PostgresDriver:
    """Runs scripts on one database. ``write`` returns when the commit is durable."""

    def __init__(
        self,
        url: str,
        queries: Queries,
        db: Db,
        *,
        writers: int = 2,
        readers: int = 4,
        timeout_s: float = 3.0,
        pooler: bool = False,
    ) -> None:
        """``timeout_s``: how long one statement, or the opening of a connection, may take; a lock is waited for half as
        long. ``pooler``: see ``Connections``."""
        self._db = db
        self._statements = Statements(queries)
        self._connections = Connections(url, timeout_s=timeout_s, pooler=pooler)
        self._timeout_s = timeout_s
        self._types: Types = {}
        self._queue = _Queue()
        self._wanted_writers = writers
        self._writers: list[asyncio.Task[None]] = []
        self._idle_readers: list[Connection] = []
        self._reader_places = asyncio.Semaphore(readers)
        self._closed = False
        limits = (
            f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}; "
            f"SET LOCAL lock_timeout = {int(timeout_s * 500)}; "
            # A process that is stopped in the middle (SIGSTOP, a frozen machine) must not hold its locks for ever.
            f"SET LOCAL idle_in_transaction_session_timeout = {int(timeout_s * 1000)}"
        )
        # Whatever the server's default is: with it off, a crash takes commits that were answered.
        self._open_write = f"BEGIN; {limits}; SET LOCAL synchronous_commit = on"
        self._open_read = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limits}"

    async def write(self, script: Callable[[Db], Script[T]], turn: Turn = ANY_TURN) -> T:
        """Run ``script`` in the next group commit. Raises what it raised, or StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        while len(self._writers) < self._wanted_writers:
            self._writers.append(asyncio.create_task(self._write_loop(), name="relay-writer"))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(script=script, turn=turn, future=future))
        return await future

    async def read(self, script: Callable[[Db], Script[T]]) -> T:
        """Run a script that only reads, on one snapshot, beside the writers."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        async with self._reader_places:
            while True:
                fresh = not self._idle_readers
                connection = await self._connections.open() if fresh else self._idle_readers.pop()
                try:
                    return await self._read(connection, script)
                except _ERRORS as error:
                    if fresh or not is_lost(error):
                        raise translated(error) from error
                    # It broke while it lay idle: the next one may be good, and a new one will be, if any can be had.

    async def close(self) -> None:
        """Finish what is queued, then let go of the server."""
        if self._closed:
            return
        self._closed = True
        self._queue.end()
        await asyncio.gather(*self._writers)
        for connection in self._idle_readers:
            await close(connection)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _write_loop(self) -> None:
        """One writer; it keeps its connection from one commit to the next."""
        writer = _Writer(self._connections)
        while True:
            jobs = await self._queue.next()
            if not jobs:
                await writer.close()
                return
            await self._commit(writer, jobs)

    async def _commit(self, writer: "_Writer", jobs: list[_Job]) -> None:
        try:
            _deliver(await self._until_committed(writer, jobs))
        except _Apart:
            for job in jobs:
                await self._commit_alone(writer, job)
        except Exception as error:
            # One exception each: an exception object that several tasks raise mixes up their tracebacks.
            _deliver([(job, None, _copy(error)) for job in jobs])

    async def _commit_alone(self, writer: "_Writer", job: _Job) -> None:
        pause_s = _FIRST_PAUSE_S
        for tried in range(1, TRIES + 1):
            try:
                _deliver(await self._until_committed(writer, [job]))
            except _Apart as apart:
                cause = apart.__cause__ or apart
                # A key that is still taken when all others have committed is the script's own mistake.
                again = is_contention(cause) and not (is_broken_constraint(cause) and tried > 1)
                if not again or tried == TRIES:
                    error = translated(cause) if isinstance(cause, _ERRORS) else cause
                    _deliver([(job, None, error)])
                    return
                await asyncio.sleep(pause_s)
                pause_s *= 2
            except Exception as error:
                _deliver([(job, None, error)])
                return
            else:
                return

    async def _until_committed(self, writer: "_Writer", jobs: list[_Job]) -> list[_Outcome]:
        """The outcomes of all. Raises _Apart, or StoreUnavailable; then nothing happened (but see ``_settle``)."""
        while True:
            fresh = await writer.ready()
            if not self._types:
                self._types = await self._read_types(writer)
            try:
                return await self._try(writer, jobs)
            except _Lost as lost:
                # A connection that lay idle breaks at its first use, as after a restart of the server.
                if fresh:
                    raise translated(_cause(lost)) from lost

    async def _try(self, writer: "_Writer", jobs: list[_Job]) -> list[_Outcome]:
        batch = Batch(writer.connection, self._statements, self._types)
        outcomes: list[_Outcome] = []
        try:
            async with asyncio.timeout(self._timeout_s * 3):
                await batch.begin(self._open_write, [job.turn for job in jobs])
                for job in jobs:
                    outcomes.append(await self._run(batch, job))
                await batch.flush()
        except _Apart:
            await writer.undo()
            raise
        except _ERRORS as error:
            if is_lost(error):
                await writer.drop()
                raise _Lost from error
            await writer.undo()
            raise self._judge(error, jobs) from error
        return await self._end(writer, batch, jobs, outcomes)

    async def _run(self, batch: Batch, job: _Job) -> _Outcome:
        try:
            return job, await batch.run(job.script, self._db), None
        except _ERRORS:
            raise
        except Exception as error:
            if batch.wrote:
                # What it did is to be undone, and with it what its neighbours did.
                raise _Apart from error
            return job, None, error

    @staticmethod
    def _judge(error: Exception, jobs: list[_Job]) -> Exception:
        """What a statement's error means for a transaction that is undone by now."""
        if len(jobs) > 1 or is_contention(error):
            return _Apart()
        return translated(error)

    async def _end(self, writer: "_Writer", batch: Batch, jobs: list[_Job], outcomes: list[_Outcome]) -> list[_Outcome]:
        try:
            async with asyncio.timeout(self._timeout_s):
                await writer.connection.execute("COMMIT")
        except _ERRORS as error:
            await writer.drop()
            if not is_lost(error):
                raise self._judge(error, jobs) from error
            if not await self._settle(writer, batch.transaction):
                raise _Lost from error
        return outcomes

    async def _settle(self, writer: "_Writer", transaction: str) -> bool:
        """Whether a transaction is committed whose COMMIT was sent and not answered. Raises StoreUnavailable when the
        server does not come back in time to tell: the one case in which that does not prove that nothing happened.
        Whoever asks again then finds it: by its Idempotency-Key, its claim, or its raw id."""
        deadline_s = time.monotonic() + 2 * self._timeout_s
        while True:
            try:
                await writer.ready()
                status = await writer.connection.fetchval("SELECT pg_xact_status($1::text::xid8)", transaction)
            except (StoreUnavailable, *_ERRORS) as error:
                await writer.drop()
                if time.monotonic() > deadline_s:
                    raise StoreUnavailable("PostgreSQL went away while it committed") from error
                status = None
            if status in ("committed", "aborted"):
                return bool(status == "committed")
            if time.monotonic() > deadline_s:
                raise StoreUnavailable("PostgreSQL went away while it committed")
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _read_types(self, writer: "_Writer") -> Types:
        try:
            return await read_types(writer.connection)
        except _ERRORS as error:
            await writer.drop()
            raise translated(error) from error

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _read(self, connection: Connection, script: Callable[[Db], Script[T]]) -> T:
        whole = False
        try:
            async with asyncio.timeout(self._timeout_s * 3):
                await connection.execute(self._open_read)
                batch = Batch(connection, self._statements, self._types)
                try:
                    return await batch.run(script, self._db)
                except asyncio.CancelledError:
                    # In the middle of a statement, whose end nobody waits for: nothing more can be said on it.
                    connection.terminate()
                    raise
                finally:
                    if not connection.is_closed():
                        await connection.execute("ROLLBACK")
                        whole = True
        finally:
            if whole:
                self._idle_readers.append(connection)
            else:
                connection.terminate()


class _Queue:
    """What waits for a writer."""

    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, job: _Job) -> None:
        """The last in the queue."""
        self._jobs.append(job)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()

    async def next(self) -> list[_Job]:
        """What goes into one commit, in the order of places; nothing when all is done."""
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
        jobs.sort(key=lambda job: job.turn.place)
        return jobs


class _Writer:
    """One writer's connection, opened when it is needed."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The open one."""
        if self._connection is None:
            raise StoreUnavailable("PostgreSQL cannot be used now")
        return self._connection

    async def ready(self) -> bool:
        """Have a connection; True when it is new. Raises StoreUnavailable."""
        if self._connection is not None and not self._connection.is_closed():
            return False
        self._connection = await self._connections.open()
        return True

    async def undo(self) -> None:
        """Nothing of the open transaction stays."""
        try:
            async with asyncio.timeout(1.0):
                await self.connection.execute("ROLLBACK")
        except _ERRORS:
            await self.drop()

    async def drop(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Say good-bye."""
        if self._connection is not None:
            await close(self._connection)
            self._connection = None


def _cause(error: BaseException) -> Exception:
    cause = error.__cause__
    return cause if isinstance(cause, Exception) else StoreUnavailable("PostgreSQL cannot be used now")


def _copy(error: Exception) -> Exception:
    if not isinstance(error, StoreError):
        return error
    copy = type(error)(*error.args)
    copy.__cause__ = error
    return copy


def _deliver(outcomes: list[_Outcome]) -> None:
    for job, result, error in outcomes:
        if job.future.done():
            # Its caller gave up; what was committed stays committed.
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)
