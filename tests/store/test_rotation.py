"""Rotating the key ring: killed at any instant, under load, with a file that goes wrong."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from relay.domain.audit import COMMAND, AuditFilter
from relay.domain.errors import InUse, KeyRingError, NotFound
from relay.ports import Idempotency, Replay
from relay.services.admin.keyring import KeyRingAdmin
from relay.services.admin.rotation import Rotation
from relay.store.live_ring import LiveRing
from relay.store.parts.part import Driver
from relay.store.queries import Queries
from relay.store.ring_files import EditedRing, RingSource
from relay.store.script import ANY_TURN, Db, Script, Turn
from relay.store.sealing import KeyRing, read_keys, write_key
from relay.store.sqlite import SqliteDriver
from relay.store.store import ScriptStore
from relay.system import SystemClock, SystemEntropy
from tests.store import builders
from tests.store.builders import ENTROPY, entry, idempotency
from tests.store.conformance.engines import SqliteEngine

T = TypeVar("T")


class Killed(Exception):
    """The process is gone."""


class MortalDriver:
    """Dies at the commit with this number, before it or after it: between two of them the file is changed, or not."""

    def __init__(self, inner: Driver, at: int, *, after: bool) -> None:
        self._inner = inner
        self._left = at
        self._after = after

    async def write(self, script: Callable[[Db], Script[T]], turn: Turn = ANY_TURN) -> T:
        self._die(early=True)
        done = await self._inner.write(script, turn)
        self._die(early=False)
        return done

    async def read(self, script: Callable[[Db], Script[T]]) -> T:
        return await self._inner.read(script)

    async def close(self) -> None:
        await self._inner.close()

    def _die(self, *, early: bool) -> None:
        self._left -= early
        if self._left < 0 or (self._left == 0 and early is not self._after):
            raise Killed


class Installation:
    """A database and a key ring, that processes come to and leave."""

    def __init__(self, directory: Path, engine: SqliteEngine) -> None:
        self.path = directory / "keyring"
        self.path.touch(mode=0o600)
        self.path.write_text(f"# Ours.\n{write_key('k1', bytes(32))}\n")
        self._database = engine.new()._path
        self._directory = directory
        self._open: list[ScriptStore] = []

    def source(self) -> RingSource:
        return RingSource(value=None, file=None, data_dir=self._directory, create=False)

    async def process(self, *, dies_at: int = 10**9, after: bool = False) -> ScriptStore:
        """A process that has started."""
        driver = SqliteDriver(self._database, Db(Queries.load("sqlite"), ENTROPY, None))
        driver._connection.execute("PRAGMA synchronous=OFF")
        store = ScriptStore(MortalDriver(driver, dies_at, after=after), LiveRing(self.source()))
        self._open.append(store)
        await store.admit_key_ring()
        return store

    def rotation(self, store: ScriptStore, *, wait_s: float = 0.0, tell: Callable[[str], None] = print) -> Rotation:
        admin = KeyRingAdmin(store, SystemClock(), SystemEntropy())
        return Rotation(
            store, admin, EditedRing(self.source()), COMMAND, wait_s=wait_s, tell=tell, watch=lambda progress: None
        )

    def keys(self) -> list[str]:
        return [key_id for key_id, _ in read_keys(self.path.read_text())]

    async def aclose(self) -> None:
        for store in self._open:
            await store.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> SqliteEngine:
    return SqliteEngine(tmp_path_factory.mktemp("rotation"))


@pytest.fixture
async def installation(tmp_path: Path, engine: SqliteEngine) -> Any:
    made = Installation(tmp_path, engine)
    yield made
    await made.aclose()


async def filled(store: ScriptStore) -> list[Idempotency]:
    await store.create_account(builders.account(), callback_token="token", entry=entry(), idempotency=None)
    uses = [idempotency("admin", f"key {number}", answer=b"answer %d" % number) for number in range(3)]
    for use in uses:
        await store.add_audit(entry(), use)
    return uses


async def assert_opens(store: ScriptStore, uses: list[Idempotency]) -> None:
    assert len(await store.accounts()) == 1
    for use in uses:
        replay = await store.find_replay(use.scope, use.key, use.fingerprint)
        assert replay == Replay(status=use.status, answer=use.answer)


@pytest.mark.parametrize("after", [False, True])
async def test_a_rotation_that_is_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, engine: SqliteEngine, after: bool
) -> None:
    for dies_at in itertools.count(1):
        directory = tmp_path / str(dies_at)
        directory.mkdir()
        installation = Installation(directory, engine)
        uses = await filled(await installation.process())
        ended = False
        try:
            rotation = installation.rotation(await installation.process(dies_at=dies_at, after=after))
            first = await rotation.run()
            await rotation.remove("k1")
            ended = True
        except Killed:
            pass
        next_one = await installation.process()
        await assert_opens(next_one, uses)
        if not ended:
            standing = await next_one.key_ring()
            # Killed at the end of the removal, there is no such key any more.
            if "k1" in {*standing.key_ids, *(mark.key_id for mark in standing.marks)}:
                if not await removable(next_one, "k1"):
                    await installation.rotation(next_one).run()
                await installation.rotation(next_one).remove("k1")
        else:
            assert first.removable == ["k1"]
        (key_id,) = installation.keys()
        assert key_id != "k1"
        last = await installation.process()
        await assert_opens(last, uses)
        assert [mark.key_id for mark in (await last.key_ring()).marks] == [key_id]
        told = [view.action for view in (await last.audit(AuditFilter(), position=None, limit=100)).data]
        assert told.count("keyring.rotated") == 1
        await installation.aclose()
        if ended:
            assert dies_at > 6
            return


async def removable(store: ScriptStore, key_id: str) -> bool:
    try:
        await KeyRingAdmin(store, SystemClock(), SystemEntropy()).check_unused(key_id)
    except InUse:
        return False
    return True


async def test_nothing_is_activated_before_every_gateway_has_the_key(installation: Installation) -> None:
    store, told = await installation.process(), list[str]()
    await filled(store)
    await store.tell_key_ring(b"elsewher", "elsewhere:1")
    rotation = installation.rotation(store, tell=told.append)
    with pytest.raises(InUse, match=r"have not got the key k.*, and run this command again: elsewhere:1\.$"):
        await rotation.run()
    assert installation.keys()[0] == "k1"
    assert told[-1] == "Waits for elsewhere:1."
    # A copy of the key ring has come to the gateway: our own process stands for it here.
    await store.tell_key_ring(b"elsewher", "elsewhere:1")
    with pytest.raises(InUse, match=r"do not seal with k.* yet.*`relay keyring reencrypt`: elsewhere:1"):
        await rotation.run()
    await store.tell_key_ring(b"elsewher", "elsewhere:1")
    done = await rotation.run()
    assert installation.keys() == [done.active, "k1"]
    assert told[-1] == f"Goes on with the rotation to {done.active}, which was broken off."


async def test_a_key_that_something_needs_is_not_removed(installation: Installation) -> None:
    store = await installation.process()
    await filled(store)
    rotation = installation.rotation(store)
    with pytest.raises(InUse, match="is the active key"):
        await rotation.remove("k1")
    with pytest.raises(NotFound):
        await rotation.remove("k7")
    key_id = await rotation.add()
    await rotation.activate(key_id)
    with pytest.raises(InUse, match=r"still seals values \(accounts 1, idempotency 3\)"):
        await rotation.remove("k1")
    await rotation.finish(key_id)
    other = KeyRing({"k1": bytes(32)})
    lagging = ScriptStore(store._driver, other)
    await lagging.tell_key_ring(b"lagging ", "lagging:1")
    with pytest.raises(InUse, match="still seals in lagging:1"):
        await rotation.remove("k1")
    await lagging.leave_key_ring(b"lagging ")
    await rotation.remove("k1")
    assert installation.path.read_text().startswith("# Ours.\n" + key_id)


async def test_a_ring_that_went_wrong_is_not_taken_and_the_one_before_goes_on(installation: Installation) -> None:
    store = await installation.process()
    uses, good = await filled(store), installation.path.read_text()
    for wrong, words in (
        ("nonsense", "line 1"),
        (write_key("k9", bytes([9] * 32)), "lacks 'k1'"),
        (write_key("k1", bytes([9] * 32)), "is not the one that sealed"),
        (f"{write_key('k9', bytes([9] * 32))}\n", "lacks 'k1'"),
    ):
        installation.path.write_text(wrong)
        for _ in range(2):
            with pytest.raises(KeyRingError, match=words):
                await store.follow_key_ring()
        await assert_opens(store, uses)
        assert store._ring.active == "k1"
    installation.path.unlink()
    with pytest.raises(KeyRingError, match="there is no key ring"):
        await store.follow_key_ring()
    installation.path.touch(mode=0o600)
    installation.path.write_text(good)
    assert await store.follow_key_ring()
    assert not await store.follow_key_ring()


async def test_a_value_with_an_unknown_key_is_opened_with_the_ring_of_now(installation: Installation) -> None:
    late, quick = await installation.process(), await installation.process()
    EditedRing(installation.source()).activate(EditedRing(installation.source()).add())
    await quick.follow_key_ring()
    uses = await filled(quick)
    await assert_opens(late, uses)
    assert late._ring.active == quick._ring.active


async def test_a_process_that_was_frozen_looks_at_the_file_before_it_seals(installation: Installation) -> None:
    now_s = 0.0
    live = LiveRing(installation.source(), monotonic_s=lambda: now_s)
    key_id = EditedRing(installation.source()).add()
    EditedRing(installation.source()).activate(key_id)
    assert live.current.active == "k1"
    now_s = 6.0
    assert live.current.key_ids == (key_id, "k1")
    EditedRing(installation.source()).remove("k1")
    now_s = 12.0
    assert live.current.key_ids == (key_id, "k1")  # nobody has asked the database whether something needs it


def test_the_file_is_replaced_whole_with_its_mode_and_its_notes(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "keyring"
    real.touch(mode=0o640)
    real.chmod(0o640)
    real.write_text(f"# Mine.\n{write_key('k1', bytes(32))}, {write_key('k2', bytes([2] * 32))}\n# Old.\n")
    link.symlink_to(real)
    (tmp_path / "real.next").write_text("what a killed process left")
    edited = EditedRing(RingSource(value=None, file=link, data_dir=tmp_path, create=False))
    edited.activate("k2")
    assert real.read_text() == f"# Mine.\n# Old.\n{write_key('k2', bytes([2] * 32))}\n{write_key('k1', bytes(32))}\n"
    assert real.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keyring", "real"]
    with pytest.raises(KeyRingError, match="no key 'k7'"):
        edited.activate("k7")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keyring", "real"]


def test_a_value_of_the_environment_is_changed_by_nobody_else(tmp_path: Path) -> None:
    source = RingSource(value=write_key("k1", bytes(32)), file=None, data_dir=tmp_path, create=True)
    with pytest.raises(KeyRingError, match="RELAY_KEYRING: change it there, and restart"):
        EditedRing(source).add()
    assert LiveRing(source).candidate() is None
    assert list(tmp_path.iterdir()) == []
