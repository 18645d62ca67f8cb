"""Worlds to test in, and the log that they write: it is read after every test."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import structlog

from relay.telemetry import logs
from tests.flow.opening import open_world
from tests.flow.world import World, until

_NAMES = ("httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "asyncio")


class Log:
    """Every line that was logged since the test began."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.expected: set[str] = set()
        """Events of level error that this test is about."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Decoded."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.lines if line["event"] == event]

    async def when(self, event: str, number: int = 1) -> list[dict[str, Any]]:
        """The same, once there are so many: a thing is stored before it is told."""
        return await until(lambda: self.of(event), lambda lines: len(lines) >= number)


class OpenWorld(Protocol):
    """``open_world`` in this test's directory."""

    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[World]: ...


@pytest.fixture(autouse=True)
def log() -> Iterator[Log]:
    """The log of this test. Fails it when an exception or an error was logged that it does not expect."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    levels = {name: logging.getLogger(name).level for name in _NAMES}
    handlers = {name: logging.getLogger(name).handlers[:] for name in _NAMES}
    log = Log()
    logs.configure("debug", "json", stream=log.stream)
    # Loggers of modules would keep the stream of the first test that logs.
    structlog.configure(cache_logger_on_first_use=False)
    try:
        yield log
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(False)
        root.handlers[:], root.level = before[0], before[1]
        for name in _NAMES:
            logging.getLogger(name).setLevel(levels[name])
            logging.getLogger(name).handlers[:] = handlers[name]
    wrong = [line for line in log.lines if line["level"] in ("error", "critical") or "exception" in line]
    assert [line for line in wrong if line["event"] not in log.expected] == []


@pytest.fixture
async def worlds(tmp_path: Path, log: Log) -> AsyncIterator[OpenWorld]:
    """``worlds(limits=…)``: a world made to measure."""
    async with AsyncExitStack():
        yield lambda **settings: open_world(tmp_path, **settings)


@pytest.fixture
async def world(tmp_path: Path, log: Log) -> AsyncIterator[World]:
    """The usual world: one account without limits that matter, one team, reports 20 ms after a send."""
    async with open_world(tmp_path) as opened:
        yield opened
