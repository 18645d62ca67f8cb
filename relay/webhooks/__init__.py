"""Webhooks out: Standard Webhooks signatures, the poster, and the policy of where they may go.

    signing      make and check ``webhook-signature``
    egress       the policy: URLs when an endpoint is made, addresses when a connection is
    addresses    what the policy knows about IP addresses and their disguises
    poster       one signed POST within one deadline

The rules that need no socket (what follows from an attempt) are in ``relay/domain/delivery.py``.
"""

from relay.webhooks.egress import EgressPolicy
from relay.webhooks.poster import WebhookPoster
from relay.webhooks.signing import Signer, verify

__all__ = ["EgressPolicy", "Signer", "WebhookPoster", "verify"]
