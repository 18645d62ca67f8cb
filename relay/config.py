"""Settings: ``defaults.toml`` is the manual, the environment overrides it, and everything wrong is refused at start.

``RELAY_<NAME>`` holds a value, ``RELAY_<NAME>_FILE`` the path of a file that holds it. The unit and the range of every
setting are declared once, in its annotation here; a test keeps the manual equal to them.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from relay.domain.errors import ConfigError

PREFIX: Final = "RELAY_"
_FILE: Final = "_FILE"
_MOST_LETTERS: Final = 20
_NAMES_FILES: Final = frozenset({"keyring", "keyring_file"})
"""The file of the key ring is not read here: it is read again whenever it changes."""

_CIDRS: Final = "CIDRs such as 10.20.0.0/16, separated by commas, or empty"
_SUFFIXES: Final = "suffixes such as .corp.example, separated by commas, or empty"
_WORDS: Final = "words of 1 to 20 letters or digits, separated by commas; a comma alone for none"
_DIRECTORIES: Final = "absolute paths, separated by commas, or empty"
_DATABASE: Final = "sqlite:///path or postgresql://user:password@host/name, or empty"
_ANY_PORT: Final = "0 takes any free one, which the log then names"
_KEYRING: Final = "lines of a key ring, or empty"
_KEYRING_FILE: Final = "file with the lines of a key ring, or empty"
_ADDRESS: Final = "IPv4 or IPv6 address, or host name"

# `extra`: `unit` for every setting; `range` where the type does not say it; `note` behind the range; `secret` hides it.


def _is(unit: str, allowed: str = "", *, note: str = "", secret: bool = False) -> Meta:
    return Meta(extra={"unit": unit, "range": allowed, "note": note, "secret": secret})


def _within(unit: str, low: float, high: float, *, note: str = "") -> Meta:
    return Meta(ge=low, le=high, extra={"unit": unit, "range": f"{low}..{high}", "note": note, "secret": False})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, checked. ``database_url`` and ``data_dir`` are never empty; ``public_url`` has no trailing slash.

    What each one means stands in ``defaults.toml``.
    """

    env: Annotated[Literal["production", "development"], _is("mode")]
    host: Annotated[str, _is("address", _ADDRESS)]
    port: Annotated[int, _within("TCP port", 0, 65535, note=_ANY_PORT)]
    public_url: Annotated[str, _is("URL", "http:// or https://, or empty")]
    data_dir: Annotated[str, _is("path", "directory, made when missing")]
    database_url: Annotated[str, _is("URL", _DATABASE, secret=True)]
    database_pooler: Annotated[Literal["none", "transaction"], _is("mode")]
    database_timeout_s: Annotated[float, _within("seconds", 0.5, 60)]
    database_writers: Annotated[int, _within("connections", 1, 16)]
    database_readers: Annotated[int, _within("connections", 1, 64)]
    keyring: Annotated[str, _is("text", _KEYRING, note="secret", secret=True)]
    keyring_file: Annotated[str, _is("path", _KEYRING_FILE)]
    secret_dirs: Annotated[tuple[str, ...], _is("list", _DIRECTORIES)]
    drain_s: Annotated[float, _within("seconds", 0, 600)]
    drain_announce_s: Annotated[float, _within("seconds", 0, 60)]
    reader_threads: Annotated[int, _within("threads", 1, 64)]

    log_level: Annotated[Literal["debug", "info", "warning", "error"], _is("level")]
    log_format: Annotated[Literal["json", "console"], _is("format")]

    max_body_bytes: Annotated[int, _within("bytes", 1024, 67_108_864)]
    max_callback_bytes: Annotated[int, _within("bytes", 65_536, 268_435_456)]
    callback_store_timeout_s: Annotated[float, _within("seconds", 0.05, 30)]
    idempotency_keep_s: Annotated[int, _within("seconds", 86_400, 2_592_000)]

    opt_out_keywords: Annotated[tuple[str, ...], _is("list", _WORDS)]
    message_ttl_s: Annotated[int, _within("seconds", 60, 604_800)]
    quota_timezone: Annotated[str, _is("time zone", "IANA name")]
    lease_s: Annotated[float, _within("seconds", 5, 3600)]
    replica_ttl_s: Annotated[float, _within("seconds", 2, 300)]
    submit_max_in_flight_total: Annotated[int, _within("requests", 1, 10_000)]
    unconfirmed_event_after_s: Annotated[int, _within("seconds", 1, 86_400)]
    no_report_after_s: Annotated[int, _within("seconds", 1, 2_592_000)]
    sweep_interval_s: Annotated[float, _within("seconds", 0.05, 3600)]
    balance_interval_s: Annotated[float, _within("seconds", 0.05, 86_400)]

    retention_content_days: Annotated[int, _within("days", 7, 3650)]
    retention_messages_days: Annotated[int, _within("days", 7, 3650)]
    retention_events_days: Annotated[int, _within("days", 7, 3650)]
    retention_deliveries_days: Annotated[int, _within("days", 7, 3650)]
    retention_raw_days: Annotated[int, _within("days", 1, 3650)]
    retention_interval_s: Annotated[float, _within("seconds", 0.05, 86_400)]

    delivery_timeout_s: Annotated[float, _within("seconds", 0.1, 120)]
    delivery_max_in_flight_total: Annotated[int, _within("requests", 1, 10_000)]
    delivery_lane_max: Annotated[int, _within("deliveries", 1, 100_000)]
    egress_allow_cidrs: Annotated[tuple[str, ...], _is("list", _CIDRS)]
    egress_allow_host_suffixes: Annotated[tuple[str, ...], _is("list", _SUFFIXES)]

    sandbox: Annotated[Literal["embedded", "off"], _is("mode")]
    sandbox_report_delay_ms: Annotated[int, _within("milliseconds", 0, 600_000)]

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Settings(env={self.env!r}, host={self.host!r}, port={self.port})"


