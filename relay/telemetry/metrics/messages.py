"""What becomes of messages, and who is told."""

from typing import Final

from prometheus_client import Counter, Histogram

from relay.telemetry.metrics.part import CALLED_S, Part

_LAG_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)


class MessageMetrics(Part):
    """Messages, recipients, events, and the deliveries of these."""

    def __init__(self) -> None:
        super().__init__()
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
        self._attempts = Counter(
            "relay_delivery_attempts", "Webhook attempts by outcome.", ("outcome",), registry=self.registry
        )
        self._attempt_seconds = Histogram(
            "relay_delivery_attempt_duration_seconds",
            "One webhook attempt: name resolution to the end of the answer.",
            buckets=CALLED_S,
            registry=self.registry,
        )
        self._delivery_lag = Histogram(
            "relay_delivery_lag_seconds",
            "From the creation of an event to the end of its first webhook attempt.",
            buckets=_LAG_S,
            registry=self.registry,
        )

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

    def delivery_attempted(self, outcome: str, seconds: float, lag_s: float | None) -> None:
        """One webhook attempt ended. ``lag_s``: from the event's creation to the end of its first attempt, None for
        later ones."""
        self._attempts.labels(outcome).inc()
        self._attempt_seconds.observe(seconds)
        if lag_s is not None:
            self._delivery_lag.observe(max(0.0, lag_s))
