"""Azure's GA endpoint: the provider's messages, but what it refuses it refuses by an HTTP status.

The model of a session is the name of a deployment. In the ephemeral variant the socket takes a client secret only,
which is minted with the key over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..access import Access, bearer_of, key_of
from ..handshake import query_of
from ..http_front import HttpAnswer
from ..models import ModelTraits, traits_of
from ..session_config import SessionConfig
from ..voice import Voice
from .base import Dialect


@dataclass(frozen=True)
class Azure(Dialect):
    """*deployments*: which model is behind a name; a name that is not in it is taken for the model's."""

    deployments: Mapping[str, str] = field(default_factory=dict)

    name = "azure"
    base_path = "/openai/v1"
    mints = True

    def nowhere(self) -> HttpAnswer:
        """See `Dialect`."""
        return self.http_error(404, None, "Resource not found")

    def answer_upgrade(self, target: str, headers: Mapping[str, str], access: Access) -> HttpAnswer | None:
        """See `Dialect`."""
        if not self._may_enter(headers, access):
            return self.wrong_key(key_of(headers))
        query = query_of(target)
        if "model" in query:
            # Spelled as the service spells it.
            return self.http_error(
                400, "OpperationNotSupported", f"The operation is not supported by the model '{query['model']}'."
            )
        secret = self.mints and access.secret(key_of(headers)) is not None
        if query.get("intent", "transcription" if secret else "") != "transcription":
            return self.http_error(400, "BadRequest", "The query must have intent=transcription.")
        return None

    def _may_enter(self, headers: Mapping[str, str], access: Access) -> bool:
        if access.api_key is None or access.secret(bearer_of(headers)) is not None:
            return True
        return any(access.opens(key) for key in (headers.get("api-key", ""), bearer_of(headers)) if key)

    def config(self, target: str, headers: Mapping[str, str], access: Access) -> SessionConfig:
        """See `Dialect`."""
        return replace(super().config(target, headers, access), models=self._model)

    def _model(self, deployment: str) -> ModelTraits:
        return traits_of(self.deployments.get(deployment, deployment))

    def voice(self, target: str, epoch: float) -> Voice:
        """See `Dialect`."""
        return Voice()

    def wrong_key(self, key: str) -> HttpAnswer:
        """See `Dialect`."""
        return self.http_error(
            401, None, "Access denied: the key is not one of this resource, or the address is wrong."
        )

    def http_error(self, status: int, code: str | None, message: str, param: str | None = None) -> HttpAnswer:
        """See `Dialect`. Its code is the status where there is no better one."""
        return HttpAnswer(status, {"error": {"code": code or str(status), "message": message}})


@dataclass(frozen=True)
class AzureEphemeral(Azure):
    """The socket takes nothing but `Authorization: Bearer` with a secret that was minted here."""

    name = "azure_ephemeral"

    def _may_enter(self, headers: Mapping[str, str], access: Access) -> bool:
        return access.secret(bearer_of(headers)) is not None
