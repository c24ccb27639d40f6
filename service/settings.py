"""The `service:` part of midwatch.yaml; every key has a default, so none is needed."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

from alerts.signing import secret_key
from alerts.thresholds import Thresholds
from service.settings_burn import BurnSettings
from service.settings_digest import DigestSettings
from service.settings_history import HistorySettings
from service.settings_ingest import IngestSettings
from service.settings_query import QuerySettings
from service.settings_remote import RemoteSettings, checked_url, split_url
from service.settings_tls import TlsSettings

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
_GIB = 1 << 30
_PORT = re.compile(r"[0-9]{1,5}")


def host_and_port(address: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPv6]:PORT` taken apart; raises ValueError with the remedy."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f"{address!r} is no address to listen on; write HOST:PORT, such as 127.0.0.1:8640")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """True where only this machine can reach a listener on the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ReceiverSettings(BaseModel):
    """Who gets messages by webhook, in Alertmanager's version-4 payload."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$", description="Name, as it stands in the payload.")
    url: str = Field(max_length=2000, repr=False, description="Where messages are posted.")
    roads: tuple[Literal["page", "ticket"], ...] = Field(
        ("page",), strict=False, description="Which messages it gets; `[]` for none but digests."
    )
    secret: str | None = Field(None, repr=False, description="Signs messages as Standard Webhooks ask; base64.")

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is no address of http or https; write one such as https://pager.example/hook")
        return url

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: str | None) -> str | None:
        if secret is not None:
            secret_key(secret)
        return secret


class RetentionSettings(BaseModel):
    """How long is kept what arrived."""

    model_config = _STRICT

    raw_days: int = Field(7, ge=1, le=90, description="Days that every sample, log line and span is kept.")
    rollup_days: int = Field(400, ge=31, le=4000, description="Days that counts of five minutes and events are kept.")
    max_bytes: int = Field(
        20 * _GIB, ge=64 << 20, description="Size of the database; beyond it the oldest log lines and samples go first."
    )


class MemorySettings(BaseModel):
    """What the store may hold in memory."""

    model_config = _STRICT

    open_samples: int = Field(
        200_000_000, ge=100_000, le=10_000_000_000, description="Samples of the newest hours, 28 bytes each; beyond it "
        "batches are told to come again.",
    )  # fmt: skip
    chunk_bytes: int = Field(256 << 20, ge=1 << 20, le=1 << 40, description="Older samples that were read lately.")
    metadata: int = Field(20_000, ge=100, le=1_000_000, description="Metrics whose type, help and unit are kept.")


def _threshold_fields() -> dict[str, Any]:
    """One key for each of Thresholds: durations in seconds, ratios as numbers."""
    default = Thresholds()
    found: dict[str, Any] = {}
    for it in fields(Thresholds):
        value = getattr(default, it.name)
        if it.name.endswith("_ms"):
            said = Field(value / 1000, gt=0, le=40_000_000, description="Seconds.")
            found[it.name.removesuffix("_ms") + "_seconds"] = (float, said)
        elif isinstance(value, Fraction):
            found[it.name] = (float, Field(float(value), gt=0, le=1, description="Share, 0 to 1."))
        else:
            found[it.name] = (int, Field(value, ge=1, le=1_000_000, description="Count."))
    return found


AlertSettings = create_model("AlertSettings", __config__=_STRICT, **_threshold_fields())


class Settings(BaseModel):
    """What the service can be told."""

    model_config = _STRICT

    listen: str = Field("127.0.0.1:8640", description="Address of dashboards, API, /metrics and OTLP.")
    token: str | None = Field(
        None, min_length=16, max_length=512, repr=False, description="What agents and people must show; see README."
    )
    public_url: str | None = Field(None, description="How people reach the dashboards; it stands in messages.")
    receivers: tuple[ReceiverSettings, ...] = Field((), strict=False, description="Who gets messages.")
    digests: tuple[DigestSettings, ...] = Field(
        (),
        strict=False,
        max_length=50,
        description="Reports of the last week or month, sent to receivers; to each receiver one of each.",
    )
    alerts: AlertSettings = Field(  # type: ignore[valid-type]
        default_factory=AlertSettings, description="Limits of the default alerts."
    )
    retention: RetentionSettings = Field(
        default_factory=lambda: RetentionSettings.model_validate({}), description="How long data is kept."
    )
    memory: MemorySettings = Field(
        default_factory=lambda: MemorySettings.model_validate({}), description="What the store holds in memory."
    )
    store: str = Field(
        "duckdb", max_length=2000, description="Where samples live: duckdb, or prometheus+https://… of another store."
    )
    remote: RemoteSettings = Field(
        default_factory=lambda: RemoteSettings.model_validate({}), description="How a remote store is asked and fed."
    )
    query: QuerySettings = Field(
        default_factory=lambda: QuerySettings.model_validate({}), description="What PromQL queries may cost."
    )
    rules: tuple[str, ...] = Field(
        (), strict=False, max_length=100, description="Prometheus rule files; * and ** stand for any name."
    )
    rules_seconds: float = Field(
        60.0, ge=1, le=86_400, description="Time between two evaluations of a rule group that says nothing itself."
    )
    slos: tuple[str, ...] = Field(
        (), strict=False, max_length=100, description="OpenSLO files and folders of them; * and ** stand for any name."
    )
    slos_strict: bool = Field(False, description="OpenSLO to the letter: what its own examples get wrong is refused.")
    burn: BurnSettings = Field(
        default_factory=lambda: BurnSettings.model_validate({}), description="How objectives are judged."
    )
    history: HistorySettings = Field(
        default_factory=lambda: HistorySettings.model_validate({}), description="How much of the judgements is kept."
    )
    evaluate_seconds: float = Field(15.0, ge=1, le=300, description="Time between two evaluations at most.")
    max_series: int = Field(200_000, ge=1_000, le=5_000_000, description="Most series; further ones are refused.")
    max_connections: int = Field(1_000, ge=16, le=60_000, description="Most connections at once; the next is ended.")
    max_body_bytes: int = Field(16 << 20, ge=1 << 16, le=1 << 28, description="Longest body of a request.")

    ingest: IngestSettings = Field(
        default_factory=lambda: IngestSettings.model_validate({}), description="What is taken of senders."
    )

    tls: TlsSettings = Field(
        default_factory=lambda: TlsSettings.model_validate({}), description="Certificates of the service."
    )

    @field_validator("listen")
    @classmethod
    def _can_listen(cls, address: str) -> str:
        host_and_port(address)
        return address

    @field_validator("store")
    @classmethod
    def _is_store(cls, store: str) -> str:
        if store != "duckdb":
            checked_url(store, ("prometheus+http", "prometheus+https"))
        return store

    @model_validator(mode="after")
    def _is_safe(self) -> Settings:
        if self.token is None and not is_loopback(host_and_port(self.listen)[0]):
            raise ValueError(f"listening on {self.listen}, beyond this machine, needs a token: set service.token")
        names = [it.name for it in self.receivers]
        if len(names) != len(set(names)):
            raise ValueError("two receivers have one name: rename one")
        unknown = [it.receiver for it in self.digests if it.receiver not in names]
        if unknown:
            raise ValueError(f"a digest goes to {unknown[0]!r}, which is no receiver: name one of service.receivers")
        twice = [who for who, count in Counter((it.receiver, it.every) for it in self.digests).items() if count > 1]
        if twice:
            raise ValueError(f"two digests of each {twice[0][1]} go to {twice[0][0]!r}: one is sent of a {twice[0][1]}")
        return self

    @property
    def remote_url(self) -> str | None:
        """The base address of the remote store's API, None where samples live here."""
        return None if self.store == "duckdb" else self.store.removeprefix("prometheus+").rstrip("/")

    @property
    def base_url(self) -> str:
        """The address of the dashboards without a slash at its end."""
        return (self.public_url or f"{self.scheme}://{self.listen}").rstrip("/")

    @property
    def scheme(self) -> str:
        """How the service is spoken to."""
        return "https" if self.tls.certificate else "http"

    def thresholds(self) -> Thresholds:
        """The limits of the default alerts."""
        given = self.alerts.model_dump()  # type: ignore[attr-defined]
        found: dict[str, Any] = {}
        for it in fields(Thresholds):
            if it.name.endswith("_ms"):
                found[it.name] = round(given[it.name.removesuffix("_ms") + "_seconds"] * 1000)
            elif isinstance(getattr(Thresholds(), it.name), Fraction):
                found[it.name] = Fraction(Decimal(str(given[it.name])))
            else:
                found[it.name] = given[it.name]
        return Thresholds(**found)
