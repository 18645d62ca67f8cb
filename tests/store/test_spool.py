"""The spool: what was acknowledged survives, in order, once, whatever the disk and the process do."""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.errors import SpoolUnavailable, StoreInUse, StoreUnavailable
from relay.domain.ids import AccountId, RawId
from relay.domain.provider import RawBody
from relay.ports import PendingRaw
from relay.store.spool import BATCH_BODIES, BATCH_BYTES, Spool
from relay.store.spool_frames import read_frames, write_frame

MARKER = b"\x01marker\xff"
RECEIVED_MS = 1_795_392_000_000


def item(number: int, body: bytes = b'[{"mobile":"13800138000"}]') -> PendingRaw:
    raw = RawBody(
        kind="report",
        source="push",
        content_type="application/json",
        query=b"",
        body=body,
        received_ms=RECEIVED_MS + number,
    )
    return PendingRaw(id=RawId(f"raw_{number:032x}"), account_id=AccountId("acct_1"), raw=raw)


def numbers(items: list[PendingRaw]) -> list[int]:
    return [int(each.id[4:], 16) for each in items]


@asynccontextmanager
async def spool(directory: Path, **options: Any) -> AsyncIterator[Spool]:
    made = Spool(directory, **options)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


def collect(into: list[PendingRaw]) -> Callable[[list[PendingRaw]], Awaitable[tuple[()]]]:
    async def apply(items: list[PendingRaw]) -> tuple[()]:
        into.extend(items)
        return ()

    return apply


async def replayed(directory: Path) -> list[PendingRaw]:
    found: list[PendingRaw] = []
    async with spool(directory) as there:
        assert await there.replay(collect(found)) == len(found)
        assert (there.depth, there.oldest_ms, there.size_bytes) == (0, None, 0)
    return found


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool"))


def corrupt(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.corrupt"))


def refused(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.refused"))


async def filled(directory: Path, count: int, **options: Any) -> None:
    async with spool(directory, **options) as there:
        for number in range(count):
            await there.append(item(number))


async def test_bodies_come_back_in_order_and_byte_for_byte(tmp_path: Path) -> None:
    bodies = [b"", bytes(range(256)), b"x" * 100_000, MARKER * 3, "您好".encode()]
    async with spool(tmp_path / "spool") as there:
        for number, body in enumerate(bodies):
            await there.append(item(number, body))
        assert (there.depth, there.oldest_ms) == (5, RECEIVED_MS)
        assert there.size_bytes == sum(path.stat().st_size for path in segments(tmp_path / "spool"))
    assert await replayed(tmp_path / "spool") == [item(number, body) for number, body in enumerate(bodies)]


async def test_what_was_replayed_leaves_no_file_and_does_not_come_again(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    assert numbers(await replayed(tmp_path)) == [0, 1, 2]
    assert os.listdir(tmp_path) == ["lock"]
    assert await replayed(tmp_path) == []


async def test_files_and_directory_are_private(tmp_path: Path) -> None:
    await filled(tmp_path / "spool", 1)
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "spool").iterdir())


async def test_bodies_that_come_during_a_replay_are_part_of_it(tmp_path: Path) -> None:
    found: list[PendingRaw] = []
    async with spool(tmp_path) as there:
        await there.append(item(0))

        async def apply(items: list[PendingRaw]) -> tuple[()]:
            found.extend(items)
            if len(found) < 5:
                await there.append(item(len(found)))
            return ()

        assert await there.replay(apply) == 5
        assert there.depth == 0
    assert numbers(found) == [0, 1, 2, 3, 4]


async def test_segments_roll_and_keep_the_order(tmp_path: Path) -> None:
    await filled(tmp_path, 10, segment_bytes=300)
    assert len(segments(tmp_path)) > 3
    await filled(tmp_path, 1)
    assert numbers(await replayed(tmp_path)) == [*range(10), 0]


async def test_a_replay_that_fails_goes_on_with_the_same_body(tmp_path: Path) -> None:
    await filled(tmp_path, 4, segment_bytes=1)
    found: list[PendingRaw] = []

    async def apply(items: list[PendingRaw]) -> tuple[()]:
        if len(found) == 2:
            raise StoreUnavailable("still away")
        found.extend(items)
        return ()

    async with spool(tmp_path) as there:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="still away"):
                await there.replay(apply)
        assert (there.depth, there.oldest_ms) == (2, RECEIVED_MS + 2)
    assert numbers(found) == [0, 1]
    assert numbers(await replayed(tmp_path)) == [2, 3]


