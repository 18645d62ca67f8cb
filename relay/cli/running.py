"""What every command that runs the event loop shares."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from relay.config import Settings, load

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work`` on the fast event loop, where there is one."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


def settings(**usual: str) -> Settings:
    """Settings from the environment; ``usual`` holds values (``port="0"``) for what the environment does not set."""
    return load(with_usual(os.environ, usual))


def with_usual(environ: Mapping[str, str], usual: Mapping[str, str]) -> dict[str, str]:
    """``environ`` and a variable for each usual value whose setting is not in it, as value or as file."""
    merged = dict(environ)
    for name, value in usual.items():
        variable = f"RELAY_{name.upper()}"
        if not merged.get(variable) and not merged.get(f"{variable}_FILE"):
            merged[variable] = value
    return merged


def log_as(chosen: Settings) -> None:
    """Sets up logging as the settings say."""
    from relay.telemetry import logs

    logs.configure(chosen.log_level, chosen.log_format)
