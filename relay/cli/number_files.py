"""Files of numbers, as spreadsheets and other systems write them."""

import codecs
import csv
from typing import Final

import msgspec

from relay.domain.numbers import read_mobile

_HEADS: Final = frozenset({"number", "mobile", "phone", "to", "手机号", "手机号码", "号码", "手机", "电话", "电话号码"})
_HEADS_MAY_END_IN: Final = (" number", " no", " no.")
_DELIMITERS: Final = (",", ";", "\t")


class NotNumbers(ValueError):
    """The file is no list of lines; the text says why."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What stands for a number in line ``at``, which counts from 1."""

    at: int
    number: str

    @property
    def mobile(self) -> int | None:
        """The number that it is; None when it is none."""
        return read_mobile(self.number)


def read_numbers(content: bytes) -> list[Line]:
    """One number per line, or CSV: then the column with a head of ``_HEADS``, else the first one. Blank lines are
    passed over, and so is a first line without any digit. Raises NotNumbers, also for a quotation mark that nothing
    closes: all lines behind it would be one cell."""
    text = _decode(content)
    first = text.partition("\n")[0]
    delimiter = next((found for found in _DELIMITERS if found in first), ",")
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    begun = 1
    lines: list[Line] = []
    column = 0
    try:
        for row in reader:
            begun = reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if not lines and column == 0 and (head := _head(row)) is not None:
                column = head
                continue
            lines.append(Line(at=reader.line_num, number=row[column].strip() if column < len(row) else ""))
    except csv.Error as error:
        raise NotNumbers(f'line {begun}: a quotation mark (") stands where none may, or has no second one') from error
    return lines


def _head(row: list[str]) -> int | None:
    """The column of the numbers when this row is a head, else None."""
    names = [_without_end(cell.strip().lower()) for cell in row]
    named = next((index for index, name in enumerate(names) if name in _HEADS), None)
    if named is not None:
        return named
    return None if any(char.isdigit() for cell in row for char in cell) else 0


def _without_end(name: str) -> str:
    for end in _HEADS_MAY_END_IN:
        name = name.removesuffix(end)
    return name


def _decode(content: bytes) -> str:
    # Spreadsheets write a byte order mark (for "Unicode text" that of UTF-16), or the code page of the machine.
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotNumbers("it is neither UTF-8, UTF-16 nor GB18030")
