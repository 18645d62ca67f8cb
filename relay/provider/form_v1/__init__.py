"""The provider of provider/contract.md, under the name ``form_v1``.

adapter.py      the calls: form out, bytes back, one total time-out
outcomes.py     the one decision: accepted, refused, not sent, unconfirmed
reading.py      where rows stand in a callback or a pull
rows.py         which fields make a row, and how each is read
balance.py      the balance's shapes
bodies.py       bytes to plain values: charset, JSON, broken JSON, forms
"""

from relay.provider.form_v1.adapter import FormV1

__all__ = ["FormV1"]
