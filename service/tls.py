"""The service's side of TLS: a context from files, which takes a renewed certificate without a restart."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from service.errors import SettingsFault
from service.settings_tls import TlsSettings

_LOG = logging.getLogger(__name__)


class Certificates:
    """The context of a listener; `renew` reads files that have changed for connections to come."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Raises SettingsFault where the files can't be used."""
        self._files = (certificate, key)
        self._loaded = self._versions()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.context.load_cert_chain(certificate, key, password=_no_password)
            if client_ca is not None:
                self.context.load_verify_locations(client_ca)
                self.context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as fault:
            names = ", ".join(str(it) for it in (certificate, key, client_ca) if it)
            raise SettingsFault(f"service.tls: {names}: {_said(fault)}; give PEM files that belong together") from fault

    def renew(self) -> bool:
        """True where files had changed and are used from now on; what can't be used is left, and the log says so."""
        versions = self._versions()
        if versions == self._loaded or None in versions:
            return False
        self._loaded = versions
        try:
            self.context.load_cert_chain(*self._files, password=_no_password)
        except (OSError, ValueError) as fault:
            _LOG.error("service.tls: the changed certificate is not used: %s", _said(fault))
            return False
        _LOG.info("service.tls: the certificate was read anew")
        return True

    def _versions(self) -> tuple[int | None, ...]:
        found: list[int | None] = []
        for path in self._files:
            try:
                found.append(path.stat().st_mtime_ns)
            except OSError:
                found.append(None)
        return tuple(found)


def certificates(settings: TlsSettings) -> Certificates | None:
    """What the settings ask for; None without TLS. Raises SettingsFault."""
    if settings.certificate is None or settings.key is None:
        return None
    return Certificates(settings.certificate, settings.key, settings.client_ca)


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _said(fault: Exception) -> str:
    return str(getattr(fault, "strerror", None) or fault)
