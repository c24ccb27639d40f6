"""Signing of webhooks as Standard Webhooks has it; apart from their sending, for settings check secrets too."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that every such secret has, not one


def secret_key(secret: str) -> bytes:
    """The key of a signing secret, base64 with or without `whsec_`; ValueError where it can't be one."""
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the webhook's secret is not base64: make one with `openssl rand -base64 32`") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("the webhook's secret must hold 24 to 64 bytes: make one with `openssl rand -base64 32`")
    return key


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,` and the base64 of the HMAC; `timestamp` in seconds."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret_key(secret), signed, hashlib.sha256).digest()).decode()
