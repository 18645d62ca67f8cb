"""How many segments a text takes: the unit of quota and balance."""

SINGLE_UNITS = 70
PART_UNITS = 67


def count_segments(text: str) -> int:
    """1 up to 70 UTF-16 units, else ceil(units / 67); an empty text is one segment.

    The signature counts. Source: assumption of the provider contract, section 2, "segments".
    """
    units = len(text)
    if not text.isascii():
        units += sum(character > "\uffff" for character in text)
    return 1 if units <= SINGLE_UNITS else -(-units // PART_UNITS)
