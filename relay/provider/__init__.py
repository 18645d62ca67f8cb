"""Providers by name. A new provider is one module here and one line in ``PROVIDERS``.

A provider is whatever takes an ``httpx.AsyncClient`` (built by the composition root: our transport,
``trust_env=False``) and implements ``relay.ports.Provider``. Its module is imported when it is looked up, so that
providers and the ``sandbox`` beside them never load, let alone know, each other.

    provider = find("form_v1")(client)
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

import httpx

from relay.domain.errors import ConfigError
from relay.ports import Provider

ProviderFactory = Callable[[httpx.AsyncClient], Provider]

PROVIDERS: Final[dict[str, str]] = {
    "form_v1": "relay.provider.form_v1:FormV1",
}
"""Name to ``module:attribute``."""


def find(name: str) -> ProviderFactory:
    """The factory of the provider called ``name``. Raises ConfigError when there is none."""
    where = PROVIDERS.get(name)
    if where is None:
        raise ConfigError(f"no provider is called {name!r}; there are: {', '.join(sorted(PROVIDERS))}")
    module, _, attribute = where.partition(":")
    return cast(ProviderFactory, getattr(import_module(module), attribute))
