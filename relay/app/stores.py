"""Opening and migrating the database that the settings name."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from relay.config import Settings
from relay.domain.errors import StoreInUse, StoreUnavailable
from relay.ports import Clock, Entropy, Store, Straight
from relay.store.live_ring import LiveRing
from relay.store.migrate import migrate_sqlite, run_migrate_postgres
from relay.store.postgres import PostgresDriver
from relay.store.postgres.connections import Connections
from relay.store.postgres.hints import PostgresHints
from relay.store.queries import Queries
from relay.store.ring_files import RingSource
from relay.store.script import Db
from relay.store.sqlite import FileLock, SqliteDriver
from relay.store.store import ScriptStore
from relay.system import SystemEntropy

_SQLITE: Final = "sqlite:///"


def is_embedded(settings: Settings) -> bool:
    """Whether the database is a file of this process alone, not a server that replicas share."""
    return settings.database_url.startswith(_SQLITE)


def sqlite_path(settings: Settings) -> Path:
    """The file of an embedded database."""
    return Path(settings.database_url.removeprefix(_SQLITE))


def prepare_file(settings: Settings) -> Path:
    """The database file, made when missing: texts and numbers are in it, so it is its owner's alone. SQLite gives the
    files beside it the same mode. Raises StoreUnavailable."""
    path = sqlite_path(settings)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"the database file {path} cannot be opened: {error.strerror}") from error
    return path


def migrate(settings: Settings) -> str:
    """Bring the database to this release's schema; the revision. Raises StoreUnavailable, and StoreInUse while a
    gateway serves from a file; a server's replicas go on meanwhile."""
    if not is_embedded(settings):
        return run_migrate_postgres(settings.database_url)
    path = prepare_file(settings)
    lock = FileLock(path)
    try:
        return migrate_sqlite(path)
    finally:
        lock.release()


def ring_source(settings: Settings) -> RingSource:
    """Where the key ring of this installation lies; in development it is made there. Raises KeyRingError."""
    return RingSource(
        value=settings.keyring or None,
        file=Path(settings.keyring_file) if settings.keyring_file else None,
        data_dir=Path(settings.data_dir),
        create=settings.env == "development",
    )


def load_key_ring(settings: Settings) -> LiveRing:
    """The key ring of this installation, which follows its file. Raises KeyRingError."""
    return LiveRing(ring_source(settings))


def make_store(settings: Settings, entropy: Entropy, straight: Straight | None) -> ScriptStore:
    """The store on a migrated database. ``straight``: the deliver worker that new deliveries may go to at once."""
    ring = load_key_ring(settings)
    if is_embedded(settings):
        db = Db(Queries.load("sqlite"), entropy, straight)
        return ScriptStore(SqliteDriver(sqlite_path(settings), db, reader_threads=settings.reader_threads), ring)
    queries = Queries.load("postgres")
    driver = PostgresDriver(
        settings.database_url,
        queries,
        Db(queries, entropy, straight),
        writers=settings.database_writers,
        readers=settings.database_readers,
        timeout_s=settings.database_timeout_s,
        pooler=settings.database_pooler == "transaction",
    )
    return ScriptStore(driver, ring)


def make_hints(settings: Settings, clock: Clock, own: str) -> PostgresHints | None:
    """What tells other replicas of new work; None where there are none, or where nobody could hear it."""
    if is_embedded(settings) or settings.database_pooler != "none":
        return None
    connections = Connections(settings.database_url, timeout_s=settings.database_timeout_s, pooler=False)
    return PostgresHints(connections, clock, own)


@contextlib.contextmanager
def prepared(settings: Settings) -> Iterator[None]:
    """The right to serve: a file is locked for this process and migrated; a server is left as it is, because others
    use it. Raises StoreInUse, StoreUnavailable."""
    if not is_embedded(settings):
        yield
        return
    path = prepare_file(settings)
    lock = FileLock(path)
    try:
        migrate_sqlite(path)
        yield
    finally:
        lock.release()


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """A migrated store for one short command, beside a running gateway too: SQLite lets several processes write in
    turn, and such a command keeps nothing in memory that another would have to know. A gateway may start meanwhile."""
    with contextlib.suppress(StoreInUse), prepared(settings):
        pass
    store = make_store(settings, SystemEntropy(), None)
    try:
        await store.check()
        await store.admit_key_ring()
        yield store
    finally:
        await store.close()
