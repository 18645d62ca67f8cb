"""Opening and migrating the database that the settings name."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from relay.config import Settings
from relay.domain.errors import ConfigError, StoreInUse, StoreUnavailable
from relay.ports import Entropy, Store, Straight
from relay.store.migrate import migrate_sqlite
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.sqlite import FileLock, SqliteDriver
from relay.store.store import ScriptStore
from relay.system import SystemEntropy


def sqlite_path(settings: Settings) -> Path:
    """The file of an embedded database. Raises ConfigError for another engine."""
    prefix = "sqlite:///"
    if not settings.database_url.startswith(prefix):
        raise ConfigError("RELAY_DATABASE_URL: this release stores in SQLite only: sqlite:///path/relay.db")
    return Path(settings.database_url.removeprefix(prefix))


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
    """Bring the database to this release's schema; the revision. Raises StoreInUse while a gateway serves from it."""
    path = prepare_file(settings)
    lock = FileLock(path)
    try:
        return migrate_sqlite(path)
    finally:
        lock.release()


def load_key_ring(settings: Settings) -> KeyRing:
    """The key ring of this installation; made in development. Raises KeyRingError."""
    return KeyRing.load(
        value=settings.keyring or None,
        file=None,
        data_dir=Path(settings.data_dir),
        create=settings.env == "development",
    )


def make_store(settings: Settings, entropy: Entropy, straight: Straight | None) -> ScriptStore:
    """The store on a migrated database. ``straight``: the deliver worker that new deliveries may go to at once."""
    ring = load_key_ring(settings)
    db = Db(Queries.load("sqlite"), entropy, straight)
    return ScriptStore(SqliteDriver(sqlite_path(settings), db, reader_threads=settings.reader_threads), ring)


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """A migrated store for one short command, beside a running gateway too: SQLite lets several processes write in
    turn, and such a command keeps nothing in memory that another would have to know."""
    path = prepare_file(settings)
    try:
        lock = FileLock(path)
    except StoreInUse:
        lock = None
    try:
        if lock is not None:
            migrate_sqlite(path)
        store = make_store(settings, SystemEntropy(), None)
        try:
            await store.check()
            yield store
        finally:
            await store.close()
    finally:
        if lock is not None:
            lock.release()
