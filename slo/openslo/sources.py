"""DataSources: which of them this service can ask, and what of them may be shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from slo.openslo.model import DataSource, Document
from slo.openslo.tree import Items, Mapping, Node, Scalar

PROMETHEUS: Final = "prometheus"
_WHERE: Final = ("url", "address", "endpoint", "host", "baseurl", "server")
"""Names, in small letters, under which connection details say where a source is."""
_LOOPBACK: Final = ("localhost", "::1")


def elsewhere(source: DataSource, own: Collection[str] = ()) -> str | None:
    """The host of a Prometheus that is not this service; None where it is, and where nothing says where it is.

    `own` are addresses at which this service, or the store that it reads, answers. Of an address the host alone is
    told: the rest may hold secrets.
    """
    if source.type.lower() != PROMETHEUS:
        return None
    hosts = [host for text in _addresses(source.connection) if (host := _host(text))]
    known = {_host(it) for it in own}
    return next((it for it in hosts if it not in known and it not in _LOOPBACK and not it.startswith("127.")), None)


def shown(documents: Sequence[Document]) -> tuple[Document, ...]:
    """Documents as they may be shown to whoever may look: without how sources are reached."""
    return tuple(
        replace(it, connection=Mapping({}, it.at.line)) if isinstance(it, DataSource) else it for it in documents
    )


def _addresses(node: Node) -> Iterator[str]:
    """Texts that say where a source is, at any depth."""
    match node:
        case Mapping(entries=entries):
            for name, value in entries.items():
                if isinstance(value, Scalar) and name.lower().replace("_", "") in _WHERE:
                    yield value.text
                else:
                    yield from _addresses(value)
        case Items(items=items):
            for it in items:
                yield from _addresses(it)
        case _:
            return


def _host(address: str) -> str:
    """The host of an address with or without a scheme; empty where it is none."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""
