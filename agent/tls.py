"""The agent's side of TLS to the service: whom it trusts, and what it shows of itself."""

from __future__ import annotations

import ssl
from typing import NamedTuple


class TlsFiles(NamedTuple):
    """PEM files; None is the machine's own trust, and no certificate of ours."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


def context_of(files: TlsFiles) -> ssl.SSLContext:
    """A client's context; raises OSError (ssl.SSLError too) where the files can't be used.

    A file of trusted certificates may hold the server's own, which needs not be a root.
    """
    found = ssl.create_default_context(cafile=files.ca)
    if files.ca is not None:
        found.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if files.certificate is not None:
        found.load_cert_chain(files.certificate, files.key)
    return found
