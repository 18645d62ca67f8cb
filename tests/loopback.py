"""Ports of this machine alone."""

import socket
from random import SystemRandom


def free_port() -> int:
    """A loopback port that stays ours while nobody listens on it: below the range from which the system takes ports
    for outgoing connections (Linux: 32768 and up), so that no client can sit on it while a server of ours is down."""
    for port in SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
