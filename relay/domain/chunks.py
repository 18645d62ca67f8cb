"""Packing a message's numbers into submissions."""

from collections.abc import Iterable

from relay.domain.numbers import Mask, mask_of


def pack(mobiles: Iterable[int], max_mobiles: int) -> list[list[int]]:
    """Chunks of at most ``max_mobiles`` numbers, no two of one chunk with the same mask; order is kept within a chunk.

    Decision: masks are kept apart because a pulled report may carry ``135****9831``; inside one chunk a masked row is
    then never ambiguous. 3,000 random numbers need 2 chunks, rarely 3. O(n), also when every number has the same mask.
    """
    chunks: list[list[int]] = []
    next_chunk: dict[Mask, int] = {}
    first_open = 0
    for mobile in mobiles:
        mask = mask_of(mobile)
        index = max(first_open, next_chunk.get(mask, 0))
        while index < len(chunks) and len(chunks[index]) >= max_mobiles:
            index += 1
        if index == len(chunks):
            chunks.append([])
        chunks[index].append(mobile)
        next_chunk[mask] = index + 1
        while first_open < len(chunks) and len(chunks[first_open]) >= max_mobiles:
            first_open += 1
    return chunks
