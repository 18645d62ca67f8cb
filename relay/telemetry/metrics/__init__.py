"""Every metric of the gateway: its name, unit, help and bounded labels. Nothing here reads a database.

Labels are bounded in two ways: most come from Literals of the code; the two that others choose (`account`, `route`) are
capped, and what is over counts as ``other``.

served.py    what is asked of us
upstream.py  what we ask of the provider
messages.py  what becomes of messages, and who is told
inside.py    what waits, what is old, and who works
part.py      what these have in common
"""

import platform

from prometheus_client import Counter, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from relay import __version__
from relay.telemetry.metrics.inside import InsideMetrics
from relay.telemetry.metrics.messages import MessageMetrics
from relay.telemetry.metrics.part import MAX_ACCOUNTS, MAX_ROUTES
from relay.telemetry.metrics.served import ServedMetrics
from relay.telemetry.metrics.upstream import UpstreamMetrics

__all__ = ["MAX_ACCOUNTS", "MAX_ROUTES", "Metrics"]


class Metrics(ServedMetrics, UpstreamMetrics, MessageMetrics, InsideMetrics):
    """The metrics of one process, in a registry of their own: two of them in one test do not meet.

    Durations and ages are in seconds, sizes in bytes. Methods may be called from the event loop only.
    """

    def __init__(self) -> None:
        super().__init__()
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

    def loop_restarted(self, loop: str) -> None:
        """A background loop failed and was started again."""
        self._loop_restarts.labels(loop).inc()

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """Body and media type of ``/metrics``: OpenMetrics when the Accept header asks for it, else Prometheus text."""
        encode, media_type = choose_encoder(accept or "")
        return encode(self.registry), media_type
