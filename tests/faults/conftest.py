from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.faults.nursery import Nursery
from tests.faults.world import LATE, World
from tests.faults.world import open_world as open_world_in

OpenWorld: TypeAlias = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One for all tests: importing is what takes long."""
    nursery = Nursery()
    try:
        yield nursery
    finally:
        nursery.close()


@pytest.fixture
def open_world(nursery: Nursery, tmp_path: Path) -> OpenWorld:
    """``tests.faults.world.open_world`` with a place to be."""
    return partial(open_world_in, nursery, tmp_path / "var")


@pytest.fixture
async def world(open_world: OpenWorld) -> AsyncIterator[World]:
    """A gateway and its neighbours. The provider reports when the test says so."""
    async with open_world(report_delay_ms=LATE) as world:
        yield world
