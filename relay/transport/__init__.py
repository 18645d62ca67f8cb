"""The httpx transport of every outgoing call: pinned addresses, and exact knowledge of what was written.

    httpx.AsyncClient(transport=Transport(permit=...), trust_env=False)
        transport.py    places (how many requests at once), httpx models to httpcore models and back
        failures.py     the one seam where httpcore's exceptions become httpx's; who may say NothingSent
        network.py      resolve, check, connect to the checked address, TLS; asks and notes when the first byte goes

A failure is a ``relay.domain.errors.NothingSent`` (and an httpx connect or pool error as well) only on evidence.
"""

from relay.transport.network import IPAddress, Permit, Resolve
from relay.transport.transport import Transport

__all__ = ["IPAddress", "Permit", "Resolve", "Transport"]
