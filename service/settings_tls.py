"""The `service.tls:` part of midwatch.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TlsSettings(BaseModel):
    """Certificates of the service; with `client_ca` whoever asks must show one too."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    certificate: Path | None = Field(
        None, strict=False, description="The service's certificate with its chain, PEM; read anew when it changes."
    )
    key: Path | None = Field(None, strict=False, description="The certificate's private key, PEM, not encrypted.")
    client_ca: Path | None = Field(
        None, strict=False, description="Whoever asks must show a certificate that one of these signed, PEM."
    )

    @model_validator(mode="after")
    def _whole(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: set both or none")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs a certificate and its key: set them too")
        return self
