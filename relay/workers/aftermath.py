"""What every commit sets going."""

from relay.domain.ids import MessageId
from relay.ports import Hints, StoredEffects
from relay.services.poll import Poll
from relay.services.wait import Wait
from relay.telemetry.metrics import Metrics
from relay.workers.deliver import DeliverWorker


class Aftermath:
    """Called on the event loop, after the commit: starts deliveries, wakes pollers, tells other replicas, counts."""

    def __init__(self, deliver: DeliverWorker, poll: Poll, wait: Wait, hints: Hints, metrics: Metrics) -> None:
        self._deliver = deliver
        self._poll = poll
        self._wait = wait
        self._hints = hints
        self._metrics = metrics

    def __call__(self, effects: StoredEffects) -> None:
        for status, number in effects.recipients_by_status.items():
            self._metrics.recipients_moved(status, number)
        for status, number in effects.segments_by_status.items():
            self._metrics.segments_moved(status, number)
        for event_type, number in effects.events_by_type.items():
            self._metrics.events_created(event_type, number)
        if effects.events_by_type:
            self._poll.events_stored()
            self._deliver.stored(effects.deliveries)
            self._hints.tell("events")
            if self._deliver.leaves_work:
                self._hints.tell("deliveries")
        conflicts = effects.events_by_type.get("message.report_conflict", 0)
        if conflicts:
            self._metrics.report_conflicts(conflicts)

    def settled(self, message_id: MessageId) -> None:
        """A submission of this message has come to an outcome."""
        self._wait.settled_one(message_id)
        self._hints.tell("settled")
