"""What the core needs of the outside. Adapters implement these; the services know nothing else.

Every method of ``Store`` is one transaction: true and durable (fsynced) when it returns, or it raised
``StoreUnavailable`` and nothing happened.

values.py      what goes in and comes out
outside.py     everything but the store: clock, entropy, provider, secrets, webhooks, replicas
messages.py    the store by areas: what teams send
routing.py     ... which account it goes over
received.py    ... what the provider says; the spool
orphans.py     ... what of that matched nobody
deliveries.py  ... what subscribers are told, and where
platform.py    ... what the platform team administers
keyring.py     ... what seals its secrets
upkeep.py      ... its own life, and what ends by time
"""

from typing import Protocol

from relay.ports.deliveries import DeliveryStore, EndpointStore, Straight
from relay.ports.keyring import KeyRingStore, RingFile
from relay.ports.messages import MessageStore
from relay.ports.orphans import OrphanStore
from relay.ports.outside import Clock, EgressPolicy, Entropy, Hints, Poster, Provider, SecretReader
from relay.ports.platform import (
    AccountStore,
    AuditStore,
    BalanceStore,
    ExtensionStore,
    KeyStore,
    SuppressionStore,
    TeamStore,
)
from relay.ports.received import ReceivedStore, Spool
from relay.ports.routing import RoutingStore, Stranded
from relay.ports.upkeep import UpkeepStore
from relay.ports.values import (
    AttemptRecord,
    Erased,
    FinishedDelivery,
    FinishedSubmission,
    Held,
    HintTopic,
    Idempotency,
    MaySend,
    MessageFilter,
    NewEndpoint,
    NewKey,
    Page,
    PendingRaw,
    PostResult,
    QueueDepth,
    Quota,
    ReadBody,
    ReadInbound,
    ReadReports,
    ReceivedBody,
    Replay,
    Retired,
    SealedBatch,
    SealedPosition,
    SetAside,
    Standing,
    Stored,
    StoredEffects,
    Swept,
    Telling,
    Told,
    Trimmed,
    always,
)

__all__ = [
    "AccountStore",
    "AttemptRecord",
    "AuditStore",
    "BalanceStore",
    "Clock",
    "EgressPolicy",
    "Entropy",
    "Erased",
    "FinishedDelivery",
    "FinishedSubmission",
    "Held",
    "HintTopic",
    "Hints",
    "Idempotency",
    "KeyRingStore",
    "KeyStore",
    "MaySend",
    "MessageFilter",
    "NewEndpoint",
    "NewKey",
    "OrphanStore",
    "Page",
    "PendingRaw",
    "PostResult",
    "Poster",
    "Provider",
    "QueueDepth",
    "Quota",
    "ReadBody",
    "ReadInbound",
    "ReadReports",
    "ReceivedBody",
    "Replay",
    "Retired",
    "RingFile",
    "RoutingStore",
    "SealedBatch",
    "SealedPosition",
    "SecretReader",
    "SetAside",
    "Spool",
    "Standing",
    "Store",
    "Stored",
    "StoredEffects",
    "Straight",
    "Stranded",
    "SuppressionStore",
    "Swept",
    "TeamStore",
    "Telling",
    "Told",
    "Trimmed",
    "always",
]


class Store(
    AccountStore,
    BalanceStore,
    TeamStore,
    ExtensionStore,
    KeyStore,
    SuppressionStore,
    OrphanStore,
    AuditStore,
    KeyRingStore,
    RoutingStore,
    MessageStore,
    ReceivedStore,
    DeliveryStore,
    EndpointStore,
    UpkeepStore,
    Protocol,
):
    """All that must be remembered. Lists are keyset pages; ``position`` is where the last page ended.

    ``team_id`` in a signature means: rows of other teams do not exist.
    """
