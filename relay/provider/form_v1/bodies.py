"""From bytes to plain values: charset, JSON, the broken JSON of the provider's own document, forms.

Nothing here knows what a report is, and nothing here raises for what the bytes are. Texts may hold anything that JSON
allows; ``rows.text_of`` makes them storable.
"""

import json
import re
from binascii import a2b_qp
from collections.abc import Iterable
from typing import Final

import msgspec

UNREADABLE: Final = object()
"""What stands for a body that says nothing."""

_BOM: Final = b"\xef\xbb\xbf"
# float_hook: 1e30 and 1.50 stay as they were written, so that no id is ever cast.
_JSON: Final = msgspec.json.Decoder(float_hook=str)
# For what msgspec rightly refuses but hand-made JSON has: raw line breaks in a text, half of a surrogate pair.
_LENIENT: Final = json.JSONDecoder(strict=False, parse_float=str, parse_int=str, parse_constant=lambda _: None)

_MOST_TOKENS: Final = 30_000
"""Bound on the work for broken JSON, enough for 15,000 sound objects in a broken frame."""

# O(n): a sound flat object is tried from one brace to the next at most, everything else matches wherever it begins (an
# unclosed text or comment runs to the end), and nothing is ever tried twice.
_STRING: Final = r"""\s*+"(?:[^"\\{}]++|\\[^{}])*+"\s*+"""
_TOKEN: Final = re.compile(
    rf"""(?P<flat>\{{(?:{_STRING}:(?:{_STRING}|\s*+[-+.\w]++\s*+)(?:,(?!\s*+\}})|(?=\}})))++\}})"""
    r"""|(?P<text>"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z))"""
    r"""|(?P<comment>//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z))"""
    r"""|(?P<bracket>[][{}])|(?P<other>[^][{}"/]++|/)""",
    re.DOTALL,
)
_COLON: Final = re.compile(r"\s*+:")


def charset_of(data: bytes) -> tuple[str, str]:
    """Charset and error handler by which ``data`` is to be decoded: UTF-8, else GB18030.

    Assumption of provider/contract.md 2, "shape of a callback". Decision: a declared charset is not looked at, because
    UTF-8 proves itself and GB18030 does not. A character cut off at the very end does not make UTF-8 something else.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.end == len(data):
            return "utf-8", "replace"
    else:
        return "utf-8", "strict"
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return "utf-8", "replace"
    return "gb18030", "strict"


def decode_text(data: bytes) -> str:
    """The text of ``data``, without a BOM."""
    return data.removeprefix(_BOM).decode(*charset_of(data))


def read_json(data: bytes) -> object:
    """The value of well-formed JSON in either charset, else UNREADABLE. A JSON text that holds JSON is opened once."""
    value = _decode(data)
    if value is UNREADABLE and not data.isascii():
        value = _decode(decode_text(data).encode())
    if isinstance(value, str):
        value = open_text(value)
    return value


def open_text(text: str) -> object:
    """The object or list that a text holds as JSON; UNREADABLE when it holds something else."""
    if not looks_like_json(text):
        return UNREADABLE
    return _decode(text.encode(errors="replace"))


def looks_like_json(text: str) -> bool:
    """True when a text begins as a JSON object or list does."""
    return text.lstrip()[:1] in ("{", "[")


def _decode(data: bytes) -> object:
    try:
        return _JSON.decode(data)
    # RecursionError: brackets nested by the thousand. ValueError: bytes that are no UTF-8.
    except (msgspec.DecodeError, RecursionError, ValueError):
        return UNREADABLE


class Mended:
    """Broken JSON as far as it could be mended: the ``whole``, or the flat objects that stand in it, one by one.

    ``whole`` is UNREADABLE when something remained that could not be read; only then ``parts`` is filled, and each part
    is an object or UNREADABLE, decoded when it is asked for.
    """

    __slots__ = ("parts", "whole")

    def __init__(self, whole: object, parts: Iterable[object] = ()) -> None:
        self.whole = whole
        self.parts = parts


def mend_json(text: str) -> Mended:
    """Read JSON with the defects of the provider's own samples (seed.zh.txt): comments, a missing comma before a key,
    an object that holds a bare list. None of the three can be mistaken: in sound JSON ``{`` is never followed by
    ``[``, a key always follows ``{`` or ``,``, and ``//`` stands in texts only.

    What is broken otherwise (cut off, say) is not guessed at, but every flat object in it is still read by itself.
    """
    pieces, flat = _mend(text)
    whole = _decode_lenient("".join(pieces))
    if whole is not UNREADABLE:
        return Mended(whole)
    return Mended(UNREADABLE, (_decode_lenient("".join(pieces[start:end])) for start, end in flat))


def _mend(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    pieces: list[str] = []
    flat: list[tuple[int, int]] = []
    bare: list[bool] = []  # for each open brace: whether it holds a bare list, and so is left out
    innermost: int | None = None
    last = ""  # the last sign that is not blank
    for number, token in enumerate(_TOKEN.finditer(text)):
        if number == _MOST_TOKENS:
            break
        kind, word = token.lastgroup, token[0]
        if kind == "comment":
            continue
        if kind == "flat":
            flat.append((len(pieces), len(pieces) + 1))
            innermost, last = None, "}"
        elif kind == "text":
            if last not in ("", "{", ",") and _COLON.match(text, token.end()):
                pieces.append(",")
            last = '"'
        elif kind == "other":
            last = word.rstrip()[-1:] or last
        elif word == "{":
            innermost = len(pieces)
            bare.append(False)
            last = "{"
        elif word == "}":
            if innermost is not None:
                flat.append((innermost, len(pieces) + 1))
                innermost = None
            last = "}"
            if bare and bare.pop():
                continue
        elif word == "[":
            if last == "{" and bare:
                bare[-1] = True
                pieces[innermost if innermost is not None else -1] = ""
            innermost = None
            last = "["
        else:
            last = "]"
        pieces.append(word)
    return pieces, flat


def _decode_lenient(text: str) -> object:
    try:
        return _LENIENT.decode(text.strip())
    except (RecursionError, ValueError):
        return UNREADABLE


def read_form(data: bytes) -> list[tuple[str, str]]:
    """The fields of a form or a query string, in order, at most 1,000; one charset for all of them."""
    pairs = [part.partition(b"=") for part in data.strip().split(b"&", _MOST_FIELDS)[:_MOST_FIELDS] if part]
    raw = [(_unquote(name), _unquote(value)) for name, _, value in pairs]
    charset = charset_of(b"&".join(part for pair in raw for part in pair))
    return [(name.decode(*charset), value.decode(*charset)) for name, value in raw]


_MOST_FIELDS: Final = 1000


_STRAY: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def _unquote(data: bytes) -> bytes:
    # Decision: by way of quoted-printable, whose decoder is C and sees the same thing after these replacements, because
    # urllib's unquote_to_bytes spends a quarter of a second on a megabyte of escapes, which is what Chinese text is.
    if b"%" in data:
        sound = _STRAY.sub(b"%25", data).replace(b"=", b"%3D")
        return a2b_qp(sound.replace(b"+", b" ").replace(b"%", b"="))
    return data.replace(b"+", b" ")
