"""What waits, what is old, and who works."""

from prometheus_client import Counter, Gauge

from relay.telemetry.metrics.part import Part


class InsideMetrics(Part):
    """Queues, spool, replicas, retention, and the key ring."""

    def __init__(self) -> None:
        super().__init__()
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

    def spool_replayed(self, n: int) -> None:
        """``n`` bodies of the spool were applied."""
        self._spool_replayed.inc(n)

    def spool_replay_failed(self) -> None:
        """A replay ended before the spool was empty."""
        self._spool_replay_failures.inc()

    def spool_set_aside(self, n: int) -> None:
        """``n`` pieces of the spool were put into files of their own."""
        self._spool_set_aside.inc(n)

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
