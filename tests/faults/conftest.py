from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.world import LATE, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway and its neighbours. The provider reports when the test says so."""
    async with open_world(tmp_path / "var", report_delay_ms=LATE) as world:
        yield world