async def test_an_error_of_the_applier_is_not_taken_for_the_spools(tmp_path: Path) -> None:
    async def apply(items: list[PendingRaw]) -> tuple[()]:
        raise OSError("not ours")

    await filled(tmp_path, 1)
    async with spool(tmp_path) as there:
        with pytest.raises(OSError, match="not ours"):
            await there.replay(apply)


@pytest.mark.parametrize("turns", range(30))
async def test_a_replay_may_be_cancelled_anywhere_and_loses_and_repeats_nothing(tmp_path: Path, turns: int) -> None:
    await filled(tmp_path, 3, segment_bytes=200)
    found: list[PendingRaw] = []
    async with spool(tmp_path) as there:
        task = asyncio.create_task(there.replay(collect(found)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await there.replay(collect(found))
        assert there.depth == 0
    assert numbers(found) == [0, 1, 2]


async def test_closing_in_a_replay_waits_for_the_body_that_is_applied_and_marks_it(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    started, go_on = asyncio.Event(), asyncio.Event()
    found: list[PendingRaw] = []

    async def apply(items: list[PendingRaw]) -> tuple[()]:
        started.set()
        await go_on.wait()
        found.extend(items)
        return ()

    there = Spool(tmp_path)
    await there.start()
    replay = asyncio.create_task(there.replay(apply))
    await started.wait()
    close = asyncio.create_task(there.close())
    await asyncio.wait([close], timeout=0.05)
    assert not close.done()
    go_on.set()
    await close
    with pytest.raises(StoreUnavailable, match="closed"):
        await replay
    with pytest.raises(StoreUnavailable, match="closed"):
        await there.append(item(9))
    assert numbers(found + await replayed(tmp_path)) == [0, 1, 2]


async def test_appends_that_wait_share_one_fsync(tmp_path: Path) -> None:
    synced: list[int] = []

    def fsync(fd: int) -> None:
        os.fsync(fd)
        synced.append(fd)

    async with spool(tmp_path, fsync=fsync) as there:
        await there.append(item(0))
        before = len(synced)
        await asyncio.gather(*(there.append(item(number)) for number in range(1, 101)))
        assert len(synced) - before == 1
    assert numbers(await replayed(tmp_path)) == list(range(101))


async def test_a_caller_that_gives_up_does_not_take_its_neighbours_down(tmp_path: Path) -> None:
    async with spool(tmp_path) as there:
        tasks = [asyncio.create_task(there.append(item(number))) for number in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome is None for outcome in outcomes] == [False, True, True, False, True]
    assert numbers(await replayed(tmp_path)) == [0, 1, 2, 3, 4]


async def test_what_waits_when_it_is_closed_is_still_written(tmp_path: Path) -> None:
    there = Spool(tmp_path)
    await there.start()
    tasks = [asyncio.create_task(there.append(item(number))) for number in range(3)]
    await asyncio.sleep(0)
    await there.close()
    assert [task.done() for task in tasks] == [True, True, True]
    await asyncio.gather(*tasks)
    assert numbers(await replayed(tmp_path)) == [0, 1, 2]


async def test_two_never_share_a_directory(tmp_path: Path) -> None:
    async with spool(tmp_path):
        second = Spool(tmp_path)
        with pytest.raises(StoreInUse):
            await second.start()
        await second.close()
    async with spool(tmp_path):
        pass


@contextmanager
def no_file_beyond(size_bytes: int) -> Iterator[None]:
    """What a full disk does: a write goes as far as it can, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room_bytes", [0, 1, 20, 21, 100, 1000])
async def test_a_full_disk_refuses_the_body_and_spoils_no_other(tmp_path: Path, room_bytes: int) -> None:
    async with spool(tmp_path) as there:
        for number in range(2):
            await there.append(item(number))
        with no_file_beyond(there.size_bytes + room_bytes):
            for number in range(2, 4):
                with pytest.raises(StoreUnavailable):
                    await there.append(item(number, b"x" * 20_000))
        assert sum(path.stat().st_size for path in segments(tmp_path)) == there.size_bytes
        await there.append(item(4))
        found: list[PendingRaw] = []
        assert await there.replay(collect(found)) == 3
    assert numbers(found) == [0, 1, 4]
    assert corrupt(tmp_path) == []


async def test_a_full_disk_does_not_stop_the_replay(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    found: list[PendingRaw] = []
    async with spool(tmp_path) as there:
        with no_file_beyond(there.size_bytes):
            assert await there.replay(collect(found)) == 3
    assert numbers(found) == [0, 1, 2]


class BadDisk:
    """fsync that fails while ``fails``; ``fails_on`` limits it to directories or to files."""

    def __init__(self) -> None:
        self.fails = False
        self.fails_on = {True, False}

    def fsync(self, fd: int) -> None:
        if self.fails and (os.fstat(fd).st_mode & 0o170000 == 0o040000) in self.fails_on:
            raise OSError(errno.EIO, "bad disk")
        os.fsync(fd)


@pytest.mark.parametrize("on_directory", [True, False])
async def test_a_failed_fsync_refuses_the_body_and_never_uses_that_file_again(
    tmp_path: Path, on_directory: bool
) -> None:
    disk = BadDisk()
    disk.fails_on = {on_directory}
    async with spool(tmp_path, fsync=disk.fsync, segment_bytes=1 if on_directory else 10_000) as there:
        await there.append(item(0))
        disk.fails = True
        outcomes = await asyncio.gather(*(there.append(item(n)) for n in (1, 2)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [SpoolUnavailable, SpoolUnavailable]
        assert there.depth == 1
        disk.fails = False
        await there.append(item(3))
        assert len({path.name for path in segments(tmp_path)}) >= 2
    assert numbers(await replayed(tmp_path)) == [0, 3]


async def test_a_mark_that_cannot_be_written_does_not_apply_the_body_again(tmp_path: Path) -> None:
    disk = BadDisk()
    await filled(tmp_path, 2)
    found: list[PendingRaw] = []
    async with spool(tmp_path, fsync=disk.fsync) as there:
        disk.fails = True
        with pytest.raises(StoreUnavailable):
            await there.replay(collect(found))
        disk.fails = False
        assert await there.replay(collect(found)) == 0
    assert numbers(found) == [0, 1]


async def test_damage_that_cannot_be_set_aside_is_not_dropped(tmp_path: Path) -> None:
    disk = BadDisk()
    await filled(tmp_path, 2)
    spoil(segments(tmp_path)[0], -1)
    found: list[PendingRaw] = []
    async with spool(tmp_path, fsync=disk.fsync) as there:
        disk.fails = True
        with pytest.raises(StoreUnavailable):
            await there.replay(collect(found))
        disk.fails = False
        assert await there.replay(collect(found)) == 1
        assert there.set_aside == 1
    assert len(corrupt(tmp_path)) == 1


def spoil(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x55
    path.write_bytes(bytes(data))


async def test_a_segment_cut_at_any_byte_gives_the_whole_bodies_before_it(tmp_path: Path) -> None:
    sizes = [len(write_frame(MARKER, item(number))) for number in range(3)]
    data = b"".join(write_frame(MARKER, item(number)) for number in range(3))
    for size in range(len(data) + 1):
        directory = tmp_path / str(size)
        directory.mkdir()
        (directory / f"0000000001-{MARKER.hex()}.spool").write_bytes(data[:size])
        whole = sum(size >= sum(sizes[: count + 1]) for count in range(3))
        assert numbers(await replayed(directory)) == list(range(whole)), size
        assert corrupt(directory) == [], size


async def test_damage_anywhere_loses_at_most_that_body_and_keeps_its_bytes(tmp_path: Path) -> None:
    frames = [write_frame(MARKER, item(number)) for number in range(3)]
    for offset in range(len(frames[0]), len(frames[0]) + len(frames[1])):
        directory = tmp_path / str(offset)
        directory.mkdir()
        path = directory / f"0000000001-{MARKER.hex()}.spool"
        path.write_bytes(b"".join(frames))
        spoil(path, offset)
        damaged = path.read_bytes()[len(frames[0]) : -len(frames[2])]
        found = await replayed(directory)
        if offset - len(frames[0]) == 8:  # the mark itself: neither "-" nor "+" is as good as "-"
            assert numbers(found) == [0, 1, 2]
        else:
            assert numbers(found) == [0, 2], offset
            assert [each.read_bytes() for each in corrupt(directory)] == [damaged]


async def test_damage_is_set_aside_once_though_the_replay_is_interrupted(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    spoil(segments(tmp_path)[0], 100)

    async def fail(items: list[PendingRaw]) -> tuple[()]:
        raise StoreUnavailable("away")

    for _ in range(2):
        async with spool(tmp_path) as there:
            with pytest.raises(StoreUnavailable):
                await there.replay(fail)
    assert len(corrupt(tmp_path)) == 1
    assert numbers(await replayed(tmp_path)) == [1, 2]
    await filled(tmp_path, 1)
    assert segments(tmp_path)[0].name[:10] > corrupt(tmp_path)[0].name[:10]


async def test_a_frame_that_a_stranger_wrote_into_a_body_is_never_read(tmp_path: Path) -> None:
    marker = b"guessed!"
    forged = write_frame(marker, item(666))
    async with spool(tmp_path) as there:
        await there.append(item(0, forged * 2))
        await there.append(item(1))
    spoil(segments(tmp_path)[0], 10)  # the length: the reader has to look for the next frame by itself
    assert numbers(await replayed(tmp_path)) == [1]


async def test_zeros_that_a_crash_left_at_the_end_are_skipped(tmp_path: Path) -> None:
    await filled(tmp_path, 2)
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert numbers(await replayed(tmp_path)) == [0, 1]
    assert corrupt(tmp_path) == []


async def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.spool").write_bytes(b"mine")
    (tmp_path / "0000000001-zz.spool").write_bytes(b"mine")
    await filled(tmp_path, 1)
    assert numbers(await replayed(tmp_path)) == [0]
    assert len(segments(tmp_path)) == 2


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=6), st.data())
def test_any_torn_end_gives_a_prefix_and_no_damage(bodies: list[bytes], data: st.DataObject) -> None:
    items = [item(number, body) for number, body in enumerate(bodies)]
    whole = b"".join(write_frame(MARKER, each) for each in items)
    cut = data.draw(st.integers(0, len(whole)))
    zeros = data.draw(st.sampled_from([0, 0, 50])) if cut == len(whole) else 0
    found = [frame.item for frame in read_frames(MARKER, whole[:cut] + bytes(zeros))]
    assert found == items[: len(found)]
    assert len(found) == sum(
        cut >= sum(len(write_frame(MARKER, each)) for each in items[: count + 1]) for count in range(len(items))
    )


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.data())
def test_any_damage_is_covered_by_pieces_and_never_invents_a_body(bodies: list[bytes], data: st.DataObject) -> None:
    items = [item(number, body) for number, body in enumerate(bodies)]
    spoiled = bytearray(b"".join(write_frame(MARKER, each) for each in items))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(spoiled) - 1))
        spoiled[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
        if not spoiled:
            break
    frames = list(read_frames(MARKER, bytes(spoiled)))
    assert all(frame.item is None or frame.item in items for frame in frames)
    assert all(frame.offset < frame.end <= len(spoiled) for frame in frames)
    assert all(left.end <= right.offset for left, right in pairwise(frames))


CHILD = """
import asyncio, sys
from pathlib import Path
import msgspec
from relay.ports import PendingRaw
from relay.store.spool import BATCH_BODIES, BATCH_BYTES, Spool

async def main():
    item = msgspec.msgpack.decode(bytes.fromhex(sys.argv[2]), type=PendingRaw)
    spool = Spool(Path(sys.argv[1]), segment_bytes=4000)
    await spool.start()
    async def write(first):
        for number in range(first, 1_000_000, 8):
            await spool.append(msgspec.structs.replace(item, id=f"raw_{number:032x}"))
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
    await asyncio.gather(*(write(first) for first in range(8)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_before_a_kill_comes_back(tmp_path: Path) -> None:
    encoded = msgspec.msgpack.encode(item(0)).hex()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(tmp_path / "spool"), encoded, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = {int(await child.stdout.readline()) for _ in range(300)}
    with pytest.raises(StoreInUse):
        async with spool(tmp_path / "spool"):
            pass
    child.send_signal(signal.SIGKILL)
    # The last line may be cut off.
    rest = (await child.stdout.read()).decode()
    acknowledged |= {int(line) for line in rest[: rest.rfind("\n") + 1].split()}
    await child.wait()
    found = numbers(await replayed(tmp_path / "spool"))
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))
    assert corrupt(tmp_path / "spool") == []


# -- what is applied together ----------------------------------------------------------------------------------------


async def test_a_replay_gives_out_a_bounded_number_of_bodies_and_bytes_at_a_time(tmp_path: Path) -> None:
    sizes: list[int] = []

    async def apply(items: list[PendingRaw]) -> tuple[()]:
        sizes.append(len(items))
        return ()

    async with spool(tmp_path) as there:
        await asyncio.gather(*(there.append(item(number)) for number in range(BATCH_BODIES + 20)))
        for number in range(4):
            await there.append(item(number, b"x" * (BATCH_BYTES // 2)))
        await there.replay(apply)

    assert sizes == [BATCH_BODIES, 22, 2]


async def test_bodies_wait_from_the_call_until_they_are_applied(tmp_path: Path) -> None:
    waited: list[bool] = []
    async with spool(tmp_path) as there:

        async def apply(items: list[PendingRaw]) -> tuple[()]:
            waited.append(there.waiting)
            return ()

        waited.append(there.waiting)
        appending = there.append(item(0))
        waited.append(there.waiting)
        await appending
        waited.append(there.waiting)
        await there.replay(apply)
        waited.append(there.waiting)
    assert waited == [False, True, True, True, False]


async def test_a_turn_comes_when_a_replay_that_gets_on_has_applied_the_last_bodies(tmp_path: Path) -> None:
    turns: list[asyncio.Task[bool]] = []

    async def apply(items: list[PendingRaw]) -> tuple[()]:
        turns.append(asyncio.create_task(there.turn(60.0)))
        await asyncio.sleep(0)
        return ()

    async with spool(tmp_path) as there:
        assert await there.turn(60.0)
        await asyncio.gather(*(there.append(item(number)) for number in range(2 * BATCH_BODIES + 1)))
        assert not await there.turn(60.0)  # nobody applies them
        await there.replay(apply)
        # The first time nothing had been applied yet, the second time there was more than a little left.
        assert await asyncio.wait_for(asyncio.gather(*turns), 5) == [False, False, True]


async def test_a_turn_does_not_come_when_the_last_bodies_fail_or_take_too_long(tmp_path: Path) -> None:
    turns: list[asyncio.Task[bool]] = []

    async def apply(items: list[PendingRaw]) -> tuple[()]:
        if len(items) == BATCH_BODIES:
            return ()
        assert not await there.turn(0.01)
        turns.append(asyncio.create_task(there.turn(60.0)))
        await asyncio.sleep(0)
        raise StoreUnavailable("away")

    async with spool(tmp_path) as there:
        await asyncio.gather(*(there.append(item(number)) for number in range(BATCH_BODIES + 1)))
        with pytest.raises(StoreUnavailable):
            await there.replay(apply)
        assert await asyncio.wait_for(asyncio.gather(*turns), 5) == [False]


async def test_bodies_that_cannot_be_written_do_not_wait(tmp_path: Path) -> None:
    disk = BadDisk()
    async with spool(tmp_path, fsync=disk.fsync) as there:
        disk.fails = True
        with pytest.raises(SpoolUnavailable):
            await there.append(item(0))
        assert not there.waiting


async def test_bodies_that_cannot_be_read_hold_nobody_up_until_they_can(tmp_path: Path) -> None:
    found: list[PendingRaw] = []
    async with spool(tmp_path) as there:
        await there.append(item(0))
        path = segments(tmp_path)[0]
        away = path.rename(tmp_path / "away")
        with pytest.raises(SpoolUnavailable):
            await there.replay(collect(found))
        assert (there.waiting, there.depth) == (False, 1)
        away.rename(path)
        assert await there.replay(collect(found)) == 1
    assert numbers(found) == [0]


async def test_a_body_that_can_never_be_applied_is_set_aside_and_holds_nobody_up(tmp_path: Path) -> None:
    found: list[PendingRaw] = []

    async def apply(items: list[PendingRaw]) -> list[RawId]:
        found.extend(items)
        return [items[1].id]

    async with spool(tmp_path) as there:
        for number in range(3):
            await there.append(item(number))
        assert await there.replay(apply) == 2
        assert (there.set_aside, there.depth) == (1, 0)
    assert numbers(found) == [0, 1, 2]
    (path,) = refused(tmp_path)
    marker = bytes.fromhex(path.name[11:27])
    assert path.read_bytes() == write_frame(marker, item(1))
    assert path.stat().st_mode & 0o077 == 0
    assert await replayed(tmp_path) == []


async def test_a_body_that_cannot_be_set_aside_is_given_again(tmp_path: Path) -> None:
    disk = BadDisk()
    await filled(tmp_path, 2)
    found: list[PendingRaw] = []

    async def apply(items: list[PendingRaw]) -> list[RawId]:
        found.extend(items)
        return [items[0].id]

    async with spool(tmp_path, fsync=disk.fsync) as there:
        disk.fails = True
        with pytest.raises(SpoolUnavailable):
            await there.replay(apply)
        assert there.depth == 2
        disk.fails = False
        assert await there.replay(apply) == 1
    assert numbers(found) == [0, 1, 0, 1]
    assert len(refused(tmp_path)) == 1
