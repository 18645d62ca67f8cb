"""What a setting's type and range do not say. A check gives the value that counts, or raises ValueError."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

_MOST_LETTERS: Final = 20


def _check_public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(text)
    return text.rstrip("/")


def _check_database_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme not in ("sqlite", "postgresql") or not rest.strip("/"):
        raise ValueError("scheme")
    if scheme == "sqlite" and not rest.startswith("/"):
        raise ValueError("two slashes name a host, and SQLite has none")
    return text


def _check_timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (OSError, KeyError) as exc:  # ZoneInfoNotFoundError is a KeyError; a directory's name gives OSError
        raise ValueError(text) from exc
    return text


def _check_cidrs(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ip_network(text)) for text in texts)


def _check_suffixes(texts: tuple[str, ...]) -> tuple[str, ...]:
    if any(not re.fullmatch(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", text) for text in texts):
        raise ValueError(texts)
    return tuple(text.lower() for text in texts)


def _check_words(texts: tuple[str, ...]) -> tuple[str, ...]:
    # A full-width comma separates nothing: what it is in is no word.
    if any(not text.replace(" ", "").isalnum() or len(text) > _MOST_LETTERS for text in texts):
        raise ValueError(texts)
    return texts


def _check_directories(texts: tuple[str, ...]) -> tuple[str, ...]:
    if any(not text.startswith("/") for text in texts):
        raise ValueError(texts)
    return texts


CHECKS: Final[Mapping[str, Callable[[Any], object]]] = {
    "public_url": _check_public_url,
    "database_url": _check_database_url,
    "quota_timezone": _check_timezone,
    "opt_out_keywords": _check_words,
    "secret_dirs": _check_directories,
    "egress_allow_cidrs": _check_cidrs,
    "egress_allow_host_suffixes": _check_suffixes,
}
"""By the name of the setting."""
