"""The provider as a real HTTP server with its own state: what the gateway is developed, tested and measured against.

Shares no code with the gateway, so that one misreading of the provider's document is not made on both sides alike.

    server      a socket, in whatever loop runs              connection  one exchange, and how to break it
    app         the four calls under /api/v1                 control     /control/: accounts, faults, rows, ledger
    courier     callbacks, on time and once                  callbacks   their shapes
    sandbox     the state that all of them share             sending, pulling   the rules of the calls
    accounts, faults, ledger, rows, outcomes, codes, answers, forms             the words of all this

Numbers decide their fate by their last four digits: 0001 delivered, 0002 UNDELIV, 0003 EXPIRED, 0004 no report, 0005
the answer of the send never comes (the report does), 0006 MBBLACK, 0007 the report comes before the answer of the
send, 0008 the report comes twice; every other: delivered.
"""

from relay.provider.sandbox.accounts import Account, AccountSettings
from relay.provider.sandbox.app import create_app
from relay.provider.sandbox.codes import Code
from relay.provider.sandbox.faults import Fault, Refusal
from relay.provider.sandbox.ledger import CallbackRecord, Duplicate, Ledger, PulledRow, Repeat, SendRecord
from relay.provider.sandbox.sandbox import Sandbox, SandboxSettings
from relay.provider.sandbox.server import SandboxServer, serve

__all__ = [
    "Account",
    "AccountSettings",
    "CallbackRecord",
    "Code",
    "Duplicate",
    "Fault",
    "Ledger",
    "PulledRow",
    "Refusal",
    "Repeat",
    "Sandbox",
    "SandboxServer",
    "SandboxSettings",
    "SendRecord",
    "create_app",
    "serve",
]
