"""Form bodies in: fast enough for 3,000 numbers in one field."""

from urllib.parse import unquote_to_bytes


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body; of a repeated field the last one.

    Bytes that are not UTF-8 become U+FFFD, so that the ledger shows them.
    """
    fields: dict[str, str] = {}
    for pair in body.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            fields[_decode(name)] = _decode(value)
    return fields


def _decode(raw: bytes) -> str:
    # The comma first: 3,000 escaped commas by unquote_to_bytes cost 1 ms, by replace 20 us. "%2C" cannot be the tail of
    # another escape, for a literal percent sign is itself escaped as "%25".
    raw = raw.replace(b"+", b" ").replace(b"%2C", b",").replace(b"%2c", b",")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace")
