"""Relay: the gateway that in-house teams use to send and receive SMS over one provider's HTTP API. The map.

Layers, each knows only what stands below it; adapters do not know each other (checked by import-linter)::

    __main__, cli       commands
    app                 the one composition root: makes everything, knows everybody
    ------------------------------------------------------------------ adapters
    api                 REST in: authentication, problems, OpenAPI document, documentation page
    console             one web page over the REST API
    workers             loops and their supervisor: submit, deliver, pull, sweep, balance, retention, beats
    provider            the provider's HTTP API; provider.sandbox: the provider itself as a server, which shares nothing
    store               transaction scripts, and the SQLite driver that runs them
    webhooks            signing, posting, where posts may go
    transport           HTTP/1.1 client under httpx that knows whether a byte was written
    system              clocks, randomness, and secrets that stand elsewhere
    ------------------------------------------------------------------ core
    services            one use case a file: accept, submit, reroute, receive, apply, pull, deliver, administer, erase;
                        membership says what is this process's own among its replicas, routing which account takes a
                        submission, breaker whether an account takes anything
    ports               what the core needs of the outside
    ------------------------------------------------------------------ ground
    config, telemetry   settings; logs and metrics
    domain              pure rules: numbers, segments, chunks, states, reports, events, errors

The life of a message::

    team --POST /v1/messages--> api -> services.accept: one transaction { idempotency, quota, message, submissions,
                                       recipients }, then 202; submissions that may start now are stored as `submitting`
    workers -> services.submit -> provider: POST /api/v1/send -> accepted | refused | not_sent | unconfirmed -> stored
    provider --callback--> api -> services.receive: one transaction { raw body, report, recipient state, event,
                                  deliveries }, then 200; the pullers bring the same rows the other way. While the
                                  store is away: the spool, then 200; workers replay it
    workers -> services.deliver -> webhooks: sign, POST -> stored: attempt, delivery state, next due time

What provably was not sent goes out over the next account of the team that takes it, and waits while none does, until
its message expires. What may have reached the provider is never sent again by itself: it is `unconfirmed` until a
report comes.

Replicas share a database, and nothing else: claims, leadership and shares of limits all come from services.membership,
and are worth nothing once the last sign of life is too old. That is asked for the last time before the first byte of
every call.
"""

__version__ = "0.1.0"
