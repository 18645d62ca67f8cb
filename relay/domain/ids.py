"""Prefixed, time-ordered ids: a prefix, an underscore, and the 32 lower-case hex digits of a UUIDv7.

The 32 digits of a submission's id are also its upstream ``taskId``
(provider documentation: "globally unique"; assumed alphabet: up to 32 characters of ``[0-9a-z]``).
"""

import re
from typing import NewType

MessageId = NewType("MessageId", str)
SubmissionId = NewType("SubmissionId", str)
InboundId = NewType("InboundId", str)
EventId = NewType("EventId", str)
EndpointId = NewType("EndpointId", str)
DeliveryId = NewType("DeliveryId", str)
AttemptId = NewType("AttemptId", str)
TeamId = NewType("TeamId", str)
KeyId = NewType("KeyId", str)
AccountId = NewType("AccountId", str)
RawId = NewType("RawId", str)
OrphanId = NewType("OrphanId", str)
AuditId = NewType("AuditId", str)
SuppressionId = NewType("SuppressionId", str)

PREFIXES = {
    "message": "msg_",
    "submission": "sub_",
    "inbound": "in_",
    "event": "evt_",
    "endpoint": "ep_",
    "delivery": "dlv_",
    "attempt": "att_",
    "team": "team_",
    "key": "key_",
    "account": "acct_",
    "raw": "raw_",
    "orphan": "orph_",
    "audit": "aud_",
    "suppression": "sup_",
}

_HEX32 = re.compile(r"[0-9a-f]{32}\Z")


def is_id(text: str, prefix: str) -> bool:
    """True when ``text`` is ``prefix`` and 32 lower-case hex digits."""
    return text.startswith(prefix) and _HEX32.match(text, len(prefix)) is not None


def task_id(submission: SubmissionId) -> str:
    """The upstream ``taskId`` of a submission: its 32 hex digits."""
    return submission[len("sub_") :]


def is_task_id(text: str) -> bool:
    """True when ``text`` could be a ``taskId`` that we made."""
    return _HEX32.match(text) is not None


def raw_bytes(identifier: str) -> bytes:
    """The 16 bytes behind a prefixed id; what the store keeps."""
    return bytes.fromhex(identifier[-32:])


def first_id(ms: int) -> bytes:
    """The smallest UUIDv7 of this millisecond (RFC 9562, section 5.7: the first 48 bits are the time): "since" is a
    range of ids."""
    return max(0, ms).to_bytes(6) + bytes(10)


def id_ms(key: bytes) -> int:
    """The milliseconds that an id begins with."""
    return int.from_bytes(key[:6])
