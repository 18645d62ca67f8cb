"""The one composition root: everything is made and joined here, and nowhere else.

gateway.py   ``Gateway``: all parts of the product in one process, joined; tests enter by this door too
parts.py     what its use cases and workers share
workers.py   what works by itself
services.py  the use cases of the API
admin.py     what commands of the platform team call
stores.py    opening and migrating the database
serving.py   a gateway on a socket, from start to exit
listening.py uvicorn, as this product runs it
drain.py     the order of a clean stop
embedded.py  the sandbox provider inside a gateway, where test keys lead
"""

from relay.app.admin import Admin, open_admin
from relay.app.embedded import sandbox_account
from relay.app.gateway import Gateway, open_gateway
from relay.app.parts import Outside, system
from relay.app.serving import Running, serve
from relay.app.stores import migrate, open_store, ring_source, sqlite_path

__all__ = [
    "Admin",
    "Gateway",
    "Outside",
    "Running",
    "migrate",
    "open_admin",
    "open_gateway",
    "open_store",
    "ring_source",
    "sandbox_account",
    "serve",
    "sqlite_path",
    "system",
]
