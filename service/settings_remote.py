"""The `service.remote:` part of midwatch.yaml: how a store elsewhere is asked and fed."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_GIB = 1 << 30


class RemoteSettings(BaseModel):
    """How a remote store is asked and fed, where `service.store` names one."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    write_url: str | None = Field(
        None, max_length=2000, description="Address of remote write; by default /api/v1/write of the store."
    )
    token: str | None = Field(None, repr=False, description="Bearer token that the store asks for.")
    user: str | None = Field(None, description="Name for basic authentication.")
    password: str | None = Field(None, repr=False, description="Password for basic authentication.")
    tenant: str | None = Field(None, max_length=200, description="Tenant, sent as X-Scope-OrgID.")
    ca_file: str | None = Field(None, description="Certificates that the store's is checked against; PEM.")
    timeout_seconds: float = Field(30.0, ge=1, le=600, description="Longest wait for an answer.")
    queue_bytes: int = Field(
        2 * _GIB, ge=1 << 20, description="Bytes that may wait to be forwarded; beyond, senders are told to wait."
    )
    queue_age_seconds: float = Field(
        172_800, ge=60, description="What waited longer is dropped and counted, in seconds."
    )
    samples_per_request: int = Field(10_000, ge=100, le=200_000, description="Most samples forwarded at once.")
    max_answer_bytes: int = Field(256 << 20, ge=1 << 20, description="Longest answer that is read.")

    @field_validator("write_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None:
            checked_url(url, ("http", "https"))
        return url


def split_url(url: str) -> SplitResult:
    """An address taken apart; raises ValueError with the remedy."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - a port that is none is told of here
    except ValueError as error:
        raise ValueError("is no address; write one such as https://host.example:8443/path") from error
    return parts


def checked_url(url: str, schemes: tuple[str, ...]) -> None:
    """Raises ValueError where an address has another scheme, or holds what it should not."""
    parts = split_url(url)
    if parts.scheme not in schemes or not parts.hostname:
        begins = " or ".join(f"{it}://" for it in schemes)
        raise ValueError(f"is not of its form; write an address that begins with {begins}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("holds credentials or a query, which it must not; set service.remote.token, user, password")
