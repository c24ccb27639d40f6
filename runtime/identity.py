"""Who a container is: its service, and the registry and repository of its image.

Names come from containers, so they may be hostile: each is stripped of control characters and bounded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from runtime.model import PLATFORM, PROJECT_LABEL, SERVICE_LABEL, Container, ServiceName

MAX_NAME_CHARS = 200
COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
COMPOSE_SERVICE_LABEL = "com.docker.compose.service"
NAME_LABEL = "midwatch.service"
UNNAMED_IMAGE = ServiceName("", "unnamed-image")
"""Service of one-shot containers whose image has no name: intermediate containers of builds, mostly."""

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]+")
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")


class Reference(NamedTuple):
    """An image reference taken apart; `tag` holds the digest where the reference is pinned by one."""

    registry: str
    repository: str
    tag: str


def bounded(text: str, limit: int = MAX_NAME_CHARS) -> str:
    """The text without control characters and spaces, at most `limit` characters; a cut one ends in its own digest."""
    clean = _UNPRINTABLE.sub("_", text.strip())
    if len(clean) <= limit:
        return clean
    digest = hashlib.sha256(clean.encode()).hexdigest()[:8]
    return f"{clean[: limit - 9]}~{digest}"


def registry_of(reference: str) -> Reference:
    """Registry, repository and tag of an image reference, with Docker's defaults; never raises."""
    name, _, digest = reference.strip().partition("@")
    registry, repository = _split_registry(name)
    repository, _, tag = repository.partition(":")
    if registry == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(bounded(registry), bounded(repository), bounded(digest or tag or "latest"))


def _split_registry(name: str) -> tuple[str, str]:
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return ("docker.io" if head in ("index.docker.io", "registry-1.docker.io") else head), rest
    return "docker.io", name


def service_of(container: Container) -> ServiceName:
    """The service of a container: Midwatch's or Compose's labels, `midwatch.service`, its name, or its image."""
    labels = container.labels
    named = (
        _from_pair(labels, PROJECT_LABEL, SERVICE_LABEL)
        or _from_pair(labels, COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL)
        or _from_text(labels.get(NAME_LABEL, ""))
        or (_from_text(container.name) if container.restart_policy != "no" else None)
        or _from_image(container.image)
    )
    return ServiceName("", "platform_container") if named == PLATFORM else named


def _from_pair(labels: Mapping[str, str], project: str, service: str) -> ServiceName | None:
    namespace, name = _part(labels.get(project, "")), _part(labels.get(service, ""))
    return ServiceName(namespace, name) if namespace and name else None


def _part(text: str) -> str:
    return bounded(text.replace("/", "_"))


def _from_text(text: str) -> ServiceName | None:
    namespace, slash, name = text.strip().partition("/")
    if slash and namespace and name:
        return ServiceName(_part(namespace), _part(name))
    return ServiceName("", _part(text)) if _part(text).strip("_") else None


def _from_image(image: str) -> ServiceName:
    if not image or _IMAGE_ID.fullmatch(image):
        return UNNAMED_IMAGE
    repository = registry_of(image).repository.removeprefix("library/")
    return ServiceName("", repository) if repository else UNNAMED_IMAGE
