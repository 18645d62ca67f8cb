"""Whether this replica should get requests."""

from relay.domain.errors import Draining
from relay.ports import Store


class Readiness:
    """Depends on the store and on ourselves, never on the provider: its outage must not take the gateway down."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.draining = False

    async def check(self) -> None:
        """Raises StoreUnavailable, SchemaMissing, or Draining."""
        if self.draining:
            raise Draining("This replica is about to stop.", retry_after_s=1.0)
        await self._store.check()
