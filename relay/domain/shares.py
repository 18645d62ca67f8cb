"""How replicas that share a database divide a limit: each computes its own share, and together they never exceed it.

Decision: who gets what a division leaves over is decided by rendezvous hashing, because ``rank % n`` lets two replicas
take the same remainder while one of them has not yet heard of a death or a join. Here a share never shrinks when a
replica goes (removing one only moves the others up), so shares computed from different lists of replicas add up to no
more than the limit, as long as every replica that uses its share is in everybody's list. Keeping that true is
``services.membership``'s part.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

_SCORE_BYTES: Final = 8


def place(replicas: Sequence[bytes], own: bytes, key: str) -> int:
    """The place of ``own`` among ``replicas`` for what ``key`` names, from 0. Another key gives another order."""
    prefix = key.encode()
    score = _score(prefix, own)
    return sum(_score(prefix, other) > score for other in replicas if other != own)


def share(limit: int, place: int, holders: int) -> int:
    """What the replica at ``place`` gets of ``limit`` that ``holders`` replicas divide; 0 behind the last of them."""
    if place >= holders:
        return 0
    return limit // holders + (place < limit % holders)


def _score(prefix: bytes, replica: bytes) -> bytes:
    # Decision: not crc32, because it is linear: the order for one key would decide much of the order for all others.
    return blake2b(prefix + replica, digest_size=_SCORE_BYTES).digest()
