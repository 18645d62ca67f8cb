"""Logs: one JSON object per line on standard error, from structlog and from the standard library alike.

Numbers, texts and secrets are not logged in the first place; what this module does about them is the last line of
defence: values under telling names are struck out, objects are named by their type, and known shapes of secrets and of
mobile numbers are blotted out of what other people's code writes.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, Literal, assert_never, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]
REDACTED: Final = "[redacted]"

_SECRET_NAMES: Final = frozenset(
    {
        *("pwd", "password", "password_md5", "authorization", "secret", "token", "key", "keyring", "headers"),
        *("text", "content", "body", "payload", "mobile", "mobiles", "to", "from", "from_"),
    }
)
_SECRET_ENDINGS: Final = ("_pwd", "_password", "_secret", "_token", "_key", "_text", "_body", "_mobile")
_SECRET_SHAPES: Final = re.compile(
    r"(?<!\d)1[3-9]\d{9}(?!\d)"  # a mobile number
    r"|rk_(?:live|test|admin)_\w+|whsec_[\w+/=-]+"
    r"|(?<=pwd=)\w+|(?<=/callbacks/)[^/\s\"']+|(?<=Bearer )\S+|(?<=://)[^/@\s]+(?=@)"
)
# They log a line per call at INFO, with addresses in it; the access log is the API's own canonical line.
_QUIET: Final = ("httpx", "httpcore", "uvicorn.access", "alembic", "asyncio")
_MAX_FRAMES: Final = 30
_LEVELS: Final[Mapping[LogLevel, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: LogLevel, fmt: LogFormat, *, stream: BinaryIO | None = None) -> None:
    """From now on every logger of this process writes to ``stream`` (default: standard error) in this format.

    Loggers that were bound before keep their old way. Called by the entry point only.
    """
    out = stream or sys.stderr.buffer
    structlog.configure(
        processors=[*_SHARED, *_rendering(fmt)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [_ToStructlog()]
    root.setLevel(_LEVELS[level])
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Values under telling names are struck out, at any depth; objects that are no plain values read ``<TypeName>``."""
    for name, value in event.items():
        if name == "exc_info":
            continue  # becomes frames further on
        if name in _SECRET_NAMES or name.endswith(_SECRET_ENDINGS):
            event[name] = REDACTED
        elif type(value) not in _PLAIN:
            event[name] = _redacted(value)
    return event


def blot(text: str) -> str:
    """A text of somebody else's making without what has the shape of a secret or of a mobile number."""
    return _SECRET_SHAPES.sub(REDACTED, text)


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def _redacted(value: object) -> object:
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, Mapping):
        return redact(None, "", {str(name): item for name, item in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    return f"<{type(value).__name__}>"


def _frames(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """``exc_info`` becomes ``exception``: a list of exceptions with type, message and frames.

    No local variable is in it: they hold credentials, numbers and texts.
    """
    exc_info = event.pop("exc_info", None)
    error = _error_of(exc_info)
    if error is not None:
        event["exception"] = _chain(error)
    return event


def _error_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return cast("BaseException | None", exc_info[1])
    return sys.exc_info()[1] if exc_info else None


def _chain(error: BaseException) -> list[dict[str, Any]]:
    """The exception, what caused it, and so on: the outermost first. Members of a group stand under ``group``."""
    told: list[dict[str, Any]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        entry: dict[str, Any] = {
            "type": f"{type(current).__module__}.{type(current).__qualname__}",
            "message": blot(_message(current)),
            "frames": _frames_of(current),
        }
        if isinstance(current, BaseExceptionGroup):
            entry["group"] = [_chain(member) for member in current.exceptions]
        told.append(entry)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return told


def _message(error: BaseException) -> str:
    """What the exception says, its notes included; total, whatever its ``__str__`` does."""
    text = "".join(traceback.format_exception_only(error)).strip()
    return text.removeprefix(f"{type(error).__module__}.").removeprefix(type(error).__qualname__).removeprefix(": ")


def _frames_of(error: BaseException) -> list[dict[str, str | int]]:
    """The innermost frames, innermost last."""
    frames: list[dict[str, str | int]] = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        frames.append({"file": code.co_filename, "line": step.tb_lineno, "function": code.co_qualname})
        step = step.tb_next
    return frames[-_MAX_FRAMES:]


_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    redact,
    _frames,
)


def _rendering(fmt: LogFormat) -> list[Processor]:
    match fmt:
        case "json":
            return [_render_json]
        case "console":
            renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
            return [_exception_as_text, _time_as_timestamp, renderer, _to_bytes]
        case _:
            assert_never(fmt)


def _time_as_timestamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = event.pop("time")  # the name under which ConsoleRenderer puts it first
    return event


def _exception_as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    chain = event.get("exception")
    if chain is not None:
        event["exception"] = "\n".join(
            f"{entry['type']}: {entry['message']}\n"
            + "\n".join(f"  {frame['file']}:{frame['line']} {frame['function']}" for frame in entry["frames"])
            for entry in chain
        )
    return event


_encode: Final = msgspec.json.Encoder(enc_hook=lambda value: f"<{type(value).__name__}>").encode


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    try:
        return _encode(event)
    except ValueError:  # a lone surrogate, which UTF-8 cannot hold
        return json.dumps(event, default=lambda value: f"<{type(value).__name__}>").encode()


def _to_bytes(_logger: WrappedLogger, _method: str, line: object) -> bytes:
    return str(line).encode("utf-8", "backslashreplace")


class _ToStructlog(logging.Handler):
    """Hands records of the standard library on. Their texts are not ours: secrets are blotted out of them."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = blot(record.getMessage())
        except (TypeError, ValueError, KeyError):  # a wrong format string in somebody else's log call
            message = str(record.msg)
        logger = structlog.get_logger()
        logger.log(record.levelno, message, logger=record.name, exc_info=record.exc_info)
