"""What we ask of the provider."""

from prometheus_client import Counter, Gauge, Histogram

from relay.domain.breakers import BREAKER_STATES, BreakerState, OpenReason
from relay.telemetry.metrics.part import CALLED_S, Part


class UpstreamMetrics(Part):
    """Calls, balances and circuit breakers of the accounts."""

    def __init__(self) -> None:
        super().__init__()
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
            buckets=CALLED_S,
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
