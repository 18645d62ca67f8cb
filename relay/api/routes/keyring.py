"""The key ring, for the platform team: which keys there are and what they seal. Commands change it, not the API."""

from typing import Final

import msgspec

from relay.api.call import Call
from relay.api.exchange import Answer
from relay.api.operations import Operation, Respond
from relay.domain.keyring import KeyRingView

_ENCODER: Final = msgspec.json.Encoder()


async def read_key_ring(call: Call) -> Answer:
    """The state of the key ring."""
    return Answer(200, _ENCODER.encode(await call.services.key_ring_admin.view()))


OPERATIONS: Final = (
    Operation(
        id="getKeyRing",
        method="GET",
        path="/v1/admin/keyring",
        tag="Platform",
        summary="See the keys that seal secrets at rest",
        description="By their ids; no key is shown. `keys` holds those of the process that answers, the active one "
        "first, then any others that the database knows. Every sealed value is counted, so this takes as long as "
        "walking over the answers that are kept for Idempotency-Keys. The key ring is changed by `relay keyring`, on "
        "the machine.",
        scope="admin",
        run=read_key_ring,
        answers=(Respond(status=200, description="The key ring.", body=KeyRingView),),
    ),
)
