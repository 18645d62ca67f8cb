"""Loops: they take work, call a use case, and log and count what came of it. One file a loop.

supervisor.py   starts them, restarts what broke, stops them
aftermath.py    what every commit sets going: deliveries to start, pollers to wake, numbers to count
submit.py       submissions to the provider
deliver.py      events to webhook endpoints
hints.py        what replicas tell each other
membership.py   signs of life, where several processes share a database
retention.py    what is old
pull.py         reports and inbound messages that the provider keeps for us
upkeep.py       sweep, balances, left bodies, the spool, gauges
key_uses.py     when API keys were used last

Pulls, sweep, retention, balances and left bodies work in one process at a time, the one that leads; the others in
every process.
"""
