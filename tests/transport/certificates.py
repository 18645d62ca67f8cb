"""The pair of TLS contexts that tests use."""

import ssl
from typing import NamedTuple


class Certificates(NamedTuple):
    server: ssl.SSLContext
    client: ssl.SSLContext
