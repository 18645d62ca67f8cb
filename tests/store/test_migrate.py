"""From nothing to this release's schema."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import relay.store
from relay.domain.errors import SchemaMissing, StoreUnavailable
from relay.store.migrate import head, migrate_sqlite
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.sqlite import SqliteDriver
from relay.store.store import ScriptStore
from tests.store.builders import ENTROPY


def _schema(path: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def _revision(path: Path) -> list[tuple[str]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()


def _store(path: Path) -> ScriptStore:
    return ScriptStore(SqliteDriver(path, Db(Queries.load("sqlite"), ENTROPY, None)), KeyRing({"k1": bytes(32)}))


def test_there_is_one_head_and_one_line_that_leads_to_it() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(relay.store.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [head()]
    assert len(scripts.get_bases()) == 1


def test_a_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "relay.db"
    assert migrate_sqlite(path) == head()
    assert _revision(path) == [(head(),)]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    migrate_sqlite(path)
    schema = _schema(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO team_extensions (extension, team) VALUES ('88', x'00')")
    assert migrate_sqlite(path) == head()
    assert (_schema(path), _revision(path)) == (schema, [(head(),)])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT extension FROM team_extensions").fetchall() == [("88",)]


async def test_a_database_of_a_later_release_stays_and_serves(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    migrate_sqlite(path)
    later = f"{int(head()) + 1:04}"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [later])
    schema = _schema(path)
    assert migrate_sqlite(path) == later
    assert (_schema(path), _revision(path)) == (schema, [(later,)])
    store = _store(path)
    await store.check()
    await store.close()


async def test_a_migrated_database_can_serve(tmp_path: Path) -> None:
    migrate_sqlite(tmp_path / "relay.db")
    store = _store(tmp_path / "relay.db")
    await store.check()
    await store.close()


async def test_a_database_without_a_schema_cannot_serve(tmp_path: Path) -> None:
    store = _store(tmp_path / "relay.db")
    with pytest.raises(SchemaMissing):
        await store.check()
    with pytest.raises(SchemaMissing):
        await store.accounts()
    await store.close()


@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = '0000'", "DELETE FROM alembic_version"])
async def test_a_database_of_another_release_cannot_serve(tmp_path: Path, change: str) -> None:
    path = tmp_path / "relay.db"
    migrate_sqlite(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(change)
    store = _store(path)
    with pytest.raises(SchemaMissing):
        await store.check()
    await store.close()


def test_a_migration_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE attempts (id INTEGER)")
    before = _schema(path)
    with pytest.raises(StoreUnavailable):
        migrate_sqlite(path)
    assert _schema(path) == before
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE attempts")
    assert migrate_sqlite(path) == head()


def test_a_file_that_is_no_database_is_unavailable_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_bytes(b"this is a text and no database" * 100)
    with pytest.raises(StoreUnavailable):
        migrate_sqlite(path)
    assert path.read_bytes() == b"this is a text and no database" * 100
