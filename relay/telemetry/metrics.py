"""Every metric of the gateway: its name, unit, help and bounded labels. Nothing here reads a database.

Labels are bounded in two ways: most come from Literals of the code; the two that others choose (`account`, `route`) are
capped, and what is over counts as ``other``.
"""

import platform
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from relay import __version__
from relay.domain.breakers import BREAKER_STATES, BreakerState, OpenReason

MAX_ACCOUNTS: Final = 200
MAX_ROUTES: Final = 200
OTHER: Final = "other"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Requests that only store: a millisecond and less. Upstream and webhooks: as long as their time-outs (30 s, 15 s).
_SERVED_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)
_CALLED_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)


class _Capped:
    """Lets the first ``limit`` values through; later ones are ``other``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit:
            return OTHER
        self._seen.add(value)
        return value


class Metrics:
    """The metrics of one process, in a registry of their own: two of them in one test do not meet.

    Durations and ages are in seconds, sizes in bytes. Methods may be called from the event loop only.
    """

    def __init__(self) -> None:
        # Without this a `_created` time doubles the number of counter series; nothing uses it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # has no types
        self.registry = CollectorRegistry(auto_describe=True)
        self._account = _Capped(MAX_ACCOUNTS)
        self._route = _Capped(MAX_ROUTES)
        self._declare_served()
        self._declare_upstream()
        self._declare_work()
        self._declare_deliveries()
        self._declare_store()
        self._declare_membership()
        self._declare_retention()
        self._declare_key_ring()
        self._declare_process()

    # -- what we serve -----------------------------------------------------------------------------------------------

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

    # -- upstream ----------------------------------------------------------------------------------------------------

    def upstream_called(self, account: str, call: str, outcome: str, seconds: float) -> None:
        """One call to the provider: ``send``, ``report``, ``mo`` or ``balance``."""
        account = self._account(account)
        self._upstream.labels(account, call, outcome).inc()
        self._upstream_seconds.labels(account, call).observe(seconds)

    def balance(self, account: str, amount: str | float, prepaid: bool, days_left: float | None = None) -> None:
        """The last known balance of an account, and how long it lasts (None: that is not known). An amount that is no
        number changes nothing."""
        try:
            value = float(amount)
        except ValueError:
            return
        account = self._account(account)
        now, before = ("prepaid", "postpaid") if prepaid else ("postpaid", "prepaid")
        self._balance.labels(account, now).set(value)
        if self._balance_payment.get(account) == before:
            self._balance.remove(account, before)
        self._balance_payment[account] = now
        self._prepaid.labels(account).set(1 if prepaid else 0)
        if days_left is not None:
            self._days_left.labels(account).set(days_left)
            self._days_known.add(account)
        else:
            self._forget_days(account)

    def forget_balance(self, account: str) -> None:
        """It is not asked for any more."""
        payment = self._balance_payment.pop(account, None)
        if payment is not None:
            self._balance.remove(account, payment)
            self._prepaid.remove(account)
            self._forget_days(account)

    def forget_balances(self) -> None:
        """This process does not ask any more: another one tells."""
        for account in list(self._balance_payment):
            self.forget_balance(account)

    def _forget_days(self, account: str) -> None:
        if account in self._days_known:
            self._days_known.discard(account)
            self._days_left.remove(account)

    def breaker(self, account: str, state: BreakerState) -> None:
        """The circuit breaker of an account is in this state now, and in no other."""
        account = self._account(account)
        for one in BREAKER_STATES:
            self._breaker.labels(account, one).set(1 if one == state else 0)

    def breaker_opened(self, account: str, reason: OpenReason, n: int) -> None:
        """The circuit breaker of an account opened ``n`` times, the last time for this reason."""
        self._breaker_openings.labels(self._account(account), reason).inc(n)

    def failed_over(self, account: str, to: str, n: int) -> None:
        """``n`` submissions left one account for another."""
        self._failovers.labels(self._account(account), self._account(to)).inc(n)

    def waiting_on(self, account: str, n: int) -> None:
        """``n`` due submissions wait because this account takes nothing, and no other can take them."""
        self._waiting_on.labels(self._account(account)).set(n)

    # -- messages ----------------------------------------------------------------------------------------------------

    def message_accepted(self, category: str) -> None:
        """One message was stored and answered 2xx."""
        self._messages.labels(category).inc()

    def recipients_moved(self, status: str, n: int) -> None:
        """``n`` recipients came to ``status``."""
        self._recipients.labels(status).inc(n)

    def segments_moved(self, status: str, n: int) -> None:
        """Recipients with ``n`` segments together came to ``status``."""
        self._segments.labels(status).inc(n)

    def events_created(self, event_type: str, n: int) -> None:
        """``n`` events were stored."""
        self._events.labels(event_type).inc(n)

    # -- deliveries --------------------------------------------------------------------------------------------------

    def delivery_attempted(self, outcome: str, seconds: float, lag_s: float | None) -> None:
        """One webhook attempt ended. ``lag_s``: from the event's creation to the end of its first attempt, None for
        later ones."""
        self._attempts.labels(outcome).inc()
        self._attempt_seconds.observe(seconds)
        if lag_s is not None:
            self._delivery_lag.observe(max(0.0, lag_s))

    # -- inside ------------------------------------------------------------------------------------------------------

    def queue(self, queue: str, depth: int, oldest_due_age_s: float) -> None:
        """How much waits. Depths are counted up to 10,000 and no further."""
        self._queue_depth.labels(queue).set(depth)
        self._queue_age.labels(queue).set(oldest_due_age_s)

    def set_aside(self, orphans: int, quarantined: int) -> None:
        """What waits for a person, counted up to 10,000 and no further."""
        self._orphans_open.set(orphans)
        self._quarantine_bodies.set(quarantined)

    def spool(self, depth: int, size_bytes: int, oldest_age_s: float) -> None:
        """Callbacks that wait on the local disk for the database."""
        self._spool_bodies.set(depth)
        self._spool_bytes.set(size_bytes)
        self._spool_age.set(oldest_age_s)

    def membership(self, replicas: int, *, leads: bool) -> None:
        """How many processes share the database, as far as this one knows (0: not at all), and whether it leads."""
        self._replicas.set(replicas)
        self._leader.set(1 if leads else 0)

    def beat_failed(self) -> None:
        """One beat did not reach the database."""
        self._beat_failures.inc()

    def lease_lost(self, work: str) -> None:
        """One ``submission`` or ``delivery`` was not this process's any more when it was to be sent or finished."""
        self._leases_lost.labels(work).inc()

    def retired(self, kind: str, rows: int, overdue_s: float) -> None:
        """``rows`` of this kind were deleted or erased because of their age; the oldest that should be gone and is not
        has been due for ``overdue_s``, 0 when all are gone."""
        self._retention_rows.labels(kind).inc(rows)
        self._retention_lag.labels(kind).set(overdue_s)

    def key_ring_stale(self, values: int) -> None:
        """So many values are sealed by another key than the active one, as the process that leads has counted."""
        self._key_ring_stale.set(values)

    def key_ring_refused(self, refused: bool) -> None:
        """Whether the key ring's file holds a ring that cannot be taken."""
        self._key_ring_refused.set(1 if refused else 0)

    def spool_replayed(self, n: int) -> None:
        """``n`` bodies of the spool were applied."""
        self._spool_replayed.inc(n)

    def spool_replay_failed(self) -> None:
        """A replay ended before the spool was empty."""
        self._spool_replay_failures.inc()

    def spool_set_aside(self, n: int) -> None:
        """``n`` pieces of the spool were put into files of their own."""
        self._spool_set_aside.inc(n)

    def loop_restarted(self, loop: str) -> None:
        """A background loop failed and was started again."""
        self._loop_restarts.labels(loop).inc()

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """Body and media type of ``/metrics``: OpenMetrics when the Accept header asks for it, else Prometheus text."""
        encode, media_type = choose_encoder(accept or "")
        return encode(self.registry), media_type

    # -- declarations ------------------------------------------------------------------------------------------------

    def _declare_served(self) -> None:
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

    def _declare_upstream(self) -> None:
        self._balance_payment: dict[str, str] = {}
        self._days_known: set[str] = set()
        self._upstream = Counter(
            "relay_upstream_requests",
            "Calls to the provider by outcome.",
            ("account", "call", "outcome"),
            registry=self.registry,
        )
        self._upstream_seconds = Histogram(
            "relay_upstream_request_duration_seconds",
            "From taking a connection to the end of the provider's answer.",
            ("account", "call"),
            buckets=_CALLED_S,
            registry=self.registry,
        )
        self._balance = Gauge(
            "relay_account_balance_sms",
            "Last known balance in segments; postpaid balances may be negative.",
            ("account", "payment"),
            registry=self.registry,
        )
        self._prepaid = Gauge(
            "relay_account_prepaid",
            "1: the balance is what is left; 0: it is paid for afterwards, and never runs out.",
            ("account",),
            registry=self.registry,
        )
        self._days_left = Gauge(
            "relay_account_balance_days_left",
            "Days that a prepaid balance lasts at the rate of the last seven days; missing while that is not known.",
            ("account",),
            registry=self.registry,
        )

        self._declare_breakers()

    def _declare_breakers(self) -> None:
        self._breaker = Gauge(
            "relay_account_breaker",
            "1 for the state that the circuit breaker of an account is in, in this process.",
            ("account", "state"),
            registry=self.registry,
        )
        self._breaker_openings = Counter(
            "relay_account_breaker_openings",
            "How often the circuit breaker of an account opened, and why.",
            ("account", "reason"),
            registry=self.registry,
        )
        self._failovers = Counter(
            "relay_failovers",
            "Submissions that left one account for another, because they were not sent or could not be.",
            ("from", "to"),
            registry=self.registry,
        )
        self._waiting_on = Gauge(
            "relay_account_waiting_submissions",
            "Due submissions that wait because no account can take them, by the one they wait at; up to 10000.",
            ("account",),
            registry=self.registry,
        )

    def _declare_work(self) -> None:
        self._messages = Counter(
            "relay_messages_accepted", "Messages stored and answered 2xx.", ("category",), registry=self.registry
        )
        self._recipients = Counter(
            "relay_recipients", "Recipients that came to a status.", ("status",), registry=self.registry
        )
        self._segments = Counter(
            "relay_segments", "Segments of recipients that came to a status.", ("status",), registry=self.registry
        )
        self._events = Counter("relay_events", "Events stored.", ("type",), registry=self.registry)

    def _declare_deliveries(self) -> None:
        self._attempts = Counter(
            "relay_delivery_attempts", "Webhook attempts by outcome.", ("outcome",), registry=self.registry
        )
        self._attempt_seconds = Histogram(
            "relay_delivery_attempt_duration_seconds",
            "One webhook attempt: name resolution to the end of the answer.",
            buckets=_CALLED_S,
            registry=self.registry,
        )
        self._delivery_lag = Histogram(
            "relay_delivery_lag_seconds",
            "From the creation of an event to the end of its first webhook attempt.",
            buckets=_LAG_S,
            registry=self.registry,
        )

    def _declare_store(self) -> None:
        self._queue_depth = Gauge(
            "relay_queue_depth", "Rows that wait, counted up to 10000.", ("queue",), registry=self.registry
        )
        self._queue_age = Gauge(
            "relay_queue_oldest_due_age_seconds",
            "How long the oldest row has been due; 0 when none is.",
            ("queue",),
            registry=self.registry,
        )
        self._orphans_open = Gauge(
            "relay_orphans_open",
            "Reports and inbound messages that matched nobody, counted up to 10000.",
            registry=self.registry,
        )
        self._quarantine_bodies = Gauge(
            "relay_quarantine_bodies", "Bodies that could not be read, counted up to 10000.", registry=self.registry
        )
        self._spool_bodies = Gauge(
            "relay_spool_bodies", "Callbacks on the local disk that wait for the database.", registry=self.registry
        )
        self._spool_bytes = Gauge("relay_spool_bytes", "Size of the spool.", registry=self.registry)
        self._spool_age = Gauge(
            "relay_spool_oldest_age_seconds", "Age of the oldest callback in the spool.", registry=self.registry
        )
        self._spool_replayed = Counter(
            "relay_spool_replayed", "Callbacks of the spool that were applied.", registry=self.registry
        )
        self._spool_replay_failures = Counter(
            "relay_spool_replay_failures",
            "Replays that ended before the spool was empty, because the database or the spool's disk failed.",
            registry=self.registry,
        )
        self._spool_set_aside = Counter(
            "relay_spool_set_aside",
            "Pieces of the spool in files of their own, for a person: damaged, or refused by the database.",
            registry=self.registry,
        )

    def _declare_membership(self) -> None:
        self._replicas = Gauge(
            "relay_replicas",
            "Processes that share the database, as this one sees it; 0: it has lost sight of them.",
            registry=self.registry,
        )
        self._leader = Gauge(
            "relay_leader",
            "1 in the process that pulls, sweeps and asks for balances; else 0.",
            registry=self.registry,
        )
        self._beat_failures = Counter(
            "relay_beat_failures", "Signs of life that did not reach the database.", registry=self.registry
        )
        self._leases_lost = Counter(
            "relay_leases_lost",
            "Work that was no longer this process's when it was to be sent or finished.",
            ("work",),
            registry=self.registry,
        )

    def _declare_retention(self) -> None:
        self._retention_rows = Counter(
            "relay_retention_rows",
            "Rows deleted, erased or ended because of their age; estimated where a partition was dropped.",
            ("kind",),
            registry=self.registry,
        )
        self._retention_lag = Gauge(
            "relay_retention_lag_seconds",
            "How long the oldest row that should be gone has been due; 0 when all are gone.",
            ("kind",),
            registry=self.registry,
        )

    def _declare_key_ring(self) -> None:
        self._key_ring_stale = Gauge(
            "relay_keyring_stale_values",
            "Values that another key than the active one seals; counted by the process that leads, after a change.",
            registry=self.registry,
        )
        self._key_ring_refused = Gauge(
            "relay_keyring_refused",
            "1 while the file of the key ring cannot be taken, and the ring from before is used; else 0.",
            registry=self.registry,
        )

    def _declare_process(self) -> None:
        self._loop_restarts = Counter(
            "relay_loop_restarts",
            "Background loops that failed and were started again.",
            ("loop",),
            registry=self.registry,
        )
        build = Info("relay_build", "What is running.", registry=self.registry)
        build.info({"version": __version__, "python": platform.python_version()})
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
