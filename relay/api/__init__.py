"""HTTP in and out: one table of operations makes the routes and the OpenAPI document alike.

- edge.py        the one middleware: request id, common headers, metrics, access log
- app.py         Litestar as router; every exception becomes a problem
- guard.py       media type of the answer, key, scope, rate, draining: before any handler runs
- routes/        one file a resource: its operations, each with its specification beside its code
- table.py       all operations
- openapi.py     the document, from that table
"""
