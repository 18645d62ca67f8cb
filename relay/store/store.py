"""``ports.Store`` on top of a driver: all its parts, joined."""

from relay.store.parts.accounts import AccountsPart
from relay.store.parts.audit import AuditPart
from relay.store.parts.balances import BalancesPart
from relay.store.parts.deliveries import DeliveriesPart, EndpointsPart
from relay.store.parts.extensions import ExtensionsPart
from relay.store.parts.keyring import KeyRingPart
from relay.store.parts.keys import KeysPart
from relay.store.parts.messages import MessagesPart
from relay.store.parts.orphans import OrphansPart
from relay.store.parts.received import ReceivedPart
from relay.store.parts.routing import RoutingPart
from relay.store.parts.suppressions import SuppressionsPart
from relay.store.parts.teams import TeamsPart
from relay.store.parts.upkeep import UpkeepPart


class ScriptStore(
    AccountsPart,
    BalancesPart,
    TeamsPart,
    ExtensionsPart,
    KeysPart,
    SuppressionsPart,
    OrphansPart,
    AuditPart,
    KeyRingPart,
    RoutingPart,
    MessagesPart,
    ReceivedPart,
    DeliveriesPart,
    EndpointsPart,
    UpkeepPart,
):
    """The store. See ``relay.ports.Store`` for what each method promises."""

    async def close(self) -> None:
        """Finish what is queued and let go of the database."""
        await self._driver.close()