class _Field(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: Any
    allowed: str
    secret: bool

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def load(environ: Mapping[str, str]) -> Settings:
    """The defaults, overridden by what ``environ`` says. Nothing but the files named in ``RELAY_*_FILE`` is read.

    Raises ConfigError that names everything that is wrong: the variable, its unit, what is allowed.
    """
    fields = {field.name: field for field in _fields()}
    problems = _unknown(environ, fields)
    values: dict[str, object] = dict(_defaults())
    for field in fields.values():
        try:
            given = _given(field, environ)
            if given is not None:
                values[field.name] = _convert(field, given)
        except ConfigError as problem:
            problems.append(str(problem))
    if problems:
        raise ConfigError("; ".join(problems))
    if not values["database_url"]:
        # Source: SQLAlchemy's URLs. An absolute data_dir makes four slashes, a relative one three.
        values["database_url"] = f"sqlite:///{values['data_dir']}/relay.db"
    settings = msgspec.convert(values, Settings)
    _check_together(settings)
    return settings


# What is kept no longer, than what, and why.
_NO_LONGER: Final = (
    ("retention_events_days", "retention_content_days", "events hold numbers and texts"),
    ("retention_raw_days", "retention_content_days", "raw bodies hold numbers and texts"),
    ("retention_content_days", "retention_messages_days", "numbers and texts are part of their rows"),
    ("retention_deliveries_days", "retention_events_days", "a delivery shows what its event was"),
)
_DAY_S: Final = 86_400


def _check_together(settings: Settings) -> None:
    """Raises ConfigError that names every pair of settings that contradict each other."""
    problems = []
    for shorter, longer, why in _NO_LONGER:
        days, most = getattr(settings, shorter), getattr(settings, longer)
        if days > most:
            problems.append(
                f"{PREFIX}{shorter.upper()}: {days} days are more than the {most} of {PREFIX}{longer.upper()}, "
                f"and {why}"
            )
    if settings.idempotency_keep_s > settings.retention_content_days * _DAY_S:
        problems.append(
            f"{PREFIX}IDEMPOTENCY_KEEP_S: {settings.idempotency_keep_s} seconds are more than the "
            f"{settings.retention_content_days} days of {PREFIX}RETENTION_CONTENT_DAYS, and kept answers hold texts"
        )
    if settings.delivery_timeout_s >= settings.lease_s:
        problems.append(
            f"{PREFIX}DELIVERY_TIMEOUT_S: {settings.delivery_timeout_s} seconds are not below the "
            f"{settings.lease_s} of {PREFIX}LEASE_S, and a webhook is posted only under a lease that outlasts it"
        )
    if problems:
        raise ConfigError("; ".join(problems))


def describe(name: str) -> str:
    """Unit and range of a setting, as the manual and every error state them: ``seconds: 5..3600``."""
    return next(field.allowed for field in _fields() if field.name == name)


def _fields() -> list[_Field]:
    found = []
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        plain, meta = get_args(hint)
        says = meta.extra
        allowed = says["range"] or " | ".join(get_args(plain))
        note = f"; {says['note']}" if says["note"] else ""
        found.append(_Field(name=name, type=hint, allowed=f"{says['unit']}: {allowed}{note}", secret=says["secret"]))
    return found


def _defaults() -> dict[str, object]:
    return tomllib.loads(resources.files("relay").joinpath("defaults.toml").read_text("utf-8"))


def _unknown(environ: Mapping[str, str], fields: Mapping[str, _Field]) -> list[str]:
    known = [field.variable for field in fields.values()]
    allowed = {*known, *(field.variable + _FILE for field in fields.values() if field.name not in _NAMES_FILES)}
    return [_unknown_text(name, known) for name in sorted(environ) if name.startswith(PREFIX) and name not in allowed]


# Kubernetes sets these beside every Service that is named "relay", RELAY_PORT=tcp://… among them.
_SERVICE_LINK: Final = re.compile(r"RELAY_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))")


def _unknown_text(name: str, known: list[str]) -> str:
    if _SERVICE_LINK.match(name):
        return f"{name} comes from Kubernetes service links: set enableServiceLinks: false in the pod"
    nearest = difflib.get_close_matches(name.removesuffix(_FILE), known, n=1, cutoff=0.0)
    return f"{name} is no setting; the nearest one is {nearest[0]}"


def _given(field: _Field, environ: Mapping[str, str]) -> str | None:
    """The text that the environment gives this setting, None when it gives none."""
    named = "" if field.name in _NAMES_FILES else environ.get(field.variable + _FILE, "")
    direct, path = environ.get(field.variable, ""), named
    if direct and path:
        raise ConfigError(f"{field.variable} and {field.variable}{_FILE} are both set: keep one")
    if not path:
        return direct.strip() or None
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigError(f"{field.variable}{_FILE}: {path} cannot be read ({why})") from exc
    if not text:
        raise ConfigError(f"{field.variable}{_FILE}: {path} is empty ({field.allowed})")
    return text


def _convert(field: _Field, text: str) -> object:
    given = [part.strip() for part in text.split(",") if part.strip()] if _is_list(field.type) else text
    try:
        value = msgspec.convert(given, field.type, strict=False)
        check = _CHECKS.get(field.name)
        return value if check is None else check(value)
    except ValueError as exc:  # msgspec.ValidationError is one
        shown = "the value (not shown)" if field.secret else repr(text)
        raise ConfigError(f"{field.variable}: {shown} is not allowed ({field.allowed})") from exc


def _is_list(hint: Any) -> bool:
    return get_origin(get_args(hint)[0]) is tuple


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


_CHECKS: Final[Mapping[str, Callable[[Any], object]]] = {
    "public_url": _check_public_url,
    "database_url": _check_database_url,
    "quota_timezone": _check_timezone,
    "opt_out_keywords": _check_words,
    "secret_dirs": _check_directories,
    "egress_allow_cidrs": _check_cidrs,
    "egress_allow_host_suffixes": _check_suffixes,
}
