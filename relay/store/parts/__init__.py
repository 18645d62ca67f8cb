"""The store's methods by area: each names its script and whether it writes. ``relay.ports`` says what they promise."""
