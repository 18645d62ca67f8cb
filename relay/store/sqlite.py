"""The SQLite driver: one writer thread with group commit, a few reader threads, one process per file.

Decision: the standard library's ``sqlite3`` in a thread of its own, because a commit costs an fsync whatever it holds:
whatever queued while the last commit ran goes into the next one, without lingering. One writer at a time is SQLite's
own rule, so a second writer could only wait. WAL with ``synchronous=FULL``: with NORMAL a power cut may take the last
commits, which were answered already.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from relay.domain.errors import SchemaMissing, StoreError, StoreInUse, StoreUnavailable
from relay.store.script import ANY_TURN, Db, Script, Step, Turn

T = TypeVar("T")
MAX_BATCH: Final = 512
BUSY_TIMEOUT_S: Final = 1.0
"""How long a commit waits for another process that writes. Short commands write for milliseconds; a callback that waits
longer goes to the spool, before the provider, which pushes once, hangs up."""

# Primary result codes that say "not now", not "your statement is wrong"; the low byte of an extended code.
_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)

_Job = tuple[Callable[[Db], Script[Any]], "asyncio.Future[Any]"]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


def connect(path: Path, *, read_only: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """A connection with our settings. Raises StoreUnavailable when the file cannot be opened."""
    try:
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # What is erased is overwritten, also on builds that have it off: a freed page keeps its texts otherwise.
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA cache_size=-65536")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the database file {path} cannot be opened: {error}") from error
    return connection


class FileLock:
    """The right to serve from a database file, held by one process at a time.

    Decision: a lock file beside it, not a lock on the file itself, because closing any descriptor of the database would
    drop SQLite's own locks on it (POSIX). The kernel frees it when the process dies, however it dies.
    """

    def __init__(self, database: Path) -> None:
        """Raises StoreInUse when another process serves from ``database``, StoreUnavailable when no lock can be had."""
        real = database.resolve()
        path = real.with_name(real.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"the lock file {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise StoreInUse(
                f"another process serves from {real}: stop it first, or use PostgreSQL for several replicas"
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise StoreUnavailable(f"the lock file {path} cannot be locked: {error.strerror}") from error

    def release(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)


class SqliteDriver:
    """Runs scripts on one file. ``write`` returns when the commit is on disk."""

    def __init__(self, path: Path, db: Db, *, reader_threads: int = 2, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Opens the file. ``busy_timeout_s``: how long a commit waits for another process that writes."""
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._db = db
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._connection = connect(path, busy_timeout_s=busy_timeout_s)
        self._waits_for_others = True
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(reader_threads, thread_name_prefix="relay-reader")
        self._reader_connections: list[sqlite3.Connection] = []
        self._writer = threading.Thread(target=self._write_loop, name="relay-writer", daemon=True)
        self._writer.start()
        self._closed = False

    async def write(self, script: Callable[[Db], Script[T]], turn: Turn = ANY_TURN) -> T:
        """Run ``script`` in the next group commit. Raises what it raised, or StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((script, future))
        return await future

    async def read(self, script: Callable[[Db], Script[T]]) -> T:
        """Run a script that only reads, on one snapshot, beside the writer."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, script)

    async def close(self) -> None:
        """Finish what is queued, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._writer.join)
        self._readers.shutdown(wait=True)
        for connection in self._reader_connections:
            connection.close()
        self._connection.close()

    # -- writer thread -----------------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            stop = False
            while len(batch) < MAX_BATCH:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    stop = True
                    break
                batch.append(job)
            _deliver(self._commit(batch))
            if stop:
                return

    def _commit(self, batch: list[_Job]) -> list[_Outcome]:
        """Run all scripts in one transaction; a script that fails takes nobody down but itself."""
        connection = self._connection
        outcomes: list[_Outcome] = []
        try:
            # BEGIN IMMEDIATE: a deferred write would fail with BUSY after the reads were done.
            connection.execute("BEGIN IMMEDIATE")
            for script, future in batch:
                connection.execute("SAVEPOINT script")
                try:
                    result = _drive(connection, script(self._db))
                except sqlite3.Error as error:
                    if _is_unavailable(error):
                        raise
                    _undo_script(connection)
                    outcomes.append((future, None, _failed(error)))
                except Exception as error:
                    _undo_script(connection)
                    outcomes.append((future, None, error))
                else:
                    connection.execute("RELEASE script")
                    outcomes.append((future, result, None))
            connection.execute("COMMIT")
            self._wait_for_others(True)
        except sqlite3.Error as error:
            _undo_all(connection)
            # What queued while this batch waited has waited as long: a callback must be in the spool, and answered,
            # before the provider gives up. So nobody waits for the other process again before a commit has succeeded.
            self._wait_for_others(False)
            # One exception each: an exception object that several tasks raise mixes up their tracebacks.
            return [(future, None, _unavailable(error)) for _, future in batch]
        return outcomes

    def _wait_for_others(self, wait: bool) -> None:
        if wait is not self._waits_for_others:
            self._connection.execute(f"PRAGMA busy_timeout={int(self._busy_timeout_s * 1000) if wait else 0}")
            self._waits_for_others = wait

    # -- reader threads ----------------------------------------------------------------------------------------------

    def _read(self, script: Callable[[Db], Script[T]]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path, read_only=True, busy_timeout_s=self._busy_timeout_s)
            self._local.connection = connection
            self._reader_connections.append(connection)
        try:
            connection.execute("BEGIN")
            try:
                return _drive(connection, script(self._db))
            finally:
                _undo_all(connection)
        except sqlite3.Error as error:
            if _is_unavailable(error):
                raise StoreUnavailable(f"the database cannot be read: {error}") from error
            raise _failed(error) from error


def _drive(connection: sqlite3.Connection, script: Script[T]) -> T:
    """Run a script to its end."""
    try:
        step = next(script)
        while True:
            step = script.send(_execute(connection, step))
    except StopIteration as stop:
        value: T = stop.value
        return value


def _execute(connection: sqlite3.Connection, step: Step) -> object:
    sql = step.query.sql
    match step.fetch:
        case "rows":
            return connection.execute(sql, step.params).fetchall()
        case "row":
            # fetchall, not fetchone: a RETURNING statement that is not read to its end is not finished.
            rows = connection.execute(sql, step.params).fetchall()
            return rows[0] if rows else None
        case "each":
            return [row for params in step.params for row in connection.execute(sql, params).fetchall()]
        case "count":
            return connection.execute(sql, step.params).rowcount
        case "put":
            if len(step.params) == 1:
                connection.execute(sql, step.params[0])
            else:
                connection.executemany(sql, step.params)
            return None
        case "hold":
            # There is one writer.
            return None


def _undo_script(connection: sqlite3.Connection) -> None:
    connection.execute("ROLLBACK TO script")
    connection.execute("RELEASE script")


def _undo_all(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite rolled back by itself when the disk failed; there is nothing left to undo.
            return


def _unavailable(error: sqlite3.Error) -> StoreUnavailable:
    failure = StoreUnavailable(f"the database cannot be written: {error}")
    failure.__cause__ = error
    return failure


def _failed(error: sqlite3.Error) -> StoreError:
    # The message names tables and columns, never values. SQLite has no code of its own for a missing table.
    missing = str(error).startswith(("no such table", "no such column"))
    failure = (SchemaMissing if missing else StoreError)(f"the statement failed: {error}")
    failure.__cause__ = error
    return failure


def _is_unavailable(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in _UNAVAILABLE


def _deliver(outcomes: list[_Outcome]) -> None:
    """Hand all results of one commit over to their event loops, with one wake-up each."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, own)
        except RuntimeError:
            # The loop was closed: nobody waits any more, and what was committed stays committed.
            continue


def _resolve(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
