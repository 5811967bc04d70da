"""Azure OpenAI: GA on the wire; another path, another header for the key, the deployment in place of the model.

Source: Azure's Realtime reference, as of November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from ..endpoint import bearer, display_url, realtime_url
from ..errors import ConfigurationError, show_value
from .base import Dialect

GA_PATH = "/openai/v1"
# An Entra ID access token is a JSON Web Token: three parts, the first of which is a JSON object.
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


class Azure(Dialect):
    """The GA path of an Azure resource, with its key or an Entra ID token."""

    name = "azure"

    @classmethod
    def url(cls, base_url: str, model: str, *, field: str = "base_url") -> str:
        """See `Dialect.url`. A bare host gets Azure's GA path; the retired preview path is refused."""
        parts = urlsplit(base_url.strip())
        preview = parts.path.rstrip("/").endswith(("/openai", "/openai/realtime"))
        if preview or "api-version" in dict(parse_qsl(parts.query)):
            raise ConfigurationError(
                field,
                show_value(display_url(base_url)),
                "Azure's preview path speaks the retired beta protocol; use "
                f"https://<resource>.openai.azure.com{GA_PATH} without api-version and deployment, and name the "
                "deployment as the model",
            )
        return realtime_url(base_url, field=field, path=GA_PATH)

    @classmethod
    def credentials(cls, key: str) -> Mapping[str, str]:
        """A resource's key goes into `api-key`, an Entra ID token is a bearer's."""
        return bearer(key) if _TOKEN.fullmatch(key) else {"api-key": key}


class AzureEphemeral(Azure):
    """A resource whose socket takes short-lived secrets alone, which its key or token buys over HTTP."""

    name = "azure_ephemeral"
    mints_secrets = True
