"""What all metrics have: a registry, and the labels that others choose."""

from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry

MAX_ACCOUNTS: Final = 200
MAX_ROUTES: Final = 200
OTHER: Final = "other"

# Calls upstream and webhooks: as long as their time-outs (30 s, 15 s).
CALLED_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class _Capped:
    """Lets the first ``limit`` values through; later ones are ``other``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit:
            return OTHER
        self._seen.add(value)
        return value


class Part:
    """Some metrics of one process, in the registry of all of them."""

    def __init__(self) -> None:
        # Without this a `_created` time doubles the number of counter series; nothing uses it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # has no types
        self.registry = CollectorRegistry(auto_describe=True)
        self._account = _Capped(MAX_ACCOUNTS)
        self._route = _Capped(MAX_ROUTES)
