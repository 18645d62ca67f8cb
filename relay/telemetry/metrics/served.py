"""What is asked of us."""

from typing import Final

from prometheus_client import Counter, Histogram

from relay.telemetry.metrics.part import Part

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Requests that only store: a millisecond and less.
_SERVED_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)


class ServedMetrics(Part):
    """Requests of teams, and callbacks of the provider."""

    def __init__(self) -> None:
        super().__init__()
        self._served: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "relay_http_requests",
            "Requests answered; 0 as status: the client went away first.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "relay_http_request_duration_seconds",
            "From the first byte of a request to the end of its answer.",
            ("route",),
            buckets=_SERVED_S,
            registry=self.registry,
        )
        self._callbacks = Counter(
            "relay_callbacks",
            "Callbacks of the provider answered; refused, unavailable: with 503, and they do not come again.",
            ("kind", "result"),
            registry=self.registry,
        )
        self._callback_rows = Counter(
            "relay_callback_rows",
            "Reports and inbound messages in callbacks and pulls, by what they did.",
            ("kind", "result"),
            registry=self.registry,
        )
        self._unreadable = Counter(
            "relay_unreadable_bodies", "Bodies put into quarantine.", ("kind",), registry=self.registry
        )
        self._conflicts = Counter(
            "relay_report_conflicts", "Reports that contradicted a final status.", registry=self.registry
        )

    def request_served(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request answered. ``route`` is the template of the path, never the path."""
        labels = (method, route, status)
        children = self._served.get(labels)
        if children is None:
            # The cache is bounded by what is let through; what is over goes through `labels` each time.
            method = method if method in METHODS else "OTHER"
            route = self._route(route)
            status = status if 100 <= status <= 599 else 0
            children = (self._requests.labels(method, route, status), self._request_seconds.labels(route))
            if (method, route, status) == labels:
                self._served[labels] = children
        children[0].inc()
        children[1].observe(seconds)

    def callback_received(self, kind: str, result: str) -> None:
        """One callback request answered. ``kind``: report or mo. ``result``: stored, quarantined, spooled; and what was
        not taken: refused (neither the database nor the spool could be written), unavailable (nobody could tell whose
        token it is), unknown_token, address_not_allowed."""
        self._callbacks.labels(kind, result).inc()

    def callback_rows(self, kind: str, result: str, n: int) -> None:
        """``n`` rows of callbacks or pulls came to ``result`` (applied, repeated, conflict, orphaned, …)."""
        self._callback_rows.labels(kind, result).inc(n)

    def unreadable(self, kind: str) -> None:
        """One body that could not be read was put into quarantine."""
        self._unreadable.labels(kind).inc()

    def report_conflicts(self, n: int) -> None:
        """``n`` reports contradicted a final status."""
        self._conflicts.inc(n)
