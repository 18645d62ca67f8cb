"""What works by itself in a gateway, made of its parts."""

from relay.app.parts import Parts, process_name
from relay.domain.retention import Keeping
from relay.services.apply import Apply
from relay.services.deliver import Deliver
from relay.services.pull import Pull
from relay.services.reroute import Reroute
from relay.services.submit import Submit
from relay.workers.aftermath import Aftermath
from relay.workers.breakers import BreakerWatch
from relay.workers.deliver import DeliverWorker
from relay.workers.hints import Hearing
from relay.workers.key_uses import KeyUses
from relay.workers.keyring import KeyRingWorker
from relay.workers.leaving import Leaving
from relay.workers.pull import PullWorker
from relay.workers.retention import Retention
from relay.workers.submit import SubmitWorker
from relay.workers.upkeep import Upkeep


class Workers:
    """All that goes on without a request. ``aftermath`` is what follows at once from a transaction of any of them."""

    def __init__(self, parts: Parts) -> None:
        settings, store, clock, entropy = parts.settings, parts.store, parts.clock, parts.entropy
        deliver = Deliver(store, parts.poster, parts.members, clock, entropy, timeout_s=settings.delivery_timeout_s)
        self.deliver = DeliverWorker(
            store,
            deliver,
            parts.lanes,
            clock,
            parts.metrics,
            max_in_flight_total=settings.delivery_max_in_flight_total,
        )
        self.aftermath = Aftermath(self.deliver, parts.poll, parts.wait, parts.hints, parts.metrics)
        self.deliver.set_going = self.aftermath
        self.apply = Apply(store, parts.provider, self.aftermath, parts.opt_out_words)
        self.submit = SubmitWorker(
            store,
            Submit(store, parts.provider, parts.accounts, parts.gates, parts.routing, parts.members, clock, entropy),
            parts.accounts,
            parts.gates,
            BreakerWatch(parts.gates, parts.balances, clock, parts.metrics),
            Leaving(store, Reroute(store, parts.routing, clock), parts.accounts, clock, parts.metrics),
            parts.members,
            clock,
            parts.metrics,
            lease_s=settings.lease_s,
            set_going=self.aftermath,
            settled=self.aftermath.settled,
            hints=parts.hints,
        )
        if parts.replica_hints is not None:
            parts.replica_hints.heard = Hearing(self.submit, self.deliver, parts.poll, parts.wait)
        self.pull = PullWorker(
            Pull(store, parts.provider, self.apply, parts.spool, parts.members, clock, entropy),
            parts.accounts,
            parts.members,
            clock,
            parts.metrics,
        )
        self.upkeep = Upkeep(
            store,
            parts.accounts,
            parts.balances,
            self.apply,
            parts.spool,
            parts.members,
            clock,
            parts.metrics,
            set_going=self.aftermath,
            settled=self.aftermath.settled,
            sweep_interval_s=settings.sweep_interval_s,
            told_after_s=settings.unconfirmed_event_after_s,
            no_report_after_s=settings.no_report_after_s,
            balance_interval_s=settings.balance_interval_s,
            idempotency_keep_s=settings.idempotency_keep_s,
        )
        self.retention = Retention(
            store,
            clock,
            parts.metrics,
            Keeping(
                content_days=settings.retention_content_days,
                messages_days=settings.retention_messages_days,
                events_days=settings.retention_events_days,
                deliveries_days=settings.retention_deliveries_days,
                raw_days=settings.retention_raw_days,
            ),
            interval_s=settings.retention_interval_s,
            leads=parts.members.leads,
        )
        self.key_uses = KeyUses(parts.authenticate, clock)
        self.key_ring = KeyRingWorker(
            store, parts.key_ring_admin, parts.members, clock, entropy, parts.metrics, name=process_name()
        )
