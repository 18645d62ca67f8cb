"""The API as an ASGI app: Litestar routes, our table says what there is."""

import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog
from litestar import Litestar, Request, Response, asgi
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp, ControllerRouterHandler, Method, Receive, Scope, Send

from relay.api.call import Call
from relay.api.edge import Edge
from relay.api.exchange import Answer, exchange_of
from relay.api.guard import admit
from relay.api.operations import Operation
from relay.api.problems import PROBLEM_JSON, InternalError, kind_of, problem_headers, problem_of
from relay.api.services import ApiServices, ApiSettings
from relay.api.table import OPERATIONS
from relay.domain.errors import MethodNotAllowed, NotFound, RelayError, RequestMalformed
from relay.telemetry.metrics import Metrics

_ENCODER: Final = msgspec.json.Encoder()


def create_app(
    services: ApiServices, *, metrics: Metrics, settings: ApiSettings, mounts: Mapping[str, ASGIApp] | None = None
) -> ASGIApp:
    """The app to serve. ``mounts``: other ASGI apps by path (the console), behind the same edge."""
    # OPTIONS first: Litestar adds its own, without HEAD, to a path that has none when its first handler comes.
    handlers: list[ControllerRouterHandler] = [*_options_handlers(OPERATIONS)]
    handlers += [_handler(operation, services, settings, metrics) for operation in OPERATIONS]
    handlers += [_mount(path, app) for path, app in (mounts or {}).items()]
    router = Litestar(
        route_handlers=handlers,
        openapi_config=None,
        logging_config=None,
        debug=False,
        # Bodies are read by us, each operation within its own limit.
        request_max_body_size=None,
        exception_handlers={Exception: _answer_problem},
    )
    return Edge(router, metrics=metrics, clock=services.clock, readiness=services.readiness)


def _handler(operation: Operation, services: ApiServices, settings: ApiSettings, metrics: Metrics) -> HTTPRouteHandler:
    run = operation.run

    async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
        scope = request.scope
        call = Call(services, settings, metrics, exchange_of(scope), scope, request.receive)
        await admit(call, operation)
        return await run(call)

    return _route(operation.path, operation.method, operation.id)(handle)


def _route(path: str, method: Method, name: str) -> HTTPRouteHandler:
    # Litestar checks the status against the annotation; the Answer has its own.
    return HTTPRouteHandler(litestar_path(path), http_method=method, name=name, status_code=200)


def litestar_path(path: str) -> str:
    """``/v1/messages/{message_id}`` as Litestar writes it."""
    return path.replace("}", ":str}")


def _options_handlers(operations: Iterable[Operation]) -> list[HTTPRouteHandler]:
    methods: dict[str, list[str]] = {}
    for operation in operations:
        methods.setdefault(operation.path, []).append(operation.method)
    return [_options_handler(path, _allowed(path, names)) for path, names in methods.items()]


def _options_handler(path: str, allow: tuple[str, ...]) -> HTTPRouteHandler:
    header = ", ".join(allow).encode()

    async def options(request: Request[Any, Any, Any]) -> ASGIApp:
        return Answer(204, b"", [(b"allow", header)])

    return _route(path, "OPTIONS", f"options {path}")(options)


def _allowed(path: str, methods: Iterable[str]) -> tuple[str, ...]:
    names = {name for name in methods if name.isupper()} | {"OPTIONS"}
    if "GET" in names and not path.startswith("/callbacks/"):
        names.add("HEAD")
    return tuple(sorted(names))


def _mount(path: str, app: ASGIApp) -> ASGIRouteHandler:
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        # Litestar leaves the template of a mount empty, and ends every path below it with a slash.
        scope["path_template"] = path
        scope["path"] = scope["path"].rstrip("/") or "/"
        await app(scope, receive, send)

    return asgi(path, is_mount=True, copy_scope=False)(mounted)


def _answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Every exception ends here: a refusal as what it is, anything else as 500 with one line in the log."""
    scope = request.scope
    exchange = exchange_of(scope)
    known = _known(error, scope["path"])
    if known is None:
        structlog.get_logger("relay").error(
            "request.failed", request_id=exchange.request_id, route=scope.get("path_template"), causes=_causes(error)
        )
        known = InternalError()
    problem = problem_of(known, scope, exchange.request_id)
    exchange.error = problem.code
    return Response(
        _ENCODER.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=problem_headers(known),
    )


def _known(error: Exception, path: str) -> RelayError | None:
    if isinstance(error, RelayError):
        return None if kind_of(error) is None else error
    if isinstance(error, MethodNotAllowedException):
        allow = _allowed(path, ((error.headers or {}).get("allow") or "").split(", "))
        return MethodNotAllowed(f"Allowed here: {', '.join(allow)}.", allow=allow)
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound("There is no such address; /docs shows what there is.")
    if isinstance(error, HTTPException) and 400 <= error.status_code < 500:
        return RequestMalformed("The request line or its headers are malformed.")
    return None


def _causes(error: BaseException | None) -> list[dict[str, Any]]:
    """The exception and what led to it: types and frames. No messages and no local values: either may hold a secret, a
    number or a text."""
    causes: list[dict[str, Any]] = []
    while error is not None and len(causes) < 5:
        frames = traceback.extract_tb(error.__traceback__)
        causes.append(
            {
                "type": f"{type(error).__module__}.{type(error).__qualname__}",
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        error = error.__cause__ or error.__context__
    return causes
